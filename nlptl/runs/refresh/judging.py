"""How a refresh is judged: on rows that were kept from training, and on new rows that were held out.

From 100 new texts on, a part of them joins the test and is never learnt. Of fewer, each is judged by a training without it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.near_copies import copy_groups, near_copies
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.scored import variance_factor
from nlptl.runs.judging.splits import FOLDS, MIN_LABELLED, JudgedSplit, Judging, dealt, share_of_texts
from nlptl.runs.refresh.paired_texts import PairedTexts, Part

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.runs.chain import Chain
    from nlptl.runs.refresh.known_rows import KnownRows
    from nlptl.runs.refresh.version_files import Row

FITS = "judged.jsonl"  # what each training without some of the new rows predicts for them
TENTHS = 10
MIN_MISTAKES, MAX_RIGHT = (
    3,
    0.05,
)  # new rows, and share of them that the version gets right, below which they are its mistakes

Rows = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class NewRows:
    """New rows that passed the screening, and those of them that join the test."""

    rows: tuple[Row, ...]
    held_out: Rows  # row numbers; none where folds judge them

    @classmethod
    def of(cls, rows: Sequence[Row], *, seed: int, mistakes: bool) -> NewRows:
        """Hold out a part of the rows, near-copies together, evenly by label; none where there are few, or all are mistakes."""
        groups = _groups(rows)
        count = len(np.unique(groups))
        if count < MIN_LABELLED or mistakes:
            return cls(tuple(rows), np.zeros(0, np.int64))
        tenths = max(1, round(TENTHS * share_of_texts(count)))
        fold = _folds(rows, groups, parts=TENTHS, seed=seed)
        return cls(tuple(rows), np.flatnonzero(fold < tenths))

    @property
    def learnt(self) -> list[Row]:
        """Rows to learn from."""
        held_out = set(self.held_out.tolist())
        return [row for number, row in enumerate(self.rows) if number not in held_out]

    @property
    def tested(self) -> list[Row]:
        """Rows that join the test."""
        return [self.rows[number] for number in self.held_out.tolist()]

    @property
    def share_judged(self) -> float:
        """How many judged texts come with one new label."""
        return len(self.held_out) / len(self.rows) if len(self.held_out) else 1.0


def are_mistakes(known: KnownRows, rows: Sequence[Row]) -> bool:
    """Return whether new rows seem to be chosen since the version in use gets them wrong, as corrections are.

    Whatever has learnt anything else is better on such rows, so that they cannot show which version is.
    """
    hits = _hits(known.classifier, [text for text, _ in rows], [label for _, label in rows])
    return len(hits) >= MIN_MISTAKES and sum(hits) < MAX_RIGHT * len(hits)


def judged_kept(known: KnownRows, new: TextClassifier) -> PairedTexts | None:
    """Return both classifiers on the run's own test; None where it has none."""
    test = known.data.test
    return None if test is None else _both(known, new, list(zip(test.texts(), test.labels(), strict=True)), part="kept")


def judged_held_out(known: KnownRows, new: TextClassifier, rows: NewRows) -> PairedTexts | None:
    """Return both classifiers on the new rows that joined the test; None where there are none."""
    return _both(known, new, rows.tested, part="new") if len(rows.held_out) else None


def can_be_folded(chain: Chain) -> bool:
    """Return whether trainings without some rows are possible: no stage but the last learns labels."""
    *others, last = chain.stages
    return last.stage == "finetune" and all(
        one.gives == "encoder" or one.stage == "classification_head" for one in others
    )


def judged_by_folds(
    known: KnownRows, chain: Chain, data: TextData, rows: NewRows, folder: Path, context: RunContext
) -> PairedTexts | None:
    """Return the classifier in use, and trainings that leave out a fold of the new rows each, on these rows.

    `data` are those of the new version, whose last labelled rows are the new ones. None where one text is all that is new.
    """
    assert data.labelled is not None
    groups = _groups(rows.rows)
    parts = min(FOLDS, len(np.unique(groups)))
    if parts < 2 or not can_be_folded(chain):
        return None
    fold = _folds(rows.rows, groups, parts=parts, seed=chain.seed)
    begin = len(data.labelled) - len(rows.rows)
    table = data.labelled.select(np.arange(begin, len(data.labelled)))
    every = np.arange(len(data.labelled))
    splits = [np.flatnonzero(fold == part) for part in range(parts)]
    judging = Judging(
        "cross-validation", "", table, duplicate_groups(table.texts(), [0] * len(table)),
        tuple(JudgedSplit(0, np.setdiff1d(every, begin + judged), judged) for judged in splits if len(judged)),
    )  # fmt: skip
    fits = Fits(data, judging, folder / FITS, dataclasses.replace(context, seed=chain.seed))
    judged = JudgedChain("refresh", "trainings that leave out new labels", tuple(chain.stages))
    predicted: dict[int, str] = {}
    with context.progress.task(judged.name, total=len(judging.splits), unit="fits") as task:
        for number, split in enumerate(judging.splits):
            found = fits.fit(judged, number).predictions().argmax(axis=1)
            predicted |= {
                row: fits.labels[place] for row, place in zip(split.judged.tolist(), found.tolist(), strict=True)
            }
            task.advance(1)
    fits.rows.keep_used()
    texts, labels = [text for text, _ in rows.rows], [label for _, label in rows.rows]
    before = _hits(known.classifier, texts, labels)
    after = [predicted[row] == label for row, label in enumerate(labels)]
    unknown = known.not_learnt(texts)
    return _of("new", texts, before, after, unknown, variance=variance_factor(judging, 1.0))


def _both(known: KnownRows, new: TextClassifier, rows: Sequence[Row], *, part: Part) -> PairedTexts:
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    before, after = _hits(known.classifier, texts, labels), _hits(new, texts, labels)
    return _of(part, texts, before, after, known.not_learnt(texts))


def _of(
    part: Part, texts: Sequence[str], before: Sequence[bool], after: Sequence[bool], unknown: NDArray[np.bool_], *,
    variance: float = 1.0,
) -> PairedTexts:  # fmt: skip
    """Return the hits on the texts that the version in use has not learnt."""
    some: list[int] = np.flatnonzero(unknown).tolist()
    return PairedTexts.of(
        part,
        [texts[row] for row in some],
        [before[row] for row in some],
        [after[row] for row in some],
        variance=variance,
    )


def _hits(classifier: TextClassifier, texts: Sequence[str], labels: Sequence[str]) -> list[bool]:
    """Return which texts get their label."""
    names = classifier.labels
    best = np.asarray(classifier.probabilities(list(texts))).argmax(axis=1).tolist() if texts else []
    return [names[place] == label for place, label in zip(best, labels, strict=True)]


def _groups(rows: Sequence[Row]) -> Rows:
    """Return the group of each row: near-copies."""
    texts = [text for text, _ in rows]
    return copy_groups(near_copies(texts).pairs, len(texts))


def _folds(rows: Sequence[Row], groups: Rows, *, parts: int, seed: int) -> Rows:
    """Return the fold of each row, groups whole and labels even."""
    first = np.unique(groups)
    fold = dealt([rows[row][1] for row in first.tolist()], parts=parts, seed=seed)
    return np.asarray(fold[np.searchsorted(first, groups)], dtype=np.int64)
