"""What is odd about labels: near-identical ones, several in one cell, ids, and one text under different labels."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from nlptl.data.label_cells import split_cell
from nlptl.data.label_spelling import written_values
from nlptl.data.leaks import text_hashes
from nlptl.data.table import TextTable
from nlptl.faults import shown

FindingKind = Literal["alike", "same_value", "one_typo", "several", "id", "contradiction"]
PlacesOfRows = Callable[[Sequence[int]], Sequence[str]]
_Found: TypeAlias = "tuple[LabelFinding, Sequence[int]]"  # with its example rows

_MAX_TOLD = 5  # findings of one kind
_MAX_LABELS = 5_000  # labels that are compared with one another
_RARE_RATIO = 3  # rows of the frequent label to those of the rare one, from which a typo is likely
_MIN_TYPO_LETTERS = 4
_MAX_TYPO_LETTERS = 60
_MIN_ID_ROWS = 5  # rows that all have labels of their own, from which these look like ids
_NEARLY_ALL = 0.9  # share of different labels, from which a column of `_MIN_NEARLY_ROWS` rows looks like ids
_MIN_NEARLY_ROWS = 20
_OF_LISTS = ("|", ";", ",", "\n", "\t")
_SEPARATORS = (*_OF_LISTS, "/", "+", "&", " ")


@dataclass(frozen=True)
class LabelFinding:
    """One oddity of the labels of a part, with examples of its rows."""

    kind: FindingKind
    labels: tuple[str, ...]  # the labels that it is about; of "several", the joined one and then its parts
    rows: tuple[int, ...]  # rows of each label; of "id" and "contradiction", of all
    places: tuple[str, ...] = ()  # of example rows
    text: str | None = None  # of "contradiction", cut to 200 characters
    separator: str = ""  # of "several", between the parts; empty where other rows are split by another one

    def sentence(self) -> str:
        """Return the finding as sentences that end with what to do."""
        if self.kind in ("alike", "same_value", "one_typo"):
            how = {
                "alike": "differ only in case, blanks or Unicode form",
                "same_value": "seem to write the same number or truth value",
                "one_typo": "differ by one letter",
            }[self.kind]
            pair = " and ".join(
                f"{shown(label)} ({rows_told(rows)})" for label, rows in zip(self.labels, self.rows, strict=True)
            )
            return f"the labels {pair} {how}. Rename one if they mean the same."
        if self.kind == "several":
            at = f"({rows_told(self.rows[0])}, such as {self.places[0]})"
            joined = f"the label {shown(self.labels[0])} {at} joins {parts_told(self.labels[1:])}"
            return f"{joined}. {separator_remedy(self.separator)}"
        at_places = [f" ({at})" for at in self.places] or [""] * len(self.labels)
        examples = " and ".join(f"{shown(label)}{at}" for label, at in zip(self.labels, at_places, strict=True))
        if self.kind == "id":
            return (
                f"the column of labels has {self.rows[0]} different values in {rows_told(self.rows[1])}, such as {examples}. It "
                "looks like an id. Check which column holds the labels."
            )
        texts = "1 text has" if self.rows[0] == 1 else f"{self.rows[0]} texts have"
        return f"{texts} different labels, for example {shown(self.text)}: {examples}. Keep the right label."


def label_findings(table: TextTable, *, places: PlacesOfRows, names_labels: bool) -> Iterator[LabelFinding]:
    """Yield what is odd about the labels of a table. `places` returns where rows stand, given their numbers from 0.

    Labels are compared with one another only if the table `names_labels`, since other parts may have no further ones.
    """
    sets, counts = table.label_sets(), table.label_counts()
    found: list[_Found] = list(_several(table, sets, counts)) if names_labels else []
    if not found and names_labels and look_like_ids(len(counts), sum(counts.values())):
        first = tuple(counts)[:2]
        finding = LabelFinding("id", first, (len(counts), len(sets)))
        found.append((finding, [next(row for row, one in enumerate(sets) if label in one) for label in first]))
    elif names_labels:
        found = [*((finding, []) for finding in _alike(counts)), *found]
    found += _contradictions(table, [", ".join(labels) for labels in sets])
    at = iter(places([row for _, rows in found for row in rows]))
    for finding, rows in found:
        yield replace(finding, places=tuple(next(at) for _ in rows))


@dataclass(frozen=True)
class JoinedLabels:
    """Labels that stand in one label."""

    separator: str
    parts: tuple[str, ...]


def joined_labels(counts: Mapping[str, int]) -> dict[str, JoinedLabels]:
    """Return the labels that join some which also stand alone, or in other joined labels; none of very many labels."""
    if len(counts) > _MAX_LABELS:
        return {}
    alone = {_key(label): label for label in sorted(counts, key=counts.__getitem__)}
    listed = {
        separator: Counter(key for label in counts if len(parts := _parts(label, separator)) > 1 for key in parts)
        for separator in _OF_LISTS
    }
    found = {label: _joined(label, alone, listed) for label in counts}
    return {label: joined for label, joined in found.items() if joined is not None}


def are_split(table: TextTable) -> bool:
    """Return whether a row has more than one label."""
    return table.has_label_sets and any(len(labels) > 1 for labels in table.label_sets())


def parts_told(parts: Sequence[str]) -> str:
    """Return "'a' and 'b'"."""
    return " and ".join(map(shown, parts))


def separator_remedy(separator: str) -> str:
    """Return what to do about joined labels; no separator where other rows are split by another one."""
    if not separator:
        return "Separate them as in other rows, or keep one."
    return f"If a text may have several labels, set `labels: {{separator: {shown(separator)}}}` under `data:`; else keep one."


def look_like_ids(different: int, rows: int) -> bool:
    """Return whether a column with so many `different` values in its rows seems to hold ids."""
    if different == rows:
        return rows >= _MIN_ID_ROWS
    return rows >= _MIN_NEARLY_ROWS and different >= _NEARLY_ALL * rows


def _alike(counts: Mapping[str, int]) -> Iterator[LabelFinding]:
    """Yield pairs of labels that differ in case, blanks or Unicode form, or by one letter where one is rare."""
    labels = list(counts)[:_MAX_LABELS]
    by_key: dict[str, list[str]] = {}
    for label in labels:
        by_key.setdefault(_key(label), []).append(label)
    same = [(group[0], other) for group in by_key.values() for other in group[1:]]
    for pair in same[:_MAX_TOLD]:
        yield LabelFinding("alike", pair, (counts[pair[0]], counts[pair[1]]))
    yield from _same_values(labels, counts)
    yield from _typos({key: max(group, key=counts.__getitem__) for key, group in by_key.items()}, counts)


def _same_values(labels: Sequence[str], counts: Mapping[str, int]) -> Iterator[LabelFinding]:
    """Yield pairs of labels that write one number or truth value in different ways."""
    by_value: dict[str, dict[str, str]] = {}
    for label, value in written_values(labels).items():
        by_value.setdefault(value, {}).setdefault(_key(label), label)
    pairs = [
        (first, other) for group in by_value.values() for first, *others in [[*group.values()]] for other in others
    ]
    for pair in pairs[:_MAX_TOLD]:
        yield LabelFinding("same_value", pair, (counts[pair[0]], counts[pair[1]]))


def _typos(labels: Mapping[str, str], counts: Mapping[str, int]) -> Iterator[LabelFinding]:
    """Yield labels that differ by one letter, `labels` by their keys. Both have a spelling with a letter left out."""
    near: dict[str, list[str]] = {}
    for key in labels:
        if _MIN_TYPO_LETTERS <= len(key) <= _MAX_TYPO_LETTERS:
            for shorter in {key, *(key[:i] + key[i + 1 :] for i in range(len(key)))}:
                near.setdefault(shorter, []).append(key)
    found: dict[tuple[str, str], None] = {}
    for keys in near.values():
        for one in keys:
            for other in keys:
                is_rare = _RARE_RATIO * counts[labels[one]] <= counts[labels[other]]
                if one != other and is_rare and _is_one_typo(one, other):
                    found[labels[one], labels[other]] = None
    for pair in list(found)[:_MAX_TOLD]:
        yield LabelFinding("one_typo", pair, (counts[pair[0]], counts[pair[1]]))


def _is_one_typo(one: str, other: str) -> bool:
    """Return whether one letter was added, left out or replaced, or two neighbours were swapped; digits do not count."""
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    a, b = one[start:], other[start:]
    while a and b and a[-1] == b[-1]:
        a, b = a[:-1], b[:-1]
    if not all(character.isalpha() for character in a + b):
        return False
    swapped = len(a) == len(b) == 2 and a == b[::-1]
    replaced = len(a) == len(b) == 1 and min(len(one), len(other)) > _MIN_TYPO_LETTERS
    return swapped or replaced or len(a) + len(b) == 1


def _key(label: str) -> str:
    """Return what labels of one meaning share: compatible signs, case and blanks between letters do not count."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    return re.sub(r"(?<=[^\W\d_])[\s_\-]+(?=[^\W\d_])|\s+(?=\s)", "", folded)


