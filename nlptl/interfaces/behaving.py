"""The command `behave`: a run's classifier on edited texts, and on parts of its texts."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.options import DeviceOption, QuietOption, RunArgument, option
from nlptl.interfaces.terminal import tell

if TYPE_CHECKING:
    from nlptl.runs.behaviour.outcome import BehaviourResult, EditResult

MAX_SENTENCES, MAX_PARTS = 6, 5  # that are printed


def behave(
    run: RunArgument,
    texts: Annotated[
        int, typer.Option(metavar="N", help="Texts that are edited. More narrow the intervals and take longer.")
    ] = 300,
    slice_: Annotated[
        list[str] | None,
        option(
            "--slice",
            metavar="COLUMN",
            help="Score the texts by this column of the test's file too. Repeat it for more.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Draw texts and edits by this number.")] = 0,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Test a classifier on edited texts and on parts of its texts.

    Edits are made of the run's own test texts: typos, case, punctuation, shortening, names, numbers, identity terms, negation.

    Parts are labels, lengths, languages and columns of the file. RUN/behaviour.json and the report have all figures.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.behaviour.behaviour import behaviour
    from nlptl.runs.folder import whole_run

    for name, value, least in (("--texts", texts, 1), ("--seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name}: found {value}; expected at least {least}. Give a higher number.")
    context = RunContext(seed=seed, device=device, progress=progress_for(sys.stderr, quiet=quiet))
    run = whole_run(run)
    tell([*behaviour_lines(behaviour(run, context, texts=texts, columns=tuple(slice_ or ())), str(run))])


def behaviour_lines(result: BehaviourResult, run: str) -> Iterator[str]:
    """Tell the edits as a table, what is shown, and what to do next."""
    from nlptl.interfaces.terminal import table

    edited = f", {result.edited_texts:,} of them edited" if result.edited_texts < result.texts else ""
    yield f"{result.on}{edited}"
    yield from table(
        ["edit", "texts", "other label in %", "right before, %", "after"], [_row(one) for one in result.edits]
    )
    more = len(result.sentences) - MAX_SENTENCES
    yield from result.sentences[:MAX_SENTENCES]
    if more > 0:
        yield f"{more} more sentences are in the report."
    yield from _columns_told(result)
    yield f"Read the flipped texts:  nlptl report {shlex.quote(run)}"


def _columns_told(result: BehaviourResult) -> Iterator[str]:
    """Tell the scores of the parts that columns make, which a person has asked for."""
    asked = [one for one in result.slices if one.by.startswith("column ")]
    for one in asked[:MAX_PARTS]:
        yield f"{one.by.removeprefix('column ')} {one.value}: {one.accuracy.told('.0f', 100)} % right of {one.texts:,} texts"
    if len(asked) > MAX_PARTS:
        yield f"{len(asked) - MAX_PARTS} more parts are in the report."


def _row(one: EditResult) -> list[str]:
    if one.flipped is None or one.right_before is None:
        return [one.name, "0", "", "", ""]
    after = "may differ" if one.right_after is None else f"{100 * one.right_after:.0f}"
    return [one.name, f"{one.texts:,}", one.flipped.told(".0f", 100), f"{100 * one.right_before:.0f}", after]
