"""A published folder for tests: one file that says hello, and the sentence of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish
from nlptl.errors import ArtifactError


def write_hello(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("hello", encoding="utf-8")


def read_hello(folder: Path) -> str:
    return (folder / "tokenizer.json").read_text(encoding="utf-8")


def published(folder: Path) -> Path:
    publish(folder, write_hello, Manifest(kind="encoder"))
    return folder


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ArtifactError) as caught:
        call()
    return str(caught.value)
