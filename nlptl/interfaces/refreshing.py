"""The commands `refresh`, `versions` and `rollback`: new labels for a run, its versions, and the way back to one of them."""

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
    RefreshableRunArgument,
    option,
    usable_paths,
)
from nlptl.interfaces.terminal import table, tell
from nlptl.interfaces.termination import interruption_told

if TYPE_CHECKING:
    from nlptl.evaluation.intervals import Estimate
    from nlptl.runs.refresh.outcome import RefreshOutcome
    from nlptl.runs.refresh.refresh import KnownAlready
    from nlptl.versions import MeasuredAccuracy, RunVersion, RunVersions

MAX_LISTED = 16  # versions that are listed, the newest ones
MAX_MARGIN = 50.0


def refresh(
    run: RefreshableRunArgument,
    labelled: Annotated[
        list[Path],
        option(
            metavar="FILE", callback=usable_paths, readable=False,
            help="Learn the labels of this file too: .csv, .xlsx, .jsonl and others. Repeat it for more.",
        ),
    ],
    text_column: FoundTextColumn = None,
    label_column: FoundLabelColumn = None,
    margin: Annotated[
        float, typer.Option(metavar="POINTS", help="Points of accuracy by which the new version may be worse at most.")
    ] = 2.0,
    new_labels: Annotated[bool, typer.Option("--new-labels", help="Accept labels that the run does not know.")] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Do not doubt the labels, since you have looked at them.")
    ] = False,
    keep: Annotated[
        int | None, option(metavar="N", help="Remove the files of all but the N newest versions out of use.")
    ] = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Teach a run new labels, and use what is not worse.

    Copies, contradictions and labels that look wrong or planted go into a quarantine file. The pipeline is trained on the old
    rows and the rest. The version before stays: `nlptl rollback` goes back to it.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.refresh.refresh import KnownAlready, Refresh, RefreshRequest

    if not 0 <= margin <= MAX_MARGIN:
        raise ConfigError(
            f"--margin: found {margin:g}; expected 0 to {MAX_MARGIN:g}. Give points of accuracy, such as 2."
        )
    if keep is not None and keep < 0:
        raise ConfigError(f"--keep: found {keep}; expected a number from 0. Give how many versions keep their files.")
    request = RefreshRequest(
        run,
        tuple(labelled),
        text_column,
        label_column,
        new_labels=new_labels,
        trust=trust,
        margin=margin / 100,
        keep=keep,
    )
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    with interruption_told("What is finished is kept; type the same command to go on."):
        found = Refresh(request, context).run(choose=asker())
    if isinstance(found, KnownAlready):
        tell(known_lines(found))
        if not quiet and found.version.number != found.in_use and found.version.is_usable:
            tell([f"Use it:  nlptl rollback {shlex.quote(str(run))} --to {found.version.number}"], wrap=False)
        return
    tell(outcome_lines(run, found))
    if not quiet:
        for line in next_lines(run, found):
            tell([line], wrap=False)  # a command stays on one line, to be copied


def versions(run: RefreshableRunArgument) -> None:
    """List the versions of a run, and which one is in use."""
    from nlptl.runs.refresh.version_list import versions_of

    found = versions_of(run)
    tell(list(list_lines(found)), wrap=False)
    if others := [number for number in found.choices if number != found.in_use]:
        to = others[0] if len(others) == 1 else "N"
        way = "Go forward" if min(others) > found.in_use else "Go back"
        tell(["", f"{way}:  nlptl rollback {shlex.quote(str(run))} --to {to}"], wrap=False)


def rollback(
    run: RefreshableRunArgument,
    to: Annotated[int | None, option(metavar="N", help="Use version N. Default: the one before that in use.")] = None,
) -> None:
    """Use another version of a run again, at once."""
    from nlptl.runs.refresh.version_list import roll_back
    from nlptl.versions import version_folder

    wanted, before = roll_back(run, to=to)
    folder = shlex.quote(str(run))
    if wanted.number == before:
        tell([f"Version {before} is in use already."])
        return
    tell([f"Version {wanted.number} is in use now: {version_folder(run, wanted.number)}. Nothing was removed."])
    way = "Go forward" if before > wanted.number else "Go back"
    tell([f"{way}:  nlptl rollback {folder} --to {before}"], wrap=False)


