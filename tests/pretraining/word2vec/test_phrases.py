"""Phrases: gensim finds and joins the same ones, counts stay whole, a text at prediction is read as in training."""

from __future__ import annotations

import tempfile

import numpy as np
import pytest

from nlptl.errors import DataError
from nlptl.inference.static_words import merged
from nlptl.pretraining.word2vec import phrases as module
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.phrases import find_phrases, merge
from tests.pretraining.word2vec.test_corpus import full_device
from tests.pretraining.word2vec.test_engine import small_corpus

WORDS = [f"w{i}" for i in range(40)]


def texts(seed: int = 0) -> list[str]:
    """Return texts in which some pairs stand together far too often."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(400):
        text = generator.choice(WORDS, generator.integers(0, 12)).tolist()
        for pair in (["new", "york"], ["york", "city"], ["new", "new"])[: generator.integers(0, 4)]:
            place = generator.integers(0, len(text) + 1)
            text[place:place] = pair
        found.append(" ".join(text))
    return found


def scorer(
    worda_count: int, wordb_count: int, bigram_count: int, len_vocab: int, min_count: int, corpus_word_count: int
) -> float:
    """Score as word2phrase does, by name of the arguments that gensim gives."""
    return (bigram_count - min_count) / worda_count / wordb_count * corpus_word_count


@pytest.mark.parametrize("chunk", [50, 1 << 22])
@pytest.mark.parametrize("threshold", [1.5, 4.0])
def test_gensim_finds_and_joins_the_same(chunk: int, threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    from gensim.models.phrases import Phrases

    monkeypatch.setattr(module, "SORTED_WORDS", chunk)
    rows = texts()
    corpus = small_corpus(rows)
    judge = Phrases(
        [row.split() for row in rows], min_count=3, threshold=threshold, scoring=scorer,
        connector_words=frozenset(),
    )  # fmt: skip
    pairs = find_phrases(corpus, min_count=3, threshold=threshold)
    assert {"_".join(corpus.words[i] for i in pair) for pair in pairs.tolist()} == set(judge.export_phrases())
    assert len(pairs) > 1

    joined, ids = merge(corpus, pairs)
    ours = [[joined.words[i] for i in text.tolist()] for text in joined.texts()]
    assert ours == [judge[row.split()] for row in rows]
    assert joined.counts[1:].tolist() == np.bincount(joined.ids, minlength=len(joined.words))[1:].tolist()
    assert len(joined) == len(corpus)
    table = {(a, b): both for a, b, both in ids.tolist()}
    again = [merged(text.tolist(), table) for text in corpus.texts()]
    assert again == [text.tolist() for text in joined.texts()]


def test_the_score_is_its_definition() -> None:
    corpus = small_corpus(["a b"] * 6 + ["a c", "c b", "c c c c"])
    n, count_a, count_b, count_ab = len(corpus.ids), 7, 7, 6
    score = (count_ab - 2) / (count_a * count_b) * n
    spelt = corpus.words
    for threshold, expected in ((score - 1e-6, [["a", "b"]]), (score + 1e-6, [])):
        pairs = find_phrases(corpus, min_count=2, threshold=threshold)
        assert [[spelt[i] for i in pair] for pair in pairs.tolist() if spelt[pair[0]] != "c"] == expected


def test_a_phrase_that_the_vocabulary_has_keeps_its_id() -> None:
    plain = small_corpus(["new york"] * 9 + ["old town"])
    corpus = Corpus(plain.ids, plain.offsets, np.append(plain.counts, 0), [*plain.words, "new_york"])
    pairs = find_phrases(corpus, min_count=2, threshold=0.1)
    joined, ids = merge(corpus, pairs)
    assert list(joined.words) == list(corpus.words)
    assert ids[0, 2] == len(corpus.words) - 1
    assert joined.counts[-1] == 9


def test_pairs_that_are_never_joined_are_no_phrases() -> None:
    corpus = small_corpus(["a b c"] * 9)
    spelt = list(corpus.words)
    a, b, c = (spelt.index(word) for word in "abc")
    joined, ids = merge(corpus, np.array([[b, c], [a, b]], np.int32))
    assert [joined.words[i] for i in ids[:, 2].tolist()] == ["a_b"]


def test_no_phrases_leave_the_corpus_as_it_is() -> None:
    corpus = small_corpus(["a b", "c"])
    joined, ids = merge(corpus, find_phrases(corpus, min_count=5, threshold=100))
    assert ids.shape == (0, 3)
    assert joined.ids.tolist() == corpus.ids.tolist()
    assert joined.counts.tolist() == corpus.counts.tolist()


def test_the_rarest_pairs_are_forgotten_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_COUNTED_PAIRS", 5)
    monkeypatch.setattr(module, "SORTED_WORDS", 200)
    corpus = small_corpus(texts())
    pairs = find_phrases(corpus, min_count=3, threshold=2.0)
    found = {"_".join(corpus.words[i] for i in pair) for pair in pairs.tolist()}
    assert "new_york" in found
    assert len(found) <= 5


def test_a_full_disk_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = small_corpus(["a b"] * 9)
    monkeypatch.setattr(module, "unnamed_file", full_device)
    with pytest.raises(DataError) as caught:
        merge(corpus, np.array([[1, 2]], np.int32))
    assert str(caught.value) == (
        f"{tempfile.gettempdir()}: cannot write the encoded corpus (No space left on device); it needs four bytes a word. "
        "Free space or set TMPDIR to another disk."
    )
