"""Training of an encoder on a pile by one objective, measured on held-out texts before and after."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder, count_parameters
from nlptl.models.masked_lm_head import MaskedLMHead, carried_head, carries_head, fresh_head
from nlptl.models.transformer import Transformer
from nlptl.pretraining.encoders.masked_lm import MaskedLMTraining, Masking
from nlptl.pretraining.encoders.objectives import TSDAE, AutoObjective, MaskedLM, Objective, Scratch, SimCSE
from nlptl.pretraining.encoders.pile import TokenPile, check_words
from nlptl.pretraining.encoders.simcse import SimCSETraining, has_dropout
from nlptl.pretraining.encoders.training import AutoSteps, Hyperparameters, PileTraining, step_count, train_on_pile
from nlptl.pretraining.encoders.tsdae import Deletion, TSDAETraining, check_lengths
from nlptl.training.compute import Precision

AUTO_STEPS = {
    "mlm": AutoSteps(passes=10, min_steps=100, max_steps=500),
    "simcse": AutoSteps(passes=3, min_steps=50, max_steps=500),
    "tsdae": AutoSteps(passes=10, min_steps=100, max_steps=500),
    "scratch": AutoSteps(passes=40, min_steps=500, max_steps=5_000),
}
HEAD_LEARNING_RATE = 1e-3  # for a fresh head that learns alone
MEASURES = {
    "mlm": "masked-LM perplexity",
    "scratch": "masked-LM perplexity",
    "tsdae": "TSDAE perplexity",
    "simcse": "SimCSE loss",
}


@dataclasses.dataclass(frozen=True)
class PretrainingResult:
    """Result of a training on a pile."""

    objective: str
    steps: int
    texts: int
    """Number of training texts."""
    held_out: int
    """Number of held-out texts."""
    before: float | None
    """Mean loss on the held-out texts before training. None without any, or if they have nothing to predict."""
    after: float | None
    """Mean loss on the held-out texts after training."""
    history: list[float]
    """Mean training loss of each epoch."""
    seconds: float
    tokens_per_second: float
    trainable: int
    """Trained parameters of the encoder, without heads that are dropped."""

    def sentence(self) -> str:
        """Return the result as a sentence."""
        if self.before is None or self.after is None:
            why = (
                f"the {self.held_out} held-out texts have nothing to predict"
                if self.held_out
                else "no text was held out"
            )
            return f"Trained {self.steps} steps of {self.objective} on {self.texts} texts. Nothing was measured: {why}."
        before, after = (
            value if self.objective == "simcse" else math.exp(min(value, 99.0)) for value in (self.before, self.after)
        )
        return (
            f"Held-out {MEASURES[self.objective]}: {before:.4g} before, {after:.4g} after {self.steps} steps "
            f"({self.held_out} texts held out)."
        )


def resolve_objective(settings: AutoObjective | Objective, encoder: Encoder, folder: Path | None) -> Objective:
    """Return the objective that `auto` means for these weights. `folder` is None for random weights."""
    if not isinstance(settings, AutoObjective):
        return settings
    shared = settings.model_dump(exclude={"objective"}, exclude_none=True)
    if folder is not None and carries_head(folder) and _mask_id(encoder) is not None:
        return MaskedLM(**shared)
    return TSDAE(**shared)


def check_objective(settings: Objective, encoder: Encoder) -> None:
    """Raise ConfigError for an objective that does not suit the weights."""
    if isinstance(settings, MaskedLM) and _mask_id(encoder) is None:
        raise ConfigError(
            "bert: continue.objective: found mlm, but the tokenizer of these weights has no mask token; expected one such "
            "as [MASK]. Choose objective: simcse or tsdae."
        )
    if isinstance(settings, SimCSE) and not has_dropout(encoder):
        raise ConfigError(
            "bert: continue.objective: found simcse, but these weights have no dropout, without which a text has "
            "only one view; expected an encoder with dropout. Choose objective: tsdae or mlm."
        )


def check_plain(encoder: Encoder) -> None:
    """Raise ConfigError for an encoder with adapters, which would no longer fit the trained weights."""
    assert isinstance(encoder.token_model, Transformer)
    if encoder.token_model.adapters:
        raise ConfigError(
            "bert: weights: found weights with an adapter, which would no longer fit after training; expected plain "
            "weights. Merge the adapter when fine-tuning (merge: true), or give other weights."
        )
    if len(encoder.token_model.bottlenecks):
        raise ConfigError(
            "bert: weights: found weights with bottleneck adapters, which would no longer fit after training; expected "
            "plain weights. Give other weights."
        )


def continue_training(
    encoder: Encoder,
    settings: Objective,
    pile: TokenPile,
    context: RunContext,
    *,
    folder: Path | None,
    precision: Precision,
    stage: str = "bert",
) -> PretrainingResult:
    """Train `encoder` on a pile, in place. `folder` holds its weights, if it was loaded.

    Raises DataError if the pile has nothing to predict. Raises ConfigError, which names the `stage`, if the loss is not
    finite.
    """
    learnt, held_out = pile.split(settings.held_out, context.generator("held_out"))
    _check_pile(settings, learnt)
    training: PileTraining
    if isinstance(settings, SimCSE):
        seed, temperature = _seed(context, "simcse"), settings.temperature
        training = SimCSETraining(encoder, learnt, temperature=temperature, batch_size=settings.batch_size, seed=seed)
    else:
        head, fresh = _head(encoder, folder, learnt, context)
        if isinstance(settings, TSDAE):
            deletion = Deletion(settings.deletion, _seed(context, "deletion"))
            training = TSDAETraining(encoder, head, learnt, deletion, context.generator("memory"), fresh=fresh)
        else:
            masking = _masking(encoder, settings, context)
            training = MaskedLMTraining(encoder, head, learnt, masking)
            if fresh and settings.head_warmup_steps:
                parameters = Hyperparameters(
                    "head_warmup", settings.head_warmup_steps, settings.batch_size, HEAD_LEARNING_RATE, 0.1, stage
                )
                alone = MaskedLMTraining(encoder, head, learnt, masking, frozen=True)
                train_on_pile(alone, learnt, parameters, context, precision=precision)
    return _train_and_measure(training, settings, learnt, held_out, context, precision, name="continue", stage=stage)


def train_from_scratch(
    encoder: Encoder, settings: Scratch, pile: TokenPile, context: RunContext, *, precision: Precision
) -> PretrainingResult:
    """Train an encoder with random weights by masked LM, in place.

    Raises DataError if the pile has nothing to predict.
    """
    learnt, held_out = pile.split(settings.held_out, context.generator("held_out"))
    _check_pile(settings, learnt)
    head, _ = _head(encoder, None, learnt, context)
    training = MaskedLMTraining(encoder, head, learnt, _masking(encoder, settings, context))
    return _train_and_measure(training, settings, learnt, held_out, context, precision, name="scratch")


def _check_pile(settings: Objective | Scratch, learnt: TokenPile) -> None:
    if not isinstance(settings, SimCSE):
        check_words(learnt)
    if isinstance(settings, TSDAE):
        check_lengths(learnt)


def _train_and_measure(
    training: PileTraining,
    settings: Objective | Scratch,
    learnt: TokenPile,
    held_out: TokenPile,
    context: RunContext,
    precision: Precision,
    *,
    name: str,
    stage: str = "bert",
) -> PretrainingResult:
    objective = "scratch" if isinstance(settings, Scratch) else settings.objective
    size = settings.batch_size
    steps = step_count(settings, learnt, AUTO_STEPS[objective], name=name, batch_size=size, context=context)
    parameters = Hyperparameters(name, steps, size, settings.learning_rate, settings.warmup, stage)
    before = training.measure(held_out) if len(held_out) else None
    done = train_on_pile(training, learnt, parameters, context, precision=precision)
    after = training.measure(held_out) if len(held_out) else None
    return PretrainingResult(
        objective, steps, len(learnt), len(held_out), before, after, done.epoch_losses, done.seconds,
        tokens_per_second=done.tokens / max(done.seconds, 1e-9), trainable=count_parameters(training.encoder),
    )  # fmt: skip


def _head(encoder: Encoder, folder: Path | None, pile: TokenPile, context: RunContext) -> tuple[MaskedLMHead, bool]:
    """Return a masked-LM head on the encoder's device, and whether it is fresh."""
    token_model = encoder.token_model
    assert isinstance(token_model, Transformer)
    if folder is None or not carries_head(folder):
        head = fresh_head(token_model, pile.word_tokens(), context.generator("head"))
        return head.to(encoder.device), True
    head = carried_head(folder)
    head.grow(token_model.word_embeddings.num_embeddings)
    return head.to(encoder.device), False


def _masking(encoder: Encoder, settings: MaskedLM | Scratch, context: RunContext) -> Masking:
    mask_id, size = _mask_id(encoder), encoder.tokenizer.get_vocab_size()
    assert mask_id is not None
    return Masking(settings.mask_probability, settings.whole_word, mask_id, size, _seed(context, "masks"))


def _mask_id(encoder: Encoder) -> int | None:
    assert isinstance(encoder.token_model, Transformer)
    name = encoder.token_model.special_tokens.get("mask_token")
    found: int | None = None if name is None else encoder.tokenizer.token_to_id(name)
    return found


def _seed(context: RunContext, purpose: str) -> int:
    return context.generator(purpose).initial_seed()
