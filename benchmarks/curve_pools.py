"""Pools of 256 labelled rows whose learning curves are extrapolated from 64 on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fewshot_sets import DEV_SEEDS, HELD_OUT, SETS, TEST_SEED, material, not_in
from texts import Rows, distinct_rows, read_rows, sample

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain, chain_of
from nlptl.runs.judging.splits import JudgedSplit
from nlptl.runs.studies.learning_curve.curve_rows import CurveRow, CurveRows
from nlptl.runs.studies.learning_curve.measuring import Measuring
from nlptl.runs.studies.learning_curve.subsets import Subset, Subsets, stratified_order, subsets_of

SEEN, LATER = 64, (128, 256)  # labelled rows in all
TINY_SEEN, TINY_LATER = 36, (48,)
TEST_ROWS = 500
HEAD = [{"stage": "classification_head"}]
REPRESENTATIONS = {
    "MiniLM": [
        {"stage": "bert", "weights": "minilm"}, *HEAD, {"stage": "finetune", "update": {"method": "head", "solver": "auto"}},
    ],
    "words": [{"stage": "ngrams"}, *HEAD, {"stage": "finetune", "update": {"method": "head", "solver": "auto"}}],
}  # fmt: skip
JAPANESE = "chabsa_ja"  # which MiniLM does not know
NAMES = ("emotion", "offensive", "sentiment", "stance", "hahackathon", "cr", "trec", "ag_news", JAPANESE)


@dataclass(frozen=True)
class Pools:
    """Pools of one set, and the test on which all are judged."""

    data: TextData  # whose labelled rows are those of all pools
    union: Rows
    pools: dict[int, np.ndarray]  # by seed, places of its rows in the union; those that are seen come first
    seen: int
    later: tuple[int, ...]


@dataclass(frozen=True)
class PoolCurve:
    """Fits of one pool."""

    seed: int
    plan: Subsets
    seen: list[CurveRow]
    later: list[CurveRow]  # one for each later size


def pools_of(folder: Path, name: str, seeds: Sequence[int], *, dev: bool, tiny: bool = False) -> Pools:
    """Draw the pools of a set, with the labels' shares; with `dev` training rows stand in for the test."""
    train, test = _parts(folder, name, dev=dev, tiny=tiny)
    seen, later = (TINY_SEEN, TINY_LATER) if tiny else (SEEN, LATER)
    drawn = {seed: _pool(train.labels(), seed, later[-1]) for seed in seeds}
    places = np.unique(np.concatenate(list(drawn.values())))
    union = train.select(places.tolist())
    known = set(union.labels())
    test = test.select([row for row, label in enumerate(test.labels()) if label in known])
    data = TextData(labelled=(union.texts(), union.labels()), test=(test.texts(), test.labels()))
    return Pools(data, union, {seed: np.searchsorted(places, rows) for seed, rows in drawn.items()}, seen, later)


def measured(pools: Pools, representation: str, *, kept: Path, alone: bool) -> Iterator[PoolCurve]:
    """Fit all curves of a set; encoders and vectors are shared, and each fit is kept.

    Subsets are drawn from all rows of a pool, or where its first rows stand `alone`, from these.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    chain = JudgedChain(representation, representation, tuple(chain_of(REPRESENTATIONS[representation]).stages))
    plans = {seed: (_alone if alone else _whole)(pools, seed) for seed in pools.pools}
    first = next(iter(plans.values()))
    judging = replace(first.judging, splits=tuple(split for plan in plans.values() for split in plan.judging.splits))
    every = replace(first, judging=judging, fits=tuple(one for plan in plans.values() for one in plan.fits))
    context = RunContext(device="cpu")
    fits = Fits(pools.data, judging, None, context)
    rows = iter(Measuring(every, CurveRows(kept), context.progress).measured(chain, fits, seconds=float("inf")))
    for seed, plan in plans.items():
        mine = [next(rows) for _ in plan.fits]
        seen = [row for row in mine if row.size <= pools.seen]
        yield PoolCurve(seed, plan, seen, [row for row in mine if row.size > pools.seen])


def _parts(folder: Path, name: str, *, dev: bool, tiny: bool) -> tuple[Rows, Rows]:
    """Return the distinct training rows of a set without those of its test, and the test."""
    if name in SETS:
        made = material(folder, name, dev=dev, tiny=tiny)
        return distinct_rows(made.train), made.test
    train, test = read_rows(folder, name, "train"), read_rows(folder, name, "test")
    without = not_in(train, test)
    if not dev:
        return distinct_rows(without), sample(test, TEST_ROWS, seed=TEST_SEED)
    held_out = sample(without, HELD_OUT, seed=DEV_SEEDS[0])
    return distinct_rows(not_in(without, held_out)), held_out


def _pool(labels: Sequence[str], seed: int, count: int) -> np.ndarray:
    """Draw rows whose every beginning has the labels' shares."""
    chosen = stratified_order(labels, np.random.default_rng([seed, 1]))[:count]
    return chosen[stratified_order([labels[row] for row in chosen], np.random.default_rng([seed, 2]))]


def _whole(pools: Pools, seed: int) -> Subsets:
    """Return the subsets of a pool that are seen, and all of its rows, which are not."""
    plan, splits = _subsets(pools, pools.pools[seed], seed)
    kept = [place for place, one in enumerate(plan.fits) if one.size <= pools.seen or one.size == pools.later[-1]]
    kept.sort(key=lambda place: plan.fits[place].size > pools.seen)
    return replace(
        plan, judging=replace(plan.judging, splits=tuple(splits[place] for place in kept)),
        fits=tuple(plan.fits[place] for place in kept), labels=pools.data.label_set.names,
    )  # fmt: skip


def _alone(pools: Pools, seed: int) -> Subsets:
    """Return the subsets of a pool's first rows, and a fit for each later size."""
    pool = pools.pools[seed]
    plan, splits = _subsets(pools, pool[: pools.seen], seed)
    later = [JudgedSplit(0, pool[:size], plan.judging.splits[0].judged) for size in pools.later]
    return replace(
        plan, judging=replace(plan.judging, splits=(*splits, *later)), labels=pools.data.label_set.names,
        fits=(*plan.fits, *(Subset(size, 0) for size in pools.later)),
    )  # fmt: skip


def _subsets(pools: Pools, rows: np.ndarray, seed: int) -> tuple[Subsets, list[JudgedSplit]]:
    """Return the subsets of some rows of the union, and their splits of it."""
    part = pools.union.select(rows.tolist())
    assert pools.data.test is not None
    own = TextData(labelled=(part.texts(), part.labels()), test=(pools.data.test.texts(), pools.data.test.labels()))
    plan = subsets_of(own, seed=seed)
    return plan, [replace(split, training=rows[split.training]) for split in plan.judging.splits]
