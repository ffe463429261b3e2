"""Tuner for the layers of a transformer: some, all, or adapters in them.

Shapes: B texts, N packed tokens, D dimension, K labels, V tokens of the vocabulary, U tokens of the labelled texts.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.frozen_layers import FrozenLayers
from nlptl.finetuning.gradient.lora_adapters import LoraAdapters, add_adapters, merged
from nlptl.finetuning.gradient.tuner import Fit
from nlptl.finetuning.gradient.weight_change import Work, forward_flops
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.packing import Batch
from nlptl.models.transformer import Transformer
from nlptl.training.loop import ParameterGroup, Schedule


@dataclasses.dataclass(frozen=True)
class Rates:
    """Learning rates, their schedule, and what holds weights back."""

    head: float
    encoder: float  # rate of the topmost layer, or of the adapters
    layer_decay: float = 1.0  # factor from each layer to the one below (Howard & Ruder 2018)
    warmup: float = 0.1  # share of the steps over which rates rise, one epoch at most
    cooldown: float = 0.3  # share of the steps, in the final fit, over which rates fall to nothing
    gradual: bool = False  # wake one more layer with each epoch, the topmost first
    l2_to_start: float = 0.0  # pull of each weight to its start
    dropout: float | None = None  # share that the layers drop; None keeps the encoder's own


@dataclasses.dataclass(frozen=True)
class LayerPlan:
    """The parts of a transformer that learn, and their rates."""

    rates: Rates
    top_layers: int | None  # None for all layers, with the embeddings
    adapters: LoraAdapters | None = None  # those of LoRA, which move instead of the layers


class LayerTuner:
    """The top layers move, all of them (with the embeddings), or adapters in them; always together with the head.

    The head is fitted first, on frozen features, so that a random one does not tear up what was pretrained (Kumar et al. 2022).
    Of the embeddings only the U tokens of the labelled texts are held: no other gets a gradient, and memory is saved.
    """

    costly = True

    def __init__(
        self,
        given: TextClassifier,
        texts: Sequence[str],
        *,
        rates: Rates,
        top_layers: int | None,
        adapters: LoraAdapters | None = None,
        seed: int = 0,
        after_batch: Callable[[int], None] | None = None,
    ) -> None:
        """See LayerPlan; `after_batch` is told how many texts each batch of the frozen layers held."""
        self._given, self._rates, self._adapters, self._seed = given, rates, adapters, seed
        self._fitted_head: Callable[[Tensor], Head] = lambda _: given.head
        self._encoder = merged(given.encoder)
        self._start = self._encoder.transformer
        self.texts = given.encoder.tokenized(texts)
        if self._start.used_depth == 0 and (top_layers or adapters):
            raise ConfigError(
                "finetune.update: found an encoder whose output is that of its embeddings (layer 0), with no layer to "
                "move; expected one. Use update head or full, or a higher layer in sentence_vectors."
            )
        self.frozen = frozen_depth(self._start, top_layers)
        self.moves_embeddings = top_layers is None and adapters is None
        self._vocabulary = torch.unique(self.texts.ids)
        cut = self._vocabulary if self.moves_embeddings else None
        self.frozen_layers = FrozenLayers(self._start, self.texts, self.frozen, vocabulary=cut, after_batch=after_batch)
        self.work = Work(flops=forward_flops(self._start, self.texts.segment_lengths(), 0, self.frozen))

    @classmethod
    def of(cls, given: TextClassifier, texts: Sequence[str], plan: LayerPlan, context: RunContext) -> LayerTuner:
        """Return the tuner of a plan, after the frozen layers have run."""
        with context.progress.task("running the frozen layers", total=len(texts), unit="texts") as task:
            return cls(given, texts, **vars(plan), seed=context.seed, after_batch=task.advance)

    def start_from(self, fitted_head: Callable[[Tensor], Head]) -> None:
        """Begin every fit with the head that `fitted_head` gives for its examples (B,), instead of the given one."""
        self._fitted_head = fitted_head

    def sentence_vectors(self, rows: Tensor | None = None) -> Tensor | None:
        """Return the sentence vectors (B, D) of texts (B,), or all, before training; None if no layer is frozen."""
        return self.frozen_layers.all_vectors(self._encoder, rows) if self.frozen else None

    def start(self, rows: Tensor) -> LayerFit:
        """Return a copy of encoder and fitted head, nothing learnt yet."""
        given = self._given.encoder
        pooling = copy.deepcopy(given.pooling)
        encoder = given.with_parts(token_model=self._prepared(), pooling=pooling)
        return LayerFit(encoder, copy.deepcopy(self._fitted_head(rows)), self, self._rates)

    def finish(self, fit: Fit) -> TextClassifier:
        """Return a new classifier with what `fit` has learnt, its adapters merged where the settings say so."""
        assert isinstance(fit, LayerFit)
        token_model = fit.token_model
        if self.moves_embeddings:
            table = self._start.word_embeddings.weight.detach().clone()
            table[self._vocabulary.to(table.device)] = token_model.word_embeddings.weight.detach()
            set_word_embeddings(token_model, table)
        if self._rates.dropout is not None:
            set_dropout(token_model.model, dropouts(self._start.model))
        fit.module.requires_grad_(True)
        encoder = merged(fit.encoder) if self._adapters is not None and self._adapters.merge else fit.encoder
        return TextClassifier(encoder, fit.head, self._given.labels).eval()

    def count(self, rows: Tensor, *, training: bool) -> None:
        """Add one pass over texts (B,) to the work done."""
        batch = self.texts.batch(rows)
        self.work.flops += self.forward_flops(batch) * (3 if training else 1)
        self.work.tokens += len(batch.input_ids) if training else 0

    def forward_flops(self, batch: Batch) -> float:
        """Return the operations of the layers above the frozen layers over a batch, once forwards."""
        return forward_flops(self._start, batch.by_segment().lengths, self.frozen, self._start.used_depth)

    def _prepared(self) -> Transformer:
        """Return a copy of the start in which only the learning parts ask for gradients."""
        token_model: Transformer = copy.deepcopy(self._start)
        if self.moves_embeddings:
            rows = self._vocabulary.to(token_model.device)
            set_word_embeddings(token_model, token_model.word_embeddings.weight.detach()[rows].clone())
        if self._rates.dropout is not None:
            set_dropout(token_model.model, dict.fromkeys(dropouts(token_model.model), self._rates.dropout))
        token_model.model.requires_grad_(False)
        if self._adapters is not None:
            add_adapters(token_model, self._adapters, list(range(self.frozen, token_model.used_depth)), self._seed)
            return token_model
        for part in self.moving(token_model):
            part.requires_grad_(True)
        return token_model

    def moving(self, token_model: Transformer) -> list[nn.Module]:
        """Return the parts of a copy that learn, topmost layer first, embeddings last."""
        parts = layers_above(token_model, self.frozen)
        return parts + (list(token_model.below_layers()) if self.moves_embeddings else [])


class LayerFit(Fit):
    """A copy of the encoder under a head, both learning."""

    def __init__(self, encoder: Encoder, head: Head, tuner: LayerTuner, rates: Rates) -> None:
        self.encoder, self.head, self.token_model = encoder, head, encoder.transformer
        self.module = nn.ModuleList([encoder, head])
        self.lengths = tuner.texts.lengths
        self._tuner, self._rates = tuner, rates
        moving = [parameter for part in tuner.moving(self.token_model) for parameter in part.parameters()]
        self._start = [(p, p.detach().clone()) for p in moving if p.requires_grad] if rates.l2_to_start else []

    def groups(self, *, head: bool = True) -> list[ParameterGroup]:
        """Return head and pooling, then the layers from the top, each with its own rate; `head` False leaves it out."""
        above = [*(self.head.parameters() if head else ()), *self.encoder.pooling.parameters()]
        groups = [ParameterGroup(above, self._rates.head)] if above else []
        parts = self._tuner.moving(self.token_model)
        for number, part in enumerate(parts):
            parameters = [parameter for parameter in part.parameters() if parameter.requires_grad]
            begin = number if self._rates.gradual else 0
            rate = self._rates.encoder * self._rates.layer_decay**number
            groups += [ParameterGroup(parameters, rate, begin)] if parameters else []
        return groups

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> Schedule | None:
        """Return warm-up, then constant rates; the final fit cools down at its end."""
        warmup = min(round(self._rates.warmup * steps), steps_an_epoch)
        return Schedule(steps, warmup, round(self._rates.cooldown * steps) if final else 0)

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits (B, K) of the labelled texts (B,), one more pass in the work done."""
        self._tuner.count(rows, training=torch.is_grad_enabled())
        with torch.autocast(self.token_model.device.type, enabled=False):
            logits: Tensor = self.head(self.sentence_vectors(rows))
        return logits

    def sentence_vectors(self, rows: Tensor) -> Tensor:
        """Return sentence vectors (B, D) of the labelled texts with these row numbers (B,)."""
        return self._tuner.frozen_layers.vectors(self.encoder, rows)

    def all_vectors(self, rows: Tensor) -> Tensor:
        """Return the sentence vectors (B, D) of the texts with row numbers (B,) as predictions see them, on the CPU."""
        return self._tuner.frozen_layers.all_vectors(self.encoder, rows)

    def penalty(self, l2: float) -> Tensor:
        """Return the penalty () on the head's weights and on the way from the start (Li et al. 2018, L2-SP)."""
        if not self._start:
            return super().penalty(l2)
        moved = torch.stack([(parameter - start).pow(2).sum() for parameter, start in self._start]).sum()
        return super().penalty(l2) + 0.5 * self._rates.l2_to_start * moved


