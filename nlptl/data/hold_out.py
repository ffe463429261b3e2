"""Hold-out test of labelled rows: a share of each label's texts, by the digest of each text."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np

from nlptl.data.columns import names_shown
from nlptl.data.table import TextTable
from nlptl.errors import DataError


def hold_out(table: TextTable, share: float, *, where: str) -> tuple[TextTable, TextTable]:
    """Return the rows to learn from and the held-out ones: of each label that share of its distinct texts.

    Texts with the smallest digests are held out, with all their copies. A text therefore hardly ever changes sides when
    rows are added. A label keeps at least one text. Raises DataError if no text of a label, or none at all, can be held out.
    """
    rows_of = table.label_counts()
    # A row with several labels counts for the rarest of them, rows without any for one of their own.
    labels = [min(found, key=lambda one: (rows_of[one], one), default="") for found in table.label_sets()]
    texts = table.texts()
    label_of: dict[str, str] = {}  # of a text with several labels, the first
    for text, label in zip(texts, labels, strict=True):
        label_of.setdefault(text, label)
    counts = Counter(label_of.values())
    wanted = {label: min(round(share * count), count - 1) for label, count in counts.items()}
    held_out = set[str]()
    for text in sorted(label_of, key=_digest):
        if wanted[label_of[text]] > 0:
            wanted[label_of[text]] -= 1
            held_out.add(text)
    mask = np.fromiter((text in held_out for text in texts), np.bool_, len(texts))
    _check(table, labels, mask, share, where=where)
    return table.keep(~mask), table.keep(mask)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _check(table: TextTable, labels: list[str], mask: np.ndarray, share: float, *, where: str) -> None:
    if not mask.any():
        raise DataError(
            f"{where}: {share:.0%} of each label's texts in {table.name} are less than one text. Label more rows, raise "
            "`hold_out`, or remove it."
        )
    left = {label for label, is_held_out in zip(labels, mask.tolist(), strict=True) if not is_held_out}
    if lost := sorted(set(labels) - left):
        raise DataError(
            f"{where}: all texts of label {names_shown(lost)} in {table.name} would be held out, since they also have other "
            "labels. Keep the right label of each text, or remove `hold_out`."
        )
