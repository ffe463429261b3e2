"""Files and folders that exist whole or not at all, whoever is killed, and what killed processes leave behind."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nlptl.artifact import Manifest, publish, read_published
from nlptl.disk import drafts
from nlptl.disk.drafts import append_lines, sweep, temporary_folder, write_atomically, write_text_atomically
from nlptl.errors import ArtifactError, StorageError
from tests.forked import FORKED

OLD, NEW = "old " * 50, "new " * 50
NUMBER = "7" * 39  # of a draft


def write_text(text: str) -> Any:
    def write(folder: Path) -> None:
        (folder / "tokenizer.json").write_text(text, encoding="utf-8")
        (folder / "adapter").mkdir()
        (folder / "adapter" / "weights.json").write_text(text, encoding="utf-8")

    return write


def saved(folder: Path, text: str) -> Path:
    publish(folder, write_text(text), Manifest(kind="encoder"))
    return folder


def loaded(folder: Path) -> str:
    return read_published(folder, lambda place: (place / "tokenizer.json").read_text(encoding="utf-8"))


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_publishing_again_replaces(tmp_path: Path) -> None:
    assert loaded(saved(tmp_path / "a", OLD)) == OLD
    publish(tmp_path / "a", lambda folder: (folder / "b").touch(), Manifest(kind="encoder"))
    assert listing(tmp_path / "a") == ["b", "manifest.json"]
    assert listing(tmp_path) == ["a"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert loaded(saved(tmp_path / "a", NEW)) == NEW
    assert listing(tmp_path) == ["a"]


def test_a_link_to_a_folder_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    saved(tmp_path / "disk" / "a", OLD)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "a")
    assert loaded(saved(tmp_path / "link", NEW)) == NEW
    assert (tmp_path / "link").is_symlink()
    assert loaded(tmp_path / "disk" / "a") == NEW
    assert listing(tmp_path / "disk") == ["a"]


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path / "a", OLD)
    monkeypatch.setattr(drafts.os, "fsync", full)
    with pytest.raises(StorageError) as caught:
        saved(tmp_path / "a", NEW)
    assert str(caught.value) == (
        f"{tmp_path / 'a'}: cannot be written (No space left on device); nothing was left half-written. "
        "Free space or choose another folder."
    )
    assert loaded(tmp_path / "a") == OLD
    with pytest.raises(StorageError):
        write_text_atomically(tmp_path / "x.json", "{}")
    assert listing(tmp_path) == ["a"]


def test_safetensors_on_a_full_disk_is_the_same_sentence(tmp_path: Path) -> None:
    class SafetensorError(Exception):
        pass

    def write(_: Path) -> None:
        raise SafetensorError("No space left on device (os error 28)")

    with pytest.raises(StorageError, match=r"cannot be written \(No space left on device \(os error 28\)\)"):
        publish(tmp_path / "a", write, Manifest(kind="encoder"))
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EACCES, "(Permission denied); nothing was left half-written. Change the permissions or choose another folder."),
        (errno.EPERM, "(Operation not permitted); nothing was left half-written. Change the permissions or choose another "
                      "folder."),
        (errno.EROFS, "(Read-only file system); nothing was left half-written. Choose another folder."),
        (errno.ENOENT, "(No such file or directory); its folder is not there, was removed, or takes no files. "
         "Make it, or choose another path."),
        (errno.EIO, "(Input/output error); nothing was left half-written. Free space or choose another folder."),
    ],
)  # fmt: skip
def test_each_refusal_of_a_disk_has_its_own_remedy(
    number: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(drafts.os, "fsync", refuse)
    for write in (
        lambda: saved(tmp_path / "a", NEW),
        lambda: write_text_atomically(tmp_path / "a", "{}"),
        lambda: append_lines(tmp_path / "a", "{}\n"),
    ):
        with pytest.raises(StorageError) as caught:
            write()
        assert str(caught.value) == f"{tmp_path / 'a'}: cannot be written {told}"


def test_a_file_in_the_way_and_names_too_long_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError) as caught:
        saved(tmp_path / "file" / "a", NEW)
    assert str(caught.value) == (
        f"{tmp_path / 'file' / 'a'}: cannot be written (File exists); a file stands where a folder is expected. "
        "Choose another path."
    )
    long = tmp_path / ("ä" * 130)
    for write in (lambda: saved(long, NEW), lambda: write_text_atomically(long, "")):
        with pytest.raises(StorageError) as caught:
            write()
        assert str(caught.value) == (
            f"{long}: cannot be written (File name too long); nothing was left half-written. Choose a shorter name."
        )
    fits = tmp_path / ("ä" * 127)
    assert loaded(saved(fits, NEW)) == NEW, "its draft's name is cut"
    assert sorted(listing(tmp_path)) == ["file", fits.name]


@pytest.mark.parametrize("place", ["current", "above", "home", "mount"])
def test_a_folder_whose_place_cannot_be_taken_is_refused(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    (folder / "inner").mkdir(parents=True)
    what = {
        "current": "the current folder", "above": "a folder above the current one", "home": "your home folder",
        "mount": "where a disk is mounted",
    }[place]  # fmt: skip
    if place in ("current", "above"):
        monkeypatch.chdir(folder if place == "current" else folder / "inner")
    if place == "home":
        monkeypatch.setenv("HOME", str(folder))
    if place == "mount":
        monkeypatch.setattr(drafts.os.path, "ismount", lambda path: Path(path) == folder)
    (folder / "inner").rmdir() if place != "above" else (folder / "inner").is_dir()
    asked = Path() if place == "current" else folder
    with pytest.raises(ArtifactError) as caught:
        drafts.write_folder_atomically(asked, write_text(NEW))
    assert str(caught.value) == (
        f"{folder}: is {what}, which cannot be replaced; expected a folder of its own. Name a new folder in it."
    )
    assert listing(tmp_path) == ["a"]


def test_a_device_or_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[str] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_text()))
    reader.start()
    write_text_atomically(pipe, "text")
    reader.join()
    assert found == ["text"]
    (tmp_path / "null").symlink_to("/dev/null")
    write_text_atomically(tmp_path / "null", "text")
    assert (tmp_path / "null").is_symlink()
    assert listing(tmp_path) == ["null", "pipe"]


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o027])
def test_files_have_the_permissions_of_the_umask(mask: int, tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        write_text(NEW)(folder)
        handle, _ = tempfile.mkstemp(dir=folder / "adapter")  # 0600, as some libraries write
        os.close(handle)

    before = os.umask(mask)
    try:
        publish(tmp_path / "a", write, Manifest(kind="encoder"))
        write_text_atomically(tmp_path / "x.json", "{}")
    finally:
        os.umask(before)
    for path in (tmp_path / "a", tmp_path / "x.json", *(tmp_path / "a").rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~mask, path


@pytest.fixture(params=["exchange", "two steps"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Replace folders in one step, or in two as disks without exchange need it."""
    if request.param == "two steps":
        monkeypatch.setattr(drafts, "_exchanged", lambda *_: False)
    return request.param


