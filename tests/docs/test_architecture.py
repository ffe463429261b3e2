"""docs/architecture.md is true: what it names is there, and its two worked examples work when they are carried out."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^#### `([^`]+)`[^\n]*\n\n```(\w+)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
CHAINS = """
from nlptl import Pipeline, RunContext, TextClassifier


def probabilities(name: str) -> list[list[float]]:
    result = Pipeline.from_yaml(f"pipelines/{name}.yaml").run(f"runs/{name}", context=RunContext(device="cpu"))
    return [TextClassifier.load(stage.folder).predict_proba(["a lovely film"])[0].tolist() for stage in result.stages[3:]]


def test_the_stage_softens() -> None:
    fitted, softer = probabilities("softer")
    assert 0.5 < max(softer) < max(fitted) < 1


def test_the_method_fits() -> None:
    (found,) = probabilities("nearest-mean")
    assert 0.5 < max(found) < 1
"""
CHOSEN = "temperature or nearest or every_stage_and_method or softens or fits"


def definitions(path: Path) -> set[str]:
    """Return the names that a module defines: functions, classes and their methods."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, ast.FunctionDef)}
    return found


def test_what_the_ways_name_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py):([\w.]+)`", PAGE)
    assert len(named) > 30
    missing = [
        f"{path}:{name}"
        for path, name in named
        if not (ROOT / "nlptl" / path).is_file() or name not in definitions(ROOT / "nlptl" / path)
    ]
    assert missing == []


def changed(text: str, block: str) -> str:
    """Return a text after the hunks of a diff block; each stands in the text exactly once."""
    for hunk in block.split("@@\n")[1:]:
        lines = hunk.splitlines(keepends=True)
        assert {line[0] for line in lines} <= {" ", "+", "-"}, hunk
        old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        assert text.count(old) == 1, f"stands there {text.count(old)} times:\n{old}"
        text = text.replace(old, new)
    return text


def copy_project(folder: Path, *, touched: list[str]) -> None:
    """Copy the rooms in which something is touched, and link the others, so that their compiled kernels serve again."""
    for name in ("nlptl", "tests"):
        (folder / name).mkdir()
        for path in (ROOT / name).iterdir():
            if any(one.startswith(f"{name}/{path.name}/") for one in touched):
                shutil.copytree(path, folder / name / path.name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (folder / name / path.name).symlink_to(path)
    (folder / "data").symlink_to(ROOT / "data")
    (folder / "pipelines").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)


def test_every_block_of_the_examples_is_carried_out() -> None:
    examples = PAGE.split("\n## Adding a stage\n")[1]
    assert len(BLOCK.findall(examples)) == len(re.findall(r"^```\w+$", examples, flags=re.MULTILINE)) == 9


def test_the_examples_work(tmp_path: Path) -> None:
    """Carry them out in a copy of the project; chains with them run, and they conform."""
    blocks = BLOCK.findall(PAGE)
    copy_project(tmp_path, touched=[path for path, _, _ in blocks])
    for path, language, block in blocks:
        file = tmp_path / path
        assert file.is_file() == (language == "diff"), path
        text = changed(file.read_text(encoding="utf-8"), block) if language == "diff" else block
        file.write_text(text, encoding="utf-8")
    (tmp_path / "tests" / "test_chains.py").write_text(CHAINS, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    arguments = [
        "-m",
        "pytest",
        "-n0",
        "-p",
        "no:cacheprovider",
        "tests/stages/test_conformance.py",
        "tests/test_chains.py",
    ]
    found = subprocess.run(
        [sys.executable, *arguments, "-k", CHOSEN],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert re.search(r"^7 passed", found.stdout, flags=re.MULTILINE), found.stdout
