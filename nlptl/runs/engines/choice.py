"""Choice of the engine that a command names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Literal

from nlptl.errors import ConfigError
from nlptl.runs.engines.engine import Engine, LocalEngine
from nlptl.runs.engines.threads import usable_cores

EngineName = Literal["local", "processes", "ray"]


@contextlib.contextmanager
def engine_for(
    name: EngineName, *, address: str | None = None, workers: int | None = None, device: str = "auto",
    say: Callable[[str], object] = lambda _: None,
) -> Iterator[Engine]:  # fmt: skip
    """Lend the engine of this name, and end what it started. `say` gets remarks, such as on a worker that has ended.

    Raises ConfigError for options that the engine does not have.
    """
    check_options(name, address=address, workers=workers)
    if name == "ray":
        from nlptl.runs.engines.ray_cluster import ray_engine

        with ray_engine(address=address, workers=workers, device=device, say=say) as engine:
            yield engine
    elif name == "processes":
        from nlptl.runs.engines.processes import ProcessEngine

        count = workers or usable_cores()
        yield ProcessEngine(count, threads=max(1, usable_cores() // count), say=say)
    else:
        yield LocalEngine()


def check_options(name: EngineName, *, address: str | None, workers: int | None) -> None:
    """Raise ConfigError for options that the engine of this name does not have."""
    if address is not None and name != "ray":
        raise ConfigError(
            f"--address: belongs to --engine ray, but the engine is {name}. Drop it, or add --engine ray."
        )
    if workers is not None and name == "local":
        raise ConfigError(
            "--workers: belongs to --engine processes or ray, but the engine is local. Drop it, or name an engine."
        )
