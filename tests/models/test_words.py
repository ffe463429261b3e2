"""Texts as words and gaps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.inference.bert_words import BertWords
from nlptl.inference.segmenter import SegmenterSettings, segmenter_available
from nlptl.models.explaining.word_spans import word_spans
from nlptl.models.words import SplitText, core, is_letters, is_protected


@given(st.text())
def test_words_and_gaps_are_the_text(text: str) -> None:
    words = SplitText.of(text)
    assert str(words) == text
    assert not "".join(words.gaps).strip()
    assert all(word.strip() == word != "" for word in words.words)


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
@settings(deadline=None)  # the first text waits for the dictionary
@given(st.text(st.sampled_from("映画館面白い「」。、はがAb #@1 ーガ\n")))
def test_words_and_gaps_are_the_text_with_a_segmenter_too(text: str) -> None:
    words = SplitText.of(text, SegmenterSettings().installed())
    assert str(words) == text
    assert not "".join(words.gaps).strip()
    assert all(word.strip() == word != "" for word in words.words)


@pytest.mark.skipif(not segmenter_available(), reason="needs SudachiPy")
def test_a_segmenter_tells_the_words() -> None:
    cutter = SegmenterSettings().installed()
    text = "この映画館は面白かった。a good film"
    assert SplitText.of(text, cutter).words == ["この", "映画", "館", "は", "面白かっ", "た。", "a", "good", "film"]
    assert SplitText.of(text).words[:3] == ["この", "映画", "館"]
    assert "面白" in SplitText.of(text).words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  A quiet,\n lovely film. ", ["A", "quiet,", "lovely", "film."]),
        (
            "この映画は本当に面白い。「また見たい」！",
            ["この", "映画", "は", "本当", "に", "面白", "い。", "「また", "見", "たい」！"],
        ),
        ("｢また見たい｣｡ｼﾞｮﾝ･ﾄﾞｳは､良い", ["｢また", "見", "たい｣｡", "ｼﾞｮﾝ･ﾄﾞｳ", "は､", "良", "い"]),
        ("ラーメンとか\u3099くせい", ["ラーメン", "とか\u3099くせい"]),
        ("カ\u3099ム", ["カ\u3099ム"]),
        ("这部电影真的很好看", ["这部", "电影", "真的", "很好", "看"]),
        ("見てhttps://t.co/a_b?c=1すごい", ["見", "て", "https://t.co/a_b?c=1", "すごい"]),
        ("@user great👍🏽 👨‍👩‍👧 1️⃣", ["@user", "great👍🏽", "👨‍👩‍👧", "1️⃣"]),
        ("葛\U000e0100城", ["葛\U000e0100城"]),
        ("ข้อความ ภาษาไทย", ["ข้อความ", "ภาษาไทย"]),
        ("", []),
    ],
)
def test_words_of_many_scripts(text: str, words: list[str]) -> None:
    assert SplitText.of(text).words == words


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("㍿の映画、", ["㍿", "の", "映画、"]),
        ("㋿元年 の  映画", ["㋿", "元年", "の", "映画"]),
        ("「 ﷺです", ["「", "ﷺ", "です"]),
        ("映画ﾞ Ń゚", ["映画ﾞ", "Ń゚"]),
    ],
)
def test_no_character_stands_in_two_words_of_a_checkpoint(text: str, words: list[str], normalize: bool) -> None:
    pytest.importorskip("sudachipy")
    segmenter = BertWords(program="sudachi", dictionary="small", normalize=normalize)
    found = [text[slice(*span)] for span in word_spans(text, segmenter)]
    assert "".join(found) == "".join(text.split())
    if normalize:
        assert found == words


@pytest.mark.parametrize(
    ("place", "left"), [(0, "  b c "), (1, "  a c "), (2, "  a\tb ")], ids=["first", "middle", "last"]
)
def test_a_removed_word_takes_one_gap_along(place: int, left: str) -> None:
    words = SplitText.of("  a\tb c ")
    words.remove(place)
    assert str(words) == left


def test_inserted_words_are_set_apart_as_their_neighbours_are() -> None:
    for place, expected in enumerate(["x a b", "a x b", "a b x"]):
        words = SplitText.of("a b")
        words.insert(place, "x")
        assert str(words) == expected
    for place, expected in enumerate(["猫映画は", "映画猫は", "映画は猫"]):
        words = SplitText.of("映画は")
        words.insert(place, "猫")
        assert str(words) == expected
    words = SplitText.of("")
    words.insert(0, "x")
    assert str(words) == "x"


def test_cores_keep_their_marks() -> None:
    for word, expected in [
        ("«cafe\u0301»!", "cafe\u0301"),
        ("(don't)", "don't"),
        ("👍🏽", ""),
        ("दुनिया।", "दुनिया"),
        ("_a", "a"),
    ]:
        begin, end = core(word)
        assert word[begin:end] == expected


def test_what_is_only_spelling_is_protected() -> None:
    for word in ("@user", "#dull", "https://t.co", "www.a.b", "me@here.org", "10/10", "covid19", "٣"):
        assert is_protected(word), word
    assert not is_protected("film.")
    assert is_letters("cafe\u0301")
    assert not is_letters("a1")
    assert not is_letters("")
