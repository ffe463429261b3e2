"""Faults of the data, collected so that they are told together, each kind once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from nlptl.errors import DataError

MAX_TOLD = 20  # faults of one source, and places of one fault; more are counted

_MORE = re.compile(r"(\d+) more (?:fault was|faults were) found\. Correct these first\.")
_Item = TypeVar("_Item")


class CollectedFaults:
    """Faults in the order in which they are found. Those that differ in their place alone are one, with its places."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}  # of each fault, by what it says after its place
        self._counts: dict[str, int] = {}
        self._untold = 0

    def add(self, error: DataError) -> None:
        """Keep or count the faults of an error."""
        for fault in error.faults:
            place, _, told = fault.partition(": ")
            if more := _MORE.fullmatch(told):  # of a collection inside this one
                self._untold += int(more[1])
                continue
            if told not in self._counts and len(self._counts) == MAX_TOLD:
                self._untold += 1
                continue
            self._counts[told] = self._counts.get(told, 0) + 1
            places = self._places.setdefault(told, [])
            if len(places) < MAX_TOLD:
                places.append(place)

    def add_untold(self, count: int) -> None:
        """Count faults whose sentences are never built."""
        self._untold += count

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
        faults = [self._sentences(told) for told in self._counts]
        if self._untold:
            was = "fault was" if self._untold == 1 else "faults were"
            faults.append(f"{name}: {self._untold} more {was} found. Correct these first.")
        if faults:
            raise DataError(faults)

    def _sentences(self, told: str) -> str:
        first, *others = self._places[told]
        fault = f"{first}: {told}" if told else first
        if not others:
            return fault
        more, untold = self._counts[told] - 1, self._counts[told] - 1 - len(others)
        end = f" and {untold} more" if untold else ""
        return f"{fault} The same in {more} more place{'s' * (more != 1)}: {', '.join(others)}{end}."
