"""Comparison of arms that are judged on the same texts: their scores, all pairs corrected, what each costs, and a verdict.

Shapes: A arms, S seeds or repeats, I judged rows.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nlptl.artifact import RUN_SETTINGS, library_versions
from nlptl.context import RunContext
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError, DataError
from nlptl.evaluation.arm_scores import ArmScores
from nlptl.evaluation.intervals import estimate, sign_test
from nlptl.results import read_result, read_result_lines, write_result
from nlptl.runs.folder import COMPARISON, COMPARISON_ROWS
from nlptl.runs.judging.scored import variance_factor
from nlptl.runs.judging.splits import Judging
from nlptl.runs.studies.comparison.arm_costs import ArmCost
from nlptl.runs.studies.comparison.arms import PARTS, Study
from nlptl.runs.studies.comparison.comparison import (
    ArmDifference,
    ArmFacts,
    ArmPair,
    ComparisonResult,
    LeftOut,
    TestResult,
    read_comparison,
)
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.trial_work import Trainer
from nlptl.runs.studies.comparison.trials import TrialRows, TrialTime, run_trials
from nlptl.runs.studies.comparison.verdict import verdict

GOES_ON = "comparison: printed as it is kept; the same command without --format trains what is missing."
VERSION = 1  # of the results of `nlptl compare`; raised when the same rows give other results

Grid = dict[int, dict[int, ComparisonRow]]  # rows of an arm by repeat and split


def compare_judged(
    study: Study, folder: Path, context: RunContext, *, limit: TrialTime, facts: Mapping[str, ArmFacts],
    left_out: Mapping[str, str] | None = None, as_kept: bool = False, trainer: Trainer | None = None,
) -> ComparisonResult:  # fmt: skip
    """Run the trials of a judged study that `folder` has no rows of, and write rows and summary there.

    `facts` say what each arm is, `left_out` names what was not made an arm, and why. `as_kept` returns the result of this
    study that is there, although more time would allow more. Trials run here, or by `trainer`. Raises DataError where fewer
    than two arms finish, ArtifactError for a folder that is not of this kind or of another version.
    """
    with run_lock(folder):
        check_study_folder(folder)
        if as_kept and (kept := _kept(study, folder, facts, left_out or {})) is not None:
            context.progress.say(GOES_ON)
            return kept
        made = run_trials(study.trials, folder / COMPARISON_ROWS, context, limit=limit, trainer=trainer)
        result = _result(study, made, facts, {**(left_out or {}), **made.left_out})
        write_result(folder / COMPARISON, result.content())
    return result


def check_study_folder(folder: Path) -> None:
    """Raise ArtifactError for a folder that holds a run, or a comparison that another version wrote."""
    if (folder / RUN_SETTINGS).is_file():
        raise ArtifactError(
            f"{folder}: holds a run, whose own comparison would be lost; expected a folder for this one. Name another with --out."
        )
    content = read_result(folder / COMPARISON)
    if content is not None and content.get("version") != VERSION:
        raise ArtifactError(
            f"{folder / COMPARISON}: was written by another version of nlptl, so its rows cannot be used. Remove {folder}, or "
            "choose another folder with --out."
        )


def judged_result(
    names: tuple[str, ...], scores: ArmScores, *, test: str, judged: str, facts: tuple[ArmFacts, ...],
    left_out: Mapping[str, str], belongs_to: dict[str, str],
) -> ComparisonResult:  # fmt: skip
    """Return the scores of arms on one test, all pairs of them, and a verdict."""
    pairs = tuple(
        ArmPair(
            first=names[one.first], second=names[one.second], p_value=one.p_value,
            accuracy=estimate(one.difference, texts=scores.texts),
            macro_f1=estimate(other.difference, texts=scores.texts),
        )
        for one, other in zip(scores.accuracy_differences(), scores.macro_f1_differences(), strict=True)
    )  # fmt: skip
    result = TestResult(
        test=test, texts=scores.texts, seeds=scores.predicted.shape[1], redrawn=False,
        differences=_from_first(scores, pairs), accuracies=scores.accuracies(), macro_f1s=scores.macro_f1s(),
        pairs=pairs,
    )  # fmt: skip
    return ComparisonResult(
        arms=names, results=(result,), sentence=" ".join(verdict(result, facts)), version=VERSION, judged=judged,
        facts=facts, left_out=tuple(LeftOut(name=name, reason=reason) for name, reason in left_out.items()),
        belongs_to=belongs_to,
    )  # fmt: skip


def typical_cost(rows: Sequence[ComparisonRow]) -> ArmCost | None:
    """Return the median of an arm's costs. Its memory is the least: what other arms have left in the process counts there.

    Its seconds are those without the start of the program, where there are such.
    """
    costs = [row.cost for row in rows if row.cost is not None]
    if not costs:
        return None
    memory, disk, latency = (
        [value for cost in costs if (value := getattr(cost, name)) is not None]
        for name in ("memory", "disk", "latency")
    )
    timed = [cost.seconds for cost in costs if not cost.holds_start]
    return ArmCost(
        seconds=round(statistics.median(timed or [cost.seconds for cost in costs]), 3), holds_start=not timed,
        trainable_parameters=round(statistics.median(cost.trainable_parameters for cost in costs)),
        memory=min(memory, default=None), disk=statistics.median(disk) if disk else None,
        latency=statistics.median(latency) if latency else None,
    )  # fmt: skip


def _kept(
    study: Study, folder: Path, facts: Mapping[str, ArmFacts], left_out: Mapping[str, str]
) -> ComparisonResult | None:
    """Return the result in a folder, if it is of this study: of these arms and data, with a row for each of its trials.

    None where the study is complete, too: nothing is trained then.
    """
    found = read_comparison(folder)
    if found is None or found.belongs_to != _belongs_to(study):
        return None
    if any(one.model_copy(update={"cost": None}) != facts.get(one.name) for one in found.facts):
        return None
    repeats = found.results[0].seeds
    if {*found.arms, *(one.name for one in found.left_out)} != {*facts, *left_out}:
        return None
    if repeats > 1 + max(trial.repeat for trial in study.trials):
        return None
    rows = {(row.identity, row.seed) for row in read_result_lines(folder / COMPARISON_ROWS, ComparisonRow)[0]}
    missing = [trial for trial in study.trials if (trial.identity, trial.seed) not in rows]
    lost = any(trial.arm.name in found.arms and trial.repeat < repeats for trial in missing)
    return found if missing and not lost else None


def _result(
    study: Study, made: TrialRows, facts: Mapping[str, ArmFacts], left_out: Mapping[str, str]
) -> ComparisonResult:
    """Return the result of a study on its complete repeats."""
    assert study.judging is not None
    names = tuple(arm.name for arm in study.arms if arm.name not in made.left_out)
    if len(names) < 2:
        told = " ".join(f"{name}: {why}." for name, why in left_out.items())
        only = f"only {names[0]} could" if names else "no arm could"
        raise DataError(f"comparison: {only} be trained; expected two arms or more. {told}")
    trials = {(trial.identity, trial.seed): trial for trial in study.trials}
    grids: dict[str, Grid] = {name: {} for name in names}
    for row in made.rows:
        trial = trials[row.identity, row.seed]
        if row.arm in grids and trial.repeat < made.repeats:
            grids[row.arm].setdefault(trial.repeat, {})[trial.split] = row
    scores = _scores(study, study.judging, grids)
    costs = {name: typical_cost([row for one in grid.values() for row in one.values()]) for name, grid in grids.items()}
    return judged_result(
        names, scores, test=study.judging.table.name,
        judged=_how(study.judging, scores, made), left_out=left_out, belongs_to=_belongs_to(study),
        facts=tuple(facts[name].model_copy(update={"cost": costs[name]}) for name in names),
    )  # fmt: skip


def _scores(study: Study, judging: Judging, grids: Mapping[str, Grid]) -> ArmScores:
    """Return what all arms predicted for the rows that each repeat holds out."""
    labels = {label: number for number, label in enumerate(sorted(judging.table.label_counts()))}
    truth = np.array([labels[label] for label in judging.table.labels()], dtype=np.int64)
    rows = judging.rows
    repeats = sorted(next(iter(grids.values())))
    found = np.full((len(grids), len(repeats), len(truth)), -1, dtype=np.int64)
    for arm, grid in enumerate(grids.values()):
        for place, repeat in enumerate(repeats):
            for split, row in grid[repeat].items():
                found[arm, place, judging.splits[split].judged] = np.asarray(row.predicted, dtype=np.int64)
    factor = variance_factor(judging, len(repeats))
    owner = np.unique(judging.groups.owner[rows], return_inverse=True)[1].astype(np.int64)
    return ArmScores(
        truth[rows], found[:, :, rows], owner, len(labels), variance_factor=factor,
        seeds_vary=judging.by == "test", seed=study.seed,
    )  # fmt: skip


def _from_first(scores: ArmScores, pairs: Sequence[ArmPair]) -> tuple[ArmDifference, ...]:
    """Return how each arm differs from the first, and under how many seeds it is better, equal and worse."""
    means = scores.hits.mean(axis=2)
    found = []
    for arm, pair in enumerate(pairs[: len(means) - 1], start=1):
        wins, losses = (int((sign * (means[arm] - means[0]) > 1e-12).sum()) for sign in (1, -1))
        ties = means.shape[1] - wins - losses
        found.append(
            ArmDifference(
                difference=pair.accuracy, wins=wins, ties=ties, losses=losses, p_value=sign_test(wins, losses)
            )
        )
    return tuple(found)


def _how(judging: Judging, scores: ArmScores, made: TrialRows) -> str:
    """Return how the arms were judged, and why not more often."""
    times = scores.predicted.shape[1]
    if judging.by == "test":
        how = f"{scores.texts:,} texts of {judging.table.name}, each arm trained under {times} seed{'s' * (times != 1)}"
    else:
        repeated = f", {times} times" if times > 1 else ""
        how = f"{scores.texts:,} labelled texts by cross-validation ({judging.folds} folds{repeated}, copies together)"
    more = f"; {made.unfinished}" if made.unfinished else ""
    single = f" Labels with one text alone are not judged: {', '.join(judging.never_held_out)}."
    return f"Judged on {how}{more}.{single if judging.never_held_out else ''}"


def _belongs_to(study: Study) -> dict[str, str]:
    """Return digests of the data that the study was made from, and the version that made it."""
    assert study.judging is not None
    data = study.arms[0].data.data
    parts: dict[str, str] = {part: getattr(data, part).digest for part in PARTS if getattr(data, part) is not None}
    return {**parts, "judged": study.judging.table.digest, **library_versions()}
