"""Standing of a classifier beside other ways on the same texts: arms of a comparison, or the most frequent label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import RUN_SETTINGS
from nlptl.config import load_yaml
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import Estimate
from nlptl.runs.report.facts import Rival, Standing
from nlptl.runs.studies.comparison import ComparisonResult, read_comparison

if TYPE_CHECKING:
    from nlptl.evaluation.scores import Evaluation

MOST_FREQUENT = "most frequent label"
NOTHING_ELSE = "No other way was measured in this run."


def standing_of(run: Path, evaluation: Evaluation | None, judged_on: str) -> tuple[Standing | None, str]:
    """Return the standing of a run's classifier, and a remark where its comparison cannot be read."""
    try:
        compared = read_comparison(run)
    except ArtifactError as error:
        return _alone(evaluation, judged_on), str(error)
    if compared is None:
        return _alone(evaluation, judged_on), ""
    return _of_comparison(compared, _unchanged_arm(run)), ""


def _alone(evaluation: Evaluation | None, judged_on: str) -> Standing | None:
    """Return the classifier beside the most frequent label."""
    if evaluation is None:
        return None
    rivals = [Rival("this classifier", evaluation.accuracy, is_this=True, macro_f1=evaluation.macro_f1)]
    if evaluation.most_frequent is not None:
        rivals.append(Rival(MOST_FREQUENT, evaluation.most_frequent.accuracy, note=evaluation.most_frequent.label))
    return Standing(tuple(rivals), "", judged_on, NOTHING_ELSE)


def _of_comparison(compared: ComparisonResult, this: str | None) -> Standing:
    """Return the arms on the largest test that all seeds share."""
    found = max((one for one in compared.results if not one.redrawn), key=lambda one: one.texts)
    differences = [None, *(one.difference for one in found.differences)]
    rivals = [
        Rival(name, accuracy, is_this=name == this, difference=difference)
        for name, accuracy, difference in zip(compared.arms, found.accuracies, differences, strict=True)
    ]
    if found.most_frequent is not None:
        rivals.append(Rival(MOST_FREQUENT, Estimate(found.most_frequent, None, None)))
    on = f"{found.test}: {found.texts} texts, each way trained {found.seeds} times"
    return Standing(tuple(rivals), compared.arms[0], on, compared.sentence)


def _unchanged_arm(run: Path) -> str | None:
    """Return the name of the arm that is the run's own chain, which changes nothing."""
    settings = load_yaml(run / RUN_SETTINGS)
    compare = settings.get("compare") if isinstance(settings, dict) else None
    arms = compare.get("arms") if isinstance(compare, dict) else None
    return next((name for name, changes in arms.items() if changes == {}), None) if isinstance(arms, dict) else None
