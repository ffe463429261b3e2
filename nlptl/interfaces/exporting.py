"""The command `export`: a run's classifier as files that run without torch, and faster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from nlptl.interfaces.options import ForceOption, RunArgument, option, path_option
from nlptl.interfaces.terminal import tell


def export(
    run: RunArgument,
    format: Annotated[
        Literal["onnx", "openvino", "safetensors"],
        option(help="What runs it: onnx (ONNX Runtime), openvino (OpenVINO), or safetensors (nlptl's own code)."),
    ],
    out: Annotated[Path, path_option(help="Write the export into this folder.")],
    precision: Annotated[
        Literal["int8", "bf16", "fp32"] | None, option(help="Precision of the products: int8, bf16 or fp32.")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Export a run's classifier, so that it runs without torch."""
    from nlptl.runs.export.export import export_run

    tell([*export_run(run, out, format=format, precision=precision or "fp32", force=force)], wrap=False)
