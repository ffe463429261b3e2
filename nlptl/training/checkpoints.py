"""Checkpoints of a training, from which it resumes after a kill: safetensors and JSON, whole or not at all."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import file_digest, read_tensors
from nlptl.disk.drafts import write_folder_atomically
from nlptl.errors import ArtifactError
from nlptl.results import read_result, write_result

if TYPE_CHECKING:
    from torch import Tensor

EVERY_SECONDS = 60.0  # between two checkpoints; fewer lose less to a kill and write more
TENSORS, COUNTERS = "tensors.safetensors", "counters.json"
State = tuple["dict[str, Tensor]", dict[str, Any]]
CHECKPOINT_NAME = re.compile(r"\.?step-[0-9]+(\.draft-(old-)?[0-9]+)?")


@dataclasses.dataclass
class Checkpoints:
    """Checkpoints of one training in `folder`. Those of another `identity` (other settings or data) are ignored."""

    folder: Path
    identity: str
    every_steps: int | None = None  # between two, in place of `EVERY_SECONDS`
    _last: float = dataclasses.field(default_factory=time.monotonic)

    def keep(self, step: int, state: Callable[[], State], *, last: bool = False) -> None:
        """Write a checkpoint if one is due, or after the `last` step, and remove older ones."""
        from safetensors.torch import save_file

        late = time.monotonic() - self._last >= EVERY_SECONDS
        if not (last or (late if self.every_steps is None else step % self.every_steps == 0)):
            return
        tensors, counters = state()
        place = self.folder / f"step-{step:09d}"

        def write(draft: Path) -> None:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, draft / TENSORS)
            content = {"identity": self.identity, "tensors": file_digest(draft / TENSORS), "counters": counters}
            write_result(draft / COUNTERS, content)

        write_folder_atomically(place, write)
        for path in self.folder.iterdir():
            if path != place and CHECKPOINT_NAME.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)
        self._last = time.monotonic()

    def newest(self) -> State | None:
        """Read the newest whole checkpoint of this identity, if any."""
        found = sorted(self.folder.glob("step-*"), key=lambda path: path.name, reverse=True)
        return next((state for place in found if (state := self._read(place)) is not None), None)

    def _read(self, place: Path) -> State | None:
        try:
            content = read_result(place / COUNTERS, sealed_only=True) or {}
            if content["identity"] != self.identity or content["tensors"] != file_digest(place / TENSORS):
                return None
            return dict(read_tensors(place / TENSORS)), content["counters"]
        except (ArtifactError, OSError, KeyError, TypeError):
            return None  # torn or foreign: begin again


def remove_checkpoints(folder: Path) -> None:
    """Remove all checkpoints below a folder, and the folders that are empty then. Files of others stay."""
    folders = [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]
    for place in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        if CHECKPOINT_NAME.fullmatch(place.name):
            for name in (TENSORS, COUNTERS):
                (place / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # not empty, or gone
            place.rmdir()
