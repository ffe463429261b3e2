"""Screening of new labelled rows: copies, contradictions, other languages, planted phrases and doubtful labels are kept out.

Shapes: n new rows, m rows that are known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.data.languages import NAMES
from nlptl.data.row_checks import RowPlace
from nlptl.evaluation.label_errors import suspects
from nlptl.evaluation.near_copies import copy_groups, near_copies
from nlptl.evaluation.planted_phrases import planted_phrases
from nlptl.evaluation.text_looks import CODES, clear_languages, languages_of
from nlptl.runs.judging.left_out import LabelledRows, left_out
from nlptl.runs.refresh.given_rows import GivenRows
from nlptl.runs.refresh.known_rows import KnownRows
from nlptl.runs.refresh.quarantine import Quarantined, QuarantineReason

if TYPE_CHECKING:
    from nlptl.data import TextTable

MIN_SHARE_OF_WORDS = 0.8  # pairs of words that near-copies have in common, as in an audit
MAX_NEAR_COPIES = 2  # new rows that are near-copies of one another, above which one alone is used
MIN_CLEAR, MIN_SHARE_OF_LANGUAGE = 20, 0.01  # known rows whose language is clear, and of one that is expected
DOUBT = 0.7  # lead of the predicted label from which all judges together contradict a label
DOUBT_IN_A_FLOOD = 0.5  # the same for a label of which there is a flood
FLOOD_SHARE, FLOOD_GROWTH, MIN_FLOOD = (
    0.5,
    1.5,
    20,
)  # share of a label, to its known one, and its rows, that are a flood
MAX_KNOWN = 15_000  # known rows by which labels are judged, evenly spaced

Rows = NDArray[np.int64]


class Screening:
    """Screening of the rows that a refresh is given."""

    def __init__(self, known: KnownRows, given: GivenRows, *, trusted: bool = False) -> None:
        """A person has looked at the labels of `trusted` rows: they are not doubted."""
        self._known, self._given, self._trusted = known, given, trusted
        self._texts, self._labels = given.table.texts(), given.table.labels()
        self._found: dict[int, Quarantined] = {}

    def quarantined(self) -> dict[int, Quarantined]:
        """Return the rows that are kept from training; each has its first reason."""
        self._copies()
        self._languages()
        if not self._trusted:
            self._planted()
            self._doubtful()
        return self._found

    def _keep_out(self, row: int, reason: QuarantineReason, detail: str) -> None:
        self._found.setdefault(row, Quarantined(reason, detail))

    def _left(self) -> list[int]:
        return [row for row in range(len(self._texts)) if row not in self._found]

    def _copies(self) -> None:
        """Keep out copies of other rows, and rows that contradict one."""
        tables = [*self._known.kept, self._known.labelled]
        texts = [text for table in tables for text in table.texts()]
        labels = [label for table in tables for label in table.labels()]
        held_out = sum(map(len, self._known.kept))
        begin = len(texts)
        group = _groups([*texts, *self._texts])
        members: dict[int, list[int]] = {}
        for row, number in enumerate(group.tolist()):
            members.setdefault(number, []).append(row)
        for rows in members.values():
            old, new = [row for row in rows if row < begin], [row - begin for row in rows if row >= begin]
            if not new or len(rows) == 1:
                continue
            if any(row < held_out for row in old):
                for row in new:
                    self._keep_out(
                        row, "kept row", "It is the same as a row by which classifiers are judged, or nearly."
                    )
                continue
            of_group = {labels[row] for row in old} | {self._labels[row] for row in new}
            if len(of_group) > 1:
                self._contradiction(new, [(texts[row], labels[row]) for row in old])
            elif old:
                for row in new:
                    self._keep_out(row, "copy", "It is the same as a known row with this label, or nearly.")
            else:
                self._copies_among(new)

    def _contradiction(self, new: Sequence[int], old: Sequence[tuple[str, str]]) -> None:
        """Keep out new rows of one text, or of near-copies, that have several labels or another than a known row."""
        for row in new:
            others = {label for _, label in old} | {self._labels[other] for other in new}
            others -= {self._labels[row]}
            if not others:  # as all known ones, but a new row contradicts them
                self._keep_out(row, "copy", "It is the same as a known row with this label, or nearly.")
                continue
            other = next((self._places[one] for one in new if self._labels[one] in others), "a known row")
            known = any(label in others for _, label in old)
            where = "a known row" if known else other
            self._keep_out(
                row, "contradiction", f"The text of {where} is the same or nearly, with the label {min(others)}."
            )

    def _copies_among(self, new: Sequence[int]) -> None:
        """Keep out all but the first of equal texts, and of many that are nearly equal."""
        first: dict[str, int] = {}
        for row in new:
            if (one := first.setdefault(self._texts[row], row)) != row:
                self._keep_out(row, "copy", f"It is the same as {self._places[one]}.")
        different = list(first.values())
        if len(different) > MAX_NEAR_COPIES:
            for row in different[1:]:
                detail = (
                    f"It is one of {len(different)} texts that are nearly the same as {self._places[different[0]]}."
                )
                self._keep_out(row, "near-copies", detail)

    def _languages(self) -> None:
        """Keep out rows in a language that hardly a known row has."""
        known = _evenly(self._known.labelled, MAX_KNOWN // 5)[0]
        left = self._left()
        texts = [*known, *(self._texts[row] for row in left)]
        codes = clear_languages(languages_of(texts, after_texts=lambda _: None)).tolist()
        usual = Counter(code for code in codes[: len(known)] if code)
        if usual.total() < MIN_CLEAR:
            return
        expected = {code for code, count in usual.items() if count >= MIN_SHARE_OF_LANGUAGE * usual.total()}
        names = ", ".join(sorted(_language(code) for code in expected))
        for row, code in zip(left, codes[len(known) :], strict=True):
            if code and code not in expected:
                self._keep_out(row, "language", f"It is in {_language(code)}; the known rows are in {names}.")

    def _planted(self) -> None:
        """Keep out rows of a label with a phrase that seems to be planted."""
        left = self._left()
        texts, labels = [self._texts[row] for row in left], [self._labels[row] for row in left]
        doubts = self._doubts_of_version(texts, labels)
        for one in planted_phrases(texts, labels, doubts, self._known.labelled.texts()):
            for row in one.rows:
                detail = (
                    f"{len(one.rows)} new rows with the label {one.label} hold the words {one.phrase!r}, and the version in use, "
                    "which does not know them, takes these rows for others."
                )
                self._keep_out(left[row], "planted phrase", detail)

    def _doubts_of_version(self, texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
        """Return how much the version in use doubts labels (n,), none of which it has learnt; 0 for one that it does not know."""
        if not texts:
            return np.zeros(0)
        classifier = self._known.classifier
        probabilities = np.asarray(classifier.probabilities(list(texts)), dtype=np.float64)
        place = {label: number for number, label in enumerate(classifier.labels)}
        ids = np.array([place.get(label, -1) for label in labels])
        return np.where(ids >= 0, 1 - probabilities[np.arange(len(ids)), ids], 0.0)

    def _doubtful(self) -> None:
        """Keep out rows whose label all judges together contradict, none of which has learnt the row."""
        left = self._left()
        known_texts, known_labels = _evenly(self._known.labelled, MAX_KNOWN)
        texts = [*known_texts, *(self._texts[row] for row in left)]
        labels = [*known_labels, *(self._labels[row] for row in left)]
        names = sorted(set(labels))
        if len(names) < 2 or not left:
            return
        ids = np.array([names.index(label) for label in labels], dtype=np.int64)
        with self._known.context.progress.task("judging the new labels", total=len(texts), unit="texts") as task:
            vectors = self._known.encoder.encode(texts, after_batch=task.advance)
        found = left_out(
            LabelledRows(texts, ids, len(names)), vectors, encoded=np.arange(len(texts)), seed=self._known.context.seed
        )
        floods = _floods([self._labels[row] for row in left], self._known.labelled.labels())
        for one in suspects(found.probabilities, ids.tolist(), lead=DOUBT_IN_A_FLOOD):
            label = labels[one.row]
            if one.row < len(known_texts) or (one.lead < DOUBT and label not in floods):
                continue
            other = f"{names[one.predicted]} {one.other:.2f}"
            detail = f"Judges that have not learnt the row give {label} a probability of {one.own:.2f}, {other}."
            detail += f" There is a flood of rows with the label {label}." if label in floods else ""
            self._keep_out(left[one.row - len(known_texts)], "doubtful label", detail)

    @cached_property
    def _places(self) -> list[str]:
        return [_told(place) for place in self._given.places]


def _groups(texts: Sequence[str]) -> Rows:
    """Return the group of each text: copies and near-copies."""
    first: dict[str, int] = {}
    of = np.array([first.setdefault(text, len(first)) for text in texts], dtype=np.int64)
    pairs = near_copies(list(first)).above(MIN_SHARE_OF_WORDS).pairs
    return copy_groups(pairs, len(first))[of]


def _floods(labels: Sequence[str], known: Sequence[str]) -> set[str]:
    """Return the labels that most new rows have, and far fewer known ones."""
    new, old = Counter(labels), Counter(known)
    return {
        label
        for label, count in new.items()
        if count
        >= max(MIN_FLOOD, FLOOD_SHARE * len(labels), FLOOD_GROWTH * len(labels) * old[label] / max(1, len(known)))
    }


def _evenly(table: TextTable, count: int) -> tuple[list[str], list[str]]:
    """Return the texts and labels of at most `count` evenly spaced rows."""
    rows = np.arange(len(table)) if len(table) <= count else np.linspace(0, len(table) - 1, count).astype(np.int64)
    some = table.select(rows)
    return some.texts(), some.labels()


def _language(code: int) -> str:
    return NAMES.get(CODES[code], CODES[code])


def _told(place: RowPlace) -> str:
    return place.file if place.number is None else f"row {place.number} of {place.file}"
