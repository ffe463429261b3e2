"""Comparison of arms, pair by pair, over many seeds on the same tests."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from nlptl.config import Config
from nlptl.context import RunContext
from nlptl.data.labelled_parts import spelt_as
from nlptl.errors import ConfigError
from nlptl.evaluation.intervals import (
    MIN_TEXTS,
    Estimate,
    PairedDifference,
    estimate,
    hierarchical_mean,
    paired_difference,
)
from nlptl.evaluation.most_frequent import MostFrequent
from nlptl.results import read_result, write_result
from nlptl.runs.folder import COMPARISON, COMPARISON_ROWS
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.arms import Study
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.trials import run_trials

NOT_SHOWN = "not shown to differ from"
MIN_SEEDS = 20  # of a comparison that is more than a quick look


class ArmDifference(Config):
    """Difference of an arm's accuracy from that of the first, and how many seeds it wins, ties and loses."""

    difference: Estimate
    wins: int
    ties: int
    losses: int
    p_value: float

    @classmethod
    def of(cls, found: PairedDifference, *, texts: int) -> ArmDifference:
        """Return a difference on tests of `texts` texts."""
        difference = estimate(found.difference, texts=texts)
        return cls(difference=difference, wins=found.wins, ties=found.ties, losses=found.losses, p_value=found.p_value)

    @property
    def way(self) -> str:
        """How the arm compares with the first, in words."""
        low, high = self.difference.low, self.difference.high
        if low is None or high is None:
            return NOT_SHOWN
        return "better than" if low > 0 else "worse than" if high < 0 else NOT_SHOWN


class ArmPair(Config):
    """Differences (second - first) of two arms, whose intervals allow for all pairs of the comparison."""

    first: str
    second: str
    accuracy: Estimate
    macro_f1: Estimate
    p_value: float  # of the accuracies, corrected for all pairs


class ArmFacts(Config):
    """What an arm is, and what one training of it cost."""

    name: str
    regime: str = ""  # key of the regime; empty for a pipeline or a run
    assignments: tuple[str, ...] | None = None  # of `nlptl run PIPELINE --set`; None where no command makes it
    is_own: bool = False  # whether it is the pipeline as it is written, of which the others are changes
    pipeline: str = ""  # file or folder that it comes from
    cost: ArmCost | None = None


class LeftOut(Config):
    """Arm that was not compared, and why."""

    name: str
    reason: str


class TestResult(Config):
    """Results of all arms on one test."""

    test: str
    texts: int
    seeds: int
    differences: tuple[ArmDifference, ...]  # of each arm but the first, from the first
    redrawn: bool  # whether every seed had other examples to learn from
    accuracies: tuple[Estimate, ...] = Field(alias="accuracy")  # of each arm
    most_frequent: float | None = None  # accuracy of the examples' most frequent label; None of earlier versions
    macro_f1s: tuple[Estimate, ...] = Field(default=(), alias="macro_f1")  # of each arm
    pairs: tuple[ArmPair, ...] = ()  # each arm with each later one


class ComparisonResult(Config):
    """Content of comparison.json: results of a comparison, and a sentence on what they show."""

    arms: tuple[str, ...]
    sentence: str
    results: tuple[TestResult, ...]
    version: int | None = None  # of studies by `nlptl compare`; None for a pipeline's own comparison
    judged: str = ""  # how the arms are judged, in one or two sentences
    facts: tuple[ArmFacts, ...] = ()  # of each arm
    left_out: tuple[LeftOut, ...] = ()
    belongs_to: dict[str, str] = Field(default_factory=dict)  # digests of the data, and the version of nlptl

    @property
    def trials(self) -> int:
        """Number of trials: each arm under each seed, and once more on redrawn examples."""
        return len(self.arms) * self.results[0].seeds * (1 + any(result.redrawn for result in self.results))

    def content(self) -> dict[str, object]:
        """Return the content of comparison.json."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def compare(study: Study, folder: Path, context: RunContext) -> ComparisonResult:
    """Run the trials that `folder` has no rows of. Rows and summary are written there."""
    for remark in study.remarks:
        context.progress.say(remark)
    for arm in study.arms:
        for part, count in arm.data.left_out.items():
            told = f"{count} rows of {part} stand in the comparison's tests and were left out."
            context.progress.say(f"{arm.name}: {told}")
    names = tuple(arm.name for arm in study.arms)
    rows = run_trials(study.trials, folder / COMPARISON_ROWS, context).rows
    result = summarise(rows, names, seed=study.seed, bars=_bars(study))
    write_result(folder / COMPARISON, result.content())
    return result


def _bars(study: Study) -> dict[str, float]:
    """Return for each test how often the most frequent label of the first arm's examples is right, on average over seeds."""
    found: dict[str, list[float]] = {}
    known: dict[tuple[str, str], float] = {}
    for trial in study.trials:
        if trial.arm is not study.arms[0]:
            continue
        examples = trial.data.labelled or trial.data.source
        learnt = Counter(examples.labels()) if examples is not None else Counter[str]()
        for test, table in trial.tests.items():
            key = (examples.digest if examples is not None else "", table.digest)
            if key not in known:
                known[key] = MostFrequent.of(spelt_as(table, learnt).labels(), learnt=learnt).accuracy.value
            found.setdefault(test, []).append(known[key])
    return {test: sum(shares) / len(shares) for test, shares in found.items()}


