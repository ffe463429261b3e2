"""The cache of large sources: damage is noticed, a cache that cannot be used is told, killed processes leave nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from nlptl.data import DataSettings, load_data, load_table
from nlptl.data.cache import cache_folder


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 10)


def swapped(whole: bytes) -> bytes:
    """Change a text, and nothing that the reader would notice."""
    return whole.replace(b"line 999", b"LINE 999")


def skipping(whole: bytes) -> bytes:
    return whole.replace(b'"skipped": 0', b'"skipped": 7')


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:100], lambda whole: b"", lambda whole: whole[:-5000], swapped, skipping]
)
@pytest.mark.parametrize("in_place", [False, True])
def test_a_damaged_cache_is_written_anew(damage, in_place: bool, tmp_path: Path) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("".join(f"line {i}\n" for i in range(1000)))
    first = load_table(str(path), labelled=False)
    assert first.mapped is not None
    cached = first.mapped
    whole, before = cached.read_bytes(), cached.stat()
    del first
    if not in_place:
        cached.unlink()
    cached.write_bytes(damage(whole))
    os.utime(cached, ns=(before.st_atime_ns, before.st_mtime_ns))
    again = load_table(str(path), labelled=False)
    assert again.texts()[-1] == "line 999"
    assert cached.read_bytes() == whole


def test_a_cache_is_read_once_more_after_a_copy_and_not_after_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rows.txt"
    path.write_text("line 1\nline 2\n")
    cached = load_table(str(path), labelled=False).mapped
    assert cached is not None
    read: list[Path] = []
    monkeypatch.setattr("nlptl.data.sources.read_file", None)
    monkeypatch.setattr(
        "nlptl.data.cache.file_digest", lambda path: read.append(path) or hashlib.sha256(path.read_bytes()).hexdigest()
    )
    shutil.copytree(cached.parent, tmp_path / "copy")
    shutil.rmtree(cached.parent)
    (tmp_path / "copy").rename(cached.parent)
    for _ in range(2):
        assert load_table(str(path), labelled=False).texts() == ["line 1", "line 2"]
        assert read == [cached]


@pytest.mark.parametrize("fault", ["a file", "no permission", "no home"])
def test_without_a_cache_the_rows_stand_in_a_file_without_a_name(
    fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    place = tmp_path / "cache"
    if fault == "a file":
        place.write_text("mine")
        told = f"{place}/data: cannot be written (Not a directory); a file stands where a folder is expected. Choose another path."
    elif fault == "no permission":
        told = (
            f"{place}/data: cannot be written (Permission denied); nothing was left half-written. Change the permissions or "
            "choose another folder."
        )
        mkdir = Path.mkdir

        def refuse(path: Path, *arguments: object, **options: object) -> None:
            if place in path.parents:
                raise PermissionError(13, "Permission denied")
            mkdir(path, *arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(Path, "mkdir", refuse)
    else:
        told = "Could not determine home directory."
        monkeypatch.delenv("NLPTL_CACHE")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    path = tmp_path / "rows.txt"
    path.write_text("line 1\n\nline 2\n")
    with pytest.warns(UserWarning, match="cache") as caught:
        data, report = load_data(DataSettings(unlabelled=str(path), empty_text="skip"), seed=1)
    assert str(caught[0].message) == (
        f"The cache of large data cannot be used: {told} The rows stand in a temporary file for now. To keep them, set "
        "NLPTL_CACHE to a folder that you may write."
    )
    assert list((tmp_path / "temporary").iterdir()) == []
    assert report.parts["unlabelled"].empty_skipped == 1
    assert data.unlabelled is not None
    assert data.unlabelled.texts() == ["line 1", "line 2"]


def test_drafts_of_killed_processes_go_from_the_cache(tmp_path: Path) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / f".{'a' * 64}.2.arrow.draft-{'7' * 39}").touch()
    (cache_folder() / f".mine.arrow.draft-{'7' * 39}").touch()
    (tmp_path / "rows.txt").write_text("line 1\nline 2\n")
    load_table(str(tmp_path / "rows.txt"), labelled=False)
    assert [path.name for path in cache_folder().iterdir() if path.name.startswith(".")] == [
        f".mine.arrow.draft-{'7' * 39}"
    ]
