"""Verdict on a comparison in plain sentences, which say no more than its intervals do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nlptl.evaluation.intervals import MIN_TEXTS, Estimate
from nlptl.runs.studies.comparison import ArmFacts, ArmPair, TestResult

MAX_NAMED = 4  # arms that a sentence names
FEW_SEEDS = 3  # below which the seeds may have decided
SAME_TIME = 1.5  # times as long, below which no sentence tells times apart
BASELINES = ("most_frequent", "names", "words")


def verdict(result: TestResult, facts: Sequence[ArmFacts]) -> list[str]:
    """Return what a comparison shows of its arms, the best first, and what it does not show."""
    return list(_Verdict(result, facts).sentences())


class _Verdict:
    """Arms by their accuracy, and how each differs from the best one."""

    def __init__(self, result: TestResult, facts: Sequence[ArmFacts]) -> None:
        self._result, self._facts = result, {one.name: one for one in facts}
        accuracy = dict(zip((one.name for one in facts), result.accuracies, strict=True))
        self._order = sorted(accuracy, key=lambda name: (-accuracy[name].value, self._seconds(name)))
        self._accuracy = accuracy
        self._best = self._order[0]

    def sentences(self) -> Iterator[str]:
        """Yield the verdict sentence by sentence."""
        found = self._result
        if found.texts < MIN_TEXTS:
            yield (
                f"{found.texts} texts are too few for an interval, so nothing is shown. Label more, or give a larger test."
            )
            return
        better = {name: self._behind(name) for name in self._order[1:]}
        worse = [name for name, apart in better.items() if apart.high is not None and apart.high < 0]
        alike = [name for name in better if name not in worse]
        yield self._of_the_best(worse, alike)
        if worse:
            yield self._beaten(worse, better)
        if alike:
            yield self._not_told_apart(alike)
        yield from self._bars(worse)
        yield self._limits()

    def _of_the_best(self, worse: Sequence[str], alike: Sequence[str]) -> str:
        """Return which arm is right most often."""
        accuracy = self._accuracy[self._best]
        share = f"in {_percent(accuracy)} of {self._result.texts:,} texts"
        ties = [name for name in alike if abs(self._accuracy[name].value - accuracy.value) < 1e-12]
        if ties:
            return f"{_listed([self._best, *ties])} are right most often, and equally so: {share}."
        return f"{_capital(self._best)} is right most often: {share}."

    def _beaten(self, worse: Sequence[str], apart: dict[str, Estimate]) -> str:
        """Return which arms the best one is better than, the nearest ones with the difference."""
        named = [f"{name} by {_points(apart[name])}" for name in worse[:2]]
        more = len(worse) - len(named)
        rest = f" and {more} other{'s' * (more != 1)}" if more else ""
        told = " and ".join(named) if not more else ", ".join(named)
        every = "" if len(worse) < len(apart) else " each other one:"
        return f"It is better than{every} {told} points{rest}."

    def _not_told_apart(self, alike: Sequence[str]) -> str:
        """Return which arms are not distinguishable from the best one, and what they take."""
        most = alike[:MAX_NAMED]
        rest = [f"{len(alike) - len(most)} others"] if len(alike) > len(most) else []
        names = _listed([*most, *rest])
        told = f"{_capital(names)} {'are' if len(alike) > 1 else 'is'} not distinguishable from {self._best}"
        quickest = min([self._best, *alike], key=self._seconds)
        if quickest == self._best:
            slowest = max(alike, key=self._seconds)
            ratio = self._times(slowest, self._best)
            subject = "" if len(alike) == 1 else f"{slowest} "
            return f"{told}{f' and {subject}takes {ratio} × the time' if ratio else ''}."
        ratio = self._times(self._best, quickest)
        if not ratio:
            return f"{told}."
        return f"{told}; {quickest} is the quickest of them, {self._best} takes {ratio} × its time."

    def _bars(self, worse: Sequence[str]) -> Iterator[str]:
        """Yield the baselines that nothing is shown to beat."""
        for name in self._order:
            regime = self._facts[name].regime
            if regime in BASELINES and name not in worse and name != self._best:
                yield f"So it is not shown to be better than the baseline {name}."
                return
            if regime in BASELINES and name == self._best:
                yield "No other arm is shown to be better than this baseline."
                return

    def _limits(self) -> str:
        """Return what the comparison does not speak of."""
        seeds = self._result.seeds
        few = f"; {seeds} seed{'s' * (seeds != 1)} say little about chance in training" if seeds < FEW_SEEDS else ""
        return f"Intervals hold for all pairs together (95 %); they speak of these labels and texts alone{few}."

    def _behind(self, name: str) -> Estimate:
        """Return the accuracy of an arm minus that of the best one."""
        for pair in self._result.pairs:
            if {pair.first, pair.second} == {name, self._best}:
                return _turned(pair) if pair.second == self._best else pair.accuracy
        raise AssertionError(name)

    def _seconds(self, name: str) -> float:
        cost = self._facts[name].cost
        return 0.0 if cost is None else cost.seconds

    def _times(self, slow: str, quick: str) -> str:
        """Return how many times as long an arm takes; empty where that is about the same, or not known."""
        least = max(self._seconds(quick), 0.05)
        ratio = self._seconds(slow) / least
        return f"{ratio:,.0f}" if ratio >= 3 else f"{ratio:.1f}" if ratio >= SAME_TIME else ""


def _turned(pair: ArmPair) -> Estimate:
    found = pair.accuracy
    if found.low is None or found.high is None:
        return Estimate(-found.value, None, None)
    return Estimate(-found.value, -found.high, -found.low)


def _percent(found: Estimate) -> str:
    return f"{100 * found.value:.1f} % [{100 * (found.low or 0):.1f}, {100 * (found.high or 0):.1f}]"


def _points(behind: Estimate) -> str:
    """Return by how many points the best arm is ahead."""
    assert behind.low is not None
    assert behind.high is not None
    return f"{-100 * behind.value:.1f} [{-100 * behind.high:.1f}, {-100 * behind.low:.1f}]"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
