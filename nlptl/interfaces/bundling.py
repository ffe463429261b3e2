"""The command `bundle`: a run's classifier with all that predicts and serves it, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from nlptl.interfaces.options import ForceOption, RunArgument, option, path_option
from nlptl.interfaces.terminal import tell

if TYPE_CHECKING:
    from nlptl.runs.bundle.bundle import Bundle


def bundle(
    run: RunArgument,
    out: Annotated[Path, path_option(help="Write the bundle into this folder.")],
    form: Annotated[
        Literal["folder", "wheel"],
        option(help="folder, with a Dockerfile, or wheel, which pip installs. Default: folder."),
    ] = "folder",
    name: Annotated[
        str | None, option(metavar="NAME", help="Name of the bundle, and of a wheel's command. Default: the run's.")
    ] = None,
    format: Annotated[
        Literal["onnx", "openvino", "safetensors"], option(help="Export a transformer in this format. Default: onnx.")
    ] = "onnx",
    precision: Annotated[
        Literal["int8", "bf16", "fp32"] | None, option(help="Export it in this precision. Default: int8.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Bundle a run's classifier with the code that runs it, so that it predicts and serves without torch.

    RUN may be an export. A transformer that is none is exported on the way.
    """
    from nlptl.runs.bundle.bundle import bundle_run

    found = bundle_run(run, out, form=form, name=name, format=format, precision=precision, force=force)
    tell([*bundle_lines(found)], wrap=False)


def bundle_lines(found: Bundle) -> Iterator[str]:
    """Yield what was bundled, how large it is, and the next commands."""
    yield from found.exported
    yield f"{found.path}: written: {found.model:.1f} MB of the model and {found.code:.1f} MB of code."
    yield f"Its libraries take {found.libraries:.0f} MB more, as installed here; torch is not among them."
    yield f"Checked: without torch it predicts the same for {found.checked} texts."
    if found.form == "wheel":
        command = found.path.name.partition("-")[0].replace("_", "-")
        yield f"Next: pip install {found.path}, in an environment of its own, then: {command} serve"
        return
    yield f"Next: pip install --requirement {found.path}/requirements.txt, in an environment of its own"
    yield f"      python {found.path}/run.py serve"
    yield f"      docker build -t {found.name.lower()} {found.path}"
