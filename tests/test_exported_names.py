"""The names that `nlptl` exports: listed, sorted, importable, and light to import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nlptl

SERVERS = {"aiohttp", "fastapi", "flask", "http.server", "starlette", "tornado", "uvicorn"}


def test_the_list_names_what_loads_and_what_types_see() -> None:
    assert nlptl.__all__ == sorted(nlptl.__all__)
    loaded = [name for name in nlptl.__all__ if name != "__version__"]
    assert list(nlptl._MODULES) == loaded
    source = ast.parse(Path(nlptl.__file__).read_text(encoding="utf-8"))
    seen_by_types = {
        alias.name: statement.module
        for block in source.body
        if isinstance(block, ast.If)
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert seen_by_types == nlptl._MODULES


@pytest.mark.parametrize("name", nlptl.__all__)
def test_each_name_loads_its_object(name: str) -> None:
    value = getattr(nlptl, name)
    assert name == "__version__" or value.__name__ == name
    assert name in dir(nlptl)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match=r"^module 'nlptl' has no attribute 'Pipelines'$"):
        _ = nlptl.Pipelines  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("statement", "kept_out"),
    [
        ("import nlptl", {"torch", "transformers", "datasets", "pydantic"}),
        ("from nlptl.stages.skipgram import SkipGram", {"transformers", *SERVERS}),
    ],
)
def test_what_an_import_does_not_load(statement: str, kept_out: set[str]) -> None:
    code = f"import sys; {statement}; print(*sorted({kept_out!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
