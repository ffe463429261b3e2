"""The command `compare`: regimes or arms of one pipeline, whole pipelines, or finished runs, judged on the same texts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.options import (
    AddressOption,
    DeviceOption,
    EngineOption,
    QuietOption,
    SetOption,
    WorkersOption,
    argument,
    option,
    path_option,
    usable_paths,
)
from nlptl.interfaces.pipeline_files import check_is_pipeline, check_run_folder
from nlptl.interfaces.terminal import print_exactly, tell
from nlptl.interfaces.termination import interruption_told

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.runs.engines.choice import EngineChoice
    from nlptl.runs.reading.planned_comparison import ComparisonFiles
    from nlptl.runs.studies.comparison.comparison import ComparisonResult

MINUTES, MAX_SEEDS = 10.0, 1000


def compare(
    given: Annotated[
        list[Path],
        argument(metavar="FILE", callback=usable_paths, readable=False,
                 help="One pipeline file: its regimes are compared. Several pipeline files, or several folders of runs."),
    ],
    regimes: Annotated[
        str | None, option(metavar="NAMES", help="Compare only these, such as frozen,lora,full. Default: all that make sense.")
    ] = None,
    arms: Annotated[
        bool,
        typer.Option(
            "--arms", help="Compare the arms of the pipeline's `compare:` block instead of its regimes. It must not redraw."
        ),
    ] = False,
    minutes: Annotated[float, typer.Option(metavar="N", help="Time for all trainings, in minutes.")] = MINUTES,
    seeds: Annotated[
        int | None,
        option(
            metavar="N", min=1,
            help="Train each arm under so many seeds, on a test. Default: 5, or what `compare:` says of its arms.",
        ),
    ] = None,
    weights: Annotated[
        str | None, option(metavar="NAME", help="Encoder of the regimes where the pipeline has none, such as minilm.")
    ] = None,
    test: Annotated[Path | None, path_option(help="Judge runs on this labelled file instead of their own test.")] = None,
    format: Annotated[
        Literal["text", "markdown", "csv"], typer.Option(help="Print a summary, or the table of arms with their commands.")
    ] = "text",
    set_: SetOption = None,
    out: Annotated[Path | None, path_option(help="Write the study into this folder instead of runs/NAME-compare.")] = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Compare ways to a classifier on the same texts.

    One pipeline is trained as many regimes train: from scratch, over word vectors, a frozen encoder, LoRA and others, beside
    simple baselines. Type the same command to go on after a stop, or with more --minutes.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.comparison_tables import as_csv, markdown, summary_lines
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.engines.choice import EngineChoice
    from nlptl.runs.folder import COMPARE_SUFFIX

    if not 0 < minutes <= 100_000:
        raise ConfigError(
            f"--minutes: found {minutes:g}; expected a number above 0, at most 100,000. Give the minutes that it may take."
        )
    if seeds is not None and seeds > MAX_SEEDS:
        raise ConfigError(f"--seeds: found {seeds}; expected a whole number from 1 to {MAX_SEEDS:,}. Give fewer seeds.")
    where = EngineChoice(engine, address, workers)
    where.check()
    are_runs = _are_runs(given)
    folder = out or Path("runs") / f"{_name(given[0])}{COMPARE_SUFFIX}"
    check_run_folder(folder)
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    with interruption_told("What is finished is kept; type the same command to go on."):
        if are_runs:
            elsewhere = None if engine == "local" else engine
            _refuse(
                {"--regimes": regimes, "--arms": arms, "--weights": weights, "--set": set_, "--engine": elsewhere},
                "runs, which are trained already",
            )
            result = _runs(given, folder, context, test)
        else:
            _refuse({"--test": test}, "pipelines, which name their test under data.test")
            files = _files(given, regimes, minutes, seeds, weights, set_ or [], arms=arms)
            result = _pipelines(files, folder, context, where, as_kept=format != "text")
    if format == "text":
        options: dict[str, object] = {"--regimes": regimes, "--weights": weights, "--out": out}
        options |= {"--minutes": f"{minutes:g}"} if minutes != MINUTES else {}
        options |= {"--seeds": seeds}
        options |= {"--engine": engine, "--address": address, "--workers": workers} if engine != "local" else {}
        options |= {"--device": device} if device != "auto" else {}
        given_as = [*map(str, given), *(["--arms"] if arms else [])]
        more = [] if quiet else [_next_line(given_as, result, options, set_ or [], are_runs=are_runs)]
        tell(summary_lines(result, more=more), wrap=False)
    else:
        print_exactly([markdown(result) if format == "markdown" else as_csv(result)])


def _are_runs(given: list[Path]) -> bool:
    """Return whether folders of runs are given, and not pipeline files. Raises ConfigError for a mixture, or for one run."""
    twice = next((path for place, path in enumerate(given) if path in given[:place]), None)
    if twice is not None:
        raise ConfigError(f"{twice}: stands twice in the command; expected each once. Remove one.")
    folders = [path for path in given if path.is_dir()]
    if not folders:
        for path in given:
            check_is_pipeline(path)
        return False
    if len(folders) < len(given):
        other = next(path for path in given if not path.is_dir())
        raise ConfigError(
            f"{other}: is no folder, but {folders[0]} is one; expected pipeline files, or folders of runs. Give one kind."
        )
    if len(given) == 1:
        raise ConfigError(
            f"{given[0]}: found one run; expected two or more runs, or a pipeline file. Give another run beside it."
        )
    return True


def _refuse(options: Mapping[str, object], subject: str) -> None:
    """Raise ConfigError for an option that means nothing here."""
    for name, value in options.items():
        if value:
            raise ConfigError(f"{name}: found it beside {subject}; expected no such option here. Leave it out.")


def _name(path: Path) -> str:
    from nlptl.artifact import RUN_SETTINGS

    whole = path.resolve()
    return whole.parent.name if whole.name == RUN_SETTINGS else whole.name if whole.is_dir() else whole.stem


def _runs(given: list[Path], folder: Path, context: RunContext, test: Path | None) -> ComparisonResult:
    from nlptl.runs.folder import run_inside
    from nlptl.runs.reading.compared_runs import compare_runs

    return compare_runs([run_inside(path) for path in given], folder, context, test=test)


def _pipelines(
    files: ComparisonFiles, folder: Path, context: RunContext, where: EngineChoice, *, as_kept: bool
) -> ComparisonResult:
    from nlptl.runs.reading.planned_comparison import EngineTrainer
    from nlptl.runs.studies.comparison.judged_comparison import check_study_folder

    check_study_folder(folder)
    plan = files.plan(context)
    if where.name == "local":
        return plan.run(folder, context, minutes=files.minutes, as_kept=as_kept)
    with where.lent(device=context.device, say=context.progress.say) as engine:
        trainer = EngineTrainer(engine, files, context.device)
        return plan.run(folder, context, minutes=files.minutes, as_kept=as_kept, trainer=trainer)


def _files(
    given: list[Path],
    regimes: str | None,
    minutes: float,
    seeds: int | None,
    weights: str | None,
    assignments: list[str],
    *,
    arms: bool,
) -> ComparisonFiles:
    """Return what is compared. Raises ConfigError for regimes that nobody knows, and for those of several pipelines."""
    from nlptl.runs.reading.planned_comparison import ComparisonFiles
    from nlptl.runs.studies.comparison.regimes import checked_regimes

    names = None if regimes is None else tuple(name.strip() for name in regimes.split(",") if name.strip())
    checked_regimes(names)  # before any data are read
    if arms:
        _refuse({"--regimes": regimes, "--weights": weights}, "--arms, whose chains stand in the file")
    if len(given) > 1:
        _refuse(
            {"--regimes": regimes, "--arms": arms, "--weights": weights},
            "several pipelines, which are compared as they are written",
        )
    return ComparisonFiles(tuple(given), tuple(assignments), names, minutes, seeds, weights, arms)


def _next_line(
    given: Sequence[str],
    result: ComparisonResult,
    options: Mapping[str, object],
    assignments: list[str],
    *,
    are_runs: bool,
) -> str:
    """Tell the command that follows: to use the best run, or to see the command of each arm."""
    if are_runs:
        found = result.results[0].accuracies
        best = max(range(len(found)), key=lambda place: found[place].value)
        return f'Next:    nlptl predict {shlex.quote(result.arms[best])} "A text of your own."'
    typed = [part for name, value in options.items() if value is not None for part in (name, value)]
    typed += [part for one in assignments for part in ("--set", one)]
    return f"Next:    {shlex.join(['nlptl', 'compare', *given, *map(str, typed)])} --format markdown"
