"""Several processes of one run: which this one is, and messages between them.

All run the same stages on the same data with the same seeds. They share only the steps of gradient descent.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import warnings
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from nlptl.errors import ProcessError

if TYPE_CHECKING:
    import torch

PATIENCE = timedelta(days=30)  # process 0 may work alone for long, for example on word vectors


@dataclasses.dataclass(frozen=True)
class Processes:
    """One process among those of the run."""

    index: int = 0  # process 0 locks, writes, publishes and reports
    count: int = 1
    local_index: int = 0  # on this machine, and of this process's GPU

    @property
    def is_main(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0


def is_main() -> bool:
    """Say whether this is process 0, without connecting to the others."""
    return int(os.environ.get("WORLD_SIZE", "1")) <= 1 or os.environ.get("RANK", "0") == "0"


def processes() -> Processes:
    """Return which process this is. The first call connects it to the others, if any."""
    return _connected()[0]


def broadcast(value: float) -> float:
    """Return process 0's value, so that all decide alike even if their arithmetic differs in a bit."""
    return _exchange_number(value, lambda dist, message, group: dist.broadcast(message, 0, group=group))


def all_reduce_sum(value: float) -> float:
    """Return the sum of every process's value."""
    return _exchange_number(value, lambda dist, message, group: dist.all_reduce(message, group=group))


def _exchange_number(value: float, exchange: Callable[[Any, torch.Tensor, Any], object]) -> float:
    here, control = _connected()
    if here.count == 1:
        return value
    import torch

    message = torch.tensor(value, dtype=torch.float64)
    with connection_errors():
        exchange(torch.distributed, message, control)
    return float(message)


@contextlib.contextmanager
def main_process_first() -> Iterator[Processes]:
    """Run the block on process 0, then on the others, which find the files it wrote.

    If one process raises, the others raise ProcessError with its message. Do not call collectives inside the block:
    they would deadlock.
    """
    here = processes()
    if here.count == 1:
        yield here
        return
    if not here.is_main:
        _raise_first(_gather_messages(""), here)
    try:
        yield here
    except Exception as error:
        with contextlib.suppress(ProcessError):  # the others may have ended
            _gather_messages(str(error) or type(error).__name__)
        raise
    if here.is_main:
        _gather_messages("")
    _raise_first(_gather_messages(""), here)


def end() -> None:
    """Disconnect from the other processes, after all of them have called this."""
    if processes().count > 1:
        import torch

        with contextlib.suppress(ProcessError):
            broadcast(0.0)
        torch.distributed.destroy_process_group()
        _connected.cache_clear()


@contextlib.contextmanager
def connection_errors() -> Iterator[None]:
    """Raise ProcessError, in one sentence, for a connection that breaks inside the block."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] *", "", f"{error}".strip()).split(". ")[0].split("\n")[0] or type(error).__name__
        raise ProcessError(
            f"process {processes().index}: lost the connection to the others ({reason}); expected all to work to the "
            "end. Look for the error of one of them, then run the same command to resume."
        ) from error


@functools.cache
def _connected() -> tuple[Processes, Any]:
    """Return this process, and the group of all for messages that may take long to arrive."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes(), None
    import torch
    from accelerate import PartialState

    gpu = torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OMP_NUM_THREADS")
        state = PartialState(cpu=not gpu, **({"backend": "cuda:nccl,cpu:gloo"} if gpu else {}))
    if state.num_processes == 1:
        return Processes(), None
    control = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state.local_process_index), control


def _gather_messages(own: str) -> list[str]:
    """Wait for every process's message and return them."""
    import torch

    here, control = _connected()
    encoded = torch.tensor(list(own.encode("utf-8")), dtype=torch.uint8)
    sizes = [int(size) for size in _all_gather(torch.tensor([len(encoded)]), here.count, control)]
    buffer = torch.zeros(max(1, *sizes), dtype=torch.uint8)
    buffer[: len(encoded)] = encoded
    parts = _all_gather(buffer, here.count, control)
    return [bytes(part[:size].tolist()).decode("utf-8") for part, size in zip(parts, sizes, strict=True)]


def _all_gather(tensor: torch.Tensor, count: int, control: Any) -> list[torch.Tensor]:
    import torch

    parts = [torch.empty_like(tensor) for _ in range(count)]
    with connection_errors():
        torch.distributed.all_gather(parts, tensor, group=control)
    return parts


def _raise_first(messages: list[str], here: Processes) -> None:
    """Raise ProcessError with the first message that is not empty, if any."""
    for index, message in enumerate(messages):
        if message:
            raise ProcessError(f"process {index} of {here.count}: {message}")
