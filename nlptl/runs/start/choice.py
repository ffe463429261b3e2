"""Choice among judged candidates: the winner beyond the noise, the cheaper one where there is none, with honest intervals.

Shapes: J judged rows, G distinct judged texts, C candidates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Estimate, wilson
from nlptl.evaluation.scores import evaluate_predictions
from nlptl.runs.start.candidates import CandidateChain, Kind
from nlptl.runs.start.fit_rows import FitRow, held_out_probabilities
from nlptl.runs.start.judging import Judging

MIN_TEXTS_TO_COMPARE = 100  # judged texts from which a cheaper candidate may replace the favourite
MAX_LOSS = 0.02  # of accuracy, that being cheaper may cost on the judged texts
Z = 1.96  # standard errors of a 95 % interval
RESAMPLES = 400  # by which the optimism of a choice is measured

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Scored:
    """One candidate with all its fits."""

    candidate: CandidateChain
    rows: tuple[FitRow, ...]
    judging: Judging
    labels: tuple[str, ...]  # K names, in the order of the probabilities
    seconds: float  # of one training

    @cached_property
    def probabilities(self) -> Floats:
        """Mean held-out probabilities (J, K) over the repeats."""
        return held_out_probabilities(self.rows, self.judging, label_count=len(self.labels))[0]

    def probabilities_or_nan(self) -> Floats:
        """Return the mean held-out probabilities (J, K); NaN for rows that were never held out."""
        found = self.probabilities.copy()
        found[np.setdiff1d(np.arange(len(found)), self.judged)] = math.nan
        return found

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Row numbers that this candidate was judged on, ascending."""
        found = [self.judging.splits[row.split].judged for row in self.rows]
        return np.unique(np.concatenate(found)) if found else np.zeros(0, dtype=np.int64)

    @cached_property
    def hits(self) -> Floats:
        """In what share of the fits the label of each row (J,) was predicted; NaN where it was never held out."""
        position = {label: place for place, label in enumerate(self.labels)}
        true = np.array([position.get(label, -1) for label in self.judging.table.labels()])
        sums, counts = np.zeros(len(true)), np.zeros(len(true))
        for row in self.rows:
            held_out = self.judging.splits[row.split].judged
            sums[held_out] += row.predictions().argmax(axis=1) == true[held_out]
            counts[held_out] += 1
        return _shares(np.asarray(sums), counts.astype(np.float64))

    @cached_property
    def by_text(self) -> Floats:
        """Hits of each distinct text (G,), its copies' mean; NaN where it was not judged."""
        return _by_text(self.hits, self.judging)

    @cached_property
    def repeats(self) -> float:
        """How often a judged text was judged, on average."""
        judged = sum(len(self.judging.splits[row.split].judged) for row in self.rows)
        return judged / max(1, len(self.judged))

    def accuracy(self, *, optimism: float = 0.0) -> Estimate:
        """Return the share of judged rows that are right. Its interval is Wilson's at the distinct texts, or wider.

        `optimism` is what being chosen adds to it; the lower end goes down by that.
        """
        hits = self.hits[self.judged]
        if not len(hits):
            return Estimate(1 / len(self.labels), 0.0, 1.0)
        texts = int((~np.isnan(self.by_text)).sum()) / variance_factor(self.judging, self.repeats)
        value = float(hits.mean())
        found = wilson(value * texts, texts)
        return Estimate(value, max(0.0, found.low - optimism), found.high)

    def macro_f1(self) -> Estimate:
        """Return the mean F1 of the judged labels, with a bootstrap interval that allows for folds that share texts."""
        if not len(self.judged):
            return Estimate(0.0, None, None)
        true = [self.judging.table.labels()[row] for row in self.judged]
        predicted = [self.labels[place] for place in self.probabilities[self.judged].argmax(axis=1)]
        names = sorted({*true, *predicted})
        found = evaluate_predictions(labels=true, predicted=predicted, probabilities=None, names=names).macro_f1
        if found.low is None or found.high is None:
            return found
        wider = math.sqrt(variance_factor(self.judging, self.repeats))
        low, high = (found.value + wider * (end - found.value) for end in (found.low, found.high))
        return Estimate(found.value, max(0.0, low), min(1.0, high))


def variance_factor(judging: Judging, repeats: float) -> float:
    """Return by what the variance of a mean over folds exceeds that of as many independent texts.

    Trainings of cross-validation share texts, so that their scores are correlated (Nadeau & Bengio 2003): in R repeats of k
    folds the variance is 1/R + k/(k-1) times as large. A test has the factor 1.
    """
    if judging.by == "test":
        return 1.0
    folds = max(2, judging.folds)
    return 1 / max(repeats, 1e-9) + folds / (folds - 1)


def paired(first: Scored, second: Scored) -> Estimate | None:
    """Return the accuracy of `second` minus that of `first` on the texts and splits that both have; None where there are none."""
    found = _paired(first, second)
    return None if found is None else found.estimate()


def paired_texts(first: Floats, second: Floats, judging: Judging, *, repeats: float) -> Estimate | None:
    """Return the mean difference (second - first) of the hits of judged rows (J,); NaN where one was not judged."""
    found = _difference(_by_text(first, judging), _by_text(second, judging), variance_factor(judging, repeats))
    return None if found is None else found.estimate()


@dataclasses.dataclass(frozen=True)
class _Difference:
    """Paired difference of two accuracies.

    The interval is Agresti & Min's (2005) for pairs: two texts are added that speak for either, so that it has a width where
    both always agree.
    """

    value: float
    centre: float
    error: float  # standard error

    def estimate(self) -> Estimate:
        low, high = self.centre - Z * self.error, self.centre + Z * self.error
        return Estimate(self.value, max(-1.0, min(self.value, low)), min(1.0, max(self.value, high)))


def _paired(first: Scored, second: Scored) -> _Difference | None:
    factor = variance_factor(first.judging, min(first.repeats, second.repeats))
    return _difference(first.by_text, second.by_text, factor)


def _difference(first: Floats, second: Floats, factor: float) -> _Difference | None:
    apart = second - first
    apart = apart[~np.isnan(apart)]
    if not len(apart):
        return None
    texts = len(apart)
    centre = float(apart.sum()) / (texts + 2)
    spread = (float((apart**2).sum()) + 1) / (texts + 2) - centre**2
    return _Difference(float(apart.mean()), centre, math.sqrt(max(spread, 0.0) * factor / (texts + 2)))


def _by_text(hits: Floats, judging: Judging) -> Floats:
    """Return the hits of each distinct text (G,), its copies' mean; NaN where it was not judged."""
    known, groups = ~np.isnan(hits), len(judging.groups.first)
    owner = judging.groups.owner[known]
    sums, counts = np.bincount(owner, weights=hits[known], minlength=groups), np.bincount(owner, minlength=groups)
    return _shares(np.asarray(sums), counts.astype(np.float64))


def _shares(sums: Floats, counts: Floats) -> Floats:
    """Return sums / counts; NaN where nothing was counted."""
    found = np.full(len(sums), math.nan)
    found[counts > 0] = sums[counts > 0] / counts[counts > 0]
    return found


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
    texts = favourite.judging.texts
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
        found = _paired(reference, one)
        if found is None:
            continue
        if reference.judging.texts >= MIN_TEXTS_TO_COMPARE and found.value >= -min(found.error, MAX_LOSS):
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


def points(difference: Estimate) -> str:
    """Return a difference of accuracies in points with its interval."""
    return f"{difference.told('+.0f', 100)} points"
