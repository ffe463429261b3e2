"""README.md and the guide are true: their code runs, their YAML fits its data, their commands and links are there."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from nlptl.config import parse
from nlptl.interfaces import cli
from nlptl.runs.pipeline import Pipeline

ROOT = Path(__file__).parent.parent.parent
RUNNABLE = ("README.md", "docs/guide.md")
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])]
PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))
PRINTED = {"README.md": "'good'", "docs/guide.md": "(1, 20)"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("data", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), flags=re.DOTALL | re.MULTILINE)


def shell_lines(page: str) -> list[str]:
    """Return the command lines of a page: of its blocks, and those that stand in a sentence or a table."""
    inline = re.findall(r"(?<!`)`((?:nlptl|make|pip) [^`\n]+)`(?!`)", read(page))
    return "".join(blocks(page, "bash")).splitlines() + inline


def test_readme_fits_one_screen_or_three() -> None:
    assert len(read("README.md").splitlines()) <= 150
    summary = re.search(r"<!-- table: summary -->\n(.*?)<!-- end -->", read("README.md"), flags=re.DOTALL)
    assert summary is not None
    assert 1 <= len(summary[1].splitlines()) - 2 <= 8
    assert len(re.findall(r"^!\[", read("README.md"), flags=re.MULTILINE)) == 2
    assert len(blocks("README.md", "python")[0].splitlines()) <= 10


@pytest.mark.parametrize("page", RUNNABLE)
def test_every_block_is_checked(page: str) -> None:
    assert set(re.findall(r"^```(\w+)$", read(page), flags=re.MULTILINE)) == {"python", "bash", "yaml"}


@pytest.mark.parametrize("page", RUNNABLE)
def test_python_blocks_run_one_after_the_other(page: str, checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for text in blocks(page, "python"):
        exec(compile(text, page, "exec"), names)
    assert PRINTED[page] in capsys.readouterr().out
    assert (checkout / "my-classifier" / "manifest.json").is_file()


@pytest.mark.parametrize("page", RUNNABLE)
@pytest.mark.usefixtures("checkout")
def test_yaml_blocks_are_pipelines(page: str) -> None:
    for text in blocks(page, "yaml"):
        assert parse(Pipeline, yaml.safe_load(text), where=page).check()[0].labelled is not None


@pytest.mark.usefixtures("checkout")
def test_the_commands_of_the_guide_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line in "".join(blocks("docs/guide.md", "bash")).splitlines():
        assert run_nlptl(shlex.split(line)[1:], monkeypatch) == 0, line
        assert capsys.readouterr().out, line


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_there(page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    targets = re.findall(r"^([\w-]+):", read("Makefile"), flags=re.MULTILINE)
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    for line in shell_lines(page):
        program, *arguments = shlex.split(line, comments=True)
        if program == "make":
            assert set(arguments) <= set(targets), line
        elif program == "pip":
            assert set(re.findall(r"\[(\w+)\]", line)) <= set(extras), line
        elif program in ("ray", "accelerate", "torchrun"):
            continue  # on the machines of a cluster
        elif arguments[0].isupper() or arguments[0].startswith("-"):  # nlptl COMMAND --help
            continue
        else:
            words = arguments[:2] if arguments[0] == "vectors" else arguments[:1]
            assert run_nlptl([*words, "--help"], monkeypatch) == 0, line
            usage = capsys.readouterr().out
            assert all(option in usage for option in arguments if option.startswith("--")), line
            for argument in arguments:
                assert not argument.startswith(("pipelines/", "data/")) or (ROOT / argument).exists(), line


def run_nlptl(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """Run the command line in this process and return its exit code, 0 for none."""
    monkeypatch.setattr(sys, "argv", ["nlptl", *arguments])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code or 0


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert anchor in {anchor_of(heading) for heading in headings}, f"{page}: {target}"


def anchor_of(heading: str) -> str:
    """Return the anchor that GitHub gives a heading: lower case, no punctuation, hyphens for spaces."""
    return "".join(c for c in heading.lower() if c.isalnum() or c in "_- ").strip().replace(" ", "-")


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_pipeline_fits_its_data(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    chain = Pipeline.from_yaml(path)
    data, _ = chain.check(where=path.name)
    assert data.test is not None


def test_every_pipeline_stands_in_readme() -> None:
    assert [path.name for path in PIPELINES if f"(pipelines/{path.name})" not in read("README.md")] == []


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
