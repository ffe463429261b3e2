"""How a damaged published folder is made again: by a stage, an export or a bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from nlptl.config import MAX_JSON, load_json
from nlptl.disk.ownership import MANIFEST
from nlptl.errors import ConfigError

EXPORT = "export.json"  # in the folder of every export


def made_again(folder: Path, names: Collection[str] = ()) -> str:
    """Return the sentence that names what makes a folder again, whose manifest lists the files `names`, if it can be read."""
    if _is_bundle(folder) or _is_bundle(folder.parent) or _is_in_wheel(folder):
        return "Bundle it again."
    if EXPORT in names or (folder / EXPORT).is_file():
        return "Export the run again."
    return "Run the stage again."


def _is_bundle(folder: Path) -> bool:
    with contextlib.suppress(OSError, ValueError, RecursionError, ConfigError):
        found = load_json(folder / MANIFEST, most=MAX_JSON)
        return isinstance(found, dict) and found.get("kind") == "bundle"
    return False


def _is_in_wheel(folder: Path) -> bool:
    """Return whether a folder is the model of a module that a wheel has installed."""
    return folder.name == "model" and (folder.parent / "__main__.py").is_file()
