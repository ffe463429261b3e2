"""New texts from labelled texts and the pile, without those that seem to have lost their label."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.context import RunContext
from nlptl.finetuning.augmentation import Augmentation, Augmented, Augmenter, Eda, Vocabulary, keep_label
from nlptl.finetuning.augmentation.ablation import augmentation_ablation
from nlptl.finetuning.augmentation.label_check import Score
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LabelledVectors, fit_logistic
from nlptl.models.classifier import TextClassifier

PENALTY = 1.0  # of the judging head; a fixed one, so that both arms are equally smooth


def checked_versions(
    blocks: tuple[Augmentation, ...], given: TextClassifier, examples: LabelledExamples, pile: Sequence[str],
    context: RunContext,
) -> Augmented:  # fmt: skip
    """Return new texts to which a head on frozen vectors gives the label of their original.

    For an original from the pile it is the label that the head gives the original. What checked texts change for that
    head on held-out labelled texts goes into the record.
    """
    texts = [*examples.texts, *pile]
    labels = [examples.labels[label] for label in examples.label_ids.tolist()]
    needs_words = any(isinstance(block, Eda) and block.needs_words for block in blocks)
    cutter = given.encoder.word_cutter
    words = Vocabulary.of(texts, cutter) if needs_words else None
    augmenter = Augmenter(
        blocks, words=words, device=context.torch_device(), where="finetune.update.augment", cutter=cutter
    )
    judge = _FrozenHeads(given, examples)
    made = augmenter(texts, seed=context.seed)
    least = 1 / examples.label_count
    known = [*examples.label_ids.tolist(), *(None for _ in pile)]
    check = keep_label(made, texts, judge(examples.texts, labels), labels=known, least=least)
    context.record.add_finding("augmentation", {"texts": len(check.kept)}, f"{made.sentence()} {check.sentence()}")
    once = [labels[row] for row in examples.groups.first]
    if min(once.count(label) for label in set(once)) > 1:
        found = augmentation_ablation(
            examples.texts, labels, names=given.labels, fit=judge, augmenter=augmenter, seed=context.seed, least=least
        )
        figures = {"accuracy": found.accuracy.difference.value, "log_loss": found.log_loss.difference.value}
        context.record.add_finding("ablation", figures, f"With the head on frozen vectors: {found.sentence()}")
    return check.kept


class _FrozenHeads:
    """Heads of a fixed penalty on frozen vectors, each text encoded once."""

    def __init__(self, given: TextClassifier, examples: LabelledExamples) -> None:
        self._given = given
        vectors = examples.frozen_vectors(given.encoder).numpy()
        self._found: dict[str, NDArray[np.float32]] = dict(zip(examples.texts, vectors, strict=True))

    def __call__(self, texts: list[str], labels: list[str]) -> Score:
        """Fit a head to texts and return its predictions as a function."""
        rows = LabelledVectors.of(self._vectors(texts), self._given.label_ids(labels), len(self._given.labels))
        head = fit_logistic(rows, penalties=(PENALTY,)).calibrated()
        return lambda asked: head.probabilities(self._vectors(asked)).numpy()

    def _vectors(self, texts: list[str]) -> Tensor:
        new = [text for text in dict.fromkeys(texts) if text not in self._found]
        if new:
            self._found.update(zip(new, self._given.encoder.encode(new), strict=True))
        return torch.from_numpy(np.stack([self._found[text] for text in texts]))
