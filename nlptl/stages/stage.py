"""The contract of a stage, and the context in which one runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from nlptl.artifact import Kind

if TYPE_CHECKING:
    from nlptl.data import TextData

Part = Literal["unlabelled", "source", "labelled", "validation", "label_names"]
Need = Part | Literal["labels"]
"""What a stage cannot do without. labels: from labelled or source examples, or from label_names; these can stand for
labelled as well, since names alone give a classifier."""
TokenModelKind = Literal["word_vectors", "transformer"]


class Stage(Protocol):
    """A stage is its validated, frozen settings; `run` returns a new artifact and leaves what it was given untouched."""

    takes: ClassVar[Kind | None]
    """Kind of the artifact it is given; None for a first stage."""
    gives: ClassVar[Kind]
    """Kind of the artifact it returns."""
    version: ClassVar[int]
    """Raised when the same settings give other results."""
    runs_on_all_processes: ClassVar[bool]
    """Whether several processes run it together; else process 0 does, and the others read what it published."""

    @property
    def stage(self) -> str:
        """Name of the stage, which is also its tag in a pipeline file."""

    @property
    def needs(self) -> frozenset[Need]:
        """What of the data it cannot run without."""

    @property
    def is_random(self) -> bool:
        """Whether the result depends on the seed."""

    def reads(self, data: TextData) -> frozenset[Part]:
        """Parts of `data` that it reads with these settings; they enter its identity."""

    def check(self, *, where: str) -> None:
        """Refuse what can be refused before anything trains: files that are missing, settings that do not fit."""

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse settings that do not fit the kind of encoder with which the chain begins."""

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data that leave it nothing to work on."""

    def external_digests(self) -> Mapping[str, str]:
        """Digests of files outside the data that shape the result, such as imported vectors."""

    @property
    def run(self) -> Callable[..., Any]:
        """`run(given, *, data, context)` does the work and returns a new artifact; a first stage is given None."""

    @property
    def model_dump(self) -> Callable[..., dict[str, Any]]:
        """`model_dump(mode="json")` returns the settings as plain values, every default written out."""
