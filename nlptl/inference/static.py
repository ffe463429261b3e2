"""StaticClassifier: word vectors or n-grams with a head, computed by NumPy alone.

Shapes: B texts, D dimension, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl import artifact
from nlptl.disk.ownership import SETTINGS
from nlptl.disk.refusals import checked_path
from nlptl.errors import ArtifactError
from nlptl.inference.array_classifier import ArrayClassifier, ClassifierParts
from nlptl.inference.file_names import POOLING, TOKENIZER
from nlptl.inference.pooling import ArrayPooling, scaled
from nlptl.inference.settings_files import EncoderSettings, read_settings
from nlptl.inference.static_views import StaticView, read_static_views
from nlptl.inference.static_words import StaticWords
from nlptl.inference.tokenizer_files import highest_id, read_tokenizer

TEXTS_AT_ONCE = 2_000  # whose token vectors are in memory together

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class StaticEncoder:
    """sentence_vector(text) = pooling(vectors(words(text))), then the vectors of the views; as `Encoder`, without torch."""

    words: StaticWords
    pooling: ArrayPooling
    normalized: bool
    kept_dim: int | None
    views: tuple[StaticView, ...]

    @classmethod
    def read(cls, folder: Path) -> StaticEncoder:
        """Read the encoder of a classifier's folder. Raises ArtifactError for a transformer, and for damaged files."""
        settings = read_settings(folder / SETTINGS, EncoderSettings)
        if settings.token_model != "word_vectors" or settings.projection:
            raise ArtifactError(
                f"{folder}: holds a transformer, which needs torch; expected word vectors or n-grams. Export it with nlptl export."
            )
        words = StaticWords.read(folder, read_tokenizer(folder / TOKENIZER), settings.subwords)
        _check_words(folder, words)
        return cls(
            words, _read_pooling(folder, settings, words.dim), settings.normalized, settings.kept_dim,
            read_static_views(folder, settings.views),
        )  # fmt: skip

    @property
    def own_dim(self) -> int:
        """Width of the vectors without views, which follow."""
        return self.words.dim if self.kept_dim is None else min(self.words.dim, self.kept_dim)

    @property
    def dim(self) -> int:
        """Width D of the vectors, views included."""
        return self.own_dim + sum(view.dim for view in self.views)

    def encode(self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None) -> Floats:
        """Return sentence vectors (B, D) of texts."""
        found = np.empty((len(texts), self.dim), np.float32)
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[begin : begin + TEXTS_AT_ONCE]
            sides = [self._own(part)] if self.own_dim else []
            found[begin : begin + len(part)] = np.hstack([*sides, *(view.vectors(part) for view in self.views)])
            if after_batch:
                after_batch(len(part))
        return found

    def _own(self, texts: Sequence[str]) -> Floats:
        read = self.words.read_texts(texts)
        lengths = np.fromiter(map(len, read.ids), np.int64, len(read.ids))
        ids = np.fromiter((index for text in read.ids for index in text), np.int64, int(lengths.sum()))
        pooled = self.pooling.pooled(self.words.vectors(ids, read.unseen), ids, lengths)
        return (scaled(pooled) if self.normalized else pooled)[:, : self.kept_dim]


class StaticClassifier(ArrayClassifier):
    """A classifier over word vectors or n-grams."""

    @classmethod
    def load(cls, folder: Path | str) -> StaticClassifier:
        """Read a published classifier of word vectors or n-grams. Raises ArtifactError for any other, and for damaged files."""
        return artifact.read_published(checked_path(folder), cls.read_files, kind="classifier")

    @classmethod
    def read_files(cls, folder: Path) -> StaticClassifier:
        """Read the files of a folder whose digests were checked."""
        encoder = StaticEncoder.read(folder)
        return cls(encoder, ClassifierParts.read(folder, dim=encoder.dim, again="Run the stage again."))


def _read_pooling(folder: Path, settings: EncoderSettings, dim: int) -> ArrayPooling:
    pooling = ArrayPooling(settings.pooling, artifact.read_arrays(folder / POOLING))
    try:
        pooling.check_width(dim)
    except ValueError:
        raise ArtifactError(
            f"{folder / POOLING}: does not fit the pooling that {SETTINGS} describes; the folder is damaged. Run the stage again."
        ) from None
    return pooling


def _check_words(folder: Path, words: StaticWords) -> None:
    """Raise ArtifactError for a tokenizer that gives ids without a vector, or cannot spell words."""
    tokenizer, path = words.tokenizer, folder / TOKENIZER
    if words.subwords is not None and (tokenizer.normalizer is None or tokenizer.pre_tokenizer is None):
        raise ArtifactError(
            f"{path}: neither cleans nor splits a text; expected both, since words are spelt by n-grams. The folder is damaged. "
            "Run the stage again."
        )
    if (highest := highest_id(tokenizer, of_all=False)) >= len(words.table):
        raise ArtifactError(
            f"{path}: gives ids up to {highest}; expected ids below {len(words.table)}, since there are no more vectors. The "
            "folder is damaged. Run the stage again."
        )
