"""What stands in a run's folder, and what a run removes from it or leaves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish
from nlptl.context import RunContext
from nlptl.disk import drafts
from nlptl.errors import ArtifactError, ConfigError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.runs import folder as folder_module
from nlptl.runs.folder import STAGE_FOLDER, remove_other_stages, stage_files, stage_folders, whole_run
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.union import stage_names


def published(folder: Path, stage: str, *, file: str = "encoder.json") -> Path:
    publish(folder, lambda draft: (draft / file).touch(), Manifest(kind="encoder", settings={"stage": stage}))
    return folder


def remaining(run: Path, keep: list[Path]) -> tuple[list[str], list[str]]:
    told: list[str] = []
    remove_other_stages(run, keep, say=told.append)
    return sorted(path.name for path in run.iterdir()), told


def test_stages_of_any_name_go_when_their_manifest_names_them(tmp_path: Path) -> None:
    keep = published(tmp_path / "1-skipgram", "skipgram")
    published(tmp_path / "2-skipgram", "skipgram")
    published(tmp_path / "3-of_a_later_version", "of_a_later_version", file="of a later version.bin")
    assert remaining(tmp_path, [keep]) == (["1-skipgram"], [])


def test_the_run_of_a_stage_is_found_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = published(tmp_path / "1-skipgram", "skipgram")
    assert whole_run(stage) == stage  # an artifact of its own
    (tmp_path / "pipeline.yaml").write_text("")
    assert whole_run(stage) == whole_run(tmp_path) == tmp_path
    assert whole_run(tmp_path / "1-nothing") == tmp_path / "1-nothing"
    monkeypatch.chdir(stage)
    assert whole_run(Path()) == tmp_path


def test_checkpoints_and_drafts_go_when_they_name_a_stage(tmp_path: Path) -> None:
    number = "7" * 39
    drafts = [f".3-finetune.draft-{number}", f".2-notes.draft-{number}"]
    for name in (".4-finetune.checkpoints", ".1-mine.checkpoints", *drafts):
        (tmp_path / name).mkdir()
    assert remaining(tmp_path, [])[0] == sorted([".1-mine.checkpoints", *drafts])
    folder_module.begin(tmp_path, settings="# settings", data_report={})
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [".1-mine.checkpoints", drafts[1], "data.json", "pipeline.yaml"]
    )


def test_settings_that_are_no_utf_8_are_written_anew(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_bytes(folder_module.MARK.encode() + b"\xff\xfe")
    folder_module.begin(tmp_path, settings="# settings ä", data_report={})
    assert (tmp_path / "pipeline.yaml").read_text(encoding="utf-8") == "# settings ä"
    folder_module.await_main(tmp_path, "# settings ä")


def test_settings_of_another_process_that_are_no_utf_8_are_not_those_of_process_0(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_module.time, "sleep", lambda seconds: None)
    (tmp_path / "pipeline.yaml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="found nothing here that process 0 has written"):
        folder_module.await_main(tmp_path, "# settings")


def test_the_table_of_a_comparison_stays_until_its_settings_change(tmp_path: Path) -> None:
    folder_module.begin(tmp_path, settings="# settings", data_report={})
    (tmp_path / "comparison.json").touch()
    folder_module.begin(tmp_path, settings="# settings", data_report={})
    assert (tmp_path / "comparison.json").is_file()
    folder_module.begin(tmp_path, settings="# other settings", data_report={})
    assert not (tmp_path / "comparison.json").exists()


def test_folders_named_like_stages_stay_without_the_mark_of_nlptl(tmp_path: Path) -> None:
    for name in ("1-finetune", "2-my_model"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").touch()
    left, told = remaining(tmp_path, [])
    assert left == ["1-finetune", "2-my_model"]
    assert told == [
        f"{tmp_path / name}: is no stage of this pipeline and was left, since nlptl did not write it. Move or remove it."
        for name in left
    ]


def test_a_model_saved_by_hand_in_a_stages_place_ends_the_run_before_it_begins(review_files: Path) -> None:
    stage = review_files / "out" / "1-skipgram"
    publish(stage, lambda draft: (draft / "encoder.json").touch(), Manifest(kind="encoder"))
    with pytest.raises(ArtifactError) as caught:
        Pipeline.from_yaml(review_files / "small.yaml").run(review_files / "out", context=RunContext(device="cpu"))
    assert str(caught.value) == (
        f"{stage}: holds an artifact that was saved by hand, not by a run; nothing was overwritten. Choose another folder "
        "with --out."
    )
    assert [path.name for path in (review_files / "out").iterdir()] == ["1-skipgram"]


def test_a_kill_while_stages_are_removed_leaves_whole_ones_and_drafts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (2, 3):
        published(tmp_path / f"{number}-finetune", "finetune")

    def killed(path: Path, **_: object) -> None:
        (path / "manifest.json").unlink()
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(drafts.shutil, "rmtree", killed)
        remove_other_stages(tmp_path, [], say=print)
    assert not list(tmp_path.glob("[0-9]*"))
    assert len(list(tmp_path.glob(".*-finetune.draft-*"))) == 2
    folder_module.begin(tmp_path, settings="# settings", data_report={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.json", "pipeline.yaml"]


def test_a_folder_of_somebody_else_in_a_stages_place_ends_the_run_before_it_begins(review_files: Path) -> None:
    model = review_files / "out" / "1-skipgram" / "model.safetensors"
    model.parent.mkdir(parents=True)
    model.write_text("mine")
    with pytest.raises(ArtifactError) as caught:
        Pipeline.from_yaml(review_files / "small.yaml").run(review_files / "out", context=RunContext(device="cpu"))
    assert str(caught.value) == (
        f"{model.parent}: holds model.safetensors, which nlptl did not write; nothing was overwritten. Choose another path."
    )
    assert model.read_text() == "mine"
    assert [path.name for path in (review_files / "out").iterdir()] == ["1-skipgram"]


FOREIGN = {
    "comparison.jsonl": '{"text": "mine"}\n', "comparison.json": '{"mine": 1}', "evaluation.json": "[1]",
    "data.json": '{"rows": []}', "finished.json": '{"text": "a"}\n{"text": "b"}\n', ".inputs.json": '{"a": 2}',
}  # fmt: skip


@pytest.mark.parametrize("name", ["pipeline.yaml", *FOREIGN])
@pytest.mark.parametrize("kind", ["a file", "a symbolic link", "a folder"])
def test_a_file_of_somebody_else_among_those_of_a_run_ends_the_run_before_it_begins(
    tmp_path: Path, name: str, kind: str
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    folder_module.begin(out, settings=folder_module.MARK, data_report={"parts": {}})
    folder_module.check_folder(out, [])
    path, mine = out / name, tmp_path / "mine"
    own = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    mine.write_text(own)
    if kind == "a file":
        path.write_text(FOREIGN.get(name, "data: {}"))
    elif kind == "a folder":
        path.mkdir()
    else:
        path.symlink_to(mine)
    with pytest.raises(ArtifactError) as caught:
        folder_module.check_folder(out, [])
    assert str(caught.value) == (
        f"{path}: {kind} that nlptl did not write stands here; nothing was overwritten. Choose another folder with --out."
    )


@pytest.mark.parametrize(
    "content", ["", "{", "{}", "[]", "x", '{\n  "ident', '{"arm": "a", "see', '{"identity": "of an early version"}']
)
def test_damaged_files_of_a_run_are_no_foreign_files(tmp_path: Path, content: str) -> None:
    folder_module.begin(tmp_path, settings=folder_module.MARK, data_report={"parts": {}})
    (tmp_path / ("comparison.jsonl" if "arm" in content else "evaluation.json")).write_text(content)
    folder_module.check_folder(tmp_path, [])


@pytest.mark.parametrize("name", ["2-encoder", "2-finetune"])
def test_what_was_not_written_by_a_stage_of_that_name_is_left_and_told(tmp_path: Path, name: str) -> None:
    publish(tmp_path / name, lambda draft: (draft / "encoder.json").touch(), Manifest(kind="encoder"))
    left, told = remaining(tmp_path, [])
    assert left == [name], "saved by hand"
    assert len(told) == 1
    published(tmp_path / name, name[2:])
    (tmp_path / name / "thesis.txt").touch()
    assert remaining(tmp_path, [])[0] == [name], "and a stage to which somebody has added a file"
    (tmp_path / "notes").mkdir()
    (tmp_path / "2-photos.zip").touch()
    assert len(remaining(tmp_path, [])[1]) == 1, "what does not look like a stage is nobody's business"


def test_all_that_a_run_leaves_is_described(review_files: Path) -> None:
    out = review_files / "out"
    result = Pipeline.from_yaml(review_files / "small.yaml").run(out, context=RunContext(device="cpu"))
    described = folder_module.__doc__ or ""
    for path in out.iterdir():
        stage = STAGE_FOLDER.fullmatch(path.name)
        if path.name != ".lock":
            assert ("N-STAGE/" if stage else path.name) in described
        if stage:
            assert stage[2] in stage_names()
            beside = {"manifest.json", "README.md"}
            assert {file.relative_to(path).as_posix() for file in path.rglob("*")} <= stage_files() | beside
    assert stage_folders(out) == [outcome.folder for outcome in result.stages]
    assert Encoder.files() < TextClassifier.files() < stage_files()


def test_no_module_but_the_union_names_a_stage_class() -> None:
    room = Path(folder_module.__file__).parent
    imported = {
        node.module
        for path in room.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("nlptl.stages")
    }
    assert imported == {"nlptl.stages.stage", "nlptl.stages.union"}


@pytest.mark.parametrize(
    "name", ["pipeline.yaml", "data.json", "evaluation.json", "comparison.json", "comparison.jsonl"]
)
def test_files_of_somebody_else_are_not_overwritten(review_files: Path, name: str) -> None:
    out = review_files / "out"
    out.mkdir()
    (out / name).write_text("mine")
    with pytest.raises(ArtifactError) as caught:
        Pipeline.from_yaml(review_files / "small.yaml").run(out, context=RunContext(device="cpu"))
    assert str(caught.value) == (
        f"{out / name}: a file that nlptl did not write stands here; nothing was overwritten. Choose another folder with --out."
    )
    assert [path.name for path in out.iterdir() if path.name != ".lock"] == [name]
    assert (out / name).read_text() == "mine"
