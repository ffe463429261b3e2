"""Comparison of pipelines by their files, which any worker can plan again; and its trials as tasks of an engine."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from nlptl.config import value_at
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.input_paths import in_file
from nlptl.runs.chain import Chain, Faults
from nlptl.runs.engines.engine import Engine, Refusal
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.arms import Comparison, Trial, changed_chain
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.regime_comparison import (
    MINUTES,
    SEEDS,
    ComparisonPlan,
    NamedChain,
    plan_chains,
    plan_regimes,
    with_largest_test,
)
from nlptl.runs.studies.comparison.regimes import flow_style
from nlptl.runs.studies.comparison.shared_work import SharedWork
from nlptl.runs.studies.comparison.trial_work import TrialCall, TrialOutcome, run_trial

Key = tuple[str, int, int]  # identity of a trial, its seed and its split


@dataclasses.dataclass(frozen=True)
class ComparisonFiles:
    """What a comparison of pipelines was told: the files, and how they are compared."""

    pipelines: tuple[Path, ...]
    assignments: tuple[str, ...] = ()
    regimes: tuple[str, ...] | None = None  # of one pipeline
    minutes: float = MINUTES
    seeds: int | None = None  # None: as many as the `compare` block says for its arms, else 5
    weights: str | None = None
    arms: bool = False  # compare the arms of the `compare` block of one pipeline, instead of its regimes

    def plan(self, context: RunContext) -> ComparisonPlan:
        """Read the pipelines and their data. Raises ConfigError or DataError."""
        if self.arms:
            return self._plan_arms(self.pipelines[0], context)
        seeds = SEEDS if self.seeds is None else self.seeds
        chains = [self._read(path, context) for path in self.pipelines]
        if len(chains) > 1:
            return plan_chains(chains, seeds=seeds)
        return plan_regimes(
            chains[0], regimes=self.regimes, minutes=self.minutes, seeds=seeds, weights=self.weights,
            paths_from=self.pipelines[0].parent,
        )  # fmt: skip

    def _read(self, path: Path, context: RunContext) -> NamedChain:
        pipeline = Pipeline.from_yaml(path, assignments=self.assignments)
        return self._named(str(path), _chain_of(pipeline), pipeline.compare, context)

    def _named(self, path: str, chain: Chain, compare: Comparison | None, context: RunContext) -> NamedChain:
        data, _ = chain.check(where=path, progress=context.progress)
        # What an arm's command runs is the arm alone: the arms of a `compare:` block may not fit its stages.
        alone = [] if compare is None else ["compare=null"]
        return NamedChain(path, chain, with_largest_test(data, chain, compare, where=path), (*self.assignments, *alone))

    def _plan_arms(self, path: Path, context: RunContext) -> ComparisonPlan:
        """Return the comparison of the arms of a pipeline's `compare` block, each with the settings that make it."""
        pipeline = Pipeline.from_yaml(path, assignments=self.assignments)
        if pipeline.compare is None:
            raise ConfigError(
                f"{path}: has no `compare:` block, but --arms compares its arms. Write one, or leave --arms out."
            )
        if pipeline.compare.redraw is not None:
            raise ConfigError(
                f"{path}: compare.redraw: found it beside --arms, which trains every seed on the same examples; expected none. Add "
                "--set compare.redraw=null, or run the pipeline, whose own comparison redraws."
            )
        chains, faults = [], Faults()
        for name, changes in pipeline.compare.arms.items():
            at = f"{path}: compare.arms.{name}"
            with faults.kept():
                chain = changed_chain(_chain_of(pipeline), changes, at, folder=path.parent)
                named = self._named(at, chain, pipeline.compare, context)
                told = (*named.assignments, *_assignments(chain, changes))
                chains.append(dataclasses.replace(named, name=name, assignments=told, pipeline=str(path)))
        faults.check()
        return plan_chains(chains, seeds=pipeline.compare.seeds if self.seeds is None else self.seeds)


@dataclasses.dataclass(frozen=True)
class EngineTrainer:
    """Trainer that runs trials by an engine. Trials share no work there: each trains its chain from the beginning."""

    engine: Engine
    files: ComparisonFiles
    device: Literal["auto", "cpu", "cuda"]

    @property
    def workers(self) -> int:
        """Number of trials that run at the same time."""
        return self.engine.workers

    def trained(self, calls: Iterable[TrialCall]) -> Iterator[tuple[TrialCall, TrialOutcome]]:
        """Yield each call with what came of it, as it is finished."""
        given = dict[Key, TrialCall]()

        def tasks() -> Iterator[TrialTask]:
            for call in calls:
                given[key := _key(call.trial)] = call
                yield TrialTask(call.trial.arm.name, key, call.tests, call.measures)

        for task, found in self.engine.map(TrialJob(self.files, self.device), tasks()):
            error = None if found.refusal is None else found.refusal.error()
            yield given[task.key], TrialOutcome(found.rows, found.cost, error)


@dataclasses.dataclass(frozen=True)
class TrialTask:
    """Trial of a comparison, by its key."""

    arm: str
    key: Key
    tests: tuple[str, ...]
    measures: bool


@dataclasses.dataclass(frozen=True)
class TrialAnswer:
    """What came of a trial, as plain values."""

    rows: tuple[ComparisonRow, ...]
    cost: ArmCost
    refusal: Refusal | None


@dataclasses.dataclass(frozen=True)
class TrialJob:
    """Job that runs trials of a comparison, planned anew from its files."""

    files: ComparisonFiles
    device: Literal["auto", "cpu", "cuda"]

    def open(self) -> Callable[[TrialTask], TrialAnswer]:
        """Plan the comparison, and return what runs one of its trials."""
        plan = self.files.plan(RunContext(device=self.device))
        trials = {_key(trial): trial for trial in plan.study.trials}

        def run(task: TrialTask) -> TrialAnswer:
            trial = trials.get(task.key)
            if trial is None:
                raise DataError(
                    f"{self.told(task)}: {socket.gethostname()} finds other pipelines or data than the machine of the command; "
                    "expected the same. Put them on a shared file system, and give every machine the same encoders."
                )
            found = list(run_trial(TrialCall(trial, task.tests, task.measures), SharedWork([trial]), self.device))
            error = found[-1].error
            rows = tuple(row for one in found for row in one.rows)
            return TrialAnswer(rows, found[-1].cost, None if error is None else _refusal(error))

        return run

    def told(self, task: TrialTask) -> str:
        """Return the name of a trial in a sentence."""
        return f"{task.arm}, seed {task.key[1]}"


def _chain_of(pipeline: Pipeline) -> Chain:
    return Chain(seed=pipeline.seed, data=pipeline.data, stages=pipeline.stages)


def _assignments(chain: Chain, changes: Mapping[str, Any]) -> Iterator[str]:
    """Yield the changes that made a chain, with paths from the current folder, as `nlptl run --set` takes them."""
    written = chain.model_dump(mode="json", exclude_unset=True, context=in_file(Path()))
    for path, given in changes.items():
        value = value_at(written, path.split("."))
        if isinstance(given, dict) and isinstance(value, dict) and given.keys() == value.keys():
            value = {key: value[key] for key in given}  # in the order of the file
        yield f"{path}={flow_style(value)}"


def _key(trial: Trial) -> Key:
    return trial.identity, trial.seed, trial.split


def _refusal(error: Exception) -> Refusal:
    from nlptl.errors import NlptlError, ProcessError

    return Refusal.of(error if isinstance(error, NlptlError) else ProcessError("the memory is full."))
