"""Equal files of stages are held once, and stay equal whatever happens to one of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish, read_manifest, verify
from nlptl.disk import hard_links
from nlptl.errors import ArtifactError

LARGE = b"ab" * (hard_links.MIN_BYTES // 2)


def published(folder: Path, *beside: Path, weights: bytes = LARGE) -> Path:
    def write(draft: Path) -> None:
        (draft / "sub").mkdir()
        for name, content in (
            ("model.safetensors", weights),
            ("sub/head.safetensors", weights[::-1]),
            ("encoder.json", b"{}"),
        ):
            (draft / name).write_bytes(content)

    publish(folder, write, Manifest(kind="encoder"), files=("model.safetensors",), beside=beside)
    verify(folder, read_manifest(folder))
    return folder


def inode(folder: Path, name: str = "model.safetensors") -> int:
    return (folder / name).stat().st_ino


def test_large_equal_files_are_held_once(tmp_path: Path) -> None:
    first = published(tmp_path / "1")
    second = published(tmp_path / "2", first)
    third = published(tmp_path / "3", first, second)
    assert inode(first) == inode(second) == inode(third)
    assert inode(first, "sub/head.safetensors") == inode(third, "sub/head.safetensors")
    assert inode(first, "encoder.json") != inode(second, "encoder.json"), "a small file is not worth a link"
    assert inode(first) != inode(published(tmp_path / "4")), "nothing is shared unasked"
    assert inode(first) != inode(published(tmp_path / "5", first, weights=b"y" * len(LARGE)))
    assert not list(tmp_path.rglob("*.link"))


def test_a_file_of_another_user_is_not_linked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = published(tmp_path / "1")
    here = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: here + 1)
    second = published(tmp_path / "2", first)
    assert inode(first) != inode(second)
    assert not list(tmp_path.rglob("*.link"))


def test_no_mode_is_changed_that_is_right_or_of_a_shared_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = published(tmp_path / "1")
    (first / "model.safetensors").chmod(0o640)
    changed: list[str] = []
    change = Path.chmod
    monkeypatch.setattr(Path, "chmod", lambda path, mode: changed.append(path.name) or change(path, mode))
    second = published(tmp_path / "2", first)
    assert inode(first) == inode(second)
    assert changed == [], "another user's files refuse it"


def test_publishing_one_again_leaves_the_other(tmp_path: Path) -> None:
    first = published(tmp_path / "1")
    second = published(tmp_path / "2", first)
    published(first, weights=b"z" * len(LARGE))
    assert (second / "model.safetensors").read_bytes() == LARGE
    verify(second, read_manifest(second))
    shutil.rmtree(first)
    verify(second, read_manifest(second))


def test_a_move_and_a_copy_are_whole(tmp_path: Path) -> None:
    published(tmp_path / "run" / "1")
    published(tmp_path / "run" / "2", tmp_path / "run" / "1")
    shutil.copytree(tmp_path / "run", tmp_path / "copied")
    (tmp_path / "run").rename(tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "1")
    for folder in (tmp_path / "copied" / "1", tmp_path / "copied" / "2", tmp_path / "moved" / "2"):
        verify(folder, read_manifest(folder))
    assert inode(tmp_path / "copied" / "1") != inode(tmp_path / "copied" / "2")


@pytest.mark.parametrize("damaged", [b"y" * len(LARGE), LARGE[:-1], b""])
def test_a_damaged_file_is_not_shared(tmp_path: Path, damaged: bytes) -> None:
    first = published(tmp_path / "1")
    (first / "model.safetensors").write_bytes(damaged)
    second = published(tmp_path / "2", first)
    assert (second / "model.safetensors").read_bytes() == LARGE
    (first / "model.safetensors").unlink()
    third = published(tmp_path / "3", first)
    assert (third / "model.safetensors").read_bytes() == LARGE
    assert not list(tmp_path.rglob("*.link"))


def test_a_link_to_elsewhere_is_not_shared(tmp_path: Path) -> None:
    first = published(tmp_path / "1")
    (first / "model.safetensors").rename(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", first / "model.safetensors")
    second = published(tmp_path / "2", first)
    assert not (second / "model.safetensors").is_symlink()
    assert inode(second) != (tmp_path / "elsewhere").stat().st_ino


def test_without_links_there_are_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(95, "Operation not supported")

    first = published(tmp_path / "1")
    monkeypatch.setattr(os, "link", refuse)
    second = published(tmp_path / "2", first)
    assert inode(first) != inode(second)


def test_a_change_in_place_is_noticed_in_both(tmp_path: Path) -> None:
    """Only somebody else writes so. Both folders are then damaged, and both say it."""
    first = published(tmp_path / "1")
    second = published(tmp_path / "2", first)
    with (second / "model.safetensors").open("r+b") as file:
        file.write(b"y")
    for folder in (first, second):
        with pytest.raises(ArtifactError, match="differs from its digest"):
            verify(folder, read_manifest(folder))
