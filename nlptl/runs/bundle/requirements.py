"""What a bundle needs installed, what it must do without, and how large that is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from nlptl.inference.segmenter import WordCutter, packages_of

PREDICT = (
    "numpy>=2.0", "tokenizers>=0.22", "safetensors>=0.5", "pydantic>=2.12", "PyYAML>=6.0", "typer>=0.20", "rich>=14.0",
)  # fmt: skip
GRAPHS = {"onnx": "onnxruntime>=1.24", "openvino": "openvino>=2026.0"}  # what runs each format of an export
SERVE = (
    "fastapi>=0.120", "uvicorn>=0.38", "uvloop>=0.21; sys_platform != 'win32'", "httptools>=0.6", "prometheus-client>=0.22",
    "python-multipart>=0.0.20",
)  # fmt: skip
TRAINING_ONLY = frozenset({
    "accelerate", "datasets", "evaluate", "gensim", "jinja2", "numba", "onnx", "onnxscript", "nncf", "pandas", "peft", "pyarrow",
    "ray", "scipy", "sklearn", "torch", "transformers", "triton",
})  # fmt: skip
"""Top-level modules that a bundle runs without. pyarrow reads Parquet alone, which a person may install beside it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRAS = re.compile(
    r"""extra\s*==|(?:sys_platform|platform_system|os_name)\s*==\s*['"](?:win32|Windows|nt|emscripten)"""
)


def requirements(format: str | None, segmenters: Sequence[WordCutter] = ()) -> list[str]:
    """Return the requirements of a bundle whose model has this format of an export; None for word vectors and n-grams.

    `segmenters` are all that cut words in it. The dictionary of each is that by which the words were cut.
    """
    graph = [GRAPHS[format]] if format in GRAPHS else []
    return [*PREDICT, *graph, *packages_of(segmenters), *SERVE]


def checked_versions(lines: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each required distribution, by its name."""
    found = ((name, _distribution(name)) for line in lines if (name := _name(line)))
    return {name: one.version for name, one in found if one is not None}


def installed_megabytes(lines: Sequence[str]) -> float:
    """Return the size of what the requirements bring, with all that these require, as installed here."""
    waiting, seen, size = [_name(line) for line in lines], set[str](), 0
    while waiting:
        name = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        one = None if key in seen else _distribution(name)
        seen.add(key)
        if one is None:
            continue
        waiting += [_name(line) for line in one.requires or () if not _EXTRAS.search(line)]
        size += sum(_size_of(one, file) for file in one.files or ())
    return size / 1e6


def _name(line: str) -> str:
    """Return the name of the distribution that a requirement begins with."""
    found = _NAME.match(line.strip())
    return found.group() if found else ""


def _distribution(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        return None


def _size_of(one: Distribution, file: object) -> int:
    try:
        return Path(str(one.locate_file(str(file)))).stat().st_size
    except OSError:
        return 0
