"""A pipeline file means its own folder wherever it is run from; a project that has moved keeps its finished stages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nlptl.config import load_yaml
from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.models.classifier import TextClassifier
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult

VECTORS = "good 1 0\nawful 0 1\n"
CHAIN = """\
seed: 3
data: {labelled: ../data/train.csv, test: {file: ../data/test.csv}}
stages:
  - {stage: skipgram, vectors: ../data/v.txt}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, solver: logistic}}
"""
STUDY = """\
compare:
  seeds: 2
  arms:
    a: {}
    b: {data.labelled: ../data/more.csv, stages.0: {stage: skipgram, vectors: ../data/w.txt}}
  tests: {all: ../data/test.csv}
"""


@pytest.fixture
def project(review_files: Path) -> Path:
    """Return a project with data and pipelines in folders of their own."""
    project = review_files / "project"
    for folder in ("data", "pipelines", "elsewhere"):
        (project / folder).mkdir(parents=True)
    for name, source in (("train", "train"), ("more", "train"), ("test", "test")):
        shutil.copy(review_files / f"{source}.csv", project / "data" / f"{name}.csv")
    (project / "data" / "v.txt").write_text(VECTORS)
    (project / "data" / "w.txt").write_text(VECTORS.replace("1", "2"))
    (project / "pipelines" / "p.yaml").write_text(CHAIN)
    return project


def run(path: Path | str, out: Path | str, *assignments: str) -> RunResult:
    return Pipeline.from_yaml(path, assignments=assignments).run(out, context=RunContext(device="cpu"), where=str(path))


def kept(result: RunResult) -> list[bool]:
    return [outcome.kept for outcome in result.stages]


def test_a_pipeline_runs_from_any_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    first = run("pipelines/p.yaml", "runs/p")
    assert kept(first) == [False] * 3
    assert first.data.parts["labelled"].source == "data/train.csv", "as the file is found from here"
    for place, path, out in (("elsewhere", "../pipelines/p.yaml", "../runs/p"), ("pipelines", "p.yaml", "../runs/p")):
        monkeypatch.chdir(project / place)
        assert kept(run(path, out)) == [True] * 3
    monkeypatch.chdir(project / "elsewhere")
    assert kept(run(project / "pipelines" / "p.yaml", project / "runs" / "p")) == [True] * 3


def test_the_resolved_settings_run_from_any_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    path = project / "pipelines" / "p.yaml"
    path.write_text(CHAIN + STUDY)
    first = run("pipelines/p.yaml", "runs/p")
    settings = load_yaml("runs/p/pipeline.yaml")
    assert isinstance(settings, dict)
    assert settings["data"]["labelled"] == "../../data/train.csv"
    assert settings["compare"]["arms"]["b"]["data.labelled"] == "../../data/more.csv"
    assert settings["compare"]["arms"]["b"]["stages.0"]["vectors"] == "../../data/w.txt"
    assert settings["compare"]["tests"] == {"all": "../../data/test.csv"}
    text = Path("runs/p/pipeline.yaml").read_text()
    for place, written in ((project, "runs/p/pipeline.yaml"), (project / "runs" / "p", "pipeline.yaml")):
        monkeypatch.chdir(place)
        again = run(written, project / "runs" / "p")
        assert (kept(again), again.comparison) == ([True] * 3, first.comparison)
        assert (project / "runs/p/pipeline.yaml").read_text() == text


def test_a_project_that_has_moved_keeps_its_stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = project / "pipelines" / "p.yaml"
    path.write_text(CHAIN + STUDY)
    first = run(path, project / "runs" / "p")
    rows = (project / "runs" / "p" / "comparison.jsonl").read_text()
    moved = project.with_name("moved")
    project.rename(moved)
    monkeypatch.chdir(moved)
    again = run("pipelines/p.yaml", "runs/p")
    assert (kept(again), again.comparison) == ([True] * 3, first.comparison)
    assert Path("runs/p/comparison.jsonl").read_text() == rows
    assert TextClassifier.load("runs/p").predict(["a good film"]) == ["positive"]


def test_vectors_that_have_moved_keep_their_stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content counts, not the place; the manifest follows, so that the run is still used by its last stage."""
    monkeypatch.chdir(project)
    run("pipelines/p.yaml", "runs/p")
    Path("data/v.txt").rename("elsewhere/renamed.txt")
    Path("pipelines/p.yaml").write_text(CHAIN.replace("../data/v.txt", "../elsewhere/renamed.txt"))
    assert kept(run("pipelines/p.yaml", "runs/p")) == [True] * 3
    TextClassifier.load("runs/p")
    Path("elsewhere/renamed.txt").write_text(VECTORS.replace("1", "3"))
    assert kept(run("pipelines/p.yaml", "runs/p")) == [False, False, False]


