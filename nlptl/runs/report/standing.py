"""Standing of a classifier beside other ways on the same texts: arms of a comparison, or the most frequent label."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import RUN_SETTINGS
from nlptl.config import load_yaml
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import Estimate, without_interval
from nlptl.evaluation.label_sets import AnyEvaluation, LabelSetEvaluation
from nlptl.faults import cut
from nlptl.runs.folder import COMPARE_SUFFIX, COMPARISON_ROWS
from nlptl.runs.report.facts import Headline, Rival, Standing
from nlptl.runs.report.verdict import NOT_SHOWN
from nlptl.runs.start.outcome import StartOutcome
from nlptl.runs.studies.comparison.comparison import ComparisonResult, read_comparison

if TYPE_CHECKING:
    from nlptl.evaluation.scores import Evaluation

MOST_FREQUENT = "most frequent label"
NOTHING_ELSE = "No other way was measured in this run."
UNFINISHED = "The comparison of this run is not finished. Run it again: it goes on where it stopped."
UNREAD = "The comparison of this run cannot be read."
NOT_AMONG = "None of the ways below is this classifier. An arm of `compare:` that changes nothing, such as `base: {}`, would be."


def standing_of(
    run: Path, headline: Headline | None, evaluation: Evaluation | None, *, data: Mapping[str, str] | None = None
) -> tuple[Standing | None, str]:
    """Return the standing of a run's classifier, and a remark where its comparison cannot be read.

    Without a comparison of its own it is that of `nlptl compare` beside it, if that learnt the same labels: `data` has the
    digests of the run's parts.
    """
    try:
        compared = read_comparison(run)
    except ArtifactError as error:
        return _alone(headline, evaluation, UNREAD), str(error)
    if compared is not None:
        return _of_comparison(compared, _unchanged_arm(run)), ""
    if (study := _study_beside(run, data or {})) is not None:
        return _of_study(study), ""
    began = (run / COMPARISON_ROWS).is_file() or _arms(run)
    return _alone(headline, evaluation, UNFINISHED if began else NOTHING_ELSE), ""


def standing_of_start(outcome: StartOutcome) -> Standing:
    """Return the candidates of a start side by side. The simplest that may be chosen stands for the simple way."""
    rivals = [
        Rival(
            one.name, one.accuracy, is_this=one.chosen, macro_f1=one.macro_f1, difference=one.difference, seconds=one.seconds,
            note=one.note,
        )
        for one in outcome.candidates
        if not one.note.startswith("not tried")
    ]  # fmt: skip
    simple = next((one.name for one in rivals if one.name != MOST_FREQUENT), "")
    told = (outcome.verdict, outcome.cuts, outcome.pile, outcome.since_last)
    return Standing(tuple(rivals), outcome.chosen.name, outcome.judged_how, tuple(filter(None, told)), simple)


def headline_of_start(outcome: StartOutcome, evaluation: Evaluation) -> Headline:
    """Return the accuracy of the chosen candidate, beside the bar of guessing."""
    bar = next((one for one in outcome.candidates if one.name == MOST_FREQUENT), None)
    if bar is None or evaluation.most_frequent is None:
        return Headline(outcome.chosen.accuracy, outcome.texts, outcome.judged_how)
    guess = evaluation.most_frequent.label
    return Headline(outcome.chosen.accuracy, outcome.texts, outcome.judged_how, guess, bar.accuracy.value)


def headline_of(evaluation: AnyEvaluation, on: str) -> Headline:
    """Return the accuracy of an evaluation, beside the bar of guessing."""
    if isinstance(evaluation, LabelSetEvaluation):
        return _headline_of_sets(evaluation, on)
    bar = evaluation.most_frequent
    if bar is None:
        return Headline(evaluation.accuracy, evaluation.rows, on)
    return Headline(evaluation.accuracy, evaluation.rows, on, bar.label, bar.accuracy.value)


def _headline_of_sets(evaluation: LabelSetEvaluation, on: str) -> Headline:
    """Return the share of texts with exactly their labels. The bar of guessing is one of micro-F1."""
    found, alone = evaluation.micro_f1, evaluation.most_frequent
    guess = f"always answering “{cut(alone.label)}” alone"
    ends, way = without_interval(found.value, texts=evaluation.rows), NOT_SHOWN
    if found.low is not None and found.high is not None and found.low < found.high:
        ends = f"95 % interval {100 * found.low:.1f} to {100 * found.high:.1f}"
        way = "better than" if found.low > alone.micro_f1 else NOT_SHOWN
    more = f"Micro-F1 is {100 * found.value:.1f} % ({ends}); {guess} gets {100 * alone.micro_f1:.1f} %."
    by_f1 = f"by micro-F1 it is {way} {guess}"
    return Headline(evaluation.subset_accuracy, evaluation.rows, on, more=more, by_sets=True, by_f1=by_f1)


def _alone(headline: Headline | None, evaluation: Evaluation | None, why: str) -> Standing | None:
    """Return the classifier beside the most frequent label, and why it is beside nothing else."""
    if headline is None or evaluation is None:
        return None
    rivals = [Rival("this classifier", evaluation.accuracy, is_this=True, macro_f1=evaluation.macro_f1)]
    if evaluation.most_frequent is not None:
        rivals.append(Rival(MOST_FREQUENT, evaluation.most_frequent.accuracy, note=evaluation.most_frequent.label))
    return Standing(tuple(rivals), "", headline.on, (why,), unmeasured=why)


def _of_comparison(compared: ComparisonResult, this: str | None) -> Standing:
    """Return the arms on the largest test that all seeds share. The first stands for the simple way."""
    found = max((one for one in compared.results if not one.redrawn), key=lambda one: one.texts)
    differences = [None, *(one.difference for one in found.differences)]
    rivals = [
        Rival(name, accuracy, is_this=name == this, difference=difference)
        for name, accuracy, difference in zip(compared.arms, found.accuracies, differences, strict=True)
    ]
    if found.most_frequent is not None:
        rivals.append(Rival(MOST_FREQUENT, Estimate(found.most_frequent, None, None)))
    on = f"{found.test}: {found.texts} texts, each way trained {found.seeds} times"
    simple = compared.arms[0] if this is not None else ""
    unmeasured = NOT_AMONG if this is None else ""
    return Standing(tuple(rivals), compared.arms[0], on, (compared.sentence,), simple, unmeasured)


def _study_beside(run: Path, data: Mapping[str, str]) -> ComparisonResult | None:
    """Return the study of `nlptl compare` that learnt the run's own labels, with the pipeline as it is among its arms."""
    with contextlib.suppress(ArtifactError):
        found = read_comparison(run.parent / f"{run.name}{COMPARE_SUFFIX}")
        if found is not None and any(one.is_own for one in found.facts):
            return found if found.belongs_to.get("labelled") == data.get("labelled", "") else None
    return None


