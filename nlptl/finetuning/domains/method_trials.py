"""Choice of a method without target labels, by reverse validation; none if the gain is within the noise.

Shapes: n examples, B held-out source texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.evaluation.intervals import Interval, paired_difference
from nlptl.finetuning.domains.task import AdaptationMethod, Domains, DomainTask
from nlptl.training.distributed import broadcast

CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class CandidateResult:
    """Result of reverse validation for one candidate against none."""

    name: str  # name of the method, with its place among the candidates if the name is not unique
    score: float  # mean Brier score: 0 is best, 2 worst
    none: float  # mean Brier score of none on the same texts
    gain: Interval  # none's score minus the candidate's
    constant: float  # score of a constant answer: the label shares of the training texts
    above_constant: Interval  # the constant's score minus the candidate's; an over-confident none can be worse
    accuracy: Interval  # accuracy of the candidate minus that of none

    @property
    def is_shown(self) -> bool:
        """Whether it beats none and the constant beyond the noise, without a shown loss in accuracy."""
        return self.gain.low > 0 and self.above_constant.low > 0 and self.accuracy.high >= 0

    def sentence(self) -> str:
        """Tell the scores, and the reason against a gain."""
        told = f"{self.name} {self.score:.3f} against {self.none:.3f} (gain {self.gain})"
        told += f", the labels' shares alone {self.constant:.3f}"
        if self.gain.low > 0 and self.above_constant.low <= 0:
            return f"{told}, which it does not beat"
        if self.gain.low > 0 and self.accuracy.high < 0:
            return f"{told}, but fewer labels right (by {self.accuracy})"
        return told


@dataclasses.dataclass(frozen=True)
class AdaptationChoice:
    """Chosen method and the reasons."""

    method: AdaptationMethod
    number: int | None  # its place among the candidates, from 0; None for none
    tried: tuple[CandidateResult, ...]

    def sentence(self) -> str:
        """Tell the scores and the choice."""
        told = "; ".join(tried.sentence() for tried in self.tried)
        if self.number is None:
            end = "no gain beyond the noise, so nothing is adapted (none)"
        else:
            taken = self.tried[self.number].name
            end = f"{taken} is taken, since its gain is beyond the noise; the gain on the target is unknown"
        return f"Reverse validation without target labels, Brier score: {told}: {end}."


def choose_method(
    none: AdaptationMethod, candidates: Sequence[AdaptationMethod], domains: Domains, *, folds: int, seed: int,
    tick: Callable[[], None] = lambda: None,
) -> AdaptationChoice:  # fmt: skip
    """Take the candidate with the surest gain in reverse validation, or none if no gain is beyond the noise.

    A gain must beat none and the labels' shares alone: a method that hides all labels scores as the shares do, better
    than a none that is confident and wrong. It must not lower the accuracy. Each interval is a paired bootstrap over the
    source texts, with a level that the candidates share (Bonferroni).
    """
    tried: list[CandidateResult] = []
    level = 1 - (1 - CONFIDENCE) / len(candidates)

    def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Interval:
        return paired_difference(first[None], second[None], seed=seed, level=level).difference

    of_none: dict[bool, ReverseScores] = {}
    names = [candidate.name for candidate in candidates]
    for number, candidate in enumerate(candidates):
        splits = domains.folds(folds, seed=seed, once=candidate.costly)
        if candidate.costly not in of_none:
            of_none[candidate.costly] = reverse_validation(none, domains, splits, seed=seed, tick=tick)
        before, after = of_none[candidate.costly], reverse_validation(candidate, domains, splits, seed=seed, tick=tick)
        constant = scores_of_shares(domains, splits)
        tried.append(CandidateResult(
            name=f"{candidate.name} (candidates.{number})" if names.count(candidate.name) > 1 else candidate.name,
            score=float(after.scores.mean()), none=float(before.scores.mean()), constant=float(constant.mean()),
            gain=difference(after.scores, before.scores), above_constant=difference(after.scores, constant),
            accuracy=difference(before.right, after.right),
        ))  # fmt: skip
    shown = [number for number, one in enumerate(tried) if one.is_shown]
    surest = max(shown or range(len(tried)), key=lambda number: tried[number].gain.low)
    surest = round(broadcast(surest))  # process 0 decides, since their arithmetic may differ in a bit
    if bool(broadcast(bool(shown))):
        return AdaptationChoice(candidates[surest], surest, tuple(tried))
    return AdaptationChoice(none, None, tuple(tried))


@dataclasses.dataclass(frozen=True)
class ReverseScores:
    """Scores of reverse validation for each held-out source text, fold by fold."""

    scores: NDArray[np.float64]  # (B,) Brier scores
    right: NDArray[np.float64]  # (B,) 1 if the predicted label is the true one, else 0


def reverse_validation(
    method: AdaptationMethod, domains: Domains, folds: Sequence[tuple[Tensor, Tensor]], *, seed: int,
    tick: Callable[[], None] = lambda: None,
) -> ReverseScores:  # fmt: skip
    """Test a method on held-out source texts, there and back (Zhong et al. 2010; Ganin et al. 2016).

    A classifier adapted from source to target labels the target's texts. The same method adapts a second one back from
    these labels. It is tested on source texts that neither has seen. An encoder of `continue` does not change on the
    way back, only its head. The papers count errors, which need more texts than Brier scores to show a gain.
    """
    scores: list[Tensor] = []
    right: list[Tensor] = []
    for training, held_out in folds:
        there = method.fit(domains.task(training), seed=seed)
        guessed = there.predict(domains.unlabelled)
        back = DomainTask(domains.unlabelled, guessed, domains.unlabelled, training[training < domains.source_count])
        again = method.fit(back, seed=seed)
        tested = held_out[held_out < domains.source_count]
        probabilities = again.probabilities(tested)
        scores.append(brier(probabilities, domains.labels[tested]))
        right.append(probabilities.argmax(dim=1) == domains.labels[tested].cpu())
        tick()
    return ReverseScores(torch.cat(scores).numpy(), torch.cat(right).double().numpy())


def scores_of_shares(domains: Domains, folds: Sequence[tuple[Tensor, Tensor]]) -> NDArray[np.float64]:
    """Return the Brier scores (B,) of answering each held-out source text with the label shares of the training ones."""
    labels, scores = domains.labels.cpu(), []
    for training, held_out in folds:
        learnt = labels[training[training < domains.source_count]]
        counts = torch.bincount(learnt, minlength=int(labels.max()) + 1).double()
        tested = held_out[held_out < domains.source_count]
        scores.append(brier((counts / counts.sum()).expand(len(tested), -1), labels[tested]))
    found: NDArray[np.float64] = torch.cat(scores).numpy()
    return found


def brier(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Return the squared distance (B,) of probabilities (B, K) from the true label ids (B,): 0 to 2 (Brier 1950)."""
    truth = torch.nn.functional.one_hot(labels.cpu(), probabilities.shape[1])
    return (probabilities - truth).pow(2).sum(dim=1)
