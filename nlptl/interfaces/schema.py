"""The command `schema`: the JSON schema of the pipeline file, for editors."""

from __future__ import annotations

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
    from nlptl.interfaces.pipeline_schema import FILE_NAME, schema_line, schema_text

    if out is None:
        print_exactly([schema_text()])
        return
    if out.suffix != ".json":  # a file of the same name is replaced, and a pipeline file must not be
        raise ConfigError(f"--out: found {out}; expected a name that ends in .json. Write {FILE_NAME}.")
    check_place(out, "--out")
    write_text_atomically(out, schema_text())
    remark(f"{out}: written. For VS Code's YAML extension, begin a pipeline file beside it with this line:")
    remark(schema_line(Path(out.name)).rstrip("\n"), wrap=False)
