"""Choice of the solver: the simplest within one standard error of the best held-out loss."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from nlptl.finetuning.linear.fitted import FittedHead, within_one_error
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.lda import fit_lda
from nlptl.finetuning.linear.linear_head import LinearHead
from nlptl.finetuning.linear.logistic import fit_logistic
from nlptl.finetuning.linear.ridge import fit_ridge

Solver: TypeAlias = Literal["logistic", "lda", "ridge"]
SolverFit: TypeAlias = Callable[[LabelledVectors], FittedHead]
SOLVERS: Mapping[Solver, SolverFit] = {"logistic": fit_logistic, "lda": fit_lda, "ridge": fit_ridge}  # simplest first


@dataclasses.dataclass(frozen=True)
class HeadChoice:
    """Head to use and the fit behind it."""

    head: LinearHead  # calibrated
    fitted: FittedHead
    how: str  # one or two sentences on the choice of the kind and its strength


def choose_head(vectors: LabelledVectors, *, methods: Sequence[Solver] = tuple(SOLVERS)) -> HeadChoice:
    """Take the first of `methods` whose held-out log-loss is within one paired standard error of the best.

    The error is over the held-out examples (Breiman et al. 1984). The first is taken if nothing can be held out.
    """
    candidates = [SOLVERS[method](vectors) for method in methods]
    if candidates[0].loss is None:
        return HeadChoice(candidates[0].calibrated(), candidates[0], candidates[0].how)
    losses = [candidate.losses() for candidate in candidates]
    best = min(losses, key=lambda values: float(values.mean()))
    place = next(place for place, values in enumerate(losses) if within_one_error(values, best))
    how = _told(candidates, place, is_best=losses[place] is best, label_count=vectors.label_count)
    return HeadChoice(candidates[place].calibrated(), candidates[place], how)


def _told(candidates: Sequence[FittedHead], place: int, *, is_best: bool, label_count: int) -> str:
    """Tell the losses of the candidates, and whether that of the chosen one is better than a guess."""
    chosen, loss = candidates[place], candidates[place].loss
    assert loss is not None
    how = chosen.how
    if len(candidates) == 1:
        told = f"{chosen.method}: held-out log-loss {loss:.3f}"
        how = how.replace(f" (held-out log-loss {loss:.3f})", "")  # told once
    else:
        why = "has the smallest held-out log-loss" if is_best else "is within one standard error of the best"
        told = f"{chosen.method} {why} ({', '.join(f'{one.method} {one.loss:.3f}' for one in candidates)})"
    guess = math.log(label_count)
    if loss >= guess:
        told += f", no better than guessing ({guess:.3f})"
    return f"{told}. {how}"
