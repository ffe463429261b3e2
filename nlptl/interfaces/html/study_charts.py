"""Figure of a learning curve, in per cent of its width and height."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.charts import Tick, nice_ticks

if TYPE_CHECKING:
    from nlptl.runs.studies.learning_curve.outcome import MetricCurve

MAX_TICKS = 6  # on the axis of sizes


@dataclasses.dataclass(frozen=True)
class SizePoint:
    """Score at one number of labels."""

    x: float
    y: float
    low: float  # ends of its interval; `y` where it has none
    high: float
    predicted: bool


@dataclasses.dataclass(frozen=True)
class LearningFigure:
    """Points of a learning curve within its own axes; numbers of labels are on a logarithmic one."""

    points: tuple[SizePoint, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    told: str


def learning_figure(found: MetricCurve) -> LearningFigure | None:
    """Return the figure of a curve; None with fewer than two points."""
    scores = [(one.labels, one.score, False) for one in found.points]
    scores += [(one.labels, one.score, True) for one in found.predictions]
    if len(scores) < 2:
        return None
    ends = [end for _, score, _ in scores for end in _ends(score)]
    ticks = nice_ticks(100 * max(0.0, min(ends)), 100 * min(1.0, max(ends)))
    low, high = ticks[0], ticks[-1]
    first, last = math.log(scores[0][0]), math.log(scores[-1][0])

    def across(size: int) -> float:
        return round(100 * (math.log(size) - first) / (last - first), 2) if last > first else 50.0

    def up(share: float) -> float:
        return round(100 - 100 * (100 * share - low) / (high - low), 2) if high > low else 50.0

    points = tuple(
        SizePoint(across(size), up(score.value), up(_ends(score)[0]), up(_ends(score)[1]), predicted)
        for size, score, predicted in scores
    )
    step = math.ceil((len(scores) - 1) / MAX_TICKS)
    sizes = [size for size, _, _ in scores[::-1][::step]][::-1]
    value, end = scores[0][1].value, next(score.value for size, score, _ in scores if size == scores[-1][0])
    return LearningFigure(
        points,
        tuple(Tick(across(size), f"{size:,}") for size in sizes),
        tuple(Tick(up(one / 100), f"{one:g}") for one in ticks),
        f"{found.metric} from {100 * value:.0f} % with {scores[0][0]:,} labels to {100 * end:.0f} % with {scores[-1][0]:,}.",
    )


def _ends(score: Estimate) -> tuple[float, float]:
    if score.low is None or score.high is None:
        return score.value, score.value
    return max(0.0, score.low), min(1.0, score.high)
