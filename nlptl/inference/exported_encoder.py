"""An exported encoder without torch: text to sentence vector.

Shapes: B texts, N packed tokens, M segments, D dimension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from nlptl.artifact import read_arrays
from nlptl.disk.ownership import SETTINGS
from nlptl.errors import ArtifactError
from nlptl.inference.export_settings import ExportSettings
from nlptl.inference.file_names import POOLING, PROJECTION, TOKENIZER
from nlptl.inference.graphs import Floats, TokenGraph, core_count, load_graph
from nlptl.inference.packed_inputs import Ids
from nlptl.inference.pooling import ArrayPooling, ArrayProjection, scaled
from nlptl.inference.segmenter import checked_segmenter
from nlptl.inference.segmenting import segmenting
from nlptl.inference.sentences import tokenize_by_sentence
from nlptl.inference.settings_files import EncoderSettings, TokenRuleSettings, read_settings
from nlptl.inference.static_views import StaticView, read_static_views
from nlptl.inference.tokenizer_files import read_tokenizer
from nlptl.inference.tokenizing import TokenRule, tokenize
from nlptl.inference.workers import each_alone
from nlptl.training.token_budgets import shrinking_batches

TOKEN_BUDGET = 1024  # tokens a batch: a layer's activations stay in the caches
TEXTS_AT_ONCE = 20_000  # tokenised and sorted by length together; bounds the memory of a long list


@dataclass(frozen=True)
class ExportedEncoder:
    """sentence_vector(text) = pooling(graph(tokenizer(text))); `nlptl.models.encoder.Encoder` says what follows."""

    tokenizer: Tokenizer
    rule: TokenRule
    graph: TokenGraph
    pooling: ArrayPooling
    normalized: bool
    projection: ArrayProjection | None
    kept_dim: int | None
    own_dim: int  # width of the vectors without views, which follow
    views: tuple[StaticView, ...]

    @classmethod
    def read_files(cls, folder: Path, export: ExportSettings) -> ExportedEncoder:
        """Read the files of an export. Raises ArtifactError if one is missing or damaged."""
        settings = read_settings(folder / SETTINGS, EncoderSettings)
        projection = _read_projection(folder, settings, export.dim)
        width = export.dim if projection is None else projection.dim
        tokenizer = segmenting(read_tokenizer(folder / TOKENIZER), checked_segmenter(settings.segmenter, folder))
        return cls(
            tokenizer, token_rule(settings.rule), load_graph(folder, export),
            _read_pooling(folder, settings, export.dim), settings.normalized, projection, settings.kept_dim,
            width if settings.kept_dim is None else min(width, settings.kept_dim),
            read_static_views(folder, settings.views),
        )  # fmt: skip

    @property
    def dim(self) -> int:
        """Width D of the vectors, views included."""
        return self.own_dim + sum(view.dim for view in self.views)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        read = tokenize if self.rule.sentence_start is None else tokenize_by_sentence
        return read(self.tokenizer, texts, self.rule)

    def encode(self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None) -> Floats:
        """Return sentence vectors (B, D) of texts, in their order; `after_batch` gets the texts of each finished batch."""
        found = np.zeros((len(texts), self.dim), np.float32)
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            part = slice(begin, begin + TEXTS_AT_ONCE)
            self._encode_into(found[part, : self.own_dim], self.token_ids(texts[part]), after_batch)
            if self.views:
                found[part, self.own_dim :] = np.hstack([view.vectors(texts[part]) for view in self.views])
        return found

    def _encode_into(self, out: Floats, ids: list[list[int]], after_batch: Callable[[int], None] | None) -> None:
        def compute(rows: list[int]) -> Floats:
            return self.vectors([ids[row] for row in rows])

        for rows, vectors in each_alone(compute, length_batches(ids), threads=core_count()):
            out[rows] = vectors
            if after_batch:
                after_batch(len(rows))

    def vectors(self, ids: Sequence[Sequence[int]]) -> Floats:
        """Return the vectors (B, D) without views of texts with these token ids, as one batch on this thread."""
        lengths = np.array([len(text) for text in ids], np.int64)
        input_ids = np.array([token for text in ids for token in text], np.int64)
        segments, text_of_segment = self._segments(input_ids, lengths)
        if not len(input_ids):
            return np.zeros((len(ids), self.own_dim), np.float32)
        token_vectors = self.graph.token_vectors(input_ids, segments[segments > 0])
        token_vectors, input_ids, segments = self._without_prompt(token_vectors, input_ids, segments)
        found = self.pooling.pooled(token_vectors, input_ids, segments)
        found = self._scaled(found if self.projection is None else self.projection(found))
        if self.rule.sentence_start is not None:
            found = self._scaled(_means(found, text_of_segment, len(ids)))
        return found[:, : self.kept_dim]

    def _segments(self, input_ids: Ids, lengths: Ids) -> tuple[Ids, Ids]:
        """Return the tokens of each segment (M,) and its text (M,). A segment of a text read by sentence is a sentence."""
        if self.rule.sentence_start is None:
            return lengths, np.arange(len(lengths))
        begins = input_ids == self.rule.sentence_start
        firsts = (np.cumsum(lengths) - lengths)[lengths > 0]
        begins[firsts] = True
        places = np.flatnonzero(begins)
        return np.diff(places, append=len(input_ids)), np.searchsorted(np.cumsum(lengths), places, side="right")

    def _without_prompt(self, token_vectors: Floats, input_ids: Ids, segments: Ids) -> tuple[Floats, Ids, Ids]:
        """Leave out the first tokens of each segment that are a prompt, unless there are no others."""
        if not self.rule.skipped:
            return token_vectors, input_ids, segments
        dropped = np.where(segments > self.rule.skipped, self.rule.skipped, 0)
        inside = np.arange(len(input_ids)) - np.repeat(np.cumsum(segments) - segments, segments)
        kept = inside >= np.repeat(dropped, segments)
        return token_vectors[kept], input_ids[kept], segments - dropped

    def _scaled(self, vectors: Floats) -> Floats:
        return scaled(vectors) if self.normalized else vectors


def length_batches(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the rows of each batch: texts of similar length together, the longest first."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]), reverse=True)
    cut = shrinking_batches([len(ids[row]) for row in order], budget=TOKEN_BUDGET, workers=core_count())
    return [order[rows.start : rows.stop] for rows in cut]


def token_rule(settings: TokenRuleSettings | None) -> TokenRule:
    """Return the rule that encoder.json describes."""
    if settings is None:
        return TokenRule()
    return TokenRule(
        special_tokens=settings.special_tokens, drop=settings.drop, unknown=settings.unknown, max_length=settings.longest,
        sentence_start=settings.sentence_start, prompt=settings.prompt, skipped=settings.skipped,
    )  # fmt: skip


def _means(segments: Floats, text_of_segment: Ids, texts: int) -> Floats:
    summed = np.zeros((texts, segments.shape[1]), np.float32)
    np.add.at(summed, text_of_segment, segments)
    counts = np.bincount(text_of_segment, minlength=texts)
    return np.asarray(summed / np.maximum(counts, 1)[:, None], np.float32)


def _read_pooling(folder: Path, settings: EncoderSettings, dim: int) -> ArrayPooling:
    pooling = ArrayPooling(settings.pooling, read_arrays(folder / POOLING))
    try:
        pooling.check_width(dim)
    except ValueError:
        raise _unfit(folder / POOLING, "pooling") from None
    return pooling


def _read_projection(folder: Path, settings: EncoderSettings, dim: int) -> ArrayProjection | None:
    if not settings.projection:
        return None
    try:
        projection = ArrayProjection.of(settings.projection, read_arrays(folder / PROJECTION))
        if projection.inputs != dim:
            raise ValueError(f"{projection.inputs} inputs for {dim}")
    except ValueError:
        raise _unfit(folder / PROJECTION, "projection") from None
    return projection


def _unfit(path: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{path}: does not fit the {what} that {SETTINGS} describes; the folder is damaged. Export the run again."
    )
