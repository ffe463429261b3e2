"""Parameters of the estimators as stages of nlptl, their texts, and their errors as scikit-learn's."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from nlptl.artifact import is_run
from nlptl.config import Config, parse
from nlptl.data.columns import PYTHON_DOOR
from nlptl.data.python_columns import is_a, is_column
from nlptl.data.python_texts import given_texts
from nlptl.disk.ownership import is_marked
from nlptl.errors import ConfigError, DataError
from nlptl.faults import did_you_mean, shown
from nlptl.input_paths import PACKAGED_VECTORS, PACKAGED_WEIGHTS
from nlptl.interfaces.parameter_names import as_parameters
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.stage import Stage
from nlptl.stages.union import AnyStage

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.models.encoder import Encoder

MANY_TEXTS = 2_000  # from which on a word needs several occurrences to get a vector by default
_FIRST_STAGES = tuple(
    stage.model_fields["stage"].default for stage in get_args(get_args(AnyStage)[0]) if stage.takes is None
)
EXPECTED = (
    f"minilm, glove, {', '.join(_FIRST_STAGES)}, a folder, a name on the Hub, settings such as {{'stage': 'skipgram', 'dim': 50}}, "
    "or an Encoder"
)

_DOOR = dataclasses.replace(
    PYTHON_DOOR,
    empty_text='Remove the row, fill in the text, or give "" for a text without words.',
    text_column="Give one column alone, or name it `text`.",
)
_DOOR_OF_FIT = dataclasses.replace(_DOOR, empty_text="Remove the row and its class, or fill in the text.")


class InputError(DataError, ValueError):
    """Texts or classes that an estimator cannot use."""


class ParameterError(ConfigError, ValueError):
    """Parameters that an estimator cannot use."""


class _Parameters(Config):
    """Parameters that are settings of a stage."""

    encoder: AnyStage
    """The first stage."""


@contextlib.contextmanager
def told_as_value_error() -> Iterator[None]:
    """Raise errors of settings and data in the block as ValueErrors too, which scikit-learn's tools expect."""
    try:
        yield
    except ConfigError as error:
        raise ParameterError([as_parameters(fault) for fault in error.faults]) from None
    except DataError as error:
        raise InputError([as_parameters(fault) for fault in error.faults]) from None


def texts_of(X: Any) -> list[str]:
    """Return the texts of X, empty ones among them: a list, an array, a Series, or a frame.

    A frame has one column or the column `text`; an array has one dimension or one column.
    """
    return given_texts(_one_column(X, "X"), name="X", door=_DOOR).texts


def filled_texts_of(X: Any) -> list[str]:
    """Return the texts of X as `texts_of` does. Raises DataError for empty ones, which have a class but teach nothing."""
    return given_texts(_one_column(X, "X"), name="X", empty_text="refuse", door=_DOOR_OF_FIT).texts


def pile_of(unlabelled: Any) -> list[str]:
    """Return the texts without labels, if any, less the rows that hold none."""
    if unlabelled is None:
        return []
    return given_texts(_one_column(unlabelled, "unlabelled"), name="unlabelled", empty_text="skip", door=_DOOR).texts


def _one_column(X: Any, name: str) -> Any:
    """Return X, or the only column of a table. Raises DataError for a sparse matrix."""
    if hasattr(X, "tocsr"):
        raise DataError(
            f"{name}: found a sparse matrix; expected texts. Give the texts themselves, and not counts of words."
        )
    if is_a(X, "pandas", "DataFrame") and len(X.columns) == 1:
        return X.iloc[:, 0]
    if hasattr(X, "__array__") and not is_column(X):
        X = np.asarray(X)
    return X.ravel() if isinstance(X, np.ndarray) and X.shape[1:] == (1,) else X


def fitted_encoder(encoder: Any, sentence_vectors: Any, data: TextData, context: RunContext) -> Encoder:
    """Return the encoder that the parameters describe, learnt from the data where they say so."""
    from nlptl.models.encoder import Encoder

    pooling = None
    if sentence_vectors is not None:
        pooling = SentenceVectors(**sentence_vectors) if isinstance(sentence_vectors, Mapping) else sentence_vectors
        if not isinstance(pooling, SentenceVectors):
            raise ConfigError(
                f"sentence_vectors: found {shown(sentence_vectors)}; expected settings such as {{'pooling': 'mean'}}, or None. "
                "Give one of them."
            )
    found: Any = encoder if isinstance(encoder, Encoder) else _loaded(encoder)
    if found is None:
        stage = first_stage(encoder, texts=sum(map(len, filter(None, (data.unlabelled, data.labelled)))))
        stage.check(where="encoder")
        found = stage.run(None, data=data, context=context)
        if pooling is None and stage.stage == "skipgram":
            pooling = SentenceVectors()
    return found if pooling is None else pooling.run(found, data=data, context=context)


