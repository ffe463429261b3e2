"""Terms of a text that a view weighs: its words, or its word and character n-grams.

Shapes: B texts, T terms, N words of all texts.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from nlptl.inference.segmenter import Segmenter, checked_segmenter, segmenter_settings
from nlptl.inference.segmenting import cut_texts, placed_cut, segmenter_alone, segmenter_of, segmenting
from nlptl.inference.settings_files import NgramVocabulary, ViewSettings, read_settings
from nlptl.inference.static_views import WORD, NgramUnit, counted_lengths
from nlptl.inference.static_words import UNKNOWN_ID
from nlptl.inference.tokenizer_files import highest_id, read_tokenizer
from nlptl.inference.tokenizing import tokenize
from nlptl.models.placed_terms import PlacedTerms, placed_character_ngrams, placed_word_ngrams
from nlptl.models.word_vectors import WordVectors

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

UnitLengths = tuple[tuple[NgramUnit, tuple[int, int]], ...]

LENGTHS_UNSPACED: UnitLengths = (("characters", (1, 3)),)
"""N-grams of texts without spaces. Of Japanese sentences, with 64 a label, those of spaced texts got 72.1 % right, these 77.3 %."""
LENGTHS_CUT: UnitLengths = (("words", (1, 2)), ("characters", (1, 3)))
"""N-grams of Japanese that a segmenter cuts. Of 1,970 sentences with 32 a label, runs of 1 to 3 characters got 70.9 % right, these
73.6 % (mean of both labels, 20 draws)."""
UNSPACED = re.compile(  # Thai, Lao, Burmese, Khmer, kana and Chinese characters
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff]"
)
LOOKED_AT = 1_000  # texts whose script is told


@dataclasses.dataclass(frozen=True)
class WordTerms:
    """Words of a text, each counted once: weight(w) = 1 / number of distinct known words. Unknown words are left out."""

    tokenizer: Tokenizer  # of whole words; id 0 is the unknown word
    kind: ClassVar[Literal["words"]] = "words"

    @property
    def segmenter(self) -> Segmenter | None:
        """What cuts the words of Japanese, if anything does."""
        return segmenter_alone(segmenter_of(self.tokenizer))

    def __len__(self) -> int:
        return int(self.tokenizer.get_vocab_size())

    def weights(self, texts: Sequence[str]) -> csr_matrix:
        """Return the weights (B, T) of the words in each text, float32."""
        ids = tokenize(self.tokenizer, texts, WordVectors.rule)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        flat = np.fromiter((word for text in ids for word in text), np.int64, int(lengths.sum()))
        return word_weights(flat, lengths, words=len(self))

    def placed(self, text: str) -> PlacedTerms:
        """Return the known words of a text with their places."""
        found = self.tokenizer.encode(text, add_special_tokens=False)
        known = [place for place, word in enumerate(found.ids) if word != UNKNOWN_ID]
        return PlacedTerms.of([found.ids[place] for place in known], [found.offsets[place] for place in known])

    def settings(self) -> dict[str, Any]:
        """Return what encoder.json says of the terms."""
        return {"terms": self.kind, **segmenter_settings(self.segmenter)}

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: the tokenizer is all."""
        return {}

    def save(self, path: Path) -> None:
        """Write the tokenizer."""
        path.write_text(self.tokenizer.to_str(pretty=False), encoding="utf-8")

    @classmethod
    def load(cls, path: Path, segmenter: Segmenter | None = None) -> WordTerms:
        """Read what `save` wrote. Raises ValueError for ids beyond the vocabulary."""
        found = cls(segmenting(read_tokenizer(path), segmenter))
        if highest_id(found.tokenizer) >= len(found):
            raise ValueError("a tokenizer with gaps between its ids")
        return found


def word_weights(ids: NDArray[Any], lengths: NDArray[np.int64], *, words: int) -> csr_matrix:
    """Return the weights (B, T) of texts of `lengths` (B,) with the known words `ids` (N,), as `WordTerms` has them."""
    from scipy.sparse import csr_matrix

    places = np.unique(np.repeat(np.arange(len(lengths)), lengths) * words + ids)
    rows, columns = np.divmod(places, words)
    distinct = np.bincount(rows, minlength=len(lengths))
    values = (1 / np.maximum(1, distinct)).astype(np.float32)[rows]
    return csr_matrix((values, columns, np.concatenate([[0], distinct.cumsum()])), shape=(len(lengths), words))


