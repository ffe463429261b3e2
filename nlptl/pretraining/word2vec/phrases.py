"""Phrases: pairs of words that occur together more often than by chance become one word (Mikolov et al. 2013b, eq. 6).

Unknown words are not in a corpus, so "new RARE york" counts as "new york" here, as in word2vec.

Shapes: V words of the vocabulary, P phrases, C pairs.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nlptl.pretraining.word2vec.corpus import Corpus, blocks
from nlptl.pretraining.word2vec.spool import disk_errors, mapped_ids, unnamed_file, write_whole
from nlptl.training.compiled import kept_njit

JOINT = "_"  # between the words of a phrase; no word of these tokenizers has it
SORTED_WORDS = 1 << 22  # words whose pairs are sorted at once: 100 MB
MAX_COUNTED_PAIRS = 50_000_000  # 0.8 GB; of more, the rarest are forgotten, as in word2phrase
Ids = NDArray[np.int32]


def joined_phrases(corpus: Corpus, *, min_count: int, threshold: float) -> tuple[Corpus, Ids]:
    """Return the corpus with its phrases joined, in a file without a name, and their ids (P, 3)."""
    return merge(corpus, find_phrases(corpus, min_count=min_count, threshold=threshold))


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


def merge(corpus: Corpus, pairs: Ids) -> tuple[Corpus, Ids]:
    """Join phrases from left to right. Return the corpus and phrase ids (P, 3): two words and their phrase.

    Phrases, spelt "new_york", follow the vocabulary, unless it has them. Counts of their parts fall. Pairs that never
    come to be joined are dropped. Raises DataError if the disk is full.
    """
    used = np.zeros(len(pairs), np.int64)
    keys, order, starts = _lookup(pairs, len(corpus.counts))
    for part, lengths in _parts(corpus):
        _join(part, lengths, keys, order, starts, np.zeros(0, np.int32), used)
    vocabulary, phrases = _named(corpus, pairs[used > 0])
    words, offsets = len(vocabulary), [np.zeros(1, np.int64)]
    keys, order, starts = _lookup(phrases, words)
    counts = np.zeros(words, np.int64)
    counts[0] = corpus.counts[0]
    with disk_errors(), unnamed_file() as file:
        for part, lengths in _parts(corpus):
            out = np.empty(len(part), np.int32)
            left = _join(part, lengths, keys, phrases[order, 2].astype(np.int64), starts, out, np.zeros(0, np.int64))
            counts += np.bincount(out[:left], minlength=words)
            offsets.append(lengths)
            write_whole(file, out[:left])
        ids = mapped_ids(file)
    return Corpus(ids, np.cumsum(np.concatenate(offsets)), counts, vocabulary), phrases


def _lookup(pairs: Ids, words: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return ascending keys of pairs (P, 2), their places (P,) in `pairs`, and which words (V,) begin one."""
    keys = pairs[:, 0].astype(np.int64) * words + pairs[:, 1]
    order = np.argsort(keys)
    starts = np.zeros(words, np.bool_)
    starts[pairs[:, 0]] = True
    return keys[order], order, starts


def _named(corpus: Corpus, pairs: Ids) -> tuple[list[str], Ids]:
    """Return the vocabulary with phrases, and phrase ids (P, 3)."""
    words = corpus.words
    known = {word: index for index, word in enumerate(words)}
    ids = [known.setdefault(f"{words[a]}{JOINT}{words[b]}", len(known)) for a, b in pairs.tolist()]
    return list(known), np.concatenate([pairs, np.array(ids, np.int32).reshape(-1, 1)], axis=1)


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
    for first, last in blocks(corpus.offsets, size=SORTED_WORDS):
        offsets = corpus.offsets[first : last + 1]
        yield np.array(corpus.ids[offsets[0] : offsets[-1]]), np.diff(offsets)


@kept_njit(nogil=True)
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
