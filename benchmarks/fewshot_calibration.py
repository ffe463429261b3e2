"""How far the confidence of the few-label benchmark's arms is from their accuracy.

Expected calibration error (Guo et al. 2017, eq. 3) over 15 bins of equal width, as nlptl's own evaluation has it; it is
biased upwards, of two arms on the same texts alike. Shapes as in fewshot_scores, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence

import arms
import numpy as np
from fewshot_arms import AUTO, LR_CV
from fewshot_scores import Compared, averaged, mean_over_sets, told
from fewshot_sets import EVERY
from fewshot_task import CERTAIN

from nlptl.evaluation.scores import BINS


def calibration_bars(compared: Compared, shots: int) -> list[arms.Row]:
    """Return auto's calibration error less that of a cross-validated logistic head, and both errors."""
    ours, theirs, splits = [], [], []
    for name in EVERY:
        where = (name, shots)
        seeds = confident(compared, where)
        if seeds:
            splits.append(len(seeds))
            ours.append(error_draws(compared, where, AUTO, seeds))
            theirs.append(error_draws(compared, where, LR_CV, seeds))
    if not ours:
        return []
    found = mean_over_sets([first - second for first, second in zip(ours, theirs, strict=True)])
    return [{
        "name": f"{shots} shots, mean of {len(ours)} sets: calibration error of {AUTO} less {LR_CV}, points",
        "value": round(found.value, 2), "at_most": 0.0, "range": told(found), "splits": [min(splits), max(splits)],
        "errors": {AUTO: told(mean_over_sets(ours)), LR_CV: told(mean_over_sets(theirs))},
    }]  # fmt: skip


def confident(compared: Compared, where: tuple[str, int]) -> list[int]:
    """Return the seeds of which both arms tell their confidence."""
    by_arm = compared.runs.get(where, {})
    return [
        seed
        for seed in compared.shared(where, AUTO, LR_CV)
        if all("confidence" in by_arm[arm][seed] for arm in (AUTO, LR_CV))
    ]


def error_draws(compared: Compared, where: tuple[str, int], arm: str, seeds: Sequence[int]) -> np.ndarray:
    """Return the mean calibration error over splits and its resamples (1 + R,), in points."""
    truth, rows = compared.truth(where[0]), [compared.runs[where][arm][seed] for seed in seeds]
    gaps = [gap_by_bin(truth == row["predicted"], confidence_of(row)) for row in rows]

    def errors(weights: np.ndarray) -> np.ndarray:
        return np.stack([np.abs(weights @ gap).sum(axis=1) / weights.sum(axis=1) for gap in gaps], axis=1)

    return 100 * averaged(errors, splits=len(seeds), items=len(truth), seed=list(EVERY).index(where[0]))


def confidence_of(row: arms.Row) -> np.ndarray:
    return np.frombuffer(bytes.fromhex(row["confidence"]), dtype=np.uint8) / CERTAIN


def gap_by_bin(right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Return (I, B): how much each text adds to the gap of its bin; the bins are (0, 1/15], (1/15, 2/15] and so on."""
    bins = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    return np.asarray((right - confidence)[:, None] * (bins[:, None] == np.arange(BINS)))
