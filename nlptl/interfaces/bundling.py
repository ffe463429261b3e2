"""The command `bundle`: a run's classifier with all that predicts and serves it, without torch."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from nlptl.interfaces.options import ForceOption, QuietOption, RunArgument, option, path_option
from nlptl.interfaces.terminal import remark, tell
from nlptl.progress import byte_size

if TYPE_CHECKING:
    from nlptl.runs.bundle.bundle import Bundle


def bundle(
    run: RunArgument,
    out: Annotated[Path, path_option(help="Write the bundle into this folder.")],
    form: Annotated[
        Literal["folder", "wheel"],
        option(help="Write a folder, with a Dockerfile, or a wheel, which pip installs. Default: folder."),
    ] = "folder",
    name: Annotated[
        str | None, option(metavar="NAME", help="Name of the bundle, and of a wheel's command. Default: the run's.")
    ] = None,
    format: Annotated[
        Literal["onnx", "openvino", "safetensors"],
        option(metavar="FORMAT", help="Export a transformer as onnx, openvino or safetensors. Default: onnx."),
    ] = "onnx",
    precision: Annotated[
        Literal["int8", "bf16", "fp32"],
        option(metavar="PRECISION", help="Export it in int8, bf16 or fp32. Default: int8."),
    ] = "int8",
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Bundle a classifier with the code that runs it, without torch.

    RUN may be an export. A transformer that is none is exported on the way.
    """
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.bundle.bundle import bundle_run

    found = bundle_run(
        run, out, form=form, name=name, format=format, precision=precision, force=force,
        progress=progress_for(sys.stderr, quiet=quiet),
    )  # fmt: skip
    tell(bundle_lines(found))
    if not quiet:
        for line in next_lines(found):
            remark(line, wrap=False)  # a command stays on one line, to be copied


def bundle_lines(found: Bundle) -> list[str]:
    """Return what was bundled, how large it is, and what was checked."""
    from nlptl.runs.export.parity import parity_sentences

    model, code, libraries = (byte_size(1e6 * one) for one in (found.model, found.code, found.libraries))
    parity = [] if found.parity is None else ["Its model is an export of the run.", *parity_sentences(found.parity)]
    return [
        f"{found.path}: written: {model} of the model and {code} of code.",
        f"Its libraries take {libraries} more, as installed here; torch is not among them.",
        *([" ".join(parity)] if parity else []),
        f"In a process without torch it predicts what its source predicts, for {found.checked} texts.",
    ]


def next_lines(found: Bundle) -> list[str]:
    """Return the next commands."""
    path = shlex.quote(str(found.path))
    if found.form == "wheel":
        command = found.path.name.partition("-")[0].replace("_", "-")
        return ["", f"Next, in an environment of its own: pip install {path}", f"      {command} serve"]
    return [
        "",
        f"Next, in an environment of its own: pip install --requirement {path}/requirements.txt",
        f"      python {path}/run.py serve",
        f"      docker build --tag {found.name.lower()} {path}",
    ]
