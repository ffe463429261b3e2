"""The contract of a stage."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from nlptl.artifact import Kind
from nlptl.config import Config
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

Part = Literal["unlabelled", "source", "labelled", "validation", "label_names"]
Need = Part | Literal["labels"]
"""Part of the data that a stage requires. `labels` stands for labelled or source examples, or label_names.
label_names also stand for `labelled`: names alone can make a classifier."""
TokenModelKind = Literal["word_vectors", "transformer"]


@dataclasses.dataclass(frozen=True)
class ExpectedModel:
    """Model of a chain as its settings describe it, before anything runs."""

    token_model: TokenModelKind | None = None  # None where no stage has said
    has_layers: bool = False  # whether the encoder certainly has layers that training can change
    has_token_vectors: bool = True  # which sentence_vectors can pool
    layers: int | None = None  # that its output takes part of; None where only the weights will tell
    hidden: int = 0  # units of the head's hidden layer; 0 for a linear head or no head
    is_trained: bool = False  # whether a stage has trained the head


class Stage(Config, ABC):
    """Settings of one step of a chain, and the step itself.

    A new stage writes its settings, `takes`, `gives`, `version` and `run`. All else has a default.
    """

    stage: str
    """The name of this stage."""

    takes: ClassVar[Kind | None]  # kind of the artifact that `run` is given; None for a first stage
    gives: ClassVar[Kind]  # kind of the artifact that `run` returns
    version: ClassVar[int]  # raised when the same settings give other results
    runs_on_all_processes: ClassVar[bool] = False
    """Whether all processes run the stage together. Otherwise process 0 runs it and the others load its result."""

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        if "run" in vars(cls):
            cls.run = _with_checked_arguments(cls.run)  # type: ignore[method-assign]

    @abstractmethod
    def run(self, given: Any, *, data: TextData, context: RunContext | None = None) -> Encoder | TextClassifier:
        """Return a new artifact. `given`, from the stage before, is not changed."""

    @property
    def needs(self) -> frozenset[Need]:
        """Parts of the data without which the stage cannot run."""
        return frozenset()

    @property
    def is_random(self) -> bool:
        """Whether the result depends on the seed."""
        return False

    @property
    def teacher_is_given(self) -> bool:
        """Whether the result learnt from the classifier before it, which a run then scores on the same test texts."""
        return False

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the parts of `data` that shape the result. All by default: any change runs the stage again."""
        return frozenset(part for part in get_args(Part) if getattr(data, part) is not None)

    def external_digests(self) -> Mapping[str, str]:
        """Return digests of files outside the data, such as imported vectors."""
        return {}

    def input_paths(self) -> Mapping[str, Path]:
        """Return the paths that the stage reads, by setting. A run never overwrites them."""
        return {}

    def watched_paths(self) -> frozenset[Path] | None:
        """Return the files and folders whose change may change the result, or None where they are not known.

        By default those of `input_paths`. A stage with external digests and no paths is taken for one whose files are not known.
        """
        return frozenset(self.input_paths().values())

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return the expected model after this stage, from the model `before` it."""
        return before

    def check(self, *, where: str) -> None:
        """Raise ConfigError for settings that are wrong alone, such as missing files."""

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Raise ConfigError for settings that do not fit this kind of encoder."""

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Raise ConfigError for settings that do not fit the stages before. `data` is None while it is not known."""

    def remarks(self, data: TextData) -> Sequence[str]:
        """Return what a person should know before the stage runs. It may load weights: only `nlptl check` asks."""
        return ()

    def check_data(self, data: TextData, *, where: str) -> None:
        """Raise DataError for data from which the stage cannot learn."""


def _with_checked_arguments(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return a stage's `run` that first refuses a `given`, `data` or `context` of another kind."""

    @functools.wraps(run)
    def checked(stage: Stage, given: Any = None, *, data: Any = None, context: RunContext | None = None) -> Any:
        _check_given(stage, given)
        _check_data_kind(stage, data)
        _check_context(stage, context)
        return run(stage, given, data=data, context=context)

    return checked


def _check_given(stage: Stage, given: object) -> None:
    if given is None and stage.takes is None:
        return
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

    kinds: Mapping[Kind, type] = {"encoder": Encoder, "classifier": TextClassifier}
    if stage.takes is not None and isinstance(given, kinds[stage.takes]):
        return
    found = "nothing" if given is None else f"a value of the type {type(given).__name__}"
    if stage.takes is None:
        told = f"found {found} as its first argument, but the stage begins a chain. Call run(data=...) alone."
    else:
        before = "skipgram or bert" if stage.takes == "encoder" else "classification_head"
        told = f"found {found} as its first argument, but takes an {kinds[stage.takes].__name__}. Give what {before} returns."
    raise ConfigError(f"{stage.stage}: {told.replace('an TextClassifier', 'a TextClassifier')}")


def _check_data_kind(stage: Stage, data: object) -> None:
    if not all(hasattr(data, part) for part in get_args(Part)):  # benchmarks have parts of their own
        found = "is missing" if data is None else f"is of the type {type(data).__name__}"
        raise DataError(
            f"{stage.stage}: `data` {found}, but must be a TextData. Give TextData(labelled=...) or "
            "TextData(unlabelled=...)."
        )


def _check_context(stage: Stage, context: object) -> None:
    if context is not None and not isinstance(context, RunContext):
        raise ConfigError(
            f"{stage.stage}: `context` is of the type {type(context).__name__}, but must be a RunContext. Give "
            "RunContext(seed=..., device=...), or leave it out."
        )
