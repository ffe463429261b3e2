"""The one training loop, for one process or several: batches and a loss to a history of epochs.

Every update of every route goes through `train`; what differs is handed in: the module, which parameters move at which
rate, the batches, the loss, and whether it must survive a kill.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from nlptl.errors import ProcessError
from nlptl.randomness import seed_generators, seeded
from nlptl.training.checkpoints import Checkpoints
from nlptl.training.collectives import average_gradients, begin_equal
from nlptl.training.compute import Precision, matrix_products
from nlptl.training.distributed import broadcast, processes

B = TypeVar("B")
OptimiserName = Literal["adamw", "lbfgs"]


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    begin: int = 0
    """Epochs before which they stay frozen: gradual unfreezing (Howard & Ruder 2018)."""


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Factor of all rates by step: up from 0 over `warmup` steps, 1, then down to 0 over the last `decay` of `steps`."""

    steps: int
    warmup: int = 0
    decay: int = 0

    def __call__(self, step: int) -> float:
        """Return the factor (0 to 1] of a step counted from 0."""
        up = (step + 1) / (self.warmup + 1)
        down = (self.steps - step) / (self.decay + 1)
        return max(0.0, min(1.0, up, down))


@dataclasses.dataclass(frozen=True)
class TrainingJob(Generic[B]):
    """What to train on what."""

    model: nn.Module
    groups: Sequence[ParameterGroup]
    batches: Callable[[int], Iterable[B]]
    """Batches of an epoch (counted from 1). With `checkpoints` they must depend on nothing but the epoch."""
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
    schedule: Schedule | None = None
    """How rates change from step to step; None keeps them constant. Training ends with its last step."""
    precision: Precision = "float32"
    """bfloat16 computes matrix products in half the bits, tf32 on a GPU with 10 bits after the point instead of 23;
    weights and their updates stay in float32."""
    share: Callable[[B, int, int], tuple[B, float]] | None = None
    """With several processes: the part of a batch that process i of n takes, and its weight n * part / whole, so that
    the mean of all gradients is that of the whole batch. None has every process take the whole batch and exchange
    nothing, which suits what is small, and a loss that L-BFGS compares along a line."""
    checkpoints: Checkpoints | None = None
    """Where to keep what a killed run needs to go on exactly where it was."""


