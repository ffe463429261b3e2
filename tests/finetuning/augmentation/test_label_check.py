"""Which new texts keep their label."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.errors import DataError
from nlptl.finetuning.augmentation import Augmented, keep_label

TEXTS = ["good film", "bad film", "unused"]
NEW = Augmented(
    ("good", "film", "bad", "so-so bad", "good bad"),
    (0, 0, 1, 1, 1),
    ("typos", "eda", "typos", "eda", "eda"),
    {"typos": 1, "eda": 0},
)


def score(texts: list[str]) -> np.ndarray:
    positive = [0.9 if "good" in text else 0.4 if "so-so" in text else 0.1 if "bad" in text else 0.5 for text in texts]
    return np.array([[1 - p, p] for p in positive])


def test_texts_stay_that_keep_their_likeliest_label() -> None:
    check = keep_label(NEW, TEXTS, score)
    assert check.kept.texts == ("good", "bad", "so-so bad")
    assert check.kept.rows == (0, 1, 1)
    assert check.kept.kinds == ("typos", "typos", "eda")
    assert dict(check.dropped) == {"typos": 0, "eda": 2}
    assert check.sentence() == "The label check dropped 2 of 5 new texts (0 of 2 by typos, 2 of 3 by eda)."


def test_a_higher_probability_keeps_fewer() -> None:
    assert keep_label(NEW, TEXTS, score, least=0.8).kept.texts == ("good", "bad")
    assert len(keep_label(NEW, TEXTS, score, least=0.95).kept) == 0


def test_known_labels_stand_above_what_the_classifier_reads() -> None:
    asked: list[list[str]] = []

    def told(texts: list[str]) -> np.ndarray:
        asked.append(texts)
        return score(texts)

    check = keep_label(NEW, TEXTS, told, labels=[0, 1, 0])
    assert check.kept.texts == ("film", "good bad")
    assert asked == [list(NEW.texts)]
    assert keep_label(NEW, TEXTS, told, labels=[0, None, None]).kept.texts == ("film", "bad", "so-so bad")
    assert asked[1:] == [["bad film"], list(NEW.texts)]


def test_nothing_is_asked_about_nothing() -> None:
    def refuse(texts: list[str]) -> np.ndarray:
        raise AssertionError(texts)

    check = keep_label(NEW.of_rows([]), [], refuse)
    assert check.sentence() == "The label check dropped 0 of 0 new texts."


@pytest.mark.parametrize(
    ("scores", "shape"), [(np.ones(2), "(2,)"), (np.ones((2, 2)), "(2, 2)"), (np.ones((3, 1)), "(3, 1)")]
)
def test_scores_that_are_no_probabilities_are_refused(scores: np.ndarray, shape: str) -> None:
    with pytest.raises(DataError) as caught:
        keep_label(NEW, TEXTS, lambda texts: scores)
    assert str(caught.value) == (
        f"label check: found scores of shape {shape} for 2 texts; expected a row of probabilities for each text, which "
        "sum to 1, and a column for each label. Give a function such as TextClassifier.predict_proba."
    )
