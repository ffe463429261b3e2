"""What a training needs to go on after a kill: one folder at a time, whole or not at all, safetensors and JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import file_digest, read_json, read_tensors, write_folder_atomically
from nlptl.errors import ArtifactError

if TYPE_CHECKING:
    from torch import Tensor

TENSORS, COUNTERS = "tensors.safetensors", "counters.json"
State = tuple["dict[str, Tensor]", dict[str, Any]]
_NAME = re.compile(r"\.?step-[0-9]+(\.draft-(old-)?[0-9]+)?")


@dataclasses.dataclass
class Checkpoints:
    """Checkpoints of one training in `folder`; those of another `identity` (other settings or data) are not taken up."""

    folder: Path
    identity: str
    every_seconds: float = 60.0
    """Least time between two; shorter loses less to a kill and writes more."""
    every_steps: int | None = None
    """Instead of time: one every so many steps."""
    _last: float = dataclasses.field(default_factory=time.monotonic)

    def keep(self, step: int, state: Callable[[], State], *, last: bool = False) -> None:
        """Write a checkpoint if it is time for one or the `last` step is done, and remove those before it.

        That of the last step spares a training that another one follows from being done again.
        """
        late = time.monotonic() - self._last >= self.every_seconds
        if last or (late if self.every_steps is None else step % self.every_steps == 0):
            self._write(step, *state())
            self._last = time.monotonic()

    def newest(self) -> State | None:
        """Read the newest whole checkpoint of this identity; None when there is none."""
        found = sorted(self.folder.glob("step-*"), key=lambda path: path.name, reverse=True)
        for place in found:
            state = self._read(place)
            if state is not None:
                return state
        return None

    def _write(self, step: int, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        from safetensors.torch import save_file

        place = self.folder / f"step-{step:09d}"

        def write(draft: Path) -> None:
            save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, draft / TENSORS)
            content = {"identity": self.identity, "digest": file_digest(draft / TENSORS), "counters": counters}
            (draft / COUNTERS).write_text(json.dumps(content), encoding="utf-8")

        write_folder_atomically(place, write)
        for path in self.folder.iterdir():
            if path != place and _NAME.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _read(self, place: Path) -> State | None:
        try:
            content = read_json(place / COUNTERS)
            if content["identity"] != self.identity or content["digest"] != file_digest(place / TENSORS):
                return None
            return dict(read_tensors(place / TENSORS)), content["counters"]
        except (ArtifactError, OSError, KeyError, TypeError):
            return None  # a torn or foreign folder: begin again
