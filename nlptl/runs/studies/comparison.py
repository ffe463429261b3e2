"""Comparison of arms, pair by pair, over many seeds on the same tests."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from nlptl.artifact import append_lines, write_text_atomically
from nlptl.config import Config
from nlptl.context import RunContext
from nlptl.evaluation.intervals import Interval, PairedDifference, hierarchical_mean, paired_difference
from nlptl.runs.folder import COMPARISON, COMPARISON_ROWS, write_json
from nlptl.runs.studies.arms import Study, Trial
from nlptl.runs.studies.shared_work import SharedWork

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

MIN_TEXTS = 20  # of a test that can show anything


class ComparisonRow(Config):
    """A row of comparison.jsonl: one trial on one test."""

    arm: str
    seed: int
    test: str
    accuracy: float
    texts: str
    """Digest of the test."""
    correct: str = Field(pattern="^[01]+$")
    """1 for each text whose label was predicted, 0 for each other."""
    identity: str
    """Of the trial."""

    @classmethod
    def of(cls, trial: Trial, test: str, classifier: TextClassifier) -> ComparisonRow:
        """Test the classifier of a trial."""
        table = trial.tests[test]
        predicted = classifier.predict(table.texts())
        hits = [int(p == label) for p, label in zip(predicted, table.labels(), strict=True)]
        return cls(
            arm=trial.arm.name, seed=trial.seed, test=test, accuracy=sum(hits) / len(hits), texts=table.digest,
            correct="".join(map(str, hits)), identity=trial.identity,
        )  # fmt: skip

    def line(self) -> str:
        """Return the row as a line of JSON."""
        return json.dumps(self.model_dump(), ensure_ascii=False) + "\n"

    def hits(self) -> NDArray[np.float64]:
        """Return 1 or 0 for each text of the test."""
        return np.array([int(bit) for bit in self.correct], dtype=float)


@dataclasses.dataclass(frozen=True)
class TestResult:
    """Results of all arms on one test."""

    test: str
    texts: int
    seeds: int
    accuracies: tuple[Interval, ...]
    """Of each arm."""
    differences: tuple[PairedDifference, ...]
    """Of each arm but the first, from the first."""
    redrawn: bool
    """Whether every seed had other examples to learn from."""


@dataclasses.dataclass(frozen=True)
class ComparisonResult:
    """Results of a comparison, and a sentence on what they show."""

    arms: tuple[str, ...]
    results: tuple[TestResult, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        results = [dataclasses.asdict(result) for result in self.results]
        for result in results:
            result["accuracy"] = result.pop("accuracies")
        return {"arms": list(self.arms), "sentence": self.sentence, "results": results}


def compare(study: Study, folder: Path, context: RunContext) -> ComparisonResult:
    """Run the trials that `folder` has no rows of. Rows and summary are written there."""
    for arm in study.arms:
        for part, count in arm.data.left_out.items():
            context.progress.say(
                f"{arm.name}: {count} rows of {part} stand in the comparison's tests and were left out."
            )
    names = tuple(arm.name for arm in study.arms)
    result = summarise(_rows(study.trials, folder / COMPARISON_ROWS, context), names, seed=study.seed)
    write_json(folder / COMPARISON, result.to_json())
    return result


def _rows(trials: Sequence[Trial], path: Path, context: RunContext) -> list[ComparisonRow]:
    """Return one row for each trial and test, running the trials that `path` lacks."""
    wanted = {(trial.identity, trial.seed, test, len(table)) for trial in trials for test, table in trial.tests.items()}
    rows = [row for row in _read_rows(path) if (row.identity, row.seed, row.test, len(row.correct)) in wanted]
    write_text_atomically(path, "".join(row.line() for row in rows))  # drops a torn last line and old settings
    done = {(row.identity, row.seed, row.test) for row in rows}
    missing = [[test for test in trial.tests if (trial.identity, trial.seed, test) not in done] for trial in trials]
    shared = SharedWork([trial for trial, tests in zip(trials, missing, strict=True) if tests])
    with context.progress.task("comparing the arms", total=len(trials), unit="trials") as task:
        for trial, tests in zip(trials, missing, strict=True):
            if tests:
                classifier = shared.train(trial, RunContext(seed=trial.seed, device=context.device))
                new = [ComparisonRow.of(trial, test, classifier) for test in tests]
                append_lines(path, "".join(row.line() for row in new))
                rows += new
            task.advance(1, f"seed {trial.seed}")
    return rows


def summarise(rows: Sequence[ComparisonRow], arms: tuple[str, ...], *, seed: int) -> ComparisonResult:
    """Return the accuracies and paired differences of each test, with 95 % intervals."""
    results = []
    for test in dict.fromkeys(row.test for row in rows):
        hits = [{row.seed: row.hits() for row in rows if (row.test, row.arm) == (test, arm)} for arm in arms]
        seeds = sorted(hits[0])
        scored: list[Any] = [[found[s] for s in seeds] for found in hits]
        redrawn = len({row.texts for row in rows if row.test == test}) > 1
        if not redrawn:  # every seed saw the same texts
            scored = [np.stack(found) for found in scored]
        results.append(
            TestResult(
                test=test,
                texts=len(scored[0][0]),
                seeds=len(seeds),
                accuracies=tuple(hierarchical_mean(found, seed=seed) for found in scored),
                differences=tuple(paired_difference(scored[0], found, seed=seed) for found in scored[1:]),
                redrawn=redrawn,
            )
        )
    return ComparisonResult(arms, tuple(results), _sentence(arms, results))


def _sentence(arms: tuple[str, ...], results: Sequence[TestResult]) -> str:
    """Return a summary: the largest test, then redrawn examples, then the limits."""
    fixed = [result for result in results if not result.redrawn]
    largest = max(fixed, key=lambda result: result.texts)
    parts = [f"{_verdicts(arms, largest)} over {largest.seeds} seeds on {largest.texts} texts ({largest.test})."]
    for result in results:
        if result.redrawn:
            parts.append(f"With other examples to learn from for every seed: {_verdicts(arms, result)}.")
    smallest = min(fixed, key=lambda result: result.texts)
    if smallest.texts < MIN_TEXTS:
        parts.append(
            f"A test of {smallest.texts} texts alone shows nothing: a coin gets all right 1 time in {2**smallest.texts}."
        )
    again = any(result.redrawn for result in results)
    parts.append(f"This speaks of these texts{'' if again else ' and these examples'}, not of other data.")
    return " ".join(parts)


def _verdicts(arms: tuple[str, ...], result: TestResult) -> str:
    pairs = zip(arms[1:], result.differences, strict=True)
    return "; ".join(_verdict(arms[0], arm, difference.difference) for arm, difference in pairs)


def _verdict(first: str, second: str, interval: Interval) -> str:
    span = f"{100 * interval.value:+.1f} points, 95 % interval {100 * interval.low:+.1f} to {100 * interval.high:+.1f}"
    if interval.low > 0 or interval.high < 0:
        return f"{second!r} is {'better' if interval.low > 0 else 'worse'} than {first!r}: {span}"
    return f"no difference between {second!r} and {first!r} is shown: {span}"


def _read_rows(path: Path) -> Iterator[ComparisonRow]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        with contextlib.suppress(ValidationError):  # of the line that a kill tore
            yield ComparisonRow.model_validate_json(line)
