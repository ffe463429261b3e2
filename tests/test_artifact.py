"""Folders that exist whole or not at all, and the lock of a run."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nlptl import artifact
from nlptl.artifact import (
    Manifest,
    is_ours,
    publish,
    read_json,
    read_manifest,
    read_tensors,
    run_lock,
    sweep,
    verify,
    write_text_atomically,
)
from nlptl.errors import ArtifactError, StorageError

FILES = ("encoder.json", "tokenizer.json", "b", "adapter/weights.json")


def write_hello(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("hello", encoding="utf-8")


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_published_folder_is_whole(tmp_path: Path) -> None:
    publish(tmp_path / "a", write_hello, Manifest(kind="encoder"), files=FILES)
    manifest = read_manifest(tmp_path / "a", kind="encoder")
    assert listing(tmp_path / "a") == ["manifest.json", "tokenizer.json"]
    assert list(manifest.files) == ["tokenizer.json"]
    verify(tmp_path / "a", manifest)
    assert listing(tmp_path) == ["a"]


def test_publishing_again_replaces(tmp_path: Path) -> None:
    publish(tmp_path / "a", write_hello, Manifest(kind="encoder"), files=FILES)
    publish(tmp_path / "a", lambda folder: (folder / "encoder.json").touch(), Manifest(kind="encoder"), files=FILES)
    assert listing(tmp_path / "a") == ["encoder.json", "manifest.json"]
    assert listing(tmp_path) == ["a"]


def test_a_foreign_folder_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError) as caught:
        publish(tmp_path / "a", write_hello, Manifest(kind="encoder"), files=FILES)
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: a folder that nlptl did not write stands here; nothing was overwritten. Choose another path."
    )
    assert (tmp_path / "a" / "thesis.txt").read_text() == "years of work"


def test_a_folder_is_ours_by_its_manifest_or_by_the_names_that_its_class_declares(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    publish(folder, lambda draft: (draft / "of a later version.bin").touch(), Manifest(kind="encoder"), files=FILES)
    assert is_ours(folder), "the manifest names its files"
    assert is_ours(folder, FILES)
    (folder / "manifest.json").unlink()
    assert not is_ours(folder, FILES), "nobody knows this file"
    (folder / "of a later version.bin").rename(folder / "encoder.json")
    (folder / "adapter").mkdir()
    (folder / "adapter" / "weights.json").touch()
    assert is_ours(folder, FILES)
    assert not is_ours(folder)
    for other in ("thesis.txt", "adapter/thesis.txt", "b"):
        (folder / other).touch()
        assert is_ours(folder, FILES) == (other == "b"), other
        (folder / other).unlink()
    for other in ("own", "adapter/own", "b"):
        (folder / other).mkdir()
        assert not is_ours(folder, FILES), "a folder of another name, or of a file's"
        (folder / other).rmdir()
    assert is_ours(folder, FILES)
    (folder / "tokenizer.json").symlink_to(tmp_path / "nowhere")
    assert not is_ours(folder, FILES)


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(tmp_path / "a", write_hello, Manifest(kind="encoder"), files=FILES)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(artifact.os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        publish(tmp_path / "a", lambda folder: (folder / "b").touch(), Manifest(kind="encoder"), files=FILES)
    sentence = (
        f"{tmp_path / 'a'}: cannot be written (No space left on device); nothing was left half-written. "
        "Free space or choose another folder."
    )
    assert str(caught.value) == sentence
    assert listing(tmp_path) == ["a"]
    assert listing(tmp_path / "a") == ["manifest.json", "tokenizer.json"]
    with pytest.raises(StorageError):
        write_text_atomically(tmp_path / "x.json", "{}")
    assert listing(tmp_path) == ["a"]


def test_safetensors_on_a_full_disk_is_the_same_sentence(tmp_path: Path) -> None:
    class SafetensorError(Exception):
        pass

    def write(_: Path) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    with pytest.raises(StorageError, match=r"cannot be written \(No space left on device \(os error 28\)\)"):
        publish(tmp_path / "a", write, Manifest(kind="encoder"), files=FILES)
    assert listing(tmp_path) == []


def test_an_unwritable_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        publish(tmp_path / "file" / "a", write_hello, Manifest(kind="encoder"), files=FILES)
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'a'}: cannot be written (Not a directory); nothing was left half-written. "
        "Free space or choose another folder."
    )


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
    manifest = publish(tmp_path / "a", write_hello, Manifest(kind="encoder"), files=FILES)
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
        f"{hello}: is missing though the manifest names it; the folder is damaged. Run it again."
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


def test_the_second_run_on_a_folder_is_refused_with_the_holder(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from nlptl.artifact import run_lock\n"
        "with run_lock(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ArtifactError) as caught, run_lock(tmp_path):
            pass
        assert str(caught.value) == (
            f"{tmp_path}: another run (process {holder.pid}) works in this folder; one at a time is possible. "
            "Wait for it, or choose another folder with --out."
        )
        holder.kill()
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_drafts_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".1-skipgram.draft-77").mkdir()
    (tmp_path / ".1-skipgram.draft-old-77").mkdir()
    (tmp_path / ".my.draft-77").touch()
    (tmp_path / ".novel.draft-two").touch()
    (tmp_path / ".1-skipgram.draft-77" / "part").touch()
    (tmp_path / ".data.json.draft-77").touch()
    (tmp_path / "1-skipgram").mkdir()
    sweep(tmp_path, lambda name: name in ("1-skipgram", "data.json"))
    assert listing(tmp_path) == [".my.draft-77", ".novel.draft-two", "1-skipgram"]
