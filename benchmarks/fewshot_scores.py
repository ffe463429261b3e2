"""Scores of the few-label benchmarks, and differences of two arms with their intervals.

Differences are paired: two arms are compared on the splits that both ran, over the same draws of splits and test texts.
Shapes: S splits, I test texts, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import arms
import numpy as np
from fewshot_sets import ACCURACY, EVERY, FAVOR_AGAINST, MACRO_RECALL, Material

from nlptl.evaluation.intervals import Interval, percentile_interval

RESAMPLES = 1000
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

    def scores(weights: np.ndarray) -> np.ndarray:
        return np.stack([weighted(weights, truth, guesses, metric, names) for guesses in predicted], axis=1)

    return averaged(scores, splits=len(predicted), items=len(truth), seed=seed)


def averaged(scores: Callable[[np.ndarray], np.ndarray], *, splits: int, items: int, seed: int) -> np.ndarray:
    """Return the mean over splits of the `scores` (R, S) that weights of the texts (R, I) give, then its resamples."""
    generator = np.random.default_rng(seed)
    uses = [counted(generator, items) for _ in range(RESAMPLES)]
    weights = np.vstack([np.ones(items), uses])
    shares = np.vstack([np.ones(splits), [counted(generator, splits) for _ in range(RESAMPLES)]]) / splits
    return np.asarray((scores(weights) * shares).sum(axis=1))


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
        made, metric = self._material(where[0]), EVERY[where[0]].metric
        predicted = np.array([self.runs[where][arm][seed]["predicted"] for seed in seeds])
        return 100 * draws_of(made.truth, predicted, metric, made.names, seed=list(EVERY).index(where[0]))

    def difference(self, where: tuple[str, int], first: str, second: str) -> np.ndarray | None:
        """Return how much the second arm is above the first on the splits that both ran, and its resamples."""
        seeds = self.shared(where, first, second)
        if not seeds:
            return None
        return self.draws(where, second, seeds) - self.draws(where, first, seeds)

    def differences(self, shots: int, first: str, second: str) -> dict[str, np.ndarray]:
        found = {name: self.difference((name, shots), first, second) for name in EVERY if (name, shots) in self.runs}
        return {name: draws for name, draws in found.items() if draws is not None}

    def truth(self, name: str) -> np.ndarray:
        return self._material(name).truth


def mean_bar(compared: Compared, shots: int, first: str, second: str, promise: Mapping[str, float]) -> list[arms.Row]:
    """Return the mean over the sets of how much the second arm is above the first; nothing where no set has both."""
    found = compared.differences(shots, first, second)
    if not found:
        return []
    splits = [len(compared.shared((name, shots), first, second)) for name in found]
    mean = mean_over_sets(list(found.values()))
    return [{
        "name": f"{shots} shots, mean of {len(found)} sets: {second} less {first}, points",
        "value": round(mean.value, 2), **promise, "range": told(mean), "splits": [min(splits), max(splits)],
    }]  # fmt: skip


def worst_bar(differences: Mapping[str, np.ndarray], shots: int, what: str, lowest: float) -> list[arms.Row]:
    """Return the lowest upper end of the sets' intervals, and which set has it."""
    ends = {name: interval(draws) for name, draws in differences.items()}
    if not ends:
        return []
    worst = min(ends, key=lambda name: ends[name].high)
    return [{
        "name": f"{shots} shots, worst of {len(ends)} sets: upper end of {what}, points",
        "value": round(ends[worst].high, 2), "at_least": lowest, "range": f"{worst} {told(ends[worst])}",
    }]  # fmt: skip


def interval(draws: np.ndarray) -> Interval:
    return percentile_interval(float(draws[0]), draws[1:])


def told(found: Interval) -> str:
    return f"{found.value:z.1f} [{found.low:z.1f}, {found.high:z.1f}]"
