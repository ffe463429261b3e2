"""The command `curve`: score against number of labels, and whether more labels are worth it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.interfaces.options import DeviceOption, PipelineArgument, QuietOption, SetOption, path_option
from nlptl.interfaces.pipeline_files import check_is_pipeline, check_run_folder
from nlptl.interfaces.terminal import table, tell, wrapped
from nlptl.interfaces.termination import interruption_told

if TYPE_CHECKING:
    from nlptl.evaluation.intervals import Estimate
    from nlptl.runs.studies.learning_curve.outcome import CurveResult, MetricCurve

MAX_LINES = 25  # of all that is printed


def curve(
    pipeline: PipelineArgument,
    set_: SetOption = None,
    minutes: Annotated[float, typer.Option(metavar="N", help="Time for everything, in minutes.")] = 10.0,
    metric: Annotated[Literal["accuracy", "macro-F1"], typer.Option(help="Predict this score first.")] = "accuracy",
    out: Annotated[Path | None, path_option(help="Write into this folder instead of runs/NAME.")] = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Show how the score grows with the number of labels.

    The pipeline learns smaller parts of its labelled texts, drawn several times. What is measured is kept: type the same
    command to go on after an interruption.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.folder import run_of_pipeline
    from nlptl.runs.pipeline import Pipeline
    from nlptl.runs.studies.learning_curve.curve import check_minutes, learning_curve

    check_minutes(minutes)
    check_is_pipeline(pipeline)
    folder = out or run_of_pipeline(pipeline)
    check_run_folder(folder)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    with interruption_told("What was measured is kept; type the same command to go on."):
        data, _ = chain.check(where=str(pipeline), progress=context.progress)
        found = learning_curve(chain, data, folder, context, minutes=minutes, metric=metric)
    next_lines = _next(pipeline, folder, found)
    tell(curve_lines(found, others=len(next_lines)))
    if not quiet:
        tell(next_lines, wrap=False)  # a command stays on one line, to be copied


def curve_lines(found: CurveResult, *, others: int) -> list[str]:
    """Tell the curve as a table, then what it shows; small sizes are left out where MAX_LINES less `others` would not do."""
    sentences = [line for one in (found.judged_how, *found.sentences) for line in wrapped(one).split("\n")]
    rows = list(_rows(found))
    predicted = len(found.curves[0].predictions)
    while len(rows) > predicted + 2 and len(rows) + 2 + len(sentences) + others > MAX_LINES:
        rows.pop(0)
    header = ["labels", *(f"{one.metric} in %" for one in found.curves), "draws"]
    return [*table(header, rows), *sentences]


def _rows(found: CurveResult) -> Iterator[list[str]]:
    """Yield the sizes that were measured, then those that are predicted."""
    measured: dict[int, dict[str, Estimate]] = {}
    draws: dict[int, int] = {}
    for one in found.curves:
        for point in one.points:
            measured.setdefault(point.labels, {})[one.metric] = point.score
            draws[point.labels] = max(draws.get(point.labels, 0), point.draws)
    for size in sorted(measured):
        yield [f"{size:,}", *(_score(measured[size].get(one.metric)) for one in found.curves), f"{draws[size]}"]
    sizes = sorted({point.labels for one in found.curves for point in one.predictions})
    for size in sizes:
        yield [f"{size:,} predicted", *(_score(_predicted(one, size)) for one in found.curves), ""]


def _predicted(one: MetricCurve, size: int) -> Estimate | None:
    return next((point.score for point in one.predictions if point.labels == size), None)


def _score(score: Estimate | None) -> str:
    return "" if score is None else score.told(".1f", 100)


def _next(pipeline: Path, folder: Path, found: CurveResult) -> list[str]:
    """Return the commands that go on from here."""
    path = shlex.quote(str(pipeline))
    if found.fits < found.planned:
        return [f"Narrower:  nlptl curve {path} --minutes 60 --out {shlex.quote(str(folder))}"]
    return [f"Are the labels right?    nlptl audit {path}", f"Train on all of them:    nlptl run {path}"]
