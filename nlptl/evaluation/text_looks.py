"""What texts look like: lengths, words, languages, and how a tokenizer cuts them.

Shapes: n texts.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlptl.data.languages import NAMES, sure_language
from nlptl.evaluation.missed_text import are_cut
from nlptl.evaluation.near_copies import word_counts

if TYPE_CHECKING:
    from nlptl.models.encoder import Encoder

TEXTS_AT_ONCE = 2_000
OTHER = "another script"
SCRIPTS = {
    "LATIN": "Latin script",
    "CYRILLIC": "Cyrillic script",
    "ARABIC": "Arabic script",
    "CJK": "Chinese characters",
}
CODES = ("", *NAMES, *SCRIPTS.values(), OTHER)  # "" where nothing is sure; a script where the language is not
LANGUAGE_RULES = 2  # raised when a text is told to be of another language, so that kept ones are told again
_SCRIPT_OF = {
    **dict.fromkeys(("ru", "uk", "bg"), "Cyrillic script"), **dict.fromkeys(("ar", "fa"), "Arabic script"),
    **dict.fromkeys(("ja", "zh"), "Chinese characters"),  # in which alone Japanese may be written
    **{code: code for code in ("ko", "el", "he", "th", "hi", "bn", "ta", "ka", "hy")},
}  # fmt: skip

Counts = NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class PieceCounts:
    """Pieces into which a tokenizer cuts texts."""

    words: Counts  # (n,)
    pieces: Counts  # (n,) without special ones, of the part that is read
    unknown: Counts  # (n,) of these, that the vocabulary does not have
    cut: NDArray[np.bool_]  # (n,) whether the encoder reads the beginning alone


def lengths_of(texts: Sequence[str]) -> dict[str, Counts]:
    """Return the characters (n,) and the words (n,) of texts."""
    characters = np.fromiter(map(len, texts), np.int64, len(texts))
    return {"characters": characters, "words": word_counts(texts)}


def languages_of(texts: Sequence[str], *, after_texts: Callable[[int], object]) -> Counts:
    """Return the place in `CODES` of each text's language (n,); 0 where it is not sure."""
    found = np.zeros(len(texts), dtype=np.int64)
    for row, text in enumerate(texts):
        language = sure_language(text)
        if language is not None:
            found[row] = CODES.index(language.code or SCRIPTS.get(language.script, OTHER))
        if row % TEXTS_AT_ONCE == TEXTS_AT_ONCE - 1:
            after_texts(TEXTS_AT_ONCE)
    return found


def usual_language(languages: Counts) -> int:
    """Return the most common language that is clear, among those of the usual script; 0 where none is."""
    usual, counts = _usual_script(languages), Counter(languages.tolist())
    clear = sorted(place for place in counts if CODES[place] in NAMES and _script(place) == usual)
    return max(clear, key=counts.__getitem__, default=0)


def clear_languages(languages: Counts) -> Counts:
    """Return the languages (n,), with 0 where no more is clear than the usual script."""
    usual = _usual_script(languages)
    return np.where(languages == (CODES.index(usual) if usual in SCRIPTS.values() else 0), 0, languages)


def pieces_of(encoder: Encoder, texts: Sequence[str], *, after_texts: Callable[[int], object]) -> PieceCounts:
    """Count the pieces into which the encoder's tokenizer cuts each text."""
    from nlptl.inference.tokenizer_files import encoded

    cut = functools.partial(encoder.tokenizer.encode_batch, add_special_tokens=False)
    unknown = encoder.token_model.rule.unknown
    pieces, unknowns, words, cuts = list[int](), list[int](), list[Counts](), list[bool]()
    for begin in range(0, len(texts), TEXTS_AT_ONCE):
        some = list(texts[begin : begin + TEXTS_AT_ONCE])
        found: list[Any] = list(encoded(cut, some))
        pieces += [len(one.ids) for one in found]
        unknowns += [sum(token == unknown for token in one.ids) for one in found]
        read = [text[: max((end for _, end in one.offsets), default=0)] for text, one in zip(some, found, strict=True)]
        words.append(word_counts(read))
        cuts += are_cut(encoder, some)
        after_texts(len(some))
    return PieceCounts(
        np.concatenate([*words, np.zeros(0, np.int64)]), np.array(pieces, np.int64), np.array(unknowns, np.int64),
        np.array(cuts, np.bool_),
    )  # fmt: skip


def _usual_script(languages: Counts) -> str:
    """Return the most common script; empty where none is clear."""
    scripts = Counter(_script(place) for place in languages[languages > 0].tolist())
    return max(sorted(scripts), key=scripts.__getitem__, default="")


def _script(place: int) -> str:
    """Return the script of a place in `CODES`."""
    code = CODES[place]
    return _SCRIPT_OF.get(code, "Latin script") if code in NAMES else code
