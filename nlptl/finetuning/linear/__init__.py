"""Linear heads on cached sentence vectors: logistic regression, LDA and ridge, with held-out predictions."""

from nlptl.evaluation.calibration import corrected_temperature, fit_temperature, log_losses
from nlptl.finetuning.linear.fitted import FittedHead
from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.lda import fit_lda
from nlptl.finetuning.linear.linear_head import LinearHead, with_priors, with_temperature, write_head
from nlptl.finetuning.linear.logistic import fit_logistic
from nlptl.finetuning.linear.one_vs_rest import OneVsRest, fit_one_vs_rest
from nlptl.finetuning.linear.ridge import fit_ridge
from nlptl.finetuning.linear.solver_choice import HeadChoice, Solver, choose_head

__all__ = [
    "FittedHead", "HeadChoice", "LabelledVectors", "LinearHead", "OneVsRest", "Solver", "choose_head", "corrected_temperature",
    "fit_lda", "fit_logistic", "fit_one_vs_rest", "fit_ridge", "fit_temperature", "log_losses", "with_priors", "with_temperature",
    "write_head",
]  # fmt: skip
