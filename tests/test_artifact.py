"""Published folders: what they hold, which damage is told, and what is read again."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from nlptl import artifact
from nlptl.artifact import (
    Manifest,
    checked_manifest,
    publish,
    read_json,
    read_manifest,
    read_published,
    read_tensors,
    verify,
)
from nlptl.errors import ArtifactError
from tests.published import published, read_hello, refusal, write_hello


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_published_folder_is_whole(tmp_path: Path) -> None:
    publish(tmp_path / "a", write_hello, Manifest(kind="encoder"))
    manifest = read_manifest(tmp_path / "a", kind="encoder")
    assert listing(tmp_path / "a") == ["manifest.json", "tokenizer.json"]
    assert list(manifest.files) == ["tokenizer.json"]
    verify(tmp_path / "a", manifest)
    assert listing(tmp_path) == ["a"]


def test_faults_of_folders_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    for sentence in (
        f"{folder}: no such folder; expected one that nlptl published. Check the path.",
        f"{folder}: holds no manifest.json; expected a folder that nlptl published. Give a run or a stage's folder.",
    ):
        with pytest.raises(ArtifactError) as caught:
            read_manifest(folder)
        assert str(caught.value) == sentence
        folder.mkdir(exist_ok=True)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ArtifactError) as caught:
        read_manifest(folder)
    assert str(caught.value) == (
        f"{folder}/manifest.json: is not a manifest that this version reads; the folder is damaged or of another version. "
        "Run the stage again."
    )
    (folder / "manifest.json").write_text(Manifest(kind="encoder", format_version=9).model_dump_json())
    with pytest.raises(ArtifactError) as caught:
        read_manifest(folder)
    assert str(caught.value) == (
        f"{folder}/manifest.json: format version 9 is newer than 1, which this nlptl reads. Update nlptl."
    )
    (folder / "manifest.json").write_text('{"format_version": 0, "kind": "word_vectors", "made_by": "an old one"}')
    with pytest.raises(ArtifactError) as caught:
        read_manifest(folder)
    assert str(caught.value) == (
        f"{folder}/manifest.json: format version 0 is older than 1, which this nlptl reads. Run the pipeline again."
    )
    (folder / "manifest.json").write_text(Manifest(kind="encoder").model_dump_json())
    with pytest.raises(ArtifactError) as caught:
        read_manifest(folder, kind="classifier")
    assert str(caught.value) == (
        f"{folder}: holds an artifact of kind encoder; expected classifier. Give another folder."
    )


def test_changed_and_missing_files_are_told(tmp_path: Path) -> None:
    manifest = publish(tmp_path / "a", write_hello, Manifest(kind="encoder"))
    hello = tmp_path / "a" / "tokenizer.json"
    hello.write_text("hullo")
    with pytest.raises(ArtifactError) as caught:
        verify(tmp_path / "a", manifest)
    assert (
        str(caught.value) == f"{hello}: differs from its digest in the manifest; it was changed. Run the stage again."
    )
    hello.unlink()
    with pytest.raises(ArtifactError) as caught:
        verify(tmp_path / "a", manifest)
    assert str(caught.value) == (
        f"{hello}: is missing though the manifest names it; the folder is damaged. Run the stage again."
    )
    for read in (read_json, read_tensors):
        with pytest.raises(ArtifactError) as caught:
            read(hello)
        assert str(caught.value) == f"{hello}: is missing; the folder is damaged. Run the stage again."
    hello.write_text("hello")
    with pytest.raises(ArtifactError) as caught:
        read_json(hello)
    assert str(caught.value) == f"{hello}: cannot be read; the folder is damaged. Run the stage again."
    with pytest.raises(ArtifactError) as caught:
        read_tensors(hello)
    assert str(caught.value) == f"{hello}: is no whole safetensors file; the folder is damaged. Run the stage again."


@pytest.mark.parametrize(
    "name", ["code.py", "config.json", "tokenizer.json.bak", "adapter/adapter_config.json", "README.py"]
)
def test_files_that_the_manifest_does_not_name_are_refused(name: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).touch()
    listed = f"adapter, {name}" if "/" in name else name
    sentence = (
        f"{folder}: holds {listed} beside the files that its manifest names; expected nothing else but notes such as "
        "README.md. Move it elsewhere."
    )
    assert refusal(lambda: read_published(folder, read_hello)) == sentence
    assert refusal(lambda: checked_manifest(folder)) == sentence


def test_notes_and_the_litter_of_systems_are_ignored(tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    for name in (
        "README.md",
        "LICENSE",
        "model_card.md",
        ".gitattributes",
        ".DS_Store",
        ".cache/huggingface/x.metadata",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    assert read_published(folder, read_hello) == "hello"


def test_links_that_leave_the_folder_are_refused_but_for_the_hubs_cache(tmp_path: Path) -> None:
    folder, outside = published(tmp_path / "a"), tmp_path / "outside.json"
    hello = folder / "tokenizer.json"
    hello.rename(outside)
    hello.symlink_to(outside)
    assert refusal(lambda: read_published(folder, read_hello)) == (
        f"{hello}: is a symbolic link to {outside}, outside its folder; expected the file itself. Copy it here."
    )
    cache = tmp_path / "models--me--mine"
    (cache / "snapshots" / "c0ffee").mkdir(parents=True)
    (cache / "blobs").mkdir()
    outside.rename(cache / "blobs" / "x")
    shutil.move(folder / "manifest.json", cache / "blobs" / "y")
    for name, blob in (("tokenizer.json", "x"), ("manifest.json", "y")):
        (cache / "snapshots" / "c0ffee" / name).symlink_to(Path("..", "..", "blobs", blob))
    assert read_published(cache / "snapshots" / "c0ffee", read_hello) == "hello"


@pytest.mark.parametrize("name", ["../b", "/etc/passwd", "x/../../y", "./x", "manifest.json", "x\0y", ""])
def test_a_manifest_that_names_files_elsewhere_is_refused(name: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    (folder / "manifest.json").write_text(json.dumps({"kind": "encoder", "files": {name: "0"}}))
    assert "is not a manifest that this version reads" in refusal(lambda: read_manifest(folder))


def test_an_edited_manifest_is_told_and_one_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    path = folder / "manifest.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | {"seconds": 0.1}))
    assert refusal(lambda: read_manifest(folder)) == (
        f"{path}: differs from the digest that it holds; it was changed. Run the stage again."
    )
    path.write_text(json.dumps({name: value for name, value in whole.items() if name not in ("digest", "stamps")}))
    assert read_published(folder, read_hello) == "hello"
    assert checked_manifest(folder).files == whole["files"]


def test_a_kept_folder_is_not_read_while_its_stamps_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    publish(folder, write_hello, Manifest(kind="encoder"), stamped=True)
    hello, read = folder / "tokenizer.json", list[Path]()
    monkeypatch.setattr(
        artifact, "file_digest", lambda path, digest=artifact.file_digest: read.append(path) or digest(path)
    )
    checked_manifest(folder)
    assert read == []
    before = hello.stat()
    hello.touch()
    checked_manifest(folder)
    assert read == [hello]
    checked_manifest(folder, stamps={"tokenizer.json": list(artifact.stamp_of(hello))})
    assert read == [hello], "known from a later check"
    hello.write_text("hullo")
    os.utime(hello, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ArtifactError, match="differs from its digest"):
        read_published(folder, read_hello)
    with pytest.raises(ArtifactError, match="differs from its digest"):
        checked_manifest(folder)


def test_a_copied_or_moved_folder_is_whole(tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    shutil.copytree(folder, tmp_path / "b")
    folder.rename(tmp_path / "c")
    for name in ("b", "c"):
        assert read_published(tmp_path / name, read_hello) == "hello"
        checked_manifest(tmp_path / name)


def test_a_folder_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    folder = published(tmp_path / "a")
    reads: list[str] = []

    def read(place: Path) -> str:
        reads.append(read_json(place / "encoder.json") if (place / "encoder.json").exists() else read_hello(place))
        if len(reads) == 1:
            publish(
                folder, lambda draft: (draft / "encoder.json").write_text('"new"') and None, Manifest(kind="encoder")
            )
            return str(read_json(place / "tokenizer.json"))  # of the old one, which is gone
        return reads[-1]

    assert read_published(folder, read) == "new"
    assert reads == ["hello", "new"]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_file_that_goes_while_its_digest_is_made(
    replaced: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, digest = published(tmp_path / "a"), artifact.file_digest

    def vanishing(path: Path) -> str:
        if path.name == "tokenizer.json":
            if replaced:
                publish(folder, lambda draft: (draft / "other.json").write_text("1") and None, Manifest(kind="encoder"))
            else:
                path.unlink()
        return digest(path)

    monkeypatch.setattr(artifact, "file_digest", vanishing)
    if replaced:
        assert read_published(folder, listing) == ["manifest.json", "other.json"]
        return
    with pytest.raises(ArtifactError) as caught:
        read_published(folder, listing)
    assert str(caught.value) == (
        f"{folder}/tokenizer.json: is missing though the manifest names it; the folder is damaged. Run the stage again."
    )


def test_a_stage_of_a_run_is_not_replaced_by_hand(tmp_path: Path) -> None:
    run, settings = tmp_path / "run", {"stage": "skipgram"}
    stage, manifest = run / "1-skipgram", Manifest(kind="encoder", settings={"stage": "skipgram"})
    publish(stage, write_hello, manifest)
    (run / "pipeline.yaml").touch()
    with pytest.raises(ArtifactError) as caught:
        publish(stage, write_hello, Manifest(kind="encoder"))
    assert str(caught.value) == (
        f"{stage}: is a stage of the run {run}; nothing was overwritten. Choose another folder."
    )
    assert read_manifest(stage).settings == settings
    publish(stage, write_hello, manifest)  # as the run itself does
    copied = Path(shutil.copytree(stage, tmp_path / "copied"))
    for free in (copied, run / "mine"):
        publish(free, write_hello, Manifest(kind="encoder"))
        publish(free, write_hello, Manifest(kind="encoder"))
        assert read_manifest(free).settings == {}


@pytest.mark.parametrize("path", [None, 5, b"abc", ["a"]])
def test_what_is_no_path_is_told(path: object) -> None:
    for call in (read_manifest, lambda path: publish(path, write_hello, Manifest(kind="encoder"))):
        with pytest.raises(ArtifactError) as caught:
            call(path)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"{path!r}: is of the type {type(path).__name__}, but must be a path: a str or a pathlib.Path. Give one."
        )


@pytest.mark.parametrize("name", ["a\0b", "a\ud800", b"a\xff".decode("utf-8", "surrogateescape")])
def test_paths_that_libraries_cannot_open_are_told(name: str, tmp_path: Path) -> None:
    if "\0" in name:
        sentence = f"{str(tmp_path / name)!r}: holds a NUL character; expected a path without one. Check the path."
    else:
        shown = str(tmp_path / name).encode("utf-8", "backslashreplace").decode()
        sentence = f"{shown}: is no UTF-8; expected a path in UTF-8. Rename the folder, or choose another."
    for call in (published, read_manifest, lambda folder: read_published(folder, read_hello)):
        assert refusal(lambda call=call: call(tmp_path / name)) == sentence


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json"])
def test_a_folder_that_may_not_be_read_is_told_as_that(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, opened = published(tmp_path / "a"), Path.open

    def refuse(path: Path, *arguments: object, **options: object) -> object:
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", refuse)
    sentence = f"{folder / name}: cannot be read (Permission denied). Change its permissions."
    assert refusal(lambda: read_published(folder, read_hello)) == sentence
    assert refusal(lambda: read_json(folder / name)) == sentence


@pytest.mark.parametrize(
    "content", ["[" * 200_000, "[]", "3", "{", "NaN", '{"kind": "encoder", "seed": true}', '{"kind": 1e400}']
)
def test_a_manifest_of_anything_else_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        artifact.read_manifest(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'manifest.json'}: is not a manifest that this version reads; the folder is damaged or of another version. "
        "Run the stage again."
    )


def test_a_manifest_without_bounds_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "manifest.json").open("wb") as file:
        file.truncate(2**30)  # takes no place on the disk
    with pytest.raises(ArtifactError, match=r"is not a manifest that this version reads"):
        artifact.read_manifest(tmp_path)
