"""The command `schema`: the JSON schema of the pipeline file, for editors."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from nlptl.errors import ConfigError
from nlptl.interfaces.options import check_place, path_option
from nlptl.interfaces.terminal import print_exactly, remark


def schema(out: Annotated[Path | None, path_option(help="Write this file instead of stdout.")] = None) -> None:
    """Write the JSON schema of the pipeline file.

    An editor completes and explains the settings by it.
    """
    from nlptl.disk.drafts import write_text_atomically
    from nlptl.interfaces.pipeline_schema import schema_line, schema_text

    if out is None:
        print_exactly([schema_text()])
        return
    _check_replaceable(out)
    write_text_atomically(out, schema_text())
    if re.search(r"\s", out.name):
        remark(f"{out}: written. No line in a pipeline file can name it to an editor: its name has a blank.")
        return
    remark(f"{out}: written. For VS Code's YAML extension, begin a pipeline file beside it with this line:")
    remark(schema_line(Path(out.name)).rstrip("\n"), wrap=False)


def _check_replaceable(out: Path) -> None:
    """Raise ConfigError for a place that is not free and holds no schema of nlptl, such as a pipeline file in JSON."""
    from nlptl.interfaces.pipeline_schema import FILE_NAME, is_schema

    if out.suffix != ".json":
        raise ConfigError(f"--out: found {out}; expected a name that ends in .json. Write {FILE_NAME}.")
    check_place(out, "--out")
    if out.exists() and not is_schema(out):
        raise ConfigError(
            f"--out: {out} exists, and is no schema of nlptl; nothing was overwritten. Name another file, such as {FILE_NAME}."
        )
