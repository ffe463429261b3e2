"""Attention over packed texts, registered with transformers as `nlptl_packed`.

Shapes: B texts, N packed tokens, H heads, T tokens of one text, E dimension of a head, G texts of equal length.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

ATTENTION_NAME = "nlptl_packed"
Kernel = Literal["varlen", "flash_attn", "grouped"]
HALF_PRECISION = (torch.float16, torch.bfloat16)
MAX_HEAD_DIM = 256  # of the flash kernels, which also want a multiple of 8


@dataclasses.dataclass(frozen=True)
class PackedTexts:
    """Boundaries of the texts in a packed batch, as the kernels want them."""

    cu_seqlens: Tensor  # (B + 1,) int32; text b is rows cu_seqlens[b] to cu_seqlens[b + 1]
    max_seqlen: int  # tokens of the longest text
    runs: tuple[tuple[int, int, int], ...]  # (first row, texts G, tokens T) of each run of neighbours of equal length

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> PackedTexts:
        """Build it from the tokens of each text. Sorted texts give few runs, and few runs are fast."""
        runs: list[tuple[int, int, int]] = []
        row = 0
        for length, texts in ((length, len(list(group))) for length, group in itertools.groupby(lengths)):
            if length:
                runs.append((row, texts, length))
            row += texts * length
        cu_seqlens = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
        return cls(cu_seqlens, max(lengths, default=0), tuple(runs))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedTexts,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return softmax(Q K^T * scaling) V within each text: (1, N, H, E) of query, key, value (1, H, N, E).

    With `sliding_window` w a token attends to those less than w away (ModernBERT's local layers). The mask is ignored.
    No attention weight is dropped, since most fused kernels cannot, and all devices should train alike.
    """
    kernel = kernel_for(query.device, query.dtype, query.shape[-1])
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if kernel == "grouped":
        return _grouped(q, k, v, packed, scaling, sliding_window)[None], None
    return _flash(kernel, q.contiguous(), k.contiguous(), v.contiguous(), packed, scaling, sliding_window)[None], None


def kernel_for(device: torch.device, dtype: torch.dtype, head_dim: int) -> Kernel:
    """Name the fastest kernel: a fused one on a GPU in half precision, else SDPA on runs of texts of equal length."""
    if device.type != "cuda" or dtype not in HALF_PRECISION or head_dim % 8 or head_dim > MAX_HEAD_DIM:
        return "grouped"
    return _flash_kernel()


@functools.cache
def _flash_kernel() -> Kernel:
    if importlib.util.find_spec("flash_attn") is not None:
        return "flash_attn"
    return "varlen" if torch.cuda.get_device_capability() >= (8, 0) else "grouped"


def _flash(
    kernel: Kernel, q: Tensor, k: Tensor, v: Tensor, packed: PackedTexts, scaling: float | None, window: int | None
) -> Tensor:
    """Return (N, H, E) of query, key, value (N, H, E)."""
    starts, max_seqlen = packed.cu_seqlens, packed.max_seqlen
    reach = (-1, -1) if window is None else (window - 1, window - 1)  # tokens to the left and the right; -1 is all
    if kernel == "flash_attn":
        from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]

        limits = (starts, starts, max_seqlen, max_seqlen)
        return cast("Tensor", flash_attn_varlen_func(q, k, v, *limits, softmax_scale=scaling, window_size=reach))
    from torch.nn.attention.varlen import varlen_attn

    result = varlen_attn(q, k, v, starts, starts, max_seqlen, max_seqlen, scale=scaling, window_size=reach)
    return result if isinstance(result, Tensor) else result[0]


def biased_attention(
    query: Tensor, key: Tensor, value: Tensor, packed: PackedTexts, biases: Mapping[int, Tensor]
) -> Tensor:
    """Return softmax(Q K^T / sqrt(E) + bias) V within each text, all (N, H, E), with the bias (1, H, T, T) of its length T."""
    return _grouped(query, key, value, packed, None, None, biases)


def _grouped(
    q: Tensor, k: Tensor, v: Tensor, packed: PackedTexts, scaling: float | None, window: int | None,
    biases: Mapping[int, Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """Return (N, H, E) of query, key, value (N, H, E): SDPA on each run of texts of equal length."""
    if not packed.runs:
        return torch.zeros_like(q)
    sizes = [texts * tokens for _, texts, tokens in packed.runs]  # split, since slices have slow gradients
    parts = zip(packed.runs, *(torch.split(tensor, sizes) for tensor in (q, k, v)), strict=True)
    found = (_equally_long(run, q, k, v, scaling, window, (biases or {}).get(run[2])) for run, q, k, v in parts)
    return torch.cat([attended.flatten(0, 1) for attended in found])


def attend_into(out: Tensor, query: Tensor, key: Tensor, value: Tensor, packed: PackedTexts) -> None:
    """Write softmax(Q K^T / sqrt(E)) V within each text into `out`, without autograd. All are (N, H, E)."""
    for run in packed.runs:
        first, texts, tokens = run
        cut = slice(first, first + texts * tokens)
        attended = _equally_long(run, query[cut], key[cut], value[cut], None, None)
        out[cut].view(texts, tokens, *out.shape[1:]).copy_(attended)


def _equally_long(
    run: tuple[int, int, int], q: Tensor, k: Tensor, v: Tensor, scaling: float | None, window: int | None,
    bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Return (G, T, H, E) of query, key, value (G T, H, E)."""
    _, texts, tokens = run
    q, k, v = (tensor.view(texts, tokens, *tensor.shape[1:]).transpose(1, 2) for tensor in (q, k, v))
    mask = None if bias is None else bias.to(q.dtype)
    if window is not None and window < tokens:
        position = torch.arange(tokens, device=q.device)
        mask = (position[:, None] - position[None, :]).abs() < window
    return nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scaling).transpose(1, 2)


@functools.cache
def register() -> None:
    """Register the attention with transformers, and a mask function that returns None."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(ATTENTION_NAME, packed_attention)
    AttentionMaskInterface.register(ATTENTION_NAME, lambda *_args, **_kwargs: None)


def sentence_on(device: torch.device) -> str:
    """Return a sentence on how attention is computed on `device`, and why."""
    if device.type == "cuda":
        kernel = {
            "varlen": "torch's variable-length kernel in half precision",
            "flash_attn": "flash-attn's variable-length kernel in half precision",
            "grouped": "SDPA on texts of equal length",
        }[_flash_kernel()]
        return f"Attention: packed; this GPU uses {kernel}, without padding."
    return (
        "Attention: packed; on a CPU SDPA runs on texts of equal length, without mask and padding, which measured faster "
        "than padding."
    )