def _of_study(study: ComparisonResult) -> Standing:
    """Return the arms of a study on its largest test, each with its difference from the pipeline as it is."""
    found = max(study.results, key=lambda one: one.texts)
    own = next(one.name for one in study.facts if one.is_own)
    apart = {one.second: one.accuracy for one in found.pairs if one.first == own}
    apart |= {one.first: _turned(one.accuracy) for one in found.pairs if one.second == own}
    costs = {one.name: one.cost for one in study.facts}
    rivals = tuple(
        Rival(
            name, accuracy, is_this=name == own, macro_f1=macro_f1, difference=apart.get(name),
            seconds=None if (cost := costs.get(name)) is None else cost.seconds,
        )
        for name, accuracy, macro_f1 in zip(study.arms, found.accuracies, found.macro_f1s, strict=True)
    )  # fmt: skip
    simple = next((one.name for one in study.facts if one.regime == "words"), "")
    return Standing(rivals, own, f"{found.test}: {found.texts:,} texts", (study.judged, study.sentence), simple)


def _turned(difference: Estimate) -> Estimate:
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    return Estimate(-difference.value, low, high, difference.level)


def _unchanged_arm(run: Path) -> str | None:
    """Return the name of the arm that is the run's own chain, which changes nothing."""
    return next((name for name, changes in _arms(run).items() if changes == {}), None)


def _arms(run: Path) -> dict[str, object]:
    """Return the arms of the comparison that a run's settings ask for, and what each changes."""
    path = run / RUN_SETTINGS
    settings = load_yaml(path) if path.is_file() else None
    compare = settings.get("compare") if isinstance(settings, dict) else None
    arms = compare.get("arms") if isinstance(compare, dict) else None
    return arms if isinstance(arms, dict) else {}
