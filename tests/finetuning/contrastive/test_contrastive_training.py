"""Supervised contrastive training: the loss against its formula, the batches, the plan, what moves."""

from __future__ import annotations

import math

import pytest
import torch

from nlptl.finetuning.contrastive.contrastive_training import (
    PASSES,
    STEPS,
    ContrastiveSettings,
    ContrastiveTraining,
    Pool,
    passes_for,
    steps_for,
    supervised_contrastive_loss,
)
from nlptl.finetuning.gradient.layer_tuner import LayerTuner, Rates
from nlptl.models.classifier import TextClassifier
from nlptl.models.heads import Head
from nlptl.progress import byte_size
from nlptl.training.batches import label_batches
from tests.conftest import small_reviews
from tests.models.tiny import LAYERS, tiny_encoder


def by_the_formula(vectors: torch.Tensor, labels: torch.Tensor, temperature: float) -> float:
    """Khosla et al. 2020, eq. 2, written out sum by sum."""
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    terms = []
    for i in range(len(unit)):
        others = [a for a in range(len(unit)) if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            whole = sum(math.exp(float(unit[i] @ unit[a]) / temperature) for a in others)
            pulls = [math.log(math.exp(float(unit[i] @ unit[p]) / temperature) / whole) for p in positives]
            terms.append(-sum(pulls) / len(positives))
    return sum(terms) / len(terms)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_the_loss_is_that_of_its_paper(temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(9, 5, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])  # label 3 has no partner
    found = supervised_contrastive_loss(vectors, labels, temperature=temperature)
    assert float(found) == pytest.approx(by_the_formula(vectors, labels, temperature), rel=1e-9)


def test_a_batch_without_partners_has_a_loss_of_nothing_and_no_broken_gradient() -> None:
    vectors = torch.eye(3, requires_grad=True)
    loss = supervised_contrastive_loss(vectors, torch.arange(3), temperature=0.1)
    loss.backward()
    assert float(loss.detach()) == 0
    assert vectors.grad is not None
    assert bool(vectors.grad.isfinite().all())


@pytest.mark.parametrize(("labels", "each"), [(2, 24), (5, 12), (40, 6)])
def test_batches_hold_partners_and_cost_the_same_for_any_number_of_labels(labels: int, each: int) -> None:
    """A label's texts fill whole steps here, so that no text is seen twice more often than another."""
    ids = torch.arange(labels).repeat_interleave(each)
    batches = label_batches(ids, batch_size=16, steps=50, generator=torch.Generator().manual_seed(0))
    assert len(batches) == 50
    for rows in batches:
        assert len(rows) <= 16
        assert len(set(rows.tolist())) == len(rows)
        assert int(torch.bincount(ids[rows]).max()) >= 2
        assert all(count in (0, *range(2, 17)) for count in torch.bincount(ids[rows]).tolist())
    seen = torch.bincount(torch.cat(batches), minlength=len(ids))
    assert int(seen.max()) - int(seen.min()) <= 1  # everything comes in its turn; rows drawn at random are 8 apart


@pytest.mark.parametrize(("labels", "each", "size"), [(3, 8, 16), (2, 7, 6), (2, 13, 16), (4, 5, 12), (2, 23, 16)])
def test_texts_come_equally_often_where_steps_do_not_divide_them(labels: int, each: int, size: int) -> None:
    ids = torch.arange(labels).repeat_interleave(each)
    batches = label_batches(ids, batch_size=size, steps=200, generator=torch.Generator().manual_seed(0))
    assert all(len(rows) == len(torch.unique(rows)) for rows in batches)
    seen = torch.bincount(torch.cat(batches), minlength=len(ids)).reshape(labels, each)
    assert int((seen.max(dim=1).values - seen.min(dim=1).values).max()) <= 1


def test_a_label_with_one_text_joins_with_it_alone() -> None:
    rows = torch.cat(label_batches(torch.tensor([0, 1, 1]), batch_size=8, steps=3, generator=torch.Generator()))
    assert set(rows.tolist()) == {0, 1, 2}


def training(steps: int | None = 5, top_layers: int | None = 1) -> tuple[ContrastiveTraining, LayerTuner]:
    texts, names = small_reviews(12)
    encoder = tiny_encoder("bert")
    given = TextClassifier(encoder, Head(encoder.dim, 2), ["negative", "positive"])
    update = LayerTuner(given, [*texts, "This is bad.", "This is good."], rates=Rates(0, 1e-2), top_layers=top_layers)
    labels = torch.tensor([int(name == "positive") for name in names] + [0, 1])
    settings = ContrastiveSettings(steps=steps, batch_size=6, temperature=0.1, seed=1)
    pools = [Pool(torch.arange(12), 6)]
    return ContrastiveTraining(update, labels, pools, named=torch.arange(12, 14), settings=settings), update


def test_the_loss_keeps_all_bits_where_layers_compute_in_half_of_them() -> None:
    vectors = torch.randn(16, 32, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 4
    exact = supervised_contrastive_loss(vectors, labels, temperature=0.01)
    with torch.autocast("cpu", torch.bfloat16):
        found = supervised_contrastive_loss(vectors, labels, temperature=0.01)
    assert torch.equal(exact, found)


def test_training_brings_texts_of_a_label_together_and_leaves_the_start_alone() -> None:
    run, update = training(steps=30)
    before = update.sentence_vectors()
    assert before is not None
    fit = run.run()
    labels = run._labels
    after = fit.all_vectors(torch.arange(14))
    losses = [float(supervised_contrastive_loss(v, labels, temperature=0.1)) for v in (before, after)]
    assert losses[1] < losses[0] - 0.1
    again = update.sentence_vectors()
    assert again is not None
    assert torch.equal(before, again)


def test_the_plan_counts_what_the_training_then_does() -> None:
    run, update = training(steps=7)
    counted = update.work.tokens, update.work.flops
    run.run()
    assert update.work.tokens - counted[0] == run.plan.tokens
    assert update.work.flops - counted[1] == pytest.approx(run.plan.flops)
    assert run.plan.steps == 7
    assert "7 steps of 8 texts" in run.plan.sentence(2.0)
    assert f" TFLOP and {byte_size(run.plan.bytes)}, about 2 s here." in run.plan.sentence(2.0)


def test_steps_follow_the_texts_within_bounds() -> None:
    assert training(steps=None)[0].plan.steps == STEPS[0]
    assert steps_for(160, 16, passes=4) == 40
    assert steps_for(10**6, 16, passes=4) == STEPS[1]


def test_texts_are_seen_more_often_where_a_label_has_many() -> None:
    assert passes_for(8 * 6, 6) == passes_for(16 * 2, 2) == PASSES[0]
    assert passes_for(32 * 3, 3) == 8
    assert passes_for(64 * 2, 2) == passes_for(10**6, 2) == PASSES[1]


def test_all_layers_and_the_same_seed_give_the_same_weights() -> None:
    first, second = (training(top_layers=LAYERS)[0].run().all_vectors(torch.arange(14)) for _ in range(2))
    assert torch.equal(first, second)
