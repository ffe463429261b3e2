"""A finished run whose files were not touched is told at once; whatever is touched is looked at."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nlptl import artifact
from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.inference import bert_words
from nlptl.interfaces.text import show_lines
from nlptl.progress import SilentProgress
from nlptl.runs import pipeline as pipeline_module
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.runner import RunResult, read_scores
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import tiny_folder

STUDY = (
    "compare:\n  seeds: 2\n  arms: {{a: {{}}, b: {{data.labelled: {0}/more.csv}}}}\n  tests: {{all: {0}/test.csv}}\n"
)


class Hear(SilentProgress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def run(folder: Path, *assignments: str, progress: SilentProgress | None = None) -> RunResult:
    context = RunContext(device="cpu", progress=progress or SilentProgress())
    return Pipeline.from_yaml(folder / "small.yaml", assignments=assignments).run(folder / "out", context=context)


def looks(folder: Path, monkeypatch: pytest.MonkeyPatch, *assignments: str) -> tuple[bool, RunResult]:
    """Run, and say whether the data were looked at."""
    looked: list[bool] = []
    before = pipeline_module.check_outside

    def heard(*arguments: object) -> None:
        looked.append(True)
        before(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(pipeline_module, "check_outside", heard)
        result = run(folder, *assignments)
    return bool(looked), result


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000))


@pytest.fixture
def finished(review_files: Path) -> Path:
    shutil.copy(review_files / "train.csv", review_files / "more.csv")
    (review_files / "small.yaml").write_text((review_files / "small.yaml").read_text() + STUDY.format(review_files))
    run(review_files, "stages.0.epochs=1")
    return review_files


def test_another_version_of_a_dictionary_is_looked_at(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights may cut words by a dictionary that no file of theirs holds."""
    assert not looks(finished, monkeypatch, "stages.0.epochs=1")[0]
    monkeypatch.setattr(bert_words, "installed_version", lambda name: "1.0.9" if name == "unidic-lite" else "")
    assert looks(finished, monkeypatch, "stages.0.epochs=1")[0]
    assert not looks(finished, monkeypatch, "stages.0.epochs=1")[0]


