"""Which kind of head: the simplest one that the held-out examples do not clearly speak against."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from nlptl.errors import DataError
from nlptl.finetuning.linear.fitted import FittedHead, within_one_error
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.lda import fit_lda
from nlptl.finetuning.linear.linear_head import LinearHead, Priors
from nlptl.finetuning.linear.logistic import fit_logistic
from nlptl.finetuning.linear.ridge import fit_ridge

Method: TypeAlias = Literal["logistic", "lda", "ridge"]
FITS: Mapping[str, Callable[[LabelledVectors], FittedHead]] = {
    "logistic": fit_logistic,
    "lda": fit_lda,
    "ridge": fit_ridge,
}
"""Simplest first: in doubt the first wins."""


@dataclasses.dataclass(frozen=True)
class HeadChoice:
    """The head to use, the fit behind it, and all that were compared."""

    head: LinearHead
    """Calibrated, at the priors asked for."""
    fitted: FittedHead
    candidates: tuple[FittedHead, ...]
    """In order of preference."""
    how: str
    """One or two sentences on how the kind and its strength were chosen."""


def choose_head(
    vectors: LabelledVectors, *, methods: Sequence[Method] = ("logistic", "lda", "ridge"), priors: Priors = "observed"
) -> HeadChoice:
    """Fit every kind in `methods` and take the first whose held-out log-loss is within one standard error of the best.

    The standard error is that of the paired differences over the held-out examples (the rule of Breiman et al. 1984,
    paired). `methods` go from the one to prefer to the last resort. Where nothing can be held out, the first is taken.
    DataError for an unknown or empty list.
    """
    unknown = [method for method in methods if method not in FITS]
    if unknown or not methods:
        raise DataError(
            f"methods: found {', '.join(unknown) or 'none'}; expected some of {', '.join(FITS)}. Correct the list."
        )
    candidates = tuple(FITS[method](vectors) for method in methods)
    if candidates[0].loss is None:
        chosen, how = candidates[0], candidates[0].how
    else:
        chosen, how = _within_one_error(candidates)
    return HeadChoice(chosen.calibrated(priors=priors), chosen, candidates, how)


def _within_one_error(candidates: Sequence[FittedHead]) -> tuple[FittedHead, str]:
    losses = [candidate.losses() for candidate in candidates]
    best = min(losses, key=lambda values: float(values.mean()))
    place = next(place for place, values in enumerate(losses) if within_one_error(values, best))
    told = ", ".join(f"{candidate.method} {candidate.loss:.3f}" for candidate in candidates)
    why = "has the smallest held-out log-loss" if losses[place] is best else "is within one standard error of the best"
    return candidates[place], f"{candidates[place].method} {why} ({told}). {candidates[place].how}"
