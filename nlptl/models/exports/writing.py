"""Writing an exported classifier: its graph in place of torch's weights, the rest as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl import artifact
from nlptl.disk.ownership import SETTINGS
from nlptl.errors import ConfigError
from nlptl.inference.export_settings import ONNX, ExportSettings, Format, Precision
from nlptl.inference.exported_encoder import POOLING, PROJECTION, TOKENIZER
from nlptl.models.encoder_files import save_state
from nlptl.models.exports.layer_weights import EncoderWeights
from nlptl.models.views import write_views

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder


def write_export(
    classifier: TextClassifier, folder: Path, *, format: Format, precision: Precision, source: str = ""
) -> ExportSettings:
    """Write the files of an export into an existing folder. Raises ConfigError for what has no exported form."""
    encoder = classifier.encoder
    if encoder.token_model.kind != "transformer":
        raise ConfigError("export: found word vectors; expected a transformer.")
    weights = EncoderWeights.of(encoder.transformer)
    _write_graph(weights, folder, format=format, precision=precision)
    _write_encoder(encoder, folder)
    classifier.write_head(folder)
    export = ExportSettings(
        format=format, precision=precision, dim=weights.dim, first_position=weights.first_position, source=source
    )
    export.write(folder)
    return export


def _write_graph(weights: EncoderWeights, folder: Path, *, format: Format, precision: Precision) -> None:
    from nlptl.models.exports.onnx_graph import onnx_model

    (folder / ONNX).write_bytes(onnx_model(weights).SerializeToString())


def _write_encoder(encoder: Encoder, folder: Path) -> None:
    """Write what stands around the graph: settings, tokenizer, pooling, projection, views."""
    rule = encoder.transformer.settings()["rule"]
    settings: dict[str, Any] = {
        "format_version": artifact.FORMAT_VERSION, "token_model": "exported", "pooling": encoder.pooling.mode,
        "normalized": encoder.normalized, "rule": rule,
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
