"""Cutting: texts as a tokenizer reads them, with blanks between the words of Japanese. Nothing else cuts words by a segmenter.

Only Japanese is cut: links, mentions, emoticons and words of other scripts stay as they are, for the rules of the tokenizer.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from nlptl.inference.bert_words import BertWords
from nlptl.inference.segmenter import Segmenter, SegmenterSettings, WordCutter, segmenter_available
from nlptl.inference.sudachi import morphemes

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from tokenizers import Encoding, Tokenizer

Span = tuple[int, int]  # first character, and the one after the last

TEXTS_AT_ONCE = 200  # that a thread cuts before another part is drawn
_KANA = "\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_JAPANESE = re.compile(f"[{_KANA}{_HAN}]")
_WAVES = re.compile("[\u301c\u3030\uff5e~]+")
_IS_KANA = re.compile(f"[{_KANA}]")


@dataclass(frozen=True)
class CutText:
    """A text with blanks between its words, and where each of its characters comes from."""

    text: str
    begins: Sequence[int]  # of each character, the first one of the original that it stands for
    ends: Sequence[int]  # and the one after the last

    def original(self, span: Span) -> Span:
        """Return the place in the original text of a span of this one."""
        first, end = span
        if first >= end:
            place = self.begins[first] if first < len(self.begins) else (self.ends[-1] if self.ends else 0)
            return place, place
        return self.begins[first], self.ends[end - 1]


def cut(text: str, segmenter: WordCutter) -> str:
    """Return a text with blanks between the words of its Japanese."""
    if not _is_cut(text, segmenter):
        return text
    return " ".join([word for word, _ in _parts(text, segmenter)])


def cut_texts(texts: Sequence[str], segmenter: WordCutter | None) -> Sequence[str]:
    """Return texts with blanks between the words of their Japanese; as they are without a segmenter."""
    return texts if segmenter is None else [cut(text, segmenter) for text in texts]


def words_in_forms(text: str, segmenter: WordCutter) -> list[str]:
    """Return the words of a text in the forms of a segmenter, and what stands between them."""
    if isinstance(segmenter, BertWords):  # whatever its vocabulary makes of them
        return [word for word, _ in segmenter.words(text)]
    return cut(text, segmenter).split()


def placed_cut(text: str, segmenter: WordCutter) -> CutText:
    """Return the same text as `cut`, with the places of its characters."""
    if not _is_cut(text, segmenter):
        return CutText(text, range(len(text)), range(1, len(text) + 1))
    words, begins, ends = list[str](), list[int](), list[int]()
    for word, (begin, end) in _parts(text, segmenter):
        if words:  # the blank between
            begins.append(begin)
            ends.append(begin)
        is_written = len(word) == end - begin
        begins += range(begin, end) if is_written else [begin] * len(word)
        ends += range(begin + 1, end + 1) if is_written else [end] * len(word)
        words.append(word)
    return CutText(" ".join(words), begins, ends)


def segmenting(tokenizer: Tokenizer, segmenter: WordCutter | None) -> Tokenizer:
    """Return a tokenizer whose texts are cut by a segmenter first; the tokenizer itself without one."""
    return tokenizer if segmenter is None else cast("Tokenizer", SegmentingTokenizer(tokenizer, segmenter))


def segmenter_of(tokenizer: Tokenizer) -> WordCutter | None:
    """Return what cuts the texts of a tokenizer, if anything does."""
    return tokenizer.segmenter if isinstance(tokenizer, SegmentingTokenizer) else None


def segmenter_alone(cutter: WordCutter | None) -> Segmenter | None:
    """Return a segmenter that a stage was told to use; None for the cut that a checkpoint brings."""
    return cutter if isinstance(cutter, Segmenter) else None


def default_segmenters(texts: Sequence[str]) -> list[Segmenter | None]:
    """Return what tells the words of each text where nobody has named a segmenter; None without kana or without the package."""
    are_japanese = [_IS_KANA.search(text) is not None for text in texts]  # kanji alone may be Chinese
    found = SegmenterSettings().installed() if any(are_japanese) and segmenter_available() else None
    return [found if is_japanese else None for is_japanese in are_japanese]


def without_segmenter(tokenizer: Tokenizer) -> Tokenizer:
    """Return the tokenizer that reads texts which were cut before."""
    return tokenizer.plain if isinstance(tokenizer, SegmentingTokenizer) else tokenizer


def cut_batches(
    tokenizer: Tokenizer, batches: Iterable[Sequence[str] | Any], pool: ThreadPoolExecutor
) -> Iterator[Sequence[str] | Any]:
    """Yield batches as the tokenizer of `without_segmenter` reads them, cut by all threads; as they are without a segmenter."""
    segmenter = segmenter_of(tokenizer)
    if segmenter is None:
        yield from batches
        return
    for batch in batches:
        texts = batch.to_pylist() if hasattr(batch, "to_pylist") else batch
        parts = [texts[begin : begin + TEXTS_AT_ONCE] for begin in range(0, len(texts), TEXTS_AT_ONCE)]
        yield from pool.map(functools.partial(cut_texts, segmenter=segmenter), parts)


class SegmentingTokenizer:
    """tokenizer(text) = plain(cut(text)), with places in the text that was given.

    It has the methods of `tokenizers.Tokenizer`, which admits no subclass and writes no step of Python's into its file.
    """

    def __init__(self, plain: Tokenizer, segmenter: WordCutter) -> None:
        self.plain, self.segmenter = plain, segmenter

    def __reduce__(self) -> tuple[type[SegmentingTokenizer], tuple[Tokenizer, WordCutter]]:
        return SegmentingTokenizer, (self.plain, self.segmenter)

    def __getattr__(self, name: str) -> Any:
        """Return what cutting does not change: the vocabulary, the steps after it, the file."""
        return getattr(self.plain, name)

    @property
    def model(self) -> Any:
        """Words and their ids."""
        return self.plain.model

    @model.setter
    def model(self, model: Any) -> None:
        self.plain.model = model

    @property
    def normalizer(self) -> CuttingNormalizer:
        """What cleans a text; it cuts it first."""
        return CuttingNormalizer(self.plain.normalizer, self.segmenter)

    def encode(self, sequence: str, *, add_special_tokens: bool = True) -> CutEncoding:
        """Return the tokens of a text."""
        found = placed_cut(sequence, self.segmenter)
        return CutEncoding(self.plain.encode(found.text, add_special_tokens=add_special_tokens), found)

    def encode_batch(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[CutEncoding]:
        """Return the tokens of texts."""
        found = [placed_cut(text, self.segmenter) for text in texts]
        encodings = self.plain.encode_batch([one.text for one in found], add_special_tokens=add_special_tokens)
        return [CutEncoding(*both) for both in zip(encodings, found, strict=True)]

    def encode_batch_fast(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> list[Encoding]:
        """Return the tokens of texts without their places."""
        return self.plain.encode_batch_fast(
            [cut(text, self.segmenter) for text in texts], add_special_tokens=add_special_tokens
        )


class CutEncoding:
    """Tokens of a text that was cut, with their places in the text before."""

    def __init__(self, plain: Encoding, text: CutText) -> None:
        self._plain, self._text = plain, text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)

    @cached_property
    def offsets(self) -> list[Span]:
        """Place of each token."""
        return [self._text.original(span) for span in self._plain.offsets]


@dataclass(frozen=True)
class CuttingNormalizer:
    """What cuts a text, then cleans it."""

    plain: Any
    segmenter: WordCutter

    def normalize_str(self, text: str) -> str:
        """Return a text cut and cleaned."""
        words = cut(text, self.segmenter)
        return words if self.plain is None else cast("str", self.plain.normalize_str(words))


def _is_cut(text: str, segmenter: WordCutter) -> bool:
    """Return whether a text may change: words of a checkpoint's own are cut in every script."""
    return isinstance(segmenter, BertWords) or _JAPANESE.search(text) is not None


