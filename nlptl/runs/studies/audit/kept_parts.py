"""Parts of an audit, each kept as a file as soon as it is computed, so that a killed audit goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import digest_of
from nlptl.disk.drafts import write_atomically

SCORES = "scores"  # folder of the parts, beside the tables
VERSION = 1  # of what the parts hold; more makes all of them anew

Arrays = Mapping[str, NDArray[Any]]


class KeptParts:
    """Parts in a folder: safetensors files, each with the digest of what it depends on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._used: set[str] = set()

    def of(self, name: str, depends_on: object, make: Callable[[], Arrays]) -> Arrays:
        """Return the part of this name: the kept one if it depends on the same, else what `make` returns."""
        found = self.known(name, depends_on)
        return self.add(name, depends_on, make()) if found is None else found

    def known(self, name: str, depends_on: object) -> Arrays | None:
        """Return the kept part of this name, if it depends on the same."""
        self._used.add(self._path(name).name)
        return _read(self._path(name), _identity(name, depends_on))

    def add(self, name: str, depends_on: object, made: Arrays) -> Arrays:
        """Keep a part that was made, and return it."""
        from safetensors.numpy import save

        made = {key: np.ascontiguousarray(value) for key, value in made.items()}
        self._folder.mkdir(parents=True, exist_ok=True)
        content = save(dict(made), metadata={"identity": _identity(name, depends_on)})
        write_atomically(self._path(name), lambda file: file.write(content))
        return made

    def remove_others(self) -> None:
        """Remove the parts that nobody has asked for."""
        for path in self._folder.glob("*.safetensors"):
            if path.name not in self._used:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"


def _identity(name: str, depends_on: object) -> str:
    return digest_of([VERSION, name, depends_on])


def _read(path: Path, identity: str) -> Arrays | None:
    """Return the arrays of a whole file of this identity."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            if (file.metadata() or {}).get("identity") != identity:
                return None
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, json.JSONDecodeError):
        return None  # cut off or damaged: made again
