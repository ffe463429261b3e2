"""Packed attention equals its definition, text by text, by whichever kernel it goes."""

from __future__ import annotations

import importlib.machinery
import inspect
import sys
import types
import unittest.mock
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.attention.varlen as varlen
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.models import attention
from nlptl.models.attention import PackedTexts, kernel_for, packed_attention, sentence_on
from nlptl.models.packing import pack
from tests.models.tiny import MODEL_TYPES, TEXTS, tiny_encoder

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HEADS, WIDTH = 2, 4
lengths_of_texts = st.lists(st.integers(0, 9), max_size=7)
windows = st.none() | st.integers(1, 10)


def states(tokens: int, *, seed: int = 0) -> list[torch.Tensor]:
    """Return query, key and value (1, H, N, E)."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, HEADS, tokens, WIDTH, generator=generator) for _ in range(3)]


def defined(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, lengths: list[int], scale: float, window: int | None
) -> torch.Tensor:
    """Return (1, N, H, E), text by text and written out: softmax(Q K^T * scale) V, with distance below `window`."""
    rows, parts = 0, [query.new_zeros(1, 0, HEADS, WIDTH)]
    for length in lengths:
        q, k, v = (tensor[:, :, rows : rows + length] for tensor in (query, key, value))
        scores = q @ k.transpose(2, 3) * scale
        if window is not None:
            far = (torch.arange(length)[:, None] - torch.arange(length)[None]).abs() >= window
            scores = scores.masked_fill(far, float("-inf"))
        parts.append((scores.softmax(-1) @ v).transpose(1, 2))
        rows += length
    return torch.cat(parts, dim=1)


def kernel_on_the_cpu(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, begins: torch.Tensor, scale: float | None, reach: tuple[int, int]
) -> torch.Tensor:
    """Do what a flash kernel does, (N, H, E) of (N, H, E), with its window: `reach` tokens left and right, -1 for all."""
    assert begins.dtype == torch.int32
    assert begins[0] == 0
    assert begins[-1] == len(q)
    assert all(tensor.is_contiguous() for tensor in (q, k, v))
    parts = [q.new_zeros(0, *q.shape[1:])]
    for begin, end in zip(begins.tolist(), begins.tolist()[1:], strict=False):
        near = torch.arange(end - begin)
        left, right = (10**6 if tokens < 0 else tokens for tokens in reach)
        seen = (near[None] - near[:, None] <= right) & (near[:, None] - near[None] <= left)
        cut = (tensor[begin:end].transpose(0, 1) for tensor in (q, k, v))
        out = torch.nn.functional.scaled_dot_product_attention(*cut, attn_mask=seen, scale=scale)
        parts.append(out.transpose(0, 1))
    return torch.cat(parts)


class Calls(list[dict[str, Any]]):
    """What a kernel was called with."""


@pytest.fixture
def as_if_varlen(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Let packed attention call torch's varlen_attn, computed on the CPU, its real signature checked."""
    calls, signature = Calls(), inspect.signature(varlen.varlen_attn)

    def fake(*args: Any, **kwargs: Any) -> torch.Tensor:
        given = signature.bind(*args, **kwargs).arguments
        calls.append(given)
        assert given["cu_seq_q"] is given["cu_seq_k"]
        return kernel_on_the_cpu(
            given["query"], given["key"], given["value"], given["cu_seq_q"], given["scale"], given["window_size"]
        )

    monkeypatch.setattr(varlen, "varlen_attn", fake)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    return calls


def flash_attn_varlen_func(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    cu_seqlens_q: torch.Tensor,
    cu_seqlens_k: torch.Tensor,
    max_seqlen_q: int,
    max_seqlen_k: int,
    dropout_p: float = 0.0,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
) -> torch.Tensor:
    """Stand for flash-attn's function of that name; the arguments are named as flash-attn 2 names them."""
    longest = int((cu_seqlens_q[1:] - cu_seqlens_q[:-1]).max())
    assert cu_seqlens_q is cu_seqlens_k
    assert (max_seqlen_q, max_seqlen_k, dropout_p, causal) == (longest, longest, 0.0, False)
    return kernel_on_the_cpu(q, k, v, cu_seqlens_q, softmax_scale, window_size)


