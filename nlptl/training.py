"""The one training loop, on Accelerate: batches and a loss to a history of epochs.

Every update of every route goes through `train`; what differs is handed in: the module, which parameters move at which
rate, the batches, the loss.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from accelerate import Accelerator

B = TypeVar("B")
OptimiserName = Literal["adamw", "lbfgs"]


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float


@dataclasses.dataclass(frozen=True)
class TrainingJob(Generic[B]):
    """What to train on what."""

    model: nn.Module
    groups: Sequence[ParameterGroup]
    batches: Callable[[int], Iterable[B]]
    """Batches of an epoch (counted from 1)."""
    loss: Callable[[B], Tensor]
    """Mean loss () of a batch."""
    epochs: int
    """Passes over the examples at most."""
    seed: int
    """Seed of dropout; the caller's random state is put back afterwards."""
    optimiser: OptimiserName = "adamw"
    """adamw for batches and dropout; lbfgs for one smooth batch with all examples, where it needs far fewer passes."""
    clip: float = 1.0
    """adamw: largest allowed norm of the whole gradient; smaller tames outliers, larger lets steps be bold."""


def train(job: TrainingJob[B], *, after_epoch: Callable[[int, float], bool] | None = None) -> list[float]:
    """Train with AdamW (Loshchilov & Hutter 2019; no decay: penalties belong to the loss) or L-BFGS (Nocedal 1980).

    `after_epoch(epoch, mean loss)` may return True to stop; one that looks at the model must leave it in training
    mode. Returns the mean training loss of each epoch. Rates are constant so that the state after e epochs is the
    same whether or not training goes on: that lets cross-validation read every number of epochs off one run.
    """
    device = next(job.model.parameters()).device
    accelerator = _accelerator(device.type == "cpu")
    optimiser = _optimiser(job)
    model = job.model
    if accelerator.use_distributed:  # in one process prepare would only hold on to every model it has seen
        model, optimiser = accelerator.prepare(model, optimiser)
    parameters = [parameter for group in job.groups for parameter in group.parameters]

    def step(batch: B) -> Tensor:
        def closure() -> Any:  # torch types it as float, yet wants the tensor
            optimiser.zero_grad()
            loss = job.loss(batch)
            accelerator.backward(loss)
            if job.optimiser == "adamw":
                accelerator.clip_grad_norm_(parameters, job.clip)
            return loss

        return torch.as_tensor(optimiser.step(closure)).detach()

    history: list[float] = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(job.seed)
        model.train()
        for epoch in range(1, job.epochs + 1):
            history.append(float(torch.stack([step(batch) for batch in job.batches(epoch)]).mean()))
            stop = after_epoch is not None and after_epoch(epoch, history[-1])
            if stop or (job.optimiser == "lbfgs" and _has_converged(history)):
                break
    model.eval()
    return history


def _has_converged(history: Sequence[float]) -> bool:
    """Say whether three passes in a row have improved the loss by less than one part in 100,000."""
    return len(history) > 3 and history[-4] - history[-1] < 1e-5 * max(1e-3, abs(history[-1]))


def _optimiser(job: TrainingJob[B]) -> torch.optim.Optimizer:
    if job.optimiser == "lbfgs":
        parameters = [parameter for group in job.groups for parameter in group.parameters]
        return torch.optim.LBFGS(parameters, max_iter=1, history_size=20, line_search_fn="strong_wolfe")
    groups = [{"params": list(group.parameters), "lr": group.learning_rate} for group in job.groups]
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=True)


@contextlib.contextmanager
def one_thread_if(small: bool) -> Iterator[None]:
    """Compute on one thread when a job is so small that handing parts of it to a second costs more than it saves.

    On a machine whose cores are busy the difference is not 2 but 30 times: threads wait for each other at every
    tiny operation.
    """
    threads = torch.get_num_threads()
    if small:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def _accelerator(cpu: bool) -> Accelerator:
    """Return the process's accelerator; making one looks through all installed packages, which takes 50 ms."""
    from accelerate import Accelerator

    return Accelerator(cpu=cpu)


def shuffled_batches(rows: int, *, batch_size: int, generator: torch.Generator) -> Iterable[Tensor]:
    """Yield row numbers (B,) of one epoch in a fresh random order; the last batch may be smaller."""
    order = torch.randperm(rows, generator=generator)
    return (order[begin : begin + batch_size] for begin in range(0, rows, batch_size))


def batch_size_for(rows: int) -> int:
    """Return rows / 32 within 8..256, a power of two: small data needs many steps, large data few and wide ones."""
    size = 8
    while size < 256 and size * 2 <= rows // 32:
        size *= 2
    return size


def most_epochs_for(rows: int, batch_size: int, *, steps: int = 400) -> int:
    """Return enough epochs for `steps` optimiser steps, but 20 at least and 400 at most."""
    return max(20, min(400, -(-steps // -(-rows // batch_size))))
