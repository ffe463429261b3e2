"""Words with one vector each, without torch: texts to token ids, ids to vectors.

Shapes: V words, D dimension, N tokens of all texts, S buckets in use, P phrases, M unseen words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from nlptl.artifact import read_arrays
from nlptl.errors import ArtifactError
from nlptl.inference.file_names import WORD_VECTORS
from nlptl.inference.spelling import Spelling, bucket_ids
from nlptl.inference.tokenizer_files import encoded
from nlptl.inference.tokenizing import TokenRule, tokenize
from nlptl.inference.word_sums import FENCE, WordsOfChunks, chunk_of_place

UNKNOWN_ID = 0

Floats = NDArray[np.float32]
Pairs = Mapping[tuple[int, int], int]


@dataclass(frozen=True)
class ReadWords:
    """Token ids of texts. Ids of V and more are unseen words of these very texts, whose vectors are `unseen`."""

    ids: list[list[int]]
    unseen: Floats  # (M, D)


@dataclass(frozen=True)
class StaticSubwords:
    """v(w) = (1/|G(w)|) sum over the n-grams g in G(w) of buckets[hash(g)], the vector of an unseen word."""

    spelling: Spelling
    bucket_ids: NDArray[np.int32]  # (S,) ascending
    buckets: Floats  # (S, D)

    def vectors(self, words: Sequence[str]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the vectors (M, D) of words, and whether each has a known n-gram (M,)."""
        ids, offsets = bucket_ids(words, self.spelling)
        found = np.zeros((len(words), self.buckets.shape[1]), np.float32)
        known = np.zeros(len(words), np.bool_)
        if not len(self.bucket_ids):
            return found, known
        rows = np.searchsorted(self.bucket_ids, ids).clip(max=len(self.bucket_ids) - 1)
        met = self.bucket_ids[rows] == ids
        for number, (begin, end) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
            kept = rows[begin:end][met[begin:end]]
            if len(kept):
                known[number] = True
                found[number] = self.buckets[kept].sum(axis=0) / (end - begin)
        return found, known


