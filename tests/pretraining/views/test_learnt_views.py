"""Views that are learnt from a pile, against the same computed text by text in plain numpy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer

from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.models.view_terms import NgramTerms
from nlptl.models.views import View
from nlptl.pretraining.views import ngram_view
from nlptl.pretraining.views.ngram_view import learn_ngram_view
from nlptl.pretraining.views.view_settings import NgramView, WordVectorView
from nlptl.pretraining.views.word_view import LearntWords, learn_word_view
from tests.conftest import small_reviews

PILE = [*small_reviews(60)[0], "the film the film the film was good", "a"]
NEW = ["The FILM was good, the plot was not", "film", "film film film", "zzzz qqqq", ""]
CONTEXT = RunContext(seed=3, device="cpu")
WORDS = WordVectorView(dim=6, epochs=3, min_count=2)


@pytest.fixture(scope="module", params=["cpu", "ppmi"])
def learnt(request: pytest.FixtureRequest) -> LearntWords:
    engine = {"engine": request.param, **({"epochs": "auto"} if request.param == "ppmi" else {})}
    return learn_word_view([PILE[:40], PILE[40:]], WORDS.model_copy(update=engine), CONTEXT, length=2.0)


@pytest.fixture(scope="module")
def ngrams() -> View:
    return learn_ngram_view(PILE, NgramView(dim=7, words=[1, 2], characters=[2, 3]), CONTEXT, length=2.0)


def in_space(
    pile: NDArray[Any], new: NDArray[Any], *, dim: int, length: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pile and new vectors in the leading directions of the pile, each divided by the fourth root of its variance."""
    centre = pile.mean(axis=0)
    _, deviations, directions = np.linalg.svd(pile - centre, full_matrices=False)
    scaled = directions[:dim].T / (deviations[:dim] / np.sqrt(len(pile))) ** 0.5
    scaled *= length / np.mean([np.linalg.norm(row) for row in (pile - centre) @ scaled])
    return (pile - centre) @ scaled, (new - centre) @ scaled


def same_but_for_signs(found: NDArray[Any], expected: NDArray[Any], *, tolerance: float) -> None:
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found, expected * signs, atol=tolerance)


def test_a_word_view_is_the_weighted_mean_of_distinct_words(learnt: LearntWords) -> None:
    rows = {word: row for row, word in enumerate(learnt.words) if row}
    total = learnt.counts[1:].sum()

    def mean(text: str) -> NDArray[np.float64]:
        known = {word for word in re.findall(r"\w+", text.lower()) if word in rows}
        weighted = [learnt.vectors[rows[w]] * 0.01 / (0.01 + learnt.counts[rows[w]] / total) for w in sorted(known)]
        return np.mean(weighted, axis=0)

    pile = np.array([mean(text) for text in PILE if text != "a"])  # of which no word is frequent enough
    new = np.array([mean(text) for text in NEW[:3]])
    expected, beside = in_space(pile, new, dim=6, length=2.0)
    found = learnt.view.vectors([*(text for text in PILE if text != "a"), *NEW[:3]]).numpy()
    same_but_for_signs(found, np.vstack([expected, beside]), tolerance=1e-4)


def test_an_ngram_view_is_tfidf_in_its_leading_directions(ngrams: View) -> None:
    parts = [
        TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", sublinear_tf=True),
        TfidfVectorizer(ngram_range=(2, 3), analyzer="char_wb", sublinear_tf=True),
    ]
    pile = np.hstack([part.fit_transform(PILE).toarray() for part in parts]) / np.sqrt(2)
    new = np.hstack([part.transform(NEW[:3]).toarray() for part in parts]) / np.sqrt(2)
    expected = np.vstack(in_space(pile, new, dim=7, length=2.0))
    found = ngrams.vectors([*PILE, *NEW[:3]]).numpy()
    same_but_for_signs(found[:, :3], expected[:, :3], tolerance=0.02)  # the others stand close together
    lengths = (np.linalg.norm(rows[: len(PILE)], axis=1).mean() for rows in (found, expected))
    np.testing.assert_allclose(*lengths, rtol=0.01)