def read_comparison(folder: Path, *, sealed_only: bool = False) -> ComparisonResult | None:
    """Return the comparison in a run's folder. None when it is missing or of an earlier version.

    Raises ArtifactError when it was changed, and with `sealed_only` when it has no digest.
    """
    content = read_result(folder / COMPARISON, sealed_only=sealed_only)
    with contextlib.suppress(ConfigError):
        return None if content is None else ComparisonResult.model_validate(content)
    return None


def summarise(
    rows: Sequence[ComparisonRow], arms: tuple[str, ...], *, seed: int, bars: Mapping[str, float] | None = None
) -> ComparisonResult:
    """Return the accuracies and paired differences of each test, with 95 % intervals; `bars` are to be beaten on each."""
    results = []
    for test in dict.fromkeys(row.test for row in rows):
        hits = [{row.seed: row.hits() for row in rows if (row.test, row.arm) == (test, arm)} for arm in arms]
        scored: list[Any] = [[found[s] for s in sorted(hits[0])] for found in hits]
        redrawn = len({row.texts for row in rows if row.test == test}) > 1
        if not redrawn:  # every seed saw the same texts
            scored = [np.stack(found) for found in scored]
        texts, seeds = len(scored[0][0]), len(hits[0])
        accuracies = tuple(estimate(hierarchical_mean(found, seed=seed), texts=texts) for found in scored)
        paired = [paired_difference(scored[0], found, seed=seed) for found in scored[1:]]
        differences = tuple(ArmDifference.of(found, texts=texts) for found in paired)
        bar = (bars or {}).get(test)
        results.append(
            TestResult(
                test=test, texts=texts, seeds=seeds, differences=differences, redrawn=redrawn, accuracies=accuracies,
                most_frequent=bar,
            )
        )  # fmt: skip
    return ComparisonResult(arms=arms, results=tuple(results), sentence=_sentence(arms, results))


def _sentence(arms: tuple[str, ...], results: Sequence[TestResult]) -> str:
    """Say what the comparison shows by its largest test and with other examples, and what it cannot show."""
    fixed = [result for result in results if not result.redrawn]
    largest = max(fixed, key=lambda result: result.texts)
    others = [_verdicts(arms, result) for result in results if result.redrawn]
    parts = [f"On {largest.test}, {_verdicts(arms, largest)}."]
    parts += [f"With other labelled examples for each seed, {verdicts}." for verdicts in others]
    texts = min(result.texts for result in fixed)
    if texts < MIN_TEXTS:
        parts.append(f"A test of {texts} texts shows nothing: too few texts for an interval.")
    few = f", and {largest.seeds} seeds are few: a claim needs {MIN_SEEDS} or more" if largest.seeds < MIN_SEEDS else ""
    data = "these texts" if others else "these texts and these labelled examples"
    return " ".join([*parts, f"This speaks of {data}, not of other data{few}."])


def _verdicts(arms: tuple[str, ...], result: TestResult) -> str:
    """Return how the arms differ from the first: "'b' and 'c' are better than 'a'; 'd' is not shown to differ from it"."""
    found: dict[str, list[str]] = {"better than": [], "worse than": [], NOT_SHOWN: []}
    for arm, difference in zip(arms[1:], result.differences, strict=True):
        found[difference.way].append(repr(arm))
    told = [f"{', '.join(names[:-1])} and {names[-1]} are {way}" if names[1:] else f"{names[0]} is {way}"
            for way, names in found.items() if names]  # fmt: skip
    return "; ".join([f"{told[0]} {arms[0]!r}", *(f"{more} it" for more in told[1:])])
