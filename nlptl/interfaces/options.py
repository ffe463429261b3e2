"""Arguments and options that several commands share, and what every path among them must be."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.completion import complete_assignments, complete_pipelines, complete_runs
from nlptl.interfaces.terminal import hush


def example(*commands: str) -> str:
    """Return the examples that end a command's help, unwrapped."""
    return "\n".join(["\b", "Example:", *(f"  {command}" for command in commands)])


def usable_path(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Return a path that every library here can open. Raises ConfigError for a name with NUL or that is not UTF-8."""
    if path is None:
        return None
    what = max(parameter.opts, key=len) if parameter.param_type_name == "option" else parameter.metavar
    if "\0" in str(path):
        raise ConfigError(f"{what}: found {str(path)!r}; expected a path without the character NUL. Correct it.")
    if any("\ud800" <= character <= "\udfff" for character in str(path)):
        raise ConfigError(f"{what}: found {_as_bytes(path)!r}, whose name is not UTF-8; expected UTF-8. Rename it.")
    return Path(os.path.expanduser(path))  # after = the shell leaves ~


def usable_paths(parameter: typer.CallbackParam, paths: list[Path] | None) -> list[Path] | None:
    """Return paths that every library here can open; see `usable_path`."""
    return None if paths is None else [found for path in paths if (found := usable_path(parameter, path)) is not None]


def run_folder(parameter: typer.CallbackParam, path: Path) -> Path:
    """Return the path of a run. Raises ConfigError for a file."""
    return checked_run(usable_path(parameter, path) or path)


def checked_run(found: Path) -> Path:
    """Return the path of a run, that of a start's run inside it. Raises ConfigError for a file, and a folder of several runs."""
    if os.path.isfile(found):
        raise ConfigError(
            f"RUN: {found} is a file; expected the folder of a run or of one of its stages. Give a folder."
        )
    from nlptl.runs.folder import is_unfinished_start, run_inside

    if is_unfinished_start(found):
        raise ConfigError(
            f"RUN: {found} holds a start that is not finished; expected a finished one. Type the same `nlptl start` again: it "
            "goes on where it stopped."
        )
    found = run_inside(found)
    _check_runs_inside(found)
    return found


def run_in_use(parameter: typer.CallbackParam, path: Path) -> Path:
    """Return the folder of the version in use of a run, or of a stage that was given. Raises ConfigError for a file."""
    from nlptl.versions import current_run

    return current_run(run_folder(parameter, path))


def refreshable_run(parameter: typer.CallbackParam, path: Path) -> Path:
    """Return the folder of a run that has versions. Raises ConfigError for a version, and for a folder that is no run."""
    from nlptl.artifact import is_run
    from nlptl.runs.folder import whole_run
    from nlptl.versions import run_of_version

    found = whole_run(run_folder(parameter, path))
    if not is_run(found):
        raise ConfigError(f"RUN: {found} is no run; expected the folder of a run, which holds pipeline.yaml. Give one.")
    if (run := run_of_version(found)) != found:
        run = Path(os.path.relpath(run))
        raise ConfigError(f"RUN: {found} is a version of the run {run}; expected the run itself. Give {run}.")
    return found


def _check_runs_inside(folder: Path) -> None:
    """Raise ConfigError for a folder that is no run, but holds some."""
    from nlptl.artifact import RUN_SETTINGS
    from nlptl.disk.ownership import MANIFEST

    if any(os.path.lexists(folder / name) for name in (RUN_SETTINGS, MANIFEST)):
        return
    inside = sorted(path for path in folder.glob("*") if os.path.isfile(path / RUN_SETTINGS))
    if inside:
        more = f", one of {len(inside)}" if len(inside) > 1 else ""
        raise ConfigError(f"RUN: {folder} is no run, but holds some. Give a run in it, such as {inside[0]}{more}.")


def check_place(path: Path | None, option: str) -> None:
    """Raise ConfigError if a file is to be written where a folder stands, or into a folder that is missing."""
    if path is None:
        return
    if str(path) == "-":
        raise ConfigError(f"{option}: found -, which is no name of stdout here; expected a file. Name a file.")
    if os.path.isdir(path):
        raise ConfigError(f"{option}: {path} is a folder; expected a file to write. Name a file in it.")
    if os.path.lexists(path) and not os.path.isfile(path):
        raise ConfigError(f"{option}: {path} is a device, a pipe or a broken link; expected a file. Name a file.")
    if not os.path.isdir(path.parent):
        raise ConfigError(f"{option}: {path.parent} is no folder; expected one to write {path.name} in. Make it first.")


group = functools.partial(
    typer.Typer, subcommand_metavar="COMMAND", no_args_is_help=True, rich_markup_mode=None, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
argument = functools.partial(typer.Argument, show_default=False)
option = functools.partial(typer.Option, show_default=False)
path_argument = functools.partial(
    argument, callback=usable_path, readable=False
)  # The reader reports why a path cannot be read.
path_option = functools.partial(option, callback=usable_path, readable=False)

PipelineArgument = Annotated[
    Path,
    path_argument(metavar="PIPELINE", help="The pipeline's YAML file.", autocompletion=complete_pipelines),
]
run_argument = functools.partial(argument, metavar="RUN", readable=False, autocompletion=complete_runs)
WITH_VERSIONS = "The folder of a run with all its versions."
RunArgument = Annotated[Path, run_argument(callback=run_in_use, help="The folder of a run or of one of its stages.")]
VersionedRunArgument = Annotated[Path, run_argument(callback=run_folder, help=WITH_VERSIONS)]
RefreshableRunArgument = Annotated[Path, run_argument(callback=refreshable_run, help=WITH_VERSIONS)]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Change a setting, such as stages.0.dim=50. Repeat it for more.", metavar="PATH=VALUE",
        autocompletion=complete_assignments,
    ),
]  # fmt: skip
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Compute on this device; auto takes a GPU if there is one.")
]
PriceOption = Annotated[float | None, option(help="Print the cost, given the machine's price per hour.")]
EngineOption = Annotated[
    Literal["local", "processes", "ray"],
    typer.Option(metavar="NAME", help="Work here, in several processes, or on a Ray cluster: local, processes or ray."),
]
PileEngineOption = Annotated[
    Literal["local", "processes", "ray"],
    typer.Option(
        metavar="NAME",
        help="Work here, in several processes, or on a Ray cluster: local, processes or ray. The last two need --file and --out.",
    ),
]
AddressOption = Annotated[
    str | None, option(metavar="ADDRESS", help="Use this Ray cluster, such as auto. Default: one that is started here.")
]
WorkersOption = Annotated[int | None, option(metavar="N", help="Number of workers of the engine. Default: one a core.")]
ShardRowsOption = Annotated[
    int | None, option(metavar="N", help="Cut a pile into shards of so many rows. Default: 50,000.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print results only, no progress and no remarks.", callback=hush)
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace a file that exists.")]
TextColumn = Annotated[
    list[str] | None,
    option(metavar="NAME", help="Read the texts from this column. Repeat it to join several. Default: text."),
]
FoundTextColumn = Annotated[
    str | None, option(metavar="COLUMN", help="Read the texts from this column. Default: found.")
]
FoundLabelColumn = Annotated[
    str | None, option(metavar="COLUMN", help="Read the labels from this column. Default: found.")
]
LabelColumn = Annotated[str | None, option(metavar="NAME", help="Read the labels from this column. Default: label.")]
LabelSeparator = Annotated[
    str | None,
    option(metavar="SIGN", help="Sign between several labels of a text. Default: that of the training data, else |."),
]
InputDelimiter = Annotated[
    str | None, option(metavar="SIGN", help="Separator of the file's fields, such as ; or tab. Default: detected.")
]
QuotingOption = Annotated[
    Literal["csv", "none"] | None, option(help="Quotes in the file enclose fields, or are plain. Default: detected.")
]
EncodingOption = Annotated[
    str | None,
    option(metavar="NAME", help="Read the file in this encoding, such as cp1252 or cp932. Default: detected."),
]
NoHeader = Annotated[bool, typer.Option("--no-header", help="The first row is data; columns have numbers from 1.")]
SheetOption = Annotated[str | None, option(metavar="NAME", help="Read this sheet of a workbook. Default: the first.")]
MaxTextLength = Annotated[int | None, option(metavar="N", help="Refuse a text of more characters. Default: 5 million.")]


def _as_bytes(path: Path) -> bytes | str:
    """Return the bytes of a name that came from a command line."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # surrogates that stand for no byte
        return str(path)
