"""Training and its choices: the head equals scikit-learn's logistic regression, gradients equal finite differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.gradient import cross_validation as selection
from nlptl.finetuning.gradient.cross_validation import Choice, choose, fit_rows, fit_until, fits_of
from nlptl.finetuning.gradient.fitting import Settings, Targets, has_learnt, train_fit
from nlptl.finetuning.gradient.head_tuner import HeadFit, HeadTuner
from nlptl.finetuning.gradient.word_vector_tuner import WordVectorTuner
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.training.batches import batch_size_for, most_epochs_for, shuffled_batches
from nlptl.training.compute import matrix_products, one_thread_if
from nlptl.training.loop import ParameterGroup

SETTINGS = Settings(l2=None, epochs=None, batch_size=None, folds=5, patience=5, seed=0)


@pytest.fixture(scope="module")
def given(reviews: TextData) -> TextClassifier:
    context = RunContext(seed=7, device="cpu")
    encoder = SkipGram(dim=8, epochs=5, min_count=1).run(data=reviews, context=context)
    encoder = SentenceVectors(pooling="tfidf").run(encoder, data=reviews, context=context)
    return ClassificationHead().run(encoder, data=reviews, context=context)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread_if(True):
        yield


def examples(data: TextData) -> Targets:
    assert data.labelled is not None
    labels = torch.tensor(data.label_set.ids(data.labelled.labels()))
    return Targets(labels, len(labels), torch.ones(2))


def vectors(given: TextClassifier, texts: list[str]) -> torch.Tensor:
    return torch.from_numpy(given.encoder.encode(texts))


def update(given: TextClassifier, data: TextData) -> HeadTuner:
    assert data.labelled is not None
    return HeadTuner(given, vectors(given, data.labelled.texts()), learning_rate=0.01)


def test_a_linear_head_is_logistic_regression(given: TextClassifier, reviews: TextData) -> None:
    """mean(loss) + l2/2 |W|^2 with two weight rows has the optimum of scikit-learn's C = 2 / (l2 n)."""
    found = examples(reviews)
    rows = torch.arange(found.training)
    fit = fit_rows(update(given, reviews), found, Choice(0.05, 200, None, ""), SETTINGS, rows)
    assert isinstance(fit, HeadFit)
    head = fit.head
    vectors = torch.from_numpy(given.encoder.encode(reviews.labelled.texts()))
    scaled = ((vectors - head.centre) / head.scale).numpy()
    peer = LogisticRegression(C=2 / (0.05 * len(scaled)), tol=1e-8, max_iter=1000).fit(scaled, found.labels.numpy())
    with torch.inference_mode():
        ours = torch.softmax(head(vectors).double(), dim=1).numpy()
    np.testing.assert_allclose(ours, peer.predict_proba(scaled), atol=2e-3)


def test_the_loss_has_the_gradient_of_finite_differences(given: TextClassifier, reviews: TextData) -> None:
    found = examples(reviews)
    head = Head(8, 2, hidden=3, activation="sigmoid").double()
    head.initialise(torch.Generator().manual_seed(0))
    vectors = torch.from_numpy(given.encoder.encode(reviews.labelled.texts())).double()
    fit = HeadFit(head, vectors, 0.01)
    rows = torch.arange(found.training)
    found = Targets(found.labels, found.training, torch.tensor([1.0, 2.0], dtype=torch.float64))

    def loss(flat: torch.Tensor) -> torch.Tensor:
        torch.nn.utils.vector_to_parameters(flat, head.parameters())
        return found.loss(fit, rows, 0.1)

    start = torch.nn.utils.parameters_to_vector(head.parameters()).detach()
    loss(start).backward()
    gradient = torch.cat([parameter.grad.flatten() for parameter in head.parameters() if parameter.grad is not None])
    for index in range(0, len(start), 5):
        step = torch.zeros_like(start)
        step[index] = 1e-5
        with torch.no_grad():
            numeric = (loss(start + step) - loss(start - step)) / 2e-5
        assert float(gradient[index]) == pytest.approx(float(numeric), abs=1e-6)


def test_choices_are_made_on_the_labelled_examples_alone(given: TextClassifier, reviews: TextData) -> None:
    found, ticks = examples(reviews), []
    choice = choose(update(given, reviews), found, SETTINGS, tick=lambda: ticks.append(1))
    assert len(ticks) == fits_of(update(given, reviews), SETTINGS, found) == 35
    assert choice.epochs >= 1
    assert choice.loss is not None
    assert choice.loss < np.log(2)
    assert choice.how == (
        f"Stratified 5-fold cross-validation on the 24 labelled examples chose {choice.epochs} epochs and l2 "
        f"{choice.l2:g} (held-out log-loss {choice.loss:.3f}); refitted on all of them."
    )
    again = choose(update(given, reviews), found, SETTINGS, tick=lambda: None)
    assert again == choice


