"""The words beside a classifier: they join where held-out texts gain by them beyond the noise, and not else."""

from __future__ import annotations

import torch
from torch import Tensor

from nlptl.finetuning.selection.stacking import stacked


def _logits(labels: Tensor, strength: float, seed: int) -> Tensor:
    noise = torch.randn(len(labels), 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (noise + strength * torch.nn.functional.one_hot(labels, 2)).log_softmax(dim=1)


def test_words_that_know_something_else_join() -> None:
    labels = torch.arange(300) % 2
    own, words = _logits(labels, 1.0, 0), _logits(labels, 1.0, 1)
    found = stacked(own, words, labels)
    assert found.words_weight >= 0.5
    right = (found.logits.argmax(dim=1) == labels).double().mean()
    assert right > (own.argmax(dim=1) == labels).double().mean() + 0.03
    assert " with the words (" in found.told(labels.numpy())


def test_words_without_a_sign_stay_out() -> None:
    labels = torch.arange(120) % 2
    joined = [
        stacked(_logits(labels, 1.5, n), _logits(labels, 0.0, 100 + n), labels).words_weight > 0 for n in range(20)
    ]
    assert sum(joined) <= 4


def test_a_classifier_without_words_stays_as_it_is() -> None:
    labels = torch.arange(40) % 2
    own = _logits(labels, 1.0, 0)
    found = stacked(own, None, labels)
    assert found.words_weight == 0
    assert torch.equal(found.logits, own)
