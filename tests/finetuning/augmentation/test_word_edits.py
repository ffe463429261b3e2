"""Words dropped, exchanged, replaced and inserted, and where new ones come from."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from nlptl.errors import DataError
from nlptl.finetuning.augmentation import Augmenter, Swap, WordDropout
from nlptl.finetuning.augmentation.unigrams import Vocabulary, plain
from nlptl.finetuning.augmentation.word_edits import (
    drop_words,
    eda,
    in_case_of,
    insert_words,
    replace_words,
    swap_words,
)
from nlptl.inference.segmenter import SegmenterSettings, segmenter_available
from nlptl.models.words import SplitText
from tests.finetuning.augmentation.neighbours import Neighbours

TEXT = " ".join(f"w{letter}" for letter in "abcdefghijklmnopqrst")
PILE = ["the film is good", "the film is dull", "the story is the story", "the end"]


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_a_segmenter_tells_the_words_that_are_edited() -> None:
    cutter = SegmenterSettings().installed()
    text = "面白かった"  # two words: 面白かっ and た; by script 面白 and かった
    assert {drop_words(text, one, share=0.5, cutter=cutter) for one in rngs(20)} == {"面白かっ", "た"}
    assert {swap_words(text, one, share=1.0, cutter=cutter) for one in rngs(20)} == {"た面白かっ"}
    assert {drop_words(text, one, share=0.5) for one in rngs(20)} == {"面白", "かった"}
    assert {eda(text, one, share=0.5, edits=("swap", "delete"), source=None, cutter=cutter) for one in rngs(20)} == {
        "た面白かっ", "面白かっ", "た",
    }  # fmt: skip
    source = Vocabulary.of([text, "映画館で友だちと観た。"], cutter)
    assert "面白かっ" in source.words
    assert "面白かっ" not in Vocabulary.of([text, "映画館で友だちと観た。"]).words
    long = "監督の新作は本当に面白かったし、俳優の演技も素晴らしかった。"
    inserted = [insert_words(long, one, share=0.1, source=source, cutter=cutter) for one in rngs(10)]
    replaced = [replace_words(long, one, share=0.1, source=source, cutter=cutter) for one in rngs(10)]
    assert {long, " "}.isdisjoint([*inserted, *"".join(inserted)])
    kept = SplitText.of(long, cutter).words
    for version in replaced:
        assert sum(word in version for word in kept) >= 0.8 * len(kept)
    made = Augmenter([WordDropout(share=0.5, copies=3), Swap(share=1.0)], cutter=cutter)([text], seed=1)
    assert set(made.texts) == {"面白かっ", "た", "た面白かっ"}


def test_words_are_dropped_with_their_probability() -> None:
    left = [drop_words(TEXT, generator, share=0.3).split() for generator in rngs(300)]
    assert abs(np.mean([len(words) for words in left]) - 14) < 0.4
    assert all(words == sorted(words) for words in left), "the order stays"
    assert {len(drop_words("a b", generator, share=0.01).split()) for generator in rngs(20)} == {1}
    assert {len(drop_words("a b", generator, share=0.99).split()) for generator in rngs(20)} == {1}
    assert drop_words("alone", rngs(1)[0], share=0.9) == "alone"


@pytest.mark.parametrize("reach", [1, 4])
def test_pairs_change_places_within_reach(reach: int) -> None:
    for generator in rngs(100):
        swapped = swap_words(TEXT, generator, share=0.1, reach=reach).split()
        moved = [i for i, (old, new) in enumerate(zip(TEXT.split(), swapped, strict=True)) if old != new]
        assert len(moved) == 2
        assert moved[1] - moved[0] <= reach
    assert sorted(swap_words(TEXT, rngs(1)[0], share=0.8).split()) == sorted(TEXT.split())
    assert swap_words("a a a", rngs(1)[0], share=1) == "a a a"
    assert swap_words("", rngs(1)[0], share=1) == ""


def test_a_vocabulary_s_numbers_are_those_of_the_paper() -> None:
    vocabulary = Vocabulary.of(PILE)
    assert vocabulary.words[:3] == ("the", "is", "film")
    assert vocabulary.idf["the"] == 0
    assert vocabulary.idf["film"] == math.log(2)
    words = ["the", "film", "the", "unseen"]
    tfidf = [0.0, math.log(2) / 4, 0.0, math.log(4) / 4]
    np.testing.assert_allclose(vocabulary.odds(words), [max(tfidf) - value for value in tfidf])
    np.testing.assert_array_equal(vocabulary.odds(["dull", "good"]), [1, 1])

    score = {"the": 0, "is": 3 * math.log(4 / 3), "film": 2 * math.log(2), "story": 2 * math.log(4)}
    score |= dict.fromkeys(("good", "dull", "end"), math.log(4))
    weights = {word: max(score.values()) - value for word, value in score.items()}
    generator = rngs(1)[0]
    drawn = Counter(vocabulary.draw("film", generator) for _ in range(20_000))
    for word, weight in weights.items():
        assert abs(drawn[word] / 20_000 - weight / sum(weights.values())) < 0.012, word


def test_vocabulary_words_are_letters_in_lower_case() -> None:
    vocabulary = Vocabulary.of(["The FILM, @user 10 https://a.b don't 👍 well-made", "映画は"])
    assert set(vocabulary.words) == {"the", "film", "don't", "well-made", "映画", "は"}
    assert plain("«Good!»") == "good"
    assert plain("a/b") == ""


def test_a_pile_without_words_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        Vocabulary.of(["word", "12 word"])
    assert str(caught.value) == (
        "augmentation: found 1 words in the 2 texts to draw words from; expected at least 2. Give other texts, or choose edits "
        "without replace and insert."
    )


def test_uninformative_words_are_replaced_more_often() -> None:
    vocabulary = Vocabulary.of(PILE)
    changed: Counter[str] = Counter()
    for generator in rngs(400):
        new = replace_words("the film is unheard", generator, share=0.25, source=vocabulary).split()
        changed.update(old for old, word in zip(["the", "film", "is", "unheard"], new, strict=True) if old != word)
    assert changed["unheard"] == 0
    assert changed["is"] > changed["film"] > 0


def test_replacements_keep_capitals_and_punctuation() -> None:
    source = Neighbours({"good": ["fine"], "film": ["movie"]})
    assert replace_words("A «Good» thing, FILM!", rngs(1)[0], share=0.9, source=source) == "A «Fine» thing, MOVIE!"
    assert replace_words("nothing here", rngs(1)[0], share=0.9, source=source) == "nothing here"
    assert replace_words("good", rngs(1)[0], share=0.9, source=source) == "good", "one word stays"
    assert replace_words("@good 2good", rngs(1)[0], share=0.9, source=source) == "@good 2good"
    for old, new in [("A", "Fine"), ("Good", "Fine"), ("GOOD", "FINE"), ("good", "fine"), ("gOOD", "fine")]:
        assert in_case_of(old, "fine") == new


def test_insertions_stand_for_words_of_the_text() -> None:
    source = Neighbours({"wa": ["x"], "wb": ["y"]})
    places = set()
    for generator in rngs(200):
        new = insert_words(TEXT, generator, share=0.1, source=source).split()
        assert [word for word in new if word not in "xy"] == TEXT.split()
        assert sorted(word for word in new if word in "xy") == ["x", "y"]
        places.add(new.index("x"))
    assert places == set(range(22))


def test_eda_draws_one_edit_a_text() -> None:
    source = Neighbours({word: ["new"] for word in TEXT.split()})
    edits = ("replace", "insert", "swap", "delete")
    found: Counter[str] = Counter()
    for generator in rngs(400):
        words = SplitText.of(eda(TEXT, generator, share=0.1, edits=edits, source=source)).words
        kind = {22: "insert", 20: "replace" if "new" in words else "swap"}.get(len(words), "delete")
        found[kind] += 1
    assert all(abs(found[edit] / 400 - 0.25) < 0.07 for edit in edits), found
