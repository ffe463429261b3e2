"""StaticClassifier: word vectors or n-grams with a head, computed by NumPy alone.

Shapes: B texts, D dimension, K labels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
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
from nlptl.inference.segmenter import checked_segmenter
from nlptl.inference.segmenting import segmenting
from nlptl.inference.settings_files import EncoderSettings, read_settings
from nlptl.inference.static_views import StaticView, read_static_views
from nlptl.inference.static_words import StaticWords
from nlptl.inference.tokenizer_files import highest_id, read_tokenizer
from nlptl.inference.word_rules import reads_chunks_alone
from nlptl.inference.word_sums import LINEAR_POOLINGS, LinearParts, WordSums

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
        tokenizer = segmenting(read_tokenizer(folder / TOKENIZER), checked_segmenter(settings.segmenter, folder))
        words = StaticWords.read(folder, tokenizer, settings.subwords)
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

    encoder: StaticEncoder

    @cached_property
    def _sums(self) -> WordSums | None:
        """Sums over words that give the logits; None where they are no such sums."""
        encoder, head = self.encoder, self.parts.head
        is_linear = encoder.pooling.mode in LINEAR_POOLINGS and not (encoder.normalized or head.settings.hidden)
        is_plain = encoder.kept_dim is None and not encoder.views and not encoder.words.pairs
        if not (is_linear and is_plain and reads_chunks_alone(encoder.words.tokenizer)):
            return None
        weight, bias = head.last
        arrays, none = encoder.pooling.arrays, np.zeros(0, np.float32)
        parts = LinearParts(
            encoder.pooling.mode, token_weights=arrays.get("token_weights", none),
            common_component=arrays.get("common_component", none), weights=weight, bias=bias, centre=head.arrays["centre"],
            scale=float(head.arrays["scale"]),
        )  # fmt: skip
        return WordSums(encoder.words.of_chunks, parts)

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K)."""
        if self._sums is not None:
            with contextlib.suppress(UnicodeEncodeError):  # half of a surrogate pair, which the tokenizer refuses
                return self.parts.head.probabilities_of(self._sums.logits(texts, after_batch))
        return super().probabilities(texts, after_batch=after_batch)

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
