"""Soft labels: a teacher's probabilities of texts, computed in parts that outlive a kill.

Shapes: P texts, K labels.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.models.classifier import TextClassifier
    from nlptl.training.checkpoints import Checkpoints

PART_TEXTS = 256  # labelled between two checks whether a checkpoint is due

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class SoftLabels:
    """Probabilities of a pile by a teacher."""

    probabilities: Floats  # (P, K)
    texts_per_second: float | None = None  # of the teacher, on this machine; None where it labelled nothing here


def labelled_by(teacher: TextClassifier, texts: Sequence[str], context: RunContext) -> SoftLabels:
    """Return the teacher's probabilities of texts. A run that was killed goes on after its last checkpoint."""
    kept = context.checkpoints("soft_labels")
    parts = [found] if (found := _read(kept, most=len(texts), width=len(teacher.labels))) is not None else []
    before = sum(map(len, parts))
    if before:
        context.progress.say(f"{before:,} of {len(texts):,} texts of the pile were labelled before the stop.")
    seconds = 0.0
    if before < len(texts):
        with context.progress.task("labelling the pile", total=len(texts) - before, unit="texts") as task:
            for start in range(before, len(texts), PART_TEXTS):
                begin = time.perf_counter()
                parts.append(teacher.probabilities(texts[start : start + PART_TEXTS], after_batch=task.advance))
                seconds += time.perf_counter() - begin
                if kept is not None:
                    _keep(kept, parts, last=start + PART_TEXTS >= len(texts))
    rate = (len(texts) - before) / seconds if seconds else None
    return SoftLabels(np.concatenate([np.zeros((0, len(teacher.labels))), *parts]), rate)


def softened(probabilities: Floats, temperature: float, *, multi_label: bool) -> Floats:
    """Return probabilities (P, K) of logits divided by a temperature; above 1 they say more of the less probable labels."""
    tiny = np.finfo(np.float64).tiny
    raised = np.maximum(probabilities, tiny) ** (1 / temperature)
    if multi_label:
        others = np.maximum(1 - probabilities, tiny) ** (1 / temperature)
        alone: Floats = raised / (raised + others)
        return alone
    shares: Floats = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _keep(kept: Checkpoints, parts: Sequence[Floats], *, last: bool) -> None:
    done = sum(map(len, parts))
    state = {"texts": done}
    kept.keep(
        -(-done // PART_TEXTS), lambda: ({"probabilities": torch.from_numpy(np.concatenate(parts))}, state), last=last
    )


def _read(kept: Checkpoints | None, *, most: int, width: int) -> Floats | None:
    """Return the probabilities of the first texts that a checkpoint holds."""
    found = None if kept is None else kept.newest()
    if found is None or "probabilities" not in found[0]:
        return None
    probabilities: Floats = found[0]["probabilities"].numpy()
    fits = probabilities.shape[1:] == (width,) and len(probabilities) == found[1].get("texts", 0) <= most
    return probabilities if fits else None
