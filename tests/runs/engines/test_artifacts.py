"""Artifacts as workers find them: by path, or by files that travelled with the job."""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import pytest

from nlptl.artifact import Manifest, publish
from nlptl.errors import ArtifactError
from nlptl.runs.engines.artifacts import ArtifactAtHand


def published(folder: Path, content: str) -> Path:
    def write(draft: Path) -> None:
        (draft / "inner").mkdir()
        (draft / "inner" / "weights.json").write_text(content)

    publish(folder, write, Manifest(kind="encoder"))
    return folder


def test_a_worker_that_sees_the_folder_reads_it_there(tmp_path: Path) -> None:
    folder = published(tmp_path / "encoder", "1")
    with ArtifactAtHand.of(folder).folder() as found:
        assert found == folder


@pytest.mark.parametrize("there", ["nothing", "another"])
def test_files_that_travelled_are_unpacked_where_the_folder_is_not_there(tmp_path: Path, there: str) -> None:
    folder = published(tmp_path / "encoder", "1")
    artifact = ArtifactAtHand.of(folder, travels=True)
    shutil.rmtree(folder)
    if there == "another":
        published(folder, "2")
    with artifact.folder() as found:
        assert found != folder
        assert (found / "inner" / "weights.json").read_text() == "1"
    assert not found.exists()


def test_what_a_worker_does_not_find_is_told(tmp_path: Path) -> None:
    folder = published(tmp_path / "encoder", "1")
    artifact, host = ArtifactAtHand.of(folder), socket.gethostname()
    published(folder, "2")
    with pytest.raises(ArtifactError) as caught, artifact.folder():
        pass
    assert str(caught.value) == (
        f"{folder}: {host} has another artifact there than the machine of the command. Copy it again."
    )
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError) as caught, artifact.folder():
        pass
    assert str(caught.value) == (
        f"{folder}: {host} has no such folder; expected one that all workers see. Put it on a shared file system."
    )
