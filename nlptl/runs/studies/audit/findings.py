"""Findings of an audit: what its rows are called, how many there are, and what to do about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nlptl.data.languages import NAMES
from nlptl.data.row_checks import RowPlace
from nlptl.evaluation.text_looks import CODES, clear_languages, usual_language
from nlptl.runs.studies.audit.audited_texts import AuditedTexts
from nlptl.runs.studies.audit.finding_rows import FoundRow, FoundRows
from nlptl.runs.studies.audit.outcome import (
    AuditExample,
    AuditFinding,
    AuditLengths,
    AuditThresholds,
    ConfusedLabels,
    FindingKind,
)
from nlptl.runs.studies.audit.scores import Scores
from nlptl.runs.studies.audit.tables import MAX_EXAMPLES, ROW_COLUMNS, FindingTable, write_labels

NAMED: dict[FindingKind, tuple[str, str]] = {
    "wrong_labels": ("labels that held-out predictions contradict", "Read them, the first ones first, and correct the label."),
    "contradictions": ("copies under several labels", "Keep the right label of each text."),
    "near_contradictions": ("near-copies under several labels", "Read each group and give it one label."),
    "leaks": ("texts of a test that stand in other parts too", "Remove them there; `nlptl run` leaves them out of what it learns."),
    "near_leaks": ("near-copies of a text of a test in other parts", "Remove them, or the score of the test is too high."),
    "copies": ("copies of a text", "Keep one of each, unless how often a text comes matters."),
    "near_copies": ("near-copies of a text", "Keep one of each group, or label them alike."),
    "paraphrases": ("texts that say the same in other words", "Keep both; do not divide them between training and test."),
    "outliers": ("texts that are like no other", "Remove what does not belong here; label more like the others."),
    "confused_labels": ("pairs of labels that are confused", "Say more clearly what tells them apart, or join them."),
    "rare_labels": ("labels with few rows", "Label more rows of them, or join them with others."),
    "no_text": ("rows without a text", "Fill in the text, or remove the row."),
    "wordless": ("texts without a word", "Remove them."),
    "languages": ("texts in another language", "Remove them, or take an encoder that knows their language."),
    "cut": ("texts that the encoder cuts off", "Raise `max_length` of the stage bert, or read them by sentence."),
    "fragments": ("texts whose words the encoder does not know", "Take an encoder of this language, or clean them."),
    "regions": ("regions of the pile without a label", "Label the central text of each."),
    "next_labels": ("rows to label next", "Label them, the first ones first."),
}  # fmt: skip

LABELS = "labels.csv"  # how many rows each label has

Pending = tuple[AuditFinding, FindingTable | None]  # before the places of its rows are known


class Findings:
    """Findings of one audit under its thresholds; `all` writes their tables."""

    def __init__(
        self, texts: AuditedTexts, scores: Scores, thresholds: AuditThresholds, folder: Path, *, seed: int
    ) -> None:
        self._texts, self._scores, self._folder, self._seed = texts, scores, folder, seed
        self._found = FoundRows(texts, scores, thresholds)

    def all(self) -> tuple[AuditFinding, ...]:
        """Return the findings of what was looked for, and write a table of each."""
        pending = [*self._of_labels(), *self._of_copies(), *self._of_looks(), *self._of_the_pile()]
        rows = {one.row for _, table in pending if table is not None for _, one in table.rows()}
        places = self._texts.places(sorted(rows))  # all at once: the files are read again
        return tuple(self._written(finding, table, places) for finding, table in pending)

    def confused(self) -> tuple[ConfusedLabels, ...]:
        """Return the pairs of labels that are confused."""
        return tuple(self._found.confused())

    def lengths(self) -> AuditLengths:
        """Return how long the texts are."""
        found = np.quantile(self._scores.lengths["characters"], [0.5, 0.9, 1.0], method="lower")
        return AuditLengths(median=int(found[0]), nine_tenths=int(found[1]), longest=int(found[2]))

    def languages(self) -> dict[str, int]:
        """Return how many of the texts that were looked at are in each language, the most common first."""
        codes, counts = np.unique(clear_languages(self._scores.languages), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        names = {place: NAMES.get(CODES[place], CODES[place]) for place in codes.tolist()}
        return {names[int(codes[place])]: int(counts[place]) for place in order.tolist()}

    def _written(
        self, finding: AuditFinding, table: FindingTable | None, places: Mapping[int, RowPlace]
    ) -> AuditFinding:
        if table is None:
            return finding
        return finding.model_copy(update={"examples": table.write(self._folder, self._texts, places)})

    def _of_labels(self) -> list[Pending]:
        names, labelled = self._texts.names, int((self._texts.labels >= 0).sum())
        if not names:
            return []
        held_out = int((~np.isnan(self._scores.probabilities).any(axis=1)).sum()) if len(names) > 1 else 0
        found = list[Pending]()
        if held_out:
            columns = ("probability", "predicted", "probability of it")
            found.append(self._rows("wrong_labels", columns, self._found.wrong_labels(), held_out))
        found.append(self._groups("contradictions", self._found.contradictions(), labelled))
        found.append(self._groups("near_contradictions", self._found.near_contradictions(), labelled))
        if held_out:
            found.append(self._pairs_of_labels())
        found.append(self._rare_labels())
        return found

    def _of_copies(self) -> list[Pending]:
        every, distinct = len(self._texts), len(np.unique(self._texts.first_of))
        found = list[Pending]()
        if self._texts.is_held_out.any() and not self._texts.is_held_out.all():
            others = int((~self._texts.is_held_out).sum())
            found.append(self._groups("leaks", self._found.leaks(), others, but_first=True))
            found.append(self._groups("near_leaks", self._found.near_leaks(), others, but_first=True))
        found.append(self._groups("copies", self._found.copies(), every, but_first=True))
        found.append(self._groups("near_copies", self._found.near_copies(), distinct, but_first=True))
        if self._scores.vectors is not None:
            found.append(self._paraphrases())
        return found

    def _of_looks(self) -> list[Pending]:
        looked_at = len(self._scores.looked_at)
        found = [
            *self._without_text(),
            self._rows("wordless", (), self._found.wordless(), len(self._texts)),
            self._languages(looked_at),
        ]
        if self._scores.pieces is not None:
            found.append(self._rows("cut", ("characters",), self._found.cut(), looked_at))
            columns = ("pieces a word", "unknown share")
            found.append(self._rows("fragments", columns, self._found.fragments(), looked_at))
        known = int((~np.isnan(self._scores.alone)).sum())
        if known:
            columns = ("cosine to the nearest texts", "to those of its label")
            found.append(self._rows("outliers", columns, self._found.outliers(), known))
        return found

    def _without_text(self) -> list[Pending]:
        """Write the table of rows without a text; none where such rows cannot be there."""
        empty = self._texts.without_text
        if empty is None:
            return []
        rows = [
            (one.part, one.place.file, "" if one.place.number is None else one.place.number, one.label)
            for one in empty.first
        ]
        write_labels(self._folder / _file("no_text"), ROW_COLUMNS, rows)
        first = [
            AuditExample(file=one.place.file, row=one.place.number, text="", label=one.label)
            for one in empty.first[:MAX_EXAMPLES]
        ]
        found = _finding("no_text", empty.count, len(self._texts) + empty.count)
        return [(found.model_copy(update={"examples": tuple(first)}), None)]

    def _of_the_pile(self) -> list[Pending]:
        pile = self._texts.labels[self._scores.encoded] < 0
        if self._scores.vectors is None or not pile.any() or pile.all():
            return []
        rows = [one for one, _ in self._found.regions()]
        proposed = self._found.next_labels(seed=self._seed)
        return [
            self._rows("regions", ("texts",), rows, self._scores.region_count, unit="regions"),
            self._rows("next_labels", ("why",), proposed, int(pile.sum())),
        ]

    def _rows(
        self, kind: FindingKind, columns: tuple[str, ...], rows: Sequence[FoundRow], looked_at: int, *, unit: str = "rows"
    ) -> Pending:  # fmt: skip
        table = FindingTable(_file(kind), columns, [[one] for one in rows])
        return _finding(kind, len(rows), looked_at, unit=unit), table

    def _groups(
        self, kind: FindingKind, groups: Sequence[Sequence[FoundRow]], looked_at: int, *, but_first: bool = False
    ) -> Pending:
        """Return a finding of groups, which counts their rows; `but_first` all but the first row of each."""
        table = FindingTable(_file(kind), (), groups, is_grouped=True)
        return _finding(kind, sum(len(group) - but_first for group in groups), looked_at), table

    def _paraphrases(self) -> Pending:
        """Return the texts that stand in a pair, each once; a pair is a group of the table."""
        pairs = self._found.paraphrases()
        texts = {one.row for pair in pairs for one in pair}
        table = FindingTable(_file("paraphrases"), (), pairs, is_grouped=True)
        return _finding("paraphrases", len(texts), len(self._scores.encoded)), table

    def _languages(self, looked_at: int) -> Pending:
        usual = usual_language(self._scores.languages)
        found, table = self._rows("languages", ("language",), self._found.in_other_languages(), looked_at)
        name = NAMES.get(CODES[usual], "the usual one")
        return found.model_copy(update={"name": f"texts in another language than {name}"} if usual else {}), table

    def _pairs_of_labels(self) -> Pending:
        pairs, names = self.confused(), len(self._texts.names)
        rows = [
            (one.label, one.other, one.rows, one.looked_at, one.share.value, one.share.low, one.share.high)
            for one in pairs
        ]
        header = ("label", "other label", "confused rows", "rows of both", "share", "low", "high")
        write_labels(self._folder / _file("confused_labels"), header, rows)
        first = [(one.label, f"with {one.other}: {one.share.told('.0f', 100)} %") for one in pairs]
        found = _finding("confused_labels", len(pairs), names * (names - 1) // 2, unit="pairs")
        return found.model_copy(update={"examples": _of_label(first)}), None

    def _rare_labels(self) -> Pending:
        labels = self._texts.labels
        counts = np.bincount(labels[labels >= 0], minlength=len(self._texts.names))
        every = sorted(zip(counts.tolist(), self._texts.names, strict=True))
        write_labels(self._folder / LABELS, ("label", "rows"), [(name, count) for count, name in every])
        rare = self._found.rare_labels()
        first = [(name, f"{count} row{'s' * (count != 1)}") for name, count in rare]
        found = _finding("rare_labels", len(rare), len(self._texts.names), unit="labels")
        return found.model_copy(update={"examples": _of_label(first), "table": LABELS}), None


def _finding(kind: FindingKind, rows: int, looked_at: int, *, unit: str = "rows") -> AuditFinding:
    name, remedy = NAMED[kind]
    table = _file(kind) if rows else ""
    return AuditFinding(kind=kind, name=name, rows=rows, looked_at=looked_at, unit=unit, remedy=remedy, table=table)


def _of_label(pairs: Sequence[tuple[str, str]]) -> tuple[AuditExample, ...]:
    return tuple(
        AuditExample(file="", row=None, text="", label=label, detail=told) for label, told in pairs[:MAX_EXAMPLES]
    )


def _file(kind: FindingKind) -> str:
    return {"next_labels": "label-next"}.get(kind, kind.replace("_", "-")) + ".csv"
