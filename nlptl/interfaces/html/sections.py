"""What the sections of a run's page say: figures and sentences that its template lays out."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlptl.evaluation.scores import LabelScores
from nlptl.interfaces.html.visible import named
from nlptl.progress import clock
from nlptl.runs.report.standing import NOTHING_ELSE
from nlptl.runs.report.verdict import advantage, better_way, simplest

if TYPE_CHECKING:
    from nlptl.runs.report.facts import ReliabilityBin, Rival, RunReport, StageFacts, Standing

SORTED_FROM = 9  # labels from which the weakest come first
SURE = 0.9  # probability of a prediction that counts as sure
ALONE = "This run has no other way beside it. The simple ways are measured on the same texts by"
ONE_LABEL = "Other ways are measured only where each text has one label; these texts may have several."
GAP = 0.05  # between confidence and share of right predictions, within which both agree


@dataclasses.dataclass(frozen=True)
class Gain:
    """Answer to whether the classifier is better than the simple way."""

    answer: str
    tone: str  # good, bad or unknown
    told: str
    command: str = ""  # that measures it


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns and parts a page has facts for."""

    difference: bool
    macro_f1: bool
    seconds: bool
    cells: bool  # whether cells of the matrix open
    words: bool  # whether mistakes are explained


@dataclasses.dataclass(frozen=True)
class Cost:
    """Cost of all stages."""

    told: str
    lengths: tuple[float, ...]  # of the stages' bars, in per cent
    flops: bool


@dataclasses.dataclass(frozen=True)
class Layers:
    """Movement of the layers of one stage."""

    folder: str
    weight_change: Mapping[str, float]
    lengths: tuple[float, ...]


def columns_of(report: RunReport) -> Columns:
    """Return which columns have a figure."""
    rivals = () if report.standing is None else report.standing.rivals
    return Columns(
        difference=any(one.difference for one in rivals),
        macro_f1=any(one.macro_f1 for one in rivals),
        seconds=any(one.seconds is not None for one in rivals),
        cells=report.judged is not None and report.evaluation is not None,
        words=any(one.words for one in report.mistakes),
    )


def gain_of(standing: Standing | None, *, comparing: str = "") -> Gain:
    """Return the answer to whether the classifier is better than the simple way. Another way may be better than both.

    `comparing` is the command that measures ways beside it.
    """
    if standing is None:
        return Gain("Not measured", "unknown", ONE_LABEL)
    simple, best = simplest(standing), better_way(standing)
    if simple is None:
        is_alone = standing.unmeasured == NOTHING_ELSE and bool(comparing)
        return Gain("Not measured", "unknown", ALONE if is_alone else standing.unmeasured, comparing * is_alone)
    if simple.is_this and best is None:
        return Gain("It is the simple way", "unknown", "Nothing else that was tried is shown to be better.")
    found = _against(best if simple.is_this and best is not None else simple, standing)
    if simple.is_this:
        return dataclasses.replace(found, told=f"It is the simple way itself. {found.told}")
    if best is None or best is simple:
        return found
    return dataclasses.replace(
        found, told=f"{found.told} Another way is better than both: {_against(best, standing).told}"
    )


def _against(rival: Rival, standing: Standing) -> Gain:
    """Return the answer to whether the classifier is better than one other way."""
    found = advantage(rival, standing)
    against = f"against “{named(rival.name)}”, on the same texts"
    if found is None or found.low is None or found.high is None:
        return Gain("Not shown", "unknown", f"There are too few texts to tell it from “{named(rival.name)}”.")
    ends, value = f"{100 * found.low:+.1f} to {100 * found.high:+.1f}".replace("-", "−"), 100 * found.value
    if found.low > 0:
        return Gain(f"Yes, {value:+.0f} points", "good", f"95 % interval {ends} points, {against}.")
    if found.high < 0:
        return Gain(f"No, −{-value:.0f} points", "bad", f"95 % interval {ends} points, {against}. Take that way.")
    return Gain("Not shown", "unknown", f"{value:+.1f} points, 95 % interval {ends}, {against}: it may be chance.")


def labels_of(report: RunReport, most: int) -> list[LabelScores]:
    """Return the labels to show: in their order, or the weakest first where they are many."""
    found = list(report.per_label)
    if len(found) >= SORTED_FROM:
        found.sort(key=lambda one: (one.support == 0, one.f1, -one.support))
    return found[:most]


def reliability_sentence(bins: Sequence[ReliabilityBin]) -> str:
    """Say in one or two sentences what the probabilities are worth."""
    total = sum(one.texts for one in bins)
    if not total:
        return ""
    confidence = sum(one.confidence * one.texts for one in bins) / total
    right = sum(one.right.value * one.texts for one in bins) / total
    gap = confidence - right
    told = f"On average it is {100 * confidence:.0f} % sure, and right in {100 * right:.0f} % of cases"
    way = "both agree" if abs(gap) <= GAP else "it is too sure" if gap > 0 else "it is more often right than it says"
    sure = [one for one in bins if one.low >= SURE - 1e-9]
    count = sum(one.texts for one in sure)
    if not count:
        return f"{told}: {way}. It never gives {100 * SURE:.0f} % or more."
    hits = sum(one.right.value * one.texts for one in sure)
    where = f"Where it gives {100 * SURE:.0f} % or more ({count:,} of {total:,} texts)"
    return f"{told}: {way}. {where}, {100 * hits / count:.0f} % are right."


def training_of(report: RunReport) -> list[StageFacts]:
    """Return the stages that say what they did."""
    return [stage for stage in report.stages if stage.sentences]


def layers_of(report: RunReport) -> list[Layers]:
    """Return the movement of layers, of the stages in which some layer moved."""
    return [
        Layers(stage.folder, stage.weight_change, tuple(lengths(list(stage.weight_change.values()))))
        for stage in report.stages
        if any(stage.weight_change.values())
    ]


def cost_of(report: RunReport) -> Cost:
    """Return what the stages cost."""
    seconds = [stage.seconds for stage in report.stages]
    total = sum(seconds)
    stages = f"{len(seconds)} stage{'s' * (len(seconds) != 1)}"
    told = f"{clock(total)} of wall time for {stages}, on {report.stages[-1].device if report.stages else 'cpu'}."
    if report.price_per_hour is not None:
        told += f" At {report.price_per_hour:g} an hour that is {total / 3600 * report.price_per_hour:.4g}."
    return Cost(told, tuple(lengths(seconds)), any(stage.flops for stage in report.stages))


def bars(counts: Mapping[str, int], most: int) -> list[tuple[str, int, float]]:
    """Return the most frequent labels with counts and lengths of bars; the others share the last one."""
    order = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    shown = [(named(label), count) for label, count in order[: most if len(order) <= most else most - 1]]
    if rest := order[len(shown) :]:
        shown.append((f"{len(rest)} other labels", sum(count for _, count in rest)))
    return [(*one, length) for one, length in zip(shown, lengths([count for _, count in shown]), strict=True)]


def lengths(values: Sequence[float]) -> list[float]:
    """Return the lengths of bars, in per cent of the longest."""
    longest = max(values, default=0) or 1
    return [round(100 * value / longest, 2) for value in values]
