"""The one training loop, for one process or several."""

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

Item = TypeVar("Item")
OptimiserName = Literal["adamw", "lbfgs"]
# Evaluations of one line search of L-BFGS. By default torch allows as many as iterations, here one: a search that needs two
# then returns a step of length 0, and the training stands still from there on.
LINE_SEARCH = 25


@dataclasses.dataclass(frozen=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    parameters: Sequence[nn.Parameter]
    learning_rate: float
    begin: int = 0  # epochs for which they stay frozen: gradual unfreezing (Howard & Ruder 2018)


@dataclasses.dataclass(frozen=True)
class Schedule:
    """Factor of all rates: up from 0 over `warmup` steps, then 1, then down to 0 over the last `decay` of `steps`."""

    steps: int
    warmup: int = 0
    decay: int = 0

    def __call__(self, step: int) -> float:
        """Return the factor (0 to 1] of a step counted from 0."""
        return max(0.0, min(1.0, (step + 1) / (self.warmup + 1), (self.steps - step) / (self.decay + 1)))


@dataclasses.dataclass(frozen=True)
class TrainingJob(Generic[Item]):
    """Definition of one training by gradient."""

    model: nn.Module
    groups: Sequence[ParameterGroup]
    batches: Callable[[int], Iterable[Item]]  # of an epoch, from 1; with `checkpoints` they must depend on it alone
    loss: Callable[[Item], Tensor]  # mean () of a batch
    epochs: int  # most passes over the examples
    seed: int  # of dropout; the caller's random state is restored afterwards
    optimiser: OptimiserName = "adamw"  # lbfgs takes far fewer passes for a smooth loss on one batch of all examples
    clip: float = 1.0  # largest norm of the whole gradient (adamw): smaller tames outliers, larger allows larger steps
    schedule: Schedule | None = None  # of the rates; its last step ends the training, None keeps the rates constant
    precision: Precision = "float32"  # of matrix products; weights and their updates stay in float32
    share: Callable[[Item, int, int], tuple[Item, float]] | None = None
    """Part of a batch for process i of n, and its weight n * part / whole: the mean of all gradients is that of the batch.
    None: every process computes the whole batch and exchanges nothing, as small jobs and L-BFGS need."""
    checkpoints: Checkpoints | None = None
    """From which a killed run resumes exactly: it loses about a minute at most, or one step if that takes longer. None
    keeps none, so that a kill loses the whole training."""


def train(
    job: TrainingJob[Item],
    *,
    after_epoch: Callable[[int, float], bool] | None = None,
    after_step: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Train and return the mean training loss of each epoch.

    The optimiser is AdamW (Loshchilov & Hutter 2019) or L-BFGS (Nocedal 1980). AdamW has no weight decay, since
    penalties belong to the loss. It corrects its bias, without which small data collapses (Mosbach et al. 2021).
    `after_epoch(epoch, mean loss)` may return True to stop. It must leave the model in training mode.
    `after_step(step, loss)` counts from 1, and is not called again after a resume. Without a schedule the state after e
    epochs does not depend on `epochs`: cross-validation reads every number of epochs off one run. Processes that share
    batches begin with the parameters of process 0, which decides when all stop.
    """
    device = next(job.model.parameters()).device
    loop = _Loop(job, device)
    with seeded(job.seed, device), matrix_products(job.precision, device):
        loop.resume()
        job.model.train()
        for epoch in range(loop.epoch, job.epochs + 1):
            mean = loop.run_epoch(epoch, after_step)
            stop = after_epoch is not None and after_epoch(epoch, mean)
            # L-BFGS has converged when three passes improve the loss by less than one part in 100,000.
            last = loop.history[-4:] if job.optimiser == "lbfgs" else []
            converged = len(last) == 4 and last[0] - last[3] < 1e-5 * max(1e-3, abs(last[3]))
            if broadcast(stop or loop.is_over or converged):
                break
    job.model.eval()
    return loop.history


class _Loop(Generic[Item]):
    """State of one training: optimiser, counters, history."""

    def __init__(self, job: TrainingJob[Item], device: torch.device) -> None:
        self.job, self.device, self.here = job, device, processes()
        self.share = job.share if self.here.count > 1 else None
        self.parameters = [parameter for group in job.groups for parameter in group.parameters]
        groups = [{"params": list(group.parameters), "lr": group.learning_rate} for group in job.groups]
        self.optimiser: torch.optim.Optimizer = (
            torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
            if job.optimiser == "adamw"
            else torch.optim.LBFGS(
                self.parameters, max_iter=1, max_eval=LINE_SEARCH, history_size=20, line_search_fn="strong_wolfe"
            )
        )
        self.step, self.epoch, self.in_epoch = 0, 1, 0
        self.history: list[float] = []
        self.losses: list[Tensor] = []

    @property
    def is_over(self) -> bool:
        return self.job.schedule is not None and self.step >= self.job.schedule.steps

    def run_epoch(self, epoch: int, after_step: Callable[[int, float], None] | None) -> float:
        """Run the rest of an epoch. Return its mean loss."""
        self.epoch = epoch
        for batch in itertools.islice(self.job.batches(epoch), self.in_epoch, None):
            if self.is_over:
                break
            self._set_rates()
            if self.share is not None:  # seeds by process and step, so that a resume needs no other process's state
                seed_generators(self.job.seed + 1_000_003 * self.here.index + 1_000_000_007 * self.step, self.device)
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

    def _train_on(self, batch: Item) -> Tensor:
        part, weight = (batch, 1.0) if self.share is None else self.share(batch, self.here.index, self.here.count)

        def closure() -> Any:  # torch types it as float, yet wants the tensor
            self.optimiser.zero_grad()
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.job.precision == "bfloat16"):
                loss = self.job.loss(part) * weight
            loss.backward()  # type: ignore[no-untyped-call]
            if self.share is not None:
                loss = average_gradients(self.parameters, loss)
            if self.job.optimiser == "adamw":
                torch.nn.utils.clip_grad_norm_(self.parameters, self.job.clip)
            return loss

        return torch.as_tensor(self.optimiser.step(closure)).detach()

    def _set_rates(self) -> None:
        for group, settings in zip(self.optimiser.param_groups, self.job.groups, strict=True):
            if self.job.schedule is not None:
                group["lr"] = settings.learning_rate * self.job.schedule(self.step)
            if settings.begin:
                for parameter in settings.parameters:  # without a gradient AdamW changes neither them nor their moments
                    parameter.requires_grad_(self.epoch > settings.begin)

    def resume(self) -> None:
        """Load the newest checkpoint, if any. Raise ProcessError if process 0 found another."""
        found = self.job.checkpoints.newest() if self.job.checkpoints is not None else None
        step = 0 if found is None else found[1]["step"]
        main = round(broadcast(step))
        if main != step:
            raise ProcessError(
                f"process {self.here.index}: found the checkpoint of step {step}, process 0 that of step {main}; expected "
                "both to see the same folder. Choose one with --out on a disk that all machines share."
            )
        if found is not None:
            self._load(*found)
        if self.here.count > 1:
            begin_equal(self.parameters)

    def _load(self, tensors: dict[str, Tensor], counters: dict[str, Any]) -> None:
        self.job.model.load_state_dict({name[6:]: t for name, t in tensors.items() if name.startswith("model.")})
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("optimiser."):
                _, index, key = name.split(".", 2)
                moments.setdefault(int(index), {})[key] = tensor
        self.optimiser.load_state_dict({"state": moments, "param_groups": self.optimiser.state_dict()["param_groups"]})
        torch.set_rng_state(tensors["random.cpu"])
        if self.device.type == "cuda" and "random.cuda" in tensors:  # a run may resume on another kind of device
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
