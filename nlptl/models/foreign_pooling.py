"""Pooling that a folder of sentence-transformers describes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nlptl.errors import ArtifactError
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.weight_checks import read_settings

MODES: dict[str, PoolingMode] = {"cls": "cls", "mean": "mean", "max": "max"}


def pooling_of(folder: Path) -> tuple[Pooling, bool]:
    """Return the pooling of a folder, and whether vectors are scaled to length 1. Other folders get the plain mean."""
    path = folder / "modules.json"
    if not path.is_file():
        return Pooling("mean"), False
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"{path}: cannot be read; expected a list of modules with type and path, as sentence-transformers writes it. "
            "Get the weights again."
        ) from None
    other = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if other:
        raise ArtifactError(
            f"{path}: found the module {sorted(other)[0]}; expected only Transformer, Pooling and Normalize. Choose "
            "weights without it."
        )
    settings = read_settings(folder / kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    return Pooling(_mode(path, settings)), "Normalize" in kinds


def _mode(path: Path, settings: dict[str, Any]) -> PoolingMode:
    asked = [settings["pooling_mode"]] if isinstance(settings.get("pooling_mode"), str) else [
        name.removeprefix("pooling_mode_") for name, wanted in settings.items()
        if name.startswith("pooling_mode_") and wanted is True
    ]  # fmt: skip
    mode = MODES.get(asked[0].removesuffix("_token").removesuffix("_tokens") if asked else "mean")
    if len(asked) > 1 or mode is None:
        raise ArtifactError(
            f"{path}: found the pooling {', '.join(asked)}; expected one of cls, mean, max. Choose other weights."
        )
    return mode
