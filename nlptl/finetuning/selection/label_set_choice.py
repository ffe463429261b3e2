"""Which method learns texts with several labels: the head alone, or all layers where held-out texts show that these help.

Shapes: n examples, K labels, H held-out examples, R resamples.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nlptl.context import Record, RunContext
from nlptl.evaluation.held_out import folds_of_sets
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted, Method
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.method_choice import FULL_EPOCHS, MIN_EXAMPLES_ONE_SPLIT, passes_of
from nlptl.finetuning.thresholds import thresholds_of
from nlptl.models.classifier import TextClassifier
from nlptl.training.distributed import broadcast

PARTS = 5  # one of which is held out
RESAMPLES = 400


@dataclasses.dataclass(frozen=True)
class LabelSetTask:
    """What is learnt, by which methods, in which time."""

    given: TextClassifier
    examples: LabelledExamples
    context: RunContext
    speed: EncodingSpeed
    head: Method
    full: Callable[[int], Method]  # of so many epochs
    seconds: float


def fitted_to_label_sets(task: LabelSetTask) -> Fitted:
    """Return the fit of the head alone, or of all layers where their micro-F1 on held-out examples is surely higher.

    The higher one must lead by more than its standard error, since the head alone is cheaper and forgets nothing.
    """
    given, examples = task.given, task.examples
    count, kind = len(examples.groups.first), given.encoder.token_model.kind
    head = task.head.fit(given, examples, task.context)
    may_be_full = kind == "transformer" and count >= MIN_EXAMPLES_ONE_SPLIT
    epochs = _affordable_epochs(task) if may_be_full else 0
    if may_be_full and epochs < FULL_EPOCHS:
        task.context.record.add_cut(f"full took {epochs} of {FULL_EPOCHS} epochs" if epochs else "full was not tried")
    if not epochs:
        why = "the encoder has no layers that could learn"
        if kind == "transformer":
            why = "the time is short" if count >= MIN_EXAMPLES_ONE_SPLIT else f"{count} examples are few"
        task.context.record.add_finding("update", "head", f"The head alone learns, since {why}.")
        return head
    assert examples.label_sets is not None
    held_out = torch.from_numpy(
        folds_of_sets(examples.label_sets.numpy(), examples.groups, parts=PARTS, seed=task.context.seed)[0].held_out
    )
    logits = _trial(task, epochs, held_out)
    truth = examples.label_sets[held_out]
    of_head = torch.full_like(logits, math.nan) if head.held_out_logits is None else head.held_out_logits()
    assert of_head is not None
    lead, error, scores = _lead(logits[held_out], of_head[held_out], truth, seed=task.context.seed)
    told = f"On {len(held_out)} held-out examples micro-F1 is {scores[0]:.3f} with all layers, {scores[1]:.3f} with the head alone"
    if not broadcast(float(lead > error)):
        task.context.record.add_finding("update", "head", f"{told}, so the head alone learns.")
        return head
    task.context.record.add_finding("update", "full", f"{told}, so all layers learn.")
    fitted = task.full(epochs).fit(given, examples, task.context)
    return dataclasses.replace(fitted, held_out_logits=lambda: logits)


def _affordable_epochs(task: LabelSetTask) -> int:
    """Return the epochs of `full` that the time allows, for the trial and once more on all examples; 0 for none."""
    count, labels = len(task.examples), task.examples.label_count
    one_pass = task.speed.seconds_for(task.examples.texts)
    for epochs in range(FULL_EPOCHS, 1, -1):
        passes = passes_of("full", count, labels, epochs=epochs)
        if one_pass * (1 + passes * (2 - 1 / PARTS)) <= task.seconds:
            return epochs
    return 0


def _trial(task: LabelSetTask, epochs: int, held_out: Tensor) -> Tensor:
    """Return the logits (n, K) of held-out examples by `full` on the others; NaN for the others."""
    examples = task.examples
    learnt = np.setdiff1d(np.arange(len(examples)), held_out.numpy()).tolist()
    silent = dataclasses.replace(task.context, record=Record(), checkpoint_folder=None)
    fitted = task.full(epochs).fit(task.given, examples.select(learnt), silent)
    found = torch.full((len(examples), examples.label_count), math.nan, dtype=torch.float64)
    texts = [examples.texts[row] for row in held_out.tolist()]
    found[held_out] = torch.from_numpy(fitted.classifier.probabilities(texts)).logit(eps=1e-12)
    return found


def _lead(one: Tensor, other: Tensor, truth: Tensor, *, seed: int) -> tuple[float, float, tuple[float, float]]:
    """Return by how much the micro-F1 of one exceeds that of the other (H, K), its standard error, and both."""
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(truth), np.full(len(truth), 1 / len(truth)), size=RESAMPLES)
    draws, scores = [], []
    for logits in (one, other):
        known = logits.nan_to_num(nan=-math.inf)  # an example that nothing held out has no label
        bars = torch.tensor(thresholds_of(logits, truth, shared=True).values, dtype=torch.float64)
        guessed, true = (known.double().sigmoid() >= bars).numpy(), truth.numpy() > 0
        hits, total = 2.0 * (guessed & true).sum(axis=1), (guessed.sum(axis=1) + true.sum(axis=1)).astype(np.float64)
        draws.append(drawn @ hits / np.maximum(drawn @ total, 1))
        scores.append(float(hits.sum() / max(1.0, total.sum())))
    return scores[0] - scores[1], float((draws[0] - draws[1]).std()), (scores[0], scores[1])
