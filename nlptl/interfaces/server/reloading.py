"""Hot reload: a look at each run's folder every other second, and a new version beside the old one where it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from nlptl.errors import NlptlError, first_line
from nlptl.interfaces.server.loaded_model import Device, LoadedModel, Stamp, load_model, stamp_of_run, warm_up
from nlptl.interfaces.server.served_model import ServedModel
from nlptl.interfaces.server.server_metrics import ServerMetrics

WARM_UP = ("A clever film with a warm ending.",)


class RunWatch:
    """Watch over the run of one served model."""

    def __init__(
        self, served: ServedModel, run: Path, *, device: Device, metrics: ServerMetrics, tell: Callable[[str], None]
    ) -> None:
        self._served, self._run, self._device, self._metrics, self._tell = served, run, device, metrics, tell
        self._seen: Stamp | None = None

    async def look(self) -> None:
        """Load what has changed since the last look. A failure keeps the version that answers, and is told once."""
        stamp = await asyncio.to_thread(stamp_of_run, self._run)
        if stamp == self._seen:
            return
        is_first, self._seen = self._seen is None, stamp
        try:
            found = await asyncio.to_thread(self._newer)
        except (NlptlError, OSError, MemoryError) as error:
            self._failed(" ".join(str(error).split("\n")))
        except Exception as error:  # a library tells a damaged file in its own words
            self._failed(f"{type(error).__name__}: {first_line(error)}.")
        else:
            if found is not None:
                self._served.replace(found)
                self._metrics.reloaded(self._served.name, failed=False)
                self._tell(f"{self._served.name}: version {found.version} answers from now on.")
            elif not is_first:
                self._served.failure = None

    def _newer(self) -> LoadedModel | None:
        """Return the run's version in use; None where it answers already."""
        found = load_model(self._run, device=self._device)
        if found.version == self._served.current.model.version:
            return None
        warm_up(found, WARM_UP)
        return found

    def _failed(self, reason: str) -> None:
        kept = self._served.current.model.version
        self._served.failure = (
            f"A newer version could not be read; version {kept} stays in use. The server's log says why."
        )
        self._metrics.reloaded(self._served.name, failed=True)
        self._tell(f"{self._served.name}: version {kept} stays in use, since a newer one could not be read. {reason}")


async def watch(watches: Mapping[str, RunWatch], *, seconds: float) -> None:
    """Look at all runs for ever, `seconds` apart."""
    while True:
        for one in watches.values():
            await one.look()
        await asyncio.sleep(seconds)
