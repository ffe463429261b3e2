"""Logistic regression of one label at a time, where a text may have several labels.

Shapes: n examples, D dimension, K labels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nlptl.finetuning.linear.labelled_vectors import LabelledVectors
from nlptl.finetuning.linear.linear_head import LinearHead
from nlptl.finetuning.linear.logistic import PENALTIES, fit_logistic


@dataclasses.dataclass(frozen=True)
class OneVsRest:
    """K logistic regressions over the same vectors, each calibrated on held-out examples."""

    head: LinearHead  # a logit for each label
    held_out_logits: Tensor  # (n, K) by a fit without the example; NaN for the only example with, or without, a label
    strengths: tuple[float | None, ...]  # penalty of each label; None where all examples have the label

    @property
    def how(self) -> str:
        """The choice of the penalties as a sentence."""
        found = sorted({f"{strength:g}": None for strength in self.strengths if strength is not None}, key=float)
        span = " to ".join(dict.fromkeys([found[0], found[-1]])) if found else "none"
        return f"One logistic regression for each of {len(self.strengths)} labels; held-out examples chose penalties of {span}."


def fit_one_vs_rest(
    vectors: Tensor, targets: Tensor, *, copies: Tensor | None = None, penalties: Sequence[float] = PENALTIES,
    after_label: Callable[[], object] | None = None,
) -> OneVsRest:  # fmt: skip
    """Fit vectors (n, D) to targets (n, K) of 0 and 1, label by label. Examples count their copies (n,).

    `fit_logistic` holds examples out for each label, with and without it in equal shares, so that even a rare label has
    some in most parts.
    """
    weights, biases, logits, strengths = list[Tensor](), list[Tensor](), list[Tensor](), list[float | None]()
    for target in targets.T:
        if not bool((target == 0).any()) or not bool((target == 1).any()):
            weights.append(vectors.new_zeros(vectors.shape[1], dtype=torch.float64))
            biases.append((2 * target[0] - 1).double() * math.log(len(target) + 1))
            logits.append(biases[-1].expand(len(target)))
            strengths.append(None)
        else:
            fitted = fit_logistic(LabelledVectors.of(vectors, target.long(), 2, copies=copies), penalties=penalties)
            head = fitted.calibrated()
            weights.append(head.weights[1] - head.weights[0])
            biases.append(head.bias[1] - head.bias[0])
            logits.append((fitted.out_of_fold_logits[:, 1] - fitted.out_of_fold_logits[:, 0]) / fitted.temperature)
            strengths.append(fitted.strength)
        if after_label is not None:
            after_label()
    head = LinearHead(torch.stack(weights), torch.stack(biases))
    return OneVsRest(head, torch.stack(logits, dim=1), tuple(strengths))