@dataclasses.dataclass(frozen=True)
class Ngrams:
    """N-grams of one unit with their inverse document frequency."""

    unit: NgramUnit
    lengths: tuple[int, int]  # least and most
    vocabulary: Sequence[str]
    idf: NDArray[np.float32]

    @cached_property
    def vectorizer(self) -> Any:
        """Vectorizer of scikit-learn that counts these n-grams."""
        found = new_vectorizer(self.unit, self.lengths, vocabulary=self.vocabulary)
        found.idf_ = self.idf
        return found

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each n-gram, counted from 0."""
        return {ngram: number for number, ngram in enumerate(self.vocabulary)}

    def placed(self, text: str, *, first: int) -> PlacedTerms:
        """Return the known n-grams of a text with their places; their numbers begin at `first`."""
        if self.unit == "words":
            return placed_word_ngrams(text, WORD, self.lengths, self.numbers, first=first)
        return placed_character_ngrams(text, self.lengths, self.numbers, first=first)


@dataclasses.dataclass(frozen=True)
class NgramTerms:
    """Word and character n-grams of a text: weight(g) = (1 + ln count) idf(g), scaled to length 1 for each unit and in all."""

    parts: tuple[Ngrams, ...]
    segmenter: Segmenter | None = None  # what cuts the words of Japanese
    kind: ClassVar[Literal["ngrams"]] = "ngrams"

    def __len__(self) -> int:
        return sum(len(part.vocabulary) for part in self.parts)

    def weights(self, texts: Sequence[str]) -> csr_matrix:
        """Return the weights (B, T) of the n-grams in each text, float32."""
        texts = cut_texts(texts, self.segmenter)
        return joined_weights([part.vectorizer.transform(texts) for part in self.parts])

    def placed(self, text: str) -> PlacedTerms:
        """Return the known n-grams of a text with their places."""
        firsts = itertools.accumulate([0, *(len(part.vocabulary) for part in self.parts)])
        read = None if self.segmenter is None else placed_cut(text, self.segmenter)
        text = text if read is None else read.text
        found = PlacedTerms.joined(
            [part.placed(text, first=first) for part, first in zip(self.parts, firsts, strict=False)]
        )
        return found if read is None else found.moved(read.original)

    def settings(self) -> dict[str, Any]:
        """Return what encoder.json says of the terms."""
        found: dict[str, Any] = {part.unit: list(part.lengths) for part in self.parts}
        return {"terms": self.kind, **found, **segmenter_settings(self.segmenter)}

    def tensors(self) -> dict[str, Tensor]:
        """Return the inverse document frequencies."""
        return {f"idf_{part.unit}": torch.from_numpy(part.idf) for part in self.parts}

    def save(self, path: Path) -> None:
        """Write the n-grams."""
        found = {part.unit: list(part.vocabulary) for part in self.parts}
        path.write_text(json.dumps(found, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def load(
        cls, path: Path, settings: Mapping[NgramUnit, Sequence[int]], tensors: Mapping[str, Tensor],
        segmenter: Segmenter | None = None,
    ) -> NgramTerms:  # fmt: skip
        """Read what `save` wrote, given what `settings` and `tensors` returned. Raises ValueError if they do not fit."""
        vocabulary = read_settings(path, NgramVocabulary)
        parts = []
        for unit, (least, most) in settings.items():
            ngrams: list[str] = getattr(vocabulary, unit)
            idf = tensors[f"idf_{unit}"].numpy()
            if not ngrams or len(set(ngrams)) < len(ngrams) or idf.shape != (len(ngrams),):
                raise ValueError(f"n-grams of {unit} that repeat, or fit no frequencies")
            parts.append(Ngrams(unit, (least, most), ngrams, idf))
        return cls(tuple(parts), segmenter)


def joined_weights(parts: Sequence[csr_matrix]) -> csr_matrix:
    """Return the weights (B, T) of several units side by side, at a mean square that does not grow with their number."""
    from scipy.sparse import hstack

    return hstack(parts, format="csr", dtype=np.float32) / np.float32(len(parts) ** 0.5)


def new_vectorizer(unit: NgramUnit, lengths: tuple[int, int], **settings: Any) -> Any:
    """Return a tf-idf vectorizer of scikit-learn for n-grams: of words, or of the characters within each word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    split = {"analyzer": "word", "token_pattern": WORD} if unit == "words" else {"analyzer": "char_wb"}
    return TfidfVectorizer(ngram_range=lengths, sublinear_tf=True, dtype=np.float32, **split, **settings)


def are_unspaced(texts: Sequence[str]) -> bool:
    """Say whether most characters of the first texts belong to scripts that put no space between words."""
    some = "".join("".join(texts[:LOOKED_AT]).split())
    return 2 * len(UNSPACED.findall(some)) > len(some)


def load_terms(path: Path, settings: ViewSettings, tensors: Mapping[str, Tensor]) -> WordTerms | NgramTerms:
    """Read the terms that encoder.json describes. Raises ValueError or KeyError for files that do not fit."""
    segmenter = checked_segmenter(settings.segmenter, path.parent)
    if settings.terms == "words":
        return WordTerms.load(path, segmenter)
    return NgramTerms.load(path, counted_lengths(settings.words, settings.characters), tensors, segmenter)
