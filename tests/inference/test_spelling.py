"""Character n-grams: the same buckets as fastText's, by gensim's word."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from gensim.models.fasttext import ft_ngram_hashes
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.config import parse
from nlptl.errors import ConfigError
from nlptl.inference import spelling as module
from nlptl.inference.spelling import Spelling, bucket_ids

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=12)


@settings(deadline=None, max_examples=200)
@given(st.lists(WORDS, max_size=6), st.integers(1, 5), st.integers(0, 5), st.sampled_from([1, 7, 1000, 2_000_000]))
def test_buckets_are_fasttexts(words: list[str], least: int, more: int, buckets: int) -> None:
    ids, offsets = bucket_ids(words, Spelling(min=least, max=least + more, buckets=buckets))
    expected = [ft_ngram_hashes(word, least, least + more, buckets) for word in words]
    assert [ids[a:b].tolist() for a, b in itertools.pairwise(offsets)] == expected
    assert ids.dtype == np.int32
    assert offsets.dtype == np.int64


def test_blocks_of_words_join(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["film", "é", "東京", "🎉", "", "lovely", "wonderful"]
    whole = bucket_ids(words, Spelling())
    monkeypatch.setattr(module, "WORDS_AT_ONCE", 2)
    for one, other in zip(whole, bucket_ids(words, Spelling()), strict=True):
        assert one.tolist() == other.tolist()


def test_no_words() -> None:
    ids, offsets = bucket_ids([], Spelling())
    assert ids.tolist() == []
    assert offsets.tolist() == [0]


def test_a_word_below_min_has_no_ngrams() -> None:
    assert bucket_ids(["a", "ab"], Spelling(min=4))[1].tolist() == [0, 0, 1]


def test_max_below_min_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(Spelling, {"min": 4, "max": 3}, where="stages.0.subwords")
    assert str(caught.value) == (
        "stages.0.subwords: found min: 4 and max: 3; expected max to be at least min. Raise max or lower min."
    )
