"""The scores of the few-label benchmark, their intervals, and what is promised of them.

Differences are paired: two arms are compared on the splits that both ran, over the same draws of splits and test texts.
Shapes: S splits, I test texts, R resamples.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import arms
import numpy as np
from fewshot_arms import AUTO, AUTO_PILE, LR, SETFIT
from fewshot_sets import ACCURACY, FAVOR_AGAINST, MACRO_RECALL, SETS, Material

from nlptl.evaluation.intervals import Interval, percentile_interval

RESAMPLES = 1000
OVER_SETFIT = {8: {"at_least": 4.0, "stretch": 6.0}, 64: {"at_least": 1.0}}  # points, mean over the sets
WORST, TIME, TIME_STRETCH = -1.0, 0.2, 0.1
PILE_NAME, PILE_SHOTS, PILE_POINTS = "imdb", 10, 5.0
CHANCE, ONE_LABEL = 0.55, 0.9  # of a collapse
Runs = dict[tuple[str, int], dict[str, dict[int, arms.Row]]]
"""By set and shots, by arm, by seed of the split."""


def score(truth: np.ndarray, predicted: Sequence[int], metric: str, names: Sequence[str]) -> float:
    """Return the metric of predictions (I,) as a share."""
    return float(weighted(np.ones((1, len(truth))), truth, np.array(predicted), metric, names)[0])


def weighted(
    weights: np.ndarray, truth: np.ndarray, predicted: np.ndarray, metric: str, names: Sequence[str]
) -> np.ndarray:
    """Return the metric (R,) of predictions (I,) for each weighting of the texts (R, I)."""
    if metric == ACCURACY:
        return np.asarray(weights @ (truth == predicted) / weights.sum(axis=1))
    wanted = [number for number, name in enumerate(names) if metric != FAVOR_AGAINST or name in ("favor", "against")]
    true, guessed = truth[:, None] == wanted, predicted[:, None] == wanted
    right, all_true, all_guessed = (weights @ part.astype(float) for part in (true & guessed, true, guessed))
    if metric == MACRO_RECALL:
        return np.asarray((right / np.maximum(all_true, 1)).mean(axis=1))
    return np.asarray((2 * right / np.maximum(all_true + all_guessed, 1)).mean(axis=1))


def draws_of(truth: np.ndarray, predicted: np.ndarray, metric: str, names: Sequence[str], *, seed: int) -> np.ndarray:
    """Return the mean over splits of the metric of (S, I), then its resamples: (1 + R,).

    Splits and texts are drawn independently, the texts jointly for all splits (Owen 2007), and alike for all arms with
    as many splits, so that differences are paired.
    """
    generator = np.random.default_rng(seed)
    splits, items = predicted.shape
    uses = [counted(generator, items) for _ in range(RESAMPLES)]
    weights = np.vstack([np.ones(items), uses])
    shares = np.vstack([np.ones(splits), [counted(generator, splits) for _ in range(RESAMPLES)]]) / splits
    scores = np.stack([weighted(weights, truth, guesses, metric, names) for guesses in predicted], axis=1)
    return np.asarray((scores * shares).sum(axis=1))


def counted(generator: np.random.Generator, size: int) -> np.ndarray:
    return np.bincount(generator.integers(0, size, size), minlength=size)


def mean_over_sets(draws: Sequence[np.ndarray]) -> Interval:
    """Return the mean of the sets with equal weights; sets are resampled first, then splits and texts within each."""
    generator = np.random.default_rng(0)
    stacked = np.stack(draws)
    sets = generator.integers(0, len(stacked), (RESAMPLES, len(stacked)))
    within = generator.integers(1, stacked.shape[1], sets.shape)
    return percentile_interval(float(stacked[:, 0].mean()), stacked[sets, within].mean(axis=1))


class Compared:
    """Kept runs by set, shots and arm, with their draws."""

    def __init__(self, rows: Sequence[arms.Row], material: Callable[[str], Material]) -> None:
        self._material = material
        self.runs: Runs = {}
        for row in rows:
            if not row["timing"]:
                by_arm = self.runs.setdefault((row["set"], row["shots"]), {})
                by_arm.setdefault(row["arm"], {})[row["seed"]] = row

    def shared(self, where: tuple[str, int], *wanted: str) -> list[int]:
        """Return the seeds that all of these arms ran."""
        by_arm = self.runs.get(where, {})
        return sorted(set.intersection(*(set(by_arm.get(arm, {})) for arm in wanted)))

    def draws(self, where: tuple[str, int], arm: str, seeds: Sequence[int]) -> np.ndarray:
        """Return the arm's score on these splits and its resamples, in points."""
        made, metric = self._material(where[0]), SETS[where[0]].metric
        predicted = np.array([self.runs[where][arm][seed]["predicted"] for seed in seeds])
        return 100 * draws_of(made.truth, predicted, metric, made.names, seed=list(SETS).index(where[0]))

    def difference(self, where: tuple[str, int], first: str, second: str) -> np.ndarray | None:
        """Return how much the second arm is above the first on the splits that both ran, and its resamples."""
        seeds = self.shared(where, first, second)
        if not seeds:
            return None
        return self.draws(where, second, seeds) - self.draws(where, first, seeds)

    def differences(self, shots: int, first: str, second: str) -> dict[str, np.ndarray]:
        found = {name: self.difference((name, shots), first, second) for name in SETS if (name, shots) in self.runs}
        return {name: draws for name, draws in found.items() if draws is not None}

    def truth(self, name: str) -> np.ndarray:
        return self._material(name).truth


