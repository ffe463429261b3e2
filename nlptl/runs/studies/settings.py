"""Settings of a comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from nlptl.config import Config
from nlptl.data import Source

if TYPE_CHECKING:
    pass


class Comparison(Config):
    """Which arms to compare, how often, on which tests."""

    arms: dict[str, dict[str, Any]] = Field(min_length=2, max_length=8)
    """Two arms or more, name to changed settings ("stages.0.epochs: 0", or a whole chain as "stages: [...]"); each is
    compared with the first."""
    seeds: int = Field(default=20, ge=2, le=1000)
    """How many seeds, counted up from the pipeline's own; more narrow the intervals, 20 is the least for a claim."""
    tests: dict[str, Source] = Field(min_length=1)
    """Labelled test files by the name under which the table shows them."""
    redraw: Source | None = None
    """Labelled file from which every seed also draws other examples to train on (as many a label as data.labelled
    has at least), tested on the rest: shows how much hangs on the choice of the examples. Must be none of the pile."""
