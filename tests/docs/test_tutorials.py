"""Tutorials have one shape, and every cell of them runs. `pytest -m docs` executes them all."""

from __future__ import annotations

import ast
import code
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import jupytext
import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
each_tutorial = pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
HEADER = """\
---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# """
OPENING = {"**At the end**": "**Time**", "**このページを終えると**": "**時間**"}
CLOSING = ("What to try next", "次に試すこと")
CHECK = "remove-cell"  # tag of the cells that hold the story's asserts
READS = {ast.Assert, ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.For, ast.If}
FORGIVING = re.compile(r"\|\| *(true|:|echo(?!.*\$\?))|set \+e|--no-raise-error|^ *!|suppress\(", re.MULTILINE)
MAX_SECONDS = 150  # CPU seconds of one notebook: three minutes on a slow machine


@pytest.fixture
def notebooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Return docs/notebooks.py, loaded anew."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    monkeypatch.delitem(sys.modules, "notebooks", raising=False)
    yield importlib.import_module("notebooks")
    sys.modules.pop("notebooks", None)


def read_cells(path: Path) -> list[Any]:
    return list(jupytext.reads(path.read_text(encoding="utf-8"), fmt="md:myst").cells)


def python_cells(path: Path) -> list[ast.Module]:
    return [ast.parse(cell.source) for cell in read_cells(path) if is_python(cell)]


def is_python(cell: Any) -> bool:
    return bool(cell.cell_type == "code" and not cell.source.startswith("%%"))


@each_tutorial
def test_a_tutorial_begins_and_ends_as_the_others(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.fullmatch(r"[0-9]{2}-[a-z0-9-]+", path.stem)
    assert text.startswith(HEADER)
    opening, *sections = re.split(r"^## ", text.removeprefix(HEADER), flags=re.MULTILINE)
    assert any(end in opening and time in opening for end, time in OPENING.items()), OPENING
    assert sections[-1].splitlines()[0] in CLOSING
    assert "code-cell" not in sections[-1]
    assert len(re.findall(r"^# ", "\n".join(c.source for c in read_cells(path) if c.cell_type != "code"), re.M)) == 1


@each_tutorial
def test_the_story_of_a_tutorial_is_asserted(path: Path) -> None:
    checks = [ast.parse(cell.source) for cell in read_cells(path) if CHECK in cell.metadata.get("tags", [])]
    assert checks
    for check in checks:
        assert {type(statement) for statement in check.body} <= READS, "only asserts, and what they read"
        asserts = [node for node in ast.walk(check) if isinstance(node, ast.Assert)]
        assert asserts
        assert not any(isinstance(node.test, ast.Constant) for node in asserts), "an assert that cannot fail"
    assert any(isinstance(statement, ast.Assert) for check in checks for statement in check.body), (
        "only under conditions"
    )


@each_tutorial
def test_asserts_stand_apart_from_what_a_reader_sees(path: Path) -> None:
    for cell in read_cells(path):
        if is_python(cell) and CHECK not in cell.metadata.get("tags", []):
            assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source))), cell.source


@each_tutorial
def test_a_box_can_be_pasted_at_the_prompt(path: Path) -> None:
    for cell in read_cells(path):
        if is_python(cell) and CHECK not in cell.metadata.get("tags", []):
            pieces = pasted(cell.source)
            assert "".join(pieces).split() == cell.source.split()
            for piece in pieces:
                ast.parse(piece)


def pasted(source: str) -> list[str]:
    """Return what Python's prompt takes for one statement each: an empty line ends an indented block, a line does not."""
    found, lines = [], list[str]()
    for line in [*source.splitlines(), ""]:
        lines.append(line)
        piece = "\n".join(lines)
        if code.compile_command(piece, symbol="single") is not None:
            found.append(piece + "\n")
            lines = []
    assert not lines, lines
    return found


@each_tutorial
def test_no_cell_hides_a_failure(path: Path) -> None:
    for cell in read_cells(path):
        assert "raises-exception" not in cell.metadata.get("tags", [])
        if cell.cell_type == "code":
            assert FORGIVING.search(cell.source) is None, cell.source
    assert not any(isinstance(node, ast.Try) for module in python_cells(path) for node in ast.walk(module))