def test_an_untouched_run_is_told_as_it_was(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Hear(), Hear()
    (finished / "out" / ".inputs.json").unlink()
    slow = run(finished, "stages.0.epochs=1", progress=first)
    assert not looks(finished, monkeypatch, "stages.0.epochs=1")[0]
    quick = run(finished, "stages.0.epochs=1", progress=second)
    assert quick == slow
    assert quick.scores is not None
    assert quick.comparison is not None
    assert second.said == first.said
    assert len(second.said) == 5


@pytest.mark.parametrize("name", ["pile.txt", "train.csv", "test.csv", "more.csv", "out/pipeline.yaml"])
def test_a_touched_file_is_looked_at_and_kept_for_its_content(
    finished: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    if name.startswith("out"):
        (finished / name).write_text((finished / name).read_text() + "\n")
    else:
        touch(finished / name)
    looked, result = looks(finished, monkeypatch, "stages.0.epochs=1")
    assert looked
    assert all(outcome.kept for outcome in result.stages)
    assert not looks(finished, monkeypatch, "stages.0.epochs=1")[0]


def test_changed_settings_and_lost_or_changed_results_are_looked_at(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = "stages.0.epochs=1"
    assert looks(finished, monkeypatch, one, "stages.3.update.l2=0.3")[0]
    assert looks(finished, monkeypatch, one)[0]
    for name in ("evaluation.json", "comparison.json", "data.json", "4-finetune/manifest.json", ".inputs.json"):
        (finished / "out" / name).unlink()
        assert looks(finished, monkeypatch, one)[0], name
        assert not looks(finished, monkeypatch, one)[0], name
    path = finished / "out" / "evaluation.json"
    path.write_text(path.read_text().replace('"rows": 20', '"rows": 21'))
    looked, result = looks(finished, monkeypatch, one)
    assert looked
    assert result.evaluation is not None
    assert result.evaluation.rows == 20
    damaged = finished / "out" / "1-skipgram" / "encoder.json"
    damaged.write_text(damaged.read_text() + " ")
    looked, result = looks(finished, monkeypatch, one)
    assert looked
    assert [outcome.kept for outcome in result.stages] == [False, True, True, True]


def test_a_file_that_appears_in_a_folder_of_weights_is_looked_at(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tiny_folder(review_files / "enc", "bert")
    settings = [f"stages.0={{stage: bert, weights: {weights}}}", "stages.1.pooling=mean"]
    run(review_files, *settings)
    assert not looks(review_files, monkeypatch, *settings)[0]
    (Path(weights) / "notes.txt").touch()
    assert looks(review_files, monkeypatch, *settings)[0]


def test_counts_beside_vectors_are_looked_at(review_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (review_files / "v.txt").write_text("good 1 0\nawful 0 1\n")
    settings = [f"stages.0={{stage: skipgram, vectors: {review_files / 'v.txt'}}}", "stages.1.pooling=mean"]
    run(review_files, *settings)
    assert not looks(review_files, monkeypatch, *settings)[0]
    from nlptl.models.word_vector_files.reading import counts_path

    counts_path(review_files / "v.txt").write_text("good 3\nawful 2\n")
    assert looks(review_files, monkeypatch, *settings)[0]


def test_a_file_written_while_the_run_reads_is_no_known_input(
    review_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = (review_files / "pile.txt").stat()
    os.utime(review_files / "pile.txt", ns=(status.st_atime_ns, status.st_mtime_ns + 3_600_000_000_000))
    run(review_files)
    assert not (review_files / "out" / ".inputs.json").exists()
    assert looks(review_files, monkeypatch)[0]


def test_the_stamp_moves_only_when_something_was_made(finished: Path) -> None:
    stamp = finished / "out" / "finished.json"
    before = stamp.stat().st_mtime_ns
    run(finished, "stages.0.epochs=1")
    touch(finished / "train.csv")
    run(finished, "stages.0.epochs=1")
    assert stamp.stat().st_mtime_ns == before
    run(finished, "stages.0.epochs=2")
    assert stamp.stat().st_mtime_ns > before


def test_a_run_that_fails_is_not_finished(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stops(*_: object, **__: object) -> None:
        raise ConfigError("stop")

    monkeypatch.setattr(SkipGram, "run", stops)
    with pytest.raises(ConfigError):
        run(finished, "stages.0.epochs=3")
    assert not (finished / "out" / "finished.json").exists()


def relative_project(place: Path, review_files: Path) -> Path:
    """Return a project whose pipeline names its files by relative paths, and which has been run."""
    place.mkdir()
    for name in ("pile.txt", "train.csv", "test.csv"):
        shutil.copy(review_files / name, place)
    shutil.copy(review_files / "train.csv", place / "more.csv")
    text = (review_files / "small.yaml").read_text() + STUDY.format(review_files)
    (place / "small.yaml").write_text(text.replace(f"{review_files}/", ""))
    assert str(review_files) not in (place / "small.yaml").read_text()
    with contextlib.chdir(place):
        run(Path(), "stages.0.epochs=1")
    return place


def turn_labels(path: Path) -> None:
    """Exchange the labels, so that size and time stay."""
    text, status = path.read_text(), path.stat()
    path.write_text(
        text.replace("positive", "POSITIVE").replace("negative", "positive").replace("POSITIVE", "negative")
    )
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.read_text() != text


def looks_inside(folder: Path, monkeypatch: pytest.MonkeyPatch, *assignments: str) -> tuple[bool, RunResult]:
    """Run by relative paths, as one does on the command line."""
    with contextlib.chdir(folder):
        return looks(Path(), monkeypatch, *assignments)


@pytest.mark.parametrize("way", ["copied", "copied with its times", "moved", "behind a link"])
@pytest.mark.parametrize("name", ["train.csv", "test.csv", "more.csv"])
def test_a_project_that_stands_elsewhere_is_kept_for_its_own_files(
    review_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    first, other = relative_project(tmp_path / "a", review_files), tmp_path / "b"
    if way == "moved":
        shutil.move(first, other)
    elif way == "behind a link":
        (link := tmp_path / "link").symlink_to(first)
        looks_inside(link, monkeypatch, "stages.0.epochs=1")
        shutil.copytree(first, other)
        link.unlink()
        link.symlink_to(other)
        other = link
    else:
        subprocess.run(["cp", *(["-a"] if "times" in way else ["-r"]), first, other], check=True)
    looked, result = looks_inside(other, monkeypatch, "stages.0.epochs=1")
    assert looked
    assert all(outcome.kept for outcome in result.stages)
    assert not looks_inside(other, monkeypatch, "stages.0.epochs=1")[0]
    before = [(other / "out" / file).read_text() for file in ("evaluation.json", "comparison.jsonl")]
    turn_labels(other / name)
    looked, result = looks_inside(other, monkeypatch, "stages.0.epochs=1")
    assert looked
    assert result.stages[-1].kept == (name != "train.csv")
    after = [(other / "out" / file).read_text() for file in ("evaluation.json", "comparison.jsonl")]
    assert (after[0] != before[0]) == (name != "more.csv")
    assert after[1] != before[1]


def test_a_copied_run_folder_is_looked_at_before_it_is_kept(
    review_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = relative_project(tmp_path / "a", review_files)
    second = relative_project(tmp_path / "b", review_files)
    turn_labels(second / "test.csv")
    shutil.rmtree(second / "out")
    shutil.copytree(first / "out", second / "out")
    looked, result = looks_inside(second, monkeypatch, "stages.0.epochs=1")
    assert looked
    assert result.scores is not None
    old = read_scores(first / "out")
    assert old is not None
    assert result.scores.test != old.test


@pytest.mark.parametrize("name", ["train.csv", "test.csv", "more.csv", "pile.txt"])
def test_a_file_that_was_changed_and_set_back_in_time_is_looked_at(
    finished: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = finished / name
    text, status = path.read_text(), path.stat()
    path.write_text(text.replace("good", "warm"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert looks(finished, monkeypatch, "stages.0.epochs=1")[0]


def test_a_linked_file_of_a_stage_is_read_again_and_then_known(
    review_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link moves the second time of a file, also one that a later stage makes."""
    run(review_files, "stages.0.dim=2000")
    vectors = "word_vectors.safetensors"
    out, read = review_files / "out", list[Path]()
    assert (out / "1-skipgram" / vectors).stat().st_nlink > 1
    digest = artifact.file_digest
    monkeypatch.setattr(artifact, "file_digest", lambda path: read.append(path) or digest(path))
    assert not looks(review_files, monkeypatch, "stages.0.dim=2000")[0]
    assert [path for path in read if path.name == vectors] == []
    os.link(out / "1-skipgram" / vectors, tmp_path / "mine")
    assert not looks(review_files, monkeypatch, "stages.0.dim=2000")[0]
    assert [path.parent.name for path in read if path.name == vectors] == [
        path.parent.name for path in sorted(out.glob(f"*/{vectors}"))
    ]
    status = (tmp_path / "mine").stat()
    with (tmp_path / "mine").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"!")
    os.utime(tmp_path / "mine", ns=(status.st_atime_ns, status.st_mtime_ns))
    looked, result = looks(review_files, monkeypatch, "stages.0.dim=2000")
    assert looked
    assert not any(outcome.kept for outcome in result.stages[:1])


def test_what_a_run_made_is_not_blessed_when_it_was_changed_meanwhile(finished: Path) -> None:
    """The stamps of the made files are taken at the end; they must be those of what was made."""
    file = finished / "out" / "1-skipgram" / "tokenizer.json"

    class Changes(Hear):
        def say(self, text: str) -> None:
            super().say(text)
            if text.startswith("4-finetune"):
                status = file.stat()
                file.write_text(file.read_text().replace("film", "flim"))
                os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    run(finished, "stages.0.epochs=2", progress=Changes())
    assert not (finished / "out" / ".inputs.json").exists()
    assert not run(finished, "stages.0.epochs=2").stages[0].kept


def unseal(path: Path, old: str, new: str, *, again: bool = False) -> None:
    """Edit a result and take its digest out, or make another digest."""
    text = path.read_text()
    assert old in text
    content = json.loads(text.replace(old, new, 1))
    del content["digest"]
    path.write_text(json.dumps(artifact.sealed(content) if again else content, indent=2))


def test_results_without_a_digest_are_shown_with_a_remark_and_never_kept(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished / "out" / "evaluation.json"
    whole = path.read_text()
    unseal(path, '"rows": 20', '"rows": 999')
    shown = "\n".join(show_lines(finished / "out"))
    assert "999 texts" in shown
    assert shown.endswith(
        f"{path}: holds no digest of its own, so a change would not be noticed. Run the pipeline again."
    )
    hear = Hear()
    result = run(finished, "stages.0.epochs=1", progress=hear)
    assert result.evaluation is not None
    assert result.evaluation.rows == 20
    assert path.read_text() == whole
    assert (
        f"{path}: holds no digest of its own, so a change would not be noticed. Run the pipeline again. The test texts are "
        "scored again."
    ) in hear.said
    assert all(outcome.kept for outcome in result.stages)


def test_scores_that_are_not_those_of_the_finished_run_are_made_again(finished: Path) -> None:
    path = finished / "out" / "evaluation.json"
    whole = path.read_text()
    unseal(path, '"rows": 20', '"rows": 999', again=True)
    run(finished, "stages.0.epochs=1")
    assert path.read_text() == whole


@pytest.mark.parametrize("name", ["finished.json", ".inputs.json", "data.json", "comparison.json"])
def test_no_file_without_a_digest_vouches_for_a_run(finished: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    unseal(finished / "out" / name, "{", "{")
    assert looks(finished, monkeypatch, "stages.0.epochs=1")[0]
    assert "digest" in json.loads((finished / "out" / name).read_text())


def test_rows_and_stages_without_a_digest_are_made_again(finished: Path) -> None:
    rows, manifest = finished / "out" / "comparison.jsonl", finished / "out" / "4-finetune" / "manifest.json"
    whole = rows.read_text()
    first, *others = whole.splitlines()
    edited = {key: value for key, value in json.loads(first).items() if key != "digest"}
    rows.write_text("\n".join([json.dumps(edited | {"correct": "1" * len(edited["correct"])}), *others]) + "\n")
    unseal(manifest, '"seconds": ', '"seconds": 1')
    assert "4-finetune/manifest.json: holds no digest of its own" in "\n".join(show_lines(finished / "out"))
    result = run(finished, "stages.0.epochs=1")
    assert [outcome.kept for outcome in result.stages] == [True, True, True, False]
    again = [json.loads(line) for text in (rows.read_text(), whole) for line in text.splitlines()]
    made, before = ([{key: one for key, one in row.items() if key not in ("cost", "digest")} for row in part]
                    for part in (again[: len(again) // 2], again[len(again) // 2 :]))  # fmt: skip
    assert sorted(made, key=str) == sorted(before, key=str)


@pytest.mark.parametrize("first", ["skipgram", "bert"])
def test_a_kept_run_loads_no_library_of_models_or_data(review_files: Path, first: str) -> None:
    settings = ["stages.0.epochs=1"]
    if first == "bert":
        weights = tiny_folder(review_files / "enc", "bert")
        settings = [f"stages.0={{stage: bert, weights: {weights}}}", "stages.1.pooling=mean"]
    run(review_files, *settings)
    code = (
        "import sys\nfrom nlptl.interfaces import cli\nsys.argv = ['nlptl', *sys.argv[1:]]\n"
        "try:\n    cli.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "print({'torch', 'transformers', 'datasets', 'pandas', 'pyarrow', 'sklearn', 'scipy'} & set(sys.modules))"
    )
    changes = [part for setting in settings for part in ("--set", setting)]
    arguments = ["run", "small.yaml", "--out", "out", *changes, "-q"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=review_files, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()", done.stdout + done.stderr
    assert "Test: accuracy" in done.stdout
