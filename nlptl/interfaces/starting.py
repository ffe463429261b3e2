"""The command `start`: from files that a person has to a classifier, with what it is worth and what to do next."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.asking import asker
from nlptl.interfaces.options import (
    DeviceOption,
    FoundLabelColumn,
    FoundTextColumn,
    QuietOption,
    argument,
    option,
    path_option,
    usable_paths,
)
from nlptl.interfaces.terminal import WIDTH, columns, table, tell, wrapped
from nlptl.interfaces.termination import interruption_told

if TYPE_CHECKING:
    from nlptl.evaluation.intervals import Estimate
    from nlptl.runs.start.outcome import JudgedCandidate, StartOutcome
    from nlptl.runs.start.preparation import Prepared, StartRequest

DEFAULT_MINUTES = 10.0
MAX_LINES = 25  # of all that is printed
LINES_AFTER = 11  # that are printed after the training, beside one for each candidate
LINES_SINCE_LAST = 2  # on what new labels brought


FilesArgument = Annotated[
    list[Path],
    argument(metavar="FILE", callback=usable_paths, readable=False,
             help="Files with texts and labels: .csv, .xlsx, .jsonl and others, or a folder of texts."),
]  # fmt: skip


def start(
    files: FilesArgument,
    text: FoundTextColumn = None,
    label: FoundLabelColumn = None,
    unlabelled: Annotated[
        list[Path] | None,
        option(
            callback=usable_paths, readable=False, help="Learn from the texts of this file too. Repeat it for more."
        ),
    ] = None,
    test: Annotated[Path | None, path_option(help="Judge on this labelled file instead of a held-out part.")] = None,
    minutes: Annotated[float, typer.Option(metavar="N", help="Time for everything, in minutes.")] = DEFAULT_MINUTES,
    out: Annotated[Path | None, path_option(help="Write into this folder instead of runs/NAME.")] = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Make a classifier from a spreadsheet and say what it is worth.

    Rows without a label are used too. Simple classifiers are judged beside it on texts that none has learnt, and the folder
    tells which rows to label next. Type the same command when more rows are labelled: it goes on from there.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.html.run_report import write_report
    from nlptl.runs.start.preparation import StartRequest, prepare
    from nlptl.runs.start.start import Start

    if not 0 < minutes <= 100_000:
        raise ConfigError(
            f"--minutes: found {minutes:g}; expected a number above 0, at most 100,000. Give the minutes that it may take."
        )
    request = StartRequest(tuple(files), text, label, tuple(unlabelled or ()), test, minutes, out)
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    with interruption_told("What is finished is kept; type the same command to go on."):
        prepared = prepare(request, context, choose=asker())
        started = Start(prepared, context)
        before = [] if quiet else before_lines(prepared, started.estimated_seconds())
        tell(before)
        outcome = started.run()
        report = write_report(request.folder, context=context)
    tell(outcome_lines(outcome))
    if not quiet:
        for line in next_lines(request, report, has_pile=prepared.pile > 0):
            tell([line], wrap=False)  # a command stays on one line, to be copied


def before_lines(prepared: Prepared, seconds: float) -> list[str]:
    """Tell what the files were taken for, what the data can bear, and how long it will take.

    Sentences of the profile are left out, the last ones first, where the lines after the training would not fit.
    """
    from nlptl.runs.folder import START

    minutes = max(1, round(seconds / 60))
    about = (
        f"It takes about {minutes} minute{'s' * (minutes != 1)}." if seconds > 30 else "It takes less than a minute."
    )
    profile = list(prepared.profile.sentences())
    after = LINES_AFTER + (LINES_SINCE_LAST if (prepared.request.folder / START).is_file() else 0)
    while True:
        told = [*prepared.taken_as, " ".join(profile), *prepared.warnings(), f"{prepared.judging.how} {about}"]
        lines = [line for one in told if one for line in wrapped(one).split("\n")]
        if len(lines) <= MAX_LINES - after - len(prepared.candidates()) or not profile:
            return lines
        profile.pop()


def outcome_lines(outcome: StartOutcome) -> Iterator[str]:
    """Tell the candidates side by side, which is taken, and what pretraining, the pile and new labels brought."""
    rows = [_row(one) for one in outcome.candidates]
    yield from table(["candidate", "right in %", "points from the chosen", "seconds"], rows)
    yield outcome.verdict
    if outcome.cuts:
        yield _on_one_line(outcome.cuts)
    yield outcome.pile
    if outcome.since_last:
        yield outcome.since_last


def next_lines(request: StartRequest, report: Path, *, has_pile: bool) -> Iterator[str]:
    """Tell what to do next: look, use, improve."""
    folder = shlex.quote(str(request.folder))
    yield f"Look at it:  open {shlex.quote(str(report))} in your browser."
    yield f'Use it:      nlptl predict {folder} "A text of your own."'
    first = (
        f"label rows of {_table(request)} (see {folder}/label-next.csv)"
        if has_pile
        else f"check {folder}/suspects.csv, add rows"
    )
    yield f"Improve it:  {first}, then: {_command(request)}"


def _table(request: StartRequest) -> str:
    """Return the name of the table whose rows want labels."""
    alone = len(request.files) == 1 and not request.unlabelled
    return shlex.quote(request.files[0].name) if alone else "your files"


def _command(request: StartRequest) -> str:
    """Return the command that goes on from here."""
    given: list[object] = ["nlptl", "start", *request.files]
    named = {"--text": request.text, "--label": request.label, "--test": request.test, "--out": request.out}
    for name, value in named.items():
        given += [] if value is None else [name, value]
    for path in request.unlabelled:
        given += ["--unlabelled", path]
    if request.minutes != DEFAULT_MINUTES:
        given += ["--minutes", f"{request.minutes:g}"]
    return shlex.join(map(str, given))


def _on_one_line(cuts: str) -> str:
    """Return a sentence, with as many of its clauses as fit into a line of the terminal."""
    whole, _, remedy = cuts.rpartition(". ")
    clauses, hidden = whole.split("; "), 0
    told = cuts
    while columns(told) > WIDTH and len(clauses) > 1:
        clauses, hidden = clauses[:-1], hidden + 1
        told = f"{'; '.join(clauses)}; {hidden} more in the report. {remedy}"
    return told


def _row(one: JudgedCandidate) -> list[str]:
    difference = one.note if one.difference is None else _percent(one.difference, "+.0f")
    accuracy = _percent(one.accuracy, ".0f") if not one.note.startswith("not tried") else ""
    return [
        ("> " if one.chosen else "  ") + one.name,
        accuracy,
        "chosen" if one.chosen else difference,
        f"{one.seconds:.1f}",
    ]


def _percent(estimate: Estimate, form: str) -> str:
    return estimate.told(form, 100)
