"""Profile of a run's data: what data.json says of the parts, and how long their texts are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nlptl.data import DataReport, TextTable
from nlptl.errors import ArtifactError
from nlptl.results import read_result
from nlptl.runs import folder as on_disk
from nlptl.runs.report.facts import DataFacts, PartFacts
from nlptl.runs.start.outcome import StartOutcome

QUANTILES = (0, 0.25, 0.5, 0.75, 0.95, 1)


def read_data_report(run: Path) -> DataReport | None:
    """Read what a run found in its data. None where that is missing, damaged or of another version."""
    with contextlib.suppress(ArtifactError, ValidationError):
        content = read_result(run / on_disk.DATA_REPORT)
        return None if content is None else TypeAdapter(DataReport).validate_python(content)
    return None


def data_facts(
    report: DataReport | None, tables: Mapping[str, TextTable | None], outcome: StartOutcome | None
) -> DataFacts:
    """Return the profile of a run's data. `tables` are the parts whose texts could be read again."""
    told = () if outcome is None else (*outcome.taken_as, *outcome.profile)
    warnings = () if outcome is None else outcome.warnings
    if report is None:
        return DataFacts((), told, warnings)
    lengths = {name: _lengths(table) for name, table in tables.items() if table is not None}
    parts = (
        PartFacts(name, part.source, part.rows_read, part.rows_used, dict(part.labels or {}), lengths.get(name, ()), part.digest)
        for name, part in report.parts.items()
    )  # fmt: skip
    return DataFacts(tuple(parts), (*told, *report.sentences()), warnings)


def _lengths(table: TextTable) -> tuple[int, ...]:
    counts = np.concatenate([np.fromiter(map(len, batch), np.int64, len(batch)) for batch in table.batches()])
    return tuple(int(one) for one in np.quantile(counts, QUANTILES))
