"""Label sentences: the name of a label in words, and sentences that contain it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nlptl.data import LabelNames

# Sentences in which {} is replaced by a label's name. Several average out the wording of each.
TEMPLATES = ("This is {}.", "The text is {}.", "It is about {}.", "{}")


@dataclass(frozen=True)
class LabelSentences:
    """Sentences that name the labels; none if some label has no meaning in words."""

    texts: tuple[str, ...] = ()  # M sentences: all labels in the first template, then in the next
    labels: tuple[int, ...] = ()  # (M,) label ids of the sentences

    def __len__(self) -> int:
        return len(self.texts)


def spoken(label: str) -> str | None:
    """Return a label in words, "SciTech" as "Sci Tech". None if it has none: a number, a single character, signs."""
    words = re.sub(r"(?<=[^\W\d_])(?<=[a-z])(?=[A-Z])", " ", label)
    words = " ".join(re.sub(r"[_\-/+|:.]+", " ", words).split())
    letters = sum(character.isalpha() for character in words)
    says = letters >= 2 or any(ord(character) > 0x2E80 and character.isalpha() for character in words)
    return words if says and not re.fullmatch(r"(?i)(label|class|category)?[ ]?\d+", words) else None


def label_sentences(
    labels: Sequence[str], names: LabelNames | None = None, *, templates: Sequence[str] = TEMPLATES
) -> LabelSentences:
    """Return sentences that name `labels`: by their name in `names`, if there is one, else by the label itself.

    No sentences at all if one label has no meaning in words: labels with and without sentences cannot be compared.
    """
    found = [(names.get(label) if names is not None else None) or spoken(label) for label in labels]
    words = [word for word in found if word is not None]
    if len(words) < len(labels):
        return LabelSentences()
    texts = [template.replace("{}", word) for template in templates for word in words]
    return LabelSentences(tuple(texts), tuple(range(len(labels))) * len(templates))
