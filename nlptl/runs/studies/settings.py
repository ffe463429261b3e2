"""Settings of a comparison."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from nlptl.config import Config
from nlptl.data import Source


class Comparison(Config):
    """Which arms to compare, how often, on which tests."""

    arms: dict[str, dict[str, Any]] = Field(min_length=2, max_length=8)
    """Arms by name, each with its changed settings, such as "stages.0.epochs: 0". A whole chain is "stages: [...]".
    All arms are compared with the first."""
    seeds: int = Field(default=20, ge=2, le=1000)
    """Number of seeds, counted up from the pipeline's own. More seeds narrow the intervals; a claim needs 20."""
    tests: dict[str, Source] = Field(min_length=1)
    """Labelled test files by the name that the table shows."""
    redraw: Source | None = None
    """Labelled file from which every seed also draws other examples. Each label gets as many as the rarest label of
    data.labelled has; the rest is the test. This shows how much depends on which examples were labelled."""
