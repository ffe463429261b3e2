"""What moves under each update of the static route, as something that cross-validation can fit again and again.

Shapes: B texts, D dimension, K labels, V words, U words that occur in the labelled texts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from nlptl.batching import Batch
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling
from nlptl.models.word_vectors import WordVectors
from nlptl.training import OptimiserName, ParameterGroup, Schedule

LARGEST_SMOOTH = 100_000_000  # numbers in the cached vectors up to which whole passes beat small steps


class Fit(Protocol):
    """One model that is being fitted to some of the labelled examples."""

    module: nn.Module
    optimiser: OptimiserName
    """What trains it; lbfgs takes all examples in one batch."""
    least_epochs: int
    """0 where the start is a fitted classifier already, so that no training is a choice; else 1."""

    lengths: Tensor | None
    """Tokens of each labelled text (n,), where a step's cost follows them: batches then gather texts of equal length."""

    def groups(self) -> list[ParameterGroup]:
        """Return what moves, at which rate."""

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> Schedule | None:
        """Return how rates change over so many steps, in cross-validation or in the final fit; None for constant."""

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits (B, K) of the labelled examples with these row numbers (B,)."""

    def penalty(self, l2: float) -> Tensor:
        """Return the scalar that is added to the loss."""


class Update(Protocol):
    """Makes fits; holds what all fits share, such as features that are computed once."""

    rate_factors: Sequence[float]
    """Factors of the rate that are worth a try."""
    costly: bool
    """Whether a fit takes so long that many examples are split once instead of into folds."""

    def start(self, rows: Tensor, rate: float = 1.0) -> Fit:
        """Return an untrained fit whose scale is that of the examples `rows` (B,); `rate` is a factor of its rate."""

    def finish(self, fit: Fit) -> TextClassifier:
        """Return a new classifier with what `fit` has learnt."""


class HeadUpdate:
    """The head alone moves; sentence vectors are computed once."""

    rate_factors: Sequence[float] = (1.0,)
    costly = False

    def __init__(
        self,
        given: TextClassifier,
        vectors: Tensor,
        *,
        learning_rate: float,
    ) -> None:
        """`vectors` (n, D) are the encoder's sentence vectors of the labelled texts."""
        self._given = given
        self._learning_rate = learning_rate
        self._vectors = vectors.to(given.head.centre.device)

    def start(self, rows: Tensor, rate: float = 1.0) -> HeadFit:
        """Return a copy of the given head, scaled to the examples `rows`."""
        head = copy.deepcopy(self._given.head)
        head.fit_scale(self._vectors[rows])
        return HeadFit(head, self._vectors, self._learning_rate * rate)

    def finish(self, fit: Fit) -> TextClassifier:
        """Return the given encoder (shared, it did not move) under the trained head."""
        assert isinstance(fit, HeadFit)
        return TextClassifier(self._given.encoder, fit.head, self._given.labels).eval()


class FullUpdate:
    """Head and word vectors move together, from a head that was fitted first; each word is pulled back to its start.

    A fitted head first keeps the pretrained vectors from being torn up by a random one (Kumar et al. 2022). Only
    words of the labelled texts get a gradient, and a word at its start feels no pull, so training the table of those
    U words alone is exact and costs nothing for a large vocabulary. Words that have a vector by their spelling alone
    stay where they are: they have no row of their own to move.
    """

    rate_factors: Sequence[float] = (1.0,)
    costly = False

    def __init__(
        self,
        given: TextClassifier,
        texts: Sequence[str],
        *,
        fitted_head: Callable[[Tensor], Head],
        rates: tuple[float, float],
        l2_to_start: float,
    ) -> None:
        """`fitted_head` gives the head for examples (B,); `rates` are those of head and word vectors."""
        self._given = given
        self._fitted_head = fitted_head
        self._rates = rates
        self._l2_to_start = l2_to_start
        table = _table_of(given.encoder)
        with table.reading(None):
            ids = given.encoder.token_ids(texts)
            self._words = torch.tensor(_by_row(ids, len(table.vectors)), dtype=torch.int64)
            self._start = table.rows(self._words.to(table.device)).detach()
        new_id = {int(word): index for index, word in enumerate(self._words)}
        self._ids = [torch.tensor([new_id[word] for word in text], dtype=torch.int64) for text in ids]

    def start(self, rows: Tensor, rate: float = 1.0) -> _FullFit:
        """Return a copy of the table (U, D) under the head that was fitted to the examples `rows`."""
        encoder = _sub_encoder(self._given.encoder, self._start, self._words)
        rates = (self._rates[0], self._rates[1] * rate)
        return _FullFit(encoder, copy.deepcopy(self._fitted_head(rows)), self._ids, rates, self._l2_to_start)

    def finish(self, fit: Fit) -> TextClassifier:
        """Return a copy of the given encoder with the moved words, under the trained head."""
        assert isinstance(fit, _FullFit)
        encoder = copy.deepcopy(self._given.encoder)
        with torch.no_grad():
            vectors, moved = _table_of(encoder).vectors, fit.table.vectors
            known = self._words[self._words < len(vectors)]
            vectors[known.to(moved.device)] = moved[: len(known)]
        return TextClassifier(encoder, fit.head, self._given.labels).eval()


