"""Word-level tokenizer of the `tokenizers` library, built from settings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from nlptl.config import Config
from nlptl.inference.segmenter import (
    ONLY_IF_SET,
    SegmenterSetting,
    check_segmenter,
    dictionary_digests,
    dictionary_paths,
)
from nlptl.inference.segmenting import segmenting
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
    """Remove function words: English ones (scikit-learn's list), or Japanese ones with a segmenter. Subsampling usually makes
    this needless."""
    keep_negations: bool = True
    """With stop_words: keep not, never, without, ない, ず and so on. false reverses opinions, so it warns."""
    segmenter: Annotated[SegmenterSetting, ONLY_IF_SET] = None
    """sudachi cuts Japanese into words (pip install 'nlptl[ja]'). Without it each kanji is a word, and so is each run of kana."""

    def check(self, *, where: str) -> None:
        """Raise ConfigError where the segmenter's package is missing."""
        check_segmenter(self.segmenter, where=where)

    def external_digests(self) -> dict[str, str]:
        """Return the version of the dictionary by which a segmenter cuts words."""
        return dictionary_digests(self.segmenter)

    def watched_paths(self) -> frozenset[Path]:
        """Return the file of the segmenter's dictionary."""
        return dictionary_paths(self.segmenter)


def untrained_tokenizer(settings: TextSettings) -> Tokenizer:
    """Return a tokenizer with an empty vocabulary (only [UNK], id 0)."""
    from tokenizers import Regex, Tokenizer, models, normalizers

    steps = normalizer_steps(settings.preset, settings.unicode, lowercase=settings.lowercase)
    if settings.stop_words:
        words = "|".join(sorted(stop_words(settings), key=lambda word: (-len(word), word)))
        steps.append(normalizers.Replace(Regex(rf"(?i)(?<![\p{{L}}'])(?:{words})(?![\p{{L}}'])"), " "))
    tokenizer = Tokenizer(models.WordLevel({UNKNOWN: UNKNOWN_ID}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = word_split(settings.preset, is_cut=settings.segmenter is not None)
    return segmenting(tokenizer, None if settings.segmenter is None else settings.segmenter.installed())


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
    functions, negations = _function_words(settings)
    if settings.keep_negations:
        return functions - negations
    lost = (
        "text.keep_negations: false drops not, never and similar words, so 'not good' becomes 'good'."
        if settings.segmenter is None
        else "text.keep_negations: false drops ない, ず and similar words, so 良くない becomes 良く."
    )
    warnings.warn(f"{lost} Keep them unless the labels are topics.", UserWarning, stacklevel=2)
    return functions | negations


def _function_words(settings: TextSettings) -> tuple[frozenset[str], frozenset[str]]:
    """Return the function words of the language, and those that negate."""
    if settings.segmenter is not None:
        from nlptl.pretraining.word2vec import japanese_stop_words

        return japanese_stop_words.FUNCTION_WORDS, japanese_stop_words.NEGATIONS
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS), NEGATIONS


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
