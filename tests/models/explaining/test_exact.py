"""Exact contributions: they sum to the logits under every pooling and view, and go to the words that they come from."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.errors import ConfigError, DataError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.explaining.explanation import Explanation
from nlptl.models.explaining.word_spans import spread, word_spans
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling, first_component, idf_weights, sif_weights
from nlptl.models.view_terms import Ngrams, NgramTerms
from nlptl.models.views import View
from nlptl.pretraining.views.view_encoder import view_encoder
from tests.models.test_views import word_view
from tests.models.test_word_vectors import DIM, WORDS, encoder, table

LABELS = ("a", "b", "c")
PIECES = [
    "film", "Good", "good film", "new york city", "filmgood", "İstanbul", "ΟΔΟΣ", "映画はとても良い。", "<br />", "\n", "!", " ",
    "http://a.b", "ﬁlm", "e\u0301", "🙂", "unseen", "[UNK]", ".", "\u200b", "  ",
]  # fmt: skip
texts = st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.lists(st.sampled_from(PIECES)).map("".join)


def ngram_view(dim: int = 3) -> View:
    """Return a view of n-grams of words and of characters, some of which no word holds whole."""
    words = ["!", "br", "film", "good", "good film", "new york", "οδος", "映画はとても良い"]
    characters = [" f", "fi", "lm ", "m", "o", "i̇s", "画は", "ος ", " "]
    generator = torch.Generator().manual_seed(1)
    terms = NgramTerms(
        (
            Ngrams("words", (1, 2), words, np.linspace(1, 2, len(words), dtype=np.float32)),
            Ngrams("characters", (1, 3), characters, np.linspace(2, 1, len(characters), dtype=np.float32)),
        )
    )
    return View(terms, torch.randn(len(terms), dim, generator=generator), torch.full((dim,), 0.3))


def classifier(given: Encoder, *, hidden: int = 0, seed: int = 0) -> TextClassifier:
    """Return a classifier with a random head, its centre and scale too."""
    generator = torch.Generator().manual_seed(seed)
    head = Head(given.dim, len(LABELS), hidden=hidden, trained=True)
    for tensor in (*head.parameters(), head.centre):
        tensor.data.copy_(torch.randn(tensor.shape, generator=generator))
    head.scale.fill_(0.7)
    return TextClassifier(given, head, LABELS).eval()


def pooling(mode: str) -> Pooling:
    weights = {"tfidf": idf_weights(torch.arange(len(WORDS)), 12), "sif": sif_weights(table().counts, 1e-1)}.get(mode)
    component = first_component(torch.eye(DIM) + torch.ones(DIM, DIM)) if mode == "sif" else None
    return Pooling(mode, token_weights=weights, common_component=component)  # type: ignore[arg-type]


def check_sums(found: Explanation, given: TextClassifier) -> None:
    with torch.no_grad():
        logits = given.head(torch.from_numpy(given.encoder.encode([found.text])))[0].double().numpy()
    words = [one.logits for one in found.contributions]
    np.testing.assert_allclose(np.array(found.base) + np.sum(words, axis=0), logits, atol=1e-4)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    assert found.completeness_error < 1e-4
    assert found.how == "exact"
    assert [found.text[one.start : one.end] for one in found.contributions] == [one.text for one in found.contributions]


@pytest.mark.parametrize("mode", ["mean", "tfidf", "sif"])
@pytest.mark.parametrize("more", ["", "normalized", "cut", "views", "normalized views"])
@settings(max_examples=6, deadline=None)
@given(text=texts)
def test_contributions_sum_to_the_logits(mode: str, more: str, text: str) -> None:
    views = [word_view(), ngram_view()] if "views" in more else []
    kept = 5 if "cut" in more else None
    given = Encoder(
        encoder().tokenizer, table(), pooling(mode), normalized="normalized" in more or "cut" in more, kept_dim=kept, views=views
    ).eval()  # fmt: skip
    model = classifier(given)
    check_sums(model.explain([text])[0], model)


@settings(max_examples=40, deadline=None)
@given(text=texts)
def test_every_term_of_a_view_is_found_in_the_text(text: str) -> None:
    for view in (word_view(), ngram_view()):
        weights, placed = view.terms.weights([text]), view.terms.placed(text)
        assert sorted(set(placed.terms.tolist())) == sorted(weights.indices.tolist())
        shares = np.bincount(placed.terms, weights=placed.shares, minlength=len(view.terms))
        np.testing.assert_allclose(shares[weights.indices], 1)
        assert all(text[begin:end].strip() for begin, end in placed.spans.tolist())


@settings(max_examples=60, deadline=None)
@given(text=texts | st.text())
def test_words_hold_every_character_that_is_no_blank(text: str) -> None:
    spans = word_spans(text)
    held = "".join(text[begin:end] for begin, end in spans)
    assert "".join(held.split()) == "".join(text.split())
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


def test_a_word_has_its_share_of_the_mean() -> None:
    model = classifier(encoder(table(phrases=None)))
    found = model.explain(["The good, good film"])[0]
    weights = model.head.last_linear.weight.detach() / model.head.scale
    vectors = table().vectors.detach()[[9, 2, 2, 1]]
    expected = (vectors @ weights.T / 4).numpy()
    np.testing.assert_allclose([one.logits for one in found.contributions], expected, atol=1e-5)
    assert [one.text for one in found.contributions] == ["The", "good,", "good", "film"]


def test_a_phrase_and_a_pair_of_words_are_shared() -> None:
    model = classifier(encoder())
    _, new, york = (np.array(one.logits) for one in model.explain(["good New York"])[0].contributions)
    phrase = table().vectors.detach()[7] @ (model.head.last_linear.weight.detach() / model.head.scale).T / 2
    np.testing.assert_allclose(new, phrase * 3 / 7, atol=1e-5)  # by their letters
    np.testing.assert_allclose(york, phrase * 4 / 7, atol=1e-5)
    view = ngram_view()
    terms = view.terms.placed("good film")
    assert isinstance(view.terms, NgramTerms)
    pair = terms.terms == view.terms.parts[0].numbers["good film"]
    assert terms.spans[pair].tolist() == [[0, 4], [5, 9]]
    assert terms.shares[pair].tolist() == [0.5, 0.5]


def test_parts_are_spread_by_characters() -> None:
    words = [(0, 4), (5, 7), (7, 8)]
    spans = np.array([(0, 4), (3, 7), (6, 8), (4, 5), (9, 12)])
    found = spread(spans, np.eye(5), words)
    expected = [[1, 1 / 3, 0, 0, 0], [0, 2 / 3, 0.5, 1, 0], [0, 0, 0.5, 0, 1]]
    np.testing.assert_allclose(found, expected)
    assert spread(spans, np.eye(5), []).shape == (0, 5)


def test_a_margin_leaves_out_what_all_labels_gain() -> None:
    model = classifier(encoder())
    found = model.explain(["good film, bad city"])[0]
    place = LABELS.index(found.label)
    numbers = np.array([one.logits for one in found.contributions])
    others = [one for one in range(3) if one != place]
    np.testing.assert_allclose(found.towards(), numbers[:, place] - numbers[:, others].mean(axis=1))
    np.testing.assert_allclose(found.towards("a", against="c"), numbers[:, 0] - numbers[:, 2])
    independent = dataclasses.replace(found, thresholds=(0.5, 0.5, 0.5))
    np.testing.assert_allclose(independent.towards("b"), numbers[:, 1])
    assert found.probability == max(found.probabilities) == model.predict_proba([found.text])[0].max()


def test_a_head_that_was_never_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match="found a head that was never trained"):
        TextClassifier(encoder(), Head(DIM, 3), LABELS).explain(["good"])


def test_texts_come_as_in_predict() -> None:
    import pandas as pd

    model = classifier(encoder())
    frame: Any = pd.DataFrame({"body": ["good", "bad film"]})
    assert [one.text for one in model.explain(frame, text="body")] == ["good", "bad film"]
    assert model.explain([]) == []


@pytest.mark.parametrize("hidden", [0, 4])
def test_an_encoder_of_views_alone_is_explained(hidden: int) -> None:
    model = classifier(view_encoder([ngram_view()], [["good film"]]), hidden=hidden)
    found = model.explain(["good film, the!", "", "no known"])
    if not hidden:
        for one in found:
            check_sums(one, model)
    vectors = [model.encoder.encode([text]) for text in ("good film, the!", "good film,")]
    with torch.no_grad():
        whole, left = (model.head(torch.from_numpy(vector))[0].numpy() for vector in vectors)
    if hidden:
        np.testing.assert_allclose(found[0].contributions[-1].logits, whole - left, atol=1e-5)
    assert [one.how for one in found] == ["occlusion" if hidden else "exact"] * 3


def test_labels_with_probabilities_of_their_own_are_explained_by_their_logits() -> None:
    model = classifier(encoder())
    model.head.thresholds = (0.5, 0.4, 0.3)
    found = model.explain(["good film, bad city"])[0]
    check_sums(found, model)
    assert found.multi_label
    np.testing.assert_allclose(found.probabilities, 1 / (1 + np.exp(-np.array(found.logits))), atol=1e-6)
    assert found.towards("b") == tuple(one.logits[1] for one in found.contributions)


@pytest.mark.parametrize("thresholds", [(0.5, 0.4, 0.3), (0.999, 0.0, 1.0), (1.0, 1.0, 1.0), (0.01, 0.02, 0.03)])
def test_the_labels_that_are_given_are_explained(thresholds: tuple[float, ...]) -> None:
    model = classifier(encoder())
    model.head.thresholds = thresholds
    given = ["good film, bad city", "unseen", "", "bad", "new york"]
    for found, labels in zip(model.explain(given), model.predict(given), strict=True):
        assert found.given == labels
        assert found.thresholds == thresholds
        assert found.label in (labels or LABELS)
        odds = np.log(np.clip(thresholds, 1e-6, 1 - 1e-6)) - np.log1p(-np.clip(thresholds, 1e-6, 1 - 1e-6))
        above = dict(zip(LABELS, np.array(found.logits) - odds, strict=True))
        assert found.label == max(labels or LABELS, key=lambda label: above[label])
    assert all(one.given == (one.label,) for one in classifier(encoder()).explain(given))


def test_what_cannot_be_asked_for_is_told() -> None:
    model = classifier(encoder())
    found = model.explain(["good"])[0]
    told = "found 'nope'; the labels are 'a', 'b', 'c'. Correct it."
    for ask, where in [
        (lambda: found.towards("nope"), "label"),
        (lambda: found.sentences_towards("nope"), "label"),
        (lambda: found.towards(""), "label"),
        (lambda: found.margin(found.logits, "a", against="nope"), "against"),
    ]:
        with pytest.raises(ConfigError) as refused:
            ask()
        assert str(refused.value) in (f"{where}: {told}", f"{where}: {told.replace('nope', '')}")
    for tokens in (0, -1):
        with pytest.raises(ConfigError) as refused:
            model.explain(["good"], tokens=tokens)
        assert str(refused.value) == f"tokens: found {tokens}; expected 1 or more. Leave it out for 32,000."
    with pytest.raises(DataError) as missing:
        model.explain([None])  # type: ignore[list-item]
    assert str(missing.value) == (
        'texts, row 1: the text is empty. Remove the row, fill in the text, or give "" for a text without words.'
    )
