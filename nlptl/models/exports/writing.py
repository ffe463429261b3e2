"""Writing an exported classifier: its graph in place of torch's weights, the rest as it is."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.numpy import save_file

from nlptl import artifact
from nlptl.disk.ownership import SETTINGS
from nlptl.errors import ConfigError
from nlptl.inference.export_settings import ARRAYS, ONNX, OPENVINO, ExportSettings, Format, Precision
from nlptl.inference.file_names import POOLING, PROJECTION, TOKENIZER
from nlptl.inference.segmenter import segmenter_settings
from nlptl.inference.segmenting import segmenter_of
from nlptl.models.encoder_files import save_state
from nlptl.models.exports.int8_arrays import array_settings, int8_arrays
from nlptl.models.exports.layer_weights import EncoderWeights, check_exportable
from nlptl.models.views import write_views

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder


def write_export(
    classifier: TextClassifier, folder: Path, *, format: Format, precision: Precision, source: str = ""
) -> ExportSettings:
    """Write the files of an export into an existing folder. Raises ConfigError for what has no exported form."""
    encoder, width = classifier.encoder, classifier.encoder.token_model.dim
    check_encoder(encoder, format, precision)
    first_position, arrays = 0, None
    if encoder.trainable_kind == "word_vectors":
        encoder.write_parts(folder)
    else:
        weights = EncoderWeights.of(encoder.transformer)
        first_position = weights.first_position
        if format == "safetensors":
            save_file(int8_arrays(weights), folder / ARRAYS)
            arrays = array_settings(weights)
        else:
            _write_graph(weights, folder, format=format, precision=precision)
        _write_encoder(encoder, folder)
    classifier.write_head(folder)
    export = ExportSettings(
        format=format, precision=precision, dim=width, first_position=first_position, arrays=arrays, source=source
    )
    export.write(folder)
    return export


def check_encoder(encoder: Encoder, format: Format, precision: Precision) -> None:
    """Raise ConfigError for an encoder that a format does not hold."""
    if encoder.trainable_kind == "transformer":
        if format == "safetensors" and precision != "int8":
            raise ConfigError(
                f"--precision: found {precision}, but safetensors holds a transformer in int8 alone; expected that. Drop it, or "
                "choose --format onnx or openvino."
            )
        check_exportable(encoder.transformer)
    elif format == "safetensors" and precision != "fp32":
        raise ConfigError(
            f"--precision: found {precision}, but word vectors and n-grams have no products to round; expected fp32. Drop it."
        )
    elif format != "safetensors":
        raise ConfigError(
            f"--format: found {format} in {precision}, but word vectors and n-grams have no graph and no products; expected "
            "safetensors in fp32. Add --format safetensors."
        )


def check_format(format: Format, precision: Precision) -> None:
    """Raise ConfigError for a precision that a format has not, and for libraries that are not installed."""
    if format == "onnx" and precision == "bf16":
        raise ConfigError(
            "--precision: found bf16, in which ONNX Runtime multiplies nothing on a CPU; expected int8 or fp32 with --format "
            "onnx. Choose one, or --format openvino."
        )
    needed = {"onnx": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino"), "safetensors": ()}[format]
    if missing := [name for name in needed if find_spec(name) is None]:
        extras = "export,openvino" if format == "openvino" else "export"
        raise ConfigError(
            f"--format: found {format}, for which {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing. "
            f"Install what it needs with `pip install 'nlptl[{extras}]'`."
        )


def _write_graph(weights: EncoderWeights, folder: Path, *, format: Format, precision: Precision) -> None:
    from nlptl.models.exports.onnx_graph import Graph, Int8Graph, Int8WeightsGraph, onnx_model

    if format == "onnx":
        model = onnx_model(weights, Int8Graph() if precision == "int8" else Graph())
        (folder / ONNX).write_bytes(model.SerializeToString())
        return
    import openvino

    model = onnx_model(weights, Int8WeightsGraph() if precision == "int8" else Graph())
    read = openvino.Core().read_model(model.SerializeToString())
    openvino.save_model(read, folder / OPENVINO, compress_to_fp16=precision == "bf16")


def _write_encoder(encoder: Encoder, folder: Path) -> None:
    """Write what stands around the graph: settings, tokenizer, pooling, projection, views."""
    rule = encoder.transformer.settings()["rule"]
    settings: dict[str, Any] = {
        "format_version": artifact.FORMAT_VERSION, "token_model": "exported", "pooling": encoder.pooling.mode,
        "normalized": encoder.normalized, "rule": rule, **segmenter_settings(segmenter_of(encoder.tokenizer)),
    }  # fmt: skip
    save_state(encoder.pooling, folder / POOLING)
    if encoder.projection is not None:
        settings["projection"] = list(encoder.projection.activations)
        save_state(encoder.projection, folder / PROJECTION)
    if encoder.kept_dim is not None:
        settings["kept_dim"] = encoder.kept_dim
    if encoder.views:
        settings["views"] = write_views(encoder.views, folder)
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    (folder / TOKENIZER).write_text(encoder.tokenizer.to_str(pretty=False), encoding="utf-8")
