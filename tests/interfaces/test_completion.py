"""What the shell completes, through the script that a shell would run, and without touching a person's own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlptl.interfaces.completion import complete_assignments, complete_encoders, complete_pipelines, complete_runs
from nlptl.interfaces.init import task_names
from tests.interfaces.commands import Shell


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with two runs, of which one has a stage, and pipeline files, as the current one."""
    for name in (
        "runs/one/pipeline.yaml",
        "runs/two/pipeline.yaml",
        "runs/two/1-bert/manifest.json",
        "runs/.hid/pipeline.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("pipelines/a.yaml", "pipelines/b.yml", "pipelines/notes.txt", "mine.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "two words" / "run").mkdir(parents=True)
    (tmp_path / "two words" / "run" / "pipeline.yaml").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_runs_and_their_stages(work: Path) -> None:
    assert complete_runs("") == ["runs/one", "runs/two", "two words/run"]
    assert complete_runs("ru") == complete_runs("runs/") == ["runs/one", "runs/two"]
    assert complete_runs("runs/t") == ["runs/two"]
    assert complete_runs("runs/two/") == ["runs/two/1-bert"]
    assert complete_runs("runs/.") == ["runs/.hid"]
    assert complete_runs(f"{work}/runs/o") == [f"{work}/runs/one"]
    assert complete_runs("nowhere/x") == complete_runs("\0") == []


def test_home_stays_as_it_is_typed(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(work))
    assert complete_runs("~/runs/o") == ["~/runs/one"]


def test_pipeline_files(work: Path) -> None:
    assert complete_pipelines("") == ["mine.yaml", "pipelines/a.yaml", "pipelines/b.yml"]
    assert complete_pipelines("pipe") == ["pipelines/a.yaml", "pipelines/b.yml"]
    assert complete_pipelines("pipelines/b") == ["pipelines/b.yml"]


def test_encoders_and_tasks() -> None:
    assert complete_encoders("mini") == ["minilm"]
    assert "BAAI/bge-small-en-v1.5" in complete_encoders("BAAI/")
    assert complete_assignments("stages.0.weights=mini") == ["stages.0.weights=minilm"]
    assert complete_assignments("stages.0.dim=") == complete_assignments("stages") == []
    assert task_names("few") == ["few-labels"]


def test_a_shell_gets_them_without_torch(work: Path) -> None:
    code = (
        "import sys; sys.argv = ['nlptl']\n"
        "from nlptl.interfaces.cli import main\n"
        "try:\n    main()\nfinally:\n    assert not {'torch', 'transformers', 'numpy'} & sys.modules.keys()"
    )
    asked = {"_NLPTL_COMPLETE": "complete_bash", "COMP_WORDS": "nlptl show runs/", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **asked, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["runs/one", "runs/two"], "")


@pytest.mark.parametrize(
    ("words", "inserted"),
    [
        (["run", "mine.yaml", "--set", "stages.0.weights", "=", "minil"], ["minilm"]),
        (["run", "mine.yaml", "--set", "=", "stages.0.weights", "=", "minil"], ["minilm"]),
        (["run", "mine.yaml", "--set", "seed", "=", "3", "--set", "stages.0.weights", "=", "minil"], ["minilm"]),
        (["run", "mine.yaml", "--set", "stages.0.dim", "=", "4"], []),
        (["run", "mi"], ["mine.yaml"]),
        (["run", "mine.yaml", "--out", "=", "runs/t"], []),
        (["show", "two"], [r"two\ words/run"]),
        (["show", r"two\ wo"], [r"two\ words/run"]),
        (["show", '"two wo'], ["two words/run"]),
        (["show", "runs/o"], ["runs/one"]),
        (["show", "c"], [r"café\ \&\ \$1/run"]),
        (["show", "a", "=", ""], []),
        (["show", "a", "="], ["b/run"]),
        (["show", "a"], ["a=b/run"]),
    ],
)  # fmt: skip
def test_bash_inserts_what_it_can_read_back(words: list[str], inserted: list[str], work: Path, shell: Shell) -> None:
    """Bash takes words apart at `=`, hands them over one a line, and inserts completions as they are."""
    for name in ("café & $1", "a=b"):
        (work / name / "run").mkdir(parents=True)
        (work / name / "run" / "pipeline.yaml").touch()
    asked = {
        "_NLPTL_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(["nlptl", *words]),
        "COMP_CWORD": f"{len(words)}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in asked.items():
            patch.setenv(name, value)
        code, out, err = shell()
    assert (code, out.splitlines(), err) == (0, inserted, "")


def test_installing_writes_below_home_alone(work: Path) -> None:
    home = work / "home"
    home.mkdir()
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    command = f"exec 3>&1; {sys.executable} -m nlptl --install-completion; true"  # the shell stays the parent
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "bash completion installed" in done.stdout + done.stderr
    script = home / ".bash_completions" / "nlptl.sh"
    assert "_NLPTL_COMPLETE=complete_bash" in script.read_text()
    assert str(script) in (home / ".bashrc").read_text()
