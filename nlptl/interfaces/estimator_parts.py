"""Parameters of the estimators as stages of nlptl, their texts, and their errors as scikit-learn's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from nlptl.artifact import is_run
from nlptl.config import Config, parse
from nlptl.data.python_columns import is_a, is_column
from nlptl.data.python_texts import strings
from nlptl.disk.ownership import is_marked
from nlptl.errors import ConfigError, DataError
from nlptl.faults import did_you_mean, shown
from nlptl.input_paths import PACKAGED_VECTORS, PACKAGED_WEIGHTS
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
        raise ParameterError(error.faults) from None
    except DataError as error:
        raise InputError(error.faults) from None


def texts_of(X: Any) -> list[str]:
    """Return the texts of X: a list, an array, a Series, or a frame with one column or with the column `text`."""
    if hasattr(X, "tocsr"):
        raise DataError("X: found a sparse matrix; expected texts. Give the texts themselves, and not counts of words.")
    if is_a(X, "pandas", "DataFrame") and len(X.columns) == 1:
        X = X.iloc[:, 0]
    return strings(np.asarray(X) if hasattr(X, "__array__") and not is_column(X) else X, name="X")


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
    """Return the stage that gives the encoder. The default for few `texts` gives each word of them a vector."""
    from nlptl.models.weights import is_at_hand

    if encoder is None:
        few = {"min_count": 1} if texts < MANY_TEXTS else {}
        encoder = {"stage": "bert"} if is_at_hand("minilm") else {"stage": "skipgram", **few}
    elif isinstance(encoder, str | os.PathLike):
        encoder = _named(os.fspath(encoder))
    if not isinstance(encoder, Mapping | Stage):
        raise ConfigError(f"encoder: found {shown(encoder)}; expected {EXPECTED}. Give one of them.")
    given = dict(encoder) if isinstance(encoder, Mapping) else encoder
    stage: Stage = parse(_Parameters, {"encoder": given}, where="estimator").encoder
    if stage.takes is not None:
        raise ConfigError(
            f"encoder: found the stage {stage.stage}, which takes what another stage gives; expected one of "
            f"{', '.join(_FIRST_STAGES)}. Give one of them."
        )
    return stage


def with_settings(value: Any, name: str, settings: Mapping[str, Any]) -> Any:
    """Return the value of a parameter with some of its settings changed, as `update__l2=0.1` asks for."""
    if isinstance(value, Config):
        return value.model_copy(update=settings)
    if isinstance(value, Mapping) or (value is None and name == "sentence_vectors"):
        return {**(value or {}), **settings}
    if isinstance(value, str) and name in ("encoder", "update"):
        return {**({"method": value} if name == "update" else _named(value)), **settings}
    first = next(iter(settings))
    raise ParameterError(
        f"{name}__{first}: found {name}={shown(value)}, which has no settings to change; expected a name, or settings as a dict. "
        f"Set {name} first."
    )


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
