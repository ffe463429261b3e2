"""The vocabulary report, new words, and the tokenizer that is learnt from the pile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from nlptl.errors import ConfigError
from nlptl.models.encoder import Encoder
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.pretraining.encoders.objectives import Scratch
from nlptl.pretraining.encoders.scratch import learnt_tokenizer
from nlptl.pretraining.encoders.vocabulary import (
    Word,
    count_words,
    examined_words,
    extend_vocabulary,
    most_useful,
    report_on,
)
from tests.models.tiny import MODEL_TYPES, tiny_encoder

TEXTS = ["the film is zumthor", "Zumthor, a zumthor and the qi", "a qi story ☃ is good", "the zumthorian film"]


def test_the_report_names_words_that_fall_to_pieces() -> None:
    encoder = tiny_encoder("bert")
    words = examined_words(encoder, count_words(encoder.tokenizer, [TEXTS, ["żubr żubr ☃"]]))
    found = {word.text: word for word in words}
    assert (found["zumthor"].count, len(found["zumthor"].word_pieces), found["zumthor"].saved) == (3, 7, 18)
    assert (found["film"].saved, found["qi"].saved) == (0, 2)
    report = report_on(words)
    assert report.fragmented == {"zumthor": 7, "zubr": 4}
    assert report.words == sum(word.count for word in words)
    assert report.sentence() == (
        f"Vocabulary: 9.1% of the pile's words have unknown parts; a word has {report.pieces_per_word:.2f} word pieces on "
        "average; frequent words of 4 word pieces or more: zumthor (7), zubr (4); frequent unknown words: ☃ (2)."
    )
    unknown = report_on(examined_words(encoder, count_words(encoder.tokenizer, [["ж the the the"]])))
    assert (unknown.unknown_share, unknown.fragmented, unknown.unknown) == (0.25, {}, {})


def test_words_hold_their_combining_marks() -> None:
    tokenizer = tiny_encoder("xlm-roberta").tokenizer
    tokenizer.normalizer = None
    hindi, thai, accented = "हिन्दी", "ที่นี่", "e\u0301te\u0301"
    counts = count_words(tokenizer, [[f"{hindi} {thai}, {accented}_4ever; \u0301!"]])
    assert counts == {hindi: 1, thai: 1, accented: 1, "4ever": 1}


def test_symbols_are_words_of_their_own() -> None:
    tokenizer = tiny_encoder("xlm-roberta").tokenizer
    tokenizer.normalizer = None
    counts = count_words(tokenizer, [["good☃☃ 😀 4€ ❤\ufe0f a + b = $5 <c> ^`|~ … 👍🏽"]])
    assert counts == dict.fromkeys(["good", "😀", "4", "€", "❤\ufe0f", "a", "b", "5", "c", "👍"], 1) | {"☃": 2}


def test_the_report_names_a_few_frequent_unknown_words() -> None:
    words = [Word(f"word{i}", 20 - i, (1,), unknown=True) for i in range(19)]
    report = report_on([*words, Word("the", 200, (7,), unknown=False)])
    assert report.unknown == {f"word{i}": 20 - i for i in range(8)}
    assert report.sentence() == (
        "Vocabulary: 51.1% of the pile's words have unknown parts; a word has 1.00 word pieces on average; frequent "
        "unknown words: word0 (20), word1 (19), word2 (18), word3 (17), word4 (16), word5 (15), word6 (14), word7 (13)."
    )


def test_the_most_useful_words_save_most_tokens() -> None:
    encoder = tiny_encoder("bert")
    words = examined_words(encoder, count_words(encoder.tokenizer, [[*TEXTS, "жж ok жж ok"]]))
    assert most_useful(words, 4) == ["zumthor", "ok", "qi", "жж"]
    with pytest.raises(ConfigError) as caught:
        most_useful(words, 5)
    assert str(caught.value) == (
        "bert: extend_vocabulary: found 5; expected at most 4, the words that occur at least 2 times and have several "
        "word pieces or are unknown. Lower it."
    )


def test_a_pile_without_new_words_is_told() -> None:
    with pytest.raises(ConfigError) as caught:
        most_useful([Word("ok", 5, (5,), unknown=False), Word("zumthor", 1, (5, 6), unknown=False)], 10)
    assert str(caught.value) == (
        "bert: extend_vocabulary: found 10; expected 0, since the encoder has an entry for every word of the pile that occurs at "
        "least 2 times. Remove it."
    )


def test_words_without_pieces_are_not_useful() -> None:
    nothing, useful = Word("\u200b", 5, (), unknown=False), Word("zumthor", 3, (5, 6), unknown=False)
    assert most_useful([nothing, useful], 1) == ["zumthor"]
    with pytest.raises(ConfigError, match="expected at most 1, "):
        most_useful([nothing, useful], 2)


@pytest.mark.parametrize("mode", ["sif", "tfidf"])
@pytest.mark.parametrize("padding", [0, 5])
def test_pooling_weights_grow_with_the_vocabulary(mode: PoolingMode, padding: int) -> None:
    encoder = tiny_encoder("bert")
    vocabulary = encoder.tokenizer.get_vocab_size()
    weights = torch.rand(vocabulary + padding, generator=torch.Generator().manual_seed(0))
    encoder.pooling = Pooling(mode, token_weights=weights.clone())
    pieces = encoder.tokenizer.encode(" zumthor", add_special_tokens=False).ids
    before = encoder.encode(["the film is good"])
    extend_vocabulary(encoder, ["zumthor", "qi"])
    grown = encoder.pooling.token_weights
    assert len(grown) == vocabulary + max(2, padding)
    torch.testing.assert_close(grown[:vocabulary], weights[:vocabulary])
    torch.testing.assert_close(grown[encoder.tokenizer.token_to_id("zumthor")], weights[pieces].mean())
    assert np.isfinite(encoder.encode(["the zumthor and the qi"])).all()
    np.testing.assert_array_equal(encoder.encode(["the film is good"]), before)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_new_words_are_one_token_and_the_mean_of_their_pieces(model_type: str, tmp_path: Path) -> None:
    encoder = tiny_encoder(model_type)
    old_texts = ["the film is good", "a dull story, zum thor and the zumthors"]
    before, ids_before = encoder.encode(old_texts), encoder.token_ids(old_texts)
    pieces = encoder.tokenizer.encode(" zumthor", add_special_tokens=False).ids
    table = encoder.token_model.word_embeddings.weight.detach().clone()
    assert len(pieces) > 2
    random_state = torch.get_rng_state()

    extend_vocabulary(encoder, ["zumthor", "qi"])

    assert torch.equal(torch.get_rng_state(), random_state)
    assert encoder.token_ids(old_texts) == ids_before
    np.testing.assert_array_equal(encoder.encode(old_texts), before)
    new = encoder.tokenizer.token_to_id("zumthor")
    weight = encoder.token_model.word_embeddings.weight
    torch.testing.assert_close(weight[new], table[pieces].mean(dim=0))
    torch.testing.assert_close(weight[: len(table)], table)
    assert weight.requires_grad
    assert len(weight) == encoder.token_model.model.config.vocab_size == encoder.tokenizer.get_vocab_size()
    for text in ("the zumthor is good", "zumthor", "good zumthor, qi"):
        assert encoder.token_ids([text])[0].count(new) == 1
    alone = encoder.tokenizer.encode("the zumthor is good", add_special_tokens=False)
    assert len(alone.ids) == len(encoder.tokenizer.encode("the film is good", add_special_tokens=False).ids)
    assert len(set(alone.word_ids)) == 4, "the new word is a word of its own, which whole-word masking hides alone"

    encoder.save(tmp_path / "saved")
    texts = ["the zumthor is good", *old_texts]
    loaded = Encoder.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.encode(texts), encoder.encode(texts))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert [theirs(text)["input_ids"] for text in texts] == encoder.token_ids(texts)
    assert len(transformers.AutoModel.from_pretrained(tmp_path / "saved").get_input_embeddings().weight) == len(weight)


def test_case_is_the_tokenizer_s() -> None:
    encoder = tiny_encoder("bert")
    extend_vocabulary(encoder, ["zumthor"])
    new = encoder.tokenizer.token_to_id("zumthor")
    assert [ids.count(new) for ids in encoder.token_ids(["ZUMTHOR!", "Zumthör and zumthor's", "zumthors"])] == [1, 2, 0]


def test_a_learnt_tokenizer_is_bert_s() -> None:
    texts = [f"The film number {i} is good, naïve and Łódź-like 电影" for i in range(30)]
    settings = Scratch(vocabulary_size=120, layers=1, dim=8, heads=1, max_length=16)
    tokenizer, again = (learnt_tokenizer(settings, lambda _: [texts]) for _ in range(2))
    assert tokenizer.to_str() == again.to_str()
    assert tokenizer.get_vocab_size() <= 120
    encoding = tokenizer.encode("the FILM is naïve")
    assert encoding.tokens == ["[CLS]", "the", "film", "is", "naive", "[SEP]"]
    assert tokenizer.encode("the 影").tokens == ["[CLS]", "the", "影", "[SEP]"]
    assert tokenizer.encode("☃").ids == [2, 1, 3]
    assert len(tokenizer.encode("film " * 40).ids) == 16
    cased = learnt_tokenizer(Scratch(vocabulary_size=160, lowercase=False), lambda _: [texts])
    assert cased.encode("The").ids != cased.encode("the").ids


def test_a_vocabulary_that_holds_no_alphabet_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        learnt_tokenizer(Scratch(vocabulary_size=20), lambda _: [["the quick brown fox"]])
    assert str(caught.value) == (
        "bert: scratch.vocabulary_size: found 20; expected at least 31: 5 special tokens, the pile's 15 letters and 11 of "
        "them inside words. Raise it."
    )
