"""The contract of a stage, and the context in which one runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from nlptl.artifact import Kind
from nlptl.progress import Progress, SilentProgress

if TYPE_CHECKING:
    import torch

    from nlptl.data import TextData, TextTable

Part = Literal["unlabelled", "labelled", "validation"]
Device = Literal["auto", "cpu", "cuda"]
Number = int | float | str


class Record:
    """Collects what a stage tells while it runs: rows of history and findings for the manifest."""

    def __init__(self) -> None:
        self.history: list[dict[str, Number]] = []
        self.report: dict[str, Any] = {}
        self.sentences: list[str] = []

    def row(self, **values: Number) -> None:
        """Add one line of history, such as an epoch and its loss."""
        self.history.append(values)

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

    def torch_device(self) -> torch.device:
        """Return the device that `device` names on this machine; ConfigError for a GPU that is not there."""
        import torch

        from nlptl.errors import ConfigError

        available = torch.cuda.is_available()
        if self.device == "cuda" and not available:
            raise ConfigError(
                "device: found 'cuda' but torch sees no GPU here; expected auto or cpu. Choose one of them."
            )
        return torch.device("cuda" if available and self.device != "cpu" else "cpu")

    def generator(self, salt: str = "") -> torch.Generator:
        """Return a fresh torch generator (CPU) for this seed and purpose."""
        import hashlib

        import torch

        number = int.from_bytes(hashlib.sha256(f"{self.seed}/{salt}".encode()).digest()[:7], "big")
        return torch.Generator().manual_seed(number)


def watched(tables: Sequence[TextTable], name: str, context: RunContext) -> Iterator[list[str]]:
    """Yield the tables' texts in batches, telling the context's progress how many have passed."""
    with context.progress.task(name, total=sum(map(len, tables)), unit="texts") as task:
        for table in tables:
            for batch in table.batches():
                yield batch
                task.advance(len(batch))


class Stage(Protocol):
    """A stage is its validated, frozen settings; `run` returns a new artifact and leaves what it was given untouched."""

    takes: ClassVar[Kind | None]
    """Kind of the artifact it is given; None for a first stage."""
    gives: ClassVar[Kind]
    """Kind of the artifact it returns."""
    version: ClassVar[int]
    """Raised when the same settings give other results."""

    @property
    def stage(self) -> str:
        """Name of the stage, which is also its tag in a pipeline file."""

    @property
    def needs(self) -> frozenset[Part]:
        """Parts of the data without which it cannot run."""

    def reads(self, data: TextData) -> frozenset[Part]:
        """Parts of `data` that it reads with these settings; they enter its identity."""

    def check(self, *, where: str) -> None:
        """Refuse what can be refused before anything trains: files that are missing, settings that do not fit."""

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
