"""Which update the labels can support: decided by rule where they are few, by texts that are held out where they are many.

Shapes: n labelled examples, K labels.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.evaluation.calibration import corrected_temperature, log_probabilities
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.contrastive.training import batch_size_for, passes_for, steps_for
from nlptl.models.classifier import TextClassifier
from nlptl.training.distributed import broadcast

FEW = 100
"""Examples below which updates are not compared on some of them: see `resolution`."""
FEW_EACH = 16
"""Examples a label, on average, below which they are not either: a part would leave too few to learn from."""
JUDGES, JUDGES_EACH = 100, 5
"""Validation texts, in all and of each label, from which updates are compared on them."""
MANY = 400
"""Examples from which one held-out part tells updates apart, and all layers are worth a try; below, two halves take turns."""
HELD_OUT = 0.2
MOST_HELD_OUT = 1000
MEASURED = 64
"""Texts by which the speed of the machine is measured."""


@dataclasses.dataclass(frozen=True)
class Situation:
    """What the choice hangs on."""

    examples: int
    labels: int
    fewest: int
    """Examples of the rarest label."""
    word_vectors: bool
    """Whether the encoder has no layers to move: a table of vectors, or the embeddings of a transformer."""
    names_speak: bool
    """Whether every label's name says something."""
    validation: int = 0
    """Validation texts that can judge; see `judges`."""

    @classmethod
    def of(
        cls, labels: Sequence[str], known: Sequence[str], *, word_vectors: bool, names_speak: bool, validation: int = 0
    ) -> Situation:
        """Return the situation of examples with these `labels`, of the `known` ones."""
        fewest = min(map(labels.count, known))
        return cls(len(labels), len(known), fewest, word_vectors, names_speak, validation)

    @property
    def too_few(self) -> bool:
        """Whether nothing can be held out of the examples."""
        return self.examples < FEW or self.examples < FEW_EACH * self.labels

    @property
    def judged_by_validation(self) -> bool:
        """Whether validation texts tell more than examples that are held out."""
        held_out = self.examples if self.examples < MANY else _held_out(self.examples)
        return self.validation >= JUDGES and (self.too_few or self.validation >= held_out)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One update that may be chosen."""

    method: str
    seconds: float
    """Estimated time of one training on all examples."""
    seconds_a_text: float
    """Estimated time of one text's prediction."""
    train: Callable[[Sequence[int]], TextClassifier]
    """Train on the examples with these row numbers."""


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The update to take, and why."""

    method: str
    why: str
    temperature: float = 1.0
    """By which its logits are to be divided, as the texts say that it was scored on."""
    scored: int = 0
    """How many these were."""
    seconds: float = 0.0
    """Estimated time of what was tried."""


@dataclasses.dataclass(frozen=True)
class Split:
    """What a candidate is trained on, and the texts that it is then scored on."""

    training: Sequence[int]
    """Row numbers of the examples."""
    texts: Sequence[str]
    labels: Sequence[int]


@dataclasses.dataclass(frozen=True)
class Trial:
    """How candidates are compared: one split, or several in turn."""

    splits: Sequence[Split]
    told: str
    """What is scored, as the beginning of a sentence."""


def resolution(examples: int) -> float:
    """Return the difference in accuracy below which cross-validation on so many examples shows nothing.

    Two standard errors of a paired difference when one example in five is judged differently.
    """
    return 2 * math.sqrt(0.2 / examples)


def by_rule(found: Situation) -> Chosen | None:
    """Choose where the examples are too few to compare updates on them; None where they are not."""
    count = f"{found.examples} examples of {found.labels} labels (the rarest has {found.fewest})"
    if found.word_vectors:
        return Chosen("head", f"With {count} over vectors of words the head alone learns: there are no layers to move.")
    if found.fewest < 2 and not found.names_speak:
        return Chosen(
            "head",
            f"With {count} and label names that say nothing, there is no second text of a label to set beside the first, "
            "so the head alone learns.",
        )
    if found.too_few and not found.judged_by_validation:
        why = (
            f"cross-validation could tell updates apart only where they differ by {100 * resolution(found.examples):.0f} "
            "points or more"
            if found.examples < FEW
            else f"fewer than {FEW_EACH} a label, what is left beside a part that is held out would be too few to learn from"
        )
        return Chosen(
            "contrastive",
            f"With {count}, {why}, so nothing is tried out. Contrastive training learns "
            "from every pair of examples, and a head follows; the head alone would learn less, and LoRA or full updates "
            "vary more from run to run on so few examples.",
        )
    return None


def seconds_a_pass(given: TextClassifier, texts: Sequence[str]) -> float:
    """Return the time in which all layers would run over the texts once forwards, measured on some of them."""
    some = list(texts[:: max(1, len(texts) // MEASURED)])[:MEASURED]
    given.encoder.encode(some[:4])  # the first call sets up threads and buffers
    begin = time.perf_counter()
    given.encoder.encode(some)
    return (time.perf_counter() - begin) * len(texts) / len(some)


def passes_of(method: str, examples: int, labels: int, *, names: float = 0.0) -> float:
    """Return about how many forward passes over all examples a training by `method` costs at its defaults.

    A backward pass counts twice. contrastive: its steps, in two thirds of the layers; `names` is how many texts a label's
    sentences are as long as, which join each step. full: four epochs at least, chosen
    on a held-out part and then trained again.
    """
    if method == "head":
        return 1.0
    if method == "contrastive":
        size = batch_size_for(labels)
        a_step = size + names * min(labels, size // 2)
        return 1 + 2 * steps_for(examples, size, passes=passes_for(examples, labels)) * a_step / examples
    return 2 * 3 * max(4, 100 / max(1, examples / 32))


def judges(labels: Sequence[int], label_count: int, *, seed: int) -> list[int]:
    """Return the row numbers of validation texts that compare updates: about `MOST_HELD_OUT` at most, evenly by label.

    No rows where a label has fewer than `JUDGES_EACH`: accuracy on the others shows a leaning and not what was learnt.
    """
    ids = np.asarray(labels, dtype=np.int64)
    if np.bincount(ids, minlength=label_count).min() < JUDGES_EACH:
        return []
    if len(ids) < MOST_HELD_OUT + label_count:  # the rest would be too few to draw evenly
        return list(range(len(ids)))
    return sorted(_parts(ids, MOST_HELD_OUT, seed=seed)[1].tolist())


def trial_on_validation(examples: int, texts: Sequence[str], labels: Sequence[int]) -> Trial:
    """Return the trial that trains on all examples and scores on texts that are given for it."""
    return Trial([Split(range(examples), texts, labels)], f"On {len(texts)} validation texts")


def trial_on_examples(texts: Sequence[str], labels: Sequence[int], *, seed: int) -> Trial:
    """Return the trial on the examples themselves: two halves in turn, or from `MANY` on one part that is held out.

    Copies of an example are held out with it, and scored once.
    """
    found = duplicate_groups(texts, labels)
    splits = []
    for training, tested in _splits(np.asarray(labels)[found.first], seed=seed):
        once = found.first[tested].tolist()
        scored = [texts[row] for row in once], [labels[row] for row in once]
        splits.append(Split(found.rows_of(training).tolist(), *scored))
    scores = sum(len(split.texts) for split in splits)
    how = "held out in two halves" if len(splits) > 1 else "held out"
    return Trial(splits, f"On {scores} of the {len(texts)} examples, {how}")


def by_trial(candidates: Sequence[Candidate], trial: Trial, *, examples: int, seconds: float) -> Chosen:
    """Train each candidate on the `examples`, or some of them, and score it on other texts; the best one is chosen.

    The first candidate is the one to beat: another replaces it when it is better by more than the standard error of the
    difference. What `seconds` do not allow is not tried. What the chosen one predicted also tells its temperature.
    """
    labels = np.concatenate([np.asarray(split.labels) for split in trial.splits])
    trained = sum(len(split.training) for split in trial.splits) / examples
    budget = seconds - candidates[0].seconds
    left, told = budget, []
    chances: dict[str, NDArray[np.float64]] = {}
    for candidate in candidates:
        cost = candidate.seconds * trained + candidate.seconds_a_text * len(labels)
        if cost > left:
            told.append(f"{candidate.method} was not tried, for it would take about {cost / 60:.2g} minutes")
            if candidate is candidates[0]:
                break  # nothing stands to be compared with
            continue
        left -= cost
        found = [candidate.train(split.training).predict_proba(split.texts) for split in trial.splits]
        chances[candidate.method] = np.concatenate(found)
        told.append(f"{candidate.method} got {(chances[candidate.method].argmax(axis=1) == labels).mean():.3f}")
    first = candidates[0].method
    if first not in chances:
        return Chosen(first, f"{trial.told}, {', '.join(told)}; {first} was taken unseen, as the first choice.")
    methods = list(chances)
    best = methods[round(broadcast(methods.index(_best(chances, labels))))]
    why = f"{trial.told}, {', '.join(told)}; {best} was taken and trained again on all examples."
    return Chosen(best, why, broadcast(_temperature(chances[best], labels)), len(labels), budget - left)


def _best(chances: Mapping[str, NDArray[np.float64]], labels: NDArray[np.int64]) -> str:
    """Return the first method, or another that is better by more than the standard error of the difference."""
    right = {method: (predicted.argmax(axis=1) == labels).astype(np.float64) for method, predicted in chances.items()}
    best = next(iter(right))
    for method, scores in right.items():
        difference = scores - right[best]
        if difference.mean() > difference.std(ddof=1) / math.sqrt(len(difference)):
            best = method
    return best


def _temperature(chances: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the temperature that corrects predictions (n, K) of held-out texts."""
    return corrected_temperature(log_probabilities(chances), torch.from_numpy(labels))


