"""Arms against arms: the same chain under a few changed settings, over many seeds, on the same tests, pair by pair."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import append_lines, digest_of, read_json, write_text_atomically
from nlptl.context import Device, RunContext
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import Interval, PairedDifference, hierarchical_mean, paired_difference

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.models.classifier import TextClassifier

SMALLEST_TEST = 20  # texts below which a test is called out as showing nothing
SEEDS_FOR_A_CLAIM = 20  # seeds below which the result says that it is a quick look
ROWS, SUMMARY = "comparison.jsonl", "comparison.json"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One arm under one seed: what to train on and what to test on. Both arms get equal tests and draws."""

    arm: str
    seed: int
    identity: str
    train: Callable[[RunContext], TextClassifier]
    tests: Mapping[str, TextTable]


@dataclasses.dataclass(frozen=True)
class TestResult:
    """All arms on one test."""

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
    """The table of all arms and what it shows."""

    arms: tuple[str, ...]
    results: tuple[TestResult, ...]
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "arms": list(self.arms),
            "sentence": self.sentence,
            "results": [
                {
                    "test": result.test,
                    "texts": result.texts,
                    "seeds": result.seeds,
                    "redrawn": result.redrawn,
                    "accuracy": [dataclasses.asdict(interval) for interval in result.accuracies],
                    "differences": [dataclasses.asdict(difference) for difference in result.differences],
                }
                for result in self.results
            ],
        }


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    *,
    device: Device,
    before_trial: Callable[[Trial], None],
    after_trial: Callable[[Trial, bool], None],
) -> list[dict[str, Any]]:
    """Run the trials that the folder's rows lack and add a row for each trial and test; return the trials' rows.

    `before_trial` is called before a trial runs, `after_trial` after each trial with whether it was kept.
    """
    path = folder / ROWS
    wanted = {(trial.identity, trial.seed, test, len(table)) for trial in trials for test, table in trial.tests.items()}
    rows = [
        row for row in _read_rows(path) if (row["identity"], row["seed"], row["test"], len(row["correct"])) in wanted
    ]
    write_text_atomically(path, "".join(_line(row) for row in rows))  # a torn last line and old settings go
    done = {(row["identity"], row["seed"], row["test"]) for row in rows}
    for trial in trials:
        missing = [test for test in trial.tests if (trial.identity, trial.seed, test) not in done]
        if missing:
            before_trial(trial)
            classifier = trial.train(RunContext(seed=trial.seed, device=device))
            new = [_tested(trial, test, classifier) for test in missing]
            append_lines(path, "".join(_line(row) for row in new))
            rows += new
        after_trial(trial, not missing)
    return rows


def summarise(rows: Sequence[Mapping[str, Any]], arms: tuple[str, ...], *, seed: int) -> ComparisonResult:
    """Return accuracies and the paired differences of each test with their 95 % intervals."""
    import numpy as np

    results = []
    for test in dict.fromkeys(row["test"] for row in rows):
        hits = [{row["seed"]: _bits(row) for row in rows if (row["test"], row["arm"]) == (test, arm)} for arm in arms]
        seeds = sorted(hits[0])
        scored: list[Any] = [[found[s] for s in seeds] for found in hits]
        redrawn = len({row["texts"] for row in rows if row["test"] == test}) > 1
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


def save_summary(result: ComparisonResult, folder: Path) -> None:
    """Write comparison.json beside the rows."""
    write_text_atomically(folder / SUMMARY, json.dumps(result.to_json(), indent=2, ensure_ascii=False) + "\n")


def load_summary(folder: Path) -> ComparisonResult | None:
    """Return the comparison that a run's folder holds; None if it holds none, or one of an earlier version."""
    from pydantic import TypeAdapter, ValidationError

    try:
        raw = read_json(folder / SUMMARY)
        results = [{**result, "accuracies": result.pop("accuracy")} for result in raw["results"]]
        return TypeAdapter(ComparisonResult).validate_python({**raw, "results": results})
    except (ArtifactError, KeyError, TypeError, ValidationError):
        return None


def trial_identity(settings: object, data: object) -> str:
    """Return the digest of everything that shapes an arm's trials but the seed."""
    return digest_of({"settings": settings, "data": data})


def _tested(trial: Trial, test: str, classifier: TextClassifier) -> dict[str, Any]:
    table = trial.tests[test]
    predicted = classifier.predict(table.texts())
    hits = [int(p == label) for p, label in zip(predicted, table.labels(), strict=True)]
    return {
        "arm": trial.arm,
        "seed": trial.seed,
        "test": test,
        "accuracy": sum(hits) / len(hits),
        "texts": table.digest,
        "correct": "".join(map(str, hits)),
        "identity": trial.identity,
    }


def _sentence(arms: tuple[str, ...], results: Sequence[TestResult]) -> str:
    """Say what the comparison shows by its largest test and with other examples, and what it cannot show."""
    fixed = [result for result in results if not result.redrawn]
    largest = max(fixed, key=lambda result: result.texts)
    parts = [f"On {largest.test}, {_verdicts(arms, largest)}."]
    for result in results:
        if result.redrawn:
            parts.append(f"With other labelled examples for each seed, {_verdicts(arms, result)}.")
    smallest = min(fixed, key=lambda result: result.texts)
    if smallest.texts < SMALLEST_TEST:
        parts.append(
            f"A test of {smallest.texts} texts shows nothing: one guess in {2**smallest.texts} gets all right."
        )
    few = f" {largest.seeds} seeds show their spread poorly; a claim needs {SEEDS_FOR_A_CLAIM} or more."
    examples = "texts" if any(result.redrawn for result in results) else "texts and these labelled examples"
    parts.append(f"This speaks of these {examples}, not of other data.")
    return " ".join(parts) + (few if largest.seeds < SEEDS_FOR_A_CLAIM else "")


def _verdicts(arms: tuple[str, ...], result: TestResult) -> str:
    """Return how the arms differ from the first: "'b' and 'c' are better than 'a'; 'd' is not shown to differ from it"."""
    found: dict[str, list[str]] = {"better than": [], "worse than": [], "not shown to differ from": []}
    for arm, difference in zip(arms[1:], result.differences, strict=True):
        interval = difference.difference
        way = "better than" if interval.low > 0 else "worse than" if interval.high < 0 else "not shown to differ from"
        found[way].append(repr(arm))
    told = [f"{_are(names)} {way}" for way, names in found.items() if names]
    return "; ".join([f"{told[0]} {arms[0]!r}", *(f"{more} it" for more in told[1:])])


def _are(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last} are" if first else f"{last} is"


def _read_rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the line that a kill tore
        if _is_row(row):
            rows.append(row)
    return rows


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(key), str) for key in ("arm", "test", "texts", "correct", "identity"))
        and isinstance(row.get("seed"), int)
        and re.fullmatch("[01]+", row["correct"]) is not None
    )


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _bits(row: Mapping[str, Any]) -> Any:
    import numpy as np

    return np.array([int(bit) for bit in row["correct"]], dtype=float)
