"""Which method the labels can support: by rule where they are few, by held-out texts where they are many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from nlptl.evaluation.calibration import corrected_temperature, log_probabilities
from nlptl.evaluation.held_out import halves, split
from nlptl.finetuning.contrastive.contrastive_training import batch_size_for, passes_for, steps_for
from nlptl.finetuning.examples import LabelledExamples
from nlptl.models.classifier import TextClassifier
from nlptl.training.distributed import broadcast

MIN_EXAMPLES, MIN_EXAMPLES_PER_LABEL = 100, 16  # from which methods are compared on some of them: see `by_rule`
MIN_SELECTION_TEXTS, MIN_SELECTION_TEXTS_PER_LABEL = 100, 5  # of data.validation, from which they are compared on it
MIN_EXAMPLES_ONE_SPLIT = 400  # from which one held-out part tells methods apart, and `full` is tried; below, two halves
HELD_OUT_SHARE, MAX_HELD_OUT = 0.2, 1000


@dataclasses.dataclass(frozen=True)
class ExampleStatistics:
    """Facts about the labelled examples that decide which method `auto` takes."""

    examples: int
    labels: int
    fewest: int  # examples of the rarest label
    word_vectors: bool  # or the embeddings of a transformer: there are no layers that can learn
    has_label_words: bool
    validation: int = 0  # validation texts that can select; see `selection_rows`

    @property
    def too_few(self) -> bool:
        """Whether nothing can be held out of the examples."""
        return self.examples < MIN_EXAMPLES or self.examples < MIN_EXAMPLES_PER_LABEL * self.labels

    @property
    def selects_by_validation(self) -> bool:
        """Whether validation texts tell more than examples that are held out."""
        one_split = self.examples >= MIN_EXAMPLES_ONE_SPLIT
        held_out = _held_out_count(self.examples) if one_split else self.examples
        return self.validation >= MIN_SELECTION_TEXTS and (self.too_few or self.validation >= held_out)

    @property
    def worth_trying(self) -> list[str]:
        """Methods to compare, the one to beat first."""
        return ["contrastive", "head"] if self.examples < MIN_EXAMPLES_ONE_SPLIT else ["contrastive", "full", "head"]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One method that may be chosen, with the estimated time of one training on all examples and of one prediction."""

    method: str
    seconds: float
    seconds_a_text: float
    train: Callable[[Sequence[int]], TextClassifier]  # train on the examples with these row numbers


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """The method to take, and why; the estimated time of what was tried."""

    method: str
    why: str
    temperature: float = 1.0  # by which its logits are to be divided, as the `scored` texts say that it was scored on
    scored: int = 0
    seconds: float = 0.0

    @property
    def learns_from_pile(self) -> bool:
        """Whether self-training on the pile may follow: not after full updates, for which there are labels enough."""
        return self.method != "full"


@dataclasses.dataclass(frozen=True)
class TrialSplit:
    """Examples that a candidate is trained on, and texts that it is scored on."""

    training: Sequence[int]  # row numbers of the examples
    texts: Sequence[str]
    labels: Sequence[int]


@dataclasses.dataclass(frozen=True)
class MethodTrial:
    """How candidates are compared: one split, or several in turn."""

    splits: Sequence[TrialSplit]
    told: str  # what is scored, as the beginning of a sentence


def by_rule(found: ExampleStatistics) -> MethodChoice | None:
    """Choose where the examples are too few to compare methods on them; None where they are not."""
    count = f"{found.examples} examples of {found.labels} labels (the rarest has {found.fewest})"
    if found.word_vectors:
        why = f"With {count} over vectors of words the head alone learns: there are no layers to move."
        return MethodChoice("head", why)
    if found.fewest < 2 and not found.has_label_words:
        why = "there is no second text of a label to set beside the first, so the head alone learns"
        return MethodChoice("head", f"With {count} and label names that say nothing, {why}.")
    if not found.too_few or found.selects_by_validation:
        return None
    why = f"fewer than {MIN_EXAMPLES_PER_LABEL} a label, what is left beside a held-out part would be too few to learn from"
    if found.examples < MIN_EXAMPLES:
        # Two standard errors of a paired difference when one example in five is judged differently.
        points = 100 * 2 * math.sqrt(0.2 / found.examples)
        why = f"cross-validation could tell methods apart only where they differ by {points:.0f} points or more"
    why = (
        f"With {count}, {why}, so nothing is tried out. Contrastive training learns from every pair of examples, and a head "
        "follows; the head alone would learn less, and LoRA or full updates vary more from run to run on so few examples."
    )
    return MethodChoice("contrastive", why)


