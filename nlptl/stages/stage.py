"""The contract of a stage, and the context in which one runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from nlptl.artifact import Kind
from nlptl.distributed import processes
from nlptl.progress import Progress, SilentProgress
from nlptl.tracking import SilentTracker, Tracker

if TYPE_CHECKING:
    import torch

    from nlptl.checkpoints import Checkpoints
    from nlptl.data import TextData, TextTable

Part = Literal["unlabelled", "source", "labelled", "validation", "label_names"]
Need = Part | Literal["labels"]
"""What a stage cannot do without. labels: from labelled or source examples, or from label_names; these can stand for
labelled as well, since names alone give a classifier."""
PILE: tuple[Part, ...] = ("unlabelled", "source", "labelled")
"""What a pile may consist of: texts without labels, and the labelled ones of either domain without theirs."""
Device = Literal["auto", "cpu", "cuda"]
TokenModelKind = Literal["word_vectors", "transformer"]
Number = int | float | str


class Record:
    """Collects what a stage tells while it runs: rows of history and findings for the manifest."""

    def __init__(self, hear: Callable[[str, Mapping[str, Number], int | None], None] | None = None) -> None:
        """`hear(group, values, step)` is told each row at once; rows that share their words are one group."""
        self._hear = hear
        self.history: list[dict[str, Number]] = []
        self.report: dict[str, Any] = {}
        self.sentences: list[str] = []

    def row(self, **values: Number) -> None:
        """Add one line of history, such as an epoch and its loss."""
        self.history.append(values)
        if self._hear is not None:
            self._hear("/".join(str(value) for value in values.values() if isinstance(value, str)), values, None)

    def step(self, training: str, step: int, loss: float) -> None:
        """Tell the loss of one step to whoever tracks the run; it is not kept."""
        if self._hear is not None:
            self._hear(f"{training}/steps", {"loss": loss}, step)

    def find(self, name: str, value: Any, sentence: str = "") -> None:
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
    keep: Path | None = None
    """Folder for checkpoints of the running stage; None, as in three lines of Python, keeps none."""
    keep_identity: str = ""
    """Identity of what runs; checkpoints of another one are not taken up."""
    keep_every_steps: int | None = None
    """Steps between two checkpoints; None writes one a minute."""
    tracker: Tracker = dataclasses.field(default_factory=SilentTracker)
    """Who is told settings, losses and scores of a whole run; see `nlptl.tracking`."""

    def follow(self, name: str, step: int, loss: float) -> None:
        """Tell the loss of a step of the training `name` to the tracker."""
        self.record.step(name, step, loss)

    def checkpoints(self, name: str) -> Checkpoints | None:
        """Return where the training `name` of the running stage keeps what it needs to go on after a kill."""
        if self.keep is None:
            return None
        from nlptl.checkpoints import Checkpoints

        return Checkpoints(self.keep / name, identity=f"{self.keep_identity}/{name}", every_steps=self.keep_every_steps)

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


def pile_parts(data: TextData, *, learns: bool, include_labelled: bool) -> frozenset[Part]:
    """Return which parts of `data` a stage that learns from a pile of texts reads; none when it does not learn."""
    wanted: tuple[Part, ...] = PILE if include_labelled else PILE[:1]
    return frozenset(part for part in wanted if learns and getattr(data, part) is not None)


def pile_tables(data: TextData, parts: frozenset[Part]) -> list[TextTable]:
    """Return the pile and those labelled texts that do not stand in it, so that no text counts twice."""
    from nlptl.data import rows_not_in

    pile: list[TextTable] = []
    for part in PILE:
        new: TextTable | None = getattr(data, part) if part in parts else None
        for other in pile:
            new = None if new is None else rows_not_in(new, other)
        pile += [] if new is None else [new]
    return pile


def watched(tables: Sequence[TextTable], name: str, context: RunContext) -> Iterator[list[str]]:
    """Yield the tables' texts in batches, telling the context's progress how many have passed."""
    with context.progress.task(name, total=sum(map(len, tables)), unit="texts") as task:
        for table in tables:
            for batch in table.batches():
                yield batch
                task.advance(len(batch))


def watched_arrays(tables: Sequence[TextTable], name: str, context: RunContext) -> Iterator[Any]:
    """Yield the tables' texts as Arrow string arrays of any length, telling progress as `watched` does."""
    with context.progress.task(name, total=sum(map(len, tables)), unit="texts") as task:
        for table in tables:
            for batch in table.record_batches():
                yield batch.column("text")
                task.advance(batch.num_rows)


class Stage(Protocol):
    """A stage is its validated, frozen settings; `run` returns a new artifact and leaves what it was given untouched."""

    takes: ClassVar[Kind | None]
    """Kind of the artifact it is given; None for a first stage."""
    gives: ClassVar[Kind]
    """Kind of the artifact it returns."""
    version: ClassVar[int]
    """Raised when the same settings give other results."""
    shared: ClassVar[bool]
    """Whether several processes run it together; else process 0 does, and the others read what it published."""

    @property
    def stage(self) -> str:
        """Name of the stage, which is also its tag in a pipeline file."""

    @property
    def needs(self) -> frozenset[Need]:
        """What of the data it cannot run without."""

    @property
    def draws(self) -> bool:
        """Whether the result depends on the seed."""

    def reads(self, data: TextData) -> frozenset[Part]:
        """Parts of `data` that it reads with these settings; they enter its identity."""

    def check(self, *, where: str) -> None:
        """Refuse what can be refused before anything trains: files that are missing, settings that do not fit."""

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse settings that do not fit the kind of encoder with which the chain begins."""

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data that leave it nothing to work on."""

    def outside(self) -> Mapping[str, str]:
        """Digests of files outside the data that shape the result, such as imported vectors."""

    @property
    def run(self) -> Callable[..., Any]:
        """`run(given, *, data, context)` does the work and returns a new artifact; a first stage is given None."""

    @property
    def model_dump(self) -> Callable[..., dict[str, Any]]:
        """`model_dump(mode="json")` returns the settings as plain values, every default written out."""
