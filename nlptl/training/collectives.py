"""What several processes make of their tensors together: equal weights, the mean gradient, all vectors of a batch.

Shapes: B vectors of a process, S of all processes together, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nlptl.training.distributed import processes, told_as_process_error


def begin_equal(parameters: Sequence[nn.Parameter]) -> None:
    """Give every process the parameters of process 0."""
    with torch.no_grad():
        flat = torch.cat([parameter.detach().flatten().float() for parameter in parameters])
        with told_as_process_error():
            torch.distributed.broadcast(flat, 0)
        for parameter, part in zip(parameters, _parts(flat, [p.numel() for p in parameters]), strict=True):
            parameter.copy_(part.view_as(parameter))


def average_gradients(parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Put the mean over all processes in place of each gradient, in one message; returns the mean loss ().

    A plain all-reduce and not DistributedDataParallel, because a loss may call any part of a model, and not only its
    forward. A parameter that no process has a gradient for is left without: the optimiser passes it by then, as it
    does with one process.
    """
    moving = [parameter for parameter in parameters if parameter.requires_grad]
    has = torch.tensor([float(parameter.grad is not None) for parameter in moving], device=loss.device)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in moving]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), has, loss.detach().float().reshape(1)])
    with told_as_process_error():
        torch.distributed.all_reduce(flat)
    flat /= processes().count
    *parts, has, mean = _parts(flat, [*(gradient.numel() for gradient in gradients), len(moving), 1])
    for parameter, gradient, part, anywhere in zip(moving, gradients, parts, has.tolist(), strict=True):
        parameter.grad = gradient.copy_(part.view_as(gradient)) if anywhere else None
    return mean[0].clone()  # alone, it would keep the whole message in memory


def gathered(vectors: Tensor) -> tuple[Tensor, int]:
    """Return the vectors (S, D) of all processes, in the order of the processes, and where one's own (B, D) begin.

    Gradients flow back to each process from the losses of all.
    """
    counts = torch.zeros(processes().count, dtype=torch.int64, device=vectors.device)
    counts[processes().index] = len(vectors)
    with told_as_process_error():
        torch.distributed.all_reduce(counts)
    sizes = counts.tolist()
    begin = sum(sizes[: processes().index])
    everything: Tensor = _Gathered.apply(vectors, begin, sum(sizes))  # type: ignore[no-untyped-call]
    return everything, begin


class _Gathered(torch.autograd.Function):
    """all[begin : begin + B] = vectors on each process; backward sums what every process asks of them."""

    @staticmethod
    def forward(ctx: Any, vectors: Tensor, begin: int, size: int) -> Tensor:
        ctx.place = slice(begin, begin + len(vectors))
        everything = vectors.new_zeros(size, vectors.shape[1])
        everything[ctx.place] = vectors
        with told_as_process_error():
            torch.distributed.all_reduce(everything)
        return everything

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        gradient = gradients[0].contiguous().clone()
        with told_as_process_error():
            torch.distributed.all_reduce(gradient)
        return gradient[ctx.place], None, None


def _parts(flat: Tensor, sizes: list[int]) -> tuple[Tensor, ...]:
    return torch.split(flat, sizes)
