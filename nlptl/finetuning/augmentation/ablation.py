"""Ablation of augmentation: the same folds trained with and without the new texts.

Shapes: B texts, n labelled examples, K labels, R repeats.
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
from nlptl.finetuning.augmentation import Augmented, Augmenter, keep_label

Predict = Callable[[list[str]], NDArray[np.floating]]
"""Probabilities (B, K) of texts."""
Fit = Callable[[list[str], list[str]], Predict]
"""Trains a fresh classifier on texts and labels, and returns its predictions as a function."""
MIN_PROBABILITY = 1e-6  # in the log-loss


@dataclasses.dataclass(frozen=True)
class Ablation:
    """Effect of augmentation on held-out examples, against the original texts repeated as often."""

    accuracy: PairedDifference
    """Accuracy with augmentation minus without; above 0 it helps."""
    log_loss: PairedDifference
    """The same for the log-loss, in nats an example; below 0 it helps."""
    without: tuple[float, float]
    """Accuracy and log-loss without augmentation."""
    examples: int
    folds: int
    repeats: int
    added: float
    """New texts for each training example, on average."""
    dropped: float
    """Share (0 to 1) of the new texts that the label check dropped."""

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
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    names: Sequence[str],
    fit: Fit,
    augmenter: Augmenter,
    seed: int = 0,
    folds: int = 5,
    repeats: int = 3,
    least: float | None = None,
) -> Ablation:
    """Measure by repeated stratified cross-validation what training on new texts changes.

    `names` are the K labels in the order of the prediction's columns. Training folds alone are augmented, anew in each
    repeat. Without augmentation each original is repeated as often as it has new texts, since more texts by themselves
    weaken a fixed penalty. `least` adds a label check (see `keep_label`) by a classifier of the fold's originals. The
    cost is 2 x folds x repeats fits, or 3 with the label check.

    The intervals resample repeats and examples (see `paired_difference`). Cross-validated examples share training
    examples, which makes the intervals somewhat too narrow (Bengio & Grandvalet 2004). Raises DataError for a label that
    is not in `names` or has one example.
    """
    groups = duplicate_groups(texts, labels)
    parts = _check([labels[row] for row in groups.first], names, folds)
    truth = np.array([list(names).index(label) for label in labels])
    scores = np.zeros((2, 2, repeats, len(texts)))  # arm, score, repeat, example
    arms = _Arms(list(texts), list(labels), truth.tolist(), fit, least)
    made = added = base = 0
    for repeat in range(repeats):
        augmented = augmenter(texts, seed=seed + repeat)
        for fold in stratified_folds(truth, groups, parts=parts, seed=seed + repeat):
            training, held_out = fold.training.tolist(), fold.held_out
            new = augmented.of_rows(training)
            without, more, kept = arms.trained(training, new)
            for arm, predict in enumerate((without, more)):
                scores[arm, :, repeat, held_out] = _scores(predict([texts[i] for i in held_out]), truth[held_out])
            made, added, base = made + len(new), added + kept, base + len(training)
    accuracy, loss = (paired_difference(scores[0, kind], scores[1, kind], seed=seed) for kind in (0, 1))
    before = scores[0].mean(axis=(1, 2)).tolist()
    dropped = 1 - added / made if made else 0.0
    return Ablation(accuracy, loss, (before[0], before[1]), len(texts), parts, repeats, added / base, dropped)


@dataclasses.dataclass(frozen=True)
class _Arms:
    """Training of both arms of a fold."""

    texts: list[str]
    labels: list[str]
    columns: list[int]
    """Column of each label in the predictions."""
    fit: Fit
    least: float | None

    def trained(self, training: list[int], new: Augmented) -> tuple[Predict, Predict, int]:
        """Return the predictions without and with the new texts, and how many of these passed the label check."""
        if self.least is not None:
            alone = self._fitted(training, (), ())
            new = keep_label(new, self.texts, alone, labels=self.columns, least=self.least).kept
        without = self._fitted(training, [self.texts[row] for row in new.rows], new.rows)
        return without, self._fitted(training, new.texts, new.rows), len(new)

    def _fitted(self, rows: list[int], more: Sequence[str], more_rows: Sequence[int]) -> Predict:
        """Train on examples and on `more` texts, which have the labels of `more_rows`."""
        return self.fit([*(self.texts[i] for i in rows), *more], [self.labels[i] for i in [*rows, *more_rows]])


def _check(labels: Sequence[str], names: Sequence[str], folds: int) -> int:
    """Return how many parts the labels can be split into."""
    counts = Counter(labels)
    unknown = sorted(set(counts) - set(names))
    if unknown:
        raise DataError(
            f"ablation: found the label {unknown[0]!r}; expected one of {', '.join(names)}, the columns of the "
            "predictions. Give all labels as names."
        )
    rarest = min(counts, key=lambda label: (counts[label], label)) if counts else None
    if rarest is None or counts[rarest] < 2 or len(counts) < 2:
        found = "no examples" if rarest is None else f"{counts[rarest]} of label {rarest!r} among {len(counts)} labels"
        raise DataError(
            f"ablation: found {found}; expected at least two labels with two examples each, one to train on and one to "
            "hold out. Add examples."
        )
    return min(folds, counts[rarest])


def _scores(probabilities: NDArray[np.floating], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return whether each text was right and its log-loss, (B, 2)."""
    own = np.maximum(probabilities[np.arange(len(truth)), truth].astype(np.float64), MIN_PROBABILITY)
    return np.stack([probabilities.argmax(axis=1) == truth, -np.log(own)], axis=1).astype(np.float64)


def _sign(paired: PairedDifference) -> int:
    return int(paired.difference.low > 0) - int(paired.difference.high < 0)
