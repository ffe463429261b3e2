"""Views as a setting of sentence_vectors, and what fine-tuning leaves of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.config import parse
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.views import View
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.unlabelled import drawn_texts, pile_tables
from tests.models.test_views import ngram_view, word_view
from tests.models.tiny import tiny_encoder

CONTEXT = RunContext(seed=7, device="cpu")
WORDS = {"view": "word_vectors", "dim": 8, "epochs": 3, "min_count": 1}
NGRAMS = {"view": "ngrams", "dim": 5}


@pytest.fixture(scope="module")
def plain() -> Encoder:
    return tiny_encoder("bert")


@pytest.fixture(scope="module")
def joined(plain: Encoder, reviews: TextData) -> Encoder:
    return SentenceVectors(views=[WORDS, NGRAMS]).run(plain, data=reviews, context=CONTEXT)


def test_views_together_have_half_the_squared_length_of_the_encoders_own_vectors(
    joined: Encoder, reviews: TextData
) -> None:
    assert reviews.unlabelled is not None
    vectors = joined.encode(reviews.unlabelled.texts())
    parts = np.split(vectors - vectors.mean(axis=0), [joined.own_dim, joined.own_dim + 8], axis=1)
    own, *others = (np.linalg.norm(part, axis=1).mean() for part in parts)
    np.testing.assert_allclose(others, own / 2, rtol=0.1)
    assert CONTEXT.record.sentences[-1] == (
        "The vectors have 32 numbers of the encoder and 8 of word_vectors, 5 of ngrams, learnt from the pile."
    )


def test_views_of_labelled_texts_alone_say_so_and_what_they_lack(plain: Encoder, reviews: TextData) -> None:
    assert reviews.labelled is not None
    context = RunContext(device="cpu")
    few = TextData(labelled=reviews.labelled.select(range(12)))
    wide = [{**WORDS, "dim": 2}, {"view": "ngrams", "dim": 4096}]
    joined = SentenceVectors(pooling="mean", views=wide).run(plain, data=few, context=context)
    assert joined.dim == 32 + 2 + 11
    assert context.record.sentences[-1] == (
        "The vectors have 32 numbers of the encoder and 2 of word_vectors, 11 of ngrams, learnt from the 12 labelled texts. "
        "data.unlabelled would tell more. ngrams was to have 4,096, and the texts have 11 directions."
    )


def test_one_direction_is_told_in_the_singular(plain: Encoder) -> None:
    context = RunContext(device="cpu")
    pile = TextData(unlabelled=["a good film", "a bad film"])
    SentenceVectors(pooling="mean", views=[{"view": "ngrams"}]).run(plain, data=pile, context=context)
    assert context.record.sentences[-1].endswith(
        "from the pile. ngrams was to have 100, and the texts have 1 direction."
    )


def test_views_that_differ_in_dim_alone_are_refused() -> None:
    for pair in ([NGRAMS, {**NGRAMS, "dim": 4096}], [WORDS, WORDS]):
        with pytest.raises(ConfigError) as caught:
            parse(SentenceVectors, {"views": [{"view": "ngrams", "words": None}, *pair]}, where="here")
        assert str(caught.value) == (
            f"here: found views.1 and views.2, which are both {pair[0]['view']} and tell the same; expected views that differ in "
            "more than dim. Drop one of them."
        )
    parse(SentenceVectors, {"views": [NGRAMS, {**NGRAMS, "words": None}, WORDS]}, where="here")


def test_a_missing_gpu_is_told_before_the_run(monkeypatch: pytest.MonkeyPatch, reviews: TextData) -> None:
    from nlptl.pretraining.word2vec import gpu_engine

    monkeypatch.setattr(gpu_engine, "machine_fault", lambda: "engine: found gpu, but none.")
    told = SentenceVectors(views=[NGRAMS, {**WORDS, "engine": "gpu"}]).remarks(reviews)
    assert told == ["sentence_vectors.views.1.engine: found gpu, but none."]
    assert SkipGram(engine="gpu").remarks(reviews) == ["skipgram.engine: found gpu, but none."]
    assert SkipGram(engine="cpu").remarks(reviews) == []
    monkeypatch.setattr(gpu_engine, "machine_fault", lambda: "")
    assert SkipGram(engine="gpu").remarks(reviews) == []


def test_views_read_the_pile_and_the_labelled_texts_and_no_other(reviews: TextData) -> None:
    assert SentenceVectors(pooling="mean", views=[NGRAMS]).reads(reviews) == {"unlabelled", "labelled"}
    assert SentenceVectors(pooling="mean").reads(reviews) == frozenset()
    assert SentenceVectors(views=[NGRAMS]).is_random
    assert not SentenceVectors().is_random


def test_a_later_pooling_keeps_the_views(joined: Encoder, reviews: TextData) -> None:
    later = SentenceVectors(pooling="cls").run(joined, data=reviews, context=CONTEXT)
    texts = reviews.test.texts()  # type: ignore[union-attr]
    np.testing.assert_array_equal(later.encode(texts)[:, 32:], joined.encode(texts)[:, 32:])
    others = SentenceVectors(views=[NGRAMS]).run(joined, data=reviews, context=CONTEXT)
    assert others.dim == 32 + 5


def test_no_texts_to_learn_views_from_is_told(plain: Encoder) -> None:
    with pytest.raises(DataError) as caught:
        SentenceVectors(views=[NGRAMS]).run(plain, data=TextData())
    assert str(caught.value) == (
        "sentence_vectors.views: found no texts to learn views from; expected a pile of them. Give data.unlabelled."
    )


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            {"view": "stars"},
            "here: views.0.view is 'stars', but must be one of word_vectors, ngrams.",
        ),
        (
            {"view": "ngrams", "words": None, "characters": None},
            "here: views.0: found neither words nor characters; expected one of them. Set words: [1, 2].",
        ),
        (
            {"view": "ngrams", "words": [2, 1]},
            "here: views.0: found words: [2, 1]; expected the least length before the most. Swap them.",
        ),
        (
            {"view": "word_vectors", "engine": "ppmi", "epochs": 5},
            "here: views.0: found epochs: 5 with engine ppmi, which counts once; expected one of them. Drop epochs.",
        ),
        (
            {"view": "ngrams", "window": 5},
            "here: views.0.window is not a setting of ngrams, but of word_vectors. Known here: words, characters, segmenter, dim, "
            "max_terms, view.",
        ),
    ],
)
def test_faults_of_settings_are_told(view: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(SentenceVectors, {"stage": "sentence_vectors", "views": [view]}, where="here")
    assert str(caught.value) == sentence


def fine_tuned(encoder: Encoder, reviews: TextData, update: dict[str, Any]) -> TextClassifier:
    data = TextData(labelled=reviews.labelled)
    head = ClassificationHead().run(encoder, data=data, context=CONTEXT)
    return FineTune(update=update).run(head, data=data, context=RunContext(seed=7, device="cpu"))


def louder(view: View) -> View:
    return View(view.terms, 1000 * view.table, 1000 * view.centre)


def test_contrastive_training_does_not_see_the_views(plain: Encoder, reviews: TextData) -> None:
    update = {"method": "contrastive", "steps": 4, "top_layers": 1, "batch_size": 8, "label_names": "never"}
    loud = plain.with_views([louder(word_view()), louder(ngram_view())])
    alone, beside = (fine_tuned(one, reviews, update) for one in (plain, loud))
    texts = ["the good film", "a dull story"]
    assert not np.allclose(alone.encoder.encode(texts), plain.encode(texts)), "it trains"
    np.testing.assert_array_equal(beside.encoder.encode(texts)[:, :32], alone.encoder.encode(texts))
    np.testing.assert_array_equal(beside.encoder.encode(texts)[:, 32:], loud.encode(texts)[:, 32:])


@pytest.mark.parametrize("method", ["partial", "full", "lora"])
def test_layers_move_beside_views_that_stay(method: str, joined: Encoder, reviews: TextData) -> None:
    trained = fine_tuned(joined, reviews, {"method": method, "epochs": 2, "l2": 0.1, "encoder_learning_rate": 0.01})
    texts = reviews.test.texts()  # type: ignore[union-attr]
    before, after = joined.encode(texts), trained.encoder.encode(texts)
    assert not np.allclose(after[:, :32], before[:, :32])
    np.testing.assert_array_equal(after[:, 32:], before[:, 32:])
    weights = trained.head.last_linear.weight
    assert weights.shape == (2, 45)
    assert bool(weights[:, 32:].abs().sum(dim=0).all()), "the head reads the views"


def test_names_alone_are_compared_by_the_encoders_own_vectors(joined: Encoder, plain: Encoder) -> None:
    data = TextData(label_names={"good": "a good film", "bad": "a bad story"})
    found = []
    for encoder in (plain, joined):
        head = ClassificationHead().run(encoder, data=data, context=CONTEXT)
        found.append(FineTune(update={"method": "contrastive"}).run(head, data=data, context=CONTEXT))
    texts = ["the good film", "a dull story"]
    np.testing.assert_allclose(found[0].predict_proba(texts), found[1].predict_proba(texts), atol=1e-5)
    assert torch.count_nonzero(found[1].head.last_linear.weight[:, 32:]) == 0


def test_a_pile_of_several_tables_is_drawn_from_evenly() -> None:
    data = TextData(
        unlabelled=[f"pile {n}" for n in range(80)], labelled=([f"own {n}" for n in range(20)], ["a", "b"] * 10)
    )
    tables = pile_tables(data, frozenset({"unlabelled", "labelled"}))
    everything = [text for table in tables for text in table.texts()]
    assert drawn_texts(tables, 1000, seed=1) == everything
    some = drawn_texts(tables, 50, seed=1)
    assert len(set(some)) == 50
    assert some == sorted(some, key=everything.index)
    assert some != drawn_texts(tables, 50, seed=2)
    assert 4 <= sum(text.startswith("own") for text in some) <= 16


def test_an_encoder_with_views_is_pretrained_further(joined: Encoder, reviews: TextData, tmp_path: Path) -> None:
    joined.save(tmp_path / "saved")
    settings = {"weights": str(tmp_path / "saved"), "continue": {"objective": "simcse", "steps": 2, "batch_size": 8}}
    further = Bert(**settings).run(data=reviews, context=CONTEXT)
    before, after = (encoder.encode(["the good film"]) for encoder in (joined, further))
    assert not np.allclose(after[:, :32], before[:, :32])
    np.testing.assert_array_equal(after[:, 32:], before[:, 32:])
