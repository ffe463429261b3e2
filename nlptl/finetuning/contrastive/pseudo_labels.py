"""The unlabelled pile in fine-tuning: pseudo-labels with aligned shares, behind a gate that the labelled texts decide.

The supervised training labels the pile. Each label keeps its most certain texts, after the predicted shares of the labels
were brought to the expected ones (distribution alignment: Berthelot et al. 2020; AdaMatch, Roelofs et al. 2022). A student then
learns from both, its augmented views of a text pulled to the same label (consistency: FixMatch, Sohn et al. 2020).

Shapes: n labelled texts, P texts of the pile, D dimension, K labels, B rows.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from nlptl.evaluation.held_out import Split, folds
from nlptl.finetuning.contrastive.contrastive_training import PASSES, batch_size_for, passes_for, steps_for
from nlptl.finetuning.contrastive.rows import Contrast
from nlptl.finetuning.gradient.layer_tuner import LayerFit
from nlptl.finetuning.linear import LinearHead, fit_temperature, log_losses
from nlptl.training.distributed import broadcast

OPEN = ("nothing", "head", "student")  # how far the gate opens
WAYS = ("without", "in the head", "in training")
ALIGNMENT_ROUNDS = 50


@dataclasses.dataclass(frozen=True)
class PseudoLabelling:
    """Settings of pseudo-labelling."""

    share: float = 0.25  # share of the pile that gets pseudo-labels, the most certain texts first
    steps: int | None = None  # steps of the student; None for as many as its texts ask for
    gate: Literal["auto", "always"] = "auto"  # auto lets the labelled texts decide; always uses the pile unseen
    folds: int = 2  # parts of the cross-fitting by which they decide


def texts_to_pass(pile: int, examples: int, labels: int, use: PseudoLabelling, *, names: float = 0.0) -> float:
    """Return about how many texts pass forwards through all layers for a pile of so many, at two thirds of them moving.

    The gate trains twice without the pile and two students; one more student follows. Each needs the pile encoded before it
    and the pseudo-labelled share after it. A backward pass counts twice. `names` is the length of a label's sentences, in texts.
    """
    size, upper = batch_size_for(labels), 2 / 3
    chosen = use.share * pile
    student = use.steps or steps_for(round(examples + chosen), size, passes=PASSES[0])
    alone = steps_for(examples // 2, size, passes=passes_for(examples // 2, labels))
    a_step = size + names * min(labels, size // 2)
    return pile / 3 + upper * (3 * (pile + chosen + 3 * a_step * student) + 2 * 3 * a_step * alone)


@dataclasses.dataclass(frozen=True)
class HeldOutTrial:
    """Held-out scores of one way to use the pile."""

    name: str
    losses: Tensor  # log-losses (n,) at its own best temperature
    right: float  # share of right predictions

    def is_worse(self, other: HeldOutTrial) -> bool:
        """Say whether the other one's loss is lower by more than the standard error of the difference."""
        difference = self.losses - other.losses
        return float(difference.mean()) > float(difference.std()) / math.sqrt(len(difference))


def with_pile(
    contrast: Contrast, use: PseudoLabelling, fit: LayerFit, vectors: Tensor, head: LinearHead
) -> tuple[LayerFit, Tensor, LinearHead, bool]:
    """Return fit, vectors (all, D), head and True after the pile; those given and False where it is left out.

    Three ways compete: no pile; pseudo-labels in the head alone; a student that learns from them. Gate auto fits each to parts
    of the labelled texts and scores it on the rest. The student is taken unless its log-loss is higher than without the pile
    by more than the standard error: a few texts cannot show a gain, but they show harm. Else the head is taken where it is
    lower by as much. Pseudo-labels that leave a label out close the gate at once.
    """
    pseudo = pseudo_labels(contrast, vectors, head, share=use.share)
    absent = contrast.label_count - len(torch.unique(pseudo[1]))
    if absent:
        told = f"The pile is left out: none of its texts is taken for {absent} of the {contrast.label_count} labels."
        contrast.task.context.record.add_finding("pile", {"used": "nothing"}, told, warns=True)
        return fit, vectors, head, False
    way, told = ("student", "The pile is used, as the settings say") if use.gate == "always" else _gate(contrast, use)
    told += "" if way == "nothing" else f"; {len(pseudo[0])} of its {len(contrast.pile)} texts got pseudo-labels."
    contrast.task.context.record.add_finding(
        "pile", {"used": way, "pseudo_labels": len(pseudo[0])}, told, warns=way == "nothing"
    )
    if way == "nothing":
        return fit, vectors, head, False
    if way == "head":
        return fit, vectors, contrast.head(vectors, contrast.own, pseudo=pseudo), True
    return *_student(contrast, use, contrast.own, pseudo), True


