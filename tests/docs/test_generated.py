"""What scripts write is what stands in the pages: the tables, the picture, the settings, the map."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from nlptl.runs.pipeline import Pipeline

ROOT = Path(__file__).parent.parent.parent
SCRIPTS = ("tables", "reference", "commands", "module_map")
NAMES = {*SCRIPTS, "front_page", "fewshot_tables", "pile_tables"}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """Return a script that writes pages, loaded anew."""
    for folder in ("docs", "benchmarks"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    for name in NAMES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(request.param)
    for name in NAMES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("script", SCRIPTS, indirect=True)
def test_the_pages_are_current(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(check=True) == 0, capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "was", "now"),
    [
        ("tables", "8 labels a class, points above SetFit", "8 labels"),
        ("reference", "All randomness of the run derives from it.", "Chance."),
        ("commands", "Repeat it for more.", "More."),
        ("module_map", "- `errors.py`", "- `mistakes.py`"),
    ],
    indirect=["script"],
)
def test_a_page_that_differs_is_named_and_mended(
    script: ModuleType, was: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    page = ROOT / "README.md" if script.__name__ == "tables" else script.PAGE
    right = page.read_text(encoding="utf-8")
    assert was in right
    copy = tmp_path / page.name
    copy.write_text(right.replace(was, now), encoding="utf-8")
    if script.__name__ == "tables":
        monkeypatch.setattr(script, "ROOT", tmp_path)
        monkeypatch.setattr(script, "PAGES", (copy,))
        monkeypatch.setattr(script, "PICTURE", tmp_path / "few-labels.svg")
    else:
        monkeypatch.setattr(script, "PAGE", copy)
    assert script.main(check=True) == 1
    assert page.name in capsys.readouterr().err
    assert script.main(check=False) == 0
    assert copy.read_text(encoding="utf-8") == right
    assert script.main(check=True) == 0


@pytest.mark.parametrize("script", ["tables"], indirect=True)
def test_the_quickstarts_table_has_a_row_for_every_arm(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"alone": "0.5 [0.4, 0.6]", "words": "0.6 [0.5, 0.7]", "MiniLM": "0.9 [0.8, 1.0]"}
    bars = [
        {"name": f"200 reviews: difference in accuracy, {arm}", "range": gain, "arms": arms, "texts": 200,
         "better_equal_worse": [2, 1, 0]}
        for arm, gain in (("words", "0.1 [0.0, 0.2]"), ("MiniLM", "0.4 [0.3, 0.5]"))
    ]  # fmt: skip
    machine = {"cores": 2, "cpu": "made", "memory_gib": 1}
    made = {"bars": bars, "rows": [], "machine": machine, "versions": {"nlptl": "1"}, "date": "2026-01-01"}
    (tmp_path / "quickstart.json").write_text(json.dumps(made), encoding="utf-8")
    monkeypatch.setattr(script, "RESULTS", tmp_path)
    assert script.quickstart().splitlines()[2:5] == [
        "| alone | 0.5 [0.4, 0.6] |  |  |",
        "| words | 0.6 [0.5, 0.7] | 0.1 [0.0, 0.2] | 2/1/0 |",
        "| MiniLM | 0.9 [0.8, 1.0] | 0.4 [0.3, 0.5] | 2/1/0 |",
    ]


@pytest.mark.parametrize("script", ["reference"], indirect=True)
def test_the_reference_has_a_row_for_every_setting(script: ModuleType) -> None:
    page = script.PAGE.read_text(encoding="utf-8")
    found = list(script.blocks_below(script.Block(Pipeline, "pipeline", 2), set()))
    assert len(found) > 30
    for block in found:
        section = page.split(f"# {script.heading(block)}\n")[1].split("\n## ")[0].split("\n### ")[0]
        for name, field in block.model.model_fields.items():
            if block.tag is None or name != block.tag[0] or field.is_required():
                assert f"\n| `{field.alias or name}` |" in section, f"{block.title}: {name}"
                assert field.description, f"{block.title}: {name} has no docstring"
