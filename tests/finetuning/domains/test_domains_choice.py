"""The choice without target labels: what it tells, and that it falls back."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.evaluation.intervals import Interval
from nlptl.finetuning.domains.accuracy import Hits, both_domains, held_out_hits
from nlptl.finetuning.domains.coral import aligned
from nlptl.finetuning.domains.domain_heads import FrozenVectors, HeadTraining
from nlptl.finetuning.domains.method_trials import (
    AdaptationChoice,
    CandidateResult,
    brier,
    choose_method,
    reverse_validation,
    scores_of_shares,
)
from nlptl.finetuning.domains.task import AdaptedClassifier, Domains, DomainTask
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from tests.finetuning.domains.tasks import TRAINING, given, made_up


@dataclasses.dataclass
class Told:
    """A method that gives label 1 a fixed probability, or the right label one, and notes its tasks."""

    name: str
    probability: float
    knows: torch.Tensor | None = None
    """(t,) the labels that it holds for right."""
    costly: bool = False
    tasks: list[DomainTask] = dataclasses.field(default_factory=list)

    def fit(self, task: DomainTask, *, seed: int) -> AdaptedClassifier:
        del seed
        self.tasks.append(task)

        def probabilities(rows: torch.Tensor) -> torch.Tensor:
            ones = torch.ones(len(rows), dtype=torch.int64) if self.knows is None else self.knows[rows]
            of_one = torch.where(ones == 1, self.probability, 1 - self.probability).double()
            return torch.stack([1 - of_one, of_one], dim=1)

        return AdaptedClassifier(given(), probabilities, 0)


def test_brier_is_its_formula() -> None:
    probabilities = torch.tensor([[0.7, 0.3], [0.0, 1.0]], dtype=torch.float64)
    assert brier(probabilities, torch.tensor([0, 0])).tolist() == pytest.approx([0.18, 2.0])


def test_reverse_validation_never_learns_from_what_it_tests() -> None:
    domains, _ = made_up(shift=0.0, source=10, target=6, known=2)
    method = Told("told", 0.9)
    folds = domains.folds(2, seed=0)
    found = reverse_validation(method, domains, folds, seed=0)
    assert len(found.scores) == 10
    assert set(np.round(found.scores, 2)) == {0.02, 1.62}  # half of the source bears either label
    assert found.right.tolist() == (found.scores < 1).astype(float).tolist()
    for (training, held_out), there, back in zip(folds, method.tasks[::2], method.tasks[1::2], strict=True):
        assert there.rows.tolist() == training.tolist()
        assert there.there.tolist() == back.rows.tolist() == back.here.tolist() == list(range(12, 16))
        assert back.labels.tolist() == [1] * 4, "the way back learns from guesses"
        assert not set(back.there.tolist()) & set(held_out.tolist())
        assert (back.there < 10).all()


def test_folds_deal_out_labels_of_both_domains() -> None:
    domains = Domains([f"t{i}" for i in range(20)], torch.tensor([0] * 6 + [1] * 6 + [0] * 2 + [1] * 2), 12)
    folds = domains.folds(3, seed=1)
    assert sorted(row for _, held_out in folds for row in held_out.tolist()) == list(range(16))
    for training, held_out in folds:
        assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(16))
        source = held_out[held_out < 12]
        assert domains.labels[source].bincount().tolist() == [2, 2]
    assert len(domains.folds(3, seed=1, once=True)) == 1
    assert len(dataclasses.replace(domains, labels=domains.labels[:12]).folds(20, seed=1)) == 6


def test_copies_of_an_example_are_held_out_together() -> None:
    texts = [f"t{i % 8}" for i in range(24)]  # each twice in the source, and once in the target
    domains = Domains([*texts, "t0"], torch.tensor([i % 2 for i in range(24)]), 16)
    folds = domains.folds(5, seed=1)
    assert len(folds) == 4
    for training, held_out in folds:
        assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(24))
        assert not {texts[row] for row in training} & {texts[row] for row in held_out}


def test_a_sure_gain_is_taken_and_anything_less_is_not() -> None:
    domains, _ = made_up(shift=0.0, source=40)
    truth = torch.arange(len(domains.texts)) % 2
    none, better, equal = Told("none", 0.6, truth), Told("better", 0.9, truth), Told("equal", 0.6, truth)
    choice = choose_method(none, [equal, better], domains, folds=4, seed=0)
    assert choice.method is better
    assert [tried.gain.level for tried in choice.tried] == [0.975, 0.975]
    assert choice.tried[0].gain.value == 0
    assert choose_method(none, [equal], domains, folds=4, seed=0).method is none
    assert choose_method(better, [equal], domains, folds=4, seed=0).method is better, "which stands for none"


def test_what_knows_nothing_is_no_gain_over_a_none_that_is_confident_and_wrong() -> None:
    domains, _ = made_up(shift=0.0, source=40)
    none, constant, unsure = Told("none", 0.9), Told("constant", 0.5), Told("unsure", 0.6)
    choice = choose_method(none, [constant, unsure], domains, folds=4, seed=0)
    assert all(tried.gain.low > 0 for tried in choice.tried)
    assert [round(tried.constant, 3) for tried in choice.tried] == [0.5, 0.5]
    assert choice.method is none
    assert choice.sentence() == (
        "Reverse validation without target labels, Brier score: constant 0.500 against 0.820 (gain 0.320 [0.080, 0.600]), "
        "the labels' shares alone 0.500, which it does not beat; unsure 0.520 against 0.820 (gain 0.300 [0.120, 0.510]), the "
        "labels' shares alone 0.500, which it does not beat: no gain beyond the noise, so nothing is adapted (none)."
    )


def test_a_better_score_with_fewer_labels_right_is_no_gain() -> None:
    domains, _ = made_up(shift=0.0, source=40)
    truth = torch.arange(len(domains.texts)) % 2
    rows = torch.arange(len(truth))
    none = Told("none", 0.51, truth)  # every label right, and hardly sure of one
    bold = Told("bold", 0.99, torch.where(rows % 8 < 1, 1 - truth, truth))
    choice = choose_method(none, [bold], domains, folds=4, seed=0)
    assert choice.tried[0].gain.low > 0
    assert choice.tried[0].above_constant.low > 0
    assert choice.tried[0].accuracy.high < 0
    assert choice.method is none
    assert ", but fewer labels right (by -0.125 [" in choice.sentence()


def test_candidates_of_one_method_are_told_apart() -> None:
    domains, _ = made_up(shift=0.0, source=40)
    truth = torch.arange(len(domains.texts)) % 2
    none, weak, strong = (
        Told(name, probability, truth) for name, probability in (("none", 0.6), ("coral", 0.7), ("coral", 0.9))
    )
    choice = choose_method(none, [weak, strong, Told("other", 0.6, truth)], domains, folds=4, seed=0)
    assert (choice.method, choice.number) == (strong, 1)
    assert [one.name for one in choice.tried] == ["coral (candidates.0)", "coral (candidates.1)", "other"]
    assert ": coral (candidates.1) is taken, since" in choice.sentence()
    assert choose_method(strong, [weak], domains, folds=4, seed=0).number is None


def test_the_labels_shares_are_those_of_the_source_texts_learnt_from() -> None:
    domains = Domains(["t"] * 8, torch.tensor([0, 0, 0, 1, 0, 1, 1, 1]), 6)
    training, held_out = torch.tensor([0, 1, 2, 3, 6, 7]), torch.tensor([4, 5])
    scores = scores_of_shares(domains, [(training, held_out)])
    assert scores.tolist() == pytest.approx([2 * 0.25**2, 2 * 0.75**2])


def test_coral_brings_back_what_a_shift_took() -> None:
    domains, vectors = made_up(shift=3.0)
    truth = torch.arange(len(domains.texts)) % 2
    none = FrozenVectors("none", given(), vectors, TRAINING)
    moved = FrozenVectors("coral", given(), vectors, TRAINING, align=partial(aligned, shrinkage=0.9))
    hits = [
        float((method.fit(domains.task(domains.examples), seed=0).predict(domains.unlabelled) == truth[60:]).double().mean())
        for method in (none, moved)
    ]  # fmt: skip
    assert hits[0] < 0.6
    assert hits[1] > 0.85
    assert choose_method(none, [moved], domains, folds=3, seed=0).method is moved


def test_labelled_target_texts_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    domains, vectors = made_up(shift=3.0, known=10)
    given_vectors = vectors.clone()
    learnt_from: list[torch.Tensor] = []
    plain = HeadTraining.fitted

    def watched(self: HeadTraining, given: TextClassifier, own: torch.Tensor, *rest: Any, **more: Any) -> Head:
        learnt_from.append(own)
        return plain(self, given, own, *rest, **more)

    monkeypatch.setattr(HeadTraining, "fitted", watched)
    FrozenVectors("coral", given(), vectors, TRAINING, align=partial(aligned, shrinkage=0.9)).fit(
        domains.task(domains.examples), seed=0
    )
    (found,) = learnt_from
    assert torch.equal(found[60:], given_vectors[60:70]), "labelled target texts"
    aligned_mean, unlabelled_mean = found[:60].mean(dim=0), given_vectors[70:].mean(dim=0)
    torch.testing.assert_close(aligned_mean, unlabelled_mean, atol=1e-5, rtol=0)
    assert torch.equal(vectors, given_vectors), "which all methods share"


def test_the_sentences_of_the_choice() -> None:
    tried = (
        CandidateResult(
            "coral",
            0.311,
            0.333,
            Interval(0.022, 0.01, 0.034),
            0.5,
            Interval(0.189, 0.15, 0.22),
            Interval(0.01, -0.01, 0.02),
        ),
    )
    assert AdaptationChoice(Told("coral", 0.5), 0, tried).sentence() == (
        "Reverse validation without target labels, Brier score: coral 0.311 against 0.333 (gain 0.022 [0.010, 0.034]), the "
        "labels' shares alone 0.500: coral is taken, since its gain is beyond the noise; the gain on the target is unknown."
    )
    assert (
        AdaptationChoice(Told("none", 0.5), None, tried)
        .sentence()
        .endswith("no gain beyond the noise, so nothing is adapted (none).")
    )


def test_both_domains_are_told_and_no_gain_within_the_noise_is_claimed() -> None:
    domains, vectors = made_up(shift=3.0, known=20)
    none = FrozenVectors("none", given(), vectors, TRAINING)
    folds = domains.folds(4, seed=0)
    hits = held_out_hits(none, domains, folds, seed=0)
    assert len(hits.rows) == 80
    same = both_domains(hits, hits, domains)
    assert same.counts == (60, 20)
    assert same.target_gain is not None
    assert same.target_gain.difference.value == 0
    assert same.sentence("coral").endswith(
        f"(none {hits.of(domains.examples >= 60).mean():.3f}): gain in points +0.0 (too few texts for an interval), sign test "
        "p = 1.000, within the noise, no gain is shown."
    )
    assert "within" not in same.sentence("none")


@pytest.mark.parametrize(
    ("known", "differing", "told"),
    [
        (2, 2, "sign test p = 0.500, within the noise, no gain is shown."),
        (60, 5, "sign test p = 0.062, within the noise, no gain is shown."),
        (60, 6, "sign test p = 0.031, a {}."),
        (40, 20, "sign test p < 0.001, a {}."),
    ],
)
def test_a_gain_or_loss_from_few_examples_is_not_claimed(known: int, differing: int, told: str) -> None:
    domains = Domains(["t"] * (40 + known), torch.arange(40 + known) % 2, 40)
    rows = torch.arange(40 + known)
    better = Hits(rows, torch.ones(len(rows), dtype=torch.bool))
    worse = Hits(rows, rows < len(rows) - differing)
    assert both_domains(worse, better, domains).sentence("coral").endswith(told.format("gain"))
    assert both_domains(better, worse, domains).sentence("coral").endswith(told.format("loss"))


def test_a_target_without_labels_is_unknown() -> None:
    domains, vectors = made_up(shift=0.0)
    none = FrozenVectors("none", given(), vectors, TRAINING)
    hits = held_out_hits(none, domains, domains.folds(4, seed=0), seed=0)
    found = both_domains(hits, hits, domains)
    assert found.target is None
    assert found.sentence("none") == (
        f"Held-out accuracy: source {found.source} on 60 examples; target unknown, since it has no labelled examples to "
        "hold out: test it before trusting a gain."
    )