def outcome_lines(run: Path, found: RefreshOutcome) -> Iterator[str]:
    """Tell what became of the new rows, how both versions compare, and which is in use."""
    from nlptl.runs.refresh.quarantine import QUARANTINE, TOLD
    from nlptl.versions import version_folder

    yield from found.taken_as
    count = sum(found.quarantined.values())
    told = ", ".join(f"{number:,} {TOLD[reason]}" for reason, number in found.quarantined.items())
    yield f"{found.given:,} rows: {found.learnt:,} are learnt, {found.held_out:,} held out, {count:,} in quarantine."
    if count:
        yield f"In quarantine: {told}. See {version_folder(run, found.number) / QUARANTINE}"
    yield from found.remarks
    if found.before is not None and found.after is not None:
        rows = [
            [f"{found.made_from}, in use before", f"{found.known:,}", _percent(found.before)],
            [f"{found.number}, new", f"{found.known + found.learnt:,}", _percent(found.after)],
        ]
        yield from table(["version", "labels learnt", f"right in % of {found.judged:,} texts"], rows)
    if found.judged_how:
        yield found.judged_how
    yield " ".join(filter(None, [found.why, found.settle]))
    if found.decision == "used":
        yield f"Version {found.number} is in use now."
    else:
        yield f"Version {found.number} is not used; version {found.made_from} stays in use."


def next_lines(run: Path, found: RefreshOutcome) -> Iterator[str]:
    """Tell the next commands."""
    folder = shlex.quote(str(run))
    yield f'Use it:       nlptl predict {folder} "A text of your own."'
    yield f"All versions: nlptl versions {folder}"
    if found.quarantined.keys() & {"doubtful label", "planted phrase"}:
        yield f"Looked at it: nlptl refresh {folder} --trust --labelled ROWS-THAT-ARE-RIGHT.csv"
    if found.decision == "used":
        yield f"Go back:      nlptl rollback {folder}"
    elif found.classifier:
        yield f"Use the new:  nlptl rollback {folder} --to {found.number}"


def known_lines(found: KnownAlready) -> Iterator[str]:
    """Tell that the same rows were given before."""
    one = found.version
    state = "is in use" if one.number == found.in_use else "is not in use"
    yield f"Nothing was done: version {one.number}, which {state}, was made of the same rows. {one.why}"
    yield "Add other rows, or give these together with more: --labelled FILE --labelled MORE."


def list_lines(found: RunVersions) -> Iterator[str]:
    """Tell the versions as a table, the newest last."""
    rows = [_row(one, found.in_use) for one in sorted(found.versions, key=lambda one: one.number)]
    if len(rows) > MAX_LISTED:
        yield f"{len(rows) - MAX_LISTED} older versions are left out; versions.json lists them."
    yield from table(
        ["version", "when", "from", "rows added", "quarantined", "right in %", "before", "state"], rows[-MAX_LISTED:]
    )
    if not all(one.is_trained for one in found.versions):
        yield "Not trained: no new row was left."


def _row(one: RunVersion, in_use: int) -> list[str]:
    state = (
        "in use"
        if one.number == in_use
        else "not trained"
        if not one.is_trained
        else "removed"
        if one.removed
        else "kept"
        if one.decision == "used"
        else "not used"
    )
    when = one.when.replace("T", " ")[:16]
    made_from = "" if one.made_from is None else str(one.made_from)
    counts = [f"{one.added:,}", f"{one.quarantined:,}"] if one.made_from is not None else ["", ""]
    return [str(one.number), when, made_from, *counts, _measured(one.accuracy), _measured(one.accuracy_before), state]


def _measured(found: MeasuredAccuracy | None) -> str:
    return "" if found is None else f"{100 * found.value:.0f} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def _percent(found: Estimate) -> str:
    return found.told(".1f", 100)
