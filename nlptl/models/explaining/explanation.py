"""Explanation: what each word of a text contributes to the logit of each label.

Shapes: W words, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

How = Literal["exact", "occlusion"]


@dataclass(frozen=True)
class Contribution:
    """What one word or one sentence of a text adds to the logit of each label."""

    start: int  # of its characters in the text, as `end`
    end: int
    text: str
    logits: tuple[float, ...]  # (K,)


@dataclass(frozen=True)
class Neighbour:
    """Labelled example near a text."""

    text: str
    label: str
    similarity: float  # cosine of the sentence vectors
    row: int | None = None  # of the labelled examples, counted from 1


@dataclass(frozen=True)
class Explanation:
    """Prediction of one text, and what each of its words contributes to it.

    "exact": `base` and the contributions of all words sum to the logits. "occlusion": a contribution is what the logits lose
    where the word is deleted, and `base` is the logits of an empty text; then words that say the same, or need each other,
    leave a `completeness_error`.
    """

    text: str
    labels: tuple[str, ...]  # (K,)
    label: str  # the most probable one
    probability: float  # of it
    probabilities: tuple[float, ...]  # (K,)
    logits: tuple[float, ...]  # (K,)
    base: tuple[float, ...]  # (K,) what no word contributes
    contributions: tuple[Contribution, ...]  # of the words (W), in their order
    sentences: tuple[Contribution, ...]  # in their order, where the text is read sentence by sentence; else none
    how: How
    completeness_error: float  # largest difference, over labels, of the logits from base and contributions together
    remarks: tuple[str, ...] = ()  # what a reader should know of this text, in sentences
    nearest: tuple[Neighbour, ...] = ()  # nearest first
    multi_label: bool = False  # whether each label has a probability of its own

    def towards(self, label: str | None = None, *, against: str | None = None) -> tuple[float, ...]:
        """Return by how much each word (W) speaks for a label, the most probable one by default: the margin of its logits."""
        return tuple(self.margin(one.logits, label, against=against) for one in self.contributions)

    def sentences_towards(self, label: str | None = None, *, against: str | None = None) -> tuple[float, ...]:
        """Return by how much each sentence speaks for a label, as `towards` does for words."""
        return tuple(self.margin(one.logits, label, against=against) for one in self.sentences)

    def margin(self, logits: Sequence[float], label: str | None = None, *, against: str | None = None) -> float:
        """Return the number of a label among `logits` (K,), less that of the label `against`, or the mean of all others.

        What all labels gain alike changes no probability. Labels with probabilities of their own have nothing deducted, unless
        `against` is given.
        """
        place = self.labels.index(label or self.label)
        others = [number for one, number in enumerate(logits) if one != place and not self.multi_label]
        others = others if against is None else [logits[self.labels.index(against)]]
        return logits[place] - sum(others) / max(1, len(others))