@pytest.fixture
def as_if_flash_attn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let packed attention call a flash-attn that computes on the CPU."""
    module: Any = types.ModuleType("flash_attn")
    module.flash_attn_varlen_func = flash_attn_varlen_func
    monkeypatch.setitem(sys.modules, "flash_attn", module)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "flash_attn")


def packed(tensors: list[torch.Tensor], lengths: list[int], **arguments: Any) -> torch.Tensor:
    texts = PackedTexts.of(lengths, CPU)
    return packed_attention(torch.nn.Identity(), *tensors, None, packed=texts, **arguments)[0]


@settings(max_examples=30, deadline=None)
@given(lengths=lengths_of_texts, window=windows, scale=st.sampled_from([0.5, 1.0]))
def test_the_grouped_kernel_is_the_definition(lengths: list[int], window: int | None, scale: float) -> None:
    tensors = states(sum(lengths))
    out = packed(tensors, lengths, scaling=scale, sliding_window=window)
    assert out.shape == (1, sum(lengths), HEADS, WIDTH)
    torch.testing.assert_close(out, defined(*tensors, lengths, scale, window), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("window", [None, 1, 3, 50])
def test_the_gradients_are_those_of_the_definition(window: int | None) -> None:
    lengths = [3, 3, 0, 7, 1, 7]
    ours, theirs = ([tensor.requires_grad_() for tensor in states(sum(lengths))] for _ in range(2))
    weight = torch.randn(1, sum(lengths), HEADS, WIDTH, generator=torch.Generator().manual_seed(1))
    (packed(ours, lengths, scaling=0.5, sliding_window=window) * weight).sum().backward()
    (defined(*theirs, lengths, 0.5, window) * weight).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kernel", ["varlen", "flash_attn"])
@pytest.mark.parametrize("window", [None, 1, 3])
def test_a_flash_kernel_is_called_for_what_the_grouped_one_gives(
    kernel: str, window: int | None, request: pytest.FixtureRequest
) -> None:
    lengths = [3, 3, 7, 1, 0, 7]
    tensors = states(sum(lengths))
    expected = packed(tensors, lengths, scaling=0.3, sliding_window=window)
    request.getfixturevalue(f"as_if_{kernel}")
    out = packed(tensors, lengths, scaling=0.3, sliding_window=window)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)


def test_varlen_attn_is_told_boundaries_longest_scale_and_window(as_if_varlen: Calls) -> None:
    lengths = [3, 3, 7, 1, 0, 7]
    packed(states(sum(lengths)), lengths, scaling=0.3, sliding_window=4)
    packed(states(sum(lengths)), lengths)
    first, second = as_if_varlen
    assert first["cu_seq_q"].tolist() == [0, 3, 6, 13, 14, 14, 21]
    assert (first["max_q"], first["max_k"], first["scale"], first["window_size"]) == (7, 7, 0.3, (3, 3))
    assert (second["scale"], second["window_size"]) == (None, (-1, -1))
    assert first["query"].shape == (21, HEADS, WIDTH)


def test_a_kernel_that_also_returns_the_normaliser_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = states(4)
    monkeypatch.setattr(attention, "kernel_for", lambda *_: "varlen")
    monkeypatch.setattr(varlen, "varlen_attn", lambda q, *_args, **_kwargs: (q + 1, torch.zeros(4)))
    assert torch.equal(packed(tensors, [4]), tensors[0].transpose(1, 2) + 1)


@pytest.mark.parametrize("model_type", [kind for kind in MODEL_TYPES if kind != "mpnet"])  # flash kernels take no bias
@pytest.mark.parametrize("kernel", ["varlen", "flash_attn"])
def test_a_whole_encoder_gives_the_same_through_a_flash_kernel(
    model_type: str, kernel: str, request: pytest.FixtureRequest
) -> None:
    encoder = tiny_encoder(model_type)
    batch = pack(encoder.token_ids(TEXTS))
    expected = encoder(batch)
    request.getfixturevalue(f"as_if_{kernel}")
    with unittest.mock.patch.object(attention, "_grouped", side_effect=AssertionError("the grouped way was taken")):
        torch.testing.assert_close(encoder(batch), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("device", "dtype", "width", "kernel"),
    [
        (CPU, torch.float32, 32, "grouped"),
        (CPU, torch.bfloat16, 32, "grouped"),
        (CUDA, torch.float32, 32, "grouped"),
        (CUDA, torch.bfloat16, 32, "the GPU's"),
        (CUDA, torch.float16, 256, "the GPU's"),
        (CUDA, torch.bfloat16, 20, "grouped"),
        (CUDA, torch.bfloat16, 264, "grouped"),
    ],
)
def test_the_flash_kernels_take_only_what_they_can(
    device: torch.device, dtype: torch.dtype, width: int, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_flash_kernel", lambda: "the GPU's")
    assert kernel_for(device, dtype, width) == kernel


@pytest.mark.parametrize(
    ("installed", "capability", "kernel"),
    [(True, (9, 0), "flash_attn"), (False, (9, 0), "varlen"), (False, (8, 0), "varlen"), (False, (7, 5), "grouped")],
)
def test_the_kernel_of_a_gpu(
    installed: bool, capability: tuple[int, int], kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.machinery.ModuleSpec("flash_attn", None) if installed else None
    monkeypatch.setattr(attention.importlib.util, "find_spec", lambda _: spec)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert attention._flash_kernel.__wrapped__() == kernel


def test_attention_weights_are_never_dropped() -> None:
    """No fused kernel can, and all devices should train alike."""
    tensors = states(8)
    assert torch.equal(packed(tensors, [3, 5], dropout=0.5), packed(tensors, [3, 5]))


@given(lengths=lengths_of_texts)
def test_packed_texts_say_where_each_text_begins(lengths: list[int]) -> None:
    texts = PackedTexts.of(lengths, CPU)
    assert texts.cu_seqlens.dtype == torch.int32
    assert texts.cu_seqlens.tolist() == [sum(lengths[:end]) for end in range(len(lengths) + 1)]
    assert texts.max_seqlen == max(lengths, default=0)
    assert [tokens for _, count, tokens in texts.runs for _ in range(count)] == [length for length in lengths if length]
    assert [first for first, _, _ in texts.runs] == [
        sum(count * tokens for _, count, tokens in texts.runs[:number]) for number in range(len(texts.runs))
    ]


def test_sorted_texts_give_one_run_a_length() -> None:
    assert PackedTexts.of([2, 2, 3, 3, 3, 5], CPU).runs == ((0, 2, 2), (4, 3, 3), (13, 1, 5))
    assert PackedTexts.of([], CPU).runs == ()


def test_transformers_knows_the_function_and_makes_no_mask_for_it() -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    attention.register()
    assert AttentionInterface()[attention.ATTENTION_NAME] is packed_attention
    make_mask: Callable[..., object] = AttentionMaskInterface()[attention.ATTENTION_NAME]
    assert make_mask(1, torch.ones(1), mask_function=None) is None


@pytest.mark.parametrize(
    ("device", "kernel", "sentence"),
    [
        (
            CPU, "",
            "Attention: packed; on a CPU SDPA runs on texts of equal length, without mask and padding, which "
            "measured faster than padding.",
        ),
        (
            CUDA, "varlen",
            "Attention: packed; this GPU uses torch's variable-length kernel in half precision, without padding.",
        ),
        (
            CUDA, "flash_attn",
            "Attention: packed; this GPU uses flash-attn's variable-length kernel in half precision, without padding.",
        ),
        (CUDA, "grouped", "Attention: packed; this GPU uses SDPA on texts of equal length, without padding."),
    ],
)  # fmt: skip
def test_the_attention_is_told(
    device: torch.device, kernel: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_flash_kernel", lambda: kernel)
    assert sentence_on(device) == sentence
