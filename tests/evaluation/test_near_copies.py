"""Near-copies: found whatever their case and punctuation, checked by their words, against brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from nlptl.evaluation import near_copies as module
from nlptl.evaluation.near_copies import copy_groups, near_copies, word_counts

WORDS = [f"word{number}" for number in range(400)]


def text(generator: np.random.Generator, words: int) -> list[str]:
    return [WORDS[place] for place in generator.integers(len(WORDS), size=words)]


def jaccard(one: str, other: str) -> float:
    """Return what the module promises, by sets of pairs of words."""
    first, second = (set(itertools.pairwise(["^", *part.split(), "$"])) for part in (one, other))
    return len(first & second) / len(first | second)


def test_pairs_are_those_of_brute_force() -> None:
    generator = np.random.default_rng(0)
    texts = []
    for _ in range(60):
        base = text(generator, int(generator.integers(3, 60)))
        changed = [word if generator.random() > 0.05 else "other" for word in base]
        texts += [" ".join(base), " ".join(changed)]
    texts = list(dict.fromkeys(texts))
    expected = {
        (i, j): share
        for i, j in itertools.combinations(range(len(texts)), 2)
        if (share := jaccard(texts[i], texts[j])) >= module.MIN_SHARE
    }
    found = near_copies(texts)
    assert len(expected) > 15
    told = {(int(i), int(j)): share for (i, j), share in zip(found.pairs, found.shares.tolist(), strict=True)}
    assert told == pytest.approx(expected, abs=1e-6)
    assert len(found.above(0.9).pairs) == sum(share >= 0.9 for share in expected.values())


def test_case_blanks_and_punctuation_are_ignored_in_any_script() -> None:
    texts = [
        "Hello, big  WORLD!",
        "hello big world",
        "東京の天気は良いです",
        "東京の天気は、良いです。",
        "",
        "!?",
        "İZMİR ok",
        "x",
    ]
    found = near_copies(texts)
    assert found.pairs.tolist() == [[0, 1], [2, 3]]
    assert found.shares.tolist() == [1, 1]
    assert word_counts(texts).tolist() == [3, 3, 10, 10, 0, 0, 2, 1]
    assert not len(near_copies([]).pairs)


def test_many_copies_of_one_text_stay_one_group() -> None:
    texts = [f"this is the very same standing text about one thing{'!' * number}" for number in range(300)]
    texts.insert(7, "something else that shares nothing")
    found = near_copies(texts)
    groups = copy_groups(found.pairs, len(texts))
    assert np.bincount(groups).max() == 300
    assert groups[7] == 7
    assert len(found.pairs) < 3 * len(texts)


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    texts = [" ".join(text(generator, 12)) for _ in range(50)]
    texts += [one + " more" for one in texts]
    whole = near_copies(texts)
    monkeypatch.setattr(module, "CHARACTERS_AT_ONCE", 100)
    assert near_copies(texts).pairs.tolist() == whole.pairs.tolist()
    assert len(whole.pairs) == 50
