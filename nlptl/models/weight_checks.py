"""Checks of a folder of weights before anything is loaded: nothing unsafe, nothing unsupported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nlptl.errors import ArtifactError, ConfigError
from nlptl.models.architectures import ARCHITECTURES
from nlptl.models.word_vectors import WORD_VECTORS

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack")


def check_files(name: str, folder: Path, where: str) -> None:
    """Raise ConfigError unless `folder` holds a plain encoder of a supported architecture as safetensors."""
    files = [path.name for path in folder.iterdir()]
    at = f"{where}.weights: {name}"
    if WORD_VECTORS in files:
        raise ConfigError(f"{at}: found word vectors; expected a transformer. Use the stage skipgram with them.")
    if "config.json" not in files:
        raise ConfigError(f"{at}: found no config.json; expected an encoder in transformers' layout. Check the folder.")
    if "adapter_config.json" in files:
        raise ConfigError(
            f"{at}: found an adapter beside the encoder, which transformers would apply to it; expected a plain encoder. "
            "Merge the adapter with PEFT's merge_and_unload and save the result."
        )
    refuse_pickles(name, files, where)
    try:
        kind = read_settings(folder / "config.json").get("model_type")
    except ArtifactError as error:
        raise ConfigError(f"{where}.weights: {error}") from None
    if kind not in ARCHITECTURES:
        raise ConfigError(
            f"{at}: found an encoder of type {kind!r}; expected one of {', '.join(ARCHITECTURES)}. Choose weights of one "
            "of them."
        )


def refuse_pickles(name: str, files: Sequence[str], where: str) -> None:
    """Raise ConfigError for weights without safetensors, and name the pickle if there is one."""
    if any(file.endswith(".safetensors") for file in files):
        return
    pickles = sorted(file for file in files if file.endswith(PICKLES))
    if pickles:
        raise ConfigError(
            f"{where}.weights: {name}: found {pickles[0]} and no safetensors; a pickle can run code when it is opened, "
            "so it is never read. Load it where you trust it and write it with save_pretrained(folder), which gives "
            "model.safetensors."
        )
    raise ConfigError(
        f"{where}.weights: {name}: found no weights; expected model.safetensors beside config.json. Get them again."
    )


def check_max_length(name: str, folder: Path, max_length: int, *, where: str) -> None:
    """Raise ConfigError if `max_length` exceeds the positions that config.json states."""
    config = read_settings(folder / "config.json")
    embeddings = config.get("max_position_embeddings")
    if not isinstance(embeddings, int):
        return
    most = ARCHITECTURES[config["model_type"]].positions(embeddings, config.get("pad_token_id", 1))
    if max_length > most:
        raise ConfigError(
            f"{where}.max_length: found {max_length}; expected at most {most}, since {name} has no more positions. "
            "Lower it."
        )


def read_settings(path: Path) -> dict[str, Any]:
    """Read a JSON object of weights. Raises ArtifactError if it cannot be read."""
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {**found}
    except (OSError, ValueError, TypeError):
        raise ArtifactError(
            f"{path}: cannot be read; expected settings as a JSON object. Get the weights again."
        ) from None
