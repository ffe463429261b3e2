"""Report of a run as one page of HTML, which loads nothing from anywhere, and its whole tables beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.disk.drafts import write_atomically
from nlptl.disk.refusals import told_as_read_error
from nlptl.errors import ArtifactError
from nlptl.interfaces.html.page import Limits, is_own_page, render
from nlptl.interfaces.html.tables import NAMES, write_tables

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.runs.report.facts import RunReport

FILE = "report.html"
MAX_BYTES = 2_000_000  # of the page
BEGINNING = 4_000  # bytes in which a page names its maker


def write_report(
    run: Path, out: Path | None = None, *, price_per_hour: float | None = None, context: RunContext | None = None
) -> Path:
    """Write the report of a run, and its tables into a folder beside it. Return the page's path.

    `run` may be one of its stages, or the folder of `nlptl start`. Without `out` the page is report.html in the run, or in
    the folder of the start. A page that nlptl wrote is replaced. Raises ArtifactError for another file, and for a folder
    that holds no finished run.
    """
    from nlptl.runs.folder import run_inside, whole_run
    from nlptl.runs.report.gathering import gather, started_by

    inside = whole_run(run_inside(run))
    out = (inside.parent if started_by(inside) else inside) / FILE if out is None else out
    check_replaceable(out)
    report = gather(inside, price_per_hour=price_per_hour, context=context)
    write_tables(report, tables_beside(out))
    page = page_of(report, tables=tables_beside(out).name)
    write_atomically(out, lambda file: file.write(page))
    return out


def page_of(report: RunReport, *, tables: str) -> bytes:
    """Return the page of a run, with as many texts as fit into two megabytes."""
    limits = Limits()
    while True:
        page = render(report, limits=limits, tables=tables).encode("utf-8", "backslashreplace")
        if len(page) <= MAX_BYTES or limits == limits.halved():
            return page
        limits = limits.halved()


def tables_beside(out: Path) -> Path:
    """Return the folder of a page's tables."""
    return out.with_name(f"{out.stem}-tables")


def check_replaceable(out: Path) -> None:
    """Raise ArtifactError where something stands that no report of nlptl may replace."""
    if os.path.lexists(out):
        with told_as_read_error(out):
            ours = out.is_file() and is_own_page(_beginning(out))
        if not ours:
            raise ArtifactError(
                f"{out}: a file that nlptl did not write stands here; nothing was overwritten. Name another file with --out."
            )
    folder = tables_beside(out)
    others = sorted({path.name for path in folder.iterdir()} - {*NAMES}) if folder.is_dir() else []
    if others or (os.path.lexists(folder) and not folder.is_dir()):
        what = f"holds {others[0]}, which nlptl did not write" if others else "is a file"
        raise ArtifactError(
            f"{folder}: {what}; expected a folder for the tables of the report. Name another file with --out."
        )


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGINNING)
