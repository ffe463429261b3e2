"""Scores of an audit: all that is computed of the texts, before any threshold; each part is kept.

Shapes: N rows of all parts, E encoded rows, n labelled rows, K labels, P pairs, D dimension.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.near_copies import CopyPairs, near_copies
from nlptl.evaluation.nearest_rows import nearest_rows
from nlptl.evaluation.next_labels import centred, region_count, uncovered
from nlptl.evaluation.regions import unit
from nlptl.evaluation.text_looks import CODES, LANGUAGE_RULES, languages_of, lengths_of, pieces_of
from nlptl.runs.judging.left_out import LabelledRows, left_out
from nlptl.runs.studies.audit.audited_texts import AuditedTexts, Rows
from nlptl.runs.studies.audit.kept_parts import Arrays, KeptParts
from nlptl.runs.studies.audit.text_encoder import AuditEncoder, PartsEncoder, encoded_here

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.progress import Task

MAX_ENCODED = 20_000  # texts whose vectors are compared; of more, evenly spaced ones
MAX_LABELLED_ENCODED = 15_000  # of these, that have labels
ENCODED_AT_ONCE = 2_000  # texts of a file: so many are lost at most where an audit is killed
MAX_LOOKED_AT = 20_000  # texts whose language and word pieces are told
MIN_COSINE = 0.85  # from which pairs are kept as paraphrases
NEAREST = 10  # texts among which paraphrases are looked for
OUTLIER_NEIGHBOURS = 5  # nearest texts whose mean cosine tells how alone a text stands
MIN_TEXTS_FOR_OUTLIERS = 30

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scores:
    """What is known of the texts; thresholds make findings of it."""

    lengths: Arrays  # characters (N,) and words (N,)
    copies: CopyPairs  # near-copies among the distinct texts, by their first rows
    looked_at: Rows  # rows whose language and pieces are told
    languages: Rows  # of these
    pieces: Arrays | None  # of these: words, pieces, unknown, cut; None without an encoder
    encoded: Rows  # (E,) rows with vectors, each of another text
    vectors: NDArray[np.float16] | None  # (E, D)
    paraphrases: tuple[Rows, NDArray[np.float32]]  # pairs (P, 2) of rows, and their cosines
    alone: Floats  # (E,) mean cosine to the nearest texts; NaN where it is not known
    alone_in_label: Floats  # (E,) the same to the nearest ones of its label
    judged: Rows  # (n,) rows whose labels are judged
    probabilities: Floats  # (n, K) by judges without the row; NaN for a row that could not be left out
    pile_probabilities: Floats | None  # of the encoded rows without a label
    regions: tuple[tuple[Rows, int], ...]  # rows of each region without a label, and its central row
    region_count: int  # of all
    judges: tuple[str, ...] = ()


class Scoring:
    """One computation of scores, which goes on after a kill from the parts that are kept."""

    def __init__(
        self, texts: AuditedTexts, kept: KeptParts, encoder: AuditEncoder | None, context: RunContext, *,
        encode: PartsEncoder = encoded_here,
    ) -> None:  # fmt: skip
        self._texts, self._kept, self._encoder, self._context = texts, kept, encoder, context
        self._encode = encode

    def scores(self) -> Scores:
        """Return all scores, computed or kept."""
        texts, digest = self._texts, self._texts.digest
        lengths = self._kept.of("lengths", digest, lambda: lengths_of(texts.texts))
        copies = self._copies()
        looked_at = _evenly(np.arange(len(texts)), MAX_LOOKED_AT)
        languages = self._kept.of("languages", [digest, CODES, LANGUAGE_RULES], lambda: self._languages(looked_at))[
            "languages"
        ]
        encoded = self._rows_to_encode()
        vectors = None if self._encoder is None else self._vectors(self._encoder, encoded)
        depends_on = [digest, "" if self._encoder is None else self._encoder.identity]
        pieces = None if self._encoder is None else self._kept.of("pieces", depends_on, lambda: self._pieces(looked_at))
        near = self._kept.of("nearest", depends_on, lambda: self._nearest(encoded, vectors))
        judged = self._kept.of("judged", depends_on, lambda: self._judged(encoded, vectors))
        regions = self._kept.of("regions", depends_on, lambda: self._regions(encoded, vectors))
        pile = judged["pile"] if len(judged["pile"]) else None
        return Scores(
            lengths, copies, looked_at, languages, pieces, encoded, vectors,
            (near["pairs"], near["cosines"]), near["alone"], near["alone_in_label"],
            np.flatnonzero(texts.labels >= 0), judged["probabilities"], pile,
            _regions_of(regions), int(regions["count"][0]), tuple(filter(None, bytes(judged["judges"]).decode().split("\n"))),
        )  # fmt: skip

    def _task(self, name: str, total: int) -> AbstractContextManager[Task]:
        return self._context.progress.task(name, total=total, unit="texts")

    def _copies(self) -> CopyPairs:
        distinct = np.unique(self._texts.first_of)

        def make() -> Arrays:
            with self._task("comparing the words of all texts", len(distinct)) as task:
                found = near_copies([self._texts.texts[row] for row in distinct.tolist()], after_texts=task.advance)
            return {"pairs": distinct[found.pairs], "shares": found.shares}

        made = self._kept.of("near-copies", self._texts.digest, make)
        return CopyPairs(made["pairs"], made["shares"])

    def _languages(self, rows: Rows) -> Arrays:
        with self._task("telling languages", len(rows)) as task:
            return {"languages": languages_of(self._some(rows), after_texts=task.advance)}

    def _pieces(self, rows: Rows) -> Arrays:
        assert self._encoder is not None
        with self._task("cutting words to pieces", len(rows)) as task:
            found = pieces_of(self._encoder.encoder, self._some(rows), after_texts=task.advance)
        return {"words": found.words, "pieces": found.pieces, "unknown": found.unknown, "cut": found.cut}

    def _rows_to_encode(self) -> Rows:
        """Return rows of different texts: labelled ones first, then others, evenly spaced."""
        first = np.unique(self._texts.first_of)
        has_label = self._texts.labels[first] >= 0
        labelled = _evenly(first[has_label], MAX_LABELLED_ENCODED)
        return np.sort(np.concatenate([labelled, _evenly(first[~has_label], MAX_ENCODED - len(labelled))]))

    def _vectors(self, encoder: AuditEncoder, rows: Rows) -> NDArray[np.float16]:
        parts = [rows[begin : begin + ENCODED_AT_ONCE] for begin in range(0, len(rows), ENCODED_AT_ONCE)]
        names = [f"vectors-{number}" for number in range(1, len(parts) + 1)]
        depends_on = [[self._texts.digest, encoder.identity, part.tolist()] for part in parts]
        found = list(map(self._kept.known, names, depends_on))
        missing = [number for number, one in enumerate(found) if one is None]
        with self._task("encoding texts", len(rows)) as task:
            task.advance(sum(len(part) for part, one in zip(parts, found, strict=True) if one is not None))
            texts = (self._some(parts[number]) for number in missing)
            for place, vectors in self._encode(encoder.encoder, texts) if missing else ():
                number = missing[place]
                made = {"vectors": vectors.astype(np.float16)}
                found[number] = self._kept.add(names[number], depends_on[number], made)
                task.advance(len(parts[number]))
        arrays = [one["vectors"] for one in found if one is not None]
        return np.concatenate(arrays) if arrays else np.zeros((0, 1), np.float16)

    def _nearest(self, encoded: Rows, vectors: NDArray[np.float16] | None) -> Arrays:
        """Find pairs of texts with near vectors, and texts that stand alone."""
        alone = np.full(len(encoded), np.nan)
        pairs, cosines = np.zeros((0, 2), np.int64), np.zeros(0, np.float32)
        in_label = alone.copy()
        if vectors is not None and len(encoded) > 1:
            assert self._encoder is not None
            if self._encoder.is_pretrained:
                near = nearest_rows(unit(vectors), min(NEAREST, len(encoded) - 1), seed=self._context.seed)
                pairs, cosines = near.pairs_above(MIN_COSINE)
                pairs = encoded[pairs]
            alone = _mean_nearest(_unit_around_mean(vectors), np.arange(len(encoded)))
            labels = self._texts.labels[encoded]
            for label in range(len(self._texts.names)):
                rows = np.flatnonzero(labels == label)
                in_label[rows] = _mean_nearest(_unit_around_mean(vectors)[rows], rows)
        return {"pairs": pairs, "cosines": cosines, "alone": alone, "alone_in_label": in_label}

    def _judged(self, encoded: Rows, vectors: NDArray[np.float16] | None) -> Arrays:
        """Judge the label of each labelled row without the row, and texts of the pile by what the rows tell."""
        texts = self._texts
        rows = np.flatnonzero(texts.labels >= 0)
        nothing: Arrays = {"probabilities": np.zeros((len(rows), 0)), "pile": np.zeros((0, 0)), "judges": _as_bytes(())}
        if len(texts.names) < 2:
            return nothing
        labelled = LabelledRows(self._some(rows), texts.labels[rows], len(texts.names))
        place = np.full(len(texts), -1)
        place[encoded] = np.arange(len(encoded))
        place = place[texts.first_of]  # a copy has the vector of the first
        with_vector = np.flatnonzero(place[rows] >= 0) if vectors is not None else np.zeros(0, np.int64)
        own = None if vectors is None else vectors[place[rows[with_vector]]].astype(np.float32)
        with self._task("judging each label without its text", len(rows)) as task:
            found = left_out(labelled, own, encoded=with_vector, seed=self._context.seed)
            task.advance(len(rows))
        pile = np.zeros((0, 0))
        without = np.flatnonzero(texts.labels[encoded] < 0)
        if found.head is not None and vectors is not None and len(without):
            pile = found.predicted(vectors[without].astype(np.float32))
        return {"probabilities": found.probabilities, "pile": pile, "judges": _as_bytes(found.by)}

    def _regions(self, encoded: Rows, vectors: NDArray[np.float16] | None) -> Arrays:
        pile = np.flatnonzero(self._texts.labels[encoded] < 0)
        labelled = np.flatnonzero(self._texts.labels[encoded] >= 0)
        found, count = list[tuple[Rows, int]](), 0
        if vectors is not None and len(pile) and len(labelled):
            everything = centred(vectors[pile], vectors[labelled])
            found, count = uncovered(everything, len(pile), seed=self._context.seed), region_count(len(everything))
        rows = [encoded[pile[part]] for part, _ in found]
        return {
            "rows": np.concatenate([*rows, np.zeros(0, np.int64)]),
            "sizes": np.array([len(part) for part in rows], np.int64),
            "count": np.array([count], np.int64),
            "central": np.array([encoded[pile[central]] for _, central in found], np.int64),
        }

    def _some(self, rows: Rows) -> list[str]:
        return [self._texts.texts[row] for row in rows.tolist()]


def _evenly(rows: Rows, count: int) -> Rows:
    """Return at most `count` of the rows, evenly spaced."""
    return rows if len(rows) <= count else rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def _unit_around_mean(vectors: NDArray[Any]) -> NDArray[np.float32]:
    found = vectors.astype(np.float32)
    return unit(found - found.mean(axis=0))


def _mean_nearest(vectors: NDArray[np.float32], rows: Rows) -> Floats:
    """Return the mean cosine of each vector to its nearest ones; NaN where there are too few."""
    if len(rows) < MIN_TEXTS_FOR_OUTLIERS:
        return np.full(len(rows), np.nan)
    return np.asarray(nearest_rows(vectors, OUTLIER_NEIGHBOURS).cosines.mean(axis=1), dtype=np.float64)


def _regions_of(parts: Arrays) -> tuple[tuple[Rows, int], ...]:
    rows = np.split(parts["rows"], np.cumsum(parts["sizes"])[:-1]) if len(parts["sizes"]) else []
    return tuple(zip(rows, parts["central"].tolist(), strict=True))


def _as_bytes(names: Sequence[str]) -> NDArray[np.uint8]:
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)