@pytest.mark.parametrize("kind", ["words", "n-grams"])
def test_the_pile_is_centred_at_the_asked_length(kind: str, learnt: LearntWords, ngrams: View) -> None:
    view = learnt.view if kind == "words" else ngrams
    found = view.vectors([text for text in PILE if text != "a"] if kind == "words" else PILE).numpy()
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1).mean(), 2.0, rtol=1e-4)
    variances = found.var(axis=0)
    assert (np.diff(variances) < 1e-6).all(), "the leading directions come first"


def test_each_word_counts_once_and_unknown_texts_are_the_middle(learnt: LearntWords) -> None:
    _, one, three, unknown, empty = learnt.view.vectors(NEW)
    np.testing.assert_allclose(one, three, atol=1e-6)
    assert one.any()
    assert not torch.stack([unknown, empty]).any()


def test_a_seed_repeats_a_view(ngrams: View) -> None:
    again = learn_ngram_view(PILE, NgramView(dim=7, words=[1, 2], characters=[2, 3]), CONTEXT, length=2.0)
    np.testing.assert_array_equal(again.vectors(NEW), ngrams.vectors(NEW))
    words = [learn_word_view([PILE], WORDS, CONTEXT).view.vectors(NEW) for _ in range(2)]
    np.testing.assert_array_equal(*words)


def test_no_more_directions_than_the_pile_has() -> None:
    assert learn_ngram_view(PILE[:4], NgramView(dim=50), CONTEXT).dim == 3
    assert learn_word_view([PILE[:4]], WordVectorView(dim=50, epochs=1, min_count=1), CONTEXT).view.dim == 3


def test_piles_that_say_nothing_are_told() -> None:
    with pytest.raises(DataError) as caught:
        learn_word_view([["one word"]], WordVectorView(min_count=2), CONTEXT)
    assert str(caught.value) == (
        "sentence_vectors.views: found 0 words that occur at least 2 times; a view of word vectors needs two. Lower min_count, "
        "or add text."
    )
    with pytest.raises(DataError) as caught:
        learn_word_view([["one word", "word one"]], WordVectorView(min_count=1), CONTEXT, where="here")
    assert str(caught.value) == (
        "here: found no two texts of the pile that differ in their words; a view of word vectors needs some. Add text."
    )
    with pytest.raises(DataError) as caught:
        WordVectorView(min_count=1, engine="ppmi").learn(lambda: [["one", "two"]], [], CONTEXT, where="here")
    assert str(caught.value) == (
        "here.engine: found no two words together in a text; engine ppmi expects pairs of words. Give longer texts, or choose "
        "engine: cpu."
    )
    for texts in (["same text", "same text"], ["", " "]):
        with pytest.raises(DataError) as caught:
            learn_ngram_view(texts, NgramView(), CONTEXT)
        assert str(caught.value) == (
            "sentence_vectors.views: found no two texts of the pile that differ in n-grams which several texts share; a view of "
            "n-grams needs some. Add text."
        )


def test_ngrams_of_a_large_pile_are_counted_in_every_nth_text(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = NgramView(dim=2, words=[1, 1], characters=None)
    texts = ["red film", "unseen", "blue film", "unseen", "red story", "unseen"]
    monkeypatch.setattr(ngram_view, "COUNTED_CHARACTERS", sum(map(len, texts)))
    terms = learn_ngram_view(texts, settings, CONTEXT).terms
    assert isinstance(terms, NgramTerms)
    (ngrams,) = terms.parts
    assert ngrams.vocabulary == ["blue", "film", "red", "story"]


def test_default_lengths_fit_the_script() -> None:
    def units(texts: list[str], **settings: Any) -> list[tuple[str, tuple[int, int]]]:
        terms = learn_ngram_view(texts, NgramView(dim=2, **settings), CONTEXT).terms
        assert isinstance(terms, NgramTerms)
        return [(part.unit, part.lengths) for part in terms.parts]

    japanese = ["犬がかわいい", "話が長い", "犬の話"]
    assert units(PILE) == [("words", (1, 2)), ("characters", (3, 5))]
    assert units(japanese) == [("characters", (1, 3))]
    assert units(japanese, segmenter="sudachi") == [("words", (1, 2)), ("characters", (1, 3))]
    assert units(japanese, characters=[2, 4], words=None) == [("characters", (2, 4))]
