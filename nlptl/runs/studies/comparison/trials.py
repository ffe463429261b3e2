"""Trials of a study, repeat by repeat: those that a file has rows of are kept, and each row is written as it comes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.context import RunContext
from nlptl.disk.drafts import append_lines, write_text_atomically
from nlptl.progress import clock
from nlptl.results import read_result_lines, result_lines
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.arms import Trial
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.shared_work import SharedWork
from nlptl.runs.studies.comparison.trial_work import LocalTrainer, Trainer, TrialCall, TrialOutcome

if TYPE_CHECKING:
    from nlptl.progress import Task

BATCH_GAIN = 2.0  # by which an encoder reads a text faster among others than alone


@dataclasses.dataclass(frozen=True)
class TrialRows:
    """Rows of all trials that were made or kept."""

    rows: list[ComparisonRow]
    left_out: Mapping[str, str]  # arms that failed or were too dear, and why
    repeats: int  # that all other arms have
    unfinished: str = ""  # why there are no more repeats


class TrialTime:
    """Time that trials may take. An arm that fails or does not fit is left out, and the others go on."""

    def __init__(self, minutes: float, *, texts_read: Mapping[str, float]) -> None:
        """`texts_read` tell for arms about how many texts their encoder reads in one training; 0 where that is quick."""
        self._end = time.monotonic() + 60 * minutes
        self._texts_read = texts_read
        self.told = f"{minutes:g} minute{'s' * (minutes != 1)}"
        self._trials: dict[str, list[float]] = {}  # seconds of each trial of an arm
        self._paces: list[float] = []  # seconds that an encoder takes for a text, each too long rather than too short

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self._end - time.monotonic()

    def note(self, arm: str, cost: ArmCost) -> None:
        """Remember what a trial took."""
        self._trials.setdefault(arm, []).append(cost.seconds)
        if texts := self._texts_read.get(arm):
            self._paces.append(cost.seconds / texts)
            self._paces += [] if cost.latency is None else [cost.latency / 1000 / BATCH_GAIN]

    def knows(self, arm: str) -> bool:
        """Return whether an arm was trained."""
        return arm in self._trials

    def expected(self, arm: str) -> float:
        """Return about how many seconds a trial takes: as before, or by the pace of encoders that were trained; 0 if unknown."""
        if arm in self._trials:
            return sum(self._trials[arm]) / len(self._trials[arm])
        return self._texts_read.get(arm, 0.0) * min(self._paces, default=0.0)


def kept_sentence(trials: int) -> str:
    """Say that no trial of a comparison runs again."""
    return f"comparison: kept, nothing that its {trials} trials depend on has changed."


def run_trials(
    trials: Sequence[Trial], path: Path, context: RunContext, *, limit: TrialTime | None = None,
    trainer: Trainer | None = None,
) -> TrialRows:  # fmt: skip
    """Return one row for each trial and test, running the trials that the file `path` lacks.

    Without a `limit` all trials run, and an error of one is raised. They run in this process, or by `trainer`; the rows are the
    same, so that either goes on where the other has stopped.
    """
    rows = _kept_rows(trials, path, context, is_study=limit is not None)
    done = {row.key for row in rows}
    missing = {
        place: [test for test in trial.tests if (trial.identity, trial.seed, test) not in done]
        for place, trial in enumerate(trials)
    }
    if not any(missing.values()):
        context.progress.say(kept_sentence(len(trials)))
    runner = _Runner(trials, missing, path, context, limit, trainer)
    for row in rows:
        runner.note(row)
    found = runner.run()
    return dataclasses.replace(found, rows=[*rows, *found.rows])


class _Runner:
    """One pass over the trials."""

    def __init__(
        self, trials: Sequence[Trial], missing: Mapping[int, list[str]], path: Path, context: RunContext,
        limit: TrialTime | None, trainer: Trainer | None,
    ) -> None:  # fmt: skip
        self._trials, self._missing, self._path, self._context, self._limit = trials, missing, path, context, limit
        self._shared = SharedWork([trial for place, trial in enumerate(trials) if missing[place]])
        self._trainer = trainer or LocalTrainer(self._shared, context.device)
        self._rows: list[ComparisonRow] = []
        self._left_out: dict[str, str] = {}
        self._measured: set[str] = set()

    def note(self, row: ComparisonRow) -> None:
        """Take the cost of a kept row for known."""
        if self._limit is not None and row.cost is not None:
            self._limit.note(row.arm, row.cost)
            if row.cost.latency is not None:
                self._measured.add(row.arm)

    def run(self) -> TrialRows:
        repeats = sorted({trial.repeat for trial in self._trials})
        task_name = f"comparing {len({trial.arm.name for trial in self._trials})} arms"
        with self._context.progress.task(task_name, total=len(repeats), unit="seeds") as task:
            for number, repeat in enumerate(repeats):
                places = [place for place, trial in enumerate(self._trials) if trial.repeat == repeat]
                if number and (why := self._time_is_up(places)):
                    return TrialRows(self._rows, self._left_out, number, why)
                calls = self._told(self._calls(places, is_first=number == 0), task)
                for call, outcome in self._trainer.trained(calls):
                    self._take(call, outcome)
                task.advance(1)
        return TrialRows(self._rows, self._left_out, len(repeats))

    @staticmethod
    def _told(calls: Iterator[TrialCall], task: Task) -> Iterator[TrialCall]:
        for call in calls:
            task.advance(0, f"seed {call.trial.seed}: {call.trial.arm.name}")
            yield call

    def _time_is_up(self, places: Sequence[int]) -> str:
        """Return why the next repeat is not begun; empty where it fits."""
        if self._limit is None:
            return ""
        alive = [place for place in places if self._trials[place].arm.name not in self._left_out]
        needed = sum(self._limit.expected(self._trials[place].arm.name) for place in alive if self._missing[place])
        needed /= self._trainer.workers
        if needed <= max(0.0, self._limit.left):
            return ""
        return f"one more repeat takes about {clock(needed)}, which does not fit into {self._limit.told}"

    def _calls(self, places: Sequence[int], *, is_first: bool) -> Iterator[TrialCall]:
        """Yield the trials of a repeat that are to be run, each when there is a worker for it."""
        for number, place in enumerate(places):
            trial, tests = self._trials[place], self._missing[place]
            name = trial.arm.name
            if not tests:
                continue
            if name not in self._left_out and self._limit is not None:
                why = self._too_dear(trial, places[number + 1 :] if is_first else [])
                self._left_out |= {name: why} if why else {}
            if name in self._left_out:
                self._shared.forget(trial)
                continue
            measures = self._limit is not None and bool(trial.arm.stages) and name not in self._measured
            self._measured |= {name} if measures else set()
            yield TrialCall(trial, tuple(tests), measures)

    def _too_dear(self, trial: Trial, later: Sequence[int]) -> str:
        """Return why there is no time for the first repeat of an arm that was never trained; empty if there is."""
        assert self._limit is not None
        name = trial.arm.name
        if self._limit.knows(name) or not trial.arm.stages:
            return ""
        others = [self._trials[place].arm.name for place in later if self._missing[place]]
        known = [one for one in others if self._limit.knows(one) and one not in self._left_out]
        promised = sum(map(self._limit.expected, known)) / self._trainer.workers
        needed = self._limit.expected(name) * -(-(1 + others.count(name)) // self._trainer.workers)
        left = self._limit.left - promised
        if needed <= left or (needed == 0 and left > 0):
            return ""
        if left <= 0:
            return f"no time is left of {self._limit.told}"
        return f"it takes about {clock(needed)}, and {clock(left)} of {self._limit.told} are left"

    def _take(self, call: TrialCall, outcome: TrialOutcome) -> None:
        """Keep the rows of a trial. An arm that fails is left out of a study; without a limit its error is raised."""
        name = call.trial.arm.name
        if outcome.error is not None:
            if self._limit is None:
                raise outcome.error
            why = str(outcome.error).split("\n", maxsplit=1)[0] or "the memory is full."
            self._left_out[name] = f"it failed: {why}"
            self._context.progress.say(f"{name}: {self._left_out[name]}")
            return
        append_lines(self._path, result_lines(outcome.rows))
        self._rows += outcome.rows
        if self._limit is not None and call.trial.arm.stages:
            self._limit.note(name, outcome.cost)


def _kept_rows(trials: Sequence[Trial], path: Path, context: RunContext, *, is_study: bool) -> list[ComparisonRow]:
    """Return the rows of a file that these trials need.

    A study keeps the rows of other trials, so that another call finds them; a pipeline's own comparison removes them.
    """
    wanted = {(trial.identity, trial.seed, test): len(table) for trial in trials for test, table in trial.tests.items()}
    found, damaged = read_result_lines(path, ComparisonRow)
    if damaged:
        rows_were = "1 row was" if damaged == 1 else f"{damaged} rows were"
        context.progress.say(f"{path}: {rows_were} cut off by a kill, or changed; what is missing is computed again.")
    rows = [row for row in found if len(row.correct) == wanted.get(row.key)]
    others = []
    if is_study:
        rows = [row for row in rows if row.predicted is not None and len(row.predicted) == len(row.correct)]
        others = [row for row in found if row.key not in wanted]
    write_text_atomically(path, result_lines([*others, *rows]))  # drops a torn last line
    return rows
