"""Linear heads fitted in closed form or convexly on cached sentence vectors, with held-out predictions."""

from __future__ import annotations

from nlptl.closed_form.calibration import corrected_temperature, fit_temperature, log_losses
from nlptl.closed_form.choice import HeadChoice, Method, choose_head
from nlptl.closed_form.fitted import FittedHead
from nlptl.closed_form.labelled_vectors import LabelledVectors
from nlptl.closed_form.lda import fit_lda, ledoit_wolf_shrinkage
from nlptl.closed_form.linear_head import LinearHead, Priors, with_priors, with_temperature, write_head
from nlptl.closed_form.logistic import fit_logistic
from nlptl.closed_form.ridge import fit_ridge

__all__ = [
    "FittedHead",
    "HeadChoice",
    "LabelledVectors",
    "LinearHead",
    "Method",
    "Priors",
    "choose_head",
    "corrected_temperature",
    "fit_lda",
    "fit_logistic",
    "fit_ridge",
    "fit_temperature",
    "ledoit_wolf_shrinkage",
    "log_losses",
    "with_priors",
    "with_temperature",
    "write_head",
]
