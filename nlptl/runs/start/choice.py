"""Choice among judged candidates: the winner beyond the noise, the cheaper one where there is none, with honest intervals.

Shapes: C candidates, G distinct judged texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from nlptl.runs.judging.scored import Scored, paired, paired_error, points
from nlptl.runs.start.candidates import Kind

MIN_TEXTS_TO_COMPARE = 100  # judged texts from which a cheaper candidate may replace the favourite
MAX_LOSS = 0.02  # of accuracy, that being cheaper may cost on the judged texts
RESAMPLES = 400  # by which the optimism of a choice is measured


@dataclasses.dataclass(frozen=True)
class Choice:
    """The candidate to take, and why."""

    chosen: Scored
    why: str
    optimism: float  # what being chosen adds to its accuracy


def choose(scored: Sequence[Scored]) -> Choice:
    """Return the winner beyond the noise, and the cheapest within one standard error of it where there is none.

    `scored` go from the simplest to the dearest. With fewer than 100 judged texts the favourite is taken, unless another is
    better beyond the noise: the error of so few is larger than what candidates usually differ by.
    """
    usable = [one for one in scored if one.candidate.may_be_chosen]
    favourite = _favourite(usable)
    if not any(one.rows for one in usable):
        return Choice(favourite, "It was taken unseen, since it was best on the mean of several data sets.", 0.0)
    better = [(found.value, one) for one in usable if (found := paired(favourite, one)) and (found.low or 0.0) > 0]
    reference = max(better, key=lambda pair: pair[0])[1] if better else favourite
    optimism = _optimism(usable)
    if better:
        why = f"It is better than {favourite.candidate.name} beyond the noise."
        return _cheaper(usable, reference, optimism) or Choice(reference, why, optimism)
    if cheaper := _cheaper(usable, reference, optimism):
        return cheaper
    return Choice(reference, _why_favourite(usable, favourite), optimism)


def _why_favourite(usable: Sequence[Scored], favourite: Scored) -> str:
    texts = favourite.texts
    others = [(one, paired(favourite, one)) for one in usable if one is not favourite]
    alike = [one.candidate.name for one, found in others if found is None or (found.high or 0.0) >= 0]
    if not alike:
        return "It is better than each other one beyond the noise."
    if texts < MIN_TEXTS_TO_COMPARE:
        told = f"{texts} texts are too few to tell it from {' and '.join(alike)}"
        return f"{told}; it is taken as the best on the mean of several data sets."
    return "None is better beyond the noise, and none that is cheaper comes within one standard error of it."


def _favourite(usable: Sequence[Scored]) -> Scored:
    """Return the candidate that is taken where nothing speaks against it."""
    order: tuple[Kind, ...] = ("auto", "head", "words", "word vectors", "auto without the pile")
    judged = [one for one in usable if one.rows] or usable
    return min(judged, key=lambda one: order.index(one.candidate.kind))


def _cheaper(usable: Sequence[Scored], reference: Scored, optimism: float) -> Choice | None:
    """Return the cheapest candidate within one standard error of `reference`, if enough texts were judged."""
    for one in usable[: usable.index(reference)]:
        found = paired_error(reference, one)
        if found is None:
            continue
        if reference.texts >= MIN_TEXTS_TO_COMPARE and found.value >= -min(found.error, MAX_LOSS):
            why = f"It is the cheapest within one standard error of {reference.candidate.name}."
            return Choice(one, why, optimism)
    return None


def _optimism(usable: Sequence[Scored]) -> float:
    """Return by how much the accuracy of the best candidate is too high because it is the best of several.

    On resampled texts the best is chosen and scored on the texts left out (Tsamardinos, Greasidou & Borboudakis 2018).
    """
    judged = [one.by_text for one in usable if one.rows]
    table = np.stack(judged)
    table = table[:, ~np.isnan(table).any(axis=0)]
    candidates, texts = table.shape
    if candidates < 2 or texts < 2:
        return 0.0
    generator = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        drawn = generator.integers(0, texts, texts)
        left = np.setdiff1d(np.arange(texts), drawn)
        if len(left):
            best = int(table[:, drawn].mean(axis=1).argmax())
            found.append(float(table[best, left].mean()))
    return max(0.0, float(table.mean(axis=1).max()) - float(np.mean(found))) if found else 0.0


def pile_sentence(scored: Sequence[Scored], *, pile: int) -> str:
    """Return what pretraining and the pile brought on these data, or that it is not shown."""
    by_kind: Mapping[str, Scored] = {one.candidate.kind: one for one in scored if one.rows}
    told = []
    pretrained = by_kind.get("auto") or by_kind.get("head")
    if pretrained is None:
        told.append("No pretrained encoder was tried, so what it would bring is not shown.")
    elif "words" in by_kind:
        told.append(f"Pretraining {_brought(by_kind['words'], pretrained)}.")
    if not pile:
        told.append("There is no pile: every row has a label.")
    elif "auto" in by_kind and "auto without the pile" in by_kind:
        told.append(f"The pile {_brought(by_kind['auto without the pile'], by_kind['auto'])}.")
    else:
        told.append(f"What the pile of {pile:,} texts brings is not shown: nothing was trained with and without it.")
    return " ".join(told)


def _brought(without: Scored, with_it: Scored) -> str:
    found = paired(without, with_it)
    if found is None:
        return "is not shown to help: no text was judged with and without it"
    assert found.low is not None
    assert found.high is not None
    against = f"{points(found)} ({with_it.candidate.kind} against {without.candidate.kind})"
    if found.low > 0:
        return f"brought {against}"
    return f"cost {against}" if found.high < 0 else f"is not shown to help: {against}"