def _splits(labels: NDArray[np.int64], *, seed: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return rows to train on and rows to score: two halves in turn, or one part held out of many examples."""
    if len(labels) >= MANY:
        return [_parts(labels, _held_out(len(labels)), seed=seed)]
    first, second = _parts(labels, len(labels) // 2, seed=seed)
    alone = [label for label in np.unique(labels) if label not in labels[second]]
    return [(first, second)] if alone else [(first, second), (second, first)]


def _held_out(examples: int) -> int:
    """Return how many of `MANY` or more examples are held out."""
    return min(MOST_HELD_OUT, round(HELD_OUT * examples))


def _parts(labels: NDArray[np.int64], held_out: int, *, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows to train on and `held_out` rows to score, evenly by label; each label keeps a row to train on."""
    from sklearn.model_selection import train_test_split

    rows = np.arange(len(labels))
    counts = np.bincount(labels)
    if held_out >= np.count_nonzero(counts) and counts[counts > 0].min() > 1:
        training, tested = train_test_split(rows, test_size=held_out, stratify=labels, random_state=seed % 2**32)
        return training, tested
    order = np.random.default_rng(seed).permutation(rows)
    _, first = np.unique(labels[order], return_index=True)
    tested = np.delete(order, first)[:held_out]
    return np.setdiff1d(rows, tested), tested
