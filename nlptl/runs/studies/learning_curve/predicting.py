"""What a measured curve shows of more labels: predictions, how many labels one point takes, and which label gains most.

Shapes: K labels.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.curve_noise import DrawNoise, MeasuredCurve
from nlptl.evaluation.intervals import Estimate
from nlptl.evaluation.learning_curves import LEVEL, MAX_TIMES, FittedCurve, fit_curve, why_too_short
from nlptl.runs.studies.learning_curve.label_advice import FEW_TEXTS
from nlptl.runs.studies.learning_curve.outcome import CurvePoint, CurvePrediction, LabelCurve, Metric, MetricCurve
from nlptl.runs.studies.learning_curve.points import (
    Counts,
    Draws,
    Score,
    accuracy,
    each,
    label_f1,
    label_recall,
    macro_f1,
    measured_curve,
    shares_judged,
)
from nlptl.runs.studies.learning_curve.subsets import Subsets

TIMES = (2, 4)  # as many labels as there are, that are predicted
POINT = 0.01
SHOWN = 0.0005  # of a gain, below which it prints as 0.0 points
MIN_JUDGED = 20  # texts by which a curve is judged that is extrapolated; FEW_TEXTS of one label
SAMPLES_OF_LABEL = 3000  # of curves of each family, since there may be many labels
TAILS_OF_F1 = 1.4  # a label that is not predicted yet takes its F1 from 0 to what it will be at once
STEPS = 60  # sizes at which it is looked for, in geometric steps up to MAX_TIMES
Z = 1.96  # standard errors of a 95 % interval
SCORES: dict[Metric, Score] = {"accuracy": accuracy, "macro-F1": macro_f1}

Floats = NDArray[np.float64]


def metric_curve(metric: Metric, draws: Draws, subsets: Subsets) -> MetricCurve:
    """Return the curve of a score with what it predicts."""
    measured = curve_of(SCORES[metric], draws, subsets, share=judged_share(metric, subsets))
    texts = _judged_texts(subsets) * (1.0 if metric == "accuracy" else macro_share(subsets))
    points = points_of(measured, judged_texts=texts)
    if why := why_not_predicted(measured, subsets):
        told = f"More labels are not predicted, since {why}."
        return MetricCurve(metric=metric, points=points, predictions=(), labels_for_a_point=None, sentence=told)
    fitted = fit_curve(measured)
    predictions = tuple(_prediction(fitted, times * subsets.texts, subsets.texts) for times in TIMES)
    needed = labels_for(fitted, subsets.texts, np.full(len(fitted.error), POINT))
    told = gain_sentence(metric, predictions[-1], needed, texts=subsets.texts)
    return MetricCurve(metric=metric, points=points, predictions=predictions, labels_for_a_point=needed, sentence=told)


def why_not_predicted(measured: MeasuredCurve, subsets: Subsets) -> str | None:
    """Return in a clause why a curve does not bear predictions; None where it does."""
    if _judged_texts(subsets) < MIN_JUDGED:
        return f"it is judged on {_judged_texts(subsets)} texts, and {MIN_JUDGED} are needed"
    if why := why_too_short(measured):
        return f"the curve is too short: {why}"
    return None


def curve_of(score: Score, draws: Draws, subsets: Subsets, *, share: float | None) -> MeasuredCurve:
    """Return the measured curve of a score."""
    tails = 1.0 if score is accuracy else TAILS_OF_F1
    return measured_curve(draws, score, texts=subsets.texts, judged_share=share, tails=tails)


def judged_share(metric: Metric, subsets: Subsets) -> float | None:
    """Return the share of the texts by which a score varies where the texts judge one another; None on a test."""
    if subsets.judging.by == "test":
        return None
    return 1.0 if metric == "accuracy" else macro_share(subsets)


def macro_share(subsets: Subsets) -> float:
    """Return how many texts a mean over labels is worth, as a share of the judged ones: few of a rare label weigh much."""
    least = 1 if subsets.judging.by == "test" else 2  # a single text is never judged by the others
    found = subsets.judging.table.label_counts().values()
    counts = np.array([count for count in found if count >= least], dtype=np.float64)
    return float(len(counts) ** 2 / np.sum(counts.sum() / counts))


def points_of(measured: MeasuredCurve, *, judged_texts: float) -> tuple[CurvePoint, ...]:
    """Return the mean scores with 95 % intervals for the texts drawn and the `judged_texts`."""
    drawn = np.diag(DrawNoise.of(measured).measured()) if measured.sizes else np.zeros(0)
    found = []
    for size, scores, variance in zip(measured.sizes, measured.scores, drawn.tolist(), strict=True):
        value = float(scores.mean())
        level = min(max(value, 0.02), 0.98)
        of_test = level * (1 - level) / max(1.0, judged_texts) if measured.judged_share is None else 0.0
        half = Z * math.sqrt(variance + of_test)
        score = Estimate(value, max(0.0, value - half), min(1.0, value + half))
        found.append(CurvePoint(labels=size, draws=len(scores), score=score))
    return tuple(found)


def labels_for(fitted: FittedCurve, texts: int, gain: Floats) -> Estimate | None:
    """Return how many further labels bring `gain` (M,), the median with a 90 % interval over the sampled curves.

    The upper end is None where it lies beyond MAX_TIMES as many labels as there are; all is None where the median does.
    """
    sizes = np.unique(np.round(np.geomspace(texts, MAX_TIMES * texts, STEPS)))
    reached = fitted.gains(texts, sizes) >= gain[:, None]
    further = np.where(reached.any(axis=1), sizes[reached.argmax(axis=1)] - texts, math.inf)
    low, middle, high = (
        float(np.quantile(further, q, method="higher")) for q in ((1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2)
    )
    if not math.isfinite(middle):
        return None
    return Estimate(middle, low, high if math.isfinite(high) else None, LEVEL)


def gain_sentence(metric: Metric, most: CurvePrediction, needed: Estimate | None, *, texts: int) -> str:
    """Return what more labels bring, never more than the interval carries."""
    low, high = most.gain.low, most.gain.high
    assert low is not None
    assert high is not None
    times = f"{most.labels:,} labels instead of {texts:,}"
    if high < POINT:
        return (
            f"More labels of this kind will not help: {times} bring {metric} at most {100 * max(high, 0):.1f} points."
        )
    between = f"{100 * low:+.1f} to {100 * high:+.1f} points of {metric}"
    if SHOWN <= low < POINT:
        return f"More labels help, but not by a point for sure: {times} bring {between} (90 % interval)."
    if low < POINT or needed is None:
        return f"Whether more labels help is not shown: {times} bring {between} (90 % interval)."
    upper = f"{MAX_TIMES * texts - texts:,} or more" if needed.high is None else f"{needed.high:,.0f}"
    return (
        f"About {needed.value:,.0f} more labels bring one point of {metric} (90 % interval {needed.low:,.0f} to {upper}); "
        f"{times} bring {between}."
    )


def label_curves(draws: Draws, subsets: Subsets) -> tuple[LabelCurve, ...]:
    """Return the curve of each label's F1 and recall, with what twice as many labels would bring."""
    shares, judged = shares_judged(subsets), subsets.judging.table.label_counts()
    counts = subsets.labelled_counts
    found = []
    for place, label in enumerate(subsets.labels):
        share = None if shares is None else max(float(shares[place]), 1e-9)
        if not judged.get(label):
            continue

        def f1(counts: Counts, place: int = place) -> float:
            return float(label_f1(counts)[place])

        def recall(counts: Counts, place: int = place) -> float:
            return float(label_recall(counts)[place])

        texts = float(judged[label])
        measured = curve_of(each(f1), draws, subsets, share=share)
        gain = None
        if texts >= FEW_TEXTS and why_not_predicted(measured, subsets) is None:
            gain = _prediction(fit_curve(measured, samples=SAMPLES_OF_LABEL), 2 * subsets.texts, subsets.texts).gain
        recalls = points_of(curve_of(each(recall), draws, subsets, share=share), judged_texts=texts)
        found.append(
            LabelCurve(
                label=label, texts=counts.get(label, 0), f1=points_of(measured, judged_texts=texts), recall=recalls, gain=gain
            )
        )  # fmt: skip
    return tuple(found)


def _prediction(fitted: FittedCurve, size: int, texts: int) -> CurvePrediction:
    gains = fitted.gains(texts, np.array([float(size)]))
    low, middle, high = np.quantile(gains, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2]).tolist()
    return CurvePrediction(labels=size, score=fitted.predicted(size), gain=Estimate(middle, low, high, LEVEL))


def _judged_texts(subsets: Subsets) -> int:
    return subsets.judging.texts if subsets.judging.by == "test" else subsets.texts
