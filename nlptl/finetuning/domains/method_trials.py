"""Which method, without a target label: reverse validation, and none where its gain is within the noise.

Shapes: n examples, B held-out source texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.intervals import Interval, paired_difference
from nlptl.finetuning.domains.task import Domains, Method, Task
from nlptl.training.distributed import broadcast

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Tried:
    """What reverse validation says of one method against none."""

    name: str
    """That of the method, with its place among the candidates where another bears it too."""
    score: float
    """Mean Brier score: 0 is best, 2 worst."""
    none: float
    """That of none on the same texts."""
    gain: Interval
    """By how much the score is lower than none's."""
    constant: float
    """Score of one answer to all of these texts: the shares of the labels that were learnt from."""
    above_constant: Interval
    """By how much the score is lower than that, which an over-confident none can be above."""
    accuracy: Interval
    """By how much more (or less) of these texts get their label than by none."""

    @property
    def stands(self) -> bool:
        """Whether it beats none and the labels' shares beyond the noise, and gets no fewer labels right beyond it."""
        return self.gain.low > 0 and self.above_constant.low > 0 and self.accuracy.high >= 0

    def sentence(self) -> str:
        """Tell the scores, and what speaks against a gain."""
        told = f"{self.name} {self.score:.3f} against {self.none:.3f} (gain {self.gain})"
        told += f", the labels' shares alone {self.constant:.3f}"
        if self.gain.low > 0 and self.above_constant.low <= 0:
            return f"{told}, which it does not beat"
        if self.gain.low > 0 and self.accuracy.high < 0:
            return f"{told}, but fewer labels right (by {self.accuracy})"
        return told


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The method that was chosen, and on what grounds."""

    method: Method
    number: int | None
    """Its place among the candidates, counted from 0; None for none."""
    tried: tuple[Tried, ...]

    def sentence(self) -> str:
        """Tell the grounds."""
        told = "; ".join(tried.sentence() for tried in self.tried)
        if self.number is None:
            end = "no gain beyond the noise, so nothing is adapted (none)"
        else:
            taken = self.tried[self.number].name
            end = f"{taken} was taken, since its gain is beyond the noise there; on the target nothing is known yet"
        return f"Reverse validation without target labels, Brier score: {told}: {end}."


def choose_method(
    none: Method,
    candidates: Sequence[Method],
    domains: Domains,
    *,
    folds: int,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Verdict:
    """Take the candidate whose gain in reverse validation is surest, or none where no gain is beyond the noise.

    A gain counts against none and against the labels' shares alone: a method that hides all labels ends there, below a
    none that is confident and wrong. Nor may it get fewer labels right. Each interval is that of a paired bootstrap
    over the source texts, at a level that candidates share (Bonferroni). `tick` is called after each fit and its way
    back.
    """
    tried: list[Tried] = []
    level = 1 - (1 - LEVEL) / len(candidates)
    of_none: dict[bool, Returned] = {}
    names = [candidate.name for candidate in candidates]
    for number, candidate in enumerate(candidates):
        share = domains.folds(folds, seed=seed, once=candidate.costly)
        if candidate.costly not in of_none:
            of_none[candidate.costly] = reverse_validation(none, domains, share, seed=seed, tick=tick)
        after = reverse_validation(candidate, domains, share, seed=seed, tick=tick)
        constant = scores_of_shares(domains, share)
        name = f"{candidate.name} (candidates.{number})" if names.count(candidate.name) > 1 else candidate.name
        tried.append(_compared(name, of_none[candidate.costly], after, constant, seed=seed, level=level))
    standing = [number for number, one in enumerate(tried) if one.stands]
    surest = max(standing or range(len(tried)), key=lambda number: tried[number].gain.low)
    # Of several processes the first decides: their arithmetic may differ in a bit.
    surest = round(broadcast(surest))
    shown = bool(broadcast(bool(standing)))
    return Verdict(candidates[surest], surest, tuple(tried)) if shown else Verdict(none, None, tuple(tried))


@dataclasses.dataclass(frozen=True)
class Returned:
    """What reverse validation finds for each held-out source text, fold by fold."""

    scores: NDArray[np.float64]
    """(B,) Brier scores."""
    right: NDArray[np.float64]
    """(B,) 1 where the label is the true one, else 0."""


def reverse_validation(
    method: Method,
    domains: Domains,
    folds: Sequence[tuple[Tensor, Tensor]],
    *,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> Returned:
    """Test a method on held-out source texts, there and back (Zhong et al. 2010; Ganin et al. 2016).

    A classifier that was adapted from source to target labels the target's texts; from these labels a second one is
    adapted back, by the same method, and tested on source texts that neither has seen. What survives both ways has
    been carried across. An encoder that continue trained on the target's texts stays as it is both ways: there only a
    head goes back. Brier's score (1950), the squared distance of the probabilities from the truth, stands for the
    papers' errors: it sees changes that flip no label, so that fewer texts tell a gain from noise.
    """
    scores: list[Tensor] = []
    right: list[Tensor] = []
    for training, held_out in folds:
        there = method.fit(domains.task(training), seed=seed)
        guessed = there.predict(domains.unlabelled)
        back = Task(domains.unlabelled, guessed, domains.unlabelled, training[training < domains.source])
        again = method.fit(back, seed=seed)
        tested = held_out[held_out < domains.source]
        probabilities = again.probabilities(tested)
        scores.append(brier(probabilities, domains.labels[tested]))
        right.append(probabilities.argmax(dim=1) == domains.labels[tested].cpu())
        tick()
    return Returned(torch.cat(scores).numpy(), torch.cat(right).double().numpy())


def scores_of_shares(domains: Domains, folds: Sequence[tuple[Tensor, Tensor]]) -> NDArray[np.float64]:
    """Return the Brier scores (B,) of answering each held-out source text with the label shares of the training ones."""
    labels, scores = domains.labels.cpu(), []
    for training, held_out in folds:
        counts = torch.bincount(labels[training[training < domains.source]], minlength=int(labels.max()) + 1).double()
        tested = held_out[held_out < domains.source]
        scores.append(brier((counts / counts.sum()).expand(len(tested), -1), labels[tested]))
    found: NDArray[np.float64] = torch.cat(scores).numpy()
    return found


def brier(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the squared distance (B,) of probabilities (B, K) from the true label ids (B,): 0 to 2 (Brier 1950)."""
    truth = torch.nn.functional.one_hot(labels.cpu(), probabilities.shape[1])
    return (probabilities - truth).pow(2).sum(dim=1)


def _compared(
    name: str, none: Returned, after: Returned, constant: NDArray[np.float64], *, seed: int, level: float
) -> Tried:
    def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
        return paired_difference(first[None], second[None], seed=seed, level=level).difference

    return Tried(
        name=name,
        score=float(after.scores.mean()),
        none=float(none.scores.mean()),
        gain=difference(after.scores, none.scores),
        constant=float(constant.mean()),
        above_constant=difference(after.scores, constant),
        accuracy=difference(none.right, after.right),
    )
