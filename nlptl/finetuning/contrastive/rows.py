"""Contrastive trainings and heads over one set of rows: labelled texts, names of labels, augmented texts, a pile.

Shapes: n labelled texts, M sentences that name labels, D dimension, K labels, B rows.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from nlptl.context import RunContext
from nlptl.data.label_sentences import LabelSentences
from nlptl.finetuning.contrastive.contrastive_training import ContrastiveSettings, ContrastiveTraining, Pool, passes_for
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.gradient.layer_tuner import LayerFit, LayerPlan, LayerTuner
from nlptl.finetuning.linear import LabelledVectors, LinearHead, fit_logistic, with_priors
from nlptl.models.classifier import TextClassifier
from nlptl.training.compute import one_thread_if

PENALTY = 10.0  # of the head, in the spread of the vectors; fixed, for the layers have learnt from every text


@dataclasses.dataclass(frozen=True)
class ContrastiveTask:
    """Inputs of one contrastive fine-tuning."""

    given: TextClassifier
    examples: LabelledExamples  # n labelled texts
    sentences: LabelSentences  # M sentences that name the labels; none where the names say nothing
    context: RunContext
    pile: Sequence[str] = ()  # unlabelled texts that may be put to work
    versions: Sequence[str] = ()  # altered versions of labelled texts and of the pile's
    origins: Sequence[int] = ()  # the text that each came from: labelled texts first, then the pile


class Contrast:
    """Contrastive trainings and heads over one set of rows: labelled texts, pile, augmented texts, sentences, in that order.

    The frozen layers run once over all of them, however many trainings follow.
    """

    def __init__(self, task: ContrastiveTask, plan: LayerPlan, settings: ContrastiveSettings) -> None:
        self.task, self.settings, self.label_count = task, settings, len(task.given.labels)
        parts = [task.examples.texts, task.pile, task.versions, task.sentences.texts]
        ends = torch.tensor([0, *map(len, parts)]).cumsum(0).tolist()
        self.own, self.pile, self.versions, self.sentences = (
            torch.arange(begin, end) for begin, end in itertools.pairwise(ends)
        )
        unknown = torch.full((len(task.pile) + len(task.versions),), -1)
        named = torch.tensor(task.sentences.labels, dtype=torch.int64)
        self.labels = torch.cat([task.examples.label_ids, unknown, named])
        self._origins = torch.tensor(task.origins, dtype=torch.int64)
        begin = time.monotonic()
        self.tuner = LayerTuner.of(task.given, [text for part in parts for text in part], plan, task.context)
        self.frozen_vectors = self._frozen_vectors()
        seconds = max(1e-9, time.monotonic() - begin)
        self._speed = self.tuner.work.flops / seconds if self.tuner.frozen else None
        self.named = self.sentences  # that join the training; set to none where they do harm

    def has_pairs(self) -> bool:
        """Return whether two rows that train share a label: examples, altered versions of them, sentences that take part."""
        versions = self.labels[self._origins[self._origins < len(self.own)]]
        labels = torch.cat([self.labels[self.own], versions, self.labels[self.named]])
        return len(torch.unique(labels)) < len(labels)

    def train(
        self,
        rows: Tensor,
        *,
        pseudo: tuple[Tensor, Tensor] | None = None,
        steps: int | None = None,
        name: str = "contrastive training",
        keep: bool = False,
    ) -> LayerFit:
        """Train on labelled rows (B,) and, three times as many a step, on `pseudo`: rows of the pile and their labels.

        `keep` tells the plan and keeps checkpoints, in one training of a task alone: a checkpoint of a training on other
        rows would bring what this one must not have seen.
        """
        labels, size = self.labels.clone(), self.settings.batch_size
        pools = [Pool(self._with_versions(rows), size)]
        if pseudo is not None:
            labels[pseudo[0]] = pseudo[1]
            pools = [Pool(pools[0].rows, max(4, size // 4)), Pool(self._with_versions(pseudo[0]), size - size // 4)]
        labels[self.versions] = labels[self._origins]
        passes = passes_for(len(rows), self.label_count) if pseudo is None else self.settings.passes
        settings = dataclasses.replace(self.settings, steps=steps or self.settings.steps, passes=passes)
        training = ContrastiveTraining(self.tuner, labels, pools, named=self.named, settings=settings)
        plan = training.plan
        if keep:
            told = plan.sentence(plan.flops / self._speed if self._speed else None)
            self.task.context.record.add_finding("plan", dataclasses.asdict(plan), told)
        with self.task.context.progress.task(name, total=plan.steps, unit="steps") as watched:
            return training.run(
                after_step=lambda _, loss: watched.advance(1, f"loss {loss:.2f}"),
                checkpoints=self.task.context.checkpoints("contrastive") if keep else None,
            )

    def _with_versions(self, rows: Tensor) -> Tensor:
        return torch.cat([rows, self.versions[torch.isin(self._origins, rows)]])

    def head(self, vectors: Tensor, rows: Tensor, *, pseudo: tuple[Tensor, Tensor] | None = None) -> LinearHead:
        """Return the head over vectors (all, D) that is fitted to labelled rows (B,), the sentences and the pile's share.

        Its probabilities are at the shares of the labels among the labelled rows, whatever else it was fitted to, or at
        equal shares where the examples are skewed.
        """
        fitted = LabelledVectors.of(vectors[rows], self.labels[rows], self.label_count)
        fitted = fitted.balanced() if self.task.examples.is_skewed else fitted
        if len(self.named):
            fitted = fitted.with_prototypes(vectors[self.named], self.labels[self.named], weight=1.0)
        if pseudo is not None:
            weight = min(1.0, len(rows) / len(pseudo[0]))  # all of the pile together count as much as the examples
            fitted = fitted.with_prototypes(vectors[pseudo[0]], pseudo[1], weight=weight)
        with one_thread_if(True):
            found = fit_logistic(fitted, penalties=(PENALTY,))
        counts = torch.bincount(self.labels[rows], minlength=self.label_count).double().clamp(min=1)
        counts = torch.ones_like(counts) if self.task.examples.is_skewed else counts
        return with_priors(found.head, (counts / counts.sum()).tolist(), shares=found.shares)

    def vectors(self, fit: LayerFit, *, pile: Tensor | None = None) -> Tensor:
        """Return the vectors (all, D) that a fit gives: of labelled texts, sentences, and the rows `pile` (P,); else 0."""
        rows = torch.cat([self.own, self.sentences, *([] if pile is None else [pile])])
        found = torch.zeros(len(self.labels), self.task.given.encoder.dim)
        found[rows] = fit.all_vectors(rows)
        return found

    def _frozen_vectors(self) -> Tensor:
        """Return the vectors (n + M, D) of labelled texts and sentences before anything moves."""
        task, encoder = self.task, self.task.given.encoder
        own = [task.examples.frozen_vectors(encoder)] if task.examples.knows_vectors(encoder) else []
        rows = self.sentences if own else torch.cat([self.own, self.sentences])
        found = self.tuner.sentence_vectors(rows)
        if found is not None:
            self.tuner.count(rows, training=False)
            return torch.cat([*own, found])
        texts = [*([] if own else task.examples.texts), *task.sentences.texts]
        return torch.cat([*own, torch.from_numpy(encoder.encode(texts))])
