"""Ablation of augmentation: the same folds trained with and without the new texts.

Shapes: B texts, K labels.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nlptl.errors import DataError
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.held_out import folds as stratified_folds
from nlptl.evaluation.intervals import PairedDifference, paired_difference
from nlptl.finetuning.augmentation import Augmenter, keep_label
from nlptl.finetuning.augmentation.label_check import Score

Fit = Callable[[list[str], list[str]], Score]  # trains a fresh classifier on texts and labels
MIN_PROBABILITY = 1e-6  # in the log-loss


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Effect of augmentation on held-out examples, against the original texts repeated as often."""

    accuracy: PairedDifference  # accuracy with augmentation minus without; above 0 it helps
    log_loss: PairedDifference  # the same for the log-loss, in nats an example; below 0 it helps
    without: tuple[float, float]  # accuracy and log-loss without augmentation
    examples: int
    folds: int
    repeats: int
    added: float  # new texts for each training example, on average
    dropped: float  # share (0 to 1) of the new texts that the label check dropped

    def sentence(self) -> str:
        """Tell accuracy, log-loss and conclusion."""
        checked = f", {self.dropped:.0%} of those made dropped by the label check" if self.dropped else ""
        accuracy, loss = self.accuracy.difference, self.log_loss.difference
        return (
            f"Augmentation ({self.added:.1f} new texts an example{checked}) changed the accuracy by {accuracy} from "
            f"{self.without[0]:.3f} and the log-loss by {loss} from {self.without[1]:.3f}, against the examples repeated "
            f"as often, in {self.repeats} x {self.folds}-fold cross-validation on {self.examples} examples: "
            f"{self.conclusion()}."
        )

    def conclusion(self) -> str:
        """Say what the intervals show."""
        gains = {"accuracy": _sign(self.accuracy), "log-loss": -_sign(self.log_loss)}
        shown = {name: "it helps" if gain > 0 else "it harms" for name, gain in gains.items() if gain}
        if len(set(gains.values())) == 1:
            return shown.get("accuracy", "no difference is shown")
        parts = [f"{shown[name]} the {name}" for name in shown]
        parts += [f"for the {name} no difference is shown" for name in gains if name not in shown]
        return "; ".join(parts)


def augmentation_ablation(
    texts: Sequence[str], labels: Sequence[str], *, names: Sequence[str], fit: Fit, augmenter: Augmenter,
    seed: int = 0, folds: int = 5, repeats: int = 3, least: float | None = None,
) -> Ablation:  # fmt: skip
    """Measure by repeated stratified cross-validation what training on new texts changes.

    `names` are the K labels in the order of the prediction's columns. Training folds alone are augmented, anew in each
    repeat. The other arm repeats each original as often as it has new texts, since more texts weaken a fixed penalty.
    `least` adds a label check (`keep_label`) by a classifier of the fold's originals. The intervals are somewhat too
    narrow, since examples share training examples (Bengio & Grandvalet 2004). DataError for a label with one example.
    """
    groups = duplicate_groups(texts, labels)
    counts = Counter(labels[row] for row in groups.first)
    if len(counts) < 2 or min(counts.values()) < 2:
        found = ", ".join(f"{count} of {label!r}" for label, count in sorted(counts.items())) or "no examples"
        raise DataError(
            f"ablation: found {found}; expected at least two labels with two different examples each, one to train on and "
            "one to hold out. Add examples."
        )
    truth = np.array([list(names).index(label) for label in labels])
    scores = np.zeros((2, 2, repeats, len(texts)))  # arm, score, repeat, example

    def fitted(rows: list[int], more: Sequence[str], more_rows: Sequence[int]) -> Score:
        """Train on examples and on `more` texts, which have the labels of `more_rows`."""
        return fit([*(texts[i] for i in rows), *more], [labels[i] for i in [*rows, *more_rows]])

    made = added = base = 0
    for repeat in range(repeats):
        augmented = augmenter(texts, seed=seed + repeat)
        splits = stratified_folds(truth, groups, parts=folds, seed=seed + repeat)
        for fold in splits:
            training, held_out = fold.training.tolist(), fold.held_out
            new = augmented.of_rows(training)
            made, base = made + len(new), base + len(training)
            if least is not None:
                new = keep_label(new, texts, fitted(training, (), ()), labels=truth.tolist(), least=least).kept
            added += len(new)
            for arm, more in enumerate(([texts[row] for row in new.rows], new.texts)):
                predict = fitted(training, more, new.rows)
                scores[arm, :, repeat, held_out] = _scores(predict([texts[i] for i in held_out]), truth[held_out])
    accuracy, loss = (paired_difference(scores[0, kind], scores[1, kind], seed=seed) for kind in (0, 1))
    before = scores[0].mean(axis=(1, 2)).tolist()
    dropped = 1 - added / made if made else 0.0
    return Ablation(accuracy, loss, (before[0], before[1]), len(texts), len(splits), repeats, added / base, dropped)


def _scores(probabilities: NDArray[np.floating], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whether each text was right and its log-loss, (B, 2)."""
    own = np.maximum(probabilities[np.arange(len(truth)), truth].astype(np.float64), MIN_PROBABILITY)
    return np.stack([probabilities.argmax(axis=1) == truth, -np.log(own)], axis=1).astype(np.float64)


def _sign(paired: PairedDifference) -> int:
    return int(paired.difference.low > 0) - int(paired.difference.high < 0)
