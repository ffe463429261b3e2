"""Comparison of arms, pair by pair, over many seeds on the same tests."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nlptl.config import Config
from nlptl.context import RunContext
from nlptl.data.labelled_parts import spelt_as
from nlptl.disk.drafts import append_lines, write_text_atomically
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
from nlptl.results import read_result, read_result_line, result_line, write_result
from nlptl.runs.folder import COMPARISON, COMPARISON_ROWS
from nlptl.runs.studies.arms import Study, Trial

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier

NOT_SHOWN = "not shown to differ from"
MIN_SEEDS = 20  # of a comparison that is more than a quick look


class ComparisonRow(Config):
    """A row of comparison.jsonl: one trial on one test."""

    arm: str
    seed: int
    test: str
    accuracy: float
    texts: str  # digest of the test
    correct: str = Field(pattern="^[01]+$")  # 1 for each text whose label was predicted, 0 for each other
    identity: str  # of the trial

    @classmethod
    def of(cls, trial: Trial, test: str, classifier: TextClassifier) -> ComparisonRow:
        """Test the classifier of a trial."""
        table = trial.tests[test]
        predicted = classifier.predict(table.texts())
        labels = spelt_as(table, classifier.labels).labels()  # an arm's own examples may spell them otherwise
        hits = [int(p == label) for p, label in zip(predicted, labels, strict=True)]
        accuracy, correct = sum(hits) / len(hits), "".join(map(str, hits))
        return cls(
            arm=trial.arm.name, seed=trial.seed, test=test, accuracy=accuracy, texts=table.digest, correct=correct,
            identity=trial.identity,
        )  # fmt: skip

    def hits(self) -> NDArray[np.float64]:
        """Return 1 or 0 for each text of the test."""
        return np.array([int(bit) for bit in self.correct], dtype=float)


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


class TestResult(Config):
    """Results of all arms on one test."""

    test: str
    texts: int
    seeds: int
    differences: tuple[ArmDifference, ...]  # of each arm but the first, from the first
    redrawn: bool  # whether every seed had other examples to learn from
    accuracies: tuple[Estimate, ...] = Field(alias="accuracy")  # of each arm
    most_frequent: float | None = None  # accuracy of the examples' most frequent label; None of earlier versions


class ComparisonResult(Config):
    """Content of comparison.json: results of a comparison, and a sentence on what they show."""

    arms: tuple[str, ...]
    sentence: str
    results: tuple[TestResult, ...]

    @property
    def trials(self) -> int:
        """Number of trials: each arm under each seed, and once more on redrawn examples."""
        return len(self.arms) * self.results[0].seeds * (1 + any(result.redrawn for result in self.results))


def kept_sentence(trials: int) -> str:
    """Say that no trial of a comparison runs again."""
    return f"comparison: kept, nothing that its {trials} trials depend on has changed."


class SharedWork:
    """Artifacts that several trials need. Each is made by the first and dropped after the last."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        """`trials` are all that will be trained."""
        self._uses = Counter(key for trial in trials for key in trial.work)
        self._made: dict[str, Any] = {}

    def train(self, trial: Trial, context: RunContext) -> TextClassifier:
        """Train a trial's chain, from the last shared artifact that exists."""
        keys, stages = trial.work, trial.arm.chain.stages
        self._uses.subtract(keys)
        done = max((number for number, key in enumerate(keys, start=1) if key in self._made), default=0)
        artifact: Any = self._made[keys[done - 1]] if done else None
        for key, following, stage in zip(keys[done:], [*keys, ""][done + 1 :], stages[done:], strict=True):
            artifact = stage.run(artifact, data=trial.data, context=context)
            if self._uses[key] > self._uses[following]:  # a chain branches off here, or ends
                self._made[key] = artifact
        self._made = {key: made for key, made in self._made.items() if self._uses[key]}
        return cast("TextClassifier", artifact)


def compare(study: Study, folder: Path, context: RunContext) -> ComparisonResult:
    """Run the trials that `folder` has no rows of. Rows and summary are written there."""
    for remark in study.remarks:
        context.progress.say(remark)
    for arm in study.arms:
        for part, count in arm.data.left_out.items():
            told = f"{count} rows of {part} stand in the comparison's tests and were left out."
            context.progress.say(f"{arm.name}: {told}")
    names = tuple(arm.name for arm in study.arms)
    rows = _rows(study.trials, folder / COMPARISON_ROWS, context)
    result = summarise(rows, names, seed=study.seed, bars=_bars(study))
    write_result(folder / COMPARISON, result.model_dump(mode="json", by_alias=True))
    return result


def _rows(trials: Sequence[Trial], path: Path, context: RunContext) -> list[ComparisonRow]:
    """Return one row for each trial and test, running the trials that `path` lacks."""
    wanted = {(trial.identity, trial.seed, test, len(table)) for trial in trials for test, table in trial.tests.items()}
    found, damaged = _read_rows(path)
    if damaged:
        rows_were = "1 row was" if damaged == 1 else f"{damaged} rows were"
        context.progress.say(f"{path}: {rows_were} cut off by a kill, or changed; what is missing is computed again.")
    rows = [row for row in found if (row.identity, row.seed, row.test, len(row.correct)) in wanted]
    write_text_atomically(path, _lines(rows))  # drops a torn last line and old settings
    done = {(row.identity, row.seed, row.test) for row in rows}
    missing = [[test for test in trial.tests if (trial.identity, trial.seed, test) not in done] for trial in trials]
    shared = SharedWork([trial for trial, tests in zip(trials, missing, strict=True) if tests])
    if not any(missing):
        context.progress.say(kept_sentence(len(trials)))
    last = {trial.seed: trial for trial in trials}
    task_name = f"comparing {len({trial.arm.name for trial in trials})} arms"
    with context.progress.task(task_name, total=len(last), unit="seeds") as task:
        for trial, tests in zip(trials, missing, strict=True):
            if tests:
                task.advance(0, f"seed {trial.seed}: {trial.arm.name}")
                classifier = shared.train(trial, RunContext(seed=trial.seed, device=context.device))
                new = [ComparisonRow.of(trial, test, classifier) for test in tests]
                append_lines(path, _lines(new))
                rows += new
            task.advance(int(trial is last[trial.seed]))
    return rows


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


def _lines(rows: Sequence[ComparisonRow]) -> str:
    return "".join(result_line(row.model_dump()) + "\n" for row in rows)


def _read_rows(path: Path) -> tuple[list[ComparisonRow], int]:
    """Return the whole rows of a file, and the number of the others."""
    # Not splitlines: a name may hold U+2028, U+0085 and other characters at which that would cut a row in two.
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    lines = [line for line in text.split("\n") if line]
    rows: list[ComparisonRow] = []
    for line in lines:
        with contextlib.suppress(ConfigError):
            rows.append(ComparisonRow.model_validate(read_result_line(line)))
    return rows, len(lines) - len(rows)
