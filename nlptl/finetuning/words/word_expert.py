"""Linear classifier over n-grams of words and characters, with out-of-fold predictions and a penalty chosen by them.

Few texts are fitted in the span of their rows by ridge regression, many by logistic regression on the sparse rows. Where
both can be done they predict equally well on few labels; the first leaves every text out at no cost. Of 77 labels with 8 texts each
ridge regression got 64.8 % right, logistic regression 67.9 %.
Shapes: n texts, G distinct ones, T terms, R dimensions of the span, K labels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.evaluation.calibration import fit_temperature, log_losses
from nlptl.evaluation.duplicates import DuplicateGroups
from nlptl.evaluation.held_out import folds
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LabelledVectors, fit_ridge
from nlptl.inference.segmenting import cut_texts
from nlptl.models.view_terms import (
    LENGTHS_CUT,
    LENGTHS_UNSPACED,
    Ngrams,
    NgramTerms,
    UnitLengths,
    are_unspaced,
    new_vectorizer,
)
from nlptl.models.views import View
from nlptl.training.compute import one_blas_thread

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from nlptl.inference.segmenter import Segmenter

Floats = NDArray[np.float64]

LENGTHS: UnitLengths = (("words", (1, 2)), ("characters", (3, 5)))
MAX_TERMS = 200_000  # of each unit
MAX_CHARACTERS_IN_PIECES = (
    2_000_000  # of all texts together, above which n-grams of characters cost more than they tell
)
MIN_TEXTS_TO_DROP_RARE = 1_000  # from which a term of one text alone is dropped
MAX_TEXTS_IN_SPAN = 1_500  # distinct ones, whose Gram matrix is decomposed
MIN_VARIANCE_SHARE = 1e-9  # of the largest variance; smaller ones are rounding errors
INVERSE_PENALTIES = (1.0, 10.0)  # scikit-learn's C on sparse rows
FOLDS = 3  # of many texts
MAX_ITERATIONS = 200
UNSEEN_SHARE = 0.01  # odds of a label without a text, relative to those of the rarest one


@dataclasses.dataclass(frozen=True)
class WordExpert:
    """Classifier by words, calibrated on its texts while each was held out."""

    view: View  # (B, K) logits of B texts; their log-softmax are log-probabilities
    out_of_fold_logits: Tensor  # (n, K), float64; 0 for a text that could not be held out
    how: str  # one sentence


def ngram_terms(texts: Sequence[str], segmenter: Segmenter | None = None) -> NgramTerms | None:
    """Return the n-grams of `texts`, their frequencies counted on them; None where there is no word."""
    texts = cut_texts(texts, segmenter)
    enough = sum(map(len, texts)) <= MAX_CHARACTERS_IN_PIECES
    least = 2 if len(texts) >= MIN_TEXTS_TO_DROP_RARE else 1
    parts, spaced = [], LENGTHS if enough else LENGTHS[:1]
    unspaced = LENGTHS_UNSPACED if segmenter is None else LENGTHS_CUT
    for unit, lengths in unspaced if are_unspaced(texts) else spaced:
        counter: Any = new_vectorizer(unit, lengths, min_df=least, max_features=MAX_TERMS)
        try:
            counter.fit(texts)
        except ValueError:  # scikit-learn: "empty vocabulary"
            return None
        found = counter.get_feature_names_out().tolist()
        parts.append(Ngrams(unit, lengths, found, counter.idf_.astype(np.float32)))
    return NgramTerms(tuple(parts), segmenter)


def words_of(
    examples: LabelledExamples, *, seed: int, balanced: bool, most_in_span: int = MAX_TEXTS_IN_SPAN,
    segmenter: Segmenter | None = None,
) -> WordExpert | None:  # fmt: skip
    """Return a classifier by the words of the examples; None where there is no word in them."""
    return fit_words(
        examples.texts,
        examples.label_ids,
        examples.label_count,
        groups=examples.groups,
        seed=seed,
        terms=None if segmenter is None else ngram_terms(examples.texts, segmenter),
        balanced=balanced,
        most_in_span=most_in_span,
    )


def fit_words(
    texts: Sequence[str],
    label_ids: Tensor,
    label_count: int,
    *,
    groups: DuplicateGroups,
    seed: int,
    terms: NgramTerms | None = None,
    balanced: bool = False,
    most_in_span: int = MAX_TEXTS_IN_SPAN,
) -> WordExpert | None:
    """Return a classifier by words of `texts` with `label_ids` (n,); None where there is no word in them.

    Copies (`groups`) are held out together. Up to `most_in_span` distinct texts are left out singly, more in folds.
    Logits are divided by the temperature of the out-of-fold ones. `terms` are those of `texts` unless given.
    Under `balanced` each label weighs the same.
    """
    terms = terms or ngram_terms(texts)
    if terms is None:
        return None
    rows = terms.weights(texts)
    fit = _in_span if len(groups.first) <= most_in_span else _on_sparse_rows
    table, bias, logits, how = fit(rows, label_ids, label_count, groups, seed, balanced)
    view = View(terms, torch.from_numpy(np.ascontiguousarray(table, np.float32)), -torch.from_numpy(bias).float())
    return WordExpert(view, logits, f"{_told(terms)}, {rows.shape[1]:,} n-grams in all. {how}")


def _told(terms: NgramTerms) -> str:
    return "Words and pairs of words" if terms.parts[0].unit == "words" else "Runs of 1 to 3 characters"


def _in_span(
    rows: csr_matrix, label_ids: Tensor, label_count: int, groups: DuplicateGroups, seed: int, balanced: bool
) -> tuple[Floats, Floats, Tensor, str]:
    """Fit in coordinates (G, R) with the products of the distinct rows, which loses nothing (representer theorem)."""
    del seed  # leaving each text out draws nothing
    distinct = rows[groups.first].astype(np.float64)
    variances, axes = np.linalg.eigh((distinct @ distinct.T).toarray())
    kept = variances > MIN_VARIANCE_SHARE * variances[-1]
    axes, lengths = axes[:, kept], np.sqrt(variances[kept])
    vectors, copies = torch.from_numpy(axes * lengths), torch.from_numpy(groups.copies)
    labelled = LabelledVectors.of(vectors, label_ids[groups.first], label_count, copies=copies)
    fit = fit_ridge(labelled.balanced() if balanced else labelled)
    head = fit.calibrated()
    table = distinct.T @ ((axes / lengths) @ head.weights.numpy().T)
    logits = (fit.out_of_fold_logits / fit.temperature).nan_to_num(0.0)
    return table, head.bias.numpy(), logits[torch.from_numpy(groups.owner)], fit.how


def _on_sparse_rows(
    rows: csr_matrix, label_ids: Tensor, label_count: int, groups: DuplicateGroups, seed: int, balanced: bool
) -> tuple[Floats, Floats, Tensor, str]:
    """Fit scikit-learn's logistic regression; stratified folds choose C and the temperature."""
    labels = label_ids.numpy()
    splits = folds(labels, groups, parts=FOLDS, seed=seed)
    found = []
    for strength in INVERSE_PENALTIES if splits else INVERSE_PENALTIES[:1]:
        logits = torch.zeros(len(labels), label_count, dtype=torch.float64)
        for one in splits:
            table, bias = _logistic(rows[one.training], labels[one.training], label_count, strength, balanced)
            logits[one.held_out] = torch.from_numpy(rows[one.held_out] @ table + bias)
        temperature = fit_temperature(logits, label_ids)
        loss = float(log_losses(logits / temperature, label_ids).mean())
        found.append((loss, strength, temperature, logits / temperature))
    loss, strength, temperature, logits = min(found, key=lambda each: each[0])
    table, bias = _logistic(rows, labels, label_count, strength, balanced)
    how = f"{len(splits)} folds of {len(labels)} examples chose C = {strength:g} (held-out log-loss {loss:.3f})."
    return table / temperature, bias / temperature, logits, how


def _logistic(
    rows: csr_matrix, labels: NDArray[np.int64], label_count: int, strength: float, balanced: bool
) -> tuple[Floats, Floats]:
    """Return table (T, K) and bias (K,) of one fit."""
    from sklearn.linear_model import LogisticRegression

    solver = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS, class_weight="balanced" if balanced else None)
    with one_blas_thread():
        fit = solver.fit(rows, labels)
    weights, bias = fit.coef_, fit.intercept_
    if len(weights) == 1:  # two labels have one row of weights, for the second of them
        weights, bias = np.concatenate([-weights / 2, weights / 2]), np.concatenate([-bias / 2, bias / 2])
    table = np.zeros((rows.shape[1], label_count))
    every = np.full(label_count, bias.min() + np.log(UNSEEN_SHARE))
    table[:, fit.classes_], every[fit.classes_] = weights.T, bias
    return table, every
