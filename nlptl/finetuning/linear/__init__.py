"""Linear heads fitted in closed form or convexly on cached sentence vectors, with held-out predictions."""

from __future__ import annotations

from nlptl.evaluation.calibration import corrected_temperature, fit_temperature, log_losses
from nlptl.finetuning.linear.fitted import FittedHead
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.lda import fit_lda, ledoit_wolf_shrinkage
from nlptl.finetuning.linear.linear_head import LinearHead, Priors, with_priors, with_temperature, write_head
from nlptl.finetuning.linear.logistic import fit_logistic
from nlptl.finetuning.linear.ridge import fit_ridge
from nlptl.finetuning.linear.solver_choice import HeadChoice, Method, choose_head

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
