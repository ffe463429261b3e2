"""Every page is true when it is followed: its code runs, its commands do what they say, its outputs look as it shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.docs.page_commands import NOT_RUN, STANDS_FOR, as_typed, why_not_run
from tests.docs.pages import pages, pieces, read
from tests.docs.reader import MadeRuns, Reader
from tests.interfaces.commands import Shell

PAGES = [page for page in pages() if any(piece.kind != "prose" for piece in pieces(read(page)))]


@pytest.fixture(scope="session")
def made_runs(tmp_path_factory: pytest.TempPathFactory) -> MadeRuns:
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-runs"
    folder.mkdir(exist_ok=True)
    return MadeRuns(folder)


@pytest.mark.docs
@pytest.mark.parametrize("page", PAGES)
def test_a_reader_can_follow_the_page(
    page: str, tmp_path: Path, made_runs: MadeRuns, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Reader(page, tmp_path / "checkout", made_runs, shell, monkeypatch).read()
    assert faults == [], "\n\n".join(faults)


def test_what_is_not_run_stands_on_a_page() -> None:
    used = set()
    for page in pages():
        for piece in pieces(read(page)):
            used.add(why_not_run(page, piece.text if piece.kind == "command" else f"```{piece.kind}"))
    assert sorted(NOT_RUN.keys() - used) == []


def test_what_stands_for_something_stands_on_a_page() -> None:
    typed = [piece.text for page in pages() for piece in pieces(read(page)) if piece.kind in ("command", "yaml")]
    assert [old for old in STANDS_FOR if not any(old in one for one in typed)] == []


def test_a_command_is_typed_with_what_stands_for_its_words() -> None:
    assert as_typed("nlptl show runs/NAME --minutes 3") == "nlptl show runs/words --minutes 0.2"
