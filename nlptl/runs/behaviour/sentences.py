"""What a study of behaviour shows, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlptl.data.columns import names_shown
from nlptl.evaluation.intervals import Estimate
from nlptl.runs.behaviour.outcome import EditResult, SliceResult

MIN_EDITED = 20  # texts of an edit that is spoken of
MAX_TOLD = 3  # slices


def sentences_of(edits: Sequence[EditResult], slices: Sequence[SliceResult], *, learnt: bool) -> tuple[str, ...]:
    """Return the sentences, the gravest first; never more than the intervals carry."""
    told = ["These texts were learnt, so that flips are rarer here than on new texts."] if learnt else []
    return (*told, *_of_edits(edits), *_of_slices(slices))


def _of_edits(edits: Sequence[EditResult]) -> Iterator[str]:
    same = [one for one in edits if one.texts >= MIN_EDITED and not one.may_change_label and one.flipped is not None]
    costly = [one for one in same if one.difference is not None and (one.difference.high or 0.0) < 0]
    for one in sorted(costly, key=lambda one: one.difference.value if one.difference else 0.0):
        assert one.difference is not None
        yield f"Texts with {one.what} are predicted right less often: {points(one.difference)} points."
    steady = [one.name for one in same if one not in costly]
    if steady:
        yield f"No loss of accuracy is shown for {names_shown(steady)}."
    for one in edits:
        if one.may_change_label and one.flipped is not None and one.texts >= MIN_EDITED:
            yield f"Of {one.texts:,} texts with {one.what}, {percent(one.flipped)} % get another label."
    english = [one.name for one in edits if one.texts == 0 and one.english]
    if english:
        yield f"Made for English alone, and found nothing to change here: {names_shown(english)}."
    rare = [one.name for one in edits if one.texts < MIN_EDITED and one.name not in english]
    if rare:
        yield f"Too few texts to tell ({MIN_EDITED} are needed): {names_shown(rare)}."


def _of_slices(slices: Sequence[SliceResult]) -> Iterator[str]:
    worse = sorted((one for one in slices if one.differs and _value(one) < 0), key=_value)
    for one in worse[:MAX_TOLD]:
        assert one.difference is not None
        yield f"It is worse on {named(one)}: {points(one.difference)} points from the other texts."
    if not worse and slices:
        yield f"None of {len(slices)} parts of the texts is shown to be worse than the rest."
    sure = sorted((one for one in slices if one.misjudges_itself), key=lambda one: -abs(one.overconfidence.value))
    for one in sure[:MAX_TOLD]:
        way = "too sure of itself" if one.overconfidence.value > 0 else "less sure than it may be"
        yield f"It is {way} on {named(one)}: by {points(one.overconfidence)} points."


def named(one: SliceResult) -> str:
    """Return a slice in words."""
    if one.by == "label":
        return f"texts labelled {one.value!r}"
    return f"texts with {one.by} {one.value}" if one.by != "length" else f"texts of {one.value}"


def points(found: Estimate) -> str:
    """Return a difference of shares in points, with its interval."""
    return found.told("+.0f", 100)


def percent(found: Estimate) -> str:
    """Return a share in per cent, with its interval."""
    return found.told(".0f", 100)


def _value(one: SliceResult) -> float:
    return 0.0 if one.difference is None else one.difference.value