def test_paths_from_the_current_folder_are_all_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    Path("pipelines/p.yaml").write_text((CHAIN + STUDY).replace("../data/", "data/"))
    with pytest.raises(ConfigError) as caught:
        run("pipelines/p.yaml", "runs/p")
    told = "a path from the current folder, but must be relative to the pipeline file. Write"
    assert caught.value.faults == (
        f"pipelines/p.yaml: data.labelled is data/train.csv, {told} ../data/train.csv.",
        f"pipelines/p.yaml: data.test.file is data/test.csv, {told} ../data/test.csv.",
        f"pipelines/p.yaml: stages.0.vectors is data/v.txt, {told} ../data/v.txt.",
        f"pipelines/p.yaml: compare.tests.all is data/test.csv, {told} ../data/test.csv.",
    )
    Path("pipelines/p.yaml").write_text(CHAIN + STUDY.replace("../data/more", "data/more"))
    with pytest.raises(ConfigError) as caught:
        run("pipelines/p.yaml", "runs/p")
    assert str(caught.value) == (
        f"pipelines/p.yaml: compare.arms.b: data.labelled is data/more.csv, {told} ../data/more.csv."
    )


def test_assignments_speak_of_the_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    Path("pipelines/p.yaml").write_text(CHAIN + STUDY)
    changed = ["data.labelled=data/more.csv", "stages.0={stage: skipgram, vectors: data/w.txt}"]
    arm = ["compare.arms.b={data.labelled: data/train.csv}", "compare.tests={same: data/test.csv}"]
    result = run("pipelines/p.yaml", "runs/p", *changed, *arm)
    assert result.data.parts["labelled"].source == "data/more.csv"
    assert result.comparison is not None
    assert result.comparison.results[0].differences[0].difference.value == 0, "equal arms, which share all their work"
    settings = load_yaml("runs/p/pipeline.yaml")
    assert isinstance(settings, dict)
    assert settings["stages"][0]["vectors"] == "../../data/w.txt"
    assert settings["compare"]["arms"]["b"] == {"data.labelled": "../../data/train.csv"}
    assert kept(run("runs/p/pipeline.yaml", "runs/p")) == [True] * 3


def test_values_in_python_speak_of_the_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    raw = load_yaml(project / "pipelines" / "p.yaml")
    assert isinstance(raw, dict)
    raw["data"] = {"labelled": "data/train.csv", "test": "data/test.csv"}
    raw["stages"][0]["vectors"] = "data/v.txt"
    Pipeline(**raw).run("runs/p", context=RunContext(device="cpu"))
    assert kept(run("pipelines/p.yaml", "runs/p")) == [True] * 3


def test_the_projects_own_pipelines_name_files_that_are_there(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in sorted((root / "pipelines").glob("*.yaml")):
        data = Pipeline.from_yaml(path).data
        named = [
            source for source in (data.unlabelled, data.source, data.labelled, data.test) if isinstance(source, str)
        ]
        assert len(named) >= 2
        assert [source for source in named if not Path(source).is_file()] == []
