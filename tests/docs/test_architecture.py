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
CHAINS = r"""
import pytest

from nlptl import Pipeline, RunContext, TextClassifier
from nlptl.errors import DataError


def probabilities(name: str) -> list[list[float]]:
    result = Pipeline.from_yaml(f"pipelines/{name}.yaml").run(f"runs/{name}", context=RunContext(device="cpu"))
    return [TextClassifier.load(stage.folder).predict_proba(["a lovely film"])[0].tolist() for stage in result.stages[3:]]


def test_the_stage_is_refused_beside_validation_texts() -> None:
    chain = Pipeline.from_yaml("pipelines/softer.yaml", assignments=["data.validation=data/reviews/held_out.csv"])
    with pytest.raises(DataError, match=r"^here: stages\.4: found data\.validation, .* Drop data\.validation or this stage\.$"):
        chain.check(where="here")


def test_the_stage_softens() -> None:
    fitted, softer = probabilities("softer")
    assert 0.5 < max(softer) < max(fitted) < 1


def test_the_method_fits() -> None:
    (found,) = probabilities("nearest-mean")
    assert 0.5 < max(found) < 1
"""
CHOSEN = "temperature or nearest or every_stage_and_method or softens or fits or refused"
OTHER = {
    "temperature": "cooling",
    "Temperature": "Cooling",
    "nearest": "closest",
    "Nearest": "Closest",
    "softer": "milder",
}


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
    """Return a text after the hunks of a diff block; each stands in the text exactly once.

    `…` at the beginning of a line stands for what is there already, which may also break the line behind it.
    """
    for hunk in block.split("@@\n")[1:]:
        lines = hunk.splitlines(keepends=True)
        assert {line[0] for line in lines} <= {" ", "+", "-"}, hunk
        old, new = ("".join(line[1:] for line in lines if line[0] in kept) for kept in (" -", " +"))
        places = list(re.finditer(pattern(old), text))
        assert len(places) == 1, f"stands there {len(places)} times:\n{old}"
        new = new.strip("…\n") if old.startswith("…") else new
        text = text[: places[0].start()] + new + text[places[0].end() :]
    return text


def pattern(old: str) -> str:
    return r"\s+".join(map(re.escape, old.strip("…\n").split())) if old.startswith("…") else re.escape(old)


def under_other_names(blocks: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Return the examples as somebody else's stage and method, which somebody has added before."""

    def named(text: str) -> str:
        return re.sub("|".join(OTHER), lambda found: OTHER[found[0]], text)

    return [(path if language == "diff" else named(path), language, named(block)) for path, language, block in blocks]


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
    """Carry them out in a copy of the project that has another new stage and method; they conform, and chains run."""
    blocks = BLOCK.findall(PAGE)
    copy_project(tmp_path, touched=[path for path, _, _ in blocks])
    for path, language, block in [*under_other_names(blocks), *blocks]:
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
    assert re.search(r"^8 passed", found.stdout, flags=re.MULTILINE), found.stdout