def first_stage(encoder: Any, *, texts: int = 0) -> Stage:
    """Return the stage that gives the encoder. Word vectors of few `texts` are learnt for every word by default."""
    from nlptl.models.weights import is_at_hand

    if encoder is None:
        encoder = {"stage": "bert" if is_at_hand("minilm") else "skipgram"}
    elif isinstance(encoder, str | os.PathLike):
        encoder = _named(os.fspath(encoder))
    if not isinstance(encoder, Mapping | Stage):
        raise ConfigError(f"encoder: found {shown(encoder)}; expected {EXPECTED}. Give one of them.")
    given: Any = dict(encoder) if isinstance(encoder, Mapping) else encoder
    if isinstance(given, dict) and given.get("stage") == "skipgram" and texts < MANY_TEXTS and "vectors" not in given:
        given.setdefault("min_count", 1)
    stage: Stage = parse(_Parameters, {"encoder": given}, where="estimator").encoder
    if stage.takes is not None:
        raise ConfigError(
            f"encoder: found the stage {stage.stage}, which takes what another stage gives; expected one of "
            f"{', '.join(_FIRST_STAGES)}. Give one of them."
        )
    return stage


def with_settings(value: Any, name: str, settings: Mapping[str, Any]) -> Any:
    """Return the value of a parameter with some of its settings changed, as `update__l2=0.1` asks for."""
    settings = _nested(value, name, settings)
    if isinstance(value, Config):
        try:
            return value.model_copy(update=settings)
        except ConfigError as error:
            here = f"{type(value).__name__}."
            told = [
                f"{name}__{fault.removeprefix(here)}" if fault.startswith(here) else fault for fault in error.faults
            ]
            raise ParameterError(told) from None
    if isinstance(value, Mapping) or (value is None and name not in ("encoder", "update")):
        return {**(value or {}), **settings}
    if isinstance(value, str) and (block := _block_of_name(value, name.rpartition("__")[2])) is not None:
        return {**block, **settings}
    first = next(iter(settings))
    raise ParameterError(
        f"{name}__{first}: found {name}={shown(value)}, which has no settings to change; expected a name, or settings as a dict. "
        f"Set {name} first."
    )


def _block_of_name(value: str, name: str) -> dict[str, Any] | None:
    """Return the settings for which a name stands; None where a setting takes no name for a block."""
    tags = {"update": "method", "segmenter": "name"}
    return {tags[name]: value} if name in tags else _named(value) if name == "encoder" else None


def _nested(value: Any, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of one level: `text__preset` changes one setting inside the block `text` of the value."""
    found: dict[str, Any] = {}
    old: Mapping[str, Any] = value if isinstance(value, Mapping) else dict(value) if isinstance(value, Config) else {}
    for setting, new in sorted(settings.items(), key=lambda one: "__" in one[0]):  # whole blocks first
        block, inside, inner = setting.partition("__")
        within = {inner: new}
        found[block] = with_settings(found.get(block, old.get(block)), f"{name}__{block}", within) if inside else new
    return found


def _named(name: str) -> dict[str, Any]:
    """Return the settings of the stage that a name or a path means."""
    if name in _FIRST_STAGES:
        return {"stage": name}
    if name in PACKAGED_VECTORS or os.path.isfile(name):
        return {"stage": "skipgram", "vectors": name}
    short = (*_FIRST_STAGES, *PACKAGED_VECTORS, *PACKAGED_WEIGHTS)
    if name not in short and not os.path.isdir(name) and (meant := did_you_mean(name, short)):
        raise ConfigError(f"encoder: found {shown(name)}; expected {EXPECTED}.{meant}")
    return {"stage": "bert", "weights": name}


def _loaded(encoder: Any) -> Encoder | None:
    """Return the encoder in a folder of nlptl; None for anything else."""
    from nlptl.models.encoder import Encoder

    if not isinstance(encoder, str | os.PathLike) or not os.path.isdir(encoder):
        return None
    folder = Path(encoder)
    return Encoder.load(folder) if is_marked(folder) or is_run(folder) else None
