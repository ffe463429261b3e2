"""Thresholds: the best F1 on held-out examples, drawn towards a shared one where a label has few."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from nlptl.finetuning.thresholds import PRIOR_EXAMPLES, thresholds_of


def drawn(rows: int, shares: list[float], *, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    targets = rng.random((rows, len(shares))) < shares
    return torch.from_numpy(rng.normal(size=targets.shape) + 1.5 * targets - 2), torch.from_numpy(targets).float()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(3, 40), ties=st.booleans())
def test_shared_threshold_has_the_best_micro_f1(seed: int, rows: int, ties: bool) -> None:
    logits, targets = drawn(rows, [0.4, 0.2], seed=seed)
    logits = logits.round() if ties else logits
    found = thresholds_of(logits, targets, shared=True)
    if not targets.any():
        assert found.values == (0.5, 0.5)
        assert found.micro_f1 is None
        return
    truth = targets.numpy() > 0
    guesses = [logits.numpy() >= bar for bar in np.unique(logits)]
    scores = [2 * (truth & guessed).sum() / (truth.sum() + guessed.sum()) for guessed in guesses]
    reached = (logits.sigmoid() >= torch.tensor(found.values, dtype=torch.float64)).numpy()
    assert found.micro_f1 == pytest.approx(max(scores))
    assert f1_score(truth, reached, average="micro") == pytest.approx(max(scores), abs=1e-9)


def test_a_frequent_label_has_its_own_threshold_and_a_rare_one_nearly_the_shared() -> None:
    logits, targets = drawn(4000, [0.5, 0.0005])
    logits[:, 0] += 3  # its probabilities are too high
    shared = thresholds_of(logits, targets, shared=True).values[0]
    own, rare = thresholds_of(logits, targets).values
    alone = thresholds_of(logits[:, :1], targets[:, :1]).values[0]
    assert own == pytest.approx(alone, abs=0.01)
    assert 0 < targets[:, 1].sum() <= 3
    assert abs(math.log(rare / (1 - rare)) - math.log(shared / (1 - shared))) < 3 / PRIOR_EXAMPLES * 10


def test_what_was_not_held_out_does_not_count() -> None:
    logits, targets = drawn(50, [0.5, 0.5])
    hidden = logits.clone()
    hidden[10:, 1] = math.nan
    other = targets.clone()
    other[10:, 1] = 1 - other[10:, 1]
    assert thresholds_of(hidden, targets) == thresholds_of(hidden, other)
    assert thresholds_of(torch.full((5, 2), math.nan), targets[:5]).values == (0.5, 0.5)
    hidden[:, 1] = math.nan
    both = thresholds_of(hidden, targets).values
    assert both[1] == pytest.approx(thresholds_of(hidden, targets, shared=True).values[1])
