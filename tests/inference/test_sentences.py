"""Sentences of a text: where they end, that nothing is lost, how they are tokenised, and how they become one vector."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.layer_tuner import LayerTuner, Rates
from nlptl.inference.sentences import MIN_SENTENCE_BYTES, rule_for, sentence_start, sentences, tokenize_by_sentence
from nlptl.models.encoder import Encoder
from nlptl.models.packing import Layout, TokenizedTexts, pack
from nlptl.models.pooling import Pooling
from nlptl.pretraining.encoders.pile import token_pile
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.tiny import MODEL_TYPES, POSITIONS, tiny_encoder, without_start

LONG = "The film is great and the story is good. It was a dull ending, was it not? The number of bad films is 4!"
SHORT = "the film is good"
NAMES = {"a": "one thing", "b": "another"}
TEXTS = [LONG, SHORT, "", "A lovely story about the number of films.\nAnd a dull, dull film about that, too."]


def by_sentence(encoder: Encoder) -> Encoder:
    return SentenceVectors(by_sentence=True).run(encoder, data=TextData(label_names=NAMES), context=cpu())


def cpu() -> RunContext:
    return RunContext(device="cpu")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            'He said that it was "not a film." And then he left the cinema... It was 3.5 stars of ten, at www.films.com!',
            [
                'He said that it was "not a film."',
                "And then he left the cinema...",
                "It was 3.5 stars of ten, at www.films.com!",
            ],
        ),
        (
            "「最高だ。それに尽きる！」と彼は言った。「でも長すぎると思う。」『また会おう。』という台詞もある。",
            [
                "「最高だ。それに尽きる！」と彼は言った。",
                "「でも長すぎると思う。」",
                "『また会おう。』という台詞もある。",
            ],
        ),
        (
            "（彼女は『いつもありがとうございました。』）と、静かに言った。",
            ["（彼女は『いつもありがとうございました。』）と、静かに言った。"],
        ),
        (
            "「『さあ、みんなで一緒に行くぞ。』」と彼は大きな声で言った。「『本当に行くんですか!』」と彼女が聞いた。",
            [
                "「『さあ、みんなで一緒に行くぞ。』」と彼は大きな声で言った。",
                "「『本当に行くんですか!』」と彼女が聞いた。",
            ],
        ),
        (
            "「『さあ、みんなで一緒に行くぞ。』」彼は大きな声で言った。",
            ["「『さあ、みんなで一緒に行くぞ。』」", "彼は大きな声で言った。"],
        ),
        ("半角の文がここで終わる｡次の文も半角で終わる｡", ["半角の文がここで終わる｡", "次の文も半角で終わる｡"]),
        (
            "本当に面白かったです！！！もう一度観たいです？！(何度でも必ず観たい!)それでは、また!!次も楽しみです",
            [
                "本当に面白かったです！！！",
                "もう一度観たいです？！",
                "(何度でも必ず観たい!)",
                "それでは、また!!次も楽しみです",
            ],
        ),
        ("Wow. What a film this one has been for all of us.", ["Wow. What a film this one has been for all of us."]),
        ("It has been a film for all of us. Wow.", ["It has been a film for all of us. Wow."]),
        (
            "One line that has no mark of an end<br /><br />another line that has none either\nand a third one, after a line's end",
            [
                "One line that has no mark of an end",
                "another line that has none either",
                "and a third one, after a line's end",
            ],
        ),
        ("とても良い映画でした。もう一度見たいと思います！", ["とても良い映画でした。", "もう一度見たいと思います！"]),
        ("もう一度見たいと思います！はい。", ["もう一度見たいと思います！はい。"]),
        ("Very bad, it was. " * 4, ["Very bad, it was. Very bad, it was."] * 2),
        ("He met Mr. Smith at the house of a friend.", ["He met Mr. Smith at the house of a friend."]),
        ("", [""]),
        ("  \n ", ["  \n "]),
        ("Yes. No.", ["Yes. No."]),
    ],
)
def test_a_text_is_cut_at_its_marks_and_what_is_short_joins_its_neighbour(text: str, found: list[str]) -> None:
    assert sentences(text) == found


@given(st.text(alphabet=[*"ab .!?\n\"'。)"], max_size=120))
def test_nothing_of_a_text_is_lost_but_space(text: str) -> None:
    found = sentences(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert len(found) == 1 or all(len(part.encode()) >= MIN_SENTENCE_BYTES for part in found)


@pytest.mark.parametrize("text", ["a short line\n", "\n", " ", ". ", "<br", "Кириллица\n"])
def test_time_grows_with_the_length_alone(text: str) -> None:
    times = []
    for count in (10_000, 160_000):
        begin = time.process_time()
        sentences("a" + text * count)
        times.append(time.process_time() - begin)
    assert times[1] < 64 * times[0] + 0.5, "sixteen times as long; quadratic would be 256 times"


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_text_is_the_mean_of_its_sentences(model_type: str) -> None:
    whole = tiny_encoder(model_type)
    whole.normalized = True
    encoder = by_sentence(whole)
    parts = whole.encode(sentences(LONG))
    expected = parts.mean(axis=0) / np.linalg.norm(parts.mean(axis=0))
    vectors = encoder.encode(TEXTS)
    np.testing.assert_allclose(vectors[0], expected, atol=1e-5)
    np.testing.assert_allclose(vectors[1:3], whole.encode(TEXTS[1:3]), atol=1e-5)
    assert not np.allclose(vectors[0], whole.encode([LONG])[0], atol=1e-3)


@pytest.mark.parametrize("pooling", ["cls", "max", "mean"])
def test_all_poolings_agree_on_sentences(pooling: Any) -> None:
    whole = tiny_encoder("bert", pooling=pooling)
    encoder = by_sentence(whole)
    expected = whole.encode(sentences(LONG)).mean(axis=0)
    np.testing.assert_allclose(encoder.encode([SHORT, LONG])[1], expected, atol=1e-5)


def test_neither_order_nor_company_changes_a_vector() -> None:
    encoder = by_sentence(tiny_encoder("bert"))
    together = encoder.encode(TEXTS)
    np.testing.assert_allclose(encoder.encode(TEXTS[::-1])[::-1], together, atol=1e-5)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(encoder.encode([text])[0], vector, atol=1e-5)


def test_a_text_that_is_cut_ends_as_the_tokenizer_ends_it() -> None:
    encoder = by_sentence(tiny_encoder("bert"))
    rule = encoder.transformer.rule
    (ids,) = tokenize_by_sentence(encoder.tokenizer, [LONG * 20], rule)
    start, end = rule.sentence_start, encoder.tokenizer.token_to_id("[SEP]")
    assert ids[0] == start
    assert ids[-1] == end
    assert 4 * POSITIONS - 4 < len(ids) <= 4 * POSITIONS
    assert ids.count(start) == ids.count(end) > 1


def test_a_start_that_a_text_has_written_out_begins_no_sentence() -> None:
    encoder = by_sentence(tiny_encoder("bert"))
    plain, written = "the film is good and the story is great", "the film [CLS] is good and [CLS] the story is great"
    np.testing.assert_allclose(encoder.encode([written]), encoder.encode([plain]), atol=1e-6)


def test_pieces_of_equal_length_lie_together() -> None:
    encoder = by_sentence(tiny_encoder("bert"))
    batch = pack(encoder.token_ids([LONG, SHORT, LONG, SHORT]), sentence_start=encoder.transformer.rule.sentence_start)
    layout = Layout.end_to_end(batch, 0)
    assert [texts for _, texts, _ in layout.packed.runs] == [2, 2, 2]
    assert torch.equal(layout.take_out(layout.lay_out(batch.input_ids)), batch.input_ids)


def test_continued_training_sees_single_sentences() -> None:
    texts = [f"{LONG} {number}" for number in range(10)] + [f"a film, number {number}" for number in range(10)]
    whole, encoder = tiny_encoder("bert"), by_sentence(tiny_encoder("bert"))
    apart = [sentence for text in texts for sentence in sentences(text)]
    piles: list[Any] = [
        token_pile(given, [some], whole=False, name="pile") for given, some in ((encoder, texts), (whole, apart))
    ]
    assert piles[0].ids.tolist() == piles[1].ids.tolist()
    assert len(piles[0]) > len(token_pile(whole, [texts], whole=False, name="pile"))


def test_texts_that_are_picked_have_the_pieces_of_texts_that_are_packed() -> None:
    encoder = by_sentence(tiny_encoder("bert"))
    ids, start = encoder.token_ids(TEXTS), encoder.transformer.rule.sentence_start
    rows = torch.tensor([3, 0, 2])
    packed = pack([ids[row] for row in rows], sentence_start=start)
    picked = TokenizedTexts.of(ids, sentence_start=start).batch(rows)
    assert packed.segments is not None
    assert picked.segments is not None
    assert picked.segments.tolist() == packed.segments.tolist()
    assert packed.text_of_segment().tolist() == [0, 0, 1, 1, 2]
    assert int(packed.segments.sum()) == len(packed.input_ids)


@pytest.mark.parametrize("top_layers", [1, None])
def test_layers_that_learn_see_the_same_sentences(top_layers: int | None) -> None:
    data = TextData(label_names=NAMES)
    classifier = ClassificationHead().run(by_sentence(tiny_encoder("bert")), data=data, context=cpu())
    update = LayerTuner(classifier, TEXTS, rates=Rates(0.1, 0.1), top_layers=top_layers)
    update.start_from(lambda _: classifier.head)
    rows = torch.arange(len(TEXTS))
    fit = update.start(rows)
    fit.encoder.eval()
    np.testing.assert_allclose(fit.all_vectors(rows).numpy(), classifier.encoder.encode(TEXTS), atol=1e-5)


def test_how_texts_are_read_survives_saving_and_can_be_taken_back(tmp_path: Path) -> None:
    whole = tiny_encoder("bert")
    encoder = by_sentence(whole)
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    kept = SentenceVectors().run(again, data=TextData(label_names=NAMES), context=cpu())
    np.testing.assert_array_equal(kept.encode(TEXTS), encoder.encode(TEXTS))
    back = SentenceVectors(by_sentence=False).run(again, data=TextData(label_names=NAMES), context=cpu())
    np.testing.assert_array_equal(back.encode(TEXTS), whole.encode(TEXTS))


def test_a_tokenizer_without_a_first_token_is_refused() -> None:
    encoder = tiny_encoder("bert")
    without_start(encoder)
    assert sentence_start(encoder.tokenizer) is None
    with pytest.raises(ConfigError) as caught:
        rule_for(encoder.transformer.rule, encoder.tokenizer, by_sentence=True, where="sentence_vectors.by_sentence")
    assert str(caught.value) == (
        "sentence_vectors.by_sentence: found an encoder whose tokenizer puts no token before a text; expected one such as "
        "[CLS], which separates sentences. Leave texts whole."
    )


def test_word_vectors_know_no_sentences() -> None:
    with pytest.raises(ConfigError) as caught:
        SentenceVectors(by_sentence=True).check_model("word_vectors", where="stages.1")
    assert str(caught.value) == (
        "stages.1.by_sentence: found true over word vectors, which know no sentences; expected it only with a transformer. "
        "Drop it, or begin the chain with bert."
    )


@pytest.mark.parametrize("pooling", ["sif", "tfidf"])
def test_a_pooling_that_was_fitted_to_whole_texts_must_be_fitted_anew(pooling: Any) -> None:
    data = TextData(unlabelled=[text for text in TEXTS if text])
    fitted = SentenceVectors(pooling=pooling).run(tiny_encoder("bert"), data=data, context=cpu())
    with pytest.raises(ConfigError) as caught:
        SentenceVectors(by_sentence=True).run(fitted, data=data, context=cpu())
    assert str(caught.value) == (
        f"sentence_vectors.by_sentence: found true over {pooling} pooling that was fitted to texts read otherwise; expected a "
        "pooling to be fitted anew. Set pooling, too."
    )
    anew = SentenceVectors(by_sentence=True, pooling=pooling).run(fitted, data=data, context=cpu())
    assert isinstance(anew.pooling, Pooling)
    same = SentenceVectors(by_sentence=False).run(fitted, data=data, context=cpu())
    np.testing.assert_array_equal(same.encode(TEXTS), fitted.encode(TEXTS))
