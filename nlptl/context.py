"""What a run hands to the code that it runs: seed, device, progress, record, checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptl.progress import Progress, SilentProgress, SilentTracker, Tracker
from nlptl.training.distributed import processes

if TYPE_CHECKING:
    import torch

    from nlptl.training.checkpoints import Checkpoints


Device = Literal["auto", "cpu", "cuda"]


Number = int | float | str


class Record:
    """Collects what a stage tells while it runs: rows of history and findings for the manifest."""

    def __init__(self, on_row: Callable[[str, Mapping[str, Number], int | None], None] | None = None) -> None:
        """`on_row(group, values, step)` is told each row at once; rows that share their words are one group."""
        self._on_row = on_row
        self.history: list[dict[str, Number]] = []
        self.report: dict[str, Any] = {}
        self.sentences: list[str] = []
        self.trainable_parameters = 0
        """Parameters that the stage trains; the manifest keeps them."""

    def row(self, **values: Number) -> None:
        """Add one line of history, such as an epoch and its loss."""
        self.history.append(values)
        if self._on_row is not None:
            self._on_row("/".join(str(value) for value in values.values() if isinstance(value, str)), values, None)

    def step(self, training: str, step: int, loss: float) -> None:
        """Tell the loss of one step to whoever tracks the run; it is not kept."""
        if self._on_row is not None:
            self._on_row(f"{training}/steps", {"loss": loss}, step)

    def add_finding(self, name: str, value: Any, sentence: str = "") -> None:
        """Keep a finding (plain JSON values) and, if given, the sentence that tells it."""
        self.report[name] = value
        if sentence:
            self.sentences.append(sentence)


@dataclasses.dataclass(frozen=True)
class RunContext:
    """Where and how a stage runs; the defaults suit three lines of Python."""

    seed: int = 13
    """All randomness of the stage comes from generators made from this seed."""
    device: Device = "auto"
    """auto takes a GPU when there is one."""
    progress: Progress = dataclasses.field(default_factory=SilentProgress)
    """Who watches."""
    record: Record = dataclasses.field(default_factory=Record)
    """Where history and findings go."""
    checkpoint_folder: Path | None = None
    """Folder for checkpoints of the running stage; None, as in three lines of Python, keeps none."""
    run_identity: str = ""
    """Identity of what runs; checkpoints of another one are not taken up."""
    checkpoint_every_steps: int | None = None
    """Steps between two checkpoints; None writes one a minute."""
    tracker: Tracker = dataclasses.field(default_factory=SilentTracker)
    """Who is told settings, losses and scores of a whole run; see `nlptl.runs.trackers`."""

    def log_step(self, name: str, step: int, loss: float) -> None:
        """Tell the loss of a step of the training `name` to the tracker."""
        self.record.step(name, step, loss)

    def checkpoints(self, name: str) -> Checkpoints | None:
        """Return where the training `name` of the running stage keeps what it needs to go on after a kill."""
        if self.checkpoint_folder is None:
            return None
        from nlptl.training.checkpoints import Checkpoints

        return Checkpoints(
            self.checkpoint_folder / name,
            identity=f"{self.run_identity}/{name}",
            every_steps=self.checkpoint_every_steps,
        )

    def torch_device(self) -> torch.device:
        """Return the device that `device` names on this machine; ConfigError for a GPU that is not there.

        Of several processes each takes the GPU with its own number on the machine.
        """
        import torch

        from nlptl.errors import ConfigError

        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise ConfigError(
                "device: found 'cuda' but torch sees no GPU here; expected auto or cpu. Choose one of them."
            )
        if not available or self.device == "cpu":
            return torch.device("cpu")
        here, gpus = processes(), torch.cuda.device_count()
        if here.local_index >= gpus:
            raise ConfigError(
                f"device: found process {here.local_index + 1} of this machine but {gpus} GPUs; expected one a process. "
                f"Start {gpus} processes, or choose device cpu."
            )
        return torch.device("cuda", here.local_index) if here.count > 1 else torch.device("cuda")

    def generator(self, salt: str = "") -> torch.Generator:
        """Return a fresh torch generator (CPU) for this seed and purpose."""
        import hashlib

        import torch

        number = int.from_bytes(hashlib.sha256(f"{self.seed}/{salt}".encode()).digest()[:7], "big")
        return torch.Generator().manual_seed(number)
