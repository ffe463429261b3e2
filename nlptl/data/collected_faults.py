"""Faults of one data source, collected so that they are told together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nlptl.errors import DataError

MAX_TOLD = 20  # faults of one source; more are counted

_Item = TypeVar("_Item")


class CollectedFaults:
    """Faults in the order in which they are found; the first twenty are kept."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._count = 0

    def add(self, error: DataError) -> None:
        """Keep or count the faults of an error."""
        for fault in error.faults:
            self._count += 1
            if len(self._told) < MAX_TOLD:
                self._told.append(fault)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Run the block; a DataError ends it and is kept."""
        try:
            yield
        except DataError as error:
            self.add(error)

    def until_error(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items. A DataError between them ends them and is kept."""
        with self.kept():
            yield from items

    def check(self, name: str) -> None:
        """Raise DataError with all faults of the source `name`, if there are any."""
        more = self._count - len(self._told)
        if more:
            told = f"{name}: {more} more fault{'s' * (more != 1)} {'was' if more == 1 else 'were'} found. Correct these first."
            raise DataError([*self._told, told])
        if self._told:
            raise DataError(self._told)
