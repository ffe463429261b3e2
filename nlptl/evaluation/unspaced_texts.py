"""Texts whose words stand without blanks, and what cuts them: a sentence for whoever has chosen no segmenter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlptl.data.languages import NAMES, guess_language
from nlptl.data.samples import sample
from nlptl.inference.segmenter import EXTRA

if TYPE_CHECKING:
    from nlptl.data import TextTable

MAX_TEXTS = 200  # of each table that tell its language
WITHOUT_SEGMENTER = ("zh", "th")


def unspaced_sentence(tables: Sequence[TextTable], *, where: str, setting: str, without: str) -> str:
    """Return what a person should know of texts that no segmenter cuts. Empty where blanks stand between the words.

    `setting` is the line that chooses a segmenter, `without` says what stands for words as long as there is none.
    """
    language = guess_language([text for table in tables for text in sample(table, MAX_TEXTS)])
    code = None if language is None else language.code
    if code == "ja":
        return (
            f"{where}: found Japanese texts and no segmenter, so {without}. Set `{setting}`, which cuts them into words (pip "
            f"install '{EXTRA}')."
        )
    if code in WITHOUT_SEGMENTER:
        return (
            f"{where}: found {NAMES[code]} texts, for which there is no segmenter, so {without}. Use the update `words`, which "
            "counts runs of characters, or an encoder of the language by its path (stage bert, `weights: FOLDER`)."
        )
    return ""
