"""The command `report`: a page about a run, to be opened in a browser."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from nlptl.errors import ConfigError
from nlptl.interfaces.options import DeviceOption, PriceOption, QuietOption, RunArgument, check_place, path_option
from nlptl.interfaces.terminal import tell

SUFFIXES = (".html", ".htm")  # of a page


def report(
    run: RunArgument,
    out: Annotated[Path | None, path_option(help="Write the page into this file instead of RUN/report.html.")] = None,
    price_per_hour: PriceOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Write a page about a run: scores, mistakes, data and cost.

    The page is one file that loads nothing from anywhere.
    Whole tables go into a folder beside it, as CSV.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.html.run_report import write_report

    check_place(out, "--out")
    if out is not None and out.suffix.lower() not in SUFFIXES:
        raise ConfigError(
            f"--out: found {out.name}; expected a name that ends in .html, since the page is HTML. A browser prints it as PDF."
        )
    if price_per_hour is not None and not 0 <= price_per_hour < float("inf"):
        raise ConfigError(
            f"--price-per-hour: found {price_per_hour:g}; expected a number of at least 0. Give the price of an hour."
        )
    context = RunContext(device=device, progress=progress_for(sys.stderr, quiet=quiet))
    tell([str(write_report(run, out, price_per_hour=price_per_hour, context=context))], wrap=False)