def test_both_ways_replace_and_leave_nothing(way: str, tmp_path: Path) -> None:
    saved(tmp_path / "a", OLD)
    assert loaded(saved(tmp_path / "a", NEW)) == NEW
    assert listing(tmp_path) == ["a"]


def test_a_name_that_a_draft_cannot_repeat_is_refused_where_it_would_be_lost(way: str, tmp_path: Path) -> None:
    for name in ("a" * 190, "ä" * 95):
        saved(tmp_path / name, OLD)
        assert loaded(saved(tmp_path / name, NEW)) == NEW
    long = saved(tmp_path / ("b" * 191), OLD)
    if way == "exchange":
        assert loaded(saved(long, NEW)) == NEW
        return
    with pytest.raises(ArtifactError) as caught:
        saved(long, NEW)
    assert str(caught.value) == (
        f"{long}: its name has 191 bytes; this disk replaces folders of at most 190 alone. Nothing was overwritten. "
        "Choose a shorter name."
    )
    assert loaded(long) == OLD
    assert len(listing(tmp_path)) == 3


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions_and_its_link(mode: int, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    file, link = tmp_path / "disk" / "priv.csv", tmp_path / "link.csv"
    write_text_atomically(file, OLD)
    file.chmod(mode)
    link.symlink_to(file)
    for path in (file, link):
        write_text_atomically(path, NEW)
        assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (NEW, mode)
        write_text_atomically(file, OLD)
    assert link.is_symlink()
    assert listing(tmp_path / "disk") == ["priv.csv"]


def _save_in_child(folder: str, two_steps: bool, killed_at: int | None, writes: str | None) -> None:
    """Save, and die by kill -9 just before the file operation `killed_at`, counted from 0 in order."""
    operations = 0

    def before(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal operations
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if opened or event in (
            "os.mkdir",
            "os.rename",
            "os.remove",
            "os.rmdir",
            "os.chmod",
            "shutil.rmtree",
            "exchange",
        ):
            if operations == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            operations += 1

    exchanged = drafts._exchanged

    def counted(one: Path, other: Path) -> bool:
        sys.audit("exchange")
        found = not two_steps and exchanged(one, other)
        sys.audit("exchange")
        return found

    drafts._exchanged = counted
    sys.addaudithook(before)
    saved(Path(folder), NEW)
    if writes is not None:
        Path(writes).write_text(str(operations))


@pytest.mark.parametrize("two_steps", [False, True])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(two_steps: bool, tmp_path: Path) -> None:
    saved(tmp_path / "calm" / "a", OLD)
    calm = FORKED.Process(
        target=_save_in_child, args=(str(tmp_path / "calm" / "a"), two_steps, None, str(tmp_path / "n"))
    )
    calm.start()
    calm.join(60)
    moments = int((tmp_path / "n").read_text())
    assert moments > 10
    places = [tmp_path / str(moment) / "a" for moment in range(moments)]
    children = []
    for moment, place in enumerate(places):
        saved(place, OLD)
        children.append(FORKED.Process(target=_save_in_child, args=(str(place), two_steps, moment, None)))
        children[-1].start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [-signal.SIGKILL] * moments
    found = [loaded(place) for place in places]
    assert found == sorted(found, reverse=True), "old ones, then new ones"
    assert set(found) == {OLD, NEW}
    for place in places:
        assert loaded(saved(place, "next")) == "next"
        assert listing(place.parent) == ["a"], "the next one sweeps"


def _save_often(folder: str, text: str, times: int) -> None:
    for _ in range(times):
        saved(Path(folder), text)


def test_processes_and_threads_that_save_at_once_leave_one_of_them_whole(way: str, tmp_path: Path) -> None:
    folder = tmp_path / "a"
    saved(folder, OLD)
    children = [FORKED.Process(target=_save_often, args=(str(folder), text, 15)) for text in (OLD, NEW)]
    for child in children:
        child.start()
    threads = [threading.Thread(target=_save_often, args=(str(folder), text, 5)) for text in (OLD, NEW)]
    for thread in threads:
        thread.start()
    while multiprocessing.connection.wait([child.sentinel for child in children], timeout=0) != [
        child.sentinel for child in children
    ]:
        assert loaded(folder) in (OLD, NEW)
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert loaded(folder) in (OLD, NEW)
    saved(folder, NEW)
    assert listing(tmp_path) == ["a"]


def test_a_place_that_another_takes_between_two_steps_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename, taken = tmp_path / "a", os.rename, list[Path]()
    saved(folder, OLD)

    def followed(source: Path, target: Path) -> None:
        rename(source, target)
        if source == folder and not taken:
            taken.append(Path(shutil.copytree(target, folder)))

    monkeypatch.setattr(drafts, "_exchanged", lambda *_: False)
    monkeypatch.setattr(drafts.os, "rename", followed)
    saved(folder, NEW)
    assert taken
    assert loaded(folder) == NEW
    assert listing(tmp_path) == ["a"]


def test_drafts_of_a_killed_run_are_swept(tmp_path: Path) -> None:
    (tmp_path / f".1-skipgram.draft-{NUMBER}").mkdir()
    (tmp_path / "1-skipgram").mkdir()
    (tmp_path / f".1-skipgram.draft-old-{NUMBER}").mkdir()
    others = [f".my.draft-{NUMBER}", ".novel.draft-two", ".1-skipgram.draft-7"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / f".1-skipgram.draft-{NUMBER}" / "part").touch()
    (tmp_path / f".data.json.draft-{NUMBER}").touch()
    sweep(tmp_path, lambda name: name in ("1-skipgram", "data.json"))
    assert listing(tmp_path) == sorted([*others, "1-skipgram"])


def test_drafts_of_a_living_process_stay(tmp_path: Path) -> None:
    seen: list[list[str]] = []

    def write(draft: Path) -> None:
        sweep(tmp_path, lambda name: True)
        saved(tmp_path / "a", NEW)
        seen.append(listing(tmp_path))
        write_text(OLD)(draft)

    publish(tmp_path / "a", write, Manifest(kind="encoder"))
    ((draft, kept),) = seen
    assert draft.startswith(".a.draft-")
    assert kept == "a"
    assert loaded(tmp_path / "a") == OLD

    def stream(file: Any) -> None:
        sweep(tmp_path, lambda name: True)
        file.write(b"whole")

    write_atomically(tmp_path / "b", stream)
    assert (tmp_path / "b").read_bytes() == b"whole"
    assert listing(tmp_path) == ["a", "b"]


def test_temporary_folders_of_killed_processes_go_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    script = (
        "import sys; from nlptl.disk.drafts import temporary_folder\n"
        "with temporary_folder('corpus') as folder:\n"
        "    (folder / 'ids').write_bytes(b'0' * 1000); print(folder, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    ) as other:
        assert other.stdout is not None
        theirs = Path(other.stdout.readline().strip())
        (tmp_path / "nlptl.notes").mkdir()
        (tmp_path / "nlptl.link.abcdefgh").symlink_to(tmp_path / "nlptl.notes")
        with temporary_folder("corpus") as ours:
            assert listing(tmp_path) == sorted([ours.name, theirs.name, "nlptl.notes", "nlptl.link.abcdefgh"])
        other.kill()
    assert theirs.is_dir()
    with temporary_folder("metric") as ours:
        assert listing(tmp_path) == sorted([ours.name, "nlptl.notes", "nlptl.link.abcdefgh"])
    assert listing(tmp_path) == ["nlptl.link.abcdefgh", "nlptl.notes"]


def test_a_tmpdir_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(StorageError) as caught, temporary_folder("corpus"):
        pass
    assert (
        str(caught.value) == f"{tmp_path}: cannot be written (No space left on device). Set TMPDIR to another folder."
    )


@pytest.mark.parametrize("name", ["a\0b", "a\ud800"])
def test_paths_that_no_disk_takes_are_told(name: str, tmp_path: Path) -> None:
    for write in (lambda path: write_text_atomically(path, ""), lambda path: saved(path, NEW)):
        with pytest.raises(ArtifactError, match="expected a path"):
            write(tmp_path / name)


def test_a_folder_that_vanishes_in_the_middle_is_told(tmp_path: Path) -> None:
    def write(draft: Path) -> None:
        write_text(NEW)(draft)
        shutil.rmtree(tmp_path / "runs")

    with pytest.raises(StorageError) as caught:
        publish(tmp_path / "runs" / "a", write, Manifest(kind="encoder"))
    assert str(caught.value) == (
        f"{tmp_path / 'runs' / 'a'}: cannot be written (No such file or directory); its folder is not there, was "
        "removed, or takes no files. Make it, or choose another path."
    )


def test_an_old_folder_without_write_permission_leaves_no_draft(tmp_path: Path) -> None:
    """The superuser may remove everything, so the process that writes gives up that right."""
    folder = tmp_path / "a"
    (folder / "adapter").mkdir(parents=True)
    (folder / "adapter" / "old").touch()
    for closed in (folder / "adapter", folder):
        closed.chmod(0o555)
    code = (
        "import ctypes, sys\nfrom pathlib import Path\nfrom nlptl.disk.drafts import write_folder_atomically\n"
        "if sys.platform == 'linux':\n"
        "    words = ctypes.c_uint32 * 6\n"
        "    assert ctypes.CDLL(None).capset(words(0x20080522), words()) == 0\n"
        "write_folder_atomically(Path(sys.argv[1]), lambda draft: (draft / 'new').touch())\n"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in folder.iterdir()] == ["new"]
