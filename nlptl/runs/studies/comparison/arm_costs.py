"""What an arm costs: time, parameters that learn, memory, disk, and time for one text."""

from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from nlptl.config import Config
from nlptl.disk.drafts import temporary_folder

if TYPE_CHECKING:
    import torch

    from nlptl.models.classifier import TextClassifier

TIMED_TEXTS, TIMED_SECONDS, MAX_TIMED = 15, 0.1, 300  # texts predicted one by one: at least, so long, at most
MEGABYTE = 1e6
_PEAK, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


class ArmCost(Config):
    """What one training of an arm cost. None where it was not measured."""

    seconds: float = Field(ge=0)  # of all its stages, shared ones included
    trainable_parameters: int = 0  # that learnt in any stage
    memory: float | None = None  # megabytes at the peak: of the process, or of the GPU that it trained on
    disk: float | None = None  # megabytes of the classifier's folder
    latency: float | None = None  # milliseconds for one text alone, median
    holds_start: bool = (
        False  # whether the seconds hold the start of the program, too: imports, dictionaries, compiled code
    )


class Peak:
    """Highest use of memory while a block ran, in megabytes; None where the system does not tell."""

    def __init__(self) -> None:
        self.megabytes: float | None = None


@contextlib.contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Watch the memory of this process, or of the GPU, while the block runs."""
    peak = Peak()
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.megabytes = torch.cuda.max_memory_allocated(device) / MEGABYTE
        return
    with contextlib.suppress(OSError):
        _RESET.write_text("5", encoding="ascii")  # the kernel forgets the highest mark
    yield peak
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s*(\d+) kB", _PEAK.read_text(encoding="ascii", errors="replace"))
        peak.megabytes = None if found is None else int(found[1]) * 1024 / MEGABYTE


def megabytes_on_disk(classifier: TextClassifier) -> float:
    """Return how many megabytes the folder of a classifier takes."""
    with temporary_folder("compare") as folder:
        classifier.write_files(folder)
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MEGABYTE


def median_latency(classifier: TextClassifier, texts: Sequence[str]) -> float:
    """Return the median milliseconds that a classifier takes for one of `texts` alone, after a first one.

    Quick classifiers read more texts, again and again, so that a busy moment of the machine does not count.
    """
    classifier.probabilities(texts[:1])
    taken: list[float] = []
    while len(taken) < TIMED_TEXTS or (sum(taken) < TIMED_SECONDS and len(taken) < MAX_TIMED):
        begin = time.perf_counter()
        classifier.probabilities([texts[len(taken) % len(texts)]])
        taken.append(time.perf_counter() - begin)
    return 1000 * statistics.median(taken)