@each_tutorial
def test_a_cell_can_be_pasted_at_the_prompt_of_python(path: Path) -> None:
    """Python's prompt ends a block at the first blank line, and wants one before what follows."""
    for cell in read_cells(path):
        if is_python(cell) and CHECK not in cell.metadata.get("tags", []):
            lines, body = cell.source.splitlines(), ast.parse(cell.source).body
            blocks = [statement for statement in body if hasattr(statement, "body")]
            inside = ["\n".join(lines[block.lineno - 1 : block.end_lineno]) for block in blocks]
            assert [block for block in inside if re.search(r"^\s*$", block, re.MULTILINE)] == []
            after = [lines[(block.end_lineno or 0) :] for block in blocks]
            assert [rest[0] for rest in after if rest and rest[0].strip()] == []


SMALL = HEADER + """Small

```{code-cell}
import os
print(sorted(os.listdir()), os.getcwd())
```

```{code-cell}
%%bash
echo first >&2
nlptl --version
python -c "import os; print(os.environ['OMP_NUM_THREADS'], os.environ['HF_HUB_OFFLINE'])"
```
"""  # fmt: skip


def test_a_notebook_runs_in_a_fresh_folder_and_is_kept(
    notebooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebooks, "KEPT", tmp_path / "kept")
    path = tmp_path / "00-small.md"
    (tmp_path / "kept").mkdir()
    older = tmp_path / "kept" / "00-small-0123456789ab.ipynb"
    older.write_text("old")
    path.write_text(SMALL, encoding="utf-8")
    executed = notebooks.execute(path)
    assert list((tmp_path / "kept").glob("*.ipynb")) == [executed]
    told, printed = (
        cell.outputs[0].text for cell in nbformat.read(executed, as_version=4).cells if cell.cell_type == "code"
    )
    assert told == "['data', 'pipelines'] .\n"
    assert printed.splitlines()[0] == "first"
    assert printed.splitlines()[2] == "1 1"
    assert notebooks.cpu_seconds(executed) > 0.1
    stamp = executed.stat().st_mtime_ns
    assert notebooks.execute(path) == executed
    assert executed.stat().st_mtime_ns == stamp
    path.write_text(SMALL + "\nMore.\n", encoding="utf-8")
    assert notebooks.kept_path(path) != executed


FAILING = {
    "value = 1\nassert value == 2, 'not two'": "AssertionError: not two",
    "%%bash\necho first\nls no-such-file\necho last": "    first\n    ls: cannot access 'no-such-file'",
    "import socket\nsocket.create_connection(('192.0.2.1', 80))": (
        "OSError: A notebook tried to reach ('192.0.2.1', 80). Notebooks run without a network."
    ),
}


def test_a_failing_cell_is_told_with_its_place(notebooks: ModuleType, tmp_path: Path) -> None:
    for source, end in FAILING.items():
        path = tmp_path / "00-small.md"
        path.write_text(
            f"{HEADER}Small\n\n```{{code-cell}}\nx = 1\n```\n\n```{{code-cell}}\n{source}\n```\n", encoding="utf-8"
        )
        with pytest.raises(notebooks.NotebookError) as caught:
            notebooks.run_notebook(path)
        message = str(caught.value)
        assert message.startswith(f"{path}, line 18: this cell fails.\n\n    {source.splitlines()[0]}\n")
        assert end in message
        assert "\n    last\n" not in message, "bash goes on after the failing command"


def test_an_unknown_tutorial_is_told(notebooks: ModuleType) -> None:
    with pytest.raises(SystemExit) as caught:
        notebooks.chosen(["no-such"])
    there = ", ".join(path.stem for path in TUTORIALS)
    assert str(caught.value) == f"No tutorial begins with 'no-such'. There are {there}."
    assert notebooks.chosen(["01"]) == [TUTORIALS[0]]


@pytest.mark.docs
@each_tutorial
def test_a_tutorial_runs(path: Path, notebooks: ModuleType) -> None:
    executed = notebooks.execute(path)
    assert notebooks.cpu_seconds(executed) <= MAX_SECONDS
    outputs = [output for cell in nbformat.read(executed, as_version=4).cells for output in cell.get("outputs", [])]
    printed = "".join(output.get("text", "") for output in outputs)
    for unwanted in ("\x1b", "\r", "/tmp/", "Warning: ", str(ROOT)):
        assert unwanted not in printed, unwanted