def passes_of(method: str, examples: int, labels: int, *, names: float = 0.0) -> float:
    """Return about how many forward passes over all examples a training by `method` costs at its defaults.

    A backward pass counts twice. contrastive: its steps, in two thirds of the layers; `names` is the length of a label's
    sentences in texts, which join each step. full: four epochs at least, chosen on a held-out part and then trained again.
    """
    if method == "head":
        return 1.0
    if method == "contrastive":
        size = batch_size_for(labels)
        a_step = size + names * min(labels, size // 2)
        return 1 + 2 * steps_for(examples, size, passes=passes_for(examples, labels)) * a_step / examples
    return 2 * 3 * max(4, 100 / max(1, examples / 32))


def selection_rows(labels: Sequence[int], label_count: int, *, seed: int) -> list[int]:
    """Return the row numbers of validation texts that compare methods: about `MAX_HELD_OUT` at most, evenly by label.

    No rows where a label has fewer than `MIN_SELECTION_TEXTS_PER_LABEL`: accuracy on the others shows a leaning alone.
    """
    ids = np.asarray(labels, dtype=np.int64)
    if np.bincount(ids, minlength=label_count).min() < MIN_SELECTION_TEXTS_PER_LABEL:
        return []
    if len(ids) < MAX_HELD_OUT + label_count:  # the rest would be too few to draw evenly
        return list(range(len(ids)))
    return sorted(split(ids, None, held_out=MAX_HELD_OUT, seed=seed).once.tolist())


def trial_on_validation(examples: int, texts: Sequence[str], labels: Sequence[int]) -> MethodTrial:
    """Return the trial that trains on all examples and scores on texts that are given for it."""
    return MethodTrial([TrialSplit(range(examples), texts, labels)], f"On {len(texts)} validation texts")


def trial_on_examples(examples: LabelledExamples, *, seed: int) -> MethodTrial:
    """Return the trial on the examples themselves: two halves in turn, or one held-out part of many examples.

    Copies of an example are held out with it, and scored once.
    """
    labels, distinct = examples.label_ids.numpy(), len(examples.groups.first)
    if distinct >= MIN_EXAMPLES_ONE_SPLIT:
        found = [split(labels, examples.groups, held_out=_held_out_count(distinct), seed=seed)]
    else:
        found = halves(labels, examples.groups, seed=seed)
    splits = [
        TrialSplit(one.training.tolist(), [examples.texts[row] for row in one.once], labels[one.once].tolist())
        for one in found
    ]
    scores = sum(len(split.texts) for split in splits)
    how = "held out in two halves" if len(splits) > 1 else "held out"
    return MethodTrial(splits, f"On {scores} of the {len(examples)} examples, {how}")


def by_trial(candidates: Sequence[Candidate], trial: MethodTrial, *, examples: int, seconds: float) -> MethodChoice:
    """Train each candidate on the `examples`, or some of them, and score it on other texts; the best one is chosen.

    The first candidate is the one to beat: another replaces it when it is better by more than the standard error of the
    difference. What `seconds` do not allow is not tried. What the chosen one predicted also tells its temperature.
    """
    labels = np.concatenate([np.asarray(split.labels) for split in trial.splits])
    trained = sum(len(split.training) for split in trial.splits) / examples
    budget = seconds - candidates[0].seconds
    left, told = budget, []
    probabilities: dict[str, NDArray[np.float64]] = {}
    for candidate in candidates:
        cost = candidate.seconds * trained + candidate.seconds_a_text * len(labels)
        if cost > left:
            told.append(f"{candidate.method} was not tried, for it would take about {cost / 60:.2g} minutes")
            if candidate is candidates[0]:
                break  # nothing stands to be compared with
            continue
        left -= cost
        found = [candidate.train(split.training).predict_proba(split.texts) for split in trial.splits]
        probabilities[candidate.method] = np.concatenate(found)
        told.append(f"{candidate.method} got {(probabilities[candidate.method].argmax(axis=1) == labels).mean():.3f}")
    first = candidates[0].method
    if first not in probabilities:
        return MethodChoice(first, f"{trial.told}, {', '.join(told)}; {first} was taken unseen, as the first choice.")
    methods = list(probabilities)
    best = methods[round(broadcast(methods.index(_best(probabilities, labels))))]
    why = f"{trial.told}, {', '.join(told)}; {best} was taken and trained again on all examples."
    temperature = broadcast(corrected_temperature(log_probabilities(probabilities[best]), torch.from_numpy(labels)))
    return MethodChoice(best, why, temperature, len(labels), budget - left)


def _best(probabilities: Mapping[str, NDArray[np.float64]], labels: NDArray[np.int64]) -> str:
    """Return the first method, or another that is better by more than the standard error of the difference."""
    right = {method: (found.argmax(axis=1) == labels).astype(np.float64) for method, found in probabilities.items()}
    best = next(iter(right))
    for method, scores in right.items():
        difference = scores - right[best]
        if difference.mean() > difference.std(ddof=1) / math.sqrt(len(difference)):
            best = method
    return best


def _held_out_count(examples: int) -> int:
    """Return how many of so many examples are held out once."""
    return min(MAX_HELD_OUT, round(HELD_OUT_SHARE * examples))
