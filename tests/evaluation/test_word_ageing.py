"""Ageing of a vocabulary: words that have become frequent, by the text that holds them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from nlptl.evaluation.drift import rate_shift
from nlptl.evaluation.word_ageing import Words, aged_words, frequent_of, new_words, unseen_rates
from nlptl.inference.bert_words import BertWords

BEFORE = Words.of([f"the doctor sees patient {'abcdefgh'[row % 8]}" for row in range(60)])


def test_a_frequent_new_word_is_told_with_its_texts_and_a_rare_one_is_not() -> None:
    texts = ["the doctor sees Covid."] * 12 + ["the doctor sees a new patient"] * 30 + ["rare words here"] * 2
    found = new_words(BEFORE, Words.of(texts))
    told = {one.word: one for one in found.words}
    assert {"covid", "new"} <= told.keys()
    assert "rare" not in told
    assert told["covid"].texts == 12
    assert told["covid"].places == (0, 1, 2, 3, 4)
    assert told["covid"].share_before == 0
    assert told["covid"].share == 12 / (12 * 4 + 30 * 6 + 2 * 3)
    assert found.p_value < 1e-6
    assert found.count == len(found.words)


def test_words_of_the_pile_are_known_and_make_others_telling() -> None:
    new = Words.of(["the doctor sees covid"] * 5)
    assert new_words(BEFORE, new).words[0].word == "covid"
    assert not new_words(BEFORE, new, Counter({"covid": 3}), others=100).words
    few = Words.of(["the doctor sees covid"] * 3 + ["the doctor"] * 60)
    assert not new_words(BEFORE, few).words
    assert new_words(BEFORE, few, Counter(), others=2000).words[0].word == "covid"


def test_japanese_words_are_found_where_the_script_changes() -> None:
    before = Words.of(["新しい病院が開いた。"] * 40)
    new = Words.of(["コロナウイルスの影響で病院が閉じた。"] * 20)
    assert "コロナウイルス" in {one.word for one in new_words(before, new).words}


def test_words_of_a_checkpoint_are_whole_whatever_its_vocabulary_holds() -> None:
    pytest.importorskip("sudachipy")
    characters = BertWords(program="sudachi", dictionary="small", subwords="character")
    assert Words.of(["新しい病院が開いた。"], characters).of_texts == (
        Counter({"新しい": 1, "病院": 1, "が": 1, "開い": 1, "た": 1}),
    )


def test_unseen_words_are_as_frequent_on_both_sides_where_nothing_changes() -> None:
    generator = np.random.default_rng(0)
    words = [f"word{chr(97 + number % 26)}{chr(97 + number // 26)}" for number in range(400)]
    weights = 1 / np.arange(1, 401)
    weights /= weights.sum()

    def drawn(count: int) -> Words:
        return Words.of([" ".join(generator.choice(words, 12, p=weights)) for _ in range(count)])

    p_values = []
    for seed in range(8):
        found = rate_shift(*unseen_rates(drawn(50), drawn(80)), seed=seed)
        assert found is not None
        assert 0.01 < found.then < 0.3
        p_values.append(found.p_value)
    assert np.mean(np.array(p_values) < 0.05) <= 0.25
    new = Words.of(["completely other vocabulary everywhere in here"] * 30)
    shifted = rate_shift(*unseen_rates(drawn(50), new))
    assert shifted is not None
    assert shifted.p_value < 0.01


def test_mentions_links_and_numbers_are_no_words() -> None:
    assert Words.of(["@user see https://x.example 2024 now!"]).of_texts == (Counter({"see": 1, "now": 1}),)


def test_words_of_a_kind_are_listed_by_their_texts() -> None:
    new = Words.of(["tokenization hurts"] * 4 + ["tokenization"] * 2 + ["detokenization"] * 2)
    assert frequent_of({"tokenization", "hurts", "detokenization"}, new) == ["tokenization", "hurts"]
    assert aged_words(["hurts"], BEFORE, new)[0].texts == 4
    assert new.rates({"hurts"}.__contains__)[0].tolist() == [1, 2]
