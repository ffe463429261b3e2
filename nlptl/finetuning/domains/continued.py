"""Continued pretraining on the target's texts: a copy of the encoder, trained on by a sentence objective."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.lora import merged
from nlptl.models.encoder import Encoder
from nlptl.pretraining.encoders.continued import Outcome, continue_training
from nlptl.pretraining.encoders.objectives import TSDAE, SimCSE
from nlptl.pretraining.encoders.pile import token_pile
from nlptl.pretraining.encoders.simcse import has_dropout
from nlptl.training.compute import Precision


def trained_on(
    encoder: Encoder,
    texts: Sequence[str],
    *,
    objective: Literal["tsdae", "simcse"],
    course: Mapping[str, Any],
    host: RunContext,
    precision: Precision,
    where: str,
) -> tuple[Encoder, Outcome]:
    """Return a copy of `encoder` trained on `texts`, and what came of it; `course` has the objective's other settings.

    Sentences of errors begin with `where`, the place of the method's settings.

    Raises ConfigError for an encoder that the objective does not fit or a loss that breaks down, DataError for fewer than
    ten distinct texts.
    """
    if len(encoder.transformer.bottlenecks):
        raise ConfigError(
            f"{where}: found an encoder with bottleneck adapters, which training on texts would leave behind; "
            "expected a plain one. Choose another method, or begin with plain weights."
        )
    trained = copy.deepcopy(merged(encoder))
    if objective == "simcse" and not has_dropout(trained):
        raise ConfigError(
            f"{where}.objective: found simcse, but these weights are set to no dropout, without which a text "
            "has only one view; expected an encoder with dropout. Choose objective: tsdae."
        )
    settings = TSDAE(**course) if objective == "tsdae" else SimCSE(**course)
    pile = token_pile(trained, [texts], whole=False, name="unlabelled")
    outcome = continue_training(trained, settings, pile, host, folder=None, precision=precision, stage=where)
    return trained.eval(), outcome
