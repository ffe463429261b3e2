"""Collective operations of several processes on tensors: equal weights, mean gradients, all vectors of a batch.

Shapes: B vectors of a process, S of all processes together, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nlptl.training.distributed import connection_errors, processes


def begin_equal(parameters: Sequence[nn.Parameter]) -> None:
    """Copy the parameters of process 0 to all processes."""
    with torch.no_grad():
        flat = torch.cat([parameter.detach().flatten().float() for parameter in parameters])
        with connection_errors():
            torch.distributed.broadcast(flat, 0)
        for parameter, part in zip(parameters, torch.split(flat, [p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


def average_gradients(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Replace each gradient by its mean over all processes, in one message. Return the mean loss ().

    DistributedDataParallel would restrict the loss to a model's forward. A plain all-reduce does not. A parameter
    without a gradient on any process stays without, so that the optimiser skips it as it does with one process.
    """
    moving = [parameter for parameter in parameters if parameter.requires_grad]
    has = torch.tensor([float(parameter.grad is not None) for parameter in moving], device=loss.device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in moving]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), has, loss.detach().float().reshape(1)])
    with connection_errors():
        torch.distributed.all_reduce(flat)
    flat /= processes().count
    *parts, has, mean = torch.split(flat, [*(gradient.numel() for gradient in gradients), len(moving), 1])
    for parameter, gradient, part, anywhere in zip(moving, gradients, parts, has.tolist(), strict=True):
        parameter.grad = gradient.copy_(part.view_as(gradient)) if anywhere else None
    return mean[0].clone()  # a view would keep the whole message in memory


def gathered(vectors: Tensor) -> tuple[Tensor, int]:
    """Return the vectors (S, D) of all processes, with gradients, and the row where this one's (B, D) begin."""
    counts = torch.zeros(processes().count, dtype=torch.int64, device=vectors.device)
    counts[processes().index] = len(vectors)
    with connection_errors():
        torch.distributed.all_reduce(counts)
    sizes = counts.tolist()
    begin = sum(sizes[: processes().index])
    everything: Tensor = _Gathered.apply(vectors, begin, sum(sizes))  # type: ignore[no-untyped-call]
    return everything, begin


class _Gathered(torch.autograd.Function):
    """all[begin : begin + B] = vectors of each process. The backward pass sums the gradients of all processes."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, begin: int, size: int) -> Tensor:
        ctx.place = slice(begin, begin + len(vectors))
        everything = vectors.new_zeros(size, vectors.shape[1])
        everything[ctx.place] = vectors
        with connection_errors():
            torch.distributed.all_reduce(everything)
        return everything

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].contiguous().clone()
        with connection_errors():
            torch.distributed.all_reduce(gradient)
        return gradient[ctx.place], None, None
