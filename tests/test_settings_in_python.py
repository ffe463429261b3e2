"""Settings made in Python: refused in the sentences of YAML, at the place as Python writes it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import numpy as np
import pytest
from pydantic import Field, ValidationError

import nlptl
from nlptl import Bert, ClassificationHead, FineTune, Pipeline, SentenceVectors, SkipGram
from nlptl.config import Config, auto_or
from nlptl.context import RunContext
from nlptl.data import DataSettings
from nlptl.errors import ConfigError

GRADIENT = "the methods that learn by gradient (head with solver iterative, partial, full, lora)"


def told(make: Callable[[], object]) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        make()
    return caught.value.faults


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: FineTune(epochs=3),
            f"FineTune.epochs moved into the block update, to {GRADIENT}. Write update={{'method': ..., 'epochs': ...}}.",
        ),
        (
            lambda: FineTune(update={"method": "contrastive", "pile": 3}),
            "FineTune.update.pile is called pseudo_labels now. Rename it.",
        ),
        (
            lambda: FineTune(update={"method": "head", "pile": 3}),
            "FineTune.update.pile is not a setting. Known here: learning_rate, epochs, l2, batch_size, folds, patience, "
            "label_weights, label_smoothing, precision, method, solver.",
        ),
        (
            lambda: FineTune(update={"method": "auto", "augment": [{"kind": "typos"}]}),
            "FineTune.update.augment is not a setting of auto, but of contrastive. Known here: method, minutes, pseudo_labels, "
            "by_sentence, precision.",
        ),
        (
            lambda: FineTune(update={"method": "auto", "top_layers": 3}),
            "FineTune.update.top_layers is not a setting of auto, but of partial, lora, contrastive. Known here: method, minutes, "
            "pseudo_labels, by_sentence, precision.",
        ),
        (
            lambda: Bert(attention="packed"),
            "Bert.attention is gone; nlptl chooses how attention is computed. Remove it.",
        ),
        (
            lambda: ClassificationHead(hiden=4),
            "ClassificationHead.hiden is not a setting. Did you mean 'hidden'? Known here: stage, hidden, activation, dropout.",
        ),
        (
            lambda: FineTune(update="auto"),
            "FineTune.update is 'auto', but must be a block such as {'method': 'auto'}.",
        ),
        (
            lambda: FineTune(update={"methd": "lora"}),
            "FineTune.update is {'methd': 'lora'}, but must be a block with 'method'. Add it.",
        ),
        (
            lambda: FineTune(method="LoRA"),
            "FineTune.method is not a setting here. It stands inside `update=`. Write update={'method': 'lora'}.",
        ),
        (
            lambda: FineTune(update={"method": "contrastive", "augment": "typo"}),
            "FineTune.update.augment is 'typo', but must be a list such as [{'kind': 'typos'}].",
        ),
        (lambda: FineTune(priors={"a": True}), "FineTune.priors.a is True, but must be a number."),
        (lambda: SkipGram(vectors=""), "SkipGram.vectors is '', but must not be empty."),
        (lambda: DataSettings(shots="3"), "DataSettings.shots is '3', but must be a whole number."),
        (
            lambda: SentenceVectors(layer="3"),
            "SentenceVectors.layer is '3', but must be a whole number, or one of mean, last.",
        ),
        (
            lambda: Bert(continue_={"objective": "mlm", "epochs": 10**22}),
            "Bert.continue_.epochs is 10000000000000000000000, but must be at most 100000.",
        ),
        (
            lambda: SkipGram(epochs=10**22),
            "SkipGram.epochs is 10000000000000000000000, but must be auto or a whole number of at most 100,000.",
        ),
        (
            lambda: Pipeline(stages=[{"stage": "bert"}, {"stage": "finetune"}]),
            "Pipeline: stages.1: finetune takes a classifier, but stages.0 gives an encoder; each stage must take what the "
            "one before gives. Reorder the chain or add the missing stage.",
        ),
        (
            lambda: SkipGram.model_validate({"dim": -1}),
            "SkipGram.dim is -1, but must be at least 1.",
        ),
        (
            lambda: SkipGram.model_validate_json('{"dim": -1}'),
            "SkipGram.dim is -1, but must be at least 1.",
        ),
        (
            lambda: SkipGram().model_copy(update={"dim": -1}),
            "SkipGram.dim is -1, but must be at least 1.",
        ),
        (
            lambda: setattr(SkipGram(), "dim", 3),
            "SkipGram.dim cannot be changed, since settings are frozen. Make new ones: settings.model_copy(update={'dim': "
            "...}).",
        ),
    ],
)
def test_a_fault_is_one_sentence(make: Callable[[], object], sentence: str) -> None:
    assert told(make) == (sentence,)


def test_all_faults_are_told_at_once() -> None:
    found = told(lambda: SkipGram(dims=3, window=0, epochs="many"))
    assert [fault.split()[0] for fault in found] == ["SkipGram.window", "SkipGram.epochs", "SkipGram.dims"]


def test_a_config_error_is_no_value_error() -> None:
    assert not issubclass(ConfigError, ValueError | ValidationError)


def test_a_copy_keeps_what_was_set() -> None:
    changed = SkipGram(window=3).model_copy(update={"dim": 10})
    assert changed == SkipGram(window=3, dim=10)
    assert changed.model_fields_set == {"window", "dim"}
    assert SkipGram(window=3).model_copy() == SkipGram(window=3)


# Every number of every class of settings


def classes() -> list[type[Config]]:
    for module in pkgutil.walk_packages(nlptl.__path__, "nlptl."):
        if module.name.rsplit(".", 1)[-1].endswith(("settings", "_files", "objectives", "arms")) or any(
            room in module.name for room in (".stages.", ".methods.", ".runs.pipeline")
        ):
            importlib.import_module(module.name)
    return sorted(set(subclasses(Config)), key=lambda one: (one.__module__, one.__name__))


def subclasses(of: type[Config]) -> Iterator[type[Config]]:
    for one in of.__subclasses__():
        yield one
        yield from subclasses(one)


def members(annotation: object) -> Iterator[object]:
    """Yield the plain types that a setting may have."""
    if get_origin(annotation) is None or "Literal" in str(get_origin(annotation)):
        yield annotation
    elif get_origin(annotation) not in (list, tuple, dict):
        for part in get_args(annotation):
            yield from members(part)


COMPARISON = "nlptl.runs.studies.comparison"
RESULTS = (
    *(f"{COMPARISON}.{module}" for module in ("comparison", "comparison_rows", "arm_costs")),
    "nlptl.inference.export_settings",
    "nlptl.versions",
    "nlptl.runs.monitoring.outcome",
    "nlptl.runs.refresh.outcome",
)
NUMBERS = [
    (one, name)
    for one in classes()
    if one.__module__ not in ("nlptl.artifact", *RESULTS)  # results, not settings
    for name, info in one.model_fields.items()
    if str not in members(info.annotation)  # the name of a column, or its number
    and {int, float} & {kind for kind in members(info.annotation) if kind in (int, float)}
]


def test_numbers_are_found() -> None:
    found = {f"{one.__name__}.{name}" for one, name in NUMBERS}
    assert {
        "SkipGram.dim",
        "Lora.rank",
        "Scratch.layers",
        "Auto.minutes",
        "DataSettings.shots",
        "HeadSettings.dim",
    } <= found
    assert len(found) > 100


@pytest.mark.parametrize(("one", "name"), NUMBERS, ids=[f"{one.__name__}.{name}" for one, name in NUMBERS])
def test_a_number_is_a_number_within_bounds(one: type[Config], name: str) -> None:
    """No setting takes a truth value, a text, or a number beyond all bounds for a number."""
    for value in (True, False, "1", "1e3", 1e40, 10**400, -(10**400), float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ConfigError) as caught:
            one(**{name: value})
        about = [fault for fault in caught.value.faults if fault.startswith(f"{one.__name__}.{name} is ")]
        assert len(about) == 1, (value, caught.value.faults)
        assert ", but must be " in about[0]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"device": "gpu"}, "RunContext.device is 'gpu', but must be one of auto, cpu, cuda. Choose one of them."),
        (
            {"seed": -1},
            "RunContext.seed is -1, but must be a whole number from 0 to 9223372036854775807. Give one.",
        ),
        (
            {"seed": True},
            "RunContext.seed is True, but must be a whole number from 0 to 9223372036854775807. Give one.",
        ),
        (
            {"seed": "3"},
            "RunContext.seed is '3', but must be a whole number from 0 to 9223372036854775807. Give one.",
        ),
        *(
            (
                {"checkpoint_every_steps": steps},
                f"RunContext.checkpoint_every_steps is {steps!r}, but must be a whole number of at least 1, or None. Choose one.",
            )
            for steps in (0, -2, "x", True, 1.5)
        ),
        (
            {"checkpoint_folder": 5},
            "RunContext.checkpoint_folder is 5, but must be a path, or None. Give one of them.",
        ),
    ],
)
def test_a_context_that_there_is_not(settings: dict[str, Any], sentence: str) -> None:
    assert told(lambda: RunContext(**settings)) == (sentence,)


class Numbers(Config):
    """Settings of every kind that holds numbers."""

    whole: int = 1
    real: float = 1.0
    wholes: tuple[int, ...] = ()
    reals: dict[str, float] = Field(default_factory=dict)
    chosen: Annotated[Literal["auto"] | int, auto_or(int, least=1, most=100)] = "auto"


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_whole_numbers_of_numpy_are_taken(kind: Any) -> None:
    found = Numbers(whole=kind(8), real=kind(8), wholes=[kind(8)], reals={"a": kind(8)}, chosen=kind(8))
    assert found == Numbers(whole=8, real=8, wholes=(8,), reals={"a": 8}, chosen=8)
    assert [type(value) for value in (found.whole, found.wholes[0], found.chosen)] == [int] * 3
    assert Numbers.model_validate({"whole": kind(8)}) == Numbers().model_copy(update={"whole": kind(8)})
    assert SkipGram(dim=kind(8)) == SkipGram(dim=8)
    assert Pipeline(seed=kind(8), stages=[{"stage": "skipgram", "dim": kind(9)}]) == Pipeline(
        seed=8, stages=[SkipGram(dim=9)]
    )


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, Fraction])
def test_real_numbers_are_taken_exactly(kind: Any) -> None:
    half = kind(0.5)
    found = Numbers(real=half, reals={"a": half})
    assert (found.real, found.reals, type(found.real)) == (0.5, {"a": 0.5}, float)
    assert Numbers(real=np.float32(0.1)).real == float(np.float32(0.1))
    assert SkipGram(learning_rate=np.float32(0.1)).learning_rate == float(np.float32(0.1))


def test_other_values_are_no_numbers() -> None:
    for value in (True, np.True_, np.False_, "3", b"3", 3j, np.array([3]), None):
        for name in ("whole", "real", "chosen"):
            assert len(told(lambda name=name, value=value: Numbers(**{name: value}))) == 1  # type: ignore[misc]
    assert told(lambda: Numbers(whole=np.float32(3))) == ("Numbers.whole is 3.0, but must be a whole number.",)
    for name in ("whole", "chosen"):
        assert len(told(lambda name=name: Numbers(**{name: Fraction(7, 3)}))) == 1  # type: ignore[misc]
    assert SkipGram(include_labelled=np.True_) == SkipGram(include_labelled=True)
    assert told(lambda: Numbers(real=np.float32("nan")))[0].endswith("but must be a finite number.")


def test_a_table_in_memory_is_no_source() -> None:
    assert told(lambda: Pipeline(data={"labelled": {"text": ["a"]}}, stages=[SkipGram()])) == (
        "Pipeline.data.labelled is not a source. Give the path of a file, a FileSource or a HubSource; texts in memory go to "
        "a stage's run as TextData.",
    )


@pytest.mark.parametrize("assignments", ["seed=1", [1], None])
def test_assignments_are_a_list_of_texts(assignments: Any) -> None:
    assert told(lambda: Pipeline.from_yaml("p.yaml", assignments=assignments)) == (
        f"assignments: found {assignments!r}; expected a list of texts. Write ['stages.0.dim=50'].",
    )


def test_a_context_takes_whole_numbers_of_numpy_and_paths_as_text() -> None:
    context = RunContext(seed=np.int64(3), checkpoint_folder="ck", checkpoint_every_steps=np.int32(2))  # type: ignore[arg-type]
    assert context == RunContext(
        seed=3, checkpoint_folder=Path("ck"), checkpoint_every_steps=2, progress=context.progress, record=context.record,
        tracker=context.tracker,
    )  # fmt: skip
    assert type(context.seed) is type(context.checkpoint_every_steps) is int
    assert isinstance(context.checkpoint_folder, Path)
