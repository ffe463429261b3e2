"""Geometry of the report's figures, in per cent of their width and height, so that they fit any screen."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.visible import named
from nlptl.runs.report.facts import EmbeddingMap, LossCurve, ReliabilityBin

COLOURS = 8  # that are told apart, on the map
MAX_SEGMENTS = 150  # of a loss curve
MIN_HEIGHT = 8.0  # per cent of the map, below its upper edge, at which a name is not cut
MIN_RADIUS, MAX_RADIUS = 4.0, 11.0  # of a bin's dot, in pixels


@dataclasses.dataclass(frozen=True)
class Whisker:
    """Value and interval on a line from 0 to 100 per cent. Without an interval both ends are the value."""

    at: float
    low: float
    high: float
    has_ends: bool

    @classmethod
    def of(cls, found: Estimate) -> Whisker:
        """Return the place of a share with its interval."""
        if found.low is None or found.high is None or found.low == found.high:
            return cls(_percent(found.value), _percent(found.value), _percent(found.value), has_ends=False)
        return cls(_percent(found.value), _percent(found.low), _percent(found.high), has_ends=True)


@dataclasses.dataclass(frozen=True)
class Tick:
    """Mark on an axis: its place in per cent, and what it says."""

    at: float
    text: str


@dataclasses.dataclass(frozen=True)
class Curve:
    """Loss curve as a chain of points."""

    title: str
    points: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    told: str


@dataclasses.dataclass(frozen=True)
class Dot:
    """Bin of the reliability diagram."""

    x: float
    y: float
    low: float
    high: float
    radius: float


@dataclasses.dataclass(frozen=True)
class Legend:
    """Label on the map: its colour, and its points."""

    colour: int
    name: str
    points: int
    x: float  # where its name stands
    y: float

    @property
    def anchor(self) -> str:
        """End of the name that stands at `x`: the one by the nearer edge, so that the name is not cut there."""
        return "start" if self.x < 100 / 3 else "end" if self.x > 200 / 3 else "middle"


def curve_of(found: LossCurve) -> Curve:
    """Return a loss curve within its own axes."""
    step = max(1, math.ceil(len(found.epochs) / MAX_SEGMENTS))
    kept = sorted({*range(0, len(found.epochs), step), len(found.epochs) - 1})
    xs, ys = [found.epochs[place] for place in kept], [found.losses[place] for place in kept]
    y_ticks = nice_ticks(min(ys), max(ys))
    low, high = min(y_ticks[0], *ys), max(y_ticks[-1], *ys)
    points = tuple((_within(x, xs[0], xs[-1]), 100 - _within(y, low, high)) for x, y in zip(xs, ys, strict=True))
    return Curve(
        title=" · ".join(filter(None, [found.stage, found.name])),
        points=points,
        x_ticks=(Tick(0.0, f"{xs[0]:g}"), Tick(100.0, f"{xs[-1]:g}")),
        y_ticks=tuple(Tick(100 - _within(one, low, high), f"{one:g}") for one in y_ticks),
        told=f"Loss from {ys[0]:.3g} in epoch {xs[0]:g} to {ys[-1]:.3g} in epoch {xs[-1]:g}; lowest {min(found.losses):.3g}.",
    )


def dots_of(bins: Sequence[ReliabilityBin]) -> list[Dot]:
    """Return the bins of a reliability diagram; larger dots stand for more texts."""
    largest = max((one.texts for one in bins), default=1)
    return [
        Dot(
            x=_percent(one.confidence),
            y=100 - _percent(one.right.value),
            low=100 - _percent(one.right.low),
            high=100 - _percent(one.right.high),
            radius=round(MIN_RADIUS + (MAX_RADIUS - MIN_RADIUS) * math.sqrt(one.texts / largest), 1),
        )
        for one in bins
    ]


def legend_of(found: EmbeddingMap) -> tuple[list[Legend], dict[str, int]]:
    """Return the labels with a colour of their own, the most frequent ones, and the colour of every label."""
    counts: dict[str, list[tuple[float, float]]] = {}
    for point in found.points:
        counts.setdefault(point.label, []).append((point.x, point.y))
    order = sorted(counts, key=lambda label: (-len(counts[label]), label))
    own = order if len(order) <= COLOURS else order[: COLOURS - 1]
    colours = {label: place if label in own else COLOURS - 1 for place, label in enumerate(order)}
    legends = []
    for place, label in enumerate(own):
        xs, ys = (sorted(one[axis] for one in counts[label]) for axis in (0, 1))
        middle = len(xs) // 2
        y = max(MIN_HEIGHT, _percent(ys[middle]))
        legends.append(Legend(place, named(label, 24), len(xs), _percent(xs[middle]), y))
    rest = [point for label in order[len(own) :] for point in counts[label]]
    if rest:
        name = f"{len(order) - len(own)} other {'combinations' if found.by_sets else 'labels'}"
        legends.append(Legend(COLOURS - 1, name, len(rest), 0.0, 0.0))
    return legends, colours


def nice_ticks(low: float, high: float, *, wanted: int = 4) -> list[float]:
    """Return round numbers that span a range, about `wanted` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / wanted
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def level(share: float, levels: int) -> int:
    """Return the shade, from 0 for nothing to `levels`, of a share in [0, 1]."""
    return 0 if share <= 0 else max(1, min(levels, math.ceil(share * levels - 1e-9)))


def _percent(share: float) -> float:
    return round(100 * min(1.0, max(0.0, share)), 2)


def _within(value: float, low: float, high: float) -> float:
    return round(100 * (value - low) / (high - low), 2) if high > low else 50.0
