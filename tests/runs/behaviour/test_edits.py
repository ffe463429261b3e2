"""Edits of texts: what each changes, what it leaves, and that it follows its seed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.inference.segmenter import SegmenterSettings, segmenter_available
from nlptl.models.words import placed_words
from nlptl.runs.behaviour.edits import EDITS, NAMES, Edit, edits_by

BY_NAME = {edit.name: edit for edit in EDITS}


def edited(name: str, text: str, seed: int = 0) -> str:
    return BY_NAME[name].change(text, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("text", "negated"),
    [
        ("The film is good.", "The film is not good."),
        ("The film isn't good.", "The film is good."),
        ("I can't say that it was bad", "I can say that it was bad"),
        ("It does not work", "It does work"),
        ("We won’t buy it again, it is bad", "We will buy it again, it is bad"),
        ("A good film", "A good film"),
        ("Thisisnt is", "Thisisnt is not"),
    ],
)
def test_the_first_statement_is_turned(text: str, negated: str) -> None:
    assert edited("negation", text) == negated


def test_digits_change_and_numbers_keep_their_length() -> None:
    text = "In 2024 it cost 15 euros, see @user12 and a1b, 3,500 times"
    found = edited("numbers", text)
    assert re.sub("[0-9]", "0", found) == re.sub("[0-9]", "0", text)
    assert "@user12" in found
    assert "a1b" in found
    assert found != text


def test_other_digits_of_english_are_drawn_as_before() -> None:
    text = "In 2024 it cost 15 euros, see @user12, #12, /34, 5/6 and a1b, 3,500 times; 7#8, 9_"
    numbers = re.compile(r"(?<![\w@#/])[0-9]+(?![\w@/])")
    drawn = np.random.default_rng(0)

    def other(found: re.Match[str]) -> str:
        return "".join(str(drawn.integers(0 if place else 1, 10)) for place in range(len(found.group())))

    assert edited("numbers", text) == numbers.sub(other, text)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("20列目で120分も座った", "00列目で000分も座った"),
        ("上映は１２０分、ｶﾞｲﾄﾞは5ﾍﾟｰｼﾞ", "上映は０００分、ｶﾞｲﾄﾞは0ﾍﾟｰｼﾞ"),
        ("#映画2024 @客12さん a1回 4K版", "#映画2024 @客12さん a1回 4K版"),
    ],
)
def test_numbers_may_touch_kanji_and_kana(text: str, shape: str) -> None:
    found = [edited("numbers", text, seed) for seed in range(3)]
    digits = shape.maketrans("123456789１２３４５６７８９", "000000000０００００００００")
    assert {one.translate(digits) for one in found} == {shape.translate(digits)}
    assert (len({*found, text}) > 1) == (shape != text)


def test_marks_of_japanese_are_left_out() -> None:
    assert edited("punctuation", "『良い』（と思う）｡､｢はい｣。") == "良いと思うはい"


def test_names_and_identity_terms_are_replaced_by_others_of_their_kind() -> None:
    names = edited("names", "John met Mary; John left. Johnson stayed.")
    found = re.match(r"(\w+) met (\w+); (\w+) left\. Johnson stayed\.", names)
    assert found is not None
    first, _, second = found.groups()
    assert first == second != "John"
    assert first in NAMES
    assert edited("identity terms", "He told his wife that she was RIGHT") == "She told her husband that he was RIGHT"


def test_texts_are_shortened_by_words_or_by_characters_without_spaces() -> None:
    assert edited("shortening", "one two three four five six seven eight nine ten") == "one two three four five six"
    assert edited("shortening", "a short text") == "a short text"
    assert (
        edited("shortening", "売上高は前年同期に比べて大きく増加したが利益は減少した")
        == "売上高は前年同期に比べて大きく増加し"[:16]
    )


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_a_segmenter_shortens_japanese_between_words() -> None:
    cutter = SegmenterSettings().installed()
    text = "売上高は前年同期に比べて大きく増加したが利益は減少した"
    edits = {one.name: one for one in edits_by(cutter)}
    assert [*edits] == [*BY_NAME]
    short = edits["shortening"].change(text, np.random.default_rng(0))
    ends = {begin + len(word) for begin, word in placed_words(text, cutter)}
    assert text.startswith(short)
    assert len(short) in ends
    assert 0.4 < len(short) / len(text) < 0.8
    assert len(edited("shortening", text)) not in ends, "by characters a word was cut through"
    ten = "one two three four five six seven eight nine ten"
    assert edits["shortening"].change(ten, np.random.default_rng(0)) == edited("shortening", ten)
    assert edits_by(None) == EDITS


def test_marks_at_the_ends_of_words_go_and_those_inside_stay() -> None:
    assert edited("punctuation", 'Well... it\'s "good", 3.5 stars!') == "Well it's \"good 3.5 stars"


@given(text=st.text(max_size=80), seed=st.integers(0, 3), edit=st.sampled_from(EDITS))
def test_any_text_can_be_edited_and_the_same_seed_gives_the_same(text: str, seed: int, edit: Edit) -> None:
    assert edited(edit.name, text, seed) == edited(edit.name, text, seed)


def test_marks_of_japanese_go_wherever_they_stand() -> None:
    assert edited("punctuation", "売上高は増加、利益は減少。「好調」！") == "売上高は増加利益は減少好調"
    assert [edit.name for edit in EDITS if edit.english] == ["names", "identity terms", "negation"]
