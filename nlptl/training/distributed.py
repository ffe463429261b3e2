"""One run in several processes: who this one is, and how they take turns, agree, and end together.

torchrun and accelerate launch start the processes; Accelerate connects them. All run the same stages on the same data
with the same seeds, and share out nothing but the steps of gradient descent (`nlptl.training.collectives`).
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

PATIENCE = timedelta(days=30)  # how long a process waits while another works alone, such as on word vectors
GPU_BACKEND = "cuda:nccl,cpu:gloo"


@dataclasses.dataclass(frozen=True)
class Processes:
    """One process among those of the run."""

    index: int = 0
    """0 for the one that locks, writes, publishes and tells."""
    count: int = 1
    local_index: int = 0
    """Index on this machine, which is also that of its GPU."""

    @property
    def is_main(self) -> bool:
        """Whether this is process 0."""
        return self.index == 0


def is_main() -> bool:
    """Say whether this is process 0, without connecting to the others."""
    return int(os.environ.get("WORLD_SIZE", "1")) <= 1 or os.environ.get("RANK", "0") == "0"


def processes() -> Processes:
    """Return who this process is; the first call connects it with the others, if there are any."""
    return _connected()[0]


def broadcast(value: float) -> float:
    """Return the value that process 0 holds, so that all decide alike even where their arithmetic differs in a bit."""
    return _figure(value, lambda dist, message, group: dist.broadcast(message, 0, group=group))


def all_reduce_sum(value: float) -> float:
    """Return the sum of every process's value."""
    return _figure(value, lambda dist, message, group: dist.all_reduce(message, group=group))


def _figure(value: float, exchange: Callable[[Any, torch.Tensor, Any], object]) -> float:
    here, control = _connected()
    if here.count == 1:
        return value
    import torch

    message = torch.tensor(value, dtype=torch.float64)
    with told_as_process_error():
        exchange(torch.distributed, message, control)
    return float(message)


@contextlib.contextmanager
def main_process_first() -> Iterator[Processes]:
    """Let process 0 go first; the others follow when it is through, and nobody goes on before all are.

    What the others look for is then there already. Where one fails, all end: it with its own error, the others with a
    ProcessError that holds its sentence. Within a turn nothing may be exchanged: the others are waiting elsewhere.
    """
    here = processes()
    if here.count == 1:
        yield here
        return
    if not here.is_main:
        _end_with(_exchanged(""), here)
    try:
        yield here
    except Exception as error:
        with contextlib.suppress(ProcessError):  # the others may have gone
            _exchanged(str(error) or type(error).__name__)
        raise
    if here.is_main:
        _exchanged("")
    _end_with(_exchanged(""), here)


def end() -> None:
    """Part from the other processes, all of which must have come this far."""
    if processes().count > 1:
        import torch

        with contextlib.suppress(ProcessError):
            broadcast(0.0)
        torch.distributed.destroy_process_group()
        _connected.cache_clear()


@contextlib.contextmanager
def told_as_process_error() -> Iterator[None]:
    """Tell a connection that breaks in one sentence."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] *", "", f"{error}".strip()).split(". ")[0].split("\n")[0] or type(error).__name__
        raise ProcessError(
            f"process {processes().index}: lost the connection to the others ({reason}); expected all to work to the "
            "end. Look for what one of them told, then run the same command to go on."
        ) from error


@functools.cache
def _connected() -> tuple[Processes, Any]:
    """Return this process, and the group of all for messages that may be long in coming."""
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return Processes(), None
    import torch
    from accelerate import PartialState

    gpu = torch.cuda.is_available()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="OMP_NUM_THREADS")
        state = PartialState(cpu=not gpu, **({"backend": GPU_BACKEND} if gpu else {}))
    if state.num_processes == 1:
        return Processes(), None
    control = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state.local_process_index), control


def _exchanged(sentence: str) -> list[str]:
    """Return every process's sentence; waits for all of them."""
    import torch

    here, control = _connected()
    own = torch.tensor(list(sentence.encode("utf-8")), dtype=torch.uint8)
    sizes = _gathered(torch.tensor([len(own)]), here.count, control)
    room = torch.zeros(max(int(size) for size in sizes), dtype=torch.uint8)
    if not len(room):
        return [""] * here.count
    room[: len(own)] = own
    parts = _gathered(room, here.count, control)
    return [bytes(part[: int(size)].tolist()).decode("utf-8") for part, size in zip(parts, sizes, strict=True)]


def _gathered(tensor: torch.Tensor, count: int, control: Any) -> list[torch.Tensor]:
    import torch

    parts = [torch.empty_like(tensor) for _ in range(count)]
    with told_as_process_error():
        torch.distributed.all_gather(parts, tensor, group=control)
    return parts


def _end_with(sentences: list[str], here: Processes) -> None:
    """Raise ProcessError with the first sentence, if there is any."""
    for index, sentence in enumerate(sentences):
        if sentence:
            raise ProcessError(f"process {index} of {here.count}: {sentence}")
