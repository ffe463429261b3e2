"""README.md and the guide are true: their code runs, their YAML fits its data, and the commands and links of all pages are there.

test_followed_pages.py follows every page to its end, as `make docs` does.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from nlptl.config import parse
from nlptl.models.weights import is_at_hand
from nlptl.runs.pipeline import Pipeline
from tests.docs.pages import ROOT, pages, pieces, read
from tests.interfaces.commands import Shell

RUNNABLE = ("README.md", "docs/guide.md")
WRITTEN = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
PAGES = [path.relative_to(ROOT).as_posix() for path in sorted([*ROOT.glob("*.md"), *WRITTEN])]
FOLLOWED = [page for page in pages() if any(piece.kind == "command" for piece in pieces(read(page)))]
PIPELINES = sorted((ROOT / "pipelines").glob("*.yaml"))
PRINTED = {"README.md": "'good'", "docs/guide.md": "(1, 20)"}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("data", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), flags=re.DOTALL | re.MULTILINE)


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
def test_the_commands_of_the_guide_run(shell: Shell) -> None:
    for line in "".join(blocks("docs/guide.md", "bash")).splitlines():
        code, out, err = shell(*shlex.split(line)[1:])
        assert code == 0, (line, err)
        assert out, line


@pytest.mark.parametrize("page", FOLLOWED)
def test_every_command_is_there(page: str, shell: Shell) -> None:
    """Ask what costs nothing of all commands, those too that are not run: options, targets, extras and files."""
    targets = re.findall(r"^([\w-]+):", read("Makefile"), flags=re.MULTILINE)
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    usages: dict[str, str] = {}
    for line in sorted({piece.text for piece in pieces(read(page)) if piece.kind == "command"}):
        program, *words = shlex.split(line.partition(" || ")[0], comments=True)
        if program == "make":
            assert set(words) <= set(targets), line
        elif program == "pip":
            assert set(re.findall(r"\[(\w+)\]", line)) <= set(extras), line
        elif program == "python" and words[0].endswith(".py"):
            assert (ROOT / words[0]).is_file(), line
        elif program == "nlptl" and not words[0].startswith("-"):
            if words[0] not in usages:
                code, usages[words[0]], err = shell(*words[: 2 if words[0] == "vectors" else 1], "--help")
                assert (code, err) == (0, ""), line
            options = [word for word in words if word.startswith("--") and word != "--help"]
            assert all(option in usages[words[0]] for option in options), line
            named = [word for word in words if word.startswith(("pipelines/", "data/"))]
            assert all((ROOT / word).exists() for word in named), line


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
    return "".join(c for c in heading.strip().lower() if c.isalnum() or c in "_- ").replace(" ", "-")


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.name)
def test_every_pipeline_fits_its_data(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    if "weights: e5" in path.read_text(encoding="utf-8") and not is_at_hand("e5"):
        pytest.skip("the packages of multilingual E5's weights are optional")
    chain = Pipeline.from_yaml(path)
    data, _ = chain.check(where=path.name)
    assert data.test is not None


def test_every_pipeline_stands_in_readme() -> None:
    assert [path.name for path in PIPELINES if f"(pipelines/{path.name})" not in read("README.md")] == []


def test_the_data_sets_are_as_their_readmes_say() -> None:
    from nlptl.data import load_table

    for folder in ("reviews", "reviews_ja"):
        reviews = [load_table(str(ROOT / "data" / folder / name), labelled=label) for name, label in (
            ("unlabelled.txt", False), ("train.csv", True), ("test.csv", True), ("held_out.csv", True))]  # fmt: skip
        assert [len(table) for table in reviews] == [62, 8, 2, 200]
        for table in reviews[1:]:
            assert sorted(table.labels()) == sorted(["negative", "positive"] * (len(table) // 2))
        assert len({text for table in reviews for text in table.texts()}) == 272
    tweets = [load_table(str(ROOT / "data" / "tweets" / name)) for name in ("train.csv", "test.csv")]
    assert [len(table) for table in tweets] == [360, 40]
    assert sorted(set(tweets[1].labels())) == ["humorous", "neither", "offensive"]
    assert len({text for table in tweets for text in table.texts()}) == 400
    goods = [load_table(str(ROOT / "data" / "products" / name), labelled=label) for name, label in (
        ("unlabelled.txt", False), ("test.csv", True))]  # fmt: skip
    assert [len(table) for table in goods] == [80, 60]
    assert sorted(goods[1].labels()) == ["negative"] * 30 + ["positive"] * 30
    assert len({text for table in goods for text in table.texts()}) == 140
