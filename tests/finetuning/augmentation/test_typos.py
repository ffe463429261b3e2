"""Mistyped letters."""

from __future__ import annotations

import difflib

import numpy as np

from nlptl.finetuning.augmentation.typos import KEYBOARD, mistype

TEXT = "a quiet and lovely film with a wonderful story about people who never give up " * 3


def test_the_keyboard_s_neighbours() -> None:
    expected = {"a": "qswz", "g": "bfhtvy", "p": "lo", "m": "jkn", "q": "aw"}
    for letter, keys in expected.items():
        assert sorted(KEYBOARD[letter]) == sorted(keys), letter
    assert all(letter in KEYBOARD[key] for letter, keys in KEYBOARD.items() for key in keys)
    assert len(KEYBOARD) == 26


def test_a_share_of_the_letters_is_mistyped() -> None:
    faults = []
    for seed in range(100):
        new = mistype(TEXT, np.random.default_rng(seed), share=0.05)
        codes = difflib.SequenceMatcher(None, TEXT, new, autojunk=False).get_opcodes()
        faults.append(sum(code[0] != "equal" for code in codes))
    letters = sum(letter.isalpha() for letter in TEXT)
    assert 0.03 < np.mean(faults) / letters < 0.075, "an exchange counts as one or two"


def test_all_four_faults_come() -> None:
    seen = {mistype("Word", np.random.default_rng(seed), share=0.01) for seed in range(300)}
    assert {
        "oWrd",
        "Wrod",
        "Wodr",
        "ord",
        "Wrd",
        "Wod",
        "Wor",
        "WWord",
        "Woord",
        "Worrd",
        "Wordd",
        "Eord",
        "Wprd",
    } <= seen
    assert all(abs(len(word) - 4) <= 1 for word in seen)
    assert "Word" not in seen


def test_short_words_keep_their_letters() -> None:
    assert all(len(mistype("I a", np.random.default_rng(seed), share=0.9)) >= 3 for seed in range(50))


def test_what_is_only_spelling_stays() -> None:
    kept = "@user #dull https://t.co/xYz 10th 4 me@here.org"
    for seed in range(50):
        assert mistype(kept, np.random.default_rng(seed), share=0.9) == kept
        new = mistype(f"{kept} word", np.random.default_rng(seed), share=0.5)
        assert new.startswith(kept)
        assert new != f"{kept} word"


def test_other_scripts_and_marked_letters_stay() -> None:
    for text in ("この映画は面白い", "привет", "e\u0301", "👨‍👩‍👧 1️⃣", "", " "):
        assert mistype(text, np.random.default_rng(0), share=0.9) == text
    for seed in range(30):
        assert "e\u0301" in mistype("cafe\u0301 noir", np.random.default_rng(seed), share=0.9)