def pseudo_labels(contrast: Contrast, vectors: Tensor, head: LinearHead, *, share: float) -> tuple[Tensor, Tensor]:
    """Return rows of the pile and their labels (B,): of each label the most certain ones, its quota of `share`."""
    logits = head.logits(vectors[contrast.pile])
    counts = torch.bincount(contrast.labels[contrast.own], minlength=contrast.label_count).double()
    shares = (counts + 1) / (counts + 1).sum()  # the draw may be uneven by chance
    certainty, labels = aligned(logits.softmax(dim=1), shares).max(dim=1)
    rows = []
    for label, part in enumerate(shares.tolist()):
        own = torch.nonzero(labels == label).flatten()
        quota = math.ceil(share * len(contrast.pile) * part)
        rows.append(own[certainty[own].argsort(descending=True, stable=True)[:quota]])
    chosen = torch.cat(rows)
    return contrast.pile[chosen], labels[chosen]


def aligned(probabilities: Tensor, shares: Tensor) -> Tensor:
    """Return probabilities (P, K) scaled label by label until their mean is `shares` (K,), each row summing to 1.

    That is iterative proportional fitting (Deming & Stephan 1940) of the rows to 1 and the columns to the shares.
    """
    found = probabilities.double().clamp(min=1e-12)
    for _ in range(ALIGNMENT_ROUNDS):
        found = found * (shares / found.mean(dim=0))
        found = found / found.sum(dim=1, keepdim=True)
    return found


def _student(
    contrast: Contrast, use: PseudoLabelling, rows: Tensor, pseudo: tuple[Tensor, Tensor]
) -> tuple[LayerFit, Tensor, LinearHead]:
    fit = contrast.train(rows, pseudo=pseudo, steps=use.steps, name="training with the pile")
    vectors = contrast.vectors(fit, pile=pseudo[0])
    return fit, vectors, contrast.head(vectors, rows, pseudo=pseudo)


def _gate(contrast: Contrast, use: PseudoLabelling) -> tuple[str, str]:
    """Return which way the labelled texts speak for, and the sentence that says so."""
    examples, splits = contrast.task.examples, []
    if int(torch.bincount(examples.label_ids, minlength=contrast.label_count).min()):
        splits = folds(examples.label_ids.numpy(), examples.groups, parts=use.folds, seed=contrast.settings.seed)
    if not splits:
        told = "a label has one example, so that nothing could be held out to try it on"
        return "nothing", f"The pile is left out: {told}."
    without, in_head, in_training = trials = _trials(contrast, use, splits)
    told = ", ".join(
        f"{trial.name} {float(trial.losses.mean()):.3f} ({100 * trial.right:.0f} % right)" for trial in trials
    )
    end = f"held-out log-loss of the {len(examples.groups.first)} labelled texts in {len(splits)} parts: {told}"
    way = "student"
    if in_training.is_worse(without):
        way = "head" if without.is_worse(in_head) else "nothing"
    way = OPEN[round(broadcast(OPEN.index(way)))]
    if way == "nothing":
        return way, f"The pile is left out, it would do harm: {end}."
    return way, f"The pile is used {(in_training if way == 'student' else in_head).name}: {end}"


def _trials(contrast: Contrast, use: PseudoLabelling, splits: Sequence[Split]) -> list[HeldOutTrial]:
    """Fit all ways to each part's complement and score them on the part; copies of a text go where it goes."""
    count = len(contrast.own)
    found = {name: torch.zeros(count, contrast.label_count, dtype=torch.float64) for name in WAYS}
    for split in splits:
        rows, tested = torch.from_numpy(split.training), torch.from_numpy(split.once)
        fit = contrast.train(rows, name="trying the pile, without")
        vectors = contrast.vectors(fit, pile=contrast.pile)
        head = contrast.head(vectors, rows)
        pseudo = pseudo_labels(contrast, vectors, head, share=use.share)
        found[WAYS[0]][tested] = head.logits(vectors[tested])
        found[WAYS[1]][tested] = contrast.head(vectors, rows, pseudo=pseudo).logits(vectors[tested])
        _, vectors, head = _student(contrast, use, rows, pseudo)
        found[WAYS[2]][tested] = head.logits(vectors[tested])
    once = torch.from_numpy(contrast.task.examples.groups.first)
    labels = contrast.task.examples.label_ids[once]
    return [_trial(name, logits[once], labels) for name, logits in found.items()]


def _trial(name: str, logits: Tensor, labels: Tensor) -> HeldOutTrial:
    losses = log_losses(logits / fit_temperature(logits, labels), labels)
    return HeldOutTrial(name, losses, float((logits.argmax(dim=1) == labels).double().mean()))
