"""Page of a run: its facts laid out for the template, and the page's own security policy."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
import string
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from nlptl import __version__
from nlptl.evaluation.intervals import Estimate, without_interval
from nlptl.interfaces.html import charts, sections
from nlptl.interfaces.html.matrix import Matrix, matrix_of
from nlptl.interfaces.html.study_charts import learning_figure
from nlptl.interfaces.html.visible import breakable, inline_json, named, visible
from nlptl.progress import clock, human

if TYPE_CHECKING:
    from nlptl.runs.reading.judged import Judged
    from nlptl.runs.report.facts import Mistake, RunReport

TEMPLATES = "templates"
GENERATOR = "nlptl report"  # by which a page of nlptl is known
NARROW = "\u00a0"  # blank at which no line breaks
SPOKEN = 6  # words that are named under a mistake


@dataclasses.dataclass(frozen=True)
class Limits:
    """How much of the texts a page holds."""

    texts_per_cell: int = 24
    characters: int = 320  # of a text in a cell or on the map
    points: int = 1500
    labels: int = 200  # rows of the table of labels

    def halved(self) -> Limits:
        """Return limits for a page of about half the size."""
        return Limits(max(1, self.texts_per_cell // 2), max(40, self.characters // 2), max(50, self.points // 2),
                      max(20, self.labels // 2))  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Marked:
    """Part of a mistaken text, and how strongly it spoke for the wrong label (-3 to 3)."""

    text: str
    strength: int


@dataclasses.dataclass(frozen=True)
class ShownMistake:
    """Mistake as it is shown."""

    parts: tuple[Marked, ...]
    spoken: tuple[str, ...]
    said: str
    confidence: float
    label: str
    share: float | None  # probability of the true label; None where a text may have several
    place: str
    how: str


@dataclasses.dataclass(frozen=True)
class Spot:
    """Point on the map."""

    x: float
    y: float
    colour: int
    kind: str  # learnt, right or wrong
    text: int


class _Texts:
    """Texts of a page, each held once."""

    def __init__(self, most: int) -> None:
        self._most, self._places = most, dict[tuple[str, ...], int]()

    def add(self, text: str, label: str, predicted: str, percent: str, place: str) -> int:
        """Return the number of a text."""
        shown = (
            visible(text, self._most),
            named(label),
            named(predicted) if predicted else "",
            percent,
            visible(place),
        )
        return self._places.setdefault(shown, len(self._places))

    def rows(self) -> list[list[str]]:
        """Return all texts."""
        return [list(one) for one in self._places]


def render(report: RunReport, *, limits: Limits, tables: str) -> str:
    """Return the page of a run. `tables` is the name of the folder beside it that holds the whole tables."""
    style, script = _asset("report.css"), _asset("report.js")
    texts = _Texts(limits.characters)
    matrix, cells = _matrix(report, texts, limits)
    spots, legend = _map(report, texts, limits)
    return _environment().get_template("run_report.html.j2").render(
        report=report,
        policy=_policy(style, script),
        style=Markup(style),  # of this package
        script=Markup(script),
        payload=inline_json({"texts": texts.rows(), "cells": cells}),
        generator=f"{GENERATOR} {__version__}",
        tables=tables,
        matrix=matrix,
        dots=charts.dots_of(report.reliability),
        mistakes=[] if report.judged is None else [_mistake(report.judged, one, limits) for one in report.mistakes],
        spots=spots,
        legend=legend,
        curves=[charts.curve_of(one) for one in report.curves],
        has=sections.columns_of(report),
        gain=sections.gain_of(report.standing, comparing=report.commands.get("compare", "")),
        labels=sections.labels_of(report, limits.labels),
        reliability=sections.reliability_sentence(report.reliability),
        training=sections.training_of(report),
        layers=sections.layers_of(report),
        cost=sections.cost_of(report),
        learning=None if report.studies.curve is None else learning_figure(report.studies.curve.curves[0]),
    )  # fmt: skip


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.PackageLoader("nlptl.interfaces.html", TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = {"visible": visible, "named": named, "breakable": breakable, "clock": clock, "human": human}
    figures = {
        "percent": _percent,
        "ends": _ends,
        "points": _points,
        "whisker": charts.Whisker.of,
        "bars": sections.bars,
    }
    found.filters |= {**shown, **figures}
    return found


@lru_cache
def _asset(name: str) -> str:
    return (files("nlptl.interfaces.html") / TEMPLATES / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a content security policy under which the page's own style and script run, and nothing else."""
    return (
        f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; base-uri 'none'; "
        "form-action 'none'"
    )


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _matrix(report: RunReport, texts: _Texts, limits: Limits) -> tuple[Matrix | None, dict[str, object]]:
    """Return the confusion matrix, and the texts of its cells and pairs."""
    if report.evaluation is None:
        return None, {}
    labels = [one.label for one in report.evaluation.per_label]
    matrix, group = matrix_of(labels, report.evaluation.confusion)
    if report.judged is None:
        return matrix, {}
    judged, ids = report.judged, {label: place for place, label in enumerate(labels)}
    shown: dict[str, list[int]] = {}
    wanted = {pair.key for pair in matrix.pairs}
    confidences = judged.confidences.tolist()
    for place in sorted(range(len(judged.texts)), key=lambda one: -confidences[one]):
        true, said = ids[judged.labels[place]], ids[judged.predicted[place]]
        for key in (f"{group[true]}-{group[said]}", f"p{true}-{said}"):
            inside = shown.setdefault(key, []) if key[0] != "p" or key in wanted else None
            if inside is not None and len(inside) < limits.texts_per_cell:
                inside.append(_judged_text(judged, place, confidences[place], texts))
    return matrix, dict(shown)


