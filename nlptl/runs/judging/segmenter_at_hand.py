"""The segmenter that cuts texts where nobody has named one: one that is here and knows their language."""

from __future__ import annotations

import dataclasses

from nlptl.inference.segmenter import EXTRA, segmenter_available, segmenter_fault


@dataclasses.dataclass(frozen=True)
class SegmenterAtHand:
    """Segmenter that fits the language of the texts, if one does, and what a person should know of it."""

    name: str | None
    remark: str = ""


def segmenter_at_hand(language: str | None) -> SegmenterAtHand:
    """Return the segmenter for texts of a language (ISO 639-1; None: not known)."""
    if language != "ja":
        return SegmenterAtHand(None)
    if segmenter_available():
        return SegmenterAtHand("sudachi", "The texts are Japanese, so SudachiPy cuts them into words.")
    if fault := segmenter_fault():
        return SegmenterAtHand(None, f"The texts are Japanese and nothing cuts them into words: nlptl {fault}")
    return SegmenterAtHand(
        None,
        "The texts are Japanese and nothing cuts them into words, so runs of characters stand for words. Type "
        f"pip install '{EXTRA}' and start again.",
    )
