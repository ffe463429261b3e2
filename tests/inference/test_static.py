"""The static classifier without torch: the same numbers as the torch path, for every pooling, view and head."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.static import StaticClassifier
from nlptl.inference.static_views import character_ngrams, word_ngrams
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.view_terms import new_vectorizer
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews
from tests.models.test_views import ngram_view, word_view
from tests.models.test_word_vectors import DIM, WORDS, encoder, table
from tests.models.tiny import tiny_encoder

TEXTS = [
    "A good film in New York City.", "bad", "", "filmm goood", "unseen words only", "the the good good new york, é É",
    "new york city new york city", "!?", "x" * 300, "映画は良い good", "İ good\n\n\tfilm",
]  # fmt: skip
HEAD_FAULT = "does not fit the head that classifier.json describes over vectors of 13 numbers"
MODES: tuple[PoolingMode, ...] = ("mean", "max", "tfidf", "sif", "cls", "attention")


def pooling(mode: PoolingMode, *, dim: int = DIM) -> Pooling:
    generator = torch.Generator().manual_seed(3)
    component = torch.nn.functional.normalize(torch.randn(dim, generator=generator), dim=0)
    return Pooling(
        mode,
        token_weights=torch.rand(len(WORDS), generator=generator) if mode in ("tfidf", "sif") else None,
        common_component=component if mode == "sif" else None,
        query=torch.randn(dim, generator=generator) if mode == "attention" else None,
    )


def head(dim: int, *, hidden: int = 0, thresholds: list[float] | None = None, activation: Any = "gelu") -> Head:
    generator = torch.Generator().manual_seed(5)
    found = Head(dim, 3, hidden=hidden, activation=activation, thresholds=thresholds, trained=True)
    with torch.no_grad():
        for part in [*found.parameters(), found.centre]:
            part.copy_(torch.randn(part.shape, generator=generator))
    found.scale.fill_(1.7)
    return found


def saved(made: Encoder, folder: Path, **of_head: Any) -> TextClassifier:
    classifier = TextClassifier(made, head(made.dim, **of_head), ["a", "b", "c"]).eval()
    classifier.save(folder)
    return classifier


def assert_same(folder: Path, classifier: TextClassifier) -> None:
    found = StaticClassifier.load(folder)
    expected = classifier.predict_proba(TEXTS)
    np.testing.assert_allclose(found.encoder.encode(TEXTS), classifier.encoder.encode(TEXTS), atol=1e-6, rtol=1e-6)
    np.testing.assert_allclose(found.probabilities(TEXTS), expected, atol=1e-6)
    assert found.labels_of(found.probabilities(TEXTS)) == classifier.labels_of(expected)
    assert (found.labels, found.multi_label, found.separator) == (
        classifier.labels,
        classifier.multi_label,
        classifier.separator,
    )
    found.check_trained()


def test_prediction_sets_are_those_of_torch(tmp_path: Path) -> None:
    data = TextData(unlabelled=small_reviews(40, start=500)[0], labelled=small_reviews(40))
    given = ClassificationHead().run(NgramVectors(dim=6).run(data=data), data=data)
    classifier = FineTune(update={"method": "head", "solver": "logistic"}).run(given, data=data)
    classifier.save(tmp_path / "saved")
    found = StaticClassifier.load(tmp_path / "saved")
    texts = [*small_reviews(30, start=200)[0], *TEXTS[:2], *TEXTS[3:]]
    coverage = found.checked_abstention(where="test").coverage(0.8)
    assert coverage == classifier.checked_abstention(where="test").coverage(0.8)
    expected = classifier.predict_sets(texts, 0.8)
    for one, other in zip(found.sets_and_probabilities(texts, coverage)[0], expected, strict=True):
        assert (one.labels, one.unknown) == (other.labels, other.unknown)
        assert one.novelty == pytest.approx(other.novelty, abs=1e-4)


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_every_pooling_gives_the_numbers_of_torch(mode: PoolingMode, normalized: bool, tmp_path: Path) -> None:
    made = encoder().with_parts(pooling=pooling(mode), normalized=normalized)
    assert_same(tmp_path / "saved", saved(made, tmp_path / "saved"))


@pytest.mark.parametrize(("spelt", "phrases"), [(False, False), (False, True), (True, False)])
def test_words_without_spelling_or_phrases(spelt: bool, phrases: bool, tmp_path: Path) -> None:
    words = table(**({} if spelt else {"spelling": None}), **({} if phrases else {"phrases": None}))
    assert_same(tmp_path / "saved", saved(encoder(words), tmp_path / "saved"))


def test_views_kept_numbers_and_views_alone(tmp_path: Path) -> None:
    views = [word_view(), ngram_view()]
    assert_same(tmp_path / "views", saved(encoder().with_views(views), tmp_path / "views"))
    own = encoder()
    short = Encoder(own.tokenizer, own.token_model, own.pooling, kept_dim=3, views=views).eval()
    assert_same(tmp_path / "short", saved(short, tmp_path / "short"))
    alone = Encoder(own.tokenizer, own.token_model, own.pooling, kept_dim=None, views=views).eval()
    alone.token_model.vectors = torch.nn.Parameter(torch.zeros(len(WORDS), 0))
    alone.token_model.subwords = None
    assert_same(tmp_path / "alone", saved(alone, tmp_path / "alone"))


@pytest.mark.parametrize(
    "of_head", [{"hidden": 4}, {"hidden": 4, "activation": "sigmoid"}, {"thresholds": [0.2, 0.5, 0.9]}]
)
def test_every_head(of_head: dict[str, object], tmp_path: Path) -> None:
    assert_same(tmp_path / "saved", saved(encoder(), tmp_path / "saved", **of_head))


@given(st.lists(st.text(max_size=40), max_size=3))
@settings(max_examples=60, deadline=None)
def test_ngrams_are_those_of_scikit_learn(texts: list[str]) -> None:
    for text in texts:
        words, characters = (new_vectorizer(unit, (1, 3)).build_analyzer() for unit in ("words", "characters"))
        assert sorted(word_ngrams(text, (1, 3))) == sorted(words(text))
        assert sorted(character_ngrams(text, (1, 3))) == sorted(characters(text))


def test_progress_and_no_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(encoder(), tmp_path / "saved")
    found, seen = StaticClassifier.load(tmp_path / "saved"), list[int]()
    monkeypatch.setattr("nlptl.inference.static.TEXTS_AT_ONCE", 4)
    whole = found.probabilities(TEXTS, after_batch=seen.append)
    assert (seen, whole.shape, found.probabilities([]).shape) == ([4, 4, 3], (11, 3), (0, 3))


def test_a_fresh_head_is_refused(tmp_path: Path) -> None:
    made = encoder()
    TextClassifier(made, Head(made.dim, 2), ["a", "b"]).save(tmp_path / "saved")
    with pytest.raises(ConfigError) as caught:
        StaticClassifier.load(tmp_path / "saved").check_trained()
    assert str(caught.value) == (
        "classifier: found a head that was never trained, whose answers say nothing of a text; expected a trained one. Run the "
        "stage finetune, and use its result."
    )


def test_a_transformer_is_refused(tmp_path: Path) -> None:
    saved(tiny_encoder("bert"), tmp_path / "saved")
    with pytest.raises(ArtifactError) as caught:
        StaticClassifier.load(tmp_path / "saved")
    assert str(caught.value) == (
        f"{tmp_path / 'saved'}: holds a transformer, which needs torch; expected word vectors or n-grams. Export it with nlptl "
        "export."
    )


@pytest.mark.parametrize(
    ("name", "found", "what"),
    [
        ("pooling.safetensors", "view_0.safetensors", "does not fit the pooling that encoder.json describes"),
        ("word_vectors.safetensors", "pooling.safetensors", "holds no word vectors that encoder.json describes"),
        (
            "head.safetensors",
            "pooling.safetensors",
            "does not fit the head that classifier.json describes over vectors of 13 numbers",
        ),
        ("view_0.safetensors", "pooling.safetensors", "does not fit the view that encoder.json describes"),
    ],
)
def test_damaged_files_are_told(name: str, found: str, what: str, tmp_path: Path) -> None:
    saved(encoder().with_parts(pooling=pooling("sif")).with_views([word_view(), ngram_view()]), tmp_path / "saved")
    shutil.copy(tmp_path / "saved" / found, tmp_path / "saved" / name)
    if name == "pooling.safetensors":
        settings_file = tmp_path / "saved" / "encoder.json"
        settings_file.write_text(json.dumps({**json.loads(settings_file.read_text()), "pooling": "tfidf"}))
    with pytest.raises(ArtifactError) as caught:
        StaticClassifier.read_files(tmp_path / "saved")
    assert str(caught.value) == f"{tmp_path / 'saved' / name}: {what}; the folder is damaged. Run the stage again."
