"""Continued pretraining of a copy of the encoder on the target's texts, by a sentence objective."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.lora import merged
from nlptl.models.encoder import Encoder
from nlptl.pretraining.encoders.continued import PretrainingResult, continue_training
from nlptl.pretraining.encoders.objectives import TSDAE, SimCSE
from nlptl.pretraining.encoders.pile import token_pile
from nlptl.pretraining.encoders.simcse import has_dropout
from nlptl.training.compute import Precision


def pretrain_on_target(
    encoder: Encoder,
    texts: Sequence[str],
    training: TSDAE | SimCSE,
    *,
    context: RunContext,
    precision: Precision,
    where: str,
) -> tuple[Encoder, PretrainingResult]:
    """Return a copy of `encoder` trained on `texts`, and the outcome; `where` is the place of the method's settings.

    Raises ConfigError if the objective does not fit the encoder or the loss is not finite, and DataError for fewer than
    ten distinct texts.
    """
    if len(encoder.transformer.bottlenecks):
        raise ConfigError(
            f"{where}: found an encoder with bottleneck adapters, which training on texts would leave behind; "
            "expected a plain one. Choose another method, or begin with plain weights."
        )
    trained = copy.deepcopy(merged(encoder))
    if training.objective == "simcse" and not has_dropout(trained):
        raise ConfigError(
            f"{where}.objective: found simcse, but these weights are set to no dropout, without which a text "
            "has only one view; expected an encoder with dropout. Choose objective: tsdae."
        )
    pile = token_pile(trained, [texts], whole=False, name="unlabelled")
    outcome = continue_training(trained, training, pile, context, folder=None, precision=precision, stage=where)
    return trained.eval(), outcome