def japanese_words(text: str, segmenter: WordCutter) -> Iterator[tuple[str, Span]]:
    """Yield the Japanese words of a text in the forms that the segmenter gives, and where each stands."""
    if isinstance(segmenter, BertWords):
        yield from segmenter.words(text)
        return
    if not _JAPANESE.search(text):
        return
    folded = _WAVES.sub(_long_vowel_or_wave, text)
    for place, morpheme in morphemes(folded, segmenter.dictionary, segmenter.mode):
        first, end = place + morpheme.begin(), place + morpheme.end()
        if _JAPANESE.search(folded, first, end):
            yield (folded[first:end] if segmenter.forms == "written" else morpheme.normalized_form()), (first, end)


def _parts(text: str, segmenter: WordCutter) -> Iterator[tuple[str, Span]]:
    """Yield the parts of a text between which blanks come, and where each stands; together they are the whole text."""
    if isinstance(segmenter, BertWords):
        yield from segmenter.parts(text)
        return
    begin = 0  # of what was not yielded yet
    for word, (first, end) in japanese_words(text, segmenter):
        if begin < first:
            yield text[begin:first], (begin, first)
        yield word, (first, end)
        begin = end
    if begin < len(text):
        yield text[begin:], (begin, len(text))


def _long_vowel_or_wave(found: re.Match[str]) -> str:
    """Return waves as the sign of a long vowel between kana, else as the one kind of wave that no word contains."""
    text, (begin, end) = found.string, found.span()
    between = begin > 0 and end < len(text) and _IS_KANA.match(text[begin - 1]) and _IS_KANA.match(text[end])
    return ("ー" if between else "～") * (end - begin)
