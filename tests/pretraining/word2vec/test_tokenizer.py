"""Text to words: presets, normalisation, stop words, the file."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from nlptl.pretraining.word2vec.tokenizer import (
    TextSettings,
    set_vocabulary,
    stop_words,
    untrained_tokenizer,
    vocabulary_of,
    words_of,
)

ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"


def words(text: str, **settings: object) -> list[str]:
    (found,) = words_of(untrained_tokenizer(TextSettings.model_validate(settings)), [[text]])
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It’s NOT bad, isn't it?", ["it's", "not", "bad", "isn't", "it"]),
        ("a co-op in 1999: ½ ﬁne", ["a", "co", "op", "in", "1999", "1", "2", "fine"]),
        ("good<br /><br />film", ["good", "film"]),
        ("Łódź café éé", ["łódź", "café", "éé"]),
        ("東京はテストです", ["東", "京", "は", "テスト", "です"]),
        ("...", []),
        ("good \u2764\ufe0f day\ufe0f \u2764\ufe0fday", ["good", "day", "day"]),
        ("\ufe0f \ufe0e \u200b \u200d \u2060 \ufeff \u0301 \u200e\u202b\u2067 \u00ad \u20e3 \u2800", []),
        ("zu\u00adsam\u00admen \u0301abc e\u0301e x'\u0301 1\ufe0f\u20e3", ["zusammen", "abc", "ée", "x", "1"]),
        ("\U0001f1e9\U0001f1ea 👍🏽", []),
        ("葛\U000e0100飾 猫\u0301 हिन्दी", ["葛", "飾", "猫", "हिन्दी"]),
    ],
)
def test_plain_text(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@tram_lena nooooo way!!! https://example.com/a?b=1", ["<user>", "noo", "way", "!", "<url>"]),
        ("#MondayMood so tired 😂😂 :( <3", ["mondaymood", "so", "tired", "😂", "😂", ":(", "<3"]),
        ("mail me: a.b@c.org", ["mail", "me", "a", "b", "c", "org"]),
        ("cool :-) ok 👍🏽", ["cool", ":-)", "ok", "👍🏽"]),
        (
            "\U0001f1e9\U0001f1ea\U0001f1e9\U0001f1f0 \U0001f1e9",
            ["\U0001f1e9\U0001f1ea", "\U0001f1e9\U0001f1f0", "\U0001f1e9"],
        ),
        (f"go {ENGLAND}! {FAMILY}{FAMILY}", ["go", ENGLAND, "!", FAMILY, FAMILY]),
        ("\u2764\ufe0f\u2764 \u2764\ufe0e", ["\u2764", "\u2764", "\u2764"]),
        (
            "\u2764\ufe0f\u200d\U0001f525 \U0001f469\U0001f3fd\u200d\U0001f52c",
            ["\u2764\u200d\U0001f525", "\U0001f469\U0001f3fd\u200d\U0001f52c"],
        ),
        ("1\ufe0f\u20e3 #\u20e3#tag", ["1\u20e3", "#\u20e3", "tag"]),
        ("\U0001f469\u200d \u200d\ufe0f \u20e3", ["\U0001f469"]),
    ],
)
def test_tweets(text: str, expected: list[str]) -> None:
    assert words(text, preset="tweets") == expected


def test_case_and_unicode_can_be_kept() -> None:
    assert words("Ａb", lowercase=False, unicode="none") == ["Ａb"]
    assert words("Ａb") == ["ab"]


def test_stop_words_keep_negations() -> None:
    assert words("This was not a good film and never the best", stop_words=True) == [
        "not",
        "good",
        "film",
        "never",
        "best",
    ]
    assert words("I don't like it", stop_words=True) == ["don't", "like"]


def test_dropping_negations_warns() -> None:
    settings = TextSettings(stop_words=True, keep_negations=False)
    sentence = (
        "text.keep_negations: false drops not, never and similar words, so 'not good' becomes 'good'. "
        "Keep them unless the labels are topics."
    )
    with pytest.warns(UserWarning, match="keep_negations") as caught:
        removed = stop_words(settings)
    assert str(caught[0].message) == sentence
    assert {"not", "never", "the", "don't"} <= removed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert words("not good, don't", stop_words=True, keep_negations=False) == ["good"]


def test_the_vocabulary_survives_the_file(tmp_path: Path) -> None:
    tokenizer = untrained_tokenizer(TextSettings())
    set_vocabulary(tokenizer, ["[UNK]", "b", "a"])
    assert vocabulary_of(tokenizer) == ["[UNK]", "b", "a"]
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str(), encoding="utf-8")
    again = Tokenizer.from_file(str(path))
    assert again.encode("A b zzz").ids == [2, 1, 0]


def test_a_given_vocabulary_must_begin_with_unknown() -> None:
    tokenizer = untrained_tokenizer(TextSettings())
    with pytest.raises(ValueError, match=r"words must be unique and begin with \[UNK\]"):
        set_vocabulary(tokenizer, ["a", "b"])


def test_batches_give_the_words_of_each_text() -> None:
    tokenizer = untrained_tokenizer(TextSettings())
    assert list(words_of(tokenizer, [["Good \u2764\ufe0f day", "\u2764\ufe0f"], [], ["a"]])) == [
        ["good", "day"],
        [],
        ["a"],
    ]
