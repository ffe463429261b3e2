"""What an exported folder says of itself: export.json, and the names of its files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

from pydantic import Field

from nlptl.artifact import check_seal, read_json, sealed
from nlptl.config import Config, parse
from nlptl.disk.remaking import EXPORT, made_again
from nlptl.errors import ArtifactError, ConfigError

FILE = EXPORT
ONNX, OPENVINO, OPENVINO_WEIGHTS, ARRAYS = "encoder.onnx", "encoder.xml", "encoder.bin", "encoder.safetensors"
Format = Literal["onnx", "openvino", "safetensors"]
Precision = Literal["int8", "bf16", "fp32"]
FORMATS: tuple[Format, ...] = get_args(Format)
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
GRAPH_FILES = frozenset({ONNX, OPENVINO, OPENVINO_WEIGHTS, ARRAYS})


class AccuracyParity(Config):
    """Accuracy of an export and of its source on the same texts, and their difference with its interval."""

    source: float
    export: float
    difference: float
    low: float
    high: float


class Parity(Config):
    """What an export and its source predict of the same real texts."""

    texts: int
    told: str
    """Which texts, such as "of the run's test texts"."""
    flips: int
    """Texts whose label differs."""
    largest_difference: float
    """Of any probability."""
    accuracy: AccuracyParity | None
    """None where the texts have no labels that the classifier knows."""


class ArraySettings(Config):
    """Shape of a transformer whose weights are arrays."""

    heads: int = Field(ge=0, le=1024)
    layers: int = Field(ge=0, le=512)
    activation: Literal["gelu", "gelu_tanh", "relu"] = "gelu"
    averaged: bool = False
    """Whether token vectors are the mean over the layers, and not those of the last one."""


class ExportSettings(Config):
    """Content of export.json."""

    format: Format
    precision: Precision
    dim: int
    """Width of the token vectors."""
    first_position: int = 0
    """Position of a text's first token."""
    arrays: ArraySettings | None = None
    """Of a transformer in safetensors."""
    source: str = ""
    """Digest of the manifest of the classifier that was exported."""
    parity: Parity | None = None
    """Comparison of both, before the export was published."""

    def write(self, folder: Path) -> None:
        """Write the file with its digest into a folder."""
        import json

        text = json.dumps(sealed(self.model_dump(mode="json")), indent=2, ensure_ascii=False)
        (folder / FILE).write_text(text + "\n", encoding="utf-8")


def is_export(folder: Path) -> bool:
    """Return whether a folder is that of an export."""
    return (folder / FILE).is_file()


def read_export(folder: Path) -> ExportSettings:
    """Read export.json of a verified folder. Raises ArtifactError where it is missing or damaged."""
    from nlptl.artifact import unsealed

    raw = read_json(folder / FILE)
    try:
        check_seal(folder / FILE, raw, remedy=made_again(folder))
        return parse(ExportSettings, unsealed(raw), where=str(folder / FILE))
    except (ConfigError, AttributeError, TypeError):
        raise ArtifactError(
            f"{folder / FILE}: is not what an export writes; the folder is damaged. Export the run again."
        ) from None