@pytest.mark.parametrize("count", [11, 16, 41, 81])
def test_every_look_sums_over_all_folds(given: TextClassifier, count: int) -> None:
    """Folds of unequal size once ended at unequal epochs, and a sum over one fold always won."""
    texts = [f"good film {i}" for i in range(count)]
    data = TextData(labelled=(texts, (["positive", "negative"] * count)[:count]))
    head = ClassificationHead(dropout=0.1).run(given.encoder, data=data, context=RunContext(seed=1))
    found = examples(data)
    made = HeadTuner(head, vectors(head, texts), learning_rate=0.01)
    splits = selection._splits(made, found, SETTINGS)
    losses = selection._held_out_losses(made, found, SETTINGS, splits, 1.0, lambda: None)
    assert min(losses.values()) > 0.6


def test_copies_of_an_example_are_in_the_same_fold(given: TextClassifier) -> None:
    texts = [f"good film {i % 15}" for i in range(40)]
    names = ["positive" if i % 15 < 8 else "negative" for i in range(40)]
    data = TextData(labelled=(texts, names))
    found = dataclasses.replace(examples(data), groups=duplicate_groups(texts, names))
    made = HeadTuner(given, vectors(given, texts), learning_rate=0.01)
    splits = selection._splits(made, found, SETTINGS)
    assert len(splits) == 5
    for split in splits:
        assert sorted([*split.training, *split.held_out]) == list(range(40))
        assert not {texts[row] for row in split.training} & {texts[row] for row in split.held_out}


def test_a_penalty_of_zero_is_a_penalty(given: TextClassifier) -> None:
    data = TextData(labelled=(["good film", "bad film", "awful plot"], ["positive", "negative", "negative"]))
    none = Settings(l2=0.0, epochs=None, batch_size=None, folds=5, patience=5, seed=0)
    assert choose(update(given, data), examples(data), none, tick=lambda: None).l2 == 0.0


def test_fixed_settings_leave_nothing_to_choose(given: TextClassifier, reviews: TextData) -> None:
    fixed = Settings(l2=0.0, epochs=3, batch_size=None, folds=5, patience=5, seed=0)
    assert fits_of(update(given, reviews), fixed, examples(reviews)) == 0
    choice = choose(update(given, reviews), examples(reviews), fixed, tick=lambda: None)
    assert (choice.l2, choice.epochs, choice.how) == (0.0, 3, "Epochs and l2 are as the settings say.")


def test_a_label_with_one_example_cannot_be_held_out(given: TextClassifier, reviews: TextData) -> None:
    data = TextData(labelled=(["good film", "bad film", "awful plot"], ["positive", "negative", "negative"]))
    choice = choose(update(given, data), examples(data), SETTINGS, tick=lambda: None)
    assert (choice.l2, choice.epochs) == (0.1, 100)
    assert choice.how == "A label has only one example, so nothing could be held out: cautious fixed values were taken."
    assert reviews.labelled is not None


def test_noise_is_fitted_with_a_strong_penalty(given: TextClassifier) -> None:
    texts = [f"good film {i}" for i in range(40)]
    labels = np.random.default_rng(0).permutation(["positive", "negative"] * 20).tolist()
    data = TextData(labelled=(texts, labels))
    choice = choose(update(given, data), examples(data), SETTINGS, tick=lambda: None)
    assert choice.l2 >= 1


def test_early_stopping_takes_the_best_epoch(given: TextClassifier, reviews: TextData) -> None:
    assert reviews.labelled is not None
    texts = reviews.labelled.texts()
    both = HeadTuner(given, vectors(given, [*texts, *texts[:6]]), learning_rate=0.01)
    labels = examples(reviews).labels
    found = Targets(torch.cat([labels, labels[:6]]), len(labels), torch.ones(2))
    fit, choice = fit_until(both, found, SETTINGS, after_epoch=lambda *_: None)
    loss = found.held_out_loss(fit, torch.arange(24, 30)) / 6
    assert loss == pytest.approx(choice.loss)
    assert choice.how.startswith(f"6 validation texts chose {choice.epochs} epochs and l2 {choice.l2:g}")


def test_full_starts_from_the_fitted_head(given: TextClassifier, reviews: TextData) -> None:
    found = examples(reviews)
    head_update, rows = update(given, reviews), torch.arange(24)
    choice = Choice(0.1, 20, None, "")

    def fitted(chosen: torch.Tensor) -> Head:
        fit = fit_rows(head_update, found, choice, SETTINGS, chosen)
        assert isinstance(fit, HeadFit)
        return fit.head

    full = WordVectorTuner(given, reviews.labelled.texts(), fitted_head=fitted, rates=(0.01, 0.001), l2_to_start=0.0)
    untrained = full.finish(full.start(rows))
    trained_head = head_update.finish(fit_rows(head_update, found, choice, SETTINGS, rows))
    texts = reviews.test.texts()
    np.testing.assert_allclose(untrained.predict_proba(texts), trained_head.predict_proba(texts), atol=1e-6)
    fit = full.start(rows)
    np.testing.assert_allclose(
        fit.logits(rows).detach().numpy(), _logits(untrained, reviews.labelled.texts()), atol=1e-5
    )


def _logits(classifier: TextClassifier, texts: list[str]) -> np.ndarray:
    with torch.inference_mode():
        result: np.ndarray = classifier.head(torch.from_numpy(classifier.encoder.encode(texts))).numpy()
    return result


