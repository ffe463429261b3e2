"""Attention over texts that lie end to end, and its registration with transformers under the name `nlptl_packed`.

Shapes: B texts, N packed tokens, H heads, T tokens of one text, E dimension of a head, G texts of equal length.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

NAME = "nlptl_packed"
AttentionChoice = Literal["auto", "packed", "sdpa", "eager"]
Kernel = Literal["varlen", "flash_attn", "grouped"]
HALF = (torch.float16, torch.bfloat16)
WIDEST = 256  # dimensions of a head that the flash kernels take; they want a multiple of 8


@dataclasses.dataclass(frozen=True)
class PackedTexts:
    """Where each text begins in a packed batch, in the forms that the kernels ask for."""

    boundaries: Tensor
    """(B + 1,) int32: text b is rows boundaries[b] to boundaries[b + 1]; flash kernels call it cu_seqlens."""
    longest: int
    """Tokens of the longest text."""
    runs: tuple[tuple[int, int, int], ...]
    """(first row, texts G, tokens T) of each run of neighbours that are equally long."""

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> PackedTexts:
        """Build it from the tokens of each text; sorted texts give few runs, and few runs are fast."""
        runs: list[tuple[int, int, int]] = []
        row = 0
        for length in lengths:
            if runs and runs[-1][2] == length:
                runs[-1] = (runs[-1][0], runs[-1][1] + 1, length)
            else:
                runs.append((row, 1, length))
            row += length
        boundaries = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)
        return cls(boundaries, max(lengths, default=0), tuple(run for run in runs if run[2]))


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    packed: PackedTexts,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Return softmax(Q K^T * scaling) V within each text: (1, N, H, E) of query, key, value (1, H, N, E).

    `sliding_window` w lets a token see those less than w away (ModernBERT's local layers). No mask is needed and none
    is looked at. `dropout` is the share of attention weights that are dropped; torch's variable-length kernel has none
    and drops none, since going another way would cost more than half of the speed (the layers' other dropout stays,
    and the run says so).
    """
    del module, attention_mask
    kernel = kernel_for(query.device, query.dtype, query.shape[-1])
    if kernel == "grouped":
        return _grouped(query, key, value, packed, scaling, dropout, sliding_window), None
    q, k, v = (tensor[0].transpose(0, 1).contiguous() for tensor in (query, key, value))
    if kernel == "flash_attn":
        return _flash_attn(q, k, v, packed, scaling, sliding_window, dropout)[None], None
    return _varlen(q, k, v, packed, scaling, sliding_window)[None], None


def kernel_for(device: torch.device, dtype: torch.dtype, width: int) -> Kernel:
    """Name the fastest kernel that computes this, for heads of `width` dimensions.

    A fused variable-length one on a GPU in half precision, else SDPA on runs of equally long texts; neither needs a
    mask or padding.
    """
    if device.type != "cuda" or dtype not in HALF or width % 8 or width > WIDEST:
        return "grouped"
    return _flash_kernel()


@functools.cache
def _flash_kernel() -> Kernel:
    if importlib.util.find_spec("flash_attn") is not None:
        return "flash_attn"
    return "varlen" if torch.cuda.get_device_capability() >= (8, 0) else "grouped"


def _flash_attn(
    q: Tensor, k: Tensor, v: Tensor, packed: PackedTexts, scaling: float | None, window: int | None, dropout: float
) -> Tensor:
    """Return (N, H, E) of query, key, value (N, H, E)."""
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]

    begins, longest = packed.boundaries, packed.longest
    out: Tensor = flash_attn_varlen_func(
        q, k, v, begins, begins, longest, longest,
        dropout_p=dropout, softmax_scale=scaling, window_size=_reach(window),
    )  # fmt: skip
    return out


def _varlen(q: Tensor, k: Tensor, v: Tensor, packed: PackedTexts, scaling: float | None, window: int | None) -> Tensor:
    """Return (N, H, E) of query, key, value (N, H, E)."""
    from torch.nn.attention.varlen import varlen_attn

    begins, longest = packed.boundaries, packed.longest
    result = varlen_attn(q, k, v, begins, begins, longest, longest, scale=scaling, window_size=_reach(window))
    return result if isinstance(result, Tensor) else result[0]


def _reach(window: int | None) -> tuple[int, int]:
    """Return how many tokens the flash kernels look to the left and right, -1 for all."""
    return (-1, -1) if window is None else (window - 1, window - 1)


def _grouped(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    packed: PackedTexts,
    scaling: float | None,
    dropout: float,
    window: int | None,
) -> Tensor:
    heads, rows, width = query.shape[1:]
    parts: list[Tensor] = []
    for first, texts, tokens in packed.runs:
        cut = [tensor[0, :, first : first + texts * tokens] for tensor in (query, key, value)]
        q, k, v = (tensor.view(heads, texts, tokens, width).transpose(0, 1) for tensor in cut)
        mask = None if window is None or window >= tokens else _band(tokens, window, query.device)
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling)
        parts.append(out.transpose(1, 2).reshape(texts * tokens, heads, width))
    if len(parts) == 1:
        return parts[0][None]
    return torch.cat(parts)[None] if parts else query.new_zeros(1, rows, heads, width)


def attend_into(out: Tensor, query: Tensor, key: Tensor, value: Tensor, packed: PackedTexts) -> None:
    """Write softmax(Q K^T / sqrt(E)) V within each text into `out`; all are (N, H, E)."""
    heads, width = query.shape[1:]
    for first, texts, tokens in packed.runs:
        cut = slice(first, first + texts * tokens)
        q, k, v = (tensor[cut].view(texts, tokens, heads, width).transpose(1, 2) for tensor in (query, key, value))
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        out[cut].view(texts, tokens, heads, width).copy_(attended.transpose(1, 2))


def _band(tokens: int, window: int, device: torch.device) -> Tensor:
    place = torch.arange(tokens, device=device)
    return (place[:, None] - place[None, :]).abs() < window


@functools.cache
def register() -> None:
    """Make the function known to transformers; its mask function returns none, because packing needs none."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, packed_attention)
    AttentionMaskInterface.register(NAME, lambda *_args, **_kwargs: None)


def choose(wanted: AttentionChoice, device: torch.device) -> tuple[str, str]:
    """Return which attention to use on `device` ("packed", "sdpa" or "eager") and one sentence on why."""
    if wanted != "auto":
        return wanted, f"attention: {wanted}, as the settings say."
    if device.type == "cuda":
        how = {
            "varlen": "torch's variable-length kernel in half precision (which drops no attention weights in training)",
            "flash_attn": "flash-attn's variable-length kernel in half precision",
            "grouped": "SDPA on equally long texts",
        }[_flash_kernel()]
        return "packed", f"attention: packed; on this GPU {how}, without padding."
    return "packed", (
        "attention: packed; on a CPU equally long texts go through SDPA together, without mask and padding, "
        "which measured faster than padding."
    )