def frozen_depth(token_model: Transformer, top_layers: int | None) -> int:
    """Return the number of layers below the `top_layers`; None leaves none below."""
    return 0 if top_layers is None else max(0, token_model.used_depth - top_layers)


def layers_above(token_model: Transformer, frozen: int) -> list[nn.Module]:
    """Return the layers above the frozen ones, topmost first, the final norm with the topmost."""
    top = token_model.used_depth
    parts: list[nn.Module] = [*reversed(list(token_model.layers[frozen:top]))]
    norm = token_model.final_norm
    if norm is not None and parts and top == token_model.depth:
        parts[0] = nn.ModuleList([parts[0], norm])
    return parts


def set_word_embeddings(token_model: Transformer, table: Tensor) -> None:
    """Put another table (V, D) in place of the word embeddings."""
    old = token_model.word_embeddings
    new = nn.Embedding(table.shape[0], table.shape[1], _weight=table)
    new.padding_idx = old.padding_idx if table.shape[0] == old.num_embeddings else None
    token_model.model.set_input_embeddings(new)


def dropouts(model: nn.Module) -> dict[str, float]:
    """Return the share that each dropout of a model drops, by the module's name."""
    found: dict[str, float] = {}
    for name, module in model.named_modules():
        share = module.p if isinstance(module, nn.Dropout) else getattr(module, "attention_dropout", None)
        if isinstance(share, int | float):
            found[name] = float(share)
    return found


def set_dropout(model: nn.Module, shares: Mapping[str, float]) -> None:
    """Set the dropouts of a model by name; those that are not named stay."""
    for name, module in model.named_modules():
        if name in shares:
            setattr(module, "p" if isinstance(module, nn.Dropout) else "attention_dropout", shares[name])