@dataclass(frozen=True)
class StaticWords:
    """token_vectors[n] = vectors[ids[n]]; words without a vector are left out."""

    tokenizer: Tokenizer
    table: Floats  # (V, D); row 0 is the unknown word
    pairs: Pairs  # two ids, the first of which may be a phrase, to the id of both
    subwords: StaticSubwords | None

    @classmethod
    def read(cls, folder: Path, tokenizer: Tokenizer, spelling: Spelling | None) -> StaticWords:
        """Read the words of a classifier's folder. Raises ArtifactError if the file is missing or damaged."""
        arrays = read_arrays(folder / WORD_VECTORS)
        try:
            table, phrases = arrays["vectors"].astype(np.float32, copy=False), arrays.get("phrases")
            subwords = None
            if spelling is not None:
                buckets = arrays["buckets"].astype(np.float32, copy=False)
                subwords = StaticSubwords(spelling, arrays["bucket_ids"], buckets)
                if buckets.shape != (len(subwords.bucket_ids), table.shape[1]):
                    raise ValueError("buckets")
            if table.ndim != 2 or (phrases is not None and (phrases.ndim != 2 or phrases.shape[1] != 3)):
                raise ValueError("vectors")
        except (KeyError, ValueError, IndexError):
            raise ArtifactError(
                f"{folder / WORD_VECTORS}: holds no word vectors that encoder.json describes; the folder is damaged. Run the "
                "stage again."
            ) from None
        pairs = {} if phrases is None else {(first, second): both for first, second, both in phrases.tolist()}
        return cls(tokenizer, table, pairs, subwords)

    @property
    def dim(self) -> int:
        """Width D of the vectors."""
        return int(self.table.shape[1])

    def read_texts(self, texts: Sequence[str]) -> ReadWords:
        """Return the token ids of texts, phrases joined and words without a vector left out."""
        none = np.zeros((0, self.dim), np.float32)
        if self.subwords is None and not self.pairs:
            return ReadWords(tokenize(self.tokenizer, texts, TokenRule(drop=UNKNOWN_ID)), none)
        if self.subwords is None:
            ids, unseen = tokenize(self.tokenizer, texts, TokenRule()), none
        else:
            ids, unseen = self._spelt(self.subwords, texts)
        joined = [merged(text, self.pairs) for text in ids] if self.pairs else ids
        return ReadWords([[index for index in text if index != UNKNOWN_ID] for text in joined], unseen)

    def of_chunks(self, chunks: list[str]) -> WordsOfChunks:
        """Return the words of chunks, which are read alone."""
        if self.subwords is None:
            joined = FENCE.join(chunks)
            found = encoded(
                lambda texts: [self.tokenizer.encode(text, add_special_tokens=False) for text in texts], [joined]
            )[0]
            ids, of_chunk = np.array(found.ids, np.int64), chunk_of_place(chunks, [begin for begin, _ in found.offsets])
            known = ids != UNKNOWN_ID
            return WordsOfChunks(ids[known], of_chunk[known], self.table[ids[known]])
        read = self.read_texts(chunks)
        of_chunk = np.repeat(np.arange(len(chunks)), [len(own) for own in read.ids])
        ids = np.array([index for own in read.ids for index in own], np.int64)
        return WordsOfChunks(ids, of_chunk, self.vectors(ids, read.unseen))

    def vectors(self, ids: NDArray[np.int64], unseen: Floats) -> Floats:
        """Return the vectors (N, D) of token ids (N,) of `read_texts`."""
        if not len(unseen):
            return self.table[ids]
        known = ids < len(self.table)
        found = self.table[np.where(known, ids, UNKNOWN_ID)]
        found[~known] = unseen[ids[~known] - len(self.table)]
        return found

    def _spelt(self, subwords: StaticSubwords, texts: Sequence[str]) -> tuple[list[list[int]], Floats]:
        """Return all token ids, where each unseen word with a known n-gram has an id of its own, and the vectors of these."""
        normalizer, splitter = self.tokenizer.normalizer, Tokenizer(self.tokenizer.model)
        splitter.pre_tokenizer = self.tokenizer.pre_tokenizer  # and no normalizer: places are those in normalised texts
        normal = encoded(lambda some: [normalizer.normalize_str(text) for text in some], texts)
        encodings = encoded(partial(splitter.encode_batch, add_special_tokens=False), normal)
        ids = [encoding.ids for encoding in encodings]
        places = {
            (row, place): normal[row][slice(*encodings[row].offsets[place])]
            for row, text in enumerate(ids)
            for place, index in enumerate(text)
            if index == UNKNOWN_ID
        }
        words = [*dict.fromkeys(places.values())]
        vectors, known = subwords.vectors(words)
        numbers = dict(zip(words, (np.cumsum(known) - 1 + len(self.table)).tolist(), strict=True))
        spelt = {word for word, is_known in zip(words, known.tolist(), strict=True) if is_known}
        for (row, place), word in places.items():
            if word in spelt:
                ids[row][place] = numbers[word]
        return ids, vectors[known]


def merged(
    ids: Sequence[int], pairs: Mapping[tuple[int, int], int], *, spans: list[tuple[int, int]] | None = None
) -> list[int]:
    """Return ids with each two neighbours that are in `pairs` replaced by their phrase, from left to right.

    A phrase may be the first of another pair: new york, then new_york city. `spans`, where the words stand, are joined in place.
    """
    found: list[int] = []
    ends: list[int] = []  # place of the last word of each
    for place, index in enumerate(ids):
        both = pairs.get((found[-1], index)) if found else None
        if both is None:
            found.append(index)
            ends.append(place)
        else:
            found[-1] = both
            ends[-1] = place
    if spans is not None:
        begins = [0, *(end + 1 for end in ends[:-1])]
        spans[:] = [(spans[begin][0], spans[end][1]) for begin, end in zip(begins, ends, strict=False)]
    return found