def bars_of(rows: Sequence[arms.Row], material: Callable[[str], Material]) -> list[arms.Row]:
    """Return what is promised and how it came, then the scores of each set."""
    compared = Compared(rows, material)
    every = sorted({shots for _, shots in compared.runs if shots != PILE_SHOTS})
    timing = [row for row in rows if row["timing"] and not row["disturbed"]]
    bars = [bar for shots in every for bar in promised(compared, shots)]
    bars += [bar for shots in every for bar in time_bar(timing, shots)]
    bars += pile_bars(compared)
    order = sorted(compared.runs, key=lambda where: (list(SETS).index(where[0]), where[1]))
    return bars + [scores_of(compared, where, rows) for where in order]


def promised(compared: Compared, shots: int) -> list[arms.Row]:
    """Return the bars of one number of shots, as far as its runs allow."""
    bars = []
    for first, second, promise in (
        (SETFIT, AUTO, OVER_SETFIT.get(shots, {})), (LR, AUTO, {}), (AUTO, AUTO_PILE, {}),
    ):  # fmt: skip
        found = compared.differences(shots, first, second)
        if found:
            splits = [len(compared.shared((name, shots), first, second)) for name in found]
            mean = mean_over_sets(list(found.values()))
            bars.append({
                "name": f"{shots} shots, mean of {len(found)} sets: {second} less {first}, points",
                "value": round(mean.value, 2), **promise, "range": told(mean), "splits": [min(splits), max(splits)],
            })  # fmt: skip
    for first, lowest in ((SETFIT, WORST), (LR, 0.0)):
        ends = {name: interval(draws) for name, draws in compared.differences(shots, first, AUTO).items()}
        if ends:
            worst = min(ends, key=lambda name: ends[name].high)
            bars.append({
                "name": f"{shots} shots, worst of {len(ends)} sets: upper end of {AUTO} less {first}, points",
                "value": round(ends[worst].high, 2), "at_least": lowest, "range": f"{worst} {told(ends[worst])}",
            })  # fmt: skip
    return bars


def time_bar(timing: Sequence[arms.Row], shots: int) -> list[arms.Row]:
    """Return the summed training seconds of auto over SetFit's, on the sets where both were timed undisturbed."""
    seconds = {
        arm: {row["set"]: row["seconds"] for row in timing if (row["shots"], row["arm"]) == (shots, arm)}
        for arm in (SETFIT, AUTO)
    }
    sets = [name for name in SETS if all(name in found for found in seconds.values())]
    if not sets:
        return []
    ours, theirs = (sum(seconds[arm][name] for name in sets) for arm in (AUTO, SETFIT))
    ratios = [seconds[AUTO][name] / seconds[SETFIT][name] for name in sets]
    return [{
        "name": f"{shots} shots, {len(sets)} sets: summed training time of {AUTO} over {SETFIT}'s",
        "value": round(ours / theirs, 3), "at_most": TIME, "stretch": TIME_STRETCH,
        "range": [round(min(ratios), 3), round(max(ratios), 3)],
        "seconds": {AUTO: round(ours, 1), SETFIT: round(theirs, 1)},
        "limited": sorted(row["set"] for row in timing if row["shots"] == shots and row.get("limited_to_steps")),
    }]  # fmt: skip


