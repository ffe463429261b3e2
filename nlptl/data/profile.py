"""Profile of the data: what can be said of them before anything is trained."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from nlptl.data.columns import names_shown
from nlptl.data.data_settings import DataSettings
from nlptl.data.label_findings import rows_told
from nlptl.data.languages import Language, guess_language
from nlptl.data.samples import sample
from nlptl.data.table import TextTable
from nlptl.data.text_data import TextData
from nlptl.faults import shown

_MAX_SAMPLED = 5_000  # texts of each part that tell lengths
_MAX_FOR_LANGUAGE = 1_000
_MAX_LABELS = 5  # that a sentence names
_RARE = 8  # rows of a label below which it is told as rare


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Lengths of texts in characters."""

    median: int
    most: int  # of nine texts in ten
    longest: int

    @classmethod
    def of(cls, lengths: list[int]) -> Lengths:
        """Return the quantiles of lengths."""
        return cls(*(int(value) for value in np.quantile(lengths, [0.5, 0.9, 1.0], method="lower")))


@dataclasses.dataclass(frozen=True)
class Profile:
    """What a person should know of texts and labels before training."""

    rows: int  # with a label, those of the test among them
    unlabelled: int  # rows without a label
    labels: Mapping[str, int]  # rows of each, the most frequent first
    copies: int  # labelled rows that repeat an earlier one with the same label
    contradictions: int  # texts that stand in several rows with other labels
    contradiction: tuple[str, tuple[str, ...]] | None  # one of them, cut, and the labels of its rows
    most_frequent: str  # label, or labels of a row; empty where nothing is labelled
    guessing: float  # accuracy of always predicting those
    multi_label: bool  # whether a row may have several labels
    characters: Lengths
    language: Language | None

    @classmethod
    def of(cls, data: TextData, settings: DataSettings | None = None) -> Profile:
        """Return the profile of labelled texts and the pile; the test counts where it was held out of the labelled texts."""
        held_out = data.test if settings is not None and settings.hold_out is not None else None
        labelled = [table for table in (data.labelled, held_out) if table is not None]
        pile = [] if data.unlabelled is None else [data.unlabelled]
        sampled = [text for table in (*labelled, *pile) for text in sample(table, _MAX_SAMPLED)]
        counts, labels_of = _labels(labelled)
        several = {text: found for text, found in labels_of.items() if len(found) > 1}
        rows = sum(map(len, labelled))
        as_told = Counter(label for table in labelled for label in map(_told, table.label_sets()))
        most_frequent = max(sorted(as_told), key=as_told.__getitem__, default="")
        return cls(
            rows=rows,
            unlabelled=sum(map(len, pile)),
            labels=dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))),
            copies=rows - sum(map(len, labels_of.values())),
            contradictions=len(several),
            contradiction=next(((text[:200], tuple(map(_told, found))) for text, found in several.items()), None),
            most_frequent=most_frequent,
            guessing=as_told[most_frequent] / max(1, rows),
            multi_label=any(table.has_label_sets for table in labelled),
            characters=Lengths.of([*map(len, sampled)] or [0]),
            language=guess_language(sampled[:: max(1, len(sampled) // _MAX_FOR_LANGUAGE)]),
        )

    @property
    def unlabelled_share(self) -> float:
        """Share of all rows that have no label."""
        return self.unlabelled / max(1, self.unlabelled + self.rows)

    def sentences(self) -> list[str]:
        """Return what a person should know, a sentence or two each."""
        told = [*self._of_labels()]
        if self.unlabelled:
            share = f"{self.unlabelled_share:.0%}" if self.unlabelled_share < 0.995 else "nearly all"
            told.append(
                f"{self.unlabelled:,} of {self.unlabelled + self.rows:,} rows ({share}) have no label; only their texts are used."
            )
        lengths = self.characters
        told.append(
            f"Texts: {'language not recognised' if self.language is None else self.language.name}, {lengths.median:,} characters "
            f"in the median, at most {lengths.most:,} in 9 of 10, {lengths.longest:,} in the longest."
        )
        return [*told, *self._of_copies()]

    def _of_labels(self) -> list[str]:
        if not self.labels:
            return []
        named = ", ".join(f"{shown(label)} {count:,}" for label, count in [*self.labels.items()][:_MAX_LABELS])
        more = f" and {len(self.labels) - _MAX_LABELS} more" if len(self.labels) > _MAX_LABELS else ""
        told = [
            f"{self.rows:,} rows have {'some' if self.multi_label else 'one'} of {len(self.labels)} labels: {named}{more}.",
            f"Always guessing {shown(self.most_frequent)} would be right in {self.guessing:.0%} of them.",
        ]
        rare = [label for label, count in self.labels.items() if count < _RARE]
        if rare:
            verb, their = ("have", "them") if len(rare) > 1 else ("has", "it")
            told.append(
                f"{names_shown(rare, 4)} {verb} fewer than {_RARE} rows; hardly anything can be said of {their}."
            )
        return told

    def _of_copies(self) -> list[str]:
        told = []
        if self.copies:
            told.append(
                f"{rows_told(self.copies)} {'repeats' if self.copies == 1 else 'repeat'} a labelled row exactly."
            )
        if self.contradiction is not None:
            text, labels = self.contradiction
            count = f"{self.contradictions:,} texts stand" if self.contradictions > 1 else "1 text stands"
            told.append(
                f"{count} under several labels, such as {shown(text)}: {names_shown(labels)}. Keep the right one."
            )
        return told


def _labels(tables: list[TextTable]) -> tuple[Counter[str], dict[str, dict[tuple[str, ...], None]]]:
    """Return the number of rows of each label, and the labels of each text's rows."""
    counts: Counter[str] = Counter()
    labels_of: dict[str, dict[tuple[str, ...], None]] = {}
    for table in tables:
        counts.update(table.label_counts())
        for text, labels in zip(table.texts(), table.label_sets(), strict=True):
            labels_of.setdefault(text, {})[labels] = None
    return counts, labels_of


def _told(labels: tuple[str, ...]) -> str:
    return ", ".join(labels) or "no label"
