"""Labels as words: what the name of a label says, and the sentences that stand for it.

Shapes: K labels, M sentences.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlptl.data import LabelNames

TEMPLATES = ("This is {}.", "The text is {}.", "It is about {}.", "{}")
"""Sentences whose {} is replaced by the name of a label: what a text is, or is about; several even out what one adds."""


@dataclass(frozen=True)
class LabelSentences:
    """Sentences that say what labels mean; none where a label's name says nothing."""

    texts: tuple[str, ...] = ()
    """M sentences: those of the first template for all labels, then those of the next."""
    labels: tuple[int, ...] = ()
    """(M,) the label id of each."""

    def __len__(self) -> int:
        return len(self.texts)


def spoken(label: str) -> str | None:
    """Return a label as words: "Refund_not_showing_up" becomes "Refund not showing up", "SciTech" "Sci Tech".

    None where it says nothing: a number, a single character, signs alone.
    """
    words = re.sub(r"(?<=[^\W\d_])(?<=[a-z])(?=[A-Z])", " ", label)
    words = " ".join(re.sub(r"[_\-/+|:.]+", " ", words).split())
    letters = sum(character.isalpha() for character in words)
    says = letters >= 2 or any(ord(character) > 0x2E80 and character.isalpha() for character in words)
    return words if says and not re.fullmatch(r"(?i)(label|class|category)?[ ]?\d+", words) else None


def label_sentences(
    labels: Sequence[str], names: LabelNames | None = None, *, templates: Sequence[str] = TEMPLATES
) -> LabelSentences:
    """Return the sentences that name `labels`, by `names` where they say what a label means, else by the label itself.

    One label that says nothing leaves them all out, since labels with and without sentences could not be compared.
    """
    found = [(names.get(label) if names is not None else None) or spoken(label) for label in labels]
    words = [word for word in found if word is not None]
    if len(words) < len(labels):
        return LabelSentences()
    texts = [template.replace("{}", word) for template in templates for word in words]
    return LabelSentences(tuple(texts), tuple(range(len(labels))) * len(templates))
