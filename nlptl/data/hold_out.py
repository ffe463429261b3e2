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
    rows are added. A text with several labels counts for the rarest of them, and each label keeps at least one text. Raises
    DataError if no text can be held out, or if no text of a label would be left.
    """
    texts, labels = table.texts(), table.label_sets()
    rows = table.label_counts()
    counted_as: dict[str, str] = {}  # label for which a text counts; empty where none applies
    for text, found in zip(texts, labels, strict=True):
        counted_as.setdefault(text, min(found, key=lambda label: (rows[label], label), default=""))
    counts = Counter(counted_as.values())
    wanted = {label: min(round(share * count), count - 1) for label, count in counts.items()}
    held_out = set[str]()
    for text in sorted(counted_as, key=_digest):
        if wanted[counted_as[text]] > 0:
            wanted[counted_as[text]] -= 1
            held_out.add(text)
    _check(table, held_out, share, where=where)
    mask = np.fromiter((text in held_out for text in texts), np.bool_, len(texts))
    return table.keep(~mask), table.keep(mask)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _check(table: TextTable, held_out: set[str], share: float, *, where: str) -> None:
    if not held_out:
        raise DataError(
            f"{where}: {share:.0%} of each label's texts in {table.name} are less than one text. Label more rows, raise "
            "`hold_out`, or remove it."
        )
    pairs = zip(table.texts(), table.label_sets(), strict=True)
    left = {label for text, labels in pairs if text not in held_out for label in labels}
    if lost := sorted(table.label_counts().keys() - left):
        raise DataError(
            f"{where}: all texts of label {names_shown(lost)} in {table.name} would be held out, since they also have other "
            "labels. Keep the right label of each text, or remove `hold_out`."
        )
