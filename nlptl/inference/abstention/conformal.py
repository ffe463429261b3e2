"""Prediction sets with a promised coverage, from logits of labelled texts that were held out (Vovk et al. 2005).

A label's score is 1 less its probability (Sadinle, Lei & Wasserman 2019). A set holds the labels whose score is at most a
threshold: the score at rank coverage · (n + 1) of the true labels of n held-out texts, between two ranks in proportion. The
held-out logits come of fits without the text, so that all labelled texts serve (cross-conformal: Vovk 2015; Barber et al. 2021).

The threshold is one for all labels. On training rows of nine sets with 16 examples a label, a threshold for each label covered
the worst label no better (mean .85 for both) and gave larger sets. Where a label had 2 examples, hardly a set had one label.

Shapes: n held-out texts, B texts, K labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import ConfigError, DataError
from nlptl.faults import shown
from nlptl.inference.abstention.beta import beta_quantile

INTERVAL = (0.05, 0.95)  # quantiles of the coverage's own distribution
LEFT_OUT_WEIGHT = 0.5
"""Weight in that distribution of a text that a fit without it judged, as against one beside the labelled texts: such fits share
texts. On training rows of nine sets, 8 to 32 examples a label, .90 of 648 intervals hold the coverage with it, .77 with 1."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SetCoverage:
    """Promise of prediction sets, and what the held-out texts say of it."""

    promised: float
    """Share of texts whose set holds their label, on average over draws of the labelled texts."""
    held_out: int
    """Labelled texts that were held out."""
    low: float
    """The share that these very texts give is between `low` and `high` with a probability of .9, if new texts are like them."""
    high: float
    single: int
    """Held-out texts whose set has one label."""
    right: int
    """Those among them whose set is right."""
    is_approximate: bool
    """Whether the held-out logits are those of a stand-in: a head on the encoder before its layers learnt."""

    def __str__(self) -> str:
        about = "about " if self.is_approximate else ""
        return (
            f"{about}{self.promised:g} [{self.low:.2f}, {self.high:.2f}], by {self.held_out} labelled texts, each judged by a "
            "classifier that had not learnt it"
        )


def check_coverage(coverage: object, *, where: str) -> None:
    """Raise ConfigError for a coverage that is no share between 0 and 1."""
    number = float(coverage) if isinstance(coverage, Real) and not isinstance(coverage, bool) else None
    if number is None or not 0 < number < 1:
        found = shown(coverage) if number is None else f"{number:g}"
        raise ConfigError(f"{where}: found {found}; expected a share above 0 and below 1. Give one such as 0.9.")


def set_threshold(scores: Floats, coverage: float, *, where: str) -> float:
    """Return the threshold of held-out scores (n,) of true labels. Raises DataError where they are too few for the coverage.

    A whole rank would cover too many of few texts: 16 of 16 where 9 of 10 are promised.
    """
    count, rank = len(scores), coverage * (len(scores) + 1)
    if rank > count:
        needed = int(np.ceil(round(coverage / (1 - coverage), 6)))
        remedy = f"Lower it to {np.floor(100 * count / (count + 1)) / 100:g}, or label" if count > 1 else "Label"
        raise DataError(
            f"{where}: found {count} held-out texts, too few for a coverage of {coverage:g}: each set would hold every label. "
            f"Expected {needed} at least. {remedy} more texts."
        )
    return _at_rank(np.sort(scores), rank)


def coverage_of(
    probabilities: Floats, label_ids: NDArray[np.int64], coverage: float, *, weight: float, is_approximate: bool
) -> SetCoverage:
    """Return what held-out probabilities (n, K) of texts with these labels (n,) say of sets with a coverage.

    Given the labelled texts, the coverage of new ones has a beta distribution with the mean `coverage` (Vovk 2012), in which each
    text counts as much as `weight`.
    """
    count, effective = len(label_ids), weight * len(label_ids) + 1
    low, high = (beta_quantile(share, coverage * effective, (1 - coverage) * effective) for share in INTERVAL)
    sets = _sets_without_each(probabilities, label_ids, coverage)
    single = sets.sum(axis=1) == 1
    right = sets[np.arange(count), label_ids] & single
    return SetCoverage(coverage, count, low, high, int(single.sum()), int(right.sum()), is_approximate)


def in_set(probabilities: Floats, threshold: float | Floats) -> NDArray[np.bool_]:
    """Return which labels (B, K) are in the set of each text: never none, for the most probable one always is."""
    found: NDArray[np.bool_] = 1 - probabilities <= np.reshape(threshold, (-1, 1))
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return found


def _sets_without_each(probabilities: Floats, label_ids: NDArray[np.int64], coverage: float) -> NDArray[np.bool_]:
    """Return the set (n, K) of each held-out text by the threshold of the others."""
    scores = 1 - probabilities[np.arange(len(label_ids)), label_ids]
    ordered, places = np.sort(scores), scores.argsort().argsort()
    rank = min(coverage * len(scores), len(scores) - 1)
    thresholds = [_at_rank(np.delete(ordered, place), rank) for place in places]
    return in_set(probabilities, np.array(thresholds))


def _at_rank(ordered: Floats, rank: float) -> float:
    """Return the value at a rank from 1 on of ascending values, in proportion between two; the first one below."""
    below = min(max(int(rank), 1), len(ordered))
    above = min(below + 1, len(ordered))
    share = max(0.0, rank - below)
    return float(ordered[below - 1] + share * (ordered[above - 1] - ordered[below - 1]))
