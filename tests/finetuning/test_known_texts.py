"""The look of known texts: distances as their formula has them, and new texts farther away."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.metrics import roc_auc_score

from nlptl.finetuning.known_texts import fitted_gaussian, learn_known_texts
from nlptl.inference.abstention.known_texts import KnownTexts
from nlptl.inference.abstention.style import SIGNS, STYLE_DIM, styles
from tests.conftest import small_reviews


def vectors_of(count: int, *, seed: int, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 40)) @ np.diag(np.linspace(0.1, 2, 40)) + shift


def test_distances_are_those_of_the_shrunk_covariance() -> None:
    rows, others = vectors_of(25, seed=0), vectors_of(10, seed=1)
    apart = others - rows.mean(axis=0)
    covariance, _ = ledoit_wolf(rows - rows.mean(axis=0), assume_centered=True)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", apart, np.linalg.inv(covariance), apart))
    assert fitted_gaussian(rows, directions=40).distances(others) == pytest.approx(expected, rel=1e-4)
    few = fitted_gaussian(rows, directions=5)
    assert few.axes.shape == (5, 40)
    kept = np.diag([*few.variances[:-1].tolist(), *[float(few.variances[-1])] * 35])
    assert np.trace(kept) == pytest.approx(np.trace(covariance), rel=1e-4)


def test_equal_vectors_have_distances_that_are_numbers() -> None:
    known = learn_known_texts(["same"] * 30, np.ones((30, 4)))
    assert np.isfinite(known.novelty(["same", "other"], np.stack([np.ones(4), np.zeros(4)]))).all()


def test_texts_of_another_kind_are_new_and_known_ones_rarely() -> None:
    texts = small_reviews(700)[0]
    known = learn_known_texts(texts[:300], vectors_of(300, seed=0))
    own = known.novelty(texts[300:], vectors_of(400, seed=2))
    other = known.novelty(["BUY NOW!!! $$$ 100 %"] * 400, vectors_of(400, seed=3, shift=0.5))
    assert known.can_tell
    assert 0.01 < (own > 1).mean() < 0.09
    assert abs(np.median(own)) < 0.3
    assert roc_auc_score(np.repeat([0, 1], 400), np.concatenate([own, other])) > 0.95


def test_style_alone_makes_no_text_unknown() -> None:
    texts = small_reviews(300)[0]
    known = learn_known_texts(texts, vectors_of(300, seed=0))
    loud = known.novelty([text.upper() + "!!!" for text in texts], vectors_of(300, seed=2))
    assert (loud > 1).mean() < 0.7
    assert np.median(loud) > 0.3


def test_few_texts_cannot_tell() -> None:
    known = learn_known_texts(small_reviews(18)[0], vectors_of(18, seed=0))
    assert not known.can_tell
    assert np.isfinite(known.novelty(["a"], vectors_of(1, seed=1))).all()


def test_tensors_read_back_and_damaged_ones_are_refused() -> None:
    texts, vectors = small_reviews(40)[0], vectors_of(40, seed=0)
    known = learn_known_texts(texts, vectors)
    tensors = known.tensors()
    assert KnownTexts.from_tensors(tensors).novelty(texts, vectors) == pytest.approx(known.novelty(texts, vectors))
    for name, damaged in {
        "vectors.axes": tensors["vectors.axes"][:, :3], "scale": tensors["scale"][:2], "style_spread": tensors["scale"],
        "styles.variances": 0 * tensors["styles.variances"], "styles.mean": tensors["vectors.mean"],
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=r"vectors|scale|styles"):
            KnownTexts.from_tensors({**tensors, name: damaged})


def test_a_style_counts_signs_and_kinds_of_characters() -> None:
    found = styles(["Ab1é!", "", "x" * 5_000])
    assert found.shape == (3, STYLE_DIM)
    assert found[0, 2:5].tolist() == [1.0, 1.0, 0.0]
    assert found[0, 5:8].tolist() == pytest.approx([0.2**0.5] * 3)
    assert found[0, 8 + SIGNS.index("!")] == pytest.approx(0.2**0.5)
    assert found[0, 0] == pytest.approx(np.log(5))
    assert not found[1].any()
    assert found[2, 0] == pytest.approx(np.log(2_000))
    assert styles([]).shape == (0, STYLE_DIM)
