"""How many labels the pile is worth: the curve with it beside the curve without it, on the same subsets."""

from __future__ import annotations

import math

import numpy as np

from nlptl.evaluation.curve_noise import DrawNoise, MeasuredCurve
from nlptl.evaluation.intervals import Estimate
from nlptl.evaluation.learning_curves import fit_curve
from nlptl.runs.studies.learning_curve.outcome import Metric, PileWorth
from nlptl.runs.studies.learning_curve.points import Draws
from nlptl.runs.studies.learning_curve.predicting import (
    SCORES,
    Z,
    curve_of,
    judged_share,
    labels_for,
    why_not_predicted,
)
from nlptl.runs.studies.learning_curve.subsets import Subsets

SHARE_OF_TEXTS = 0.4  # of the texts, from which a subset tells what the pile brings to all of them
DISAGREEMENT = 0.15  # share of the judged texts that the two classifiers at least label differently, for the noise


def pile_worth(metric: Metric, with_pile: Draws, without: Draws, subsets: Subsets, *, seed: int = 0) -> PileWorth:
    """Return what the pile brings to a score, and how many labels bring as much where none is read."""
    difference, error = _difference(metric, with_pile, without, subsets)
    if math.isnan(difference):
        return PileWorth(difference=None, labels=None, sentence="What the pile brings was not measured: too few fits.")
    found = Estimate(difference, difference - Z * error, difference + Z * error)
    told = f"{found.told('+.1f', 100)} points of {metric}"
    if found.low is None or found.low <= 0:
        return PileWorth(
            difference=found, labels=None, sentence=f"That the pile is worth any label is not shown: it brings {told}."
        )
    alone = curve_of(SCORES[metric], without, subsets, share=judged_share(metric, subsets))
    if why := why_not_predicted(alone, subsets):
        return PileWorth(
            difference=found,
            labels=None,
            sentence=f"The pile brings {told}; how many labels that is, is not known, since {why}.",
        )
    fitted = fit_curve(alone)
    gains = difference + error * np.random.default_rng(seed).standard_normal(len(fitted.error))
    labels = labels_for(fitted, subsets.texts, gains)
    if labels is None or labels.low is None:
        worth = "more labels than can be predicted"
    else:
        upper = f"{labels.high:,.0f}" if labels.high is not None else "more than can be predicted"
        worth = f"about {labels.value:,.0f} labels (90 % interval {labels.low:,.0f} to {upper})"
    return PileWorth(difference=found, labels=labels, sentence=f"The pile is worth {worth}: it brings {told}.")


def _difference(metric: Metric, with_pile: Draws, without: Draws, subsets: Subsets) -> tuple[float, float]:
    """Return the difference of the scores at the larger sizes with its standard error, by generalised least squares."""
    large = [size for size in sorted(with_pile.keys() & without.keys()) if size >= SHARE_OF_TEXTS * subsets.texts]
    same = {size: sorted(with_pile[size].keys() & without[size].keys()) for size in large}
    scores, alone = (
        SCORES[metric]({size: {draw: arm[size][draw] for draw in draws} for size, draws in same.items() if draws})
        for arm in (with_pile, without)
    )
    if not scores:
        return math.nan, math.nan
    measured = MeasuredCurve(tuple(scores), tuple(scores[size] - alone[size] for size in scores), subsets.texts)
    weights = np.linalg.solve(DrawNoise.of(measured).measured(), np.ones(len(scores)))
    value, variance = float(weights @ measured.means / weights.sum()), float(1 / weights.sum())
    judged = subsets.judging.texts if subsets.judging.by == "test" else subsets.texts
    return value, math.sqrt(variance + max(DISAGREEMENT, abs(value)) / judged)