class HeadFit:
    """A head on cached sentence vectors."""

    lengths: Tensor | None = None

    def __init__(self, head: Head, vectors: Tensor, learning_rate: float) -> None:
        self.module: nn.Module = head
        self.head = head
        smooth = head.dropout == 0 and vectors.numel() <= LARGEST_SMOOTH
        self.optimiser: OptimiserName = "lbfgs" if smooth else "adamw"
        self.least_epochs = 1
        self._vectors = vectors
        self._learning_rate = learning_rate

    def groups(self) -> list[ParameterGroup]:
        """Return the head's parameters."""
        return [ParameterGroup(list(self.head.parameters()), self._learning_rate)]

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> Schedule | None:
        """Return none: the rate is constant."""

    def logits(self, rows: Tensor) -> Tensor:
        """Return logits (B, K) of the cached vectors of `rows` (B,)."""
        logits: Tensor = self.head(self._vectors[rows])
        return logits

    def penalty(self, l2: float) -> Tensor:
        """Return the penalty () on the weights."""
        return l2 * weight_norm(self.head)


class _FullFit:
    lengths: Tensor | None = None

    def __init__(
        self, encoder: Encoder, head: Head, ids: list[Tensor], rates: tuple[float, float], l2_to_start: float
    ) -> None:
        self.module: nn.Module = nn.ModuleList([encoder, head])
        self.optimiser: OptimiserName = "adamw"
        self.least_epochs = 0
        self.encoder, self.head = encoder, head
        self.table = _table_of(encoder)
        self._ids, self._rates, self._l2_to_start = ids, rates, l2_to_start
        self._start = self.table.vectors.detach().clone()

    def groups(self) -> list[ParameterGroup]:
        head_rate, encoder_rate = self._rates
        return [
            ParameterGroup(list(self.head.parameters()), head_rate),
            ParameterGroup([self.table.vectors], encoder_rate * float(self.head.scale)),
        ]

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> Schedule | None:
        """Return none: the rates are constant."""

    def logits(self, rows: Tensor) -> Tensor:
        texts = [self._ids[row] for row in rows.tolist()]
        batch = Batch(torch.cat(texts), torch.tensor([len(text) for text in texts])).to(self.encoder.device)
        logits: Tensor = self.head(self.encoder(batch))
        return logits

    def penalty(self, l2: float) -> Tensor:
        moved = (self.table.vectors - self._start) / self.head.scale
        return l2 * weight_norm(self.head) + self._l2_to_start * moved.pow(2).sum()


def weight_norm(head: Head) -> Tensor:
    """Return half the sum of squares () of a head's weights; biases are free."""
    weights = [parameter for parameter in head.parameters() if parameter.ndim == 2]
    return 0.5 * torch.stack([weight.pow(2).sum() for weight in weights]).sum()


def _table_of(encoder: Encoder) -> WordVectors:
    assert isinstance(encoder.token_model, WordVectors)
    return encoder.token_model


def _by_row(ids: Sequence[Sequence[int]], known: int) -> list[int]:
    """Return 0 and each word of the texts once: known ones by id, then unseen ones as they occur.

    Processes that train together may have met unseen words in another order, but have the same texts.
    """
    words = dict.fromkeys([0, *(word for text in ids for word in text)])
    return [*sorted(word for word in words if word < known), *(word for word in words if word >= known)]


def _sub_encoder(encoder: Encoder, start: Tensor, words: Tensor) -> Encoder:
    """Return the encoder over a table of these words (U,) alone, whose vectors are `start` (U, D)."""
    table = _table_of(encoder)
    unseen = words >= len(table.vectors)
    rows = words.masked_fill(unseen, 0).to(encoder.device)
    weights = encoder.pooling.token_weights
    pooling = Pooling(
        encoder.pooling.mode,
        token_weights=weights[rows] if len(weights) else weights,
        common_component=encoder.pooling.common_component,
    )
    sub_table = WordVectors(start.clone(), table.counts[rows])
    if unseen.any():
        moves = ~unseen[:, None]
        sub_table.vectors.register_hook(lambda gradient: gradient * moves.to(gradient.device))  # type: ignore[no-untyped-call]
    return Encoder(encoder.tokenizer, sub_table, pooling, normalized=encoder.normalized)
