"""Files of tensors before they are read: which they are, and the shapes that their headers state."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from nlptl.errors import ArtifactError
from nlptl.inference.settings_files import object_in

WEIGHTS, WEIGHTS_INDEX = "model.safetensors", "model.safetensors.index.json"
SHARD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,200}\.safetensors")
LAYER_COUNTS = ("num_hidden_layers", "num_layers", "encoder_layers", "decoder_layers", "num_decoder_layers")
MAX_EXTRA_NUMBERS = 2**22  # of a model beyond twice those of its file: an untrained pooler, tied tables

Shape = tuple[int, ...]


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold a model's weights. Raises ValueError for an index that names anything else."""
    if (folder / WEIGHTS).is_file():  # transformers prefers the one file to an index, too
        return [folder / WEIGHTS]
    if not (folder / WEIGHTS_INDEX).is_file():
        raise ValueError(f"{WEIGHTS} is missing")
    places = object_in(folder / WEIGHTS_INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{WEIGHTS_INDEX} holds no weight_map")
    names = sorted({name if isinstance(name, str) else repr(name) for name in places.values()})
    for name in names:
        if not SHARD.fullmatch(name):
            raise ValueError(f"{WEIGHTS_INDEX} names {name[:100]!r} where only .safetensors beside it are read")
        if not (folder / name).is_file():
            raise ValueError(f"{name} is missing, which {WEIGHTS_INDEX} names")
    return [folder / name for name in names]


def shapes_of(files: Iterable[Path]) -> dict[str, Shape]:
    """Return the shape of each tensor by its name. Only headers are read. Raises SafetensorError or OSError."""
    from safetensors import safe_open

    found: dict[str, Shape] = {}
    for path in files:
        with safe_open(path, framework="pt") as file:
            found.update((name, tuple(file.get_slice(name).get_shape())) for name in file.keys())  # noqa: SIM118
    return found


def check_shapes(path: Path, expected: Mapping[str, Shape], *, what: str) -> None:
    """Raise ArtifactError unless a file holds tensors of these shapes, before anything of their size is made."""
    from safetensors import SafetensorError

    try:
        found = shapes_of([path])
    except (OSError, SafetensorError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is no whole safetensors file"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None
    if any(found.get(name) != shape for name, shape in expected.items()):
        raise ArtifactError(f"{path}: does not fit {what}; the folder is damaged. Run the stage again.")


def check_layers(config: Any, shapes: Mapping[str, Shape]) -> None:
    """Raise ValueError if transformers' settings ask for more layers than the weights have."""
    numbers = [int(part) for name in shapes for part in name.split(".") if part.isdecimal() and len(part) < 7]
    layers, asked = max(numbers, default=-1) + 1, [getattr(config, name, None) or 0 for name in LAYER_COUNTS]
    if max(asked) > layers:
        raise ValueError(f"config.json asks for {max(asked)} layers where the weights have {layers}")


def check_model(model: Any, shapes: Mapping[str, Shape]) -> None:
    """Raise ValueError if a model without memory, on torch's device meta, does not fit the weights' shapes."""
    wanted = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    prefix = model.base_model_prefix + "."
    other = [
        (name, found, shape)
        for name, shape in wanted.items()
        if (found := shapes.get(name, shapes.get(prefix + name))) not in (None, shape)
    ]
    if other:
        name, found, shape = min(other)
        raise ValueError(f"{name} is {found} where config.json asks for {shape}")
    numbers, held = (sum(map(math.prod, shapes.values())) for shapes in (wanted, shapes))
    if numbers > 2 * held + MAX_EXTRA_NUMBERS:
        raise ValueError(f"config.json asks for {numbers:,} numbers where the weights hold {held:,}")
