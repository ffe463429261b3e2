"""The files of the start benchmark: what a user has, a CSV in which some rows have a label, and the real test."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fewshot_sets import SETS, Set, not_in, shots_of
from texts import Rows, read_rows, sample

PILE = 3_000  # rows without a label at most
ALL = "all"
DRAWN_FROM = {
    **{name: SETS[name] for name in ("emotion", "hahackathon", "cr", "banking77")},
    "chabsa_ja": Set("chabsa_ja"),
}
LANGUAGES = {"chabsa_ja": "ja"}
UNLABELLED = ("hahackathon", "chabsa_ja")  # sets with a file of their own for the pile


@dataclass(frozen=True)
class Given:
    """What the user has, and what nobody has seen."""

    labelled: Rows
    pile: Rows
    test: Rows


def given(folder: Path, name: str, *, size: str, seed: int) -> Given:
    """Draw `size` rows a label of a set, or all, and a pile of further rows. Texts of the test are in neither."""
    what = DRAWN_FROM[name]
    test = read_rows(folder, what.folder, "test")
    train = not_in(read_rows(folder, what.folder, "train"), test)
    labelled = train if size == ALL else shots_of(train, int(size), seed)
    own = not_in(read_rows(folder, what.folder, "unlabelled"), test) if name in UNLABELLED else Rows(name, [])
    others = not_in(Rows(name, train.texts() + own.texts()), labelled)
    return Given(labelled, sample(others, PILE, seed=seed), test)


def write_csv(rows: Given, path: Path, *, seed: int) -> None:
    """Write text and label of each row, an empty label where it has none, in random order."""
    lines = [
        *zip(rows.labelled.texts(), rows.labelled.labels(), strict=True),
        *((text, "") for text in rows.pile.texts()),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows(lines[row] for row in np.random.default_rng(seed).permutation(len(lines)))
