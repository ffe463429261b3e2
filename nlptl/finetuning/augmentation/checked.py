"""Altered versions of labelled texts and of the pile's, those left out that seem to have lost their label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from nlptl.finetuning.augmentation import Augmented, Augmenter, Eda, Vocabulary, keep_label
from nlptl.finetuning.augmentation.ablation import augmentation_ablation
from nlptl.finetuning.linear import LabelledVectors, fit_logistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from nlptl.context import RunContext
    from nlptl.finetuning.augmentation import Augmentation
    from nlptl.finetuning.augmentation.ablation import Ablation, Predict
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.models.classifier import TextClassifier

PENALTY = 1.0
"""Of the head on frozen vectors by which augmentation is judged; a fixed one, so that both arms are equally smooth."""


def checked_versions(
    blocks: tuple[Augmentation, ...],
    given: TextClassifier,
    examples: LabelledExamples,
    pile: Sequence[str],
    context: RunContext,
) -> Augmented:
    """Return altered versions of the labelled texts and of the pile's that seem to have kept their label.

    The head on frozen vectors of the labelled texts is the judge: it has to give a version the label of its labelled text,
    or, where that is one of the pile, the label that it gives this text itself. What versions checked
    in this way change for that head on held-out labelled texts goes into the record.
    """
    texts = [*examples.texts, *pile]
    labels = [examples.labels[label] for label in examples.label_ids.tolist()]
    needs_words = any(isinstance(block, Eda) and block.needs_words for block in blocks)
    augmenter = Augmenter(
        blocks,
        words=Vocabulary.of(texts) if needs_words else None,
        device=context.torch_device(),
        where="finetune.update.augment",
    )
    judge = _FrozenHeads(given, examples)
    made = augmenter(texts, seed=context.seed)
    least = 1 / examples.label_count
    known = [*examples.label_ids.tolist(), *(None for _ in pile)]
    check = keep_label(made, texts, judge(examples.texts, labels), labels=known, least=least)
    context.record.add_finding("augmentation", {"texts": len(check.kept)}, f"{made.sentence()} {check.sentence()}")
    once = [labels[row] for row in examples.groups.first]
    if min(once.count(label) for label in set(once)) > 1:
        _tell_ablation(augmentation_ablation(
            examples.texts, labels, names=given.labels, fit=judge, augmenter=augmenter, seed=context.seed, least=least,
        ), context)  # fmt: skip
    return check.kept


def _tell_ablation(found: Ablation, context: RunContext) -> None:
    figures = {"accuracy": found.accuracy.difference.value, "log_loss": found.log_loss.difference.value}
    context.record.add_finding("ablation", figures, f"With the head on frozen vectors: {found.sentence()}")


class _FrozenHeads:
    """Heads of a fixed penalty on the vectors that the encoder gives before anything moves, each text encoded once."""

    def __init__(self, given: TextClassifier, examples: LabelledExamples) -> None:
        self._given = given
        vectors = examples.frozen_vectors(given.encoder).numpy()
        self._found: dict[str, NDArray[np.float32]] = dict(zip(examples.texts, vectors, strict=True))

    def __call__(self, texts: list[str], labels: list[str]) -> Predict:
        """Return what predicts by a head that is fitted to the texts."""
        rows = LabelledVectors.of(self._vectors(texts), self._given.label_ids(labels), len(self._given.labels))
        head = fit_logistic(rows, penalties=(PENALTY,)).calibrated()
        return lambda asked: head.probabilities(self._vectors(asked)).numpy()

    def _vectors(self, texts: list[str]) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if text not in self._found]
        if new:
            self._found.update(zip(new, self._given.encoder.encode(new), strict=True))
        return torch.from_numpy(np.stack([self._found[text] for text in texts]))