def test_sizes_suit_the_data() -> None:
    assert [batch_size_for(n) for n in (1, 8, 600, 3000, 25_000)] == [8, 8, 16, 64, 256]
    assert [most_epochs_for(n, batch_size_for(n)) for n in (8, 600, 25_000)] == [400, 20, 20]
    rows = torch.cat([*shuffled_batches(10, batch_size=4, generator=torch.Generator().manual_seed(0))])
    assert sorted(rows.tolist()) == list(range(10))


def test_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    with one_thread_if(True):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_more_epochs_than_it_takes_are_no_fault(given: TextClassifier, reviews: TextData) -> None:
    """L-BFGS converges before the fiftieth pass, and there once was no loss to look at."""
    fixed = Settings(l2=None, epochs=50, batch_size=None, folds=2, patience=5, seed=0)
    choice = choose(update(given, reviews), examples(reviews), fixed, tick=lambda: None)
    assert choice.epochs == 50
    assert choice.loss is not None
    assert choice.loss < np.log(2)


def test_learning_is_seen_by_a_loss_that_no_constant_answer_reaches() -> None:
    rows, even = torch.arange(4), Targets(torch.tensor([0, 0, 1, 1]), 4, torch.ones(2))
    alone = float(np.log(2))
    assert has_learnt(even, rows, [2.0, 0.89 * alone])
    assert not has_learnt(even, rows, [0.1, 0.91 * alone])
    assert not has_learnt(even, rows, [float("nan")])
    assert not has_learnt(even, rows, [])
    uneven = Targets(torch.tensor([0, 0, 0, 1]), 4, torch.ones(2))  # a constant answer reaches 0.562 here
    assert not has_learnt(uneven, rows, [0.53])
    assert has_learnt(uneven, rows, [0.50])
    balanced = Targets(torch.tensor([0, 0, 0, 1]), 4, torch.tensor([1.0, 3.0]))  # and log 2 again with equal weights
    assert has_learnt(balanced, rows, [0.6])


@pytest.mark.parametrize(
    ("precision", "device", "inside"),
    [("tf32", "cuda", "high"), ("tf32", "cpu", "highest"), ("float32", "cuda", "highest")],
)
def test_tf32_lasts_as_long_as_the_training(precision: Any, device: str, inside: str) -> None:
    with matrix_products(precision, torch.device(device)):
        assert torch.get_float32_matmul_precision() == inside
    assert torch.get_float32_matmul_precision() == "highest"


class Constant:
    """A fit that gives one answer to everything."""

    optimiser, least_epochs = "adamw", 0

    def __init__(self, lengths: torch.Tensor, bias: list[float]) -> None:
        self.module = torch.nn.ModuleList([torch.nn.Linear(1, 2)])
        self.bias, self.lengths = torch.tensor(bias), lengths

    def groups(self) -> list[ParameterGroup]:
        return [ParameterGroup(list(self.module.parameters()), 1e-12)]

    def schedule(self, steps: int, steps_an_epoch: int, *, final: bool) -> None:
        return None

    def logits(self, rows: torch.Tensor) -> torch.Tensor:
        return (self.bias + 0 * self.module[0].bias).expand(len(rows), 2)

    def penalty(self, l2: float) -> torch.Tensor:
        return torch.zeros(())


@pytest.mark.parametrize("batch_size", [8, 64])
def test_a_constant_answer_has_learnt_nothing(batch_size: int) -> None:
    """The mean loss of an epoch once was too small by the ratio of texts to planned batches."""
    lengths = torch.randint(5, 40, (48,), generator=torch.Generator().manual_seed(0))
    fit, rows = Constant(lengths, [0.0, 0.0]), torch.arange(48)
    found = Targets(torch.tensor([0, 1] * 24), 48, torch.ones(2))
    settings = dataclasses.replace(SETTINGS, batch_size=batch_size)
    history = train_fit(fit, found, rows, settings, 0.0, 2, lambda *_: False)
    assert np.mean(history) == pytest.approx(np.log(2), rel=0.1)
    assert not has_learnt(found, rows, history)


class ConstantUpdate:
    """Gives fits that answer with the first label, and starts that are undecided; a costly update."""

    rate_factors, costly = (1.0,), True

    def __init__(self, rows: int) -> None:
        self.lengths, self.made = torch.full((rows,), 9), 0

    def start(self, rows: torch.Tensor, rate: float = 1.0) -> Constant:
        self.made += 1
        return Constant(self.lengths, [5.0, -5.0] if self.made % 2 else [0.1, 0.0])


def test_a_collapse_is_seen_in_files_that_are_sorted_by_label() -> None:
    rows, told = torch.arange(600), []
    found = Targets(torch.tensor([0] * 300 + [1] * 300), 600, torch.ones(2))
    fit_rows(ConstantUpdate(600), found, Choice(0.0, 1, None, ""), SETTINGS, rows, tell=told.append)
    again = "The training collapsed (one label for every example, or a loss that is no number): {}."
    assert told == [
        *[again.format("it starts again with another seed")] * 3, again.format("the fitted head is kept as it was"),
    ]  # fmt: skip
