"""Augmentation on and off: only training folds are augmented, and what helps, harms or does nothing is told so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from nlptl.errors import DataError
from nlptl.evaluation.intervals import Interval, PairedDifference
from nlptl.finetuning.augmentation import Augmenter, Eda, Typos, WordDropout
from nlptl.finetuning.augmentation.ablation import Ablation, augmentation_ablation
from tests.conftest import small_reviews
from tests.finetuning.augmentation.neighbours import Neighbours

NAMES = ("negative", "positive")
TEXTS, LABELS = small_reviews(40)
Predict = Callable[[list[str]], np.ndarray]


class Counting:
    """Naive Bayes over words, that remembers what it was trained on and asked."""

    def __init__(self, harm: bool = False) -> None:
        self.harm = harm
        self.trained: list[list[str]] = []
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str], labels: list[str]) -> Predict:
        self.trained.append(texts)
        counts: dict[str, np.ndarray] = {}
        wrong = self.harm and len(set(texts)) > len(TEXTS)
        for text, label in zip(texts, labels, strict=True):
            for word in text.lower().split():
                own = counts.setdefault(word, np.ones(2))
                own[NAMES.index(label) if not wrong else 1 - NAMES.index(label)] += 1

        def predict(asked: list[str]) -> np.ndarray:
            self.asked.append(asked)
            logs = [
                sum(
                    (np.log(counts[word] / counts[word].sum()) for word in text.lower().split() if word in counts),
                    np.zeros(2),
                )
                for text in asked
            ]
            scores = np.exp(np.array(logs))
            return np.asarray(scores / scores.sum(axis=1, keepdims=True))

        return predict


def ablation(fit: Counting, augmenter: Augmenter, **settings: object) -> Ablation:
    return augmentation_ablation(TEXTS, LABELS, names=NAMES, fit=fit, augmenter=augmenter, **settings)


def test_training_folds_alone_are_augmented() -> None:
    fit = Counting()
    found = ablation(fit, Augmenter([Typos(copies=2)]), repeats=2, folds=4)
    assert len(fit.trained) == 16
    made = Augmenter([Typos(copies=2)])(TEXTS, seed=0)
    for plain, more, held_out, again in zip(
        fit.trained[::2], fit.trained[1::2], fit.asked[::2], fit.asked[1::2], strict=True
    ):
        assert len(plain) == len(more) == 3 * 30
        assert more[:30] == plain[:30]
        assert {plain.count(text) for text in plain} == {3}, "each original is repeated as often as it has new texts"
        assert held_out == again
        assert sorted(plain[:30] + held_out) == sorted(TEXTS)
    in_first = set(fit.trained[1]) - set(TEXTS)
    assert in_first == set(made.of_rows([TEXTS.index(text) for text in fit.trained[0]]).texts)
    assert (found.examples, found.folds, found.repeats, found.added, found.dropped) == (40, 4, 2, 2.0, 0.0)
    assert found.without[0] > 0.9


def test_copies_are_held_out_together() -> None:
    fit = Counting()
    augmenter = Augmenter([Typos()])
    augmentation_ablation([*TEXTS, *TEXTS], [*LABELS, *LABELS], names=NAMES, fit=fit, augmenter=augmenter, repeats=1)
    for plain, held_out in zip(fit.trained[::2], fit.asked[::2], strict=True):
        assert not set(plain) & set(held_out)


def test_the_same_seed_gives_the_same() -> None:
    one, two = (ablation(Counting(), Augmenter([WordDropout()]), repeats=1, seed=3) for _ in range(2))
    assert one == two


def test_no_augmentation_changes_nothing() -> None:
    found = ablation(Counting(), Augmenter([]))
    assert found.accuracy.difference.value == found.log_loss.difference.value == 0.0
    assert found.conclusion() == "no difference is shown"


def test_harm_is_told() -> None:
    found = ablation(Counting(harm=True), Augmenter([WordDropout()]))
    assert found.accuracy.difference.high < -0.5
    assert found.log_loss.difference.low > 0
    assert found.sentence() == (
        f"Augmentation (1.0 new texts an example) changed the accuracy by {found.accuracy.difference} from "
        f"{found.without[0]:.3f} and the log-loss by {found.log_loss.difference} from {found.without[1]:.3f}, against the "
        "examples repeated as often, in 3 x 5-fold cross-validation on 40 examples: it harms."
    )


def test_help_is_told() -> None:
    """Every text has a word of its own, and nothing but its neighbours tell what the words of a label are."""
    words = [f"w{chr(97 + i)}" for i in range(20)]
    texts, labels = [f"{word} film" for word in words], [NAMES[i % 2] for i in range(20)]
    alike = Neighbours({word: [other for other in words[i % 2 :: 2] if other != word] for i, word in enumerate(words)})
    augmenter = Augmenter([Eda(edits=("replace",), copies=5)], words=alike)
    found = augmentation_ablation(texts, labels, names=NAMES, fit=Counting(), augmenter=augmenter, repeats=2)
    assert found.conclusion() == "it helps"
    assert found.accuracy.difference.low > 0.2
    assert found.log_loss.difference.high < 0


def test_with_the_label_check_both_arms_still_have_as_many_texts() -> None:
    fit = Counting()
    ablation(fit, Augmenter([WordDropout(share=0.4, copies=3)]), repeats=1, least=0.7)
    assert len(fit.trained) == 15
    assert all(len(fit.trained[i]) == len(fit.trained[i + 1]) < 32 * 4 for i in range(1, 15, 3))


@pytest.mark.parametrize(
    ("accuracy", "log_loss", "told"),
    [
        (0.1, -0.1, "it helps"),
        (-0.1, 0.1, "it harms"),
        (0.0, 0.0, "no difference is shown"),
        (0.1, 0.1, "it helps the accuracy; it harms the log-loss"),
        (0.0, -0.1, "it helps the log-loss; for the accuracy no difference is shown"),
        (-0.1, 0.0, "it harms the accuracy; for the log-loss no difference is shown"),
    ],
)
def test_conclusions(accuracy: float, log_loss: float, told: str) -> None:
    def paired(value: float) -> PairedDifference:
        width = 0.05
        return PairedDifference(Interval(value, value - width, value + width), 0, 0, 0, 1.0)

    found = Ablation(paired(accuracy), paired(log_loss), (0.5, 0.7), 10, 2, 1, 1.0, 0.0)
    assert found.conclusion() == told


def test_the_label_check_uses_the_fold_s_own_classifier() -> None:
    found = ablation(Counting(), Augmenter([WordDropout(share=0.4, copies=3)]), least=0.7, repeats=1)
    assert 0 < found.dropped < 1
    assert abs(found.added - 3 * (1 - found.dropped)) < 0.05
    assert f", {found.dropped:.0%} of those made dropped by the label check) changed" in found.sentence()


def test_the_label_check_holds_new_texts_against_the_examples_labels() -> None:
    """A classifier that takes each label for the other keeps no new text, whatever it gave the examples before."""

    def fit(texts: list[str], labels: list[str]) -> Predict:
        predict = Counting()(texts, labels)
        return lambda asked: predict(asked)[:, ::-1]

    augmenter = Augmenter([Typos()])
    found = augmentation_ablation(TEXTS, LABELS, names=NAMES, fit=fit, augmenter=augmenter, least=0.5, repeats=1)
    assert found.dropped > 0.8


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["negative", "positive", "negative", "negative"], "3 of 'negative', 1 of 'positive'"),
        (["negative"] * 4, "4 of 'negative'"),
        ([], "no examples"),
    ],
)
def test_examples_that_cannot_be_folded_are_refused(labels: list[str], found: str) -> None:
    with pytest.raises(DataError) as caught:
        augmentation_ablation(TEXTS[: len(labels)], labels, names=NAMES, fit=Counting(), augmenter=Augmenter([Typos()]))
    assert str(caught.value) == (
        f"ablation: found {found}; expected at least two labels with two different examples each, one to train on and one "
        "to hold out. Add examples."
    )
