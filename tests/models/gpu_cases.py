"""Encoders and their fine-tuning on a GPU, beside the same on the CPU: run by benchmarks/gpu_tests.py.

Without a GPU they run on the CPU, in the same precisions: that shows that the cases themselves work.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nlptl.context import RunContext
from nlptl.models.attention import PackedTexts, kernel_for, packed_attention
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from tests.conftest import small_reviews
from tests.models.tiny import TEXTS, tiny_encoder

CPU = torch.device("cpu")
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
LENGTHS = (5, 5, 17, 3, 64)


def attended(
    states: tuple[Tensor, Tensor, Tensor], device: torch.device, dtype: torch.dtype, window: int | None
) -> list[Tensor]:
    """Return the attention's output and the three gradients, as float32 on the CPU."""
    tensors = [state.to(device, dtype).detach().requires_grad_() for state in states]
    out, _ = packed_attention(
        nn.Identity(), *tensors, None, packed=PackedTexts.of(LENGTHS, device), sliding_window=window
    )
    (out.float() * torch.linspace(-1, 1, out.numel(), device=device).view(out.shape)).sum().backward()
    return [tensor.detach().float().cpu() for tensor in (out, *(tensor.grad for tensor in tensors))]


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("width", [8, 32])
def test_attention_in_half_precision_is_that_of_the_cpu(window: int | None, width: int) -> None:
    generator = torch.Generator().manual_seed(1)
    states = tuple(torch.randn(1, 4, sum(LENGTHS), width, generator=generator) for _ in range(3))
    expected = attended(states, CPU, torch.float32, window)
    found = attended(states, DEVICE, torch.bfloat16, window)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0.05)


@pytest.mark.skipif(DEVICE.type == "cpu", reason="there is no CUDA device")
def test_a_gpu_takes_a_fused_kernel_in_half_precision() -> None:
    assert kernel_for(DEVICE, torch.bfloat16, 32) in ("varlen", "flash_attn")
    assert kernel_for(DEVICE, torch.float32, 32) == "grouped"


@pytest.mark.parametrize("model_type", ["bert", "roberta", "modernbert"])
@pytest.mark.parametrize(("precision", "least"), [("float32", 0.99999), ("bfloat16", 0.99)])
def test_sentence_vectors_are_those_of_the_cpu(model_type: str, precision: str, least: float) -> None:
    texts = [text for text in TEXTS if text]
    expected = tiny_encoder(model_type).encode(texts, normalize=True)
    found = tiny_encoder(model_type).to(DEVICE).encode(texts, normalize=True, precision=precision)  # type: ignore[arg-type]
    assert np.min((found * expected).sum(axis=1)) > least


def losses_of(update: dict[str, object], device: torch.device, precision: str) -> list[float]:
    """Return each epoch's loss of a fine-tuning without dropout, the fitting of its head before it included."""
    from nlptl.data import TextData

    data, context = TextData(labelled=small_reviews(48)), RunContext(seed=3, device=device.type)  # type: ignore[arg-type]
    encoder = tiny_encoder("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    given = ClassificationHead().run(encoder.to(device), data=data, context=context)
    settings = {"epochs": 4, "l2": 0.01, "batch_size": 8, "learning_rate": 1e-3}
    stage = FineTune.model_validate({"update": {**update, "dropout": 0, "precision": precision, **settings}})
    trained = stage.run(given, data=data, context=context)
    assert trained.device.type == device.type
    assert all(parameter.dtype == torch.float32 for parameter in trained.parameters())
    return [float(row["loss"]) for row in context.record.history]


@pytest.mark.parametrize(
    "update", [{"method": "full"}, {"method": "lora", "rank": 4}, {"method": "partial", "top_layers": 1}]
)
def test_fine_tuning_in_half_precision_follows_that_of_the_cpu(update: dict[str, object]) -> None:
    pytest.importorskip("datasets")
    expected, found = losses_of(update, CPU, "float32"), losses_of(update, DEVICE, "bfloat16")
    assert len(found) == len(expected)
    assert expected[-1] < expected[-4] - 0.01
    np.testing.assert_allclose(found, expected, atol=0.03)
