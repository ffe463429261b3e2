"""Damage that every door notices: whoever reads a stage's folder compares it with its digests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nlptl.context import RunContext
from nlptl.errors import ArtifactError, NlptlError
from nlptl.evaluation.scores import load_classifier
from nlptl.interfaces.text import show_lines
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.models.neighbours import nearest_words
from nlptl.models.word_vector_files.export import export_vectors
from nlptl.progress import SilentProgress
from nlptl.runs.pipeline import Pipeline

CONTEXT = RunContext(device="cpu")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run, with the texts that it learnt from beside it."""
    from tests.conftest import small_reviews

    place = tmp_path_factory.mktemp("run")
    texts, labels = small_reviews(24)
    rows = "".join(f'"{text}",{label}\n' for text, label in zip(texts, labels, strict=True))
    (place / "train.csv").write_text("text,label\n" + rows, encoding="utf-8")
    (place / "small.yaml").write_text(
        f"data: {{labelled: {place}/train.csv, test: {place}/train.csv, drop_leaks: false}}\n"
        "stages:\n"
        "  - {stage: skipgram, dim: 4, min_count: 1, epochs: 1, include_labelled: true}\n"
        "  - {stage: sentence_vectors, pooling: mean}\n"
        "  - {stage: classification_head}\n"
        "  - {stage: finetune, update: {method: head}}\n"
    )
    Pipeline.from_yaml(place / "small.yaml").run(place / "out", context=CONTEXT)
    return place


@pytest.fixture
def out(finished: Path, tmp_path: Path) -> Path:
    """Return a copy of the run, to be damaged."""
    return Path(shutil.copytree(finished / "out", tmp_path / "out"))


def flipped(path: Path) -> None:
    """Change one bit, not the size and not the time."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


DOORS: dict[str, tuple[int, Callable[[Path, Path], Any]]] = {  # by name: number of the stage, and what reads the run
    "neighbours": (1, lambda run, stage: nearest_words(stage, "good", count=2)),
    "export": (1, lambda run, stage: export_vectors(stage, run / "vectors.txt", format="glove")),
    "weights": (1, lambda run, stage: pretrained_encoder(stage)),
    "Encoder.load": (2, lambda run, stage: Encoder.load(stage)),
    "TextClassifier.load": (4, lambda run, stage: TextClassifier.load(stage)),
    "TextClassifier.load of a run": (4, lambda run, stage: TextClassifier.load(run)),
    "predict": (4, lambda run, stage: load_classifier(run, CONTEXT)),
    "show": (3, lambda run, stage: list(show_lines(run))),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_notices_a_flipped_bit_and_a_file_too_many(door: str, out: Path) -> None:
    number, read = DOORS[door]
    (stage,) = out.glob(f"{number}-*")
    file = stage / "tokenizer.json"
    whole = file.read_bytes()
    flipped(file)
    with pytest.raises(NlptlError) as caught:
        read(out, stage)
    assert str(caught.value) == f"{file}: differs from its digest in the manifest; it was changed. Run the stage again."
    file.write_bytes(whole)
    (stage / "modeling.py").touch()
    with pytest.raises(NlptlError) as caught:
        read(out, stage)
    assert str(caught.value) == (
        f"{stage}: holds modeling.py beside the files that its manifest names; expected nothing else but notes such as "
        "README.md. Move it elsewhere."
    )
    (stage / "modeling.py").rename(stage / "README.md")
    if door != "weights":
        read(out, stage)


@pytest.mark.parametrize("name", ["encoder.json", "word_vectors.safetensors", "history.jsonl", "manifest.json"])
def test_a_changed_stage_runs_again(name: str, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = Path(shutil.copytree(finished / "out", tmp_path / "out"))
    path = out / "1-skipgram" / name
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(bytes(content))
    told: list[str] = []
    progress = SilentProgress()
    monkeypatch.setattr(progress, "say", told.append)
    context = RunContext(device="cpu", progress=progress)
    result = Pipeline.from_yaml(finished / "small.yaml").run(out, context=context)
    assert [outcome.kept for outcome in result.stages] == [False, True, True, True]
    (damage,) = (sentence for sentence in told if str(path) in sentence)
    if name != "manifest.json":
        assert damage == (
            f"{path}: differs from its digest in the manifest; it was changed. Run the stage again. It is made again."
        )
    assert damage.endswith("It is made again.")
    assert TextClassifier.load(out).predict(["good"]) == TextClassifier.load(finished / "out").predict(["good"])


def test_a_kept_run_reads_no_weights(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nlptl import artifact

    read: list[str] = []
    monkeypatch.setattr(
        artifact, "file_digest", lambda path, digest=artifact.file_digest: read.append(path.name) or digest(path)
    )
    result = Pipeline.from_yaml(finished / "small.yaml").run(finished / "out", context=CONTEXT)
    assert all(outcome.kept for outcome in result.stages)
    assert read == []


def test_a_run_that_may_not_be_read_is_told_as_that(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stat = Path.stat

    def refuse(path: Path, **options: Any) -> os.stat_result:
        if path.is_relative_to(out) and path != out:
            raise PermissionError(13, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ArtifactError) as caught:
        TextClassifier.load(out)
    assert str(caught.value) == f"{out}: cannot be read (Permission denied). Change its permissions."


def test_a_run_in_a_folder_that_may_only_be_read_predicts(out: Path) -> None:
    for path in (out, *out.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    assert TextClassifier.load(out).predict(["good"])
    assert list(show_lines(out))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before, "nothing is written, not even by root"
    for path in (out, *out.rglob("*")):
        path.chmod(0o755)
