"""Logistic head on frozen vectors that also learns from sentences with the labels' names, where these do no harm."""

from __future__ import annotations

import copy

import torch

from nlptl.context import RunContext
from nlptl.finetuning.contrastive.contrastive_fit import frozen_head
from nlptl.finetuning.contrastive.rows import ContrastiveTask
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LabelledVectors, fit_logistic, with_priors, write_head
from nlptl.finetuning.method import Fitted
from nlptl.models.classifier import TextClassifier

MAX_EXAMPLES_WITH_NAMES = 1_000  # above which a few sentences move nothing


def named_head(given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
    """Return the given encoder under a head of examples and, unless held-out examples speak against it, of label names.

    Its probabilities are at the shares of the labels among the examples, or at equal ones where these are skewed.
    """
    vectors = examples.frozen_vectors(given.encoder, progress=context.progress)
    if len(examples) <= MAX_EXAMPLES_WITH_NAMES:
        task = ContrastiveTask(given, examples, examples.sentences(), context)
        named = torch.from_numpy(given.encoder.encode(list(task.sentences.texts)))
        fit, _ = frozen_head(task, torch.cat([vectors, named]), "auto")
    else:
        first, copies = torch.from_numpy(examples.groups.first), torch.from_numpy(examples.groups.copies)
        rows = LabelledVectors.of(vectors[first], examples.label_ids[first], examples.label_count, copies=copies)
        fit = fit_logistic(rows.balanced() if examples.is_skewed else rows)
    skewed = examples.is_skewed
    linear = with_priors(fit.calibrated(), examples.label_shares(balanced=skewed).tolist(), shares=fit.shares)
    head = copy.deepcopy(given.head).cpu()
    head.fit_scale(vectors)
    write_head(linear, head)
    classifier = TextClassifier(given.encoder, head.to(given.device), given.labels).eval()
    return Fitted(classifier, linear.weights.numel() + len(linear.bias), balanced=skewed, met_skew=skewed)