def _judged_text(judged: Judged, place: int, confidence: float, texts: _Texts) -> int:
    return texts.add(
        judged.texts[place], judged.labels[place], judged.predicted[place], f"{100 * confidence:.0f}", judged.places[place]
    )  # fmt: skip


def _map(report: RunReport, texts: _Texts, limits: Limits) -> tuple[list[Spot], list[charts.Legend]]:
    """Return the points of the map and its legend. Mistakes are drawn last, above the others."""
    if report.map is None:
        return [], []
    legend, colours = charts.legend_of(report.map)
    order = {"learnt": 0, "right": 1, "wrong": 2}
    spots = []
    for point in report.map.points[: limits.points]:
        kind = "learnt" if point.part == "labelled" else "right" if point.predicted == point.label else "wrong"
        number = texts.add(point.text, point.label, point.predicted, "", point.place)
        spots.append(Spot(round(100 * point.x, 1), round(100 * point.y, 1), colours[point.label], kind, number))
    return sorted(spots, key=lambda one: order[one.kind]), legend


def _mistake(judged: Judged, mistake: Mistake, limits: Limits) -> ShownMistake:
    """Return a mistake with its words marked by how strongly they spoke for the wrong label."""
    place, text = mistake.text, judged.texts[mistake.text]
    strongest = max((abs(word.weight) for word in mistake.words), default=0.0) or 1.0
    parts, end = list[Marked](), 0
    for word in sorted(mistake.words, key=lambda one: one.start):
        if word.start < end or word.end > 2 * limits.characters:
            continue
        strength = round(3 * word.weight / strongest)
        parts += [Marked(visible(text[end : word.start]), 0), Marked(visible(text[word.start : word.end]), strength)]
        end = word.end
    parts.append(Marked(visible(text[end:], max(1, 2 * limits.characters - end)), 0))
    spoke = sorted((word for word in mistake.words if word.weight > 0), key=lambda one: -one.weight)[:SPOKEN]
    row, label = judged.probabilities[place], judged.labels[place]
    return ShownMistake(
        parts=tuple(part for part in parts if part.text),
        spoken=tuple(dict.fromkeys(_bare(text[word.start : word.end]) for word in spoke)),
        said=named(judged.predicted[place]),
        confidence=float(judged.confidences[place]),
        label=named(label),
        share=None if judged.sets is not None else float(row[judged.names.index(label)]),
        place=visible(judged.places[place]),
        how=mistake.how,
    )


def _bare(word: str) -> str:
    """Return a word without the punctuation around it, unless it is nothing else."""
    return visible(word.strip(string.punctuation + "“”„‘’«»、。！？") or word, 40)


def _percent(share: float, digits: int = 0) -> str:
    return f"{100 * share:.{digits}f}{NARROW}%"


def _ends(found: Estimate, digits: int = 0, texts: int = 0) -> str:
    """Return the interval of a share in per cent, or why there is none; `texts` are those of an F1 score."""
    if found.low is None or found.high is None or found.low == found.high:
        return without_interval(found.value, texts=texts)
    low, high = (f"{100 * end:.{digits}f}" for end in (found.low, found.high))
    return f"{low} to {high}{NARROW}%" if low != high or digits else _ends(found, 1)


def _points(found: Estimate) -> str:
    """Return a difference of shares in points, with its interval."""
    ends = "" if found.low is None or found.high is None else f" ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    return f"{100 * found.value:+.1f} points{ends}".replace("-", "−")


def is_own_page(beginning: bytes) -> bool:
    """Return whether a file begins as a page of nlptl."""
    return re.search(rb'<meta name="generator" content="nlptl ', beginning) is not None
