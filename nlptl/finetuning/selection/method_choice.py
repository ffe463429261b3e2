"""Which method the labels can support: by rule where they are few, by held-out texts where they are many."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nlptl.evaluation.calibration import log_probabilities
from nlptl.evaluation.held_out import halves, split
from nlptl.finetuning.contrastive.contrastive_training import batch_size_for, passes_for, steps_for
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.selection.stacking import Stacking, stacked
from nlptl.models.views import View
from nlptl.training.distributed import broadcast

MIN_EXAMPLES, MIN_EXAMPLES_PER_LABEL = 100, 16  # from which methods are compared on some of them: see `by_rule`
MIN_SELECTION_TEXTS, MIN_SELECTION_TEXTS_PER_LABEL = 100, 5  # of data.validation, from which they are compared on it
MIN_EXAMPLES_ONE_SPLIT = 400  # from which one held-out part tells methods apart, and `full` is tried; below, two halves
HELD_OUT_SHARE, MAX_HELD_OUT = 0.2, 1000
FULL_EPOCHS = 4  # of the method `full`, where the time allows them


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
        return too_few(self.examples, self.labels)

    @property
    def selects_by_validation(self) -> bool:
        """Whether validation texts tell more than examples that are held out."""
        one_split = self.examples >= MIN_EXAMPLES_ONE_SPLIT
        held_out = _held_out_count(self.examples) if one_split else self.examples
        return self.validation >= MIN_SELECTION_TEXTS and (self.too_few or self.validation >= held_out)


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One method that may be chosen, with the estimated time of one training on all examples and of one prediction."""

    method: str
    seconds: float
    seconds_a_text: float
    train: Callable[[Sequence[int]], Fitted]  # train on the examples with these row numbers
    again: bool = True  # whether it is trained again on all examples; else what was compared is kept


@dataclasses.dataclass(frozen=True)
class MethodChoice:
    """The method to take, and why; the estimated time of what was tried."""

    method: str
    why: str
    temperature: float = 1.0  # by which its logits are to be divided, as the `scored` texts say that it was scored on
    scored: int = 0
    seconds: float = 0.0
    words_weight: float = 0.0  # by which the words' logits join those of the method, where these are worth it
    steps: int | None = None  # of contrastive, where the time allows fewer than its own
    learnt: LabelledExamples | None = None  # what was learnt from: all examples, or those that the time allows
    fitted: Fitted | None = None  # in the comparison, where there is no time to train again
    held_out_rows: Sequence[int] = ()  # of the examples among the `scored` texts
    held_out_logits: Tensor | None = None  # (N, K) of these, with the words
    not_tried: Sequence[str] = ()  # methods that the time did not allow

    def logits_of(self, examples: int) -> Tensor | None:
        """Return the held-out logits (n, K) of so many examples, NaN where not held out; None without any."""
        if self.held_out_logits is None or not len(self.held_out_rows):
            return None
        found = torch.full((examples, self.held_out_logits.shape[1]), math.nan, dtype=self.held_out_logits.dtype)
        found[list(self.held_out_rows)] = self.held_out_logits
        return found


@dataclasses.dataclass(frozen=True)
class TrialSplit:
    """Examples that a candidate is trained on, and texts that it is scored on."""

    training: Sequence[int]  # row numbers of the examples
    texts: Sequence[str]
    labels: Sequence[int]
    rows: Sequence[int] = ()  # of the examples that the texts are; none where they are no examples


@dataclasses.dataclass(frozen=True)
class MethodTrial:
    """How candidates are compared: one split, or several in turn."""

    splits: Sequence[TrialSplit]
    told: str  # what is scored, as the beginning of a sentence


def too_few(examples: int, labels: int) -> bool:
    """Say whether nothing can be held out of so many examples, and a pile may teach more than they do."""
    return examples < MIN_EXAMPLES or examples < MIN_EXAMPLES_PER_LABEL * labels


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
        f"With {count}, {why}, so nothing is tried out. Contrastive training was best on the mean of ten data sets; on some a head "
        "alone is as good or better. LoRA and full updates vary more from run to run on so few examples."
    )
    return MethodChoice("contrastive", why)


