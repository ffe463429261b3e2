"""Explanation: what each word of a text contributes to the logit of each label.

Shapes: W words, K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nlptl.config import did_you_mean
from nlptl.data.columns import names_shown
from nlptl.errors import ConfigError

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
    labels: tuple[str, ...]  # one, or those of a text that may have none, one or several
    similarity: float  # cosine of the sentence vectors
    row: int | None = None  # of the labelled examples, counted from 1

    @property
    def label(self) -> str:
        """Its label; of several all in one text, of none an empty one."""
        return ", ".join(self.labels)


@dataclass(frozen=True)
class Explanation:
    """Prediction of one text, and what each of its words contributes to it.

    "exact": `base` and the contributions of all words sum to the logits. "occlusion": a contribution is what the logits lose
    where the word is deleted, and `base` is the logits of an empty text; then words that say the same, or need each other,
    leave a `completeness_error`.
    """

    text: str
    labels: tuple[str, ...]  # (K,)
    given: tuple[str, ...]  # what the classifier predicts: one label, or none, one or several of them
    label: (
        str  # the one to explain: the most probable, or where a text may have several the furthest above its threshold
    )
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
    thresholds: tuple[float, ...] | None = (
        None  # (K,) probabilities from which on labels are given; None: one label a text
    )

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, each with a probability of its own."""
        return self.thresholds is not None

    def towards(self, label: str | None = None, *, against: str | None = None) -> tuple[float, ...]:
        """Return by how much each word (W) speaks for a label, `self.label` by default: the margin of its logits."""
        return self._margins(self.contributions, label, against)

    def sentences_towards(self, label: str | None = None, *, against: str | None = None) -> tuple[float, ...]:
        """Return by how much each sentence speaks for a label, as `towards` does for words."""
        return self._margins(self.sentences, label, against)

    def margin(self, logits: Sequence[float], label: str | None = None, *, against: str | None = None) -> float:
        """Return the number of a label among `logits` (K,), less that of the label `against`, or the mean of all others.

        What all labels gain alike changes no probability. Labels with probabilities of their own have nothing deducted, unless
        `against` is given. Raises ConfigError for an unknown label.
        """
        place = place_of(self.label if label is None else label, self.labels)
        others = [number for one, number in enumerate(logits) if one != place and not self.multi_label]
        others = others if against is None else [logits[place_of(against, self.labels, where="against")]]
        return logits[place] - sum(others) / max(1, len(others))

    def _margins(self, parts: Sequence[Contribution], label: str | None, against: str | None) -> tuple[float, ...]:
        self.margin(self.logits, label, against=against)  # refuses an unknown label also where there are no parts
        return tuple(self.margin(one.logits, label, against=against) for one in parts)


def place_of(label: str, labels: Sequence[str], *, where: str = "label") -> int:
    """Return the place of a label among all. Raises ConfigError for an unknown one, which names `where` it was given."""
    if label not in labels:
        meant = did_you_mean(label, labels)
        raise ConfigError(f"{where}: found {label!r}; the labels are {names_shown(labels)}.{meant} Correct it.")
    return labels.index(label)
