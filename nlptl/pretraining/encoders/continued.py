"""Continued training of an encoder by one objective: measured on held-out texts, trained, measured again."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Protocol

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder, count_parameters
from nlptl.models.masked_lm_head import MaskedLMHead, carried_head, carries_head, fresh_head
from nlptl.models.transformer import Transformer
from nlptl.pretraining.encoders.masked_lm import MaskedLMTraining, Masking
from nlptl.pretraining.encoders.objectives import TSDAE, AutoObjective, MaskedLM, Objective, Scratch, SimCSE
from nlptl.pretraining.encoders.pile import TokenPile, check_words
from nlptl.pretraining.encoders.plan import AutoSteps, Plan, Training, carry_out, steps_of
from nlptl.pretraining.encoders.simcse import SimCSETraining, has_dropout
from nlptl.pretraining.encoders.tsdae import Deletion, TSDAETraining, check_lengths
from nlptl.training.compute import Precision

AUTO = {
    "mlm": AutoSteps(passes=10, least=100, most=500),
    "simcse": AutoSteps(passes=3, least=50, most=500),
    "tsdae": AutoSteps(passes=10, least=100, most=500),
    "scratch": AutoSteps(passes=40, least=500, most=5_000),
}
HEAD_RATE = 1e-3  # learning rate of a fresh head that learns alone
TOLD = {
    "mlm": "masked-LM perplexity",
    "scratch": "masked-LM perplexity",
    "tsdae": "TSDAE perplexity",
    "simcse": "SimCSE loss",
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a training on a pile came to."""

    objective: str
    steps: int
    texts: int
    """Learnt from."""
    held_out: int
    """Texts not learnt from."""
    before: float | None
    """Mean loss on the held-out texts before and after; None without any, or with nothing to guess in them."""
    after: float | None
    history: list[float]
    """Mean training loss of each epoch."""
    seconds: float
    tokens_per_second: float
    trainable: int
    """Parameters that moved, those of heads that are dropped afterwards not counted."""

    def sentence(self) -> str:
        """Tell the outcome."""
        if self.before is None or self.after is None:
            why = (
                f"nothing was measured, as the {self.held_out} held out have nothing to guess"
                if self.held_out
                else "none were held out"
            )
            return f"Trained {self.steps} steps of {self.objective} on {self.texts} texts; {why}."
        before, after = (
            value if self.objective == "simcse" else math.exp(min(value, 99.0)) for value in (self.before, self.after)
        )
        return (
            f"Held-out {TOLD[self.objective]} {before:.4g} before, {after:.4g} after {self.steps} steps "
            f"({self.held_out} texts held out)."
        )


class Measured(Training, Protocol):
    """A training of an encoder whose loss can be measured on other texts."""

    encoder: Encoder

    def measure(self, pile: TokenPile) -> float | None:
        """Return the mean loss, the same each time for the same weights; None where there is nothing to guess."""


def resolved(settings: AutoObjective | Objective, encoder: Encoder, folder: Path | None) -> Objective:
    """Return the objective that `auto` stands for with these weights; `folder` is None where they began at random."""
    if not isinstance(settings, AutoObjective):
        return settings
    shared = settings.model_dump(exclude={"objective"}, exclude_none=True)
    if folder is not None and carries_head(folder) and _mask_id(encoder) is not None:
        return MaskedLM(**shared)
    return TSDAE(**shared)


def check_objective(settings: Objective, encoder: Encoder) -> None:
    """Raise ConfigError for an objective that these weights cannot bear."""
    if isinstance(settings, MaskedLM) and _mask_id(encoder) is None:
        raise ConfigError(
            "bert: continue.objective: found mlm, but the tokenizer of these weights has no mask token; expected one such "
            "as [MASK]. Choose objective: simcse or tsdae."
        )
    if isinstance(settings, SimCSE) and not has_dropout(encoder):
        raise ConfigError(
            "bert: continue.objective: found simcse, but these weights are set to no dropout, without which a text has "
            "only one view; expected an encoder with dropout. Choose objective: tsdae or mlm."
        )


def check_plain(encoder: Encoder) -> None:
    """Raise ConfigError for an encoder under an adapter, which training would move without noticing."""
    assert isinstance(encoder.token_model, Transformer)
    if encoder.token_model.adapters:
        raise ConfigError(
            "bert: weights: found weights with an adapter, which would stay behind; expected plain weights to train. Merge "
            "the adapter when fine-tuning (merge: true), or give other weights."
        )
    if len(encoder.token_model.bottlenecks):
        raise ConfigError(
            "bert: weights: found weights with bottleneck adapters, which training on the pile would leave behind; expected "
            "plain weights to train. Give other weights."
        )


