"""Word-level tokenizer of the `tokenizers` library, built from settings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from nlptl.config import Config
from nlptl.inference.word_rules import normalizer_steps, word_split

if TYPE_CHECKING:
    from tokenizers import Tokenizer

UNKNOWN = "[UNK]"
UNKNOWN_ID = 0

NEGATIONS = frozenset(
    """
    no not nor never neither none nobody nothing nowhere cannot cant couldnt hasnt without hardly barely
    don't doesn't didn't isn't wasn't aren't weren't won't wouldn't can't couldn't shouldn't hasn't haven't hadn't
    """.split()  # noqa: SIM905 - one word a line would fill a page
)


class TextSettings(Config):
    """Settings of the split into words."""

    preset: Literal["plain", "tweets"] = "plain"
    """plain keeps words only; each begins with a letter or a digit. tweets also keeps emoji, emoticons, ! and ?, replaces
    @mentions by <user> and links by <url>, drops the # of hashtags and shortens elongations (soooo to soo). A flag, a
    keycap or a family is one emoji. Both drop soft hyphens and variation selectors."""
    unicode: Literal["NFC", "NFKC", "none"] = "NFKC"
    """Unicode normalisation. NFKC also merges width and ligature variants."""
    lowercase: bool = True
    """Fold case. false suits only vectors that tell cases apart."""
    stop_words: bool = False
    """Remove English function words (scikit-learn's list). Subsampling usually makes this needless."""
    keep_negations: bool = True
    """With stop_words: keep not, never, without and so on. false reverses opinions, so it warns."""


def untrained_tokenizer(settings: TextSettings) -> Tokenizer:
    """Return a tokenizer with an empty vocabulary (only [UNK], id 0)."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    steps = normalizer_steps(settings.preset, settings.unicode, lowercase=settings.lowercase)
    if settings.stop_words:
        words = "|".join(sorted(stop_words(settings), key=lambda word: (-len(word), word)))
        steps.append(normalizers.Replace(Regex(rf"(?i)(?<![\p{{L}}'])(?:{words})(?![\p{{L}}'])"), " "))
    tokenizer = Tokenizer(models.WordLevel({UNKNOWN: UNKNOWN_ID}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = word_split(settings.preset)
    return tokenizer


def words_of(tokenizer: Tokenizer, batches: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """Yield the words of each text of each batch, known to the tokenizer or not."""
    for batch in batches:
        for text in batch:
            normal = tokenizer.normalizer.normalize_str(text)
            yield [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def stop_words(settings: TextSettings) -> frozenset[str]:
    """Return the words to remove. Warns if negations are among them."""
    if not settings.stop_words:
        return frozenset()
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    if settings.keep_negations:
        return frozenset(ENGLISH_STOP_WORDS) - NEGATIONS
    lost = "text.keep_negations: false drops not, never and similar words, so 'not good' becomes 'good'."
    warnings.warn(f"{lost} Keep them unless the labels are topics.", UserWarning, stacklevel=2)
    return frozenset(ENGLISH_STOP_WORDS) | NEGATIONS


def set_vocabulary(tokenizer: Tokenizer, words: Sequence[str]) -> None:
    """Set the vocabulary to these words in this order. The first must be [UNK]."""
    from tokenizers import models

    vocabulary = {word: index for index, word in enumerate(words)}
    if words[UNKNOWN_ID] != UNKNOWN or len(vocabulary) != len(words):
        raise ValueError(f"words must be unique and begin with {UNKNOWN}")
    tokenizer.model = models.WordLevel(vocabulary, unk_token=UNKNOWN)


def vocabulary_of(tokenizer: Tokenizer) -> list[str]:
    """Return the tokenizer's words by id."""
    vocabulary = tokenizer.get_vocab()
    return sorted(vocabulary, key=vocabulary.__getitem__)