def _several(table: TextTable, sets: Sequence[tuple[str, ...]], counts: Mapping[str, int]) -> Iterator[_Found]:
    """Yield labels that join labels which also stand alone, or in other joined labels."""
    split = are_split(table)
    for label, joined in itertools.islice(joined_labels(counts).items(), _MAX_TOLD):
        separator = "" if split else joined.separator
        finding = LabelFinding("several", (label, *joined.parts), (counts[label],), separator=separator)
        yield finding, [next(row for row, one in enumerate(sets) if label in one)]


def _joined(label: str, alone: Mapping[str, str], listed: Mapping[str, Counter[str]]) -> JoinedLabels | None:
    """Return the separator and the parts of a joined label; None for a plain one."""
    for separator in _SEPARATORS:
        parts = _parts(label, separator)
        others = listed.get(separator, Counter())
        known = [(key in alone and alone[key] != label) or others[key] > 1 for key in parts]
        # A bar or semicolon hardly stands in a name, so one known part is enough.
        enough = any(known) if separator in "|;" else all(known)
        if len(parts) > 1 and enough:
            return JoinedLabels(separator, tuple(alone.get(key, part) for key, part in parts.items()))
    return None


def _parts(label: str, separator: str) -> dict[str, str]:
    """Return the different parts of a label by their keys, without brackets and quotes."""
    return {_key(part): part for part in split_cell(label, separator)}


def _contradictions(table: TextTable, labels: Sequence[str]) -> Iterator[_Found]:
    """Yield the number of texts that have different labels, with the rows of one of them."""
    hashes, known = text_hashes(table), dict[str, int]()
    ids = np.fromiter((known.setdefault(label, len(known)) for label in labels), np.int64, len(labels))
    order = np.lexsort((ids, hashes))
    same_text = hashes[order][1:] == hashes[order][:-1]
    other_label = ids[order][1:] != ids[order][:-1]
    texts = np.unique(hashes[order][1:][same_text & other_label])
    if not len(texts):
        return
    rows = np.flatnonzero(np.isin(hashes, texts))
    same = [int(row) for row in rows if hashes[row] == hashes[rows[0]]]
    first = {labels[row]: row for row in reversed(same)}
    chosen = sorted(first.values())[:3]
    text = str(table.dataset[chosen[0]]["text"])[:200]
    yield LabelFinding("contradiction", tuple(labels[row] for row in chosen), (len(texts),), text=text), chosen


def rows_told(count: int) -> str:
    """Return "1 row" or "2 rows"."""
    return "1 row" if count == 1 else f"{count} rows"
