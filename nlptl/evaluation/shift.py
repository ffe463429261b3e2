"""Domain shift: whether, and how far, the sentence vectors of two domains differ."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.evaluation.intervals import Interval, wilson
from nlptl.evaluation.mmd import permutation_test

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_TEXTS = 10  # of each domain, for a test
SIGNIFICANCE = 0.05  # probability of reporting a shift where there is none, for the two tests together


@dataclasses.dataclass(frozen=True)
class Shift:
    """Result of the two shift tests."""

    texts: int  # of each domain
    accuracy: Interval  # of a classifier of the domain on held-out texts; guessing gives 0.5
    accuracy_p: float  # probability of at least this accuracy if the domains are equal
    mmd_squared: float
    mmd_p: float

    @property
    def is_shown(self) -> bool:
        """Whether one of the tests is significant at half of SIGNIFICANCE, so that both together keep it."""
        return min(self.accuracy_p, self.mmd_p) < SIGNIFICANCE / 2

    def sentence(self) -> str:
        """Return both scores and what they show."""
        found = "the domains differ" if self.is_shown else "no difference between the domains is shown"
        return (
            f"Shift: a classifier recognises the domain of held-out texts with accuracy {self.accuracy} (guessing: 0.5, "
            f"{p_value_text(self.accuracy_p)}); MMD² is {self.mmd_squared:.4f} ({p_value_text(self.mmd_p)}): {found}."
        )


def check_size(texts: int, *, part: str, where: str) -> None:
    """Raise DataError if data.`part` has too few texts for a test."""
    if texts < MIN_TEXTS:
        raise DataError(
            f"{where}: data.{part} has {texts} texts, but a comparison of domains needs at least {MIN_TEXTS}. Add texts."
        )


def shift_between(source: Tensor, target: Tensor, *, texts: int, permutations: int, seed: int) -> Shift:
    """Compare the sentence vectors (m, D) and (n, D) of two domains, on equally many of each, drawn by `seed`.

    More `texts` (the maximum of each domain) show smaller shifts, and take longer. Raises DataError for a domain with
    fewer than MIN_TEXTS.
    """
    for part, found in (("source", source), ("unlabelled", target)):
        check_size(len(found), part=part, where="domain_adaptation")
    size = min(len(source), len(target), texts)
    generator = torch.Generator().manual_seed(seed)
    one, other = (vectors[torch.randperm(len(vectors), generator=generator)[:size]] for vectors in (source, target))
    accuracy, p = classifier_test(one.double().numpy(), other.double().numpy())
    discrepancy, mmd_p = permutation_test(one, other, permutations=permutations, seed=seed)
    return Shift(size, accuracy, p, discrepancy, mmd_p)


def classifier_test(source: NDArray[np.float64], target: NDArray[np.float64]) -> tuple[Interval, float]:
    """Return the accuracy of a domain classifier on held-out texts, and its p-value (Lopez-Paz & Oquab 2017).

    A logistic regression learns on the first half of each sample (m, D), which is in random order, and is tested on the
    second half. The p-value is the exact binomial one, not the paper's normal approximation.
    """
    from scipy.stats import binom
    from sklearn.linear_model import LogisticRegression

    half = len(source) // 2
    training = np.concatenate([source[:half], target[:half]])
    centre, spread = training.mean(axis=0), training.std(axis=0)
    scaled = [(part - centre) / np.where(spread > 0, spread, 1.0) for part in (training, source[half:], target[half:])]
    model = LogisticRegression(C=0.1, max_iter=200).fit(scaled[0], np.repeat([0, 1], half))
    right = int((model.predict(scaled[1]) == 0).sum() + (model.predict(scaled[2]) == 1).sum())
    tested = len(scaled[1]) + len(scaled[2])
    return wilson(right, tested), float(binom.sf(right - 1, tested, 0.5))


def p_value_text(p: float) -> str:
    """Return "p = 0.012", or "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
