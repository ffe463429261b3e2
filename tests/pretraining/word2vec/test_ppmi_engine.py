"""PPMI engine: counts and information against their formulas, a truncated factorisation, limits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nlptl.errors import DataError
from nlptl.models.neighbours import nearest
from nlptl.pretraining.word2vec import ppmi_engine
from nlptl.pretraining.word2vec.corpus import Corpus, corpus_of
from nlptl.pretraining.word2vec.engines import Callbacks, SkipGramTask
from nlptl.pretraining.word2vec.ppmi_engine import factors, pair_counts, positive_information, train
from nlptl.pretraining.word2vec.sampling import keep_probability
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

TEXTS = ["a b a c d", "b c", "", "d", "a a b e c a"]


def corpus_from(texts: list[str]) -> Corpus:
    with corpus_of(untrained_tokenizer(TextSettings()), [texts], min_count=1) as corpus:
        return Corpus(np.array(corpus.ids), corpus.offsets, corpus.counts, corpus.words)


def task(**changes: Any) -> SkipGramTask:
    given = {"dim": 3, "window": 3, "negatives": 5, "subsample": 0.0, "epochs": 1, "learning_rate": 0.025, "seed": 1}
    return SkipGramTask(**{**given, **changes})


def counted(corpus: Corpus, window: int, subsample: float) -> np.ndarray:
    """Count pairs one by one."""
    keep = keep_probability(corpus.counts, subsample)
    counts = np.zeros((len(corpus.counts),) * 2)
    for text in corpus.texts():
        for i, centre in enumerate(text):
            for j, context in enumerate(text):
                if 0 < abs(i - j) <= window:
                    counts[centre, context] += (window - abs(i - j) + 1) / window * keep[centre] * keep[context]
    return counts


@pytest.mark.parametrize("block", [1, 4, 2_000_000])
def test_pairs_count_by_distance_and_by_what_subsampling_keeps(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppmi_engine, "BLOCK_PAIRS", block)
    corpus, passed = corpus_from(TEXTS), []
    for window, subsample in ((1, 0.0), (3, 0.0), (40, 0.1)):
        passed.clear()
        found = pair_counts(corpus, task(window=window, subsample=subsample), Callbacks(passed.append))
        np.testing.assert_allclose(found.toarray(), counted(corpus, window, subsample))
        assert sum(passed) == len(corpus.ids)


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
def test_information_is_its_formula(smoothing: float) -> None:
    corpus = corpus_from(TEXTS)
    counts = pair_counts(corpus, task(), Callbacks())
    found = positive_information(counts, smoothing).toarray()
    plain, words = counts.toarray(), len(corpus.counts) - 1
    total = plain.sum() + smoothing * words**2
    for w in range(words + 1):
        for c in range(words + 1):
            expected = 0.0
            if plain[w, c]:
                sums = (plain[w].sum() + smoothing * words) * (plain[c].sum() + smoothing * words)
                expected = max(0.0, math.log((plain[w, c] + smoothing) * total / sums))
            assert found[w, c] == pytest.approx(expected)


def test_smoothing_takes_most_from_rare_words() -> None:
    counts = pair_counts(corpus_from(["x y"] + ["a b c"] * 50), task(), Callbacks())
    plain, smoothed = (positive_information(counts, smoothing).toarray() for smoothing in (0.0, 1.0))
    assert plain[4, 5] > plain[1, 2] > 0, "a pair that is seen once says most"
    assert plain[4, 5] - smoothed[4, 5] > 2.5
    assert abs(plain[1, 2] - smoothed[1, 2]) < 0.01


def test_few_words_and_many_are_factorised_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(3)
    texts = [" ".join(f"w{number}" for number in generator.zipf(1.3, 12) if number < 200) for _ in range(300)]
    matrix = positive_information(pair_counts(corpus_from(texts), task(), Callbacks()), 0.01)
    dense = factors(matrix, 6)
    monkeypatch.setattr(ppmi_engine, "DENSE_WORDS", 1)
    sparse = factors(matrix, 6)
    np.testing.assert_allclose(sparse, dense, atol=1e-4)
    np.testing.assert_array_equal(sparse, factors(matrix, 6))
    columns, values, _ = np.linalg.svd(matrix.toarray())
    np.testing.assert_allclose(np.abs(dense), np.abs(columns[:, :6] * values[:6] ** 0.5), atol=1e-4)


def test_words_that_stand_together_are_near_whatever_the_seed() -> None:
    corpus = corpus_from(["cat dog pet fur " * 3, "car road wheel fuel " * 3] * 5)
    first, second = (train(corpus, task(seed=seed, dim=20), start=None, callbacks=Callbacks()) for seed in (1, 2))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    assert first.vectors.shape == (9, 20)
    assert first.vectors.dtype == np.float32
    assert not first.vectors[0].any(), "the unknown word has no vector"
    assert not first.vectors[:, 9:].any(), "nine words span no more"
    found = {word for word, _ in nearest(corpus.words, first.vectors, list(corpus.words).index("cat"), count=3)}
    assert found == {"dog", "pet", "fur"}


def test_a_pile_that_memory_cannot_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ppmi_engine, "MAX_PAIRS", 3)
    with pytest.raises(DataError) as caught:
        train(corpus_from(TEXTS), task(), start=None, callbacks=Callbacks())
    assert str(caught.value) == (
        "skipgram.engine: found more than 3 pairs of words; engine ppmi holds them in memory and expects at most that many. "
        "Choose engine: cpu, lower window, or raise min_count."
    )
    monkeypatch.setattr(ppmi_engine, "MAX_WORDS", 4)
    with pytest.raises(DataError) as caught:
        train(corpus_from(TEXTS), task(), start=None, callbacks=Callbacks())
    assert str(caught.value) == (
        "skipgram.engine: found a vocabulary of 5 words; engine ppmi holds them in memory and expects at most 4. "
        "Choose engine: cpu, or raise min_count."
    )


def test_texts_of_one_word_have_no_pairs() -> None:
    with pytest.raises(DataError) as caught:
        train(corpus_from(["one", "two"]), task(), start=None, callbacks=Callbacks())
    assert str(caught.value) == (
        "skipgram.engine: found no two words together in a text; engine ppmi expects pairs of words. "
        "Give longer texts, or choose engine: cpu."
    )
