"""Training of an encoder on a pile by one objective, measured on held-out texts before and after."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder, count_parameters
from nlptl.models.masked_lm_head import carried_head, carries_head, fresh_head
from nlptl.pretraining.encoders.masked_lm import MaskedLMTraining, Masking
from nlptl.pretraining.encoders.objectives import TSDAE, AutoObjective, MaskedLM, Objective, Scratch, SimCSE
from nlptl.pretraining.encoders.pile import TokenPile, check_words
from nlptl.pretraining.encoders.pile_training import PileTraining, epoch_batches, train_on_pile
from nlptl.pretraining.encoders.simcse import SimCSETraining, has_dropout
from nlptl.pretraining.encoders.tsdae import Deletion, TSDAETraining, check_lengths
from nlptl.training.compute import Precision
from nlptl.training.distributed import all_reduce_sum

# Passes over the pile under `steps: auto`, and the bounds of its steps.
AUTO_STEPS = {"mlm": (10, 100, 500), "simcse": (3, 50, 500), "tsdae": (10, 100, 500), "scratch": (40, 500, 5_000)}
HEAD_LEARNING_RATE = 1e-3  # for a fresh head that learns alone


@dataclasses.dataclass(frozen=True)
class PretrainingResult:
    """Result of a training on a pile."""

    objective: str
    steps: int
    texts: int  # for training
    held_out: int  # texts
    before: float | None  # mean loss on the held-out texts; None without any, or if they have nothing to predict
    after: float | None
    history: list[float]  # mean training loss of each epoch
    seconds: float  # since the start, or since it resumed
    tokens_per_second: float  # read by all processes
    trainable: int  # trained parameters of the encoder, without heads that are dropped

    def sentence(self) -> str:
        """Return the result as a sentence."""
        if self.before is None or self.after is None:
            empty = f"the {self.held_out} held-out texts have nothing to predict"
            why = empty if self.held_out else "no text was held out"
            return f"Trained {self.steps} steps of {self.objective} on {self.texts} texts. Nothing was measured: {why}."
        before, after = (
            value if self.objective == "simcse" else math.exp(min(value, 99.0)) for value in (self.before, self.after)
        )
        measure = {"tsdae": "TSDAE perplexity", "simcse": "SimCSE loss"}.get(self.objective, "masked-LM perplexity")
        return (
            f"Held-out {measure}: {before:.4g} before, {after:.4g} after {self.steps} steps "
            f"({self.held_out} texts held out)."
        )


def resolve_objective(
    settings: AutoObjective | Objective | Scratch, encoder: Encoder, folder: Path | None
) -> Objective | Scratch:
    """Return the objective that `auto` means for these weights. `folder` is None for random weights."""
    if not isinstance(settings, AutoObjective):
        return settings
    shared = settings.model_dump(exclude={"objective"}, exclude_none=True)
    has_head = folder is not None and carries_head(folder) and _mask_id(encoder) is not None
    return MaskedLM(**shared) if has_head else TSDAE(**shared)


def check_objective(settings: Objective | Scratch, encoder: Encoder) -> None:
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
    lora = bool(encoder.transformer.adapters)
    if lora or len(encoder.transformer.bottlenecks):
        raise ConfigError(
            f"bert: weights: found weights with {'an adapter' if lora else 'bottleneck adapters'}, which would no longer fit "
            "after training; expected plain weights. "
            f"{'Merge the adapter when fine-tuning (merge: true), or give' if lora else 'Give'} other weights."
        )


def continue_training(
    encoder: Encoder, settings: Objective | Scratch, pile: TokenPile, context: RunContext,
    *, folder: Path | None, precision: Precision, stage: str = "bert",
) -> PretrainingResult:  # fmt: skip
    """Train `encoder` on a pile, in place. `folder` holds its weights, if it was loaded.

    Raises DataError if the pile has nothing to predict, and ConfigError, which names the `stage`, if the loss is not finite.
    """
    encoder = encoder.with_views(())  # the same weights; views never learn
    name = "scratch" if isinstance(settings, Scratch) else "continue"
    objective = "scratch" if isinstance(settings, Scratch) else settings.objective
    learnt, held_out = pile.split(settings.held_out, context.generator("held_out"))
    training = _training(encoder, settings, learnt, context, folder, precision, stage)
    passes, least, most = AUTO_STEPS[objective]
    auto = max(least, min(most, -(-passes * len(learnt) // settings.batch_size)))
    steps = auto if settings.steps == "auto" else settings.steps
    if settings.epochs is not None:
        batches = epoch_batches(learnt, settings, context, name=name)
        steps = sum(len(batches(epoch)) for epoch in range(1, settings.epochs + 1))
    before = training.measure(held_out) if len(held_out) else None
    begin = time.monotonic()
    losses = train_on_pile(training, settings, context, name=name, steps=steps, precision=precision, stage=stage)
    seconds = time.monotonic() - begin
    tokens = round(all_reduce_sum(training.tokens))
    after = training.measure(held_out) if len(held_out) else None
    return PretrainingResult(
        objective, steps, len(learnt), len(held_out), before, after, losses, seconds,
        tokens_per_second=tokens / max(seconds, 1e-9), trainable=count_parameters(encoder),
    )  # fmt: skip


def _training(
    encoder: Encoder, settings: Objective | Scratch, learnt: TokenPile, context: RunContext,
    folder: Path | None, precision: Precision, stage: str,
) -> PileTraining:  # fmt: skip
    """Return the training of an objective. A fresh masked-LM head of loaded weights has learnt alone before."""
    if isinstance(settings, SimCSE):
        seed = context.generator("simcse").initial_seed()
        return SimCSETraining(
            encoder, learnt, temperature=settings.temperature, batch_size=settings.batch_size, seed=seed
        )
    check_words(learnt)
    head = carried_head(folder) if folder is not None and carries_head(folder) else None
    fresh = head is None
    if head is None:
        head = fresh_head(encoder.transformer, learnt.word_tokens(), context.generator("head"))
    head.grow(encoder.transformer.word_embeddings.num_embeddings)
    head.to(encoder.device)
    if isinstance(settings, TSDAE):
        check_lengths(learnt)
        deletion = Deletion(settings.deletion, context.generator("deletion").initial_seed())
        return TSDAETraining(encoder, head, learnt, deletion, context.generator("memory"), fresh=fresh)
    mask_id, size = _mask_id(encoder), encoder.tokenizer.get_vocab_size()
    assert mask_id is not None
    seed = context.generator("masks").initial_seed()
    masking = Masking(settings.mask_probability, settings.whole_word, mask_id, size, seed)
    if fresh and isinstance(settings, MaskedLM) and settings.head_warmup_steps:
        alone = MaskedLMTraining(encoder, head, learnt, masking, frozen=True)
        rates = settings.model_copy(update={"learning_rate": HEAD_LEARNING_RATE, "warmup": 0.1})
        steps = settings.head_warmup_steps
        train_on_pile(alone, rates, context, name="head_warmup", steps=steps, precision=precision, stage=stage)
    return MaskedLMTraining(encoder, head, learnt, masking)


def _mask_id(encoder: Encoder) -> int | None:
    name = encoder.transformer.special_tokens.get("mask_token")
    return None if name is None else encoder.tokenizer.token_to_id(name)
