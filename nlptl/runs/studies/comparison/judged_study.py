"""Studies whose arms are all judged on one test, or by the same repeated cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlptl.data import TextData, rows_not_in
from nlptl.errors import DataError
from nlptl.runs.chain import ExternalDigests
from nlptl.runs.judging.splits import JudgedSplit, Judging, judged_by_folds, judged_on_test
from nlptl.runs.studies.comparison.arms import Arm, Study, Trial

if TYPE_CHECKING:
    from nlptl.data import TextTable

HELD_OUT = "held-out texts"


def judging_of(data: TextData, *, seed: int) -> Judging:
    """Return how the arms of a study over `data` are judged: on its test, else by cross-validation."""
    if data.labelled is None:
        raise DataError("data.labelled is not set, but a comparison needs labelled rows. Set it.")
    return judged_by_folds(data.labelled, seed=seed) if data.test is None else judged_on_test(data, held_out=None)


def judged_study(arms: Sequence[Arm], judging: Judging, *, seed: int, seeds: int, order: Sequence[str] = ()) -> Study:
    """Return the trials of arms: each under `seeds` seeds on the test, or on each split of the cross-validation.

    `order` names the arms as they are trained, the quick ones first. Raises DataError where nothing can be held out.
    """
    if not judging.splits:
        raise DataError(f"{judging.table.name}: {judging.how} Label a second text of each label, or give data.test.")
    places = {name: place for place, name in enumerate(order)}
    ordered = sorted(arms, key=lambda arm: places.get(arm.name, len(places)))
    labels, digests = tuple(sorted(judging.table.label_counts())), ExternalDigests()
    parts = _Parts(judging)
    trials = []
    for repeat in range(seeds if judging.by == "test" else 1 + max(split.repeat for split in judging.splits)):
        for number, split in enumerate(judging.splits):
            if judging.by == "test" or split.repeat == repeat:
                trials += [
                    Trial.of(
                        arm, parts.learnt(arm, split), parts.tests(number, split), seed=seed + repeat, digests=digests,
                        labels=labels, repeat=repeat, split=number,
                    )
                    for arm in ordered
                ]  # fmt: skip
    return Study(tuple(arms), tuple(trials), seed, judging=judging)


class _Parts:
    """Tables of the splits, each made once."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._tests: dict[int, dict[str, TextTable]] = {}
        self._learnt: dict[tuple[int, int], TextData] = {}

    def tests(self, number: int, split: JudgedSplit) -> dict[str, TextTable]:
        """Return the judged rows of a split."""
        if number not in self._tests:
            table = self._judging.table
            whole = len(split.judged) == len(table)
            name = table.name if self._judging.by == "test" else f"{HELD_OUT}, split {number + 1}"
            self._tests[number] = {name: table if whole else table.select(split.judged)}
        return self._tests[number]

    def learnt(self, arm: Arm, split: JudgedSplit) -> TextData:
        """Return what an arm learns in a split: none of the judged texts, not even without their label."""
        key = (id(arm.data.data), id(split))
        if key not in self._learnt:
            self._learnt[key] = self._without_judged(arm.data.data, split)
        return self._learnt[key]

    def _without_judged(self, data: TextData, split: JudgedSplit) -> TextData:
        tables = {part: getattr(data, part) for part in ("unlabelled", "source", "labelled", "validation")}
        if self._judging.by == "cross-validation":
            judged = self._judging.table.select(split.judged)
            for part in ("unlabelled", "source", "validation"):
                tables[part] = tables[part] and rows_not_in(tables[part], judged)
            if tables["labelled"] is not None:
                tables["labelled"] = tables["labelled"].select(split.training)
        return TextData.of_tables(tables, data.label_names, separator=data.separator)
