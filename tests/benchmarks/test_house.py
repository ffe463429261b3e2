"""The counts of the package: each on a package that is small enough to count by hand."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def house(bench: Any) -> ModuleType:
    found: ModuleType = bench("house")
    return found


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "room").mkdir(parents=True)
    (folder / "one.py").write_text('"""Two words. And here three."""\n\n\nclass Twice:\n    """Noun."""\n')
    (folder / "room" / "one.py").write_text(
        "class Twice:\n    size: int\n    '''It `is a` number.'''\n\n\ndef test(x):\n    return isinstance(x, Twice | int)\n"
    )
    return folder


def test_names_that_recur(house: ModuleType, package: Path) -> None:
    modules = house.read_modules(package)
    assert house.repeated("", house.class_homes(modules)).where == ["Twice: one.py, room/one.py"]
    assert house.repeated("", house.module_homes(modules)).where == ["one.py: one.py, room/one.py"]


def test_words_of_sentences_and_lines_of_functions(house: ModuleType, package: Path) -> None:
    modules = house.read_modules(package)
    assert sorted(house.all_words(modules)) == [1, 2, 3, 3]
    assert [module.lines for module in modules] == [5, 7]
    assert house.longest_function(modules).where == ["room/one.py: test 2"]


def test_isinstance_counts_outside_the_members_own_module(house: ModuleType, package: Path) -> None:
    text = "def f(x, union):\n    return isinstance(x, Twice | int) or isinstance(x, (int, union.Once))\n"
    (package / "foreign.py").write_text(f"from small.room.one import Twice\n{text}")
    (package / "other.py").write_text(f"from elsewhere import Twice\n{text}")
    members = {"Twice": "small.room.one", "Once": "small.room.two"}
    found = house.tests_of(members, house.read_modules(package))
    assert found == ["foreign.py:3: Twice", "foreign.py:3: Once", "other.py:3: Once"]


def test_circles_and_climbs(house: ModuleType) -> None:
    edges = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}
    assert sorted(map(sorted, house.strongly_connected(edges))) == [["a", "b", "c"], ["d"]]
    contract = {"containers": ["p"], "layers": ["top", "left | right", "ground"]}
    assert not house.is_climb("p.top.x", "p.ground", contract)
    assert house.is_climb("p.ground", "p.top.x", contract)
    assert house.is_climb("p.left", "p.right.y", contract)
    assert not house.is_climb("p.left.x", "p.left.y", contract)
    assert not house.is_climb("other", "p.top", contract)


def test_the_script_counts_the_package(house: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    result = json.loads(house.main().read_text(encoding="utf-8"))
    bars = {bar["name"]: bar for bar in result["bars"]}
    assert bars["lines of the package"]["value"] == sum(row["lines"] for row in result["rows"] if "room" in row) > 1000
    assert bars["lines of README.md"]["value"] <= bars["lines of README.md"]["at_most"]
    assert set(house.update_members()) >= {"Partial", "Full", "Lora", "Contrastive"}
    assert "words of a docstring sentence  (at most 11)" in capsys.readouterr().out
