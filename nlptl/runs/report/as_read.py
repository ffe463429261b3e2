"""Texts of a run as it has read them: files that hold other rows today are left out and told."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.results import read_result_line
from nlptl.runs.folder import COMPARISON_ROWS
from nlptl.runs.reading.texts import RunTexts, TestTexts

if TYPE_CHECKING:
    from nlptl.data import DataReport, TextTable


def as_read(run: Path, texts: RunTexts, report: DataReport | None) -> RunTexts:
    """Return the texts without the parts whose rows the run has not read, each with a remark.

    Another test of a comparison stays, since the classifier is judged on it anew; a remark tells that it has changed.
    """
    labelled, remarks = texts.labelled, list(texts.remarks)
    if labelled is not None and (told := _changed(labelled, texts.part, report)):
        labelled = None
        remarks.append(told)
    tests, compared = list[TestTexts](), _compared(run)
    for test in texts.tests:
        if test.is_own and (told := _changed(test.table, "test", report)):
            remarks.append(told)
            continue
        tests.append(test)
        if not test.is_own and test.table.digest not in compared.get(test.name, {test.table.digest}):
            remarks.append(
                f"The test {test.name} holds other rows than the comparison was scored on, so its table and this page's other "
                "figures speak of different texts. Run the pipeline again."
            )
    return dataclasses.replace(texts, labelled=labelled, tests=tuple(tests), remarks=tuple(remarks))


def _changed(table: TextTable, part: str, report: DataReport | None) -> str:
    """Return a sentence if a part has other rows than the run has read."""
    known = None if report is None else report.parts.get(part)
    if known is None or known.digest == table.digest:
        return ""
    return (
        f"{table.name} holds other rows than this run has read for `{part}`. This page leaves them out; run the pipeline "
        "again to use them."
    )


def _compared(run: Path) -> dict[str, set[str]]:
    """Return the digests of the texts of each test on which a comparison has scored its arms."""
    path, found = run / COMPARISON_ROWS, dict[str, set[str]]()
    for line in path.read_text(encoding="utf-8", errors="replace").split("\n") if path.is_file() else ():
        if line and (row := read_result_line(line)) is not None:
            found.setdefault(str(row.get("test")), set()).add(str(row.get("texts")))
    return found
