"""Linear classifier over n-grams, with out-of-fold predictions and the penalty chosen by them.

Few texts are fitted in the span of their rows by ridge regression, many by logistic regression on the sparse rows. Where
both can be done they predict equally well; the first leaves every text out at no cost.
Shapes: n texts, G distinct ones, T terms, R dimensions of the span, B texts to predict, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.calibration import fit_temperature, log_losses
from nlptl.evaluation.duplicates import DuplicateGroups
from nlptl.evaluation.held_out import folds
from nlptl.finetuning.linear import LabelledVectors, fit_ridge
from nlptl.finetuning.words.ngrams import Ngrams

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

MAX_TEXTS_IN_SPAN = 1_500  # whose Gram matrix is decomposed
INVERSE_PENALTIES = (1.0, 10.0)  # scikit-learn's C on sparse rows
MIN_VARIANCE_SHARE = 1e-9  # of the largest variance; smaller ones are rounding errors
FOLDS = 3  # of many texts
MAX_ITERATIONS = 200


@dataclasses.dataclass(frozen=True)
class WordExpert:
    """logits = term weights @ table + bias, calibrated on the texts while each was held out."""

    terms: Ngrams
    table: Tensor  # (T, K), float32
    bias: Tensor  # (K,), float32
    out_of_fold_logits: Tensor  # (n, K), float64; 0 for a text that cannot be held out
    how: str  # one sentence

    def logits(self, texts: Sequence[str]) -> Tensor:
        """Return calibrated logits (B, K), float32, of B texts; their log-softmax are log-probabilities."""
        return torch.from_numpy(self.terms.rows(texts) @ self.table.numpy()).float() + self.bias


def fit_words(
    texts: Sequence[str],
    label_ids: Tensor,
    label_count: int,
    *,
    groups: DuplicateGroups,
    seed: int,
    terms: Ngrams | None = None,
) -> WordExpert | None:
    """Return a classifier by words of `texts` with `label_ids` (n,); None where there is no word in them.

    Copies (`groups`) are held out together. Up to `MAX_TEXTS_IN_SPAN` distinct texts are left out singly, more in folds.
    Logits are divided by the temperature of the out-of-fold ones. `terms` are those of `texts` unless given.
    """
    terms = terms or Ngrams.of(texts)
    if terms is None:
        return None
    rows = terms.rows(texts)
    if len(groups.first) <= MAX_TEXTS_IN_SPAN:
        return _in_span(terms, rows, label_ids, label_count, groups)
    return _on_sparse_rows(terms, rows, label_ids, label_count, groups, seed)


def _in_span(
    terms: Ngrams, rows: csr_matrix, label_ids: Tensor, label_count: int, groups: DuplicateGroups
) -> WordExpert:
    """Fit in coordinates (G, R) with the products of the distinct rows, which loses nothing (representer theorem)."""
    distinct = rows[groups.first]
    variances, axes = np.linalg.eigh((distinct @ distinct.T).toarray())
    kept = variances > MIN_VARIANCE_SHARE * variances[-1]
    axes, lengths = axes[:, kept], np.sqrt(variances[kept])
    vectors = LabelledVectors.of(
        torch.from_numpy(axes * lengths),
        label_ids[groups.first],
        label_count,
        copies=torch.from_numpy(groups.copies),
    )
    fit = fit_ridge(vectors)
    head = fit.calibrated()
    table = distinct.T @ ((axes / lengths) @ head.weights.numpy().T)
    held_out = (fit.out_of_fold_logits / fit.temperature).nan_to_num(0.0)
    return WordExpert(
        terms,
        torch.from_numpy(np.ascontiguousarray(table)).float(),
        head.bias.float(),
        held_out[torch.from_numpy(groups.owner)],
        f"Words ({rows.shape[1]:,} n-grams): {fit.how}",
    )


def _on_sparse_rows(
    terms: Ngrams, rows: csr_matrix, label_ids: Tensor, label_count: int, groups: DuplicateGroups, seed: int
) -> WordExpert:
    """Fit scikit-learn's logistic regression; stratified folds choose C."""
    labels = label_ids.numpy()
    splits = folds(labels, groups, parts=FOLDS, seed=seed)
    found = []
    for strength in INVERSE_PENALTIES if splits else INVERSE_PENALTIES[:1]:
        logits = torch.zeros(len(labels), label_count, dtype=torch.float64)
        for one in splits:
            table, bias = _logistic(rows[one.training], labels[one.training], label_count, strength)
            logits[one.held_out] = torch.from_numpy(rows[one.held_out] @ table + bias)
        temperature = fit_temperature(logits, label_ids)
        loss = float(log_losses(logits / temperature, label_ids).mean())
        found.append((loss, strength, temperature, logits / temperature))
    loss, strength, temperature, logits = min(found, key=lambda each: each[0])
    table, bias = _logistic(rows, labels, label_count, strength)
    how = f"{len(splits)} folds of {len(labels)} examples chose C = {strength:g} (held-out log-loss {loss:.3f})."
    return WordExpert(
        terms,
        torch.from_numpy(table / temperature).float(),
        torch.from_numpy(bias / temperature).float(),
        logits,
        f"Words ({rows.shape[1]:,} n-grams): {how}",
    )


def _logistic(rows: csr_matrix, labels: np.ndarray, label_count: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Return table (T, K) and bias (K,) of one fit; a label without a row gets the bias of a hundredth of one."""
    from sklearn.linear_model import LogisticRegression

    fit = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS).fit(rows, labels)
    weights, bias = fit.coef_, fit.intercept_
    if len(weights) == 1:  # two labels have one row of weights, for the second label
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    table = np.zeros((rows.shape[1], label_count))
    every = np.full(label_count, bias.min() - np.log(100.0))
    table[:, fit.classes_], every[fit.classes_] = weights.T, bias
    return table, every
