"""Every code block of the README runs; every pipeline file fits its data."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from nlptl.config import parse
from nlptl.interfaces import cli
from nlptl.runs.pipeline import Pipeline

ROOT = Path(__file__).parent.parent.parent
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("data", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    return [text for name, text in BLOCKS if name == language]


def test_no_block_is_left_out() -> None:
    assert {name for name, _ in BLOCKS} == {"python", "bash", "yaml"}
    assert BLOCKS[0] == ("bash", "make quickstart\nmake test\n")


def test_python_blocks_run_one_after_the_other(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for text in blocks("python"):
        exec(compile(text, "README.md", "exec"), names)
    assert "(1, 20)" in capsys.readouterr().out
    assert (checkout / "my-classifier" / "manifest.json").is_file()


def test_yaml_blocks_are_pipelines(checkout: Path) -> None:
    for text in blocks("yaml"):
        assert parse(Pipeline, yaml.safe_load(text), where="README.md").check()[0].labelled is not None


@pytest.mark.usefixtures("checkout")
def test_bash_blocks_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for line in "".join(blocks("bash")).splitlines():
        program, *arguments = shlex.split(line)
        if program == "make":  # continuous integration runs these; here they would run themselves
            assert set(arguments) <= set(targets)
            continue
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code in (0, None), line
        assert capsys.readouterr().out, line


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_pipeline_fits_its_data(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    chain = Pipeline.from_yaml(path)
    data, _ = chain.check(where=path.name)
    assert data.test is not None


def test_the_map_names_every_module() -> None:
    rooms = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("\n### ")[1:]
    told = {
        (room.split("\n")[0].rstrip("/"), name) for room in rooms for name in re.findall(r"^- `([^`]+)`", room, re.M)
    }
    paths = [path.relative_to(ROOT / "nlptl") for path in (ROOT / "nlptl").rglob("*.py")]
    there = {("Ground files", path.name) for path in paths if len(path.parts) == 1}
    there |= {
        (path.parts[0], "/".join(path.parts[1:]))
        for path in paths
        if len(path.parts) > 1 and path.name != "__init__.py"
    }
    assert told == there


def test_the_data_sets_are_as_their_readmes_say() -> None:
    from nlptl.data import load_table

    reviews = [load_table(str(ROOT / "data" / "reviews" / name), labelled=label) for name, label in (
        ("unlabelled.txt", False), ("train.csv", True), ("test.csv", True), ("held_out.csv", True))]  # fmt: skip
    assert [len(table) for table in reviews] == [62, 8, 2, 200]
    texts = [text for table in reviews for text in table.texts()]
    assert len(set(texts)) == 272
    tweets = [load_table(str(ROOT / "data" / "tweets" / name)) for name in ("train.csv", "test.csv")]
    assert [len(table) for table in tweets] == [360, 40]
    assert sorted(set(tweets[1].labels())) == ["humorous", "neither", "offensive"]
    assert len({text for table in tweets for text in table.texts()}) == 400
    goods = [load_table(str(ROOT / "data" / "products" / name), labelled=label) for name, label in (
        ("unlabelled.txt", False), ("test.csv", True))]  # fmt: skip
    assert [len(table) for table in goods] == [80, 60]
    assert sorted(goods[1].labels()) == ["negative"] * 30 + ["positive"] * 30
    assert len({text for table in goods for text in table.texts()}) == 140
