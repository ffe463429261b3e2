"""The command `init`: every file that it writes is valid, checks against small data, and replaces nothing."""

from __future__ import annotations

import csv
import shlex
from pathlib import Path

import pytest

from nlptl.config import load_yaml
from nlptl.interfaces.init import task_files
from nlptl.interfaces.pipeline_schema import FILE_NAME
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell
from tests.interfaces.test_pipeline_schema import faults

TASKS = sorted(task_files())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the files that the tasks name, small ones, as the current one."""
    texts, labels = small_reviews(60)
    labels = ["bug" if label == "positive" else "bill" for label in labels]
    for number, name in enumerate(("labelled", "unlabelled", "source", "validation", "test")):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["text", "label"])
            rows.writerows(list(zip(texts, labels, strict=True))[12 * number : 12 * (number + 1)])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_task_the_tasks_are_listed(shell: Shell) -> None:
    code, out, err = shell("init")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line for line in lines if not line.startswith(" ")] == TASKS
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("task", TASKS)
def test_each_task_gives_a_valid_file_that_checks_once_the_data_are_there(
    task: str, shell: Shell, folder: Path
) -> None:
    assert shell("init", task) == (
        0,
        "",
        f"{task}.yaml: written. Put your own files under data:, then check it:\n  nlptl check {task}.yaml\n",
    )
    text = (folder / f"{task}.yaml").read_text()
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 132
    assert faults(load_yaml(folder / f"{task}.yaml")) == []
    code, out, err = shell("check", f"{task}.yaml")
    assert (code, "fits" in out) == (0, True), err


def test_no_file_is_replaced(shell: Shell, folder: Path) -> None:
    (folder / "mine.yaml").write_text("mine")
    code, _, err = shell("init", "few-labels", "--out", "mine.yaml")
    told = "--out: mine.yaml exists, and no file is replaced; expected a new one. Name another one.\n"
    assert (code, err, (folder / "mine.yaml").read_text()) == (2, told, "mine")


def test_an_unknown_task_is_told_with_the_known_ones(shell: Shell, folder: Path) -> None:
    code, _, err = shell("init", "few-label")
    told = f"TASK: found 'few-label'; expected one of {', '.join(TASKS)}. Did you mean 'few-labels'? Give one.\n"
    assert (code, err) == (2, told)
    assert not (folder / "few-label.yaml").exists()


def test_the_schema_is_named_where_it_stands_beside_the_file(shell: Shell, folder: Path) -> None:
    shell("schema", "--out", FILE_NAME)
    shell("init", "names-only")
    first, second, *_ = (folder / "names-only.yaml").read_text().splitlines()
    assert first == f"# yaml-language-server: $schema={FILE_NAME}"
    assert second.startswith("# No labelled text")


def test_the_cells_that_the_task_of_several_labels_describes_are_read(shell: Shell, folder: Path) -> None:
    shell("init", "several-labels")
    assert "`bug|bill`, or empty for no label" in (folder / "several-labels.yaml").read_text()
    for name in ("labelled", "test"):
        rows = list(csv.reader((folder / f"{name}.csv").read_text().splitlines()))
        rows[2][1], rows[3][1] = "bug|bill", ""
        with (folder / f"{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    code, out, err = shell("check", "several-labels.yaml")
    assert (code, "1 row has none" in err) == (0, True), out + err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["few-labels", "--out", name],
         f"--out: found {name}; expected a name that ends in .yaml, as of a pipeline file. Write x.yaml.")
        for name in ("x.csv", "x.json", "x.py", "x.YAML")
    ] + [
        (["--out", "x.yaml"], f"TASK: found --out without a task; expected one of {', '.join(TASKS)}. Give one."),
        (["few-labels", "--out", "-"], "--out: found -, which is no name of stdout here; expected a file. Name a file."),
    ],
)  # fmt: skip
def test_nothing_is_written_that_check_would_refuse(
    arguments: list[str], told: str, shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shell("init", *arguments) == (2, "", f"{told}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["my file.yaml", "-x.yml", "plain"])
def test_the_command_that_follows_can_be_typed(name: str, shell: Shell, folder: Path) -> None:
    code, _, err = shell("init", "few-labels", "--out", name)
    assert code == 0
    program, command, *paths = shlex.split(err.splitlines()[-1])
    assert (program, command, len(paths)) == ("nlptl", "check", 1)
    assert shell(command, *paths)[0] == 0


def test_the_usage_has_one_pair_of_brackets(shell: Shell) -> None:
    _, out, _ = shell("init", "--help")
    assert "[OPTIONS] [TASK]\n" in out
