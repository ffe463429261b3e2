"""Contrastive fine-tuning: whether label names help, the training, the pile, and a head at the end.

Shapes: n labelled texts, M sentences that name labels, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import torch
from torch import Tensor

from nlptl.errors import DataError
from nlptl.evaluation.calibration import fit_temperature
from nlptl.finetuning.contrastive.contrastive_training import ContrastiveSettings
from nlptl.finetuning.contrastive.pseudo_labels import PseudoLabelling, with_pile
from nlptl.finetuning.contrastive.rows import Contrast, ContrastiveTask
from nlptl.finetuning.contrastive.zero_shot import name_vectors, names_alone
from nlptl.finetuning.gradient.layer_tuner import LayerFit, LayerPlan
from nlptl.finetuning.linear import FittedHead, LabelledVectors, LinearHead, fit_logistic, with_temperature, write_head
from nlptl.finetuning.method import Fitted
from nlptl.models.heads import Head
from nlptl.training.compute import one_thread_if
from nlptl.training.distributed import broadcast

NamesChoice = Literal["auto", "always", "never"]
MARGIN = 0.02  # nats of leave-one-out log-loss that names may cost and are still used: noise with few examples
# Share of the frozen head's held-out error that is taken for label noise when the confidence is set. Trained layers have seen every
# example, so that a text which they have not seen gets less confidence than these. 0.2 serves such texts best (training rows of ten
# sets, 8 labels each: calibration error .092, log-loss .70; with 2/3 .158 and .76; a cross-validated logistic head .082 and .86).
LABEL_NOISE = 0.2


def contrastive_classifier(
    task: ContrastiveTask,
    plan: LayerPlan,
    settings: ContrastiveSettings,
    *,
    names: NamesChoice,
    pile: PseudoLabelling | None = None,
) -> Fitted:
    """Train the encoder contrastively on the labelled texts, then fit a head of fixed strength.

    Its confidence takes `LABEL_NOISE` of the errors that the head on frozen vectors makes when an example is left out.
    With `pile` and unlabelled texts, the pile joins unless the labelled texts speak against it.
    """
    contrast = Contrast(task, plan, settings)
    measure, used = frozen_head(task, contrast.frozen_vectors, names)
    contrast.named = contrast.sentences[:used]
    if not contrast.has_pairs():
        raise DataError(
            f"finetune.update: found one example of each of the {contrast.label_count} labels and no label names that say "
            "anything, so no two texts to bring together; expected a label with two. Give more examples, say what the "
            "labels mean in data.label_names, or choose update head."
        )
    fit, used_unlabelled = contrast.train(contrast.own, keep=True), False
    vectors = contrast.vectors(fit, pile=contrast.pile if pile is not None else None)
    head = contrast.head(vectors, contrast.own)
    if pile is not None and not task.pile:
        told = "The pile is left out: data.unlabelled holds no text beside the labelled ones."
        task.context.record.add_finding("pile", {"used": "nothing"}, told, warns=True)
    elif pile is not None:
        fit, vectors, head, used_unlabelled = with_pile(contrast, pile, fit, vectors, head)
    fitted = _finished(contrast, fit, vectors, head, measure)
    skewed = task.examples.is_skewed
    return dataclasses.replace(fitted, used_unlabelled=used_unlabelled, balanced=skewed, met_skew=skewed)


def frozen_head(task: ContrastiveTask, vectors: Tensor, names: NamesChoice) -> tuple[FittedHead, int]:
    """Return the head on frozen vectors that serves as a measure, and how many sentences with names are used.

    The sentences are all of them, those of the first template, or none.
    """
    own, named = vectors[: len(task.examples.texts)], vectors[len(task.examples.texts) :]
    groups, count = task.examples.groups, len(task.given.labels)
    rows = LabelledVectors.of(
        own[groups.first], task.examples.label_ids[groups.first], count, copies=torch.from_numpy(groups.copies)
    )
    rows = rows.balanced() if task.examples.is_skewed else rows
    without = _named_head(task, rows, named, 0)
    if not task.sentences:
        told = "The labels' names say nothing, so they take no part; data.label_names could say what they mean."
        task.context.record.add_finding("label_names", "none", told)
        return without, 0
    width = task.given.encoder.alone().dim  # views know texts of the pile, and a name is none
    directions = name_vectors(named[:, :width], task.sentences)
    reached, told = names_alone(own[:, :width], task.examples.label_ids, directions)
    task.context.record.add_finding("zero_shot", dataclasses.asdict(reached), told)
    within, said = without, 0
    for sentences in sorted({count, len(task.sentences)}) if names != "never" else ():
        tried = _named_head(task, rows, named, sentences)
        if not said or _says_more(within, tried):
            within, said = tried, sentences
    several = f" in {said // count} of {len(task.sentences) // count} sentences each"
    used, why = _names_help(without, within, names, several if len(task.sentences) > count else "")
    task.context.record.add_finding("label_names", "used" if used else "left out", why)
    return (within, said) if used else (without, 0)


def _named_head(task: ContrastiveTask, rows: LabelledVectors, vectors: Tensor, count: int) -> FittedHead:
    """Return the head over examples and the first `count` sentences (M,) that name labels."""
    if count:
        rows = rows.with_prototypes(vectors[:count], torch.tensor(task.sentences.labels)[:count], weight=1.0)
    with one_thread_if(True):
        return fit_logistic(rows)


def _says_more(first: FittedHead, every: FittedHead) -> bool:
    """Say whether held-out examples are better told by all sentences than by those of the first template.

    Each sentence counts as an example, so several weigh the names more. All are taken where nothing could be held out.
    """
    both = first.scored & every.scored
    better = not bool(both.any()) or every.losses_on(both).mean() < first.losses_on(both).mean()
    return bool(broadcast(float(better)))


def _names_help(without: FittedHead, within: FittedHead, names: NamesChoice, several: str = "") -> tuple[bool, str]:
    """Say whether label names join the training, and why; `several` tells in how many sentences.

    Examples decide that heads with and without the names were both tried on. The only example of a label is not among them,
    and its name is half of what is known of the label. Then names must be worse by more than the standard error too.
    """
    if names != "auto":
        told = f"used{several}" if names == "always" else "left out"
        return names == "always", f"Label names are {told}, as the settings say."
    both = without.scored & within.scored
    if not bool(both.any()):
        told = "with one example of each label nothing could be left out to try them on"
        return True, f"Label names are used{several}: {told}."
    difference = within.losses_on(both) - without.losses_on(both)
    with_names, alone = float(within.losses_on(both).mean()), float(without.losses_on(both).mean())
    error = float(difference.std()) / math.sqrt(len(difference)) if len(difference) > 1 else math.inf
    allowed = MARGIN if bool(both.all()) else max(MARGIN, error)
    helped = bool(broadcast(float(with_names <= alone + allowed)))
    whose = "" if bool(both.all()) else f" of the {int(both.sum())} that are not the only one of their label"
    told = f"leaving one example out{whose}, held-out log-loss {with_names:.3f} with them, {alone:.3f} without"
    return helped, f"Label names are {f'used{several}' if helped else 'left out'}: {told}."


def _finished(contrast: Contrast, fit: LayerFit, vectors: Tensor, linear: LinearHead, measure: FittedHead) -> Fitted:
    """Return the trained encoder under the head over its vectors (all, D), calibrated by `measure`."""
    task, own = contrast.task, contrast.own
    right = measure.accuracy()
    noise_rate = 1 / (len(own) + 2) if right is None else max(1 / (len(own) + 2), LABEL_NOISE * (1 - right))
    temperature = fit_temperature(linear.logits(vectors[own]), task.examples.label_ids, label_noise_rate=noise_rate)
    head = Head(task.given.encoder.dim, contrast.label_count)
    head.fit_scale(vectors[own])
    write_head(with_temperature(linear, temperature), head)
    fit.head = head.to(task.given.device)
    moved = sum(p.numel() for group in fit.groups(head=False) for p in group.parameters)
    return Fitted(contrast.tuner.finish(fit), moved + linear.weights.numel() + len(linear.bias))
