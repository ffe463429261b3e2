"""A classifier that the words join: where a comparison says so, where few examples are told by their words, or beside word vectors.

Few examples allow no comparison of methods. There the words and a head over frozen vectors are compared by leaving one example
out of each. Of 40 draws of 8 examples a label, from ten sets, in none the words joined; where a single word was the label (seven
tasks, 28 draws) they joined in six.
Word vectors of a small pile know less than the words themselves. There both are weighed by the same held-out examples: with a
thousand examples, word vectors with a view of n-grams got 89.0 % of 493 Japanese sentences right, with the words 90.7 % (2 draws).
"""

from __future__ import annotations

import dataclasses
import math

import torch

from nlptl.context import RunContext
from nlptl.evaluation.calibration import log_losses
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.selection.stacking import stacked
from nlptl.finetuning.words.joined import with_words
from nlptl.finetuning.words.word_expert import WordExpert, words_of
from nlptl.models.classifier import TextClassifier
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast

MIN_STANDARD_ERRORS = 1.0  # by which the held-out log-loss of the words must be lower
MIN_EXAMPLES_TO_WEIGH = 32  # distinct ones, from which held-out examples weigh words beside word vectors


def with_deciding_words(
    fitted: Fitted, given: TextClassifier, examples: LabelledExamples, context: RunContext
) -> Fitted:
    """Return the fit, multiplied by a classifier by words where held-out examples speak for the words alone.

    Their log-loss must be lower than that of a head over the frozen vectors of `given`, and more of them must be right.
    """
    first = torch.from_numpy(examples.groups.first)
    labels, copies = examples.label_ids[first], torch.from_numpy(examples.groups.copies)
    if int(examples.label_counts().min()) == 0 or fitted.classifier.head.hidden:
        return fitted
    vectors = examples.frozen_vectors(given.encoder, progress=context.progress)[first]
    with one_thread_if(True):
        head = fit_logistic(LabelledVectors.of(vectors, labels, examples.label_count, copies=copies))
        words = words_of(examples, seed=context.seed, balanced=examples.is_skewed, segmenter=given.encoder.segmenter)
    if words is None or not bool(head.scored.any()):
        return fitted
    own, by_words = (
        head.out_of_fold_logits[head.scored] / head.temperature,
        words.out_of_fold_logits[first][head.scored],
    )
    labels = labels[head.scored]
    gained = log_losses(own, labels) - log_losses(by_words, labels)
    error = float(gained.std()) / math.sqrt(len(gained)) if len(gained) > 1 else math.inf
    right, right_words = (int((logits.argmax(dim=1) == labels).sum()) for logits in (own, by_words))
    joins = float(gained.mean()) > MIN_STANDARD_ERRORS * error and right_words > right
    if not bool(broadcast(float(joins))):
        return fitted
    held_out = (
        f"of {len(labels)} examples, each held out once, they get {right_words} right, a head over the encoder {right}"
    )
    context.record.add_finding("words", {"weight": 1.0}, f"The words join the classifier: {held_out}.")
    return _joined(fitted, words, weight=1.0)


def with_weighed_words(fitted: Fitted, examples: LabelledExamples, context: RunContext) -> Fitted:
    """Return the fit over word vectors, multiplied by a classifier by words to the power that held-out examples choose.

    It stays as it is where the words do not lower the log-loss by more than its standard error, and where examples are few.
    """
    first = torch.from_numpy(examples.groups.first)
    if len(first) < MIN_EXAMPLES_TO_WEIGH or fitted.held_out_logits is None or fitted.classifier.head.hidden:
        return fitted
    segmenter = fitted.classifier.encoder.segmenter
    words = words_of(examples, seed=context.seed, balanced=examples.is_skewed, segmenter=segmenter)
    own = fitted.held_out_logits()
    if own is None or words is None:
        return fitted
    scored = first[~own[first].isnan().any(dim=1)]
    labels = examples.label_ids[scored]
    alone, by_words = (logits[scored].double().log_softmax(dim=1) for logits in (own, words.out_of_fold_logits))
    found = stacked(alone, by_words, labels)
    weight = broadcast(found.words_weight)
    if not weight:
        return fitted
    told = f"of {len(scored)} held-out examples, the share right is {found.told(labels.numpy())}"
    context.record.add_finding("words", {"weight": weight}, f"The words join the classifier: {told}.")
    both = own.double().log_softmax(dim=1) + weight * words.out_of_fold_logits.double().log_softmax(dim=1)
    temperature = broadcast(found.temperature(labels))
    calibration = dataclasses.replace(fitted.calibration, temperature=temperature, held_out=len(scored))
    joined = _joined(fitted, words, weight=weight)
    return dataclasses.replace(joined, calibration=calibration, held_out_logits=lambda: both)


def with_chosen_words(weight: float, fitted: Fitted, examples: LabelledExamples, context: RunContext) -> Fitted:
    """Return the fit, multiplied by a classifier by words to the power `weight` that a comparison chose; 0 leaves it as it is."""
    if not weight:
        return fitted
    segmenter = fitted.classifier.encoder.segmenter
    words = words_of(examples, seed=context.seed, balanced=examples.is_skewed, segmenter=segmenter)
    if words is None:
        return fitted
    context.record.add_finding("words", {"weight": weight}, words.how)
    return _joined(fitted, words, weight=weight)


def _joined(fitted: Fitted, words: WordExpert, *, weight: float) -> Fitted:
    joined = with_words(fitted.classifier, words.view, own_weight=1.0, words_weight=weight)
    learnt = fitted.trainable_parameters + words.view.table.numel()
    return dataclasses.replace(fitted, classifier=joined, trainable_parameters=learnt, held_out_logits=None)
