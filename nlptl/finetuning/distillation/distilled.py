"""A student that has learnt: its penalty chosen and its temperature fitted on held-out texts, its agreement measured on others.

Shapes: P texts of the pile, n labelled texts, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.context import RunContext
from nlptl.data import LabelSet
from nlptl.evaluation.intervals import Interval, wilson
from nlptl.finetuning.distillation.soft_labels import softened
from nlptl.finetuning.distillation.soft_logistic import SoftHead, SoftTask, fit_soft
from nlptl.finetuning.distillation.students import Student
from nlptl.models.classifier import TextClassifier

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

MIN_TEXTS = 20  # of a labelled pile, below which nothing can be held out
HELD_OUT_SHARE, MAX_HELD_OUT = 0.1, 5_000  # of the pile, for choosing, and as many for measuring
PENALTIES = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6, 3e-7)
"""Penalties of words, from the strongest on, until the held-out loss rises."""
ONLY_WITHOUT = math.inf  # words that do not learn: the vectors alone decide
TEMPERATURES = (0.05, 20.0)  # range of the search


@dataclasses.dataclass(frozen=True)
class Lesson:
    """What a student learns from."""

    pile: Sequence[str]
    probabilities: Floats  # (P, K) by the teacher
    texts: Sequence[str]  # labelled by people
    labels: Floats  # (n, K): 1 for each label of a text
    temperature: float  # that softens the probabilities of the pile
    hard_share: float | None  # of the loss, for the labelled texts; None counts all texts alike
    names: Sequence[str]  # the K labels
    thresholds: Sequence[float] | None = None  # of labels where a text may have several


def hard_labels(label_sets: Sequence[Sequence[str]], names: Sequence[str]) -> Floats:
    """Return 1 for each label of a text and 0 elsewhere (n, K). Raises DataError for a label that is none of the `names`."""
    known = LabelSet(tuple(names))
    found = np.zeros((len(label_sets), len(names)))
    for row, own in enumerate(label_sets):
        found[row, known.ids(own)] = 1.0
    return found


@dataclasses.dataclass(frozen=True)
class Distilled:
    """A student that has learnt."""

    classifier: TextClassifier
    penalty: float  # of the words; infinite where they do not learn
    temperature: float  # by which the logits were divided
    agreement: Interval  # share of held-out texts to which student and teacher give the same label
    learnt: int  # texts of the pile that it learnt from
    held_out: Sequence[str]  # texts that the agreement was measured on
    parameters: int


def distilled(student: Student, lesson: Lesson, context: RunContext) -> Distilled:
    """Return a student that has learnt the soft labels of a pile, and the labels of labelled texts.

    A tenth of the pile chooses the penalty, another one measures the agreement and is never learnt from.
    """
    choice, measured, learnt = _parts(len(lesson.pile), context)
    with context.progress.task("reading the pile", total=len(lesson.pile), unit="texts") as task:
        blocks = student.blocks([*lesson.pile, *lesson.texts])
        task.advance(len(lesson.pile))
    multi = lesson.thresholds is not None
    soft = softened(lesson.probabilities, lesson.temperature, multi_label=multi)
    targets = np.concatenate([soft, lesson.labels])
    hard = np.arange(len(lesson.pile), len(targets))
    whole = SoftTask(blocks, targets, np.ones(len(targets)), multi)
    training = _weighted(whole, np.concatenate([learnt, hard]), hard=len(hard), share=lesson.hard_share)
    judged = whole.of(choice)
    penalty, head = _chosen(student, training, judged, context)
    every = _weighted(whole, np.concatenate([learnt, choice, hard]), hard=len(hard), share=lesson.hard_share)
    temperature = _temperature(head.logits(judged.blocks), lesson.probabilities[choice], multi)
    final = fit_soft(every, [*student.steady, penalty], start=head)
    final = SoftHead([own / temperature for own in final.weights], final.bias / temperature)
    classifier = student.finished(final, lesson.names, lesson.thresholds)
    held_out = [lesson.pile[row] for row in measured.tolist()]
    agree = _agreement(classifier, held_out, lesson.probabilities[measured])
    parameters = sum(own.size for own in final.weights) + final.bias.size
    return Distilled(classifier, penalty, temperature, agree, len(learnt) + len(choice), held_out, parameters)


def _parts(texts: int, context: RunContext) -> tuple[Rows, Rows, Rows]:
    """Return the rows of the pile that choose, that measure and that are learnt from."""
    import torch

    order: Rows = torch.randperm(texts, generator=context.generator("distil")).numpy()
    size = min(MAX_HELD_OUT, max(1, int(HELD_OUT_SHARE * texts)))
    return np.sort(order[:size]), np.sort(order[size : 2 * size]), np.sort(order[2 * size :])


def _weighted(task: SoftTask, rows: Rows, *, hard: int, share: float | None) -> SoftTask:
    """Return the task of some rows, of which the last `hard` ones have the `share` of the loss."""
    found = task.of(rows)
    if share is None or not hard:
        return found
    soft = len(rows) - hard
    weights = np.concatenate([np.full(soft, (1 - share) / soft), np.full(hard, share / hard)])
    return dataclasses.replace(found, weights=weights)


def _chosen(student: Student, training: SoftTask, judged: SoftTask, context: RunContext) -> tuple[float, SoftHead]:
    """Return the penalty of the last block with the lowest held-out loss, and the fit with it."""
    found: list[tuple[float, float, SoftHead]] = []
    path = [ONLY_WITHOUT, *PENALTIES] if student.steady else [*PENALTIES]
    with context.progress.task("learning the labels", total=len(path), unit="fits") as task:
        for penalty in path:
            head = fit_soft(training, [*student.steady, penalty], start=found[-1][2] if found else None)
            loss = judged.loss(head.logits(judged.blocks))
            context.record.row(fit="penalty", penalty=penalty if math.isfinite(penalty) else 0.0, held_out_loss=loss)
            found.append((loss, penalty, head))
            task.advance(1)
            if len(found) > 1 and loss > found[-2][0]:
                break
    _, penalty, head = min(found, key=lambda each: each[0])
    return penalty, head


def _temperature(logits: Floats, probabilities: Floats, multi_label: bool) -> float:
    """Return the temperature at which logits (n, K) come nearest to the teacher's probabilities."""
    from scipy.optimize import minimize_scalar

    weights = np.full(len(logits), 1 / len(logits))
    task = SoftTask([], probabilities, weights, multi_label)
    low, high = map(math.log, TEMPERATURES)
    found = minimize_scalar(lambda log: task.loss(logits / math.exp(log)), bounds=(low, high), method="bounded")
    return math.exp(float(found.x))


def _agreement(classifier: TextClassifier, texts: Sequence[str], probabilities: Floats) -> Interval:
    """Return the share of texts with the same labels by the student and by probabilities of the teacher."""
    own, theirs = classifier.labels_of(classifier.probabilities(texts)), classifier.labels_of(probabilities)
    return wilson(sum(one == other for one, other in zip(own, theirs, strict=True)), len(texts))
