"""The piles of the pile benchmark: unlabelled texts beside a split's labelled rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from fewshot_arms import AUTO, AUTO_SKEWED
from fewshot_runs import Key
from fewshot_sets import Material, not_in
from texts import Rows, sample

TEXTS, SKEWED_TEXTS = 3_000, 2_000
REVIEWS = {"imdb": 1_000}  # long texts take longer to encode; amazon_mdsd has no more than about 1,500
OWN_FILE_SHOTS = 10  # a label: these runs take the set's unlabelled file
TIMED_TEXTS = {"sentiment": 10_000, "imdb": 75_000}
FREQUENT = 0.9  # share of the frequent label in a skewed pile
PILE_SEED = 0


def pile_for(key: Key, made: Material, labelled: Rows) -> Rows | None:
    """Return the pile of a run, without its labelled rows; None for a run that has none.

    All splits of a set share the pile but for the shots, so that its luck is not told from the set's.
    """
    arm = key.arm.split(" ")[0]
    if not arm.startswith(f"{AUTO}+"):
        return None
    if arm == AUTO_SKEWED:
        rows, most = not_in(made.train, labelled), REVIEWS.get(key.set, SKEWED_TEXTS)
        return unlabelled(skewed(rows, made.names[key.seed % 2], most=most, seed=key.seed))
    if key.timing:
        every = Rows(key.set, made.train.texts() + made.unlabelled.texts())
        return unlabelled(not_in(sample(every, TIMED_TEXTS[key.set], seed=PILE_SEED), labelled))
    rows = made.unlabelled if key.shots == OWN_FILE_SHOTS else made.train
    return unlabelled(not_in(sample(rows, REVIEWS.get(key.set, TEXTS), seed=PILE_SEED), labelled))


def skewed(rows: Rows, frequent: str, *, most: int, seed: int) -> Rows:
    """Return as many rows as there are for it, at most `most`, nine tenths of them of one label."""
    is_frequent = np.array(rows.labels()) == frequent
    count = min(most, is_frequent.sum() / FREQUENT, (~is_frequent).sum() / (1 - FREQUENT))
    generator = np.random.default_rng(seed)
    drawn = [
        generator.permutation(np.flatnonzero(chosen))[: round(share * count)]
        for chosen, share in ((is_frequent, FREQUENT), (~is_frequent, 1 - FREQUENT))
    ]
    return rows.select(np.sort(np.concatenate(drawn)).tolist())


def unlabelled(rows: Rows) -> Rows:
    return replace(rows, given_labels=[])
