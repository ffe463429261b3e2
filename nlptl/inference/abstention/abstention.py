"""What a classifier carries to abstain: held-out logits, and the look of known texts; and its prediction sets.

Shapes: n held-out texts, B texts, K labels, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from nlptl.artifact import read_arrays
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.abstention.conformal import (
    LEFT_OUT_WEIGHT,
    SetCoverage,
    check_coverage,
    coverage_of,
    in_set,
    set_threshold,
)
from nlptl.inference.abstention.known_texts import KnownTexts

FILE = "abstention.safetensors"
HEAD_TOLERANCE = 1e-4  # relative, between the weights of the head that the logits belong to and those that are there

Floats = NDArray[np.float64]
Weights = NDArray[np.float32]


@dataclass(frozen=True)
class PredictionSet:
    """Labels that a text may have, at a coverage, and whether it looks like one of no known label."""

    labels: tuple[str, ...]
    """At least one; the most probable first."""
    unknown: bool | None
    """Whether the text is less like the known texts than 95 % of these are. None: the known texts cannot tell.

    A text that is like odd ones among the known texts is known."""
    novelty: float | None
    """How unlike the known texts it is: 0 for the median one, 1 where `unknown` begins."""
    coverage: SetCoverage
    """What the sets of all texts are worth."""

    @property
    def label(self) -> str | None:
        """The label where the set has one and the text is not unknown; else None, which is to abstain."""
        return self.labels[0] if len(self.labels) == 1 and not self.unknown else None


@dataclass(frozen=True)
class HeldOutLogits:
    """Logits of labelled texts by fits without them, on the scale of the classifier's own."""

    logits: NDArray[np.float32]  # (n, K)
    label_ids: NDArray[np.int64]  # (n,)
    is_approximate: bool  # see SetCoverage
    weight: float = LEFT_OUT_WEIGHT  # of a text in the distribution of the coverage; 1 if no fit has seen the others

    @property
    def probabilities(self) -> Floats:
        """Softmax of the logits (n, K)."""
        wide = self.logits.astype(np.float64)
        powers = np.exp(wide - wide.max(axis=1, keepdims=True))
        found: Floats = powers / powers.sum(axis=1, keepdims=True)
        return found


@dataclass(frozen=True)
class Abstention:
    """Held-out logits of one head, and the look of known texts where it is known."""

    held_out: HeldOutLogits
    head_size: float  # norm of the weights of the head's last layer
    known: KnownTexts | None

    @classmethod
    def of(cls, held_out: HeldOutLogits, weight: Weights, known: KnownTexts | None) -> Abstention:
        """Keep what belongs to a head whose last layer has this weight (K, D)."""
        return cls(held_out, _size(weight), known)

    def fits(self, weight: Weights) -> bool:
        """Say whether the head with this weight is the one that the logits belong to: not one that was changed since."""
        return abs(_size(weight) - self.head_size) <= HEAD_TOLERANCE * self.head_size

    def coverage(self, coverage: float, *, where: str = "coverage") -> SetCoverage:
        """Return what the held-out texts say of sets with a coverage. Errors are those of `sets`."""
        self._threshold(coverage, where)
        held_out = self.held_out
        return coverage_of(
            held_out.probabilities, held_out.label_ids, coverage,
            weight=held_out.weight, is_approximate=held_out.is_approximate,
        )  # fmt: skip

    def sets(
        self, texts: Sequence[str], vectors: NDArray[np.float32], probabilities: Floats, labels: Sequence[str], *,
        coverage: SetCoverage, where: str = "coverage",
    ) -> list[PredictionSet]:  # fmt: skip
        """Return the prediction set of each text (B), whose vectors (B, D) and probabilities (B, K) are given.

        Raises ConfigError for a coverage that is no share, DataError where the held-out texts are too few for it.
        """
        inside = in_set(probabilities, self._threshold(coverage.promised, where))
        order = (-probabilities).argsort(axis=1, kind="stable")
        unknown: list[bool | None] = [None] * len(texts)
        novelty: list[float | None] = [None] * len(texts)
        if self.known is not None:
            found = self.known.novelty(texts, vectors[:, : self.known.dim].astype(np.float64))
            novelty = [*found.tolist()]
            unknown = [*(found > 1).tolist()] if self.known.can_tell else unknown
        return [
            PredictionSet(tuple(labels[place] for place in places if row[place]), is_unknown, how_far, coverage)
            for places, row, is_unknown, how_far in zip(order.tolist(), inside.tolist(), unknown, novelty, strict=True)
        ]

    def _threshold(self, coverage: float, where: str) -> float:
        check_coverage(coverage, where=where)
        held_out, labels = self.held_out.probabilities, self.held_out.label_ids
        return set_threshold(1 - held_out[np.arange(len(labels)), labels], coverage, where=where)

    def write(self, folder: Path) -> None:
        """Write the file into a folder."""
        known = {} if self.known is None else self.known.tensors()
        tensors = {
            "logits": self.held_out.logits, "label_ids": self.held_out.label_ids,
            "is_approximate": np.array([self.held_out.is_approximate]),
            "weight": np.array([self.held_out.weight], np.float64),
            "head_size": np.array([self.head_size], np.float64), **known,
        }  # fmt: skip
        save_file({name: np.ascontiguousarray(one) for name, one in tensors.items()}, folder / FILE)

    @classmethod
    def read(cls, folder: Path, *, label_count: int, dim: int) -> Abstention | None:
        """Read the file of a folder; None if there is none, as in folders of earlier versions. ArtifactError if damaged."""
        path = folder / FILE
        if not path.exists():
            return None
        tensors = read_arrays(path)
        try:
            logits, label_ids = tensors["logits"], tensors["label_ids"]
            if logits.shape != (len(label_ids), label_count) or not bool(
                ((label_ids >= 0) & (label_ids < label_count)).all()
            ):
                raise ValueError("logits")
            is_approximate, weight = (tensors[name].item() for name in ("is_approximate", "weight"))
            held_out = HeldOutLogits(logits, label_ids, bool(is_approximate), float(weight))
            known = KnownTexts.from_tensors(tensors) if "scale" in tensors else None
            if known is not None and known.dim > dim:
                raise ValueError("vectors")
            return cls(held_out, float(tensors["head_size"].item()), known)
        except (KeyError, IndexError, RuntimeError, TypeError, ValueError):
            raise ArtifactError(
                f"{path}: does not fit the classifier; the folder is damaged. Run the stage again."
            ) from None


def usable_abstention(found: Abstention | None, *, multi_label: bool, weight: Weights, where: str) -> Abstention:
    """Return what a classifier's prediction sets need. Raises ConfigError, which begins with `where`, where it is not there."""
    if multi_label:
        raise ConfigError(
            f"{where}: the classifier gives a text several labels, or none; prediction sets are for texts with one label "
            "each. Use the probabilities of its labels."
        )
    if found is None or not found.fits(weight):
        raise ConfigError(
            f"{where}: the classifier carries no held-out logits of its head, from which prediction sets are made; expected "
            "those of the stage finetune, which needs two labelled texts at least of every label. A student of the stage distil "
            "has none: give its teacher, the folder of the stage before, such as RUN/4-finetune. Else run the pipeline "
            "again if an earlier nlptl made the classifier, or label more texts."
        )
    return found


def _size(weight: Weights) -> float:
    return float(np.linalg.norm(weight.astype(np.float64)))
