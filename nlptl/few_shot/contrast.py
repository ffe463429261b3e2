"""The contrastive update from beginning to end: do label names help, train, fit a head on the vectors that come of it.

Shapes: n labelled texts, M sentences that name labels, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from nlptl.checkpoints import Checkpoints
from nlptl.closed_form import FittedHead, LabelledVectors, fit_logistic, fit_temperature, with_temperature, write_head
from nlptl.contrastive import ContrastiveSettings, ContrastiveTraining, Pool
from nlptl.few_shot.zero_shot import baseline_sentence, name_vectors, names_alone
from nlptl.label_names import LabelSentences
from nlptl.layer_updates import LayerFit, LayerUpdate
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.progress import Progress

NamesChoice = Literal["auto", "always", "never"]
PENALTY = 10.0
"""Of the head, in the spread of the vectors: texts that the layers have learnt from cannot choose it by being held out."""
MARGIN = 0.02
"""Nats by which label names may look worse when one example is left out, and still be used: the noise of few examples."""


class Findings(Protocol):
    """Takes what is worth telling: plain values, and the sentence that tells them."""

    def find(self, name: str, value: Any, sentence: str = "") -> None:
        """Keep a finding."""


@dataclasses.dataclass(frozen=True)
class FewShot:
    """What is learnt from, and who watches."""

    given: TextClassifier
    texts: list[str]
    """n labelled texts."""
    labels: Tensor
    """(n,) their label ids, on the CPU."""
    sentences: LabelSentences
    progress: Progress
    findings: Findings
    checkpoints: Checkpoints | None = None

    @property
    def all_texts(self) -> list[str]:
        """The labelled texts, then the sentences."""
        return [*self.texts, *self.sentences.texts]


def contrastive_classifier(
    task: FewShot,
    make_update: Callable[[list[str]], LayerUpdate],
    settings: ContrastiveSettings,
    *,
    names: NamesChoice,
) -> TextClassifier:
    """Train the encoder contrastively on the labelled texts, then fit a head; returns the new classifier.

    `make_update` says what moves, over the texts that it is given. The head's strength is fixed, since the vectors of
    texts that the layers have learnt from cannot tell how a head does on others; its probabilities are made as sharp
    as the frozen vectors' head is right when an example is left out, which is cautious.
    """
    begin = time.monotonic()
    update = make_update(task.all_texts)
    vectors = _vectors(task, update)
    speed = update.work.flops / max(1e-9, time.monotonic() - begin) if update.frozen else None
    frozen, told = _frozen_head(task, vectors, names)
    used = task.sentences if told else LabelSentences()
    rows = len(task.texts) + len(used)
    labels = torch.cat([task.labels, torch.tensor(used.labels, dtype=torch.int64)])
    pool = Pool(torch.arange(len(task.texts)), settings.batch_size)
    named = torch.arange(len(task.texts), rows)
    training = ContrastiveTraining(update, labels, [pool], named=named, settings=settings)
    plan = training.plan
    seconds = plan.flops / speed if speed else None
    task.findings.find("plan", dataclasses.asdict(plan))
    task.progress.say(plan.sentence(seconds))
    with task.progress.task("contrastive training", total=plan.steps, unit="steps") as watched:
        fit = training.run(
            after_step=lambda step, loss: watched.advance(1, f"loss {loss:.2f}"), checkpoints=task.checkpoints
        )
    tuned = fit.all_vectors(torch.arange(rows))
    return _finished(task, update, fit, tuned, labels, frozen)


def _vectors(task: FewShot, update: LayerUpdate) -> Tensor:
    """Return the sentence vectors (n + M, D) before anything moves."""
    found = update.sentence_vectors()
    return torch.from_numpy(task.given.encoder.encode(task.all_texts)) if found is None else found


def _frozen_head(task: FewShot, vectors: Tensor, names: NamesChoice) -> tuple[FittedHead, bool]:
    """Return the head on frozen vectors that serves as a measure, and whether the names of labels are used."""
    own, count = vectors[: len(task.texts)], len(task.given.labels)
    rows = LabelledVectors.of(own, task.labels, count)
    if not task.sentences:
        told = "The labels' names say nothing, so they take no part; data.label_names could say what they mean."
        task.findings.find("label_names", "none", told)
        return fit_logistic(rows), False
    directions = name_vectors(vectors[len(own) :], task.sentences)
    reached = names_alone(own, task.labels, directions)
    told = baseline_sentence(reached, len(own), task.given.labels)
    task.findings.find("zero_shot", dataclasses.asdict(reached), told)
    named = rows.with_prototypes(vectors[len(own) :], torch.tensor(task.sentences.labels), weight=1.0)
    without, within = fit_logistic(rows), fit_logistic(named)
    used, why = _names_help(without, within, names)
    task.findings.find("label_names", "used" if used else "left out", why)
    return within if used else without, used


def _names_help(without: FittedHead, within: FittedHead, names: NamesChoice) -> tuple[bool, str]:
    """Say whether label names join the training, and why."""
    if names != "auto":
        return names == "always", f"Label names are {'used' if names == 'always' else 'left out'}, as the settings say."
    if without.loss is None or within.loss is None:
        return True, "Label names are used: with one example of each label nothing could be left out to try them on."
    helped = within.loss <= without.loss + MARGIN
    told = f"held-out log-loss {within.loss:.3f} with them, {without.loss:.3f} without"
    return helped, f"Label names are {'used' if helped else 'left out'}: leaving one example out, {told}."


def _finished(
    task: FewShot, update: LayerUpdate, fit: LayerFit, vectors: Tensor, labels: Tensor, measure: FittedHead
) -> TextClassifier:
    """Return the trained encoder under a head that is fitted on its vectors (n + M, D), calibrated by `measure`."""
    examples, count = len(task.texts), len(task.given.labels)
    rows = LabelledVectors.of(vectors[:examples], labels[:examples], count)
    if len(vectors) > examples:
        rows = rows.with_prototypes(vectors[examples:], labels[examples:], weight=1.0)
    fitted = fit_logistic(rows, penalties=(PENALTY,))
    right = measure.accuracy()
    doubt = 1 / (examples + 2) if right is None else max(1 / (examples + 2), 1 - right)
    temperature = fit_temperature(fitted.head.logits(vectors[:examples]), labels[:examples], doubt=doubt)
    head = Head(task.given.encoder.dim, count)
    head.fit_scale(vectors)
    write_head(with_temperature(fitted.head, temperature), head)
    fit.head = head.to(task.given.device)
    moved = sum(p.numel() for group in fit.groups(head=False) for p in group.parameters) + count * (
        vectors.shape[1] + 1
    )
    task.findings.find("trainable_parameters", moved)
    return update.finish(fit)
