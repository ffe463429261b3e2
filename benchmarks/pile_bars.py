"""What is promised of the pile and how it came, then the scores of each set."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import arms
import numpy as np
from fewshot_arms import AUTO, AUTO_OPEN, AUTO_PILE, AUTO_SKEWED, SETFIT
from fewshot_bars import scores_of
from fewshot_scores import Compared, interval, mean_bar, told, worst_bar
from fewshot_sets import EVERY, Material
from pile_sets import OWN_FILE_SHOTS, TIMED_TEXTS

SHOTS, OWN_FILE_SET = 8, "imdb"
MORE = {"at_least": 3.0, "stretch": 5.0}  # points, mean of the sets
OVER_SETFIT = {"at_least": 7.0, "stretch": 9.0}
OWN_FILE_MORE, OWN_FILE_SCORE = {"at_least": 6.0}, {"at_least": 80.0, "stretch": 83.0}
WORST = -1.0
CHANCE, ONE_LABEL = 0.55, 0.9  # of a collapse
HARM = 2.0  # points on the test
SECONDS = {"sentiment": {"at_most": 20.0, "stretch": 10.0}, "imdb": {"at_most": 300.0, "stretch": 120.0}}
KINDS = {"sentiment": "posts", "imdb": "reviews"}


def bars_of(rows: Sequence[arms.Row], peers: Sequence[arms.Row], material: Callable[[str], Material]) -> list[arms.Row]:
    """Return what is promised and how it came, then the scores of each set; `peers` are published runs of other arms."""
    compared = Compared([*rows, *peers], material)
    bars = own_file_bars(compared)
    bars += mean_bar(compared, SHOTS, AUTO, AUTO_PILE, MORE)
    bars += worst_bar(compared.differences(SHOTS, AUTO, AUTO_PILE), SHOTS, f"{AUTO_PILE} less {AUTO}", WORST)
    bars += mean_bar(compared, SHOTS, SETFIT, AUTO_PILE, OVER_SETFIT)
    bars += mean_bar(compared, SHOTS, AUTO, AUTO_SKEWED, {})
    bars += worst_bar(compared.differences(SHOTS, AUTO, AUTO_SKEWED), SHOTS, f"{AUTO_SKEWED} less {AUTO}", WORST)
    bars += gate_bars(compared)
    bars += seconds_bars([row for row in rows if row["timing"] and not row["disturbed"]])
    ours = {(row["set"], row["shots"]) for row in rows if not row["timing"]}
    order = sorted(ours, key=lambda where: (list(EVERY).index(where[0]), where[1]))
    return bars + [scores_of(compared, where, [*rows, *peers], AUTO, AUTO_PILE) for where in order]


def own_file_bars(compared: Compared) -> list[arms.Row]:
    """Return what imdb's own unlabelled file brings with 20 labels, the score with it, and how many runs collapsed."""
    where = (OWN_FILE_SET, OWN_FILE_SHOTS)
    draws = compared.difference(where, AUTO, AUTO_PILE)
    if draws is None:
        return []
    seeds = compared.shared(where, AUTO, AUTO_PILE)
    name = f"{OWN_FILE_SET}, {2 * OWN_FILE_SHOTS} labels, {len(seeds)} splits"
    truth = compared.truth(OWN_FILE_SET)
    collapses = {
        arm: sum(is_collapsed(truth, compared.runs[where][arm][seed]["predicted"]) for seed in seeds)
        for arm in (AUTO, AUTO_PILE)
    }
    gain, reached = interval(draws), interval(compared.draws(where, AUTO_PILE, seeds))
    return [
        {"name": f"{name}: {AUTO_PILE} less {AUTO}, points", "value": round(gain.value, 2), **OWN_FILE_MORE,
         "range": told(gain)},
        {"name": f"{name}: {AUTO_PILE}, accuracy in points", "value": round(reached.value, 2), **OWN_FILE_SCORE,
         "range": told(reached)},
        {"name": f"{name}: collapses of {AUTO_PILE}", "value": collapses[AUTO_PILE], "at_most": 0,
         "range": f"{AUTO}: {collapses[AUTO]}"},
    ]  # fmt: skip


def is_collapsed(truth: np.ndarray, predicted: Sequence[int]) -> bool:
    """Say whether nearly all test texts got one label, or the labels of imdb are hardly better than chance."""
    commonest = np.bincount(np.array(predicted)).max() / len(truth)
    return bool(commonest > ONE_LABEL or np.mean(truth == np.array(predicted)) <= CHANCE)


def gate_bars(compared: Compared) -> list[arms.Row]:
    """Return how often the pile harms although it is taken, and how often it would help although it is not."""
    bars = []
    for arm in (AUTO_PILE, AUTO_SKEWED):
        taken, left = changes(compared, arm, taken=True), changes(compared, arm, taken=False)
        every = len(taken) + len(left)
        if every:
            harmed = sum(change < -HARM for change in taken)
            bars.append({
                "name": f"{arm}: runs in which the pile is taken and costs more than {HARM:g} points, share",
                "value": round(harmed / every, 3), "range": f"{harmed} of {every} runs, {len(taken)} take it",
            })  # fmt: skip
    missed = opened(compared)
    if missed:
        helped = sum(change > HARM for change in missed)
        bars.append({
            "name": f"{AUTO_PILE}: runs in which the pile is left and would bring more than {HARM:g} points, share",
            "value": round(helped / len(missed), 3), "range": f"{helped} of {len(missed)} runs that leave it",
        })  # fmt: skip
    return bars


def changes(compared: Compared, arm: str, *, taken: bool) -> list[float]:
    """Return the points on the test that the arm is above auto, of its runs that took the pile, or left it."""
    return [
        100 * (by_arm[arm][seed]["score"] - by_arm[AUTO][seed]["score"])
        for by_arm, seed in _shared(compared, AUTO, arm)
        if takes_pile(by_arm[arm][seed]) is taken
    ]


def opened(compared: Compared) -> list[float]:
    """Return the points that the pile brings where it is taken in any case, of the runs whose gate leaves it."""
    return [
        100 * (by_arm[AUTO_OPEN][seed]["score"] - by_arm[AUTO][seed]["score"])
        for by_arm, seed in _shared(compared, AUTO, AUTO_PILE, AUTO_OPEN)
        if not takes_pile(by_arm[AUTO_PILE][seed])
    ]


def _shared(compared: Compared, *wanted: str) -> list[tuple[dict[str, dict[int, arms.Row]], int]]:
    return [(by_arm, seed) for where, by_arm in compared.runs.items() for seed in compared.shared(where, *wanted)]


def takes_pile(row: arms.Row) -> bool:
    """Say whether the classifier of a run learnt from the pile."""
    return row.get("report", {}).get("pile", {}).get("used", "nothing") != "nothing"


def seconds_bars(timing: Sequence[arms.Row]) -> list[arms.Row]:
    """Return the seconds that the pile adds to the training, without and of encoding."""
    bars = []
    for name, texts in TIMED_TEXTS.items():
        found = {row["arm"]: row for row in timing if row["set"] == name}
        if {AUTO, AUTO_PILE} <= set(found):
            every, encoding = (found[AUTO_PILE][key] - found[AUTO][key] for key in ("seconds", "encoding_seconds"))
            bars.append({
                "name": f"{texts:,} {KINDS[name]}: seconds that the pile adds, encoding apart",
                "value": round(every - encoding, 1), **SECONDS[name],
                "range": f"encoding {encoding:.1f} s more, {found[AUTO]['seconds']:.1f} s without the pile",
            })  # fmt: skip
    return bars
