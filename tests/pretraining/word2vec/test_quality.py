"""How neighbourhoods changed: the share that stayed, and which words changed most."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.pretraining.word2vec.quality import frequent_words, neighbourhood_change

WORDS = ["[UNK]", "cat", "dog", "pet", "car", "road", "wheel", "fresh"]


def circle(*angles: float) -> np.ndarray:
    radians = np.radians(np.array([0.0, *angles]))
    vectors = np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)
    vectors[0] = 0.0
    return vectors


def test_nothing_changes_when_vectors_turn_together() -> None:
    before, after = circle(0, 10, 25, 90, 102, 115, 0), circle(40, 50, 65, 130, 142, 155, 300)
    before[7] = np.nan  # a new word is nobody's neighbour
    change = neighbourhood_change(WORDS, before, after, np.arange(1, 7), count=2)
    assert (change.words, change.count, change.kept, change.most_changed) == (6, 2, 1.0, {})
    assert change.sentence() == "Of 6 frequent old words' 2 nearest neighbours 100% stayed."


def test_a_word_that_moved_is_told() -> None:
    before, after = circle(0, 10, 25, 90, 102, 115, 0), circle(103, 10, 25, 90, 102, 115, 0)
    before[7] = np.nan
    change = neighbourhood_change(WORDS, before, after, np.array([1, 3, 5]), count=2)
    # cat had dog and pet and now has road and wheel or car; pet lost cat; road gained cat
    assert change.kept == pytest.approx((0 + 0.5 + 0.5) / 3, abs=1e-4)
    old, new = change.most_changed["cat"]
    assert (old, new) == (["dog", "pet"], ["road", "wheel"])
    assert change.sentence().startswith(
        "Of 3 frequent old words' 2 nearest neighbours 33% stayed. Most changed: cat: dog, pet became road, wheel; "
    )


def test_more_neighbours_than_words() -> None:
    change = neighbourhood_change(WORDS, circle(*range(7)), circle(*range(7)), np.array([1, 2]), count=50)
    assert (change.count, change.kept) == (6, 1.0)


def test_frequent_words_mean_something() -> None:
    words = ["[UNK]", "their", "cat", "films", "story", "never seen"]
    assert frequent_words(words, np.array([9, 8, 7, 6, 5, 0]), count=5) == [3, 4]
