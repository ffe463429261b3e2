"""Two versions of a classifier on the same texts, and which of them is to be used.

Shapes: G distinct texts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nlptl.evaluation.intervals import Estimate, wilson
from nlptl.runs.judging.scored import TextDifference, difference_of_texts, points

Z_ONE_SIDED = 1.645  # standard errors of a one-sided 95 % interval
POINT = 0.01  # of accuracy
MAX_TOLD = 100_000  # texts beyond which nobody labels to settle a question

Floats = NDArray[np.float64]
Part = Literal["kept", "new"]
PARTS: Mapping[Part, str] = {"kept": "rows that were kept for judging", "new": "new rows"}


@dataclasses.dataclass(frozen=True)
class PairedTexts:
    """Texts that neither version has learnt, and whether each gives them their label."""

    part: Part  # the run's own test, or new rows
    before: Floats  # (G,) hits of the version in use, its copies' mean
    after: Floats  # (G,) hits of the new one
    variance: float = 1.0  # factor of the variance: more where trainings share texts, see `variance_factor`

    @classmethod
    def of(
        cls, part: Part, texts: Sequence[str], before: Sequence[bool], after: Sequence[bool], *, variance: float = 1.0
    ) -> PairedTexts:
        """Return the hits by distinct text."""
        known: dict[str, int] = {}
        owner = np.array([known.setdefault(text, len(known)) for text in texts], dtype=np.int64)
        sizes = np.maximum(np.bincount(owner, minlength=len(known)), 1)
        hits = [
            np.bincount(owner, weights=np.asarray(one, np.float64), minlength=len(known)) / sizes
            for one in (before, after)
        ]
        return cls(part, hits[0], hits[1], variance)


@dataclasses.dataclass(frozen=True)
class Paired:
    """All texts on which two versions are compared."""

    parts: tuple[PairedTexts, ...]

    @property
    def texts(self) -> int:
        """Number of distinct texts."""
        return sum(len(one.before) for one in self.parts)

    def count(self, part: Part) -> int:
        """Return the number of texts of a part."""
        return sum(len(one.before) for one in self.parts if one.part == part)

    @property
    def before(self) -> Estimate | None:
        """Accuracy of the version in use."""
        return self._accuracy([one.before for one in self.parts])

    @property
    def after(self) -> Estimate | None:
        """Accuracy of the new version."""
        return self._accuracy([one.after for one in self.parts])

    def difference(self, part: Part | None = None) -> TextDifference | None:
        """Return the accuracy of the new version minus that of the old one, on all texts or those of a part."""
        some = [one for one in self.parts if part in (None, one.part)]
        if not some:
            return None
        before, after = (np.concatenate([getattr(one, name) for one in some]) for name in ("before", "after"))
        return difference_of_texts(before, after, self._variance(some))

    def _accuracy(self, hits: Sequence[Floats]) -> Estimate | None:
        if not self.texts:
            return None
        value = float(np.concatenate(hits).mean())
        texts = self.texts / self._variance(self.parts)
        return dataclasses.replace(wilson(value * texts, texts), value=value)

    @staticmethod
    def _variance(parts: Sequence[PairedTexts]) -> float:
        sizes = [len(one.before) for one in parts]
        return sum(size * one.variance for size, one in zip(sizes, parts, strict=True)) / max(1, sum(sizes))


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether the new version is used, and why."""

    used: bool
    why: str  # one or two sentences
    settle: str = ""  # how many labels might settle it


def decided(paired: Paired, *, margin: float, per_label: float) -> Decision:
    """Return whether the new version wins, or is not worse than the old one by more than `margin`, at 95 % one-sided.

    It is not used either where a part alone shows that it has lost more than the margin there. `per_label` judged texts come
    with one more new label.
    """
    found = paired.difference()
    if found is None:
        return Decision(False, "No text is unknown to both versions, so nothing shows that the new one is not worse.",
                        "Give a few more labels of other texts.")  # fmt: skip
    for part, name in PARTS.items():
        alone = paired.difference(part)
        if alone is not None and _high(alone) < 0 and alone.value < -margin:
            told = f"On the {name} alone the new version is worse, {points(alone.estimate())}."
            return Decision(
                False, told, "More labels of this kind are not expected to change that. Look at the new rows."
            )
    low, allowed = _low(found), f"{100 * margin:g} point{'s' * (margin != POINT)}"
    told = f"{points(found.estimate())}, at worst {100 * low:+.1f} (one-sided, 95 %)"
    if low > 0:
        return Decision(True, f"The new version is better: {told}.")
    if low > -margin:
        return Decision(True, f"The new version is not worse by more than {allowed}: {told}.")
    return Decision(
        False, f"The new version may be worse by more than {allowed}: {told}.",
        _settling(found, paired.texts, margin=margin, per_label=per_label),
    )  # fmt: skip


def _low(found: TextDifference) -> float:
    return found.centre - Z_ONE_SIDED * found.error


def _high(found: TextDifference) -> float:
    return found.centre + Z_ONE_SIDED * found.error


def _settling(found: TextDifference, texts: int, *, margin: float, per_label: float) -> str:
    """Return how many new labels might settle it, if the difference and its spread stay as they are."""
    room = found.centre + margin
    wanted = math.inf if room <= 0 else texts * (Z_ONE_SIDED * found.error / room) ** 2
    more = (wanted - texts) / per_label
    if more > MAX_TOLD:
        return "More labels of this kind are not expected to settle it: the difference is near what is permitted, or beyond."
    count = max(10, math.ceil(more / 10) * 10)
    return f"About {count:,} more labels might settle it, if the difference stays as it is."
