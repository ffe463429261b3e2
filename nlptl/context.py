"""RunContext: seed, device, progress, record and checkpoints of a running stage."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptl.config import whole_number
from nlptl.errors import ConfigError
from nlptl.progress import Progress, SilentProgress, SilentTracker, Tracker
from nlptl.training.distributed import processes

if TYPE_CHECKING:
    import torch

    from nlptl.training.checkpoints import Checkpoints

Device = Literal["auto", "cpu", "cuda"]
MAX_SEED = 2**63
Number = int | float | str
CUTS = "cuts"  # finding: what a time budget has cut


class Record:
    """History and findings of a stage, for people. No decision is taken by its content."""

    def __init__(self, on_row: Callable[[str, Mapping[str, Number], int | None], None] | None = None) -> None:
        """`on_row(group, values, step)` is called for each row as it is added. `group` joins the row's strings with '/'."""
        self._on_row = on_row or (lambda group, values, step: None)
        self.history: list[dict[str, Number]] = []
        self.report: dict[str, Any] = {}
        self.sentences: list[str] = []
        self.warnings: list[str] = []  # those of the sentences that a run prints in any case
        self.trainable_parameters = 0  # of the stage; the manifest keeps them

    def row(self, **values: Number) -> None:
        """Add a row of history, such as an epoch and its loss."""
        self.history.append(values)
        self._on_row("/".join(str(value) for value in values.values() if isinstance(value, str)), values, None)

    def step(self, training: str, step: int, loss: float) -> None:
        """Pass the loss of one step to `on_row`. It is not kept."""
        self._on_row(f"{training}/steps", {"loss": loss}, step)

    def add_finding(self, name: str, value: Any, sentence: str = "", *, warns: bool = False) -> None:
        """Keep a finding (plain JSON values) and the sentence that reports it, as a warning if it `warns`."""
        self.report[name] = value
        if warns:
            self.warn(sentence)
        elif sentence:
            self.sentences.append(sentence)

    def add_cut(self, *cuts: str) -> None:
        """Keep what a time budget has cut, each as a clause in the past tense: "the pile was not tried"."""
        if cuts:
            self.report.setdefault(CUTS, []).extend(cuts)

    def warn(self, sentence: str) -> None:
        """Keep a sentence that a run prints whatever else it prints."""
        self.sentences.append(sentence)
        self.warnings.append(sentence)


@dataclasses.dataclass(frozen=True)
class RunContext:
    """Where and how a stage runs. The defaults suit use from Python."""

    seed: int = 13  # of all generators of the stage
    device: Device = "auto"  # uses a GPU if there is one
    progress: Progress = dataclasses.field(default_factory=SilentProgress)
    record: Record = dataclasses.field(default_factory=Record)
    checkpoint_folder: Path | None = None  # None disables checkpointing
    run_identity: str = ""  # of the running stage; checkpoints with another identity are ignored
    checkpoint_every_steps: int | None = None  # None writes a checkpoint a minute
    tracker: Tracker = dataclasses.field(default_factory=SilentTracker)  # of the whole run

    def __post_init__(self) -> None:
        """Take NumPy's whole numbers and paths as text. Raises ConfigError for a device or a seed that there is not."""
        if self.device not in typing.get_args(Device):
            devices = ", ".join(typing.get_args(Device))
            raise ConfigError(
                f"RunContext.device is {self.device!r}, but must be one of {devices}. Choose one of them."
            )
        seed, steps = whole_number(self.seed), self.checkpoint_every_steps
        if seed is None or not 0 <= seed < MAX_SEED:
            raise ConfigError(
                f"RunContext.seed is {self.seed!r}, but must be a whole number from 0 to {MAX_SEED - 1}. Give one."
            )
        every = None if steps is None else whole_number(steps)
        if steps is not None and (every is None or every < 1):
            raise ConfigError(
                f"RunContext.checkpoint_every_steps is {steps!r}, but must be a whole number of at least 1, or None. Choose one."
            )
        folder = self.checkpoint_folder
        if not (folder is None or isinstance(folder, str | os.PathLike)):
            raise ConfigError(
                f"RunContext.checkpoint_folder is {folder!r}, but must be a path, or None. Give one of them."
            )
        object.__setattr__(self, "seed", seed)
        object.__setattr__(self, "checkpoint_every_steps", every)
        object.__setattr__(self, "checkpoint_folder", None if folder is None else Path(folder))

    def checkpoints(self, name: str) -> Checkpoints | None:
        """Return the checkpoints of the training `name`, from which it resumes; None if checkpointing is disabled."""
        if self.checkpoint_folder is None:
            return None
        from nlptl.training.checkpoints import Checkpoints

        folder, identity = self.checkpoint_folder / name, f"{self.run_identity}/{name}"
        return Checkpoints(folder, identity=identity, every_steps=self.checkpoint_every_steps)

    def torch_device(self) -> torch.device:
        """Return the torch device: of several processes, each takes the GPU with its local index, or raises ConfigError."""
        import torch

        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise ConfigError("device is 'cuda', but torch finds no GPU on this machine. Choose auto or cpu.")
        if not available or self.device == "cpu":
            return torch.device("cpu")
        here, gpus = processes(), torch.cuda.device_count()
        if here.local_index >= gpus:
            raise ConfigError(
                f"device: this is process {here.local_index + 1} of this machine, which has {gpus} GPUs. "
                f"Each process needs its own GPU: start {gpus} processes, or choose device cpu."
            )
        return torch.device("cuda", here.local_index) if here.count > 1 else torch.device("cuda")

    def generator(self, salt: str = "") -> torch.Generator:
        """Return a fresh CPU generator for this seed and the purpose `salt`."""
        import torch

        number = int.from_bytes(hashlib.sha256(f"{self.seed}/{salt}".encode()).digest()[:7], "big")
        return torch.Generator().manual_seed(number)
