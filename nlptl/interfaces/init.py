"""The command `init`: a commented pipeline file for a task, to fill in."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated

from nlptl.errors import ConfigError
from nlptl.interfaces.options import argument, check_place, path_option
from nlptl.interfaces.terminal import remark, tell

_SUFFIXES = (".yaml", ".yml")


def task_files() -> Mapping[str, str]:
    """Return the pipeline file of each task, by the task's name. Its first line says what the task is."""
    folder = files("nlptl.interfaces") / "tasks"
    found = sorted((one for one in folder.iterdir() if one.name.endswith(".yaml")), key=lambda one: one.name)
    return {one.name.removesuffix(".yaml"): one.read_text(encoding="utf-8") for one in found}


def task_names(incomplete: str) -> list[str]:
    """Return the tasks whose names begin so, for the shell."""
    return [name for name in task_files() if name.startswith(incomplete)]


def init(
    task: Annotated[
        str | None,
        argument(metavar="TASK", help="What you have. Without it, the tasks are listed.", autocompletion=task_names),
    ] = None,
    out: Annotated[Path | None, path_option(help="Write this file instead of TASK.yaml.")] = None,
) -> None:
    """Write a commented pipeline file to fill in."""
    from nlptl.disk.drafts import write_text_atomically

    tasks = task_files()
    if task is None and out is not None:
        raise ConfigError(f"TASK: found --out without a task; expected one of {', '.join(tasks)}. Give one.")
    if task is None:
        tell(line for name, text in tasks.items() for line in (f"{name}", f"  {_summary(text)}"))
        return
    if task not in tasks:
        from nlptl.config import did_you_mean

        known = ", ".join(tasks)
        raise ConfigError(f"TASK: found {task!r}; expected one of {known}.{did_you_mean(task, tasks)} Give one.")
    path = out or Path(f"{task}.yaml")
    check_place(path, "--out")
    if path.suffix not in ("", *_SUFFIXES):
        raise ConfigError(
            f"--out: found {path}; expected a name that ends in .yaml, as of a pipeline file. Write {path.with_suffix('.yaml')}."
        )
    if os.path.lexists(path):
        raise ConfigError(f"--out: {path} exists, and no file is replaced; expected a new one. Name another one.")
    write_text_atomically(path, _schema_line(path.parent) + tasks[task])
    remark(f"{path}: written. Put your own files under data:, then check it:")
    remark(f"  nlptl check {_in_shell(path)}", wrap=False)


def _in_shell(path: Path) -> str:
    """Return a path as an argument of a shell, which is no option."""
    return shlex.quote(f"./{path}" if str(path).startswith("-") else str(path))


def _summary(text: str) -> str:
    return text.split("\n", 1)[0].removeprefix("# ")


def _schema_line(folder: Path) -> str:
    """Return the line that names the schema to an editor, where the schema stands beside the file."""
    from nlptl.interfaces.pipeline_schema import FILE_NAME, schema_line

    return schema_line(Path(FILE_NAME)) if (folder / FILE_NAME).is_file() else ""