def passes_of(
    method: str,
    examples: int,
    labels: int,
    *,
    names: float = 0.0,
    steps: int | None = None,
    epochs: int = FULL_EPOCHS,
) -> float:
    """Return about how many forward passes over all examples one training by `method` costs.

    A backward pass counts twice. contrastive: its steps, in two thirds of the layers; `names` is the length of a label's
    sentences in texts, which join each step. full: its epochs. Both pass over the texts once before and once after.
    """
    if method == "head":
        return 1.0
    if method == "contrastive":
        size = batch_size_for(labels)
        a_step = size + names * min(labels, size // 2)
        steps = steps or steps_for(examples, size, passes=passes_for(examples, labels))
        return 1 + 2 * steps * a_step / examples
    return 1 + 3 * epochs


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
        TrialSplit(
            one.training.tolist(),
            [examples.texts[row] for row in one.once],
            labels[one.once].tolist(),
            one.once.tolist(),
        )
        for one in found
    ]
    scores = sum(len(split.texts) for split in splits)
    how = "held out in two halves" if len(splits) > 1 else "held out"
    return MethodTrial(splits, f"On {scores} of the {len(examples)} examples, {how}")


def by_trial(
    candidates: Sequence[Candidate],
    trial: MethodTrial,
    *,
    examples: int,
    seconds: float,
    words: Callable[[Sequence[int]], View | None] | None = None,
    learnt: int | None = None,
) -> MethodChoice:
    """Train each candidate on the `examples`, or some of them, and score it on other texts; the best one is chosen.

    The first candidate is the one to beat: another replaces it when it is better by more than the standard error of the
    difference. What `seconds` do not allow is not tried. What the chosen one predicted also tells its temperature.
    `words` fits a classifier by words to the same examples; it joins each candidate that it helps. `learnt` says how many of
    the examples a candidate learns from in the end, where not all.
    """
    labels = np.concatenate([np.asarray(split.labels) for split in trial.splits])
    trained = sum(len(split.training) for split in trial.splits) / examples
    reserved = candidates[0].seconds if candidates[0].again else 0.0
    budget = seconds - reserved
    left, told, not_tried = budget, list[str](), list[str]()
    by_words = _logits_of_words(trial, words) if words is not None else None
    found: dict[str, Stacking] = {}
    kept: dict[str, Fitted] = {}
    for candidate in candidates:
        cost = candidate.seconds * trained + candidate.seconds_a_text * len(labels)
        if cost + (max(0.0, candidate.seconds - reserved) if candidate.again else 0.0) > left:
            told.append(f"{candidate.method} was not tried, for it would take about {cost / 60:.2g} minutes")
            not_tried.append(candidate.method)
            if candidate is candidates[0]:
                break  # nothing stands to be compared with
            continue
        left -= cost
        fits = [candidate.train(split.training) for split in trial.splits]
        parts = zip(fits, trial.splits, strict=True)
        probabilities = np.concatenate([fitted.classifier.predict_proba(split.texts) for fitted, split in parts])
        found[candidate.method] = stacked(log_probabilities(probabilities), by_words, torch.from_numpy(labels))
        told.append(f"{candidate.method} got {found[candidate.method].told(labels)}")
        if not candidate.again and len(fits) == 1:
            kept[candidate.method] = fits[0]
    first = candidates[0].method
    if first not in found:
        return MethodChoice(first, f"{trial.told}, {', '.join(told)}; {first} was taken unseen, as the first choice.")
    methods = list(found)
    best = methods[round(broadcast(methods.index(_best({name: one.scores() for name, one in found.items()}, labels))))]
    chosen = found[best]
    why = f"{trial.told}, {', '.join(told)}; {best} was taken {_then(best in kept, learnt=learnt, examples=examples)}."
    temperature, weight = broadcast(chosen.temperature(torch.from_numpy(labels))), broadcast(chosen.words_weight)
    rows = [row for split in trial.splits for row in split.rows]
    return MethodChoice(
        best, why, temperature, len(labels), budget - left, weight, fitted=kept.get(best), held_out_rows=rows,
        held_out_logits=chosen.logits, not_tried=not_tried,
    )  # fmt: skip


def _then(is_kept: bool, *, learnt: int | None, examples: int) -> str:
    """Return what follows a comparison, as the end of a sentence."""
    if is_kept:
        return "as it stands"
    return f"and trained again on {'all' if learnt in (None, examples) else f'{learnt} of the {examples}'} examples"


def _logits_of_words(trial: MethodTrial, words: Callable[[Sequence[int]], View | None]) -> Tensor | None:
    """Return the logits (N, K) of the scored texts by their words; None where there is a part without words."""
    views = [words(split.training) for split in trial.splits]
    if any(view is None for view in views):
        return None
    parts = [view.vectors(split.texts) for view, split in zip(views, trial.splits, strict=True) if view is not None]
    return torch.cat(parts).double()


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
