"""Artifact folders as workers find them: by their path where they see it, else by files that travelled with the job."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from nlptl.artifact import digest_of, read_manifest
from nlptl.disk.drafts import files_in, temporary_folder
from nlptl.errors import ArtifactError
from nlptl.versions import artifact_in_use


@dataclasses.dataclass(frozen=True)
class ArtifactAtHand:
    """Published folder, told by a digest of its files."""

    path: str
    digest: str
    files: Mapping[str, bytes] | None = dataclasses.field(default=None, repr=False)  # where they travel

    @classmethod
    def of(cls, folder: Path, *, travels: bool = False) -> ArtifactAtHand:
        """Return the artifact in use of a run, or that of a stage's folder; its files too, if it `travels`."""
        folder = artifact_in_use(folder).resolve()
        files = (
            {path.relative_to(folder).as_posix(): path.read_bytes() for path in files_in(folder)} if travels else None
        )
        return cls(str(folder), _digest(folder), files)

    @contextlib.contextmanager
    def folder(self) -> Iterator[Path]:
        """Lend a folder that holds the artifact. Raises ArtifactError where it is not here, or is another one."""
        path = Path(self.path)
        if path.is_dir() and (self.files is None or _digest(path) == self.digest):
            if _digest(path) != self.digest:
                raise ArtifactError(
                    f"{path}: {socket.gethostname()} has another artifact there than the machine of the command. Copy it again."
                )
            yield path
        elif self.files is None:
            raise ArtifactError(
                f"{path}: {socket.gethostname()} has no such folder; expected one that all workers see. Put it on a shared file "
                "system."
            )
        else:
            with temporary_folder("artifact") as copy:
                _write(copy, self.files)
                yield copy


def _digest(folder: Path) -> str:
    return digest_of(read_manifest(folder).files)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
