"""The command `audit`: what is wrong in the labels and the texts of a pipeline or of files, and what to do about it."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from nlptl.errors import ConfigError
from nlptl.interfaces.asking import asker
from nlptl.interfaces.options import (
    AddressOption,
    DeviceOption,
    EngineOption,
    FoundLabelColumn,
    FoundTextColumn,
    QuietOption,
    WorkersOption,
    argument,
    option,
    path_option,
    usable_paths,
)
from nlptl.interfaces.pipeline_files import SETTINGS
from nlptl.interfaces.terminal import remark, table, tell, wrapped
from nlptl.interfaces.termination import interruption_told

if TYPE_CHECKING:
    from nlptl.runs.reading.audited import AuditSource
    from nlptl.runs.studies.audit.outcome import AuditExample, AuditFinding, AuditResult, AuditThresholds

MAX_LINES = 22  # before the three of the next commands
LINES_OF_HEADER, LINES_OF_REST = 2, 3  # of the table, and of findings that do not fit into it
MAX_REMARKS = 3
MAX_NAMED = 6  # findings that a line names
BOUNDS = {"suspects": (0.0, 0.99), "near_copies": (0.7, 1.0), "paraphrases": (0.85, 1.0), "outliers": (1.0, 100.0)}
MAX_FIRST = 34  # columns of a finding's first row

PathsArgument = Annotated[
    list[Path],
    argument(metavar="FILE", callback=usable_paths, readable=False,
             help="A pipeline file, a run or an earlier audit, or files with texts: .csv, .xlsx, .jsonl and others, or a folder."),
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class FileOptions:
    """Options that say what files hold."""

    text: str | None
    label: str | None
    unlabelled: tuple[Path, ...]
    test: Path | None

    def given(self) -> list[str]:
        """Return the options that are given, as they are typed."""
        pairs = [("--text", self.text), ("--label", self.label), ("--test", self.test)]
        pairs += [("--unlabelled", path) for path in self.unlabelled]
        return [str(one) for name, value in pairs if value is not None for one in (name, value)]


def audit(
    paths: PathsArgument,
    text: FoundTextColumn = None,
    label: FoundLabelColumn = None,
    unlabelled: Annotated[
        list[Path] | None,
        option(callback=usable_paths, readable=False, help="Audit the texts of this file too. Repeat it for more."),
    ] = None,
    test: Annotated[Path | None, path_option(help="Look for texts of this labelled file in the others.")] = None,
    suspects: Annotated[
        float | None,
        option(metavar="LEAD", help="Tell labels over which another leads by this. Default: 0.5."),
    ] = None,
    near_copies: Annotated[
        float | None,
        option(metavar="SHARE", help="Tell texts that share so much of their words. Default: 0.8."),
    ] = None,
    paraphrases: Annotated[
        float | None,
        option(metavar="COSINE", help="Tell texts whose vectors are so near. Default: 0.95."),
    ] = None,
    outliers: Annotated[
        float | None,
        option(metavar="N", help="Tell texts so many deviations from all others. Default: 5."),
    ] = None,
    out: Annotated[
        Path | None, path_option(help="Write into this folder instead of the run or runs/NAME-audit.")
    ] = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Find wrong labels, copies, leaks and odd texts in data.

    It tells what to label next, too. Each finding has a table with the rows of your files.
    Scores are kept: give the folder again with other thresholds, and nothing is computed anew.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.engines.choice import EngineChoice
    from nlptl.runs.engines.encoding import EngineEncoding
    from nlptl.runs.studies.audit.audit import audit as audited
    from nlptl.runs.studies.audit.text_encoder import encoded_here

    named = FileOptions(text, label, tuple(unlabelled or ()), test)
    given = {"suspects": suspects, "near_copies": near_copies, "paraphrases": paraphrases, "outliers": outliers}
    chosen = {name: value for name, value in given.items() if value is not None}
    _check_thresholds(chosen)
    where = EngineChoice(engine, address, workers)
    where.check()
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    source = _source(paths, named, out)
    thresholds = _thresholds(source, chosen)
    for line in () if quiet else source.taken_as[:MAX_REMARKS]:
        remark(line)
    with interruption_told("What is computed is kept; type the same command to go on."):
        loaded = source.load(progress=context.progress)
        with where.lent(device=device, say=context.progress.say) as lent:
            result = audited(
                loaded, source.folder, thresholds=thresholds, encoder=source.encoder(loaded.data, context), context=context,
                command=_command(source, paths, named, out), settings=source.settings, run_data=source.run_data(loaded),
                encode=encoded_here if lent.is_here else EngineEncoding(lent, device),
            )  # fmt: skip
    tell(audit_lines(result))
    if not quiet:
        for line in next_lines(result, source.folder):
            tell([line], wrap=False)  # a command stays on one line, to be copied


def audit_lines(result: AuditResult) -> Iterator[str]:
    """Tell the findings as a table, then what was not found and what was not looked at, in `MAX_LINES` lines at most."""
    found = [one for one in result.findings if one.rows]
    tail, room = _after(result, len(result.findings)), MAX_LINES - LINES_OF_HEADER
    if len(tail) + len(found) > room:
        tail = _after(result, MAX_NAMED)
    most = min(len(found), room - len(tail))
    if most < len(found):
        most -= LINES_OF_REST
        tail = [*wrapped(_named("Also found", [one.name for one in found[most:]], MAX_NAMED)).split("\n"), *tail]
    if found:
        rows = [[one.name, f"{one.rows:,}", _share(one), _first(one)] for one in found[:most]]
        yield from table(["finding", "count", "share", "the first one"], rows)
    yield from tail


def _after(result: AuditResult, most: int) -> list[str]:
    """Return the lines behind the table, with so many names of what was not found at most."""
    told = list[str]()
    if nothing := [one.name for one in result.findings if not one.rows]:
        told.append(_named("Looked for and not found", nothing, most))
    if result.judges:
        judges = _joined(result.judges)
        told.append(f"Labels were judged by {judges}, without the row itself. Read before you correct: they err too.")
    return [line for one in (*told, *result.remarks[:MAX_REMARKS]) for line in wrapped(one).split("\n")]


def _named(what: str, names: list[str], most: int) -> str:
    more = f"; and {len(names) - most} more" if len(names) > most else ""
    return f"{what}: {'; '.join(names[:most])}{more}."


def next_lines(result: AuditResult, folder: Path) -> Iterator[str]:
    """Tell where the tables are, and the next commands."""
    path = shlex.quote(str(folder))
    first = next((one for one in result.findings if one.rows and one.table), None)
    yield f"Look at them:      {path}/audit/{'' if first is None else first.table}"
    if first is not None:
        yield f"What to do first:  {first.remedy}"
    yield f"Other thresholds:  nlptl audit {path} --suspects 0.3 --near-copies 0.9"


def _source(paths: list[Path], named: FileOptions, out: Path | None) -> AuditSource:
    from nlptl.runs.reading.audited import files_to_audit, folder_to_audit, is_audit, pipeline_to_audit

    pipelines = [path for path in paths if path.suffix.lower() in SETTINGS[:2]]
    folders = [path for path in paths if path.is_dir() and is_audit(path)]
    if not pipelines and not folders:
        return files_to_audit(
            paths,
            out=out,
            text=named.text,
            label=named.label,
            unlabelled=named.unlabelled,
            test=named.test,
            choose=asker(),
        )
    if len(paths) > 1:
        raise ConfigError(
            f"{(pipelines + folders)[0]}: found beside other paths; expected a pipeline or a run alone. Audit it alone."
        )
    if given := named.given():
        raise ConfigError(
            f"{given[0]}: found beside {paths[0]}, whose settings name its data; expected it with files alone. Leave it out."
        )
    return pipeline_to_audit(paths[0], out=out) if pipelines else folder_to_audit(paths[0], out=out)


def _thresholds(source: AuditSource, given: dict[str, float]) -> AuditThresholds:
    """Return the thresholds that are given, beside those of the audit that is read again."""
    from nlptl.runs.studies.audit.outcome import AuditThresholds

    before = {} if source.before is None else source.before.thresholds.model_dump()
    return AuditThresholds(**{**before, **given})


def _check_thresholds(given: dict[str, float]) -> None:
    """Raise ConfigError for a threshold beyond what is kept."""
    for name, value in given.items():
        low, high = BOUNDS[name]
        if not low <= value <= high:
            raise ConfigError(
                f"--{name.replace('_', '-')}: found {value:g}; expected a number from {low:g} to {high:g}. Correct it."
            )


def _command(source: AuditSource, paths: list[Path], named: FileOptions, out: Path | None) -> str:
    """Return the command that audits the same anew, and does not read kept scores again."""
    from nlptl.artifact import RUN_SETTINGS
    from nlptl.runs.folder import run_inside

    if source.before is not None:
        return source.before.command
    if paths[0].is_dir() and (pipeline := run_inside(paths[0]) / RUN_SETTINGS).is_file():
        paths, out = [pipeline], source.folder
    given = [*named.given(), *([] if out is None else ["--out", str(out)])]
    return shlex.join(["nlptl", "audit", *map(str, paths), *given])


def _share(finding: AuditFinding) -> str:
    if finding.unit != "rows" or finding.kind == "next_labels":
        return ""
    percent = 100 * finding.share
    return f"{percent:.1f} %" if percent >= 0.05 else "< 0.1 %"


def _first(finding: AuditFinding) -> str:
    if not finding.examples:
        return ""
    told = _place(finding.examples[0])
    return told if len(told) <= MAX_FIRST else f"{told[: MAX_FIRST - 1]}…"


def _place(example: AuditExample) -> str:
    """Return where an example stands, and what it is."""
    parts = [Path(example.file).name, f"row {example.row}" if example.row is not None else ""]
    place = ", ".join(part for part in parts if part) or example.label
    return f"{place}: {example.detail}" if example.detail else place


def _joined(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
