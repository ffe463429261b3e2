"""Graphs of exported encoders: token ids to token vectors, by the library that runs the folder's format.

Shapes: N packed tokens, M segments, D dimension.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import ConfigError
from nlptl.inference.export_settings import ONNX, OPENVINO, ExportSettings
from nlptl.inference.packed_inputs import Ids, PackedInputs

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GROUP_SIZE = 128  # numbers of a token that share a scale where OpenVINO rounds them to int8

Floats = NDArray[np.float32]
WITHOUT_TELEMETRY = ("ORT_DISABLE_TELEMETRY", "1")
"""Variable by which ONNX Runtime keeps no device number and sends nothing to its maker; it reads it when it is loaded."""


class TokenGraph(Protocol):
    """Encoder without torch; threads may call it at once, and each computes alone."""

    def token_vectors(self, input_ids: Ids, lengths: Ids) -> Floats:
        """Return token vectors (N, D) of ids (N,) of segments of `lengths` (M,), all positive."""


def load_graph(folder: Path, settings: ExportSettings) -> TokenGraph:
    """Read the graph of an export. Raises ConfigError where the library that runs it is not installed."""
    if settings.format == "onnx":
        return OnnxGraph(folder / ONNX, settings)
    if settings.format == "safetensors":
        try:
            from nlptl.inference.int8.graph import Int8Transformer
        except ImportError:
            raise ConfigError(
                "numba is not installed, which compiles what multiplies the arrays of this export. Install it with "
                "`pip install numba`."
            ) from None
        return Int8Transformer.read(folder, settings)
    return OpenVinoGraph(folder / OPENVINO, settings)


def core_count() -> int:
    """Return the number of cores that this process may use, or OMP_NUM_THREADS if that is set."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class OnnxGraph:
    """Graph that ONNX Runtime computes, each call on one thread."""

    def __init__(self, path: Path, settings: ExportSettings) -> None:
        os.environ.setdefault(*WITHOUT_TELEMETRY)
        try:
            import onnxruntime
        except ImportError:
            raise _missing("onnxruntime", "onnx", "export") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session: InferenceSession = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self._first_position = settings.first_position

    def token_vectors(self, input_ids: Ids, lengths: Ids) -> Floats:
        """Return token vectors (N, D)."""
        inputs = PackedInputs.of(input_ids, lengths, first_position=self._first_position)
        return cast("Floats", self._session.run(None, inputs.feeds())[0])


class OpenVinoGraph:
    """Graph that OpenVINO computes, each call on one thread."""

    def __init__(self, path: Path, settings: ExportSettings) -> None:
        try:
            import openvino
        except ImportError:
            raise _missing("openvino", "openvino", "openvino") from None
        core, threads = openvino.Core(), core_count()
        native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._model = core.compile_model(path, "CPU", {
            "NUM_STREAMS": threads, "INFERENCE_NUM_THREADS": threads, "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "bf16" if native and settings.precision != "fp32" else "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": GROUP_SIZE if settings.precision == "int8" else 0,
        })  # fmt: skip
        self._first_position = settings.first_position
        self._own = threading.local()  # a request belongs to one thread

    def token_vectors(self, input_ids: Ids, lengths: Ids) -> Floats:
        """Return token vectors (N, D)."""
        if not hasattr(self._own, "request"):
            self._own.request = self._model.create_infer_request()
        inputs = PackedInputs.of(input_ids, lengths, first_position=self._first_position)
        return cast("Floats", next(iter(self._own.request.infer(inputs.feeds()).values())))


def _missing(library: str, format: str, extra: str) -> ConfigError:
    return ConfigError(
        f"{library} is not installed, which runs exports of the format {format}. Install it with "
        f"`pip install 'nlptl[{extra}]'`."
    )
