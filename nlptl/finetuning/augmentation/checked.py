"""What joins the labelled texts in contrastive fine-tuning: some of the pile, and altered versions of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.methods.union import Contrastive, Pile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nlptl.data import TextData
    from nlptl.finetuning.augmentation import Augmented
    from nlptl.finetuning.augmentation.ablation import Ablation, Predict
    from nlptl.models.classifier import TextClassifier

PENALTY = 1.0
"""Of the head on frozen vectors by which augmentation is judged; a fixed one, so that both arms are equally smooth."""


def check_pile(update: Contrastive, data: TextData, *, where: str) -> None:
    """Raise ConfigError where the settings ask for a pile and there is none."""
    if update.pile is not None and data.unlabelled is None:
        raise ConfigError(
            f"{where}.update.pile: found settings for the pile but no data.unlabelled; expected unlabelled texts. Add "
            "data.unlabelled, or set pile: null."
        )


def pile_texts(settings: Pile | None, data: TextData, context: RunContext) -> list[str]:
    """Return `settings.texts` unlabelled texts, or all where there are fewer, drawn at random, none of them a labelled one."""
    import torch

    if settings is None or data.unlabelled is None:
        return []
    known = set(data.labelled.texts()) if data.labelled is not None else set()
    order = torch.randperm(len(data.unlabelled), generator=context.generator("pile")).tolist()
    found: list[str] = []
    size = settings.texts + len(known)  # enough at once unless the pile repeats labelled texts
    for begin in range(0, len(order), size):
        found += [text for text in data.unlabelled.select(order[begin : begin + size]).texts() if text not in known]
        if len(found) >= settings.texts:
            break
    return found[: settings.texts]


def augmented(
    update: Contrastive, given: TextClassifier, data: TextData, pile: Sequence[str], context: RunContext
) -> Augmented:
    """Return altered versions of the labelled texts and of the pile's, those that seem to have lost their label left out.

    The head on frozen vectors of the labelled texts is the judge: it has to give a version the label of its labelled text,
    or, where that is one of the pile, the label that it gives this text itself. What versions checked
    in this way change for that head on held-out labelled texts goes into the record.
    """
    from nlptl.evaluation.duplicates import duplicate_groups
    from nlptl.finetuning.augmentation import Augmented, Augmenter, Eda, Vocabulary, keep_label
    from nlptl.finetuning.augmentation.ablation import augmentation_ablation

    if not update.augment:
        return Augmented((), (), (), {})
    assert data.labelled is not None
    texts, labels = data.labelled.texts(), data.labelled.labels()
    needs_words = any(isinstance(block, Eda) and block.needs_words for block in update.augment)
    augmenter = Augmenter(
        update.augment,
        words=Vocabulary.of([*texts, *pile]) if needs_words else None,
        device=context.torch_device(),
        where="finetune.update.augment",
    )
    judge = _FrozenHeads(given)
    made = augmenter([*texts, *pile], seed=context.seed)
    least = 1 / len(given.labels)
    check = keep_label(
        made,
        [*texts, *pile],
        judge(texts, labels),
        labels=[*given.label_ids(labels).tolist(), *(None for _ in pile)],
        least=least,
    )
    context.record.add_finding("augmentation", {"texts": len(check.kept)}, f"{made.sentence()} {check.sentence()}")
    once = [labels[row] for row in duplicate_groups(texts, labels).first]
    if min(once.count(label) for label in set(once)) > 1:
        _tell_ablation(augmentation_ablation(
            texts, labels, names=given.labels, fit=judge, augmenter=augmenter, seed=context.seed, least=least,
        ), context)  # fmt: skip
    return check.kept


def _tell_ablation(found: Ablation, context: RunContext) -> None:
    figures = {"accuracy": found.accuracy.difference.value, "log_loss": found.log_loss.difference.value}
    context.record.add_finding("ablation", figures, f"With the head on frozen vectors: {found.sentence()}")


class _FrozenHeads:
    """Fits heads of a fixed penalty on the vectors that the encoder gives before anything moves, each text encoded once."""

    def __init__(self, given: TextClassifier) -> None:
        self._given = given
        self._found: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: list[str], labels: list[str]) -> Predict:
        """Return what predicts by a head that is fitted to the texts."""
        import torch

        from nlptl.finetuning.linear import LabelledVectors, fit_logistic

        ids = torch.tensor([self._given.labels.index(label) for label in labels])
        rows = LabelledVectors.of(self._vectors(texts), ids, len(self._given.labels))
        head = fit_logistic(rows, penalties=(PENALTY,)).calibrated()
        return lambda asked: head.probabilities(self._vectors(asked)).numpy()

    def _vectors(self, texts: list[str]) -> Tensor:
        import numpy as np
        import torch

        new = [text for text in dict.fromkeys(texts) if text not in self._found]
        if new:
            self._found.update(zip(new, self._given.encoder.encode(new), strict=True))
        return torch.from_numpy(np.stack([self._found[text] for text in texts]))
