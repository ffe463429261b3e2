"""Verdict on a comparison in plain sentences, which say no more than its intervals do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlptl.evaluation.intervals import MIN_TEXTS, Estimate
from nlptl.runs.studies.comparison.comparison import ArmFacts, TestResult
from nlptl.runs.studies.comparison.regimes import AS_WRITTEN, BASELINES, TITLES

MAX_ALIKE, MAX_WORSE = 4, 2  # arms that a sentence names
SAME_TIME = 1.5  # times as long, below which no sentence tells times apart
MIN_SECONDS = 0.05  # of a training, below which times are not compared
FEW_SEEDS = 3  # below which chance in training is hardly covered
EQUAL = 1e-12


def verdict(result: TestResult, facts: Sequence[ArmFacts]) -> list[str]:
    """Return what a comparison shows of its arms, the best first, and what it does not show."""
    return list(_Verdict(result, facts).sentences())


class _Verdict:
    """Arms by their accuracy, and how each differs from the best one."""

    def __init__(self, result: TestResult, facts: Sequence[ArmFacts]) -> None:
        self._result, self._facts = result, {one.name: one for one in facts}
        self._accuracy = dict(zip(self._facts, result.accuracies, strict=True))
        order = sorted(self._facts, key=lambda name: (-self._accuracy[name].value, self._seconds(name)))
        self._best, self._others = order[0], order[1:]
        self._ahead = {name: self._ahead_of(name) for name in self._others}
        self._worse = [name for name in self._others if (self._ahead[name].low or 0.0) > 0]
        self._alike = [name for name in self._others if name not in self._worse]

    def sentences(self) -> Iterator[str]:
        """Yield the verdict sentence by sentence."""
        texts = self._result.texts
        if texts < MIN_TEXTS:
            found = "1 text is" if texts == 1 else f"{texts} texts are"
            yield f"{found} too few for an interval, so no difference is shown. Judge on {MIN_TEXTS} texts or more."
            return
        yield self._of_the_best()
        if self._worse:
            yield self._of_the_worse()
        if self._alike:
            yield self._of_those_alike()
            yield from self._of_the_start()
        yield from self._of_the_baselines()
        yield self._limits()

    def _of_the_best(self) -> str:
        accuracy = self._accuracy[self._best]
        share = f"in {_percent(accuracy)} of {self._result.texts:,} texts"
        ties = [name for name in self._alike if abs(self._accuracy[name].value - accuracy.value) < EQUAL]
        if ties:
            return f"{_capital(_listed([self._best, *ties]))} are right equally often: {share}."
        return f"{_capital(self._best)} is right most often: {share}."

    def _of_the_worse(self) -> str:
        """Say which arms the best one is better than: the pipeline as it is written, then the nearest ones, with differences."""
        if not self._alike:
            nearest = self._worse[0]
            apart = _points(self._ahead[nearest])
            if len(self._worse) == 1:
                return f"It is better than {nearest} by {apart} points."
            return f"It is better than every other arm; the nearest, {nearest}, is {apart} points behind."
        own = [name for name in self._worse if self._facts[name].is_own]
        named = [*own, *(name for name in self._worse if name not in own)][:MAX_WORSE]
        told = ", ".join(f"{name} by {_points(self._ahead[name])} points" for name in named)
        more = len(self._worse) - len(named)
        rest = f", and than {more} other{'s' * (more != 1)}" if more else ""
        return f"{_capital(self._best)} is better than {told}{rest}."

    def _of_those_alike(self) -> str:
        """Say which arms are not distinguishable from the best one, and what they cost beside it."""
        named = self._alike if len(self._alike) <= MAX_ALIKE + 1 else self._alike[:MAX_ALIKE]
        rest = [f"{len(self._alike) - len(named)} others"] if len(self._alike) > len(named) else []
        one = len(self._alike) == 1
        best = f"training {self._best}" if self._best.startswith("from ") else self._best
        told = f"{_capital(_listed([*named, *rest]))} {'is' if one else 'are'} not distinguishable from {best}"
        if self._holds_start(self._best) or all(map(self._holds_start, self._alike)):
            return f"{told}."
        alike = [name for name in self._alike if not self._holds_start(name)]
        quickest = min([self._best, *alike], key=self._seconds)
        if quickest != self._best and (ratio := self._times(self._best, quickest)):
            which = "" if one else f"{quickest} is the quickest: "
            return f"{told}; {which}{self._best} takes {ratio} × its time."
        slowest = max(alike, key=self._seconds)
        if quickest == self._best and (ratio := self._times(slowest, self._best)):
            return f"{told} and takes {ratio} × the time." if one else f"{told}; {slowest} takes {ratio} × its time."
        return f"{told}."

    def _of_the_start(self) -> Iterator[str]:
        """Say which time is left out of that, since it is no training alone."""
        if first := [name for name in (self._best, *self._alike) if self._holds_start(name)]:
            yield f"The time of {first[0]} holds the start of nlptl, so no other is compared with it."

    def _of_the_baselines(self) -> Iterator[str]:
        """Say where nothing is shown to beat a baseline."""
        if self._facts[self._best].regime in BASELINES:
            yield f"{_capital(self._best)} is a baseline: nothing dearer is shown to pay here."
            return
        bars = [name for name in self._alike if self._facts[name].regime in BASELINES]
        if bars:
            yield f"So nothing is shown to beat the baseline {bars[0]}."

    def _limits(self) -> str:
        seeds = self._result.seeds
        few = ""
        if seeds < FEW_SEEDS:
            told = "once" if seeds == 1 else "twice"
            few = f"; each arm was trained {told}, so chance in training is hardly covered"
        return f"Differences hold for all pairs together (95 %) and speak of these labels and texts alone{few}."

    def _ahead_of(self, name: str) -> Estimate:
        """Return the accuracy of the best arm minus that of another."""
        pair = next(one for one in self._result.pairs if {one.first, one.second} == {name, self._best})
        return pair.accuracy if pair.second == self._best else _turned(pair.accuracy)

    def _seconds(self, name: str) -> float:
        cost = self._facts[name].cost
        return 0.0 if cost is None else cost.seconds

    def _holds_start(self, name: str) -> bool:
        cost = self._facts[name].cost
        return cost is not None and cost.holds_start

    def _times(self, slow: str, quick: str) -> str:
        """Return how many times as long an arm takes; empty where that is about the same, or the other one is not trained."""
        if not self._seconds(quick):
            return ""
        ratio = self._seconds(slow) / max(self._seconds(quick), MIN_SECONDS)
        return f"{ratio:,.0f}" if ratio >= 3 else f"{ratio:.1f}" if ratio >= SAME_TIME else ""


def _turned(found: Estimate) -> Estimate:
    if found.low is None or found.high is None:
        return Estimate(-found.value, None, None)
    return Estimate(-found.value, -found.high, -found.low)


def _percent(found: Estimate) -> str:
    ends = (
        "no interval" if found.low is None or found.high is None else f"{100 * found.low:.1f}, {100 * found.high:.1f}"
    )
    return f"{100 * found.value:.1f} % [{ends}]"


def _points(ahead: Estimate) -> str:
    """Return a difference in points with its interval, which lies above 0."""
    return f"{100 * ahead.value:.1f} [{100 * (ahead.low or 0):.1f}, {100 * (ahead.high or 0):.1f}]"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    """Return the beginning of a sentence. Names of files and runs stay as they are."""
    is_regime = any(text.startswith(title) for title in (*TITLES.values(), AS_WRITTEN))
    return text[:1].upper() + text[1:] if is_regime else text