def train(
    job: TrainingJob[B],
    *,
    after_epoch: Callable[[int, float], bool] | None = None,
    after_step: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train with AdamW (Loshchilov & Hutter 2019; no decay: penalties belong to the loss) or L-BFGS (Nocedal 1980).

    AdamW corrects its bias, whose lack collapses small-data runs (Mosbach et al. 2021). `after_epoch(epoch, mean loss)`
    may return True to stop; one that looks at the model must leave it in training mode. `after_step(step, loss)` counts
    from 1 and is not called again for the steps before a resume. Returns the mean training loss of each epoch.
    Without a schedule the state after e epochs is the same whether or not training goes on: that lets cross-validation
    read every number of epochs off one run. With checkpoints a killed training goes on mid-epoch as if it had not been.
    Several processes that share batches begin with the parameters of process 0 and take its word for when to stop.
    """
    device = next(job.model.parameters()).device
    loop = _Loop(job, device)
    with seeded(job.seed, device), matrix_products(job.precision, device):
        loop.resume()
        job.model.train()
        for epoch in range(loop.epoch, job.epochs + 1):
            mean = loop.run_epoch(epoch, after_step)
            stop = after_epoch is not None and after_epoch(epoch, mean)
            if broadcast(stop or loop.is_over or (job.optimiser == "lbfgs" and _has_converged(loop.history))):
                break
    job.model.eval()
    return loop.history


class _Loop(Generic[B]):
    """The state of one training: optimiser, counters, history."""

    def __init__(self, job: TrainingJob[B], device: torch.device) -> None:
        self.job, self.device = job, device
        self.here = processes()
        self.shares = job.share is not None and self.here.count > 1
        self.optimiser = _optimiser(job)
        self.parameters = [parameter for group in job.groups for parameter in group.parameters]
        self.step, self.epoch, self.in_epoch = 0, 1, 0
        self.history: list[float] = []
        self.losses: list[Tensor] = []

    @property
    def is_over(self) -> bool:
        return self.job.schedule is not None and self.step >= self.job.schedule.steps

    def run_epoch(self, epoch: int, after_step: Callable[[int, float], None] | None) -> float:
        """Run what is left of an epoch; returns its mean loss."""
        self.epoch = epoch
        for batch in itertools.islice(self.job.batches(epoch), self.in_epoch, None):
            if self.is_over:
                break
            self._set_rates()
            self._set_chance()
            self.losses.append(self._train_on(batch))
            self.step, self.in_epoch = self.step + 1, self.in_epoch + 1
            if after_step is not None:
                after_step(self.step, float(self.losses[-1]))
            if self.job.checkpoints is not None and self.here.is_main:
                self.job.checkpoints.keep(self.step, self._state, last=self.is_over)
        mean = float(torch.stack(self.losses).mean()) if self.losses else math.nan
        self.history.append(mean)
        self.losses, self.in_epoch, self.epoch = [], 0, epoch + 1
        return mean

    def _train_on(self, batch: B) -> Tensor:
        part, weight = batch, 1.0
        if self.job.share is not None and self.shares:
            part, weight = self.job.share(batch, self.here.index, self.here.count)

        def closure() -> Any:  # torch types it as float, yet wants the tensor
            self.optimiser.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.job.precision == "bfloat16"):
                loss = self.job.loss(part) * weight
            loss.backward()  # type: ignore[no-untyped-call]
            if self.shares:
                loss = average_gradients(self.parameters, loss)
            if self.job.optimiser == "adamw":
                torch.nn.utils.clip_grad_norm_(self.parameters, self.job.clip)
            return loss

        return torch.as_tensor(self.optimiser.step(closure)).detach()

    def _set_chance(self) -> None:
        """Let dropout on shared batches follow from seed, process and step, so that a resume needs no other's state."""
        if self.shares:
            seed_generators(self.job.seed + 1_000_003 * self.here.index + 1_000_000_007 * self.step, self.device)

    def _set_rates(self) -> None:
        for group, settings in zip(self.optimiser.param_groups, self.job.groups, strict=True):
            if self.job.schedule is not None:
                group["lr"] = settings.learning_rate * self.job.schedule(self.step)
            if settings.begin:
                for parameter in settings.parameters:  # without a gradient AdamW leaves them and their moments alone
                    parameter.requires_grad_(self.epoch > settings.begin)

    def resume(self) -> None:
        """Take up the newest checkpoint, if there is one."""
        found = self.job.checkpoints.newest() if self.job.checkpoints is not None else None
        self._check_same(0 if found is None else found[1]["step"])
        if found is not None:
            self._take_up(*found)
        if self.here.count > 1:
            begin_equal(self.parameters)

    def _check_same(self, step: int) -> None:
        """Raise ProcessError where this process finds another checkpoint than process 0 does."""
        main = round(broadcast(step))
        if main != step:
            raise ProcessError(
                f"process {self.here.index}: found the checkpoint of step {step}, process 0 that of step {main}; expected "
                "both to see the same folder. Choose one with --out on a disk that all machines share."
            )

    def _take_up(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        self.job.model.load_state_dict({name[6:]: t for name, t in tensors.items() if name.startswith("model.")})
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                moments.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:  # a run may go on on another kind of device
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        self.step, self.epoch, self.in_epoch = counters["step"], counters["epoch"], counters["in_epoch"]
        self.history = list(counters["history"])
        self.losses = list(tensors["losses"].to(self.device))

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {f"model.{name}": tensor for name, tensor in self.job.model.state_dict().items()}
        for index, moments in self.optimiser.state_dict()["state"].items():
            tensors.update({f"optimiser.{index}.{key}": torch.as_tensor(value) for key, value in moments.items()})
        tensors["random.cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        tensors["losses"] = torch.stack(self.losses) if self.losses else torch.zeros(0)
        counters = {"step": self.step, "epoch": self.epoch, "in_epoch": self.in_epoch, "history": self.history}
        return tensors, counters


def _has_converged(history: Sequence[float]) -> bool:
    """Say whether three passes in a row have improved the loss by less than one part in 100,000."""
    return len(history) > 3 and history[-4] - history[-1] < 1e-5 * max(1e-3, abs(history[-1]))


def _optimiser(job: TrainingJob[B]) -> torch.optim.Optimizer:
    if job.optimiser == "lbfgs":
        parameters = [parameter for group in job.groups for parameter in group.parameters]
        return torch.optim.LBFGS(parameters, max_iter=1, history_size=20, line_search_fn="strong_wolfe")
    groups = [{"params": list(group.parameters), "lr": group.learning_rate} for group in job.groups]
    return torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