def continue_training(
    encoder: Encoder,
    settings: Objective,
    pile: TokenPile,
    host: RunContext,
    *,
    folder: Path | None,
    precision: Precision,
    stage: str = "bert",
) -> Outcome:
    """Train `encoder` further on a pile; it is changed. `folder` is where its weights came from, if from any.

    Raises DataError for a pile from which the objective has nothing to guess, ConfigError, which names the `stage`, when
    the loss breaks down.
    """
    learnt, held_out = pile.parted(settings.held_out, host.generator("held_out"))
    _check_pile(settings, learnt)
    if isinstance(settings, MaskedLM):
        head, fresh = _head(encoder, folder, learnt, host)
        masking = _masking(encoder, settings, host)
        if fresh and settings.head_warmup_steps:
            warmup = Plan("head_warmup", settings.head_warmup_steps, settings.batch_size, HEAD_RATE, 0.1, stage)
            carry_out(
                MaskedLMTraining(encoder, head, learnt, masking, frozen=True),
                learnt, warmup, host, precision=precision,
            )  # fmt: skip
        training: Measured = MaskedLMTraining(encoder, head, learnt, masking)
    elif isinstance(settings, SimCSE):
        seed = _seed(host, "simcse")
        training = SimCSETraining(
            encoder, learnt, temperature=settings.temperature, batch_size=settings.batch_size, seed=seed
        )
    else:
        head, fresh = _head(encoder, folder, learnt, host)
        deletion = Deletion(settings.deletion, _seed(host, "deletion"))
        training = TSDAETraining(encoder, head, learnt, deletion, host.generator("memory"), fresh=fresh)
    return _trained(training, settings, learnt, held_out, host, precision, name="continue", stage=stage)


def train_from_scratch(
    encoder: Encoder, settings: Scratch, pile: TokenPile, host: RunContext, *, precision: Precision
) -> Outcome:
    """Train an encoder with random weights by masked LM; it is changed. DataError for a pile with nothing to guess."""
    learnt, held_out = pile.parted(settings.held_out, host.generator("held_out"))
    _check_pile(settings, learnt)
    head, _ = _head(encoder, None, learnt, host)
    training = MaskedLMTraining(encoder, head, learnt, _masking(encoder, settings, host))
    return _trained(training, settings, learnt, held_out, host, precision, name="scratch")


def _check_pile(settings: Objective | Scratch, learnt: TokenPile) -> None:
    if not isinstance(settings, SimCSE):
        check_words(learnt)
    if isinstance(settings, TSDAE):
        check_lengths(learnt)


def _trained(
    training: Measured,
    settings: Objective | Scratch,
    learnt: TokenPile,
    held_out: TokenPile,
    host: RunContext,
    precision: Precision,
    *,
    name: str,
    stage: str = "bert",
) -> Outcome:
    objective = "scratch" if isinstance(settings, Scratch) else settings.objective
    steps = steps_of(settings, learnt, AUTO[objective], name=name, batch_size=settings.batch_size, host=host)
    before = training.measure(held_out) if len(held_out) else None
    plan = Plan(name, steps, settings.batch_size, settings.learning_rate, settings.warmup, stage)
    trained = carry_out(training, learnt, plan, host, precision=precision)
    return Outcome(
        objective=objective,
        steps=steps,
        texts=len(learnt),
        held_out=len(held_out),
        before=before,
        after=training.measure(held_out) if len(held_out) else None,
        history=trained.history,
        seconds=trained.seconds,
        tokens_per_second=trained.tokens / max(trained.seconds, 1e-9),
        trainable=count_parameters(training.encoder),
    )


def _head(encoder: Encoder, folder: Path | None, pile: TokenPile, host: RunContext) -> tuple[MaskedLMHead, bool]:
    """Return a masked-LM head on the encoder's device, and whether it is fresh."""
    token_model = encoder.token_model
    assert isinstance(token_model, Transformer)
    carried = folder is not None and carries_head(folder)
    if folder is not None and carried:
        head = carried_head(folder)
        head.grow(token_model.word_embeddings.num_embeddings)
    else:
        head = fresh_head(token_model, pile.word_tokens(), host.generator("head"))
    return head.to(encoder.device), not carried


def _masking(encoder: Encoder, settings: MaskedLM | Scratch, host: RunContext) -> Masking:
    mask_id = _mask_id(encoder)
    assert mask_id is not None
    return Masking(
        settings.mask_probability,
        settings.whole_word,
        mask_id,
        encoder.tokenizer.get_vocab_size(),
        _seed(host, "masks"),
    )


def _mask_id(encoder: Encoder) -> int | None:
    assert isinstance(encoder.token_model, Transformer)
    name = encoder.token_model.special_tokens.get("mask_token")
    found: int | None = None if name is None else encoder.tokenizer.token_to_id(name)
    return found


def _seed(host: RunContext, purpose: str) -> int:
    return host.generator(purpose).initial_seed()
