"""Choice of the engine that a command names."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Literal

from nlptl.errors import ConfigError
from nlptl.runs.engines.engine import Engine, LocalEngine
from nlptl.runs.engines.threads import usable_cores

EngineName = Literal["local", "processes", "ray"]


@dataclasses.dataclass(frozen=True)
class EngineChoice:
    """What a command was told of the engine."""

    name: EngineName = "local"
    address: str | None = None  # of a Ray cluster
    workers: int | None = None

    def check(self) -> None:
        """Raise ConfigError for options that the engine does not have."""
        if self.address is not None and self.name != "ray":
            raise ConfigError(
                f"--address: belongs to --engine ray, but the engine is {self.name}. Drop it, or add --engine ray."
            )
        if self.workers is not None and self.name == "local":
            raise ConfigError(
                "--workers: belongs to --engine processes or ray, but the engine is local. Drop it, or name an engine."
            )
        if self.workers is not None and self.workers < 1:
            raise ConfigError(f"--workers: found {self.workers}; expected 1 or more. Leave it out for one a core.")

    @contextlib.contextmanager
    def lent(self, *, device: str = "auto", say: Callable[[str], object] = lambda _: None) -> Iterator[Engine]:
        """Lend the engine, and end what it started. `say` gets remarks, such as on a worker that has ended.

        Raises ConfigError where the engine is not installed, ProcessError where its cluster cannot be reached.
        """
        if self.name == "ray":
            from nlptl.runs.engines.ray_cluster import ray_engine

            with ray_engine(address=self.address, workers=self.workers, device=device, say=say) as engine:
                yield engine
        elif self.name == "processes":
            from nlptl.runs.engines.processes import ProcessEngine

            count = self.workers or usable_cores()
            yield ProcessEngine(count, threads=max(1, usable_cores() // count), say=say)
        else:
            yield LocalEngine()