def pile_bars(compared: Compared) -> list[arms.Row]:
    """Return what the pile brings with 20 labels of imdb, and how many of its runs collapsed."""
    where = (PILE_NAME, PILE_SHOTS)
    draws = compared.difference(where, AUTO, AUTO_PILE)
    if draws is None:
        return []
    seeds = compared.shared(where, AUTO, AUTO_PILE)
    truth = compared.truth(PILE_NAME)
    collapses = {
        arm: sum(is_collapsed(truth, compared.runs[where][arm][seed]["predicted"]) for seed in seeds)
        for arm in (AUTO, AUTO_PILE)
    }
    name = f"{PILE_NAME}, {2 * PILE_SHOTS} labels, {len(seeds)} splits"
    found = interval(draws)
    return [
        {"name": f"{name}: {AUTO_PILE} less {AUTO}, points", "value": round(found.value, 2), "at_least": PILE_POINTS,
         "range": told(found)},
        {"name": f"{name}: collapses of {AUTO_PILE}", "value": collapses[AUTO_PILE], "at_most": 0,
         "range": f"{AUTO}: {collapses[AUTO]}"},
    ]  # fmt: skip


def is_collapsed(truth: np.ndarray, predicted: Sequence[int]) -> bool:
    """Say whether nearly all test texts got one label, or the labels of imdb are hardly better than chance."""
    commonest = np.bincount(np.array(predicted)).max() / len(truth)
    return bool(commonest > ONE_LABEL or np.mean(truth == np.array(predicted)) <= CHANCE)


def scores_of(compared: Compared, where: tuple[str, int], rows: Sequence[arms.Row]) -> arms.Row:
    """Return the scores of all arms on one set, and auto's difference to SetFit where both ran."""
    by_arm = compared.runs[where]
    difference = compared.difference(where, SETFIT, AUTO)
    found = None if difference is None else interval(difference)
    limits = [row for row in by_arm.get(SETFIT, {}).values() if row.get("limited_to_steps")]
    return {
        "name": f"{where[0]}, {where[1]} shots: {AUTO} less {SETFIT}, points",
        "set": where[0], "shots": where[1], "metric": SETS[where[0]].metric,
        "value": None if found is None else round(found.value, 2), "range": "" if found is None else told(found),
        "arms": {arm: told(interval(compared.draws(where, arm, sorted(by_arm[arm])))) for arm in by_arm},
        "splits": {arm: len(by_arm[arm]) for arm in by_arm},
        "seconds": {arm: seconds_of(arm, where, rows) for arm in by_arm},
        **({"limited": limit_of(limits)} if limits else {}),
    }  # fmt: skip


def seconds_of(arm: str, where: tuple[str, int], rows: Sequence[arms.Row]) -> arms.Row:
    """Return the median training seconds: of the runs for timing where there are, and whether work ran beside."""
    own = [row for row in rows if (row["set"], row["shots"], row["arm"]) == (*where, arm)]
    for chosen in ([row for row in own if row["timing"]], [row for row in own if not row["disturbed"]], own):
        if chosen:
            median = statistics.median(row["seconds"] for row in chosen)
            return {"median": round(median, 2), "disturbed": any(row["disturbed"] for row in chosen)}
    raise ValueError(f"no run of {arm}")


def limit_of(limited: Sequence[arms.Row]) -> arms.Row:
    return {
        "minutes": max(row["setfit_minutes"] for row in limited),
        "steps": sorted({row["limited_to_steps"] for row in limited}),
        "default_steps": max(row["default_steps"] for row in limited),
        "splits": len(limited),
    }


def interval(draws: np.ndarray) -> Interval:
    return percentile_interval(float(draws[0]), draws[1:])


def told(found: Interval) -> str:
    return f"{found.value:z.1f} [{found.low:z.1f}, {found.high:z.1f}]"
