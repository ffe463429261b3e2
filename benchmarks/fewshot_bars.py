"""What is promised of the few-label benchmark and how it came, then the scores of each set."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import arms
import numpy as np
from fewshot_arms import AUTO, AUTO_ENCODERS, LR, SETFIT, TFIDF
from fewshot_calibration import calibration_bars
from fewshot_scores import Compared, interval, mean_bar, told, worst_bar
from fewshot_sets import EVERY, Material

OVER_SETFIT = {8: {"at_least": 5.5, "stretch": 7.0}, 64: {"at_least": 2.0, "stretch": 3.0}}  # points, mean of the sets
OVER_ONE_ENCODER = {8: {"at_least": 5.0, "stretch": 8.0}}
WORST, TIME, TIME_STRETCH = -1.0, 0.12, 0.08
BASELINES = (LR, TFIDF)


def bars_of(rows: Sequence[arms.Row], material: Callable[[str], Material]) -> list[arms.Row]:
    """Return what is promised and how it came, then the scores of each set."""
    compared = Compared(rows, material)
    every = sorted({shots for _, shots in compared.runs})
    timing = [row for row in rows if row["timing"] and not row["disturbed"]]
    bars = [bar for shots in every for bar in promised(compared, shots)]
    bars += [bar for shots in every for bar in time_bar(timing, shots)]
    order = sorted(compared.runs, key=lambda where: (list(EVERY).index(where[0]), where[1]))
    return bars + [scores_of(compared, where, rows, SETFIT, AUTO) for where in order]


def promised(compared: Compared, shots: int) -> list[arms.Row]:
    """Return the bars of one number of shots, as far as its runs allow."""
    means = [
        (SETFIT, AUTO, OVER_SETFIT.get(shots, {})), (LR, AUTO, {}), (TFIDF, AUTO, {}),
        (AUTO, AUTO_ENCODERS, OVER_ONE_ENCODER.get(shots, {})),
    ]  # fmt: skip
    bars = [bar for first, second, promise in means for bar in mean_bar(compared, shots, first, second, promise)]
    bars += worst_bar(compared.differences(shots, SETFIT, AUTO), shots, f"{AUTO} less {SETFIT}", WORST)
    ran = [arm for arm in BASELINES if any(compared.shared((name, shots), AUTO, arm) for name in EVERY)]
    better = f"{AUTO} less the better of {' and '.join(ran)}" if len(ran) > 1 else f"{AUTO} less {''.join(ran)}"
    bars += worst_bar(less_the_best(compared, shots, ran), shots, better, 0.0)
    return bars + calibration_bars(compared, shots)


def less_the_best(compared: Compared, shots: int, baselines: Sequence[str]) -> dict[str, np.ndarray]:
    """Return auto less the baseline that does best on a set's test, on the splits that all of them ran."""
    found = {}
    for name in EVERY:
        where = (name, shots)
        seeds = compared.shared(where, AUTO, *baselines)
        if seeds and baselines:
            best = max((compared.draws(where, arm, seeds) for arm in baselines), key=lambda draws: float(draws[0]))
            found[name] = compared.draws(where, AUTO, seeds) - best
    return found


def time_bar(timing: Sequence[arms.Row], shots: int) -> list[arms.Row]:
    """Return the summed training seconds of auto over SetFit's, on the sets where one processor timed both undisturbed."""
    seconds, cpus = (
        {
            arm: {row["set"]: row[what] for row in timing if (row["shots"], row["arm"]) == (shots, arm)}
            for arm in (SETFIT, AUTO)
        }
        for what in ("seconds", "cpu")
    )
    sets = [name for name in EVERY if name in cpus[AUTO] and cpus[AUTO][name] == cpus[SETFIT].get(name)]
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


def scores_of(
    compared: Compared, where: tuple[str, int], rows: Sequence[arms.Row], first: str, second: str
) -> arms.Row:
    """Return the scores of all arms on one set, and how much the second is above the first where both ran."""
    by_arm = compared.runs[where]
    difference = compared.difference(where, first, second)
    found = None if difference is None else interval(difference)
    limits = [row for row in by_arm.get(SETFIT, {}).values() if row.get("limited_to_steps")]
    return {
        "name": f"{where[0]}, {where[1]} shots: {second} less {first}, points",
        "set": where[0], "shots": where[1], "metric": EVERY[where[0]].metric,
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
