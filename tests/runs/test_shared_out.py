"""Two pipelines and one `--out`: finished work of one is not removed for the other without a word."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.config import load_yaml
from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult

NAMES = ["1-skipgram", "2-sentence_vectors", "3-classification_head", "4-finetune"]
STUDY = "compare:\n  seeds: 2\n  arms: {{a: {{}}, b: {{stages.3.update.l2: 0.1}}}}\n  tests: {{all: {0}/test.csv}}\n"


def run(path: Path, out: Path, *assignments: str, force: bool = False) -> RunResult:
    pipeline = Pipeline.from_yaml(path, assignments=assignments)
    return pipeline.run(out, context=RunContext(device="cpu"), force=force)


@pytest.fixture
def out(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a finished run of small.yaml; other.yaml stands beside it."""
    monkeypatch.chdir(review_files)
    text = (review_files / "small.yaml").read_text()
    (review_files / "other.yaml").write_text(text.replace("  - {stage: sentence_vectors, pooling: sif}\n", ""))
    run(review_files / "small.yaml", review_files / "out")
    return review_files / "out"


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(lost: str, of: str = "small.yaml") -> str:
    return (
        f"out: holds finished work of {of}, which this run would remove or replace: {lost}. Nothing was changed. Choose "
        "another folder with --out, or add --force (in Python: force=True)."
    )


def test_another_pipeline_is_refused_and_nothing_changes(out: Path) -> None:
    before = content(out)
    with pytest.raises(ArtifactError) as caught:
        run(Path("other.yaml"), Path("out"))
    assert str(caught.value) == refused("2-sentence_vectors, 3-classification_head, 4-finetune")
    assert content(out) == before
    forced = run(Path("other.yaml"), Path("out"), force=True)
    assert [outcome.folder.name for outcome in forced.stages] == ["1-skipgram", "2-classification_head", "3-finetune"]
    assert sorted(path.name for path in out.glob("[0-9]*")) == ["1-skipgram", "2-classification_head", "3-finetune"]
    with pytest.raises(ArtifactError, match=r"finished work of other\.yaml"):
        run(Path("small.yaml"), Path("out"))


def test_another_pipeline_of_the_same_stages_is_refused_too(out: Path) -> None:
    Path("other.yaml").write_text(Path("small.yaml").read_text().replace("dim: 16", "dim: 8"))
    with pytest.raises(ArtifactError) as caught:
        run(Path("other.yaml"), Path("out"))
    assert str(caught.value) == refused(", ".join(NAMES))


def test_a_pipeline_that_removes_nothing_may_share_the_folder(out: Path) -> None:
    text = Path("small.yaml").read_text()
    Path("other.yaml").write_text(text)
    assert all(outcome.kept for outcome in run(Path("other.yaml"), Path("out")).stages), "a renamed file"
    Path("other.yaml").write_text(text + STUDY.format(out.parent))
    assert run(Path("other.yaml"), Path("out")).comparison is not None


def test_the_same_pipeline_may_replace_its_own_stages(out: Path) -> None:
    assert not run(Path("small.yaml"), Path("out"), "stages.0.dim=8").stages[0].kept
    assert not run(out / "pipeline.yaml", Path("out"), "stages.0.dim=9").stages[0].kept, (
        "its resolved settings are itself"
    )
    Path("small.yaml").write_text(Path("other.yaml").read_text())
    assert len(run(Path("small.yaml"), Path("out")).stages) == 3


def test_finished_trials_are_not_dropped_either(out: Path) -> None:
    text = Path("small.yaml").read_text()
    Path("small.yaml").write_text(text + STUDY.format(out.parent))
    run(Path("small.yaml"), Path("out"))
    Path("other.yaml").write_text(text)
    with pytest.raises(ArtifactError) as caught:
        run(Path("other.yaml"), Path("out"))
    assert str(caught.value) == refused("comparison.jsonl")
    run(Path("small.yaml"), Path("out"), "compare=null")


def test_in_python_stages_are_replaced_but_not_removed(out: Path) -> None:
    """A pipeline that was not read from a file has no name by which it is known."""
    raw = load_yaml("small.yaml")
    assert isinstance(raw, dict)
    cpu = RunContext(device="cpu")
    Pipeline(**raw).run("python", context=cpu)
    raw["stages"][0]["dim"] = 8
    Pipeline(**raw).run("python", context=cpu)
    del raw["stages"][1]
    with pytest.raises(ArtifactError) as caught:
        Pipeline(**raw).run("python", context=cpu)
    lost = "2-sentence_vectors, 3-classification_head, 4-finetune"
    assert str(caught.value) == refused(lost, "another pipeline").replace("out:", "python:", 1)
    Pipeline(**raw).run("python", context=cpu, force=True)


def test_a_folder_of_an_earlier_version_is_judged_by_the_names_of_its_stages(out: Path) -> None:
    settings = out / "pipeline.yaml"
    settings.write_text("\n".join(line for line in settings.read_text().split("\n") if "# Pipeline" not in line))
    assert not run(Path("small.yaml"), Path("out"), "stages.0.dim=8").stages[0].kept
