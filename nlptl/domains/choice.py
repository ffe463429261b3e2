"""Which method, without a target label: reverse validation, and none where its gain is within the noise.

Shapes: n examples, B texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nlptl.distributed import agreed
from nlptl.domains.folds import folds_of
from nlptl.domains.task import Domains, Method, Task
from nlptl.statistics import Interval, paired_difference

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Tried:
    """What reverse validation says of one method against none."""

    name: str
    score: float
    """Mean Brier score: 0 is best, 2 worst."""
    none: float
    """That of none on the same texts."""
    gain: Interval
    """By how much the score is lower than none's."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The method that was chosen, and on what grounds."""

    method: Method
    tried: tuple[Tried, ...]

    def sentence(self) -> str:
        """Tell the grounds."""
        told = "; ".join(
            f"{tried.name} {tried.score:.3f} against {tried.none:.3f} (gain {tried.gain})" for tried in self.tried
        )
        if self.method.name == "none":
            end = "no gain beyond the noise, so nothing is adapted (none)"
        else:
            end = f"{self.method.name} was taken, since its gain is beyond the noise there; on the target nothing is known yet"
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

    Each gain has the interval of a paired bootstrap over the source texts, at a level that candidates share
    (Bonferroni). `tick` is called after each fit and its way back.
    """
    tried: list[Tried] = []
    level = 1 - (1 - LEVEL) / len(candidates)
    scores_of_none: dict[bool, NDArray[np.float64]] = {}
    for candidate in candidates:
        share = folds_of(domains, folds=folds, seed=seed, once=candidate.costly)
        if candidate.costly not in scores_of_none:
            scores_of_none[candidate.costly] = reverse_scores(none, domains, share, seed=seed, tick=tick)
        before = scores_of_none[candidate.costly]
        after = reverse_scores(candidate, domains, share, seed=seed, tick=tick)
        gain = paired_difference(after[None], before[None], seed=seed, level=level).difference
        tried.append(Tried(candidate.name, float(after.mean()), float(before.mean()), gain))
    surest = max(range(len(tried)), key=lambda number: tried[number].gain.low)
    # Of several processes the first decides: their arithmetic may differ in a bit.
    surest = round(agreed(surest))
    shown = bool(agreed(tried[surest].gain.low > 0))
    return Verdict(candidates[surest] if shown else none, tuple(tried))


def reverse_scores(
    method: Method,
    domains: Domains,
    folds: Sequence[tuple[Tensor, Tensor]],
    *,
    seed: int,
    tick: Callable[[], None] = lambda: None,
) -> NDArray[np.float64]:
    """Return the Brier score of each held-out source text, fold by fold (Zhong et al. 2010; Ganin et al. 2016).

    A classifier that was adapted from source to target labels the target's texts; from these labels a second one is
    adapted back, by the same method, and tested on source texts that neither has seen. What survives both ways has
    been carried across. Brier's score (1950), the squared distance of the probabilities from the truth, stands for the
    papers' errors: it sees changes that flip no label, so that fewer texts tell a gain from noise.
    """
    scores: list[Tensor] = []
    for training, held_out in folds:
        there = method.fit(domains.task(training), seed=seed)
        guessed = there.predict(domains.unlabelled)
        back = Task(domains.unlabelled, guessed, domains.unlabelled, training[training < domains.source])
        again = method.fit(back, seed=seed)
        tested = held_out[held_out < domains.source]
        scores.append(brier(again.probabilities(tested), domains.labels[tested]))
        tick()
    found: NDArray[np.float64] = torch.cat(scores).numpy()
    return found


def brier(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the squared distance (B,) of probabilities (B, K) from the true label ids (B,): 0 to 2 (Brier 1950)."""
    truth = torch.nn.functional.one_hot(labels.cpu(), probabilities.shape[1])
    return (probabilities - truth).pow(2).sum(dim=1)
