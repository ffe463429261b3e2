"""Rows of findings: what the scores of an audit say under its thresholds.

Shapes: N rows of all parts, n labelled rows.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from nlptl.data.languages import NAMES
from nlptl.evaluation.intervals import wilson
from nlptl.evaluation.label_errors import Suspect, suspects
from nlptl.evaluation.near_copies import copy_groups
from nlptl.evaluation.next_labels import proposals
from nlptl.evaluation.text_looks import CODES, clear_languages, usual_language
from nlptl.runs.studies.audit.audited_texts import AuditedTexts, Rows
from nlptl.runs.studies.audit.outcome import AuditThresholds, ConfusedLabels
from nlptl.runs.studies.audit.scores import Scores

MIN_ROWS_OF_A_LABEL = 8  # below which hardly anything can be said of a label
MIN_CONFUSED = 0.05  # lower end of the interval of the share of confused rows, from which two labels are told
MAX_PIECES_OF_A_WORD = 2.5  # on average, above which a text's words fall to pieces
MAX_UNKNOWN = 0.2  # of the pieces of a text
MIN_WORDS = 3  # of a text whose pieces are judged
MAD = 1.4826  # standard deviations in a median absolute deviation of a normal distribution
MIN_SPREAD = 0.01  # of the cosines, so that texts which are nearly alike have no outlier among them
MIN_TEXTS_OF_A_REGION = 5


@dataclasses.dataclass(frozen=True)
class FoundRow:
    """One row that a finding names."""

    row: int
    detail: str = ""
    cells: tuple[object, ...] = ()  # of its table, behind file, row and label


class FoundRows:
    """Findings of one audit, each as rows, the worst first."""

    def __init__(self, texts: AuditedTexts, scores: Scores, thresholds: AuditThresholds) -> None:
        self._texts, self._scores, self._thresholds = texts, scores, thresholds

    def wrong_labels(self) -> list[FoundRow]:
        """Return the rows whose label all judges together contradict, the largest loss first."""
        return [
            FoundRow(
                int(self._scores.judged[one.row]), f"predicted {self._texts.names[one.predicted]}",
                (f"{one.own:.3f}", self._texts.names[one.predicted], f"{one.other:.3f}"),
            )
            for one in self._suspects(self._thresholds.suspects)
        ]  # fmt: skip

    def contradictions(self) -> list[list[FoundRow]]:
        """Return the groups of labelled rows with one text and several labels."""
        return self._with_several_labels(self._texts.first_of)

    def near_contradictions(self) -> list[list[FoundRow]]:
        """Return the groups of near-copies with several labels, whose texts differ."""
        found = self._with_several_labels(self._near_groups)
        return [group for group in found if len({self._texts.first_of[one.row] for one in group}) > 1]

    def copies(self) -> list[list[FoundRow]]:
        """Return the groups of rows with the same text and no two labels, among those that are learnt or held out."""
        key = 2 * self._texts.first_of + self._texts.is_held_out
        groups = _groups(key, np.arange(len(self._texts)))
        return [[FoundRow(row) for row in group] for group in groups if len(self._labels_of(group)) < 2]

    def near_copies(self) -> list[list[FoundRow]]:
        """Return the groups of distinct texts that share most pairs of words, each by its first row."""
        distinct = np.unique(self._texts.first_of)
        groups = _groups(self._near_groups[distinct], distinct)
        return [[FoundRow(row) for row in group] for group in groups]

    def paraphrases(self) -> list[tuple[FoundRow, FoundRow]]:
        """Return pairs of texts whose vectors are near, but whose words are not, the nearest first."""
        pairs, cosines = self._scores.paraphrases
        near = self._near_groups
        kept = (cosines >= self._thresholds.paraphrases) & (near[pairs[:, 0]] != near[pairs[:, 1]])
        order = np.flatnonzero(kept)[np.argsort(-cosines[kept], kind="stable")]
        return [
            (FoundRow(int(pairs[place, 0]), f"cosine {cosines[place]:.3f}"), FoundRow(int(pairs[place, 1])))
            for place in order.tolist()
        ]

    def leaks(self) -> list[list[FoundRow]]:
        """Return the texts that stand in a test and in another part: the row of the test, then the others."""
        return self._across(self._texts.first_of)

    def near_leaks(self) -> list[list[FoundRow]]:
        """Return the same of near-copies that are no copies."""
        found = self._across(self._near_groups)
        return [group for group in found if len({self._texts.first_of[one.row] for one in group}) > 1]

    def outliers(self) -> list[FoundRow]:
        """Return the texts that stand farthest from all others."""
        alone = self._scores.alone
        known = np.flatnonzero(~np.isnan(alone))
        if not len(known):
            return []
        middle = float(np.median(alone[known]))
        spread = MAD * float(np.median(np.abs(alone[known] - middle)))
        limit = middle - self._thresholds.outliers * max(spread, MIN_SPREAD)
        order = known[np.argsort(alone[known], kind="stable")]
        return [
            FoundRow(
                int(self._scores.encoded[place]), cells=(_told(alone[place]), _told(self._scores.alone_in_label[place]))
            )
            for place in order.tolist()
            if alone[place] < limit
        ]

    def wordless(self) -> list[FoundRow]:
        """Return the texts without a letter or a digit."""
        return [FoundRow(row) for row in np.flatnonzero(self._scores.lengths["words"] == 0).tolist()]

    def in_other_languages(self) -> list[FoundRow]:
        """Return the texts whose language, or script, is clear and not the most common one."""
        languages, usual = clear_languages(self._scores.languages), usual_language(self._scores.languages)
        found = np.flatnonzero((languages > 0) & (languages != usual))
        told = [NAMES.get(CODES[languages[place]], CODES[languages[place]]) for place in found.tolist()]
        rows = self._scores.looked_at[found].tolist()
        return [FoundRow(row, name, (name,)) for row, name in zip(rows, told, strict=True)]

    def cut(self) -> list[FoundRow]:
        """Return the texts of which the encoder reads the beginning alone, the longest first."""
        if self._scores.pieces is None:
            return []
        rows = self._scores.looked_at[np.flatnonzero(self._scores.pieces["cut"])]
        characters = self._scores.lengths["characters"]
        ordered = rows[np.argsort(-characters[rows], kind="stable")]
        return [FoundRow(row, f"{characters[row]:,} characters", (int(characters[row]),)) for row in ordered.tolist()]

    def fragments(self) -> list[FoundRow]:
        """Return the texts whose words fall to many pieces, or are unknown to the encoder, the worst first."""
        if self._scores.pieces is None:
            return []
        words, pieces, unknown = (self._scores.pieces[name] for name in ("words", "pieces", "unknown"))
        pieces_of_a_word, unknown_share = pieces / np.maximum(words, 1), unknown / np.maximum(pieces, 1)
        is_odd = (pieces_of_a_word > MAX_PIECES_OF_A_WORD) | (unknown_share > MAX_UNKNOWN)
        found = np.flatnonzero(is_odd & (words >= MIN_WORDS))
        order = found[np.argsort(-(pieces_of_a_word + 10 * unknown_share)[found], kind="stable")]
        rows = list[FoundRow]()
        for place in order.tolist():
            many, lost = float(pieces_of_a_word[place]), float(unknown_share[place])
            detail = f"{lost:.0%} of it unknown" if lost > MAX_UNKNOWN else f"{many:.1f} pieces a word"
            rows.append(FoundRow(int(self._scores.looked_at[place]), detail, (f"{many:.2f}", f"{lost:.3f}")))
        return rows

    def regions(self) -> list[tuple[FoundRow, int]]:
        """Return the central text of each region of the pile without a label, and how many texts it has."""
        found = [(rows, central) for rows, central in self._scores.regions if len(rows) >= MIN_TEXTS_OF_A_REGION]
        return [(FoundRow(central, f"{len(rows):,} texts", (len(rows),)), len(rows)) for rows, central in found]

    def next_labels(self, *, seed: int) -> list[FoundRow]:
        """Return the rows without a label that are worth one most."""
        scores = self._scores
        pile = np.flatnonzero(self._texts.labels[scores.encoded] < 0)
        labelled = np.flatnonzero(self._texts.labels[scores.encoded] >= 0)
        if scores.vectors is None or not len(pile) or not len(labelled):
            return []
        found = proposals(scores.vectors[pile], scores.vectors[labelled], scores.pile_probabilities, seed=seed)
        return [FoundRow(int(scores.encoded[pile[one.row]]), one.why, (one.why,)) for one in found]

    def confused(self) -> list[ConfusedLabels]:
        """Return the pairs of labels that held-out predictions confuse most, by the lower end of the interval."""
        known = ~np.isnan(self._scores.probabilities).any(axis=1)
        if not known.any() or self._scores.probabilities.shape[1] < 2:
            return []
        given = self._texts.labels[self._scores.judged][known]
        predicted, count = self._scores.probabilities[known].argmax(axis=1), len(self._texts.names)
        table = np.zeros((count, count), dtype=np.int64)
        np.add.at(table, (given, predicted), 1)
        rows, both = table.sum(axis=1), table + table.T
        found = []
        for one, other in zip(*np.nonzero(np.triu(both, 1)), strict=True):
            wrong, of = int(both[one, other]), int(rows[one] + rows[other])
            share = wilson(wrong, of)
            if share.low >= MIN_CONFUSED:
                names = self._texts.names
                found.append(
                    ConfusedLabels(label=names[one], other=names[other], rows=wrong, looked_at=of, share=share)
                )
        return sorted(found, key=lambda pair: -(pair.share.low or 0))

    def rare_labels(self) -> list[tuple[str, int]]:
        """Return the labels with few rows, the rarest first."""
        counts = np.bincount(self._texts.labels[self._texts.labels >= 0], minlength=len(self._texts.names))
        found = [(name, int(count)) for name, count in zip(self._texts.names, counts, strict=True)]
        return sorted((pair for pair in found if pair[1] < MIN_ROWS_OF_A_LABEL), key=lambda pair: pair[1])

    def _suspects(self, lead: float) -> list[Suspect]:
        if not self._scores.probabilities.shape[1]:
            return []
        return suspects(self._scores.probabilities, self._texts.labels[self._scores.judged].tolist(), lead=lead)

    @functools.cached_property
    def _near_groups(self) -> Rows:
        """Return the group (N,) of near-copies of each row, copies among them."""
        pairs = self._scores.copies.above(self._thresholds.near_copies).pairs
        return copy_groups(pairs, len(self._texts))[self._texts.first_of]

    def _labels_of(self, rows: Sequence[int]) -> set[int]:
        return {label for label in self._texts.labels[list(rows)].tolist() if label >= 0}

    def _with_several_labels(self, group: Rows) -> list[list[FoundRow]]:
        rows = np.flatnonzero(self._texts.labels >= 0)
        found = [part for part in _groups(group[rows], rows) if len(self._labels_of(part)) > 1]
        return [[FoundRow(row) for row in part] for part in found]

    def _across(self, group: Rows) -> list[list[FoundRow]]:
        held_out = self._texts.is_held_out
        if not held_out.any() or held_out.all():
            return []
        rows = np.arange(len(self._texts))
        found = []
        for part in _groups(group, rows):
            inside, outside = [row for row in part if held_out[row]], [row for row in part if not held_out[row]]
            if inside and outside:
                found.append([FoundRow(row) for row in (*inside[:1], *outside)])
        return found


def _groups(key: Rows, rows: Rows) -> Iterator[list[int]]:
    """Yield the rows of each key that several have, the largest group first."""
    several = np.bincount(key, minlength=1)[key] > 1 if len(key) else np.zeros(0, np.bool_)
    key, rows = key[several], rows[several]
    order = np.argsort(key, kind="stable")
    parts = np.split(rows[order], np.flatnonzero(np.diff(key[order])) + 1) if len(rows) else []
    for part in sorted(parts, key=lambda part: -len(part)):
        yield part.tolist()


def _told(cosine: float) -> str:
    return "" if np.isnan(cosine) else f"{cosine:.3f}"
