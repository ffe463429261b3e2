"""SimCSE against its definition; TSDAE's deletion, its decoder, and that both learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from nlptl.models.encoder import Encoder
from nlptl.models.masked_lm_head import fresh_head
from nlptl.models.packing import pack
from nlptl.pretraining.encoders.pile import NO_WORD, Draw
from nlptl.pretraining.encoders.simcse import SimCSETraining, contrastive_losses, has_dropout
from nlptl.pretraining.encoders.tsdae import Deletion, TSDAETraining
from tests.models.tiny import MODEL_TYPES, tiny_encoder
from tests.pretraining.piles import small_pile


def test_contrastive_loss_is_its_definition() -> None:
    one, other = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    losses = contrastive_losses(one, other, 0.1)
    for i in range(5):
        scores = [math.exp(float(one[i] @ z / one[i].norm() / z.norm()) / 0.1) for z in other]
        assert math.isclose(float(losses[i]), -math.log(scores[i] / sum(scores)), rel_tol=1e-9)
    torch.testing.assert_close(contrastive_losses(3 * one, other, 0.1), losses)


def test_simcse_pairs_a_text_with_itself() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    training = SimCSETraining(encoder, pile, temperature=0.05, batch_size=4, seed=0)
    rows = torch.tensor([3, 8, 1, 40])
    with torch.no_grad():
        vectors = encoder(pile.batch(rows))
        expected = contrastive_losses(vectors, vectors, 0.05).sum() / 4
        torch.testing.assert_close(training.loss(Draw(1, rows)), expected)
        encoder.train()
        torch.manual_seed(0)
        assert float(training.loss(Draw(1, rows))) > float(expected), "dropout sets the two views apart"
    encoder.eval()
    assert training.measure(pile) == training.measure(pile) > 0


def test_simcse_learns() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    training = SimCSETraining(encoder, pile, temperature=0.05, batch_size=16, seed=0)
    before = training.measure(pile)
    assert fall(training, encoder, 20, 1e-3) < 0
    assert training.measure(pile) < before


def test_dropout_is_seen() -> None:
    assert has_dropout(tiny_encoder("bert"))
    assert not has_dropout(tiny_encoder("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    assert not has_dropout(tiny_encoder("modernbert"))


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_dropout_of_attention_alone_counts_where_it_is_applied(model_type: str) -> None:
    plain = {"modernbert": {"attention_dropout": 0.1}, "distilbert": {"dropout": 0.0, "attention_dropout": 0.1}}
    changes = plain.get(model_type, {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.1})
    encoder = tiny_encoder(model_type, **changes)
    assert has_dropout(encoder) == (model_type == "modernbert"), "which drops what comes out of its attention, too"


def test_looking_for_dropout_leaves_no_trace() -> None:
    encoder = tiny_encoder("bert")
    before = torch.get_rng_state()
    assert has_dropout(encoder)
    assert torch.equal(torch.get_rng_state(), before)
    assert not encoder.training
    assert all(parameter.grad is None for parameter in encoder.parameters())


def test_measuring_does_not_count_as_reading() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    rows = torch.arange(5)
    simcse = SimCSETraining(encoder, pile, temperature=0.05, batch_size=4, seed=0)
    simcse.measure(pile)
    simcse.loss(Draw(1, rows))
    assert simcse.tokens == 2 * int(pile.lengths[rows].sum())
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    deletion = Deletion(0.6, 1)
    tsdae = TSDAETraining(encoder, head, pile, deletion, torch.Generator().manual_seed(1), fresh=True)
    tsdae.measure(pile)
    tsdae.loss(Draw(1, rows))
    assert tsdae.tokens == int(pile.lengths[rows].sum() + deletion(pile, Draw(1, rows)).lengths.sum())


def test_deletion_takes_words_and_leaves_one() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    draw = Draw(1, torch.arange(len(pile)))
    ruins = Deletion(0.6, seed=3)(pile, draw)
    kept = int(ruins.lengths.sum()) - 2 * len(pile)
    assert abs(1 - kept / (pile.words != NO_WORD).sum() - 0.6) < 0.05
    for left, row in zip(ruins.input_ids.split(ruins.lengths.tolist()), draw.rows, strict=True):
        text = pile.batch(row[None]).input_ids
        assert (left[0], left[-1]) == (text[0], text[-1])
        assert len(left) >= 3
        places = iter(text.tolist())
        assert all(token in places for token in left.tolist()), "what is left keeps its order"
    bare = Deletion(0.99, seed=3)(pile, draw)
    assert set(bare.lengths.tolist()) >= {3}
    assert min(bare.lengths.tolist()) >= 3
    assert torch.equal(Deletion(0.0, seed=3)(pile, draw).input_ids, pile.batch(draw.rows).input_ids)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_decoder_sees_the_past_and_the_memory_alone(model_type: str) -> None:
    encoder = tiny_encoder(model_type)
    model = encoder.token_model
    ids = small_pile(encoder).batch(torch.tensor([0])).input_ids
    memory = list(torch.randn(model.depth, 2, model.dim, generator=torch.Generator().manual_seed(0)))
    changed = ids.clone()
    changed[10:] = ids[3]
    batch = pack([ids.tolist(), changed.tolist()[:-2]])
    with torch.no_grad():
        out = model.decode(batch, [torch.stack([m[0], m[0]]) for m in memory])
        first, second = out.split(batch.lengths.tolist())
        torch.testing.assert_close(first[:10], second[:10], rtol=1e-4, atol=1e-5)
        assert not torch.allclose(first[10:-2], second[10:])
        other = model.decode(batch, memory).split(batch.lengths.tolist())[1]
        assert not torch.allclose(second, other, atol=1e-3)
        before = model(batch)
        model.decode(batch, memory)
        torch.testing.assert_close(model(batch), before)


@pytest.mark.parametrize("model_type", ["bert", "electra", "modernbert"])
def test_tsdae_learns(model_type: str) -> None:
    encoder = tiny_encoder(model_type)
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    training = TSDAETraining(encoder, head, pile, Deletion(0.6, 1), torch.Generator().manual_seed(1), fresh=True)
    before = training.measure(pile)
    assert fall(training, encoder, 25, 1e-3) < -0.3
    assert training.measure(pile) < before - 0.3


def test_tsdae_measures_the_mean_over_all_predicted_tokens() -> None:
    encoder = tiny_encoder("bert")
    pile = small_pile(encoder)
    head = fresh_head(encoder.token_model, pile.word_tokens(), torch.Generator().manual_seed(0))
    training = TSDAETraining(encoder, head, pile, Deletion(0.6, 1), torch.Generator().manual_seed(1), fresh=True)
    training.module.eval()
    with torch.no_grad():
        draw = Draw(0, torch.arange(9))
        whole = float(training.loss(draw))
        parts = [training.share(draw, process, 2) for process in range(2)]
        assert math.isclose(sum(float(training.loss(p)) * w for p, w in parts) / 2, whole, rel_tol=1e-5)
        everything = float(training.loss(Draw(0, torch.arange(len(pile)))))
    assert math.isclose(training.measure(pile), everything, rel_tol=1e-5)


def fall(training: SimCSETraining | TSDAETraining, encoder: Encoder, steps: int, rate: float) -> float:
    """Train by hand; returns how much the loss changed from the first steps to the last."""
    groups = [{"params": list(group.parameters), "lr": rate} for group in training.groups(rate)]
    optimiser = torch.optim.AdamW(groups)
    torch.manual_seed(0)
    module: nn.Module = training.module
    module.train()
    losses = []
    for step in range(steps):
        optimiser.zero_grad()
        rows = torch.from_numpy(np.random.default_rng(step).permutation(100)[:16])
        loss = training.loss(Draw(step, rows))
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    module.eval()
    return float(np.mean(losses[-5:]) - np.mean(losses[:5]))
