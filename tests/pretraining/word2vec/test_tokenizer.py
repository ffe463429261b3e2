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
)


def split(tokenizer: Tokenizer, text: str) -> list[str]:
    """Return the words of a text, known or not."""
    normal = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)]


def words(text: str, **settings: object) -> list[str]:
    return split(untrained_tokenizer(TextSettings.model_validate(settings)), text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It’s NOT bad, isn't it?", ["it's", "not", "bad", "isn't", "it"]),
        ("a co-op in 1999: ½ ﬁne", ["a", "co", "op", "in", "1999", "1", "2", "fine"]),
        ("good<br /><br />film", ["good", "film"]),
        ("Łódź café éé", ["łódź", "café", "éé"]),
        ("東京はテストです", ["東", "京", "は", "テスト", "です"]),
        ("...", []),
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
