"""Phrases: pairs of words that occur together more often than by chance become one word (Mikolov et al. 2013b, eq. 6).

Unknown words are not in a corpus, so "new RARE york" counts as "new york" here, as in word2vec.

Shapes: V words of the vocabulary, P phrases, C pairs.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.corpus import Corpus, mapped_ids
from nlptl.pretraining.word2vec.scanned_pile import disk_errors_in

JOINT = "_"  # between the words of a phrase; no word of these tokenizers has it
SORTED_WORDS = 1 << 22  # words whose pairs are sorted at once: 100 MB
MAX_COUNTED_PAIRS = 50_000_000  # 0.8 GB; of more, the rarest are forgotten, as in word2phrase
Ids = NDArray[np.int32]


@contextlib.contextmanager
def joined_phrases(corpus: Corpus, *, min_count: int, threshold: float) -> Iterator[tuple[Corpus, Ids]]:
    """Yield the corpus with its phrases joined, in a temporary file, and their ids (P, 3)."""
    pairs = find_phrases(corpus, min_count=min_count, threshold=threshold)
    with tempfile.TemporaryDirectory(prefix="nlptl-phrases-") as folder:
        yield merge(corpus, pairs, Path(folder))


def find_phrases(corpus: Corpus, *, min_count: int, threshold: float) -> Ids:
    """Return pairs (P, 2) of words that make a phrase, highest score first.

        score(a, b) = (count(a b) - min_count) / (count(a) count(b)) N > threshold

    N is the number of words, as in word2phrase. A phrase occurs at least `min_count` times.
    """
    keys, counts = _pair_counts(corpus, min_count)
    often = counts >= min_count
    keys, counts = keys[often], counts[often]
    words = len(corpus.counts)
    first, second = keys // words, keys % words
    product = corpus.counts[first].astype(np.float64) * corpus.counts[second]
    score = (counts - min_count) / product * len(corpus.ids)
    order = np.lexsort((keys, -score))
    order = order[score[order] > threshold]
    return np.stack([first[order], second[order]], axis=1).astype(np.int32)


def merge(corpus: Corpus, pairs: Ids, folder: Path) -> tuple[Corpus, Ids]:
    """Join phrases from left to right. Return the corpus and phrase ids (P, 3): two words and their phrase.

    Phrases, spelt "new_york", follow the vocabulary, unless it has them. Counts of their parts fall. Pairs that never
    come to be joined are dropped. The new ids are in a file in `folder`. Raises DataError if the disk is full.
    """
    words = len(corpus.counts)
    keys = pairs[:, 0].astype(np.int64) * words + pairs[:, 1]
    used = np.zeros(len(pairs), np.int64)
    starts = np.zeros(words, np.bool_)
    starts[pairs[:, 0]] = True
    order = np.argsort(keys)
    for part, lengths in _parts(corpus):
        _join(part, lengths, keys[order], order, starts, np.zeros(0, np.int32), used)
    pairs = pairs[used > 0]
    vocabulary, phrases = _named(corpus, pairs)
    path = folder / "ids"
    counts = _write_joined(corpus, phrases, len(vocabulary), path)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts[1])])
    return Corpus(mapped_ids(path), offsets, counts[0], vocabulary), phrases


def _named(corpus: Corpus, pairs: Ids) -> tuple[list[str], Ids]:
    """Return the vocabulary with phrases, and phrase ids (P, 3)."""
    vocabulary = list(corpus.words)
    known = {word: index for index, word in enumerate(vocabulary)}
    ids = []
    for first, second in pairs.tolist():
        phrase = f"{vocabulary[first]}{JOINT}{vocabulary[second]}"
        if phrase not in known:
            known[phrase] = len(vocabulary)
            vocabulary.append(phrase)
        ids.append(known[phrase])
    return vocabulary, np.concatenate([pairs, np.array(ids, np.int32).reshape(-1, 1)], axis=1)


def _write_joined(corpus: Corpus, phrases: Ids, words: int, path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write the joined ids to `path`. Return counts (V,) and the lengths of texts."""
    keys = phrases[:, 0].astype(np.int64) * words + phrases[:, 1]
    order = np.argsort(keys)
    starts = np.zeros(words, np.bool_)
    starts[phrases[:, 0]] = True
    counts = np.zeros(words, np.int64)
    counts[0] = corpus.counts[0]
    lengths = [np.zeros(0, np.int64)]
    with disk_errors_in(path.parent), path.open("wb") as file:
        for part, old in _parts(corpus):
            out, new, used = np.empty(len(part), np.int32), old.copy(), np.zeros(len(phrases), np.int64)
            left = _join(part, new, keys[order], phrases[order, 2].astype(np.int64), starts, out, used)
            counts += np.bincount(out[:left], minlength=words)
            lengths.append(new)
            file.write(out[:left].data)
    return counts, np.concatenate(lengths)


def _pair_counts(corpus: Corpus, min_count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of neighbours as a V + b (C,), ascending, and their counts (C,)."""
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    words = len(corpus.counts)
    often = corpus.counts >= min_count  # phrases need frequent words
    for part, lengths in _parts(corpus):
        inside = np.ones(len(part), np.bool_)
        inside[np.cumsum(lengths)[lengths > 0] - 1] = False  # last words of texts
        left, right = part[:-1][inside[:-1]].astype(np.int64), part[1:][inside[:-1]]
        both = often[left] & often[right]
        new, of_new = np.unique(left[both] * words + right[both], return_counts=True)
        merged = np.concatenate([keys, new])
        keys, places = np.unique(merged, return_inverse=True)
        counts = np.bincount(places, weights=np.concatenate([counts, of_new]), minlength=len(keys)).astype(np.int64)
        forget = 1
        while len(keys) > MAX_COUNTED_PAIRS:
            keys, counts = keys[counts > forget], counts[counts > forget]
            forget += 1
    return keys, counts


def _parts(corpus: Corpus) -> Iterator[tuple[Ids, NDArray[np.int64]]]:
    """Yield ids and text lengths of groups of whole texts, of about SORTED_WORDS words."""
    first, offsets = 0, corpus.offsets
    while first < len(corpus):
        last = int(np.searchsorted(offsets, offsets[first] + SORTED_WORDS, side="right")) - 1
        last = min(max(last, first + 1), len(corpus))
        yield np.array(corpus.ids[offsets[first] : offsets[last]]), np.diff(offsets[first : last + 1])
        first = last


@njit(cache=True, nogil=True)
def _join(
    ids: Ids, lengths: NDArray[np.int64], keys: NDArray[np.int64], values: NDArray[np.int64],
    starts: NDArray[np.bool_], out: Ids, used: NDArray[np.int64],
) -> int:  # fmt: skip
    """Join pairs, keys (P,) ascending, from left to right in each text. Return the number of words left.

    If `out` is not empty, write new ids to it and new lengths in place; the value of a pair is its id. Otherwise count in
    `used` (P,), by value, how often each pair is joined.
    """
    words = len(starts)
    writes = len(out) > 0
    begin = written = 0
    for text in range(len(lengths)):
        end = begin + lengths[text]
        place, before = begin, written
        while place < end:
            found = -1
            if place + 1 < end and starts[ids[place]]:
                key = np.int64(ids[place]) * words + ids[place + 1]
                slot = np.searchsorted(keys, key)
                if slot < len(keys) and keys[slot] == key:
                    found = values[slot]
            if found >= 0 and not writes:
                used[found] += 1
            if writes:
                out[written] = found if found >= 0 else ids[place]
            written += 1
            place += 2 if found >= 0 else 1
        begin = end
        if writes:
            lengths[text] = written - before
    return written
