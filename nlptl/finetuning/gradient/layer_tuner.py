"""Tuner for the layers of a transformer: some, all, or adapters in them.

Shapes: B texts, N packed tokens, D dimension, K labels, V tokens of the vocabulary, U tokens of the labelled texts.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.frozen_layers import FrozenLayers
from nlptl.finetuning.gradient.lora import LoraAdapters, add_adapters, merged
from nlptl.finetuning.gradient.tuner import Fit, weight_norm
from nlptl.finetuning.gradient.weight_change import Work, forward_flops
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder, not_training
from nlptl.models.heads import Head
from nlptl.models.packing import Batch
from nlptl.models.transformer import Transformer
from nlptl.training.batches import length_sorted_batches
from nlptl.training.loop import OptimiserName, ParameterGroup, Schedule


@dataclasses.dataclass(frozen=True)
class Rates:
    """Learning rates, their schedule, and what holds weights back."""

    head: float
    encoder: float
    """Rate of the topmost layer, or of the adapters."""
    layer_decay: float = 1.0
    """Factor from each layer to the one below (Howard & Ruder 2018)."""
    warmup: float = 0.1
    """Share of the steps over which rates rise, one epoch at most."""
    cooldown: float = 0.3
    """Share of the steps, in the final fit, over which rates fall to nothing."""
    gradual: bool = False
    """Wake one more layer with each epoch, the topmost first."""
    l2_to_start: float = 0.0
    """Pull of each weight to its start."""
    dropout: float | None = None
    """Share that the layers drop; None keeps the encoder's own."""


