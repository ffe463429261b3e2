"""The command `export`: a run's classifier as files that run without torch, and faster."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from nlptl.interfaces.options import ForceOption, QuietOption, RunArgument, option, path_option
from nlptl.interfaces.terminal import remark, tell
from nlptl.progress import byte_size

if TYPE_CHECKING:
    from nlptl.runs.export.export import Exported


def export(
    run: RunArgument,
    out: Annotated[Path, path_option(help="Write the export into this folder.")],
    format: Annotated[
        Literal["onnx", "openvino", "safetensors"] | None,
        option(
            metavar="NAME",
            help="Write for nlptl's own code (safetensors), for onnx or for openvino. Default: the fastest here.",
        ),
    ] = None,
    precision: Annotated[
        Literal["int8", "bf16", "fp32"] | None,
        option(metavar="NAME", help="Multiply in int8, bf16 or fp32: less is faster and smaller. Default: int8."),
    ] = None,
    force: ForceOption = False,
    quiet: QuietOption = False,
) -> None:
    """Export a classifier: it runs faster, and without torch.

    Run and export predict the same real texts before the export is written. It is refused where its accuracy is more than .3 points
    worse, or where too many labels differ. Use the folder in place of the run: predict, explain, evaluate.
    """
    from nlptl.interfaces.console import progress_for
    from nlptl.runs.export.export import export_run

    done = export_run(
        run, out, format=format, precision=precision, force=force,
        progress=progress_for(sys.stderr, quiet=quiet),
    )  # fmt: skip
    tell(export_lines(done))
    if not quiet:
        for line in ("", f'Next: nlptl predict {shlex.quote(str(out))} "A text of your own."'):
            remark(line, wrap=False)


def export_lines(done: Exported) -> list[str]:
    """Return what came out of an export, as lines."""
    from nlptl.runs.export.parity import parity_sentences

    settings = done.settings
    return [
        f"{done.folder}: written, {settings.format} {settings.precision}. {byte_size(1e6 * done.megabytes)}, "
        f"the run {byte_size(1e6 * done.source_megabytes)}.",
        *parity_sentences(done.parity),
        f"These texts took {done.seconds:.1f} s, by the run {done.source_seconds:.1f} s.",
    ]
