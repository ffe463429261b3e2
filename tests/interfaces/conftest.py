"""What the tests of the command line share: a shell, one small classifier of a second, and a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nlptl.data import TextData
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="session")
def small_classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a classifier of two labels over word vectors."""
    folder = tmp_path_factory.mktemp("small") / "classifier"
    data = TextData(unlabelled=small_reviews(60)[0], labelled=small_reviews(12))
    encoder = SkipGram(dim=16, min_count=1, epochs=20, window=10).run(data=data)
    head = ClassificationHead().run(encoder, data=data)
    FineTune(update={"method": "head", "solver": "logistic"}).run(head, data=data).save(folder)
    return folder


@pytest.fixture(scope="session")
def nasty_classifier(small_classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the same classifier under labels that a terminal, a spreadsheet or a wide script would trip over."""
    folder = tmp_path_factory.mktemp("nasty") / "classifier"
    given = TextClassifier.load(small_classifier)
    TextClassifier(given.encoder, given.head, ["\x1b[31mred\x07", "=cmd()\u202e\x9b"]).save(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Lend Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is missing: pip install 'nlptl[browser]'"
    )
    if BROWSER is None:
        pytest.skip("Chromium is missing: apt-get install chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=BROWSER, args=OPTIONS)
        yield opened
        opened.close()
