"""The shift score: whether, and how far, the texts of two domains differ in their sentence vectors."""

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

LEAST = 10  # texts of a domain below which nothing can be said
LEVEL = 0.05  # chance of finding a shift where there is none; the two tests share it


@dataclasses.dataclass(frozen=True)
class Shift:
    """What the two tests say of two domains."""

    texts: int
    """Of each domain that were looked at."""
    accuracy: Interval
    """Share (0 to 1) of held-out texts whose domain a classifier tells; 0.5 is what guessing gives."""
    accuracy_p: float
    """Chance of at least this accuracy where the domains are the same."""
    mmd_squared: float
    mmd_p: float

    @property
    def is_shown(self) -> bool:
        """Whether one of the tests finds a shift; each at half the level, so that both together keep it."""
        return min(self.accuracy_p, self.mmd_p) < LEVEL / 2

    def sentence(self) -> str:
        """Tell both scores and what they show."""
        found = "the domains differ" if self.is_shown else "no difference between the domains is shown"
        return (
            f"Shift: a classifier tells the domain of {self.accuracy} of held-out texts (guessing 0.5, "
            f"{told_p(self.accuracy_p)}), MMD² {self.mmd_squared:.4f} ({told_p(self.mmd_p)}): {found}."
        )


def check_size(texts: int, *, part: str, where: str) -> None:
    """Raise DataError for so few texts of a domain that nothing can be said; `part` of the data holds them."""
    if texts < LEAST:
        raise DataError(
            f"{where}: found {texts} texts in data.{part}; expected at least {LEAST} to compare the domains by. Add texts."
        )


def shift_between(source: Tensor, target: Tensor, *, texts: int, permutations: int, seed: int) -> Shift:
    """Compare the sentence vectors (m, D) and (n, D) of two domains, on as many of each, `texts` at most, drawn by `seed`.

    Raises DataError for a domain of fewer than ten texts.
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
    """Return how many held-out texts a classifier assigns to their domain, and the p-value of that (Lopez-Paz & Oquab 2017).

    A logistic regression learns on the first half of either sample, (m, D) each in random order, and is tested on the
    second. The p-value is the exact binomial one instead of the paper's normal approximation.
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


def told_p(p: float) -> str:
    """Return a p-value as sentences tell it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