class LayerTuner:
    """The top layers move, all of them (with the embeddings), or adapters in them; always together with the head.

    The head is fitted first, on frozen features, so that a random head does not tear up what was pretrained (Kumar et
    al. 2022). Frozen layers run once per text. Of the embeddings only the U tokens of the labelled texts are held: no other
    gets a gradient, so that the result is the same and memory is saved.
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
        """`top_layers` None moves everything; `adapters` moves those of LoRA instead of the layers themselves.

        `after_batch` is told how many texts each batch of the frozen layers held.
        """
        self._given, self._rates, self._adapters = given, rates, adapters
        self._fitted_head: Callable[[Tensor], Head] = lambda _: given.head
        self._seed = seed
        self._start = merged(given.encoder).transformer
        self.texts = given.encoder.tokenized(texts)
        used = self._start.used_depth
        if used == 0 and (top_layers or adapters):
            raise ConfigError(
                "finetune.update: found an encoder whose output is that of its embeddings (layer 0), with no layer to "
                "move; expected one. Use update head or full, or a higher layer in sentence_vectors."
            )
        self.frozen = frozen_depth(self._start, top_layers)
        self.moves_embeddings = top_layers is None and adapters is None
        self.frozen_layers = None
        if self.frozen:
            self.frozen_layers = FrozenLayers(self._start, self.texts, self.frozen, after_batch=after_batch)
        self._vocabulary = torch.unique(self.texts.ids)
        self.work = Work()
        if self.frozen:
            self.work.add(forward_flops(self._start, self.texts.piece_lengths(), 0, self.frozen), 0, training=False)

    def start_from(self, fitted_head: Callable[[Tensor], Head]) -> None:
        """Begin every fit with the head that `fitted_head` gives for its examples (B,), instead of the given one."""
        self._fitted_head = fitted_head

    def sentence_vectors(self, rows: Tensor | None = None) -> Tensor | None:
        """Return the sentence vectors (B, D) before training, from the frozen layers on; None if no layer is frozen.

        `rows` (B,) are the texts' row numbers; all of them by default.
        """
        if self.frozen_layers is None:
            return None
        wanted = torch.arange(len(self.texts.lengths)) if rows is None else rows
        vectors = torch.empty(len(wanted), self._start.dim)
        with torch.inference_mode(), not_training(self._start):
            for part in length_sorted_batches(self.texts.lengths[wanted], budget=self._start.token_budget):
                rows = wanted[part]
                batch = self.batch(rows)
                tokens = self._start.upper(self.frozen_layers.of(rows), batch, self.frozen)
                vectors[part] = self._given.encoder.pooled(tokens, batch).float().cpu()
                self.count(batch, training=False)
        return vectors.clone()

    def start(self, rows: Tensor) -> LayerFit:
        """Return a copy of encoder and fitted head, nothing learnt yet."""
        encoder = Encoder(
            self._given.encoder.tokenizer,
            self._prepared(),
            copy.deepcopy(self._given.encoder.pooling),
            normalized=self._given.encoder.normalized,
        )
        head = copy.deepcopy(self._fitted_head(rows))
        return LayerFit(encoder, head, self, self._rates)

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
        for parameter in fit.module.parameters():
            parameter.requires_grad_(True)
        encoder = fit.encoder
        if self._adapters is not None and self._adapters.merge:
            encoder = merged(encoder)
        return TextClassifier(encoder, fit.head, self._given.labels).eval()

    def batch(self, rows: Tensor) -> Batch:
        """Return a batch of texts (B,); token ids are numbered within the U tokens where embeddings learn."""
        batch = self.texts.batch(rows)
        if self.moves_embeddings:
            batch = dataclasses.replace(batch, input_ids=torch.searchsorted(self._vocabulary, batch.input_ids))
        return batch.to(self._start.device)

    def count(self, batch: Batch, *, training: bool) -> None:
        """Add one pass over a batch to the work done."""
        self.work.add(self.forward_flops(batch), len(batch.input_ids), training=training)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._start.device

    @property
    def layers(self) -> int:
        """How many layers run for every batch."""
        return self._start.used_depth - self.frozen

    @property
    def width(self) -> int:
        """Width D of the token vectors."""
        return self._start.dim

    def forward_flops(self, batch: Batch) -> float:
        """Return the operations of the layers above the frozen layers over a batch, once forwards."""
        return forward_flops(self._start, batch.by_piece().lengths, self.frozen, self._start.used_depth)

    def _prepared(self) -> Transformer:
        """Return a copy of the start in which only the learning parts ask for gradients."""
        token_model: Transformer = copy.deepcopy(self._start)
        if self.moves_embeddings:
            rows = self._vocabulary.to(token_model.device)
            set_word_embeddings(token_model, token_model.word_embeddings.weight.detach()[rows].clone())
        if self._rates.dropout is not None:
            set_dropout(token_model.model, dict.fromkeys(dropouts(token_model.model), self._rates.dropout))
        for parameter in token_model.model.parameters():
            parameter.requires_grad_(False)
        if self._adapters is not None:
            add_adapters(token_model, self._adapters, list(range(self.frozen, token_model.used_depth)), self._seed)
        else:
            for part in self.moving(token_model):
                for parameter in part.parameters():
                    parameter.requires_grad_(True)
        return token_model

    def moving(self, token_model: Transformer) -> list[nn.Module]:
        """Return the parts of a copy that learn, topmost layer first, embeddings last."""
        parts = layers_above(token_model, self.frozen)
        return parts + (list(token_model.below_layers()) if self.moves_embeddings else [])


class LayerFit:
    """A copy of the encoder under a head, both learning."""

    optimiser: OptimiserName = "adamw"
    least_epochs = 0

    def __init__(self, encoder: Encoder, head: Head, tuner: LayerTuner, rates: Rates) -> None:
        self.encoder, self.head, self.token_model = encoder, head, encoder.transformer
        self.module: nn.Module = nn.ModuleList([encoder, head])
        self.lengths: Tensor | None = tuner.texts.lengths
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
        """Return logits (B, K) of the labelled texts with these row numbers (B,)."""
        with torch.autocast(self.token_model.device.type, enabled=False):
            logits: Tensor = self.head(self.sentence_vectors(rows))
        return logits

    def sentence_vectors(self, rows: Tensor) -> Tensor:
        """Return sentence vectors (B, D) of the labelled texts with these row numbers (B,)."""
        batch, frozen_layers = self._tuner.batch(rows), self._tuner.frozen_layers
        below = self.token_model.lower(batch, 0) if frozen_layers is None else frozen_layers.of(rows)
        tokens = self.token_model.upper(below, batch, self._tuner.frozen)
        named = self._tuner.texts.batch(rows).to(self.token_model.device)  # poolings weigh tokens by their real ids
        with torch.autocast(self.token_model.device.type, enabled=False):  # sums over tokens need all bits
            vectors: Tensor = self.encoder.pooled(tokens.float(), named)
        self._tuner.count(batch, training=torch.is_grad_enabled())
        return vectors

    def all_vectors(self, rows: Tensor) -> Tensor:
        """Return the sentence vectors (B, D) of the texts with row numbers (B,) as predictions see them, on the CPU."""
        budget = self.token_model.token_budget
        vectors = torch.empty(len(rows), self.token_model.dim)
        with torch.inference_mode(), not_training(self.encoder):
            for part in length_sorted_batches(self._tuner.texts.lengths[rows], budget=budget):
                vectors[part] = self.sentence_vectors(rows[part]).float().cpu()
        return vectors.clone()

    def penalty(self, l2: float) -> Tensor:
        """Return the penalty () on the head's weights and on the way from the start (Li et al. 2018, L2-SP)."""
        penalty = l2 * weight_norm(self.head)
        if self._start:
            moved = torch.stack([(parameter - start).pow(2).sum() for parameter, start in self._start]).sum()
            penalty = penalty + 0.5 * self._rates.l2_to_start * moved
        return penalty


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
