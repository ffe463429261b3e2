"""The chain ngrams → head → words: against scikit-learn, without tokens, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, make_pipeline

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.word_vectors import WordVectors
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.conftest import small_reviews

WORDS = FineTune(update={"method": "words"})
CHAIN = (NgramVectors(dim=8), ClassificationHead(), WORDS)
LENGTH_1 = {"words": 0.5**0.5, "characters": 0.5**0.5}  # of both units together
JAPANESE = [
    "売上高は増加した",
    "利益は増加傾向だ",
    "受注が増加している",
    "売上高は減少した",
    "利益は減少傾向だ",
    "受注が減少している",
]


def learnt(data: TextData, context: RunContext | None = None) -> TextClassifier:
    made = None
    for stage in CHAIN:
        made = stage.run(made, data=data, context=context or RunContext(seed=3, device="cpu"))
    assert isinstance(made, TextClassifier)
    return made


@pytest.mark.parametrize("labels", [2, 3])
def test_it_is_tfidf_and_logistic_regression_of_scikit_learn(labels: int) -> None:
    texts, two = small_reviews(60)
    three = ["neutral" if row % 5 == 0 else label for row, label in enumerate(two)]
    given = two if labels == 2 else three
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"\w+|[^\w\s]")
    characters = TfidfVectorizer(ngram_range=(3, 5), sublinear_tf=True, analyzer="char_wb")
    context = RunContext(seed=3, device="cpu")
    classifier = learnt(TextData(labelled=(texts, given)), context)
    (told,) = [sentence for sentence in context.record.sentences if "chose C" in sentence]
    strength = float(told.split("chose C = ")[1].split()[0])
    both = FeatureUnion([("words", words), ("characters", characters)], transformer_weights=LENGTH_1)
    oracle = make_pipeline(both, LogisticRegression(C=strength, max_iter=500))
    fresh = small_reviews(30, start=300)[0]
    expected = oracle.fit(texts, given).predict_log_proba(fresh)
    found = np.log(classifier.predict_proba(fresh))
    np.testing.assert_array_equal(classifier.labels, oracle.classes_)
    apart, ours = expected - expected.mean(axis=1, keepdims=True), found - found.mean(axis=1, keepdims=True)
    temperature = np.linalg.norm(apart) / np.linalg.norm(ours)
    np.testing.assert_allclose(ours * temperature, apart, atol=2e-3)


def test_no_text_is_tokenised_to_predict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    texts, labels = small_reviews(24)
    classifier = learnt(TextData(labelled=(texts, labels)))
    assert (classifier.encoder.own_dim, classifier.encoder.dim) == (0, 2)
    classifier.save(tmp_path / "saved")
    assert "\n- n-grams\n" in (tmp_path / "saved" / "README.md").read_text()
    before = classifier.predict_proba(texts)

    def refuse(*_: object) -> None:
        raise AssertionError("a text was tokenised")

    monkeypatch.setattr(WordVectors, "read", refuse)
    batches: list[int] = []
    loaded = TextClassifier.load(tmp_path / "saved")
    np.testing.assert_array_equal(loaded.predict_proba(texts, after_batch=batches.append), before)
    assert sum(batches) == len(texts)


def test_texts_without_spaces_are_told_by_their_characters() -> None:
    classifier = learnt(TextData(labelled=(JAPANESE, ["up"] * 3 + ["down"] * 3), unlabelled=["増加と減少"]))
    assert classifier.predict(["営業利益が増加", "営業利益が減少"]) == ["up", "down"]


def test_the_pile_shapes_the_vectors_but_not_the_words() -> None:
    texts, labels = small_reviews(24)
    alone, with_pile = (
        TextData(labelled=(texts, labels), unlabelled=pile) for pile in (None, small_reviews(90, start=200)[0])
    )
    probe = small_reviews(8, start=700)[0]
    np.testing.assert_array_equal(learnt(alone).predict_proba(probe), learnt(with_pile).predict_proba(probe))
    one, two = (NgramVectors(dim=8).run(data=data).encode(probe) for data in (alone, with_pile))
    assert not np.allclose(np.abs(one), np.abs(two), atol=1e-2)
    left_out = NgramVectors(include_labelled=False)
    assert left_out.needs == left_out.reads(with_pile) == {"unlabelled"}
    assert not {"number 0", "number 1"} & set(left_out.run(data=with_pile).views[0].terms.parts[0].vocabulary)


def test_what_it_refuses_is_told() -> None:
    strange = [f"{number:x}" for number in range(1000)]
    data = TextData(labelled=(strange, ["a", "b"] * 500))
    for run, kind, sentence in (
        (
            lambda: NgramVectors().run(data=TextData()),
            DataError,
            "ngrams: found no texts to learn from; expected a pile of them. Give data.unlabelled.",
        ),
        (
            lambda: NgramVectors().run(data=TextData(unlabelled=["same", "same"])),
            DataError,
            "ngrams: found no two texts of the pile that differ in n-grams which several texts share; a view of n-grams needs "
            "some. Add text.",
        ),
        (
            lambda: SentenceVectors().run(
                NgramVectors().run(data=TextData(unlabelled=["one", "two"])), data=TextData()
            ),
            ConfigError,
            "sentence_vectors: found sentence_vectors over n-grams, which have no token vectors to pool; expected "
            "classification_head. Drop the stage, or begin the chain with skipgram or bert.",
        ),
        (
            lambda: Pipeline(
                data={"labelled": "a.csv"},
                stages=[NgramVectors(), SentenceVectors(), ClassificationHead(), WORDS],
            ),
            ConfigError,
            "stages.1: found sentence_vectors over n-grams, which have no token vectors to pool; expected classification_head. "
            "Drop the stage, or begin the chain with skipgram or bert.",
        ),
        (
            lambda: Pipeline(
                data={"labelled": "a.csv"},
                stages=[NgramVectors(), ClassificationHead(), FineTune(update={"method": "partial"})],
            ),
            ConfigError,
            "stages.2.update.method: found partial over word vectors or n-grams, which have no layers; expected head, words, "
            "self_training, full or auto, or a transformer. Choose one, or begin the chain with bert.",
        ),
        (
            lambda: WORDS.run(
                ClassificationHead().run(NgramVectors().run(data=TextData(unlabelled=["one", "two"])), data=data),
                data=data,
            ),
            DataError,
            "finetune.update: found no word that two labelled texts share, and words learns from nothing else; expected texts in "
            "words. Check the text column, or choose another update.",
        ),
    ):
        with pytest.raises(kind) as caught:
            run()
        assert str(caught.value) == sentence


def test_a_hidden_layer_is_refused() -> None:
    texts, labels = small_reviews(8)
    data = TextData(labelled=(texts, labels))
    head = ClassificationHead(hidden=3).run(NgramVectors(dim=4).run(data=data), data=data)
    with pytest.raises(ConfigError) as caught:
        WORDS.run(head, data=data)
    assert str(caught.value) == (
        "finetune.update: words needs a linear head, but the classification head has a hidden layer of 3 units. Set hidden: 0 "
        "in classification_head, or choose another update."
    )


def test_names_alone_answer_over_ngrams() -> None:
    data = TextData(
        unlabelled=["a good film", "a bad film", "good music", "bad music"], label_names={"up": "good", "down": "bad"}
    )
    classifier = learnt(data)
    assert classifier.predict(["good plot", "bad plot"]) == ["up", "down"]
    assert torch.isfinite(classifier.head.last_linear.weight).all()


def test_words_without_vectors_are_not_exported(tmp_path: Path) -> None:
    NgramVectors(dim=4).run(data=TextData(unlabelled=small_reviews(8)[0])).save(tmp_path / "ngrams")
    with pytest.raises(ConfigError) as caught:
        Encoder.read_word_vectors(tmp_path / "ngrams")
    assert str(caught.value) == (
        f"{tmp_path / 'ngrams'}: holds n-grams, beside which no word has a vector of its own; expected a run that begins with "
        "skipgram. Choose one."
    )
