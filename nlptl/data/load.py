"""load_data: from settings to checked tables and a report on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.leaks import Hashes, Leak, count_duplicates, examples, occurs_in, text_hashes
from nlptl.data.report import DataReport, PartReport
from nlptl.data.row_checks import check_rows, names_shown
from nlptl.data.shots import draw_shots
from nlptl.data.sources import OpenedSource, load, open_source, place_of_row
from nlptl.data.table import TextTable, check_whole_characters, concatenate
from nlptl.data.text_data import LabelNames, LabelSet, TextData, check_labels
from nlptl.errors import DataError
from nlptl.progress import Progress

_PARTS = ("unlabelled", "source", "labelled", "validation", "test")
_TESTED_BY = {
    "validation": ("test",),
    "labelled": ("test", "validation"),
    "source": ("test", "validation"),
    "unlabelled": ("test", "validation"),
}
"""Parts that must not share texts with each part. `test` itself is never changed."""


def load_data(
    settings: DataSettings, *, seed: int, where: str = "data", progress: Progress | None = None
) -> tuple[TextData, DataReport]:
    """Read and check all parts that `settings` names, drop leaks, and draw shots by `seed`.

    `where` is the YAML path of the settings. Raises DataError for the first fault.
    """
    parts = {
        name: _read(name, settings, where=f"{where}.{name}", progress=progress)
        for name in _PARTS
        if getattr(settings, name)
    }
    tables = {name: part.table for name, part in parts.items()}
    names = None if settings.label_names is None else LabelNames.of(settings.label_names)
    _check_labels(parts, names, settings, f"{where}.label_names")
    duplicates, leaks = _clear_leaks(tables, drop=settings.drop_leaks)
    _check_what_is_left(parts, tables)
    if settings.shots is not None:
        tables["labelled"] = draw_shots(tables["labelled"], settings.shots, seed)
    reports = {name: parts[name].report(tables[name], duplicates[name]) for name in tables}
    return TextData(**tables, label_names=names), DataReport(reports, tuple(leaks), settings.shots)


def load_table(
    source: str | FileSource | HubSource,
    *,
    settings: DataSettings | None = None,
    labelled: bool = True,
    where: str = "data",
) -> TextTable:
    """Read one source, with the column names of `settings`. Raises DataError for the first fault."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=labelled, where=where)
    return load(opened, empty_text=settings.empty_text).table


def stream_texts(source: str, *, settings: DataSettings | None = None, where: str = "data") -> Iterator[list[str]]:
    """Yield the texts of one file in batches as they are read."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=False, where=where)
    for found in opened.rows():
        rows = check_rows(found, origin=opened.origin, empty_text=settings.empty_text)
        check_whole_characters(rows, opened.origin)
        yield list(rows.texts)


@dataclass(frozen=True)
class _ReadPart:
    """Part of the data before leaks are dropped."""

    inputs: list[OpenedSource]
    table: TextTable
    skipped: int

    def report(self, used: TextTable, duplicates: int) -> PartReport:
        return PartReport(
            source=self.table.name,
            rows_read=len(self.table),
            rows_used=len(used),
            empty_skipped=self.skipped,
            duplicates=duplicates,
            labels=dict(sorted(Counter(used.labels()).items())) if used.has_labels else None,
            digest=used.digest,
            revisions=tuple(source.revision for source in self.inputs if source.revision is not None),
        )


def _read(name: str, settings: DataSettings, *, where: str, progress: Progress | None) -> _ReadPart:
    sources: list[str | FileSource | HubSource] | str | FileSource | HubSource = getattr(settings, name)
    places = (
        {f"{where}.{i}": source for i, source in enumerate(sources)} if isinstance(sources, list) else {where: sources}
    )
    inputs = [
        open_source(source, settings=settings, labelled=name != "unlabelled", where=place)
        for place, source in places.items()
    ]
    loaded = [load(source, empty_text=settings.empty_text, progress=progress) for source in inputs]
    return _ReadPart(inputs, concatenate([part.table for part in loaded]), sum(part.skipped for part in loaded))


def _check_labels(parts: Mapping[str, _ReadPart], names: LabelNames | None, settings: DataSettings, where: str) -> None:
    tables = {name: part.table for name, part in parts.items()}
    defining = [tables[name] for name in ("labelled", "source") if name in tables]
    for table in defining:
        LabelSet.of(table)
    if names is not None and not defining:
        LabelSet.named(names.labels(), where=where)

    def place(part: str, row: int) -> str:
        return place_of_row(parts[part].inputs[0], row, empty_text=settings.empty_text)

    check_labels(tables, names, where=where, place=place)


def _clear_leaks(tables: dict[str, TextTable], *, drop: bool) -> tuple[dict[str, int], list[Leak]]:
    """Remove leaks from `tables`. Return the number of duplicates of each part, and the leaks."""
    duplicates: dict[str, int] = {}
    leaks: list[Leak] = []
    tests: dict[str, Hashes] = {}
    for name in reversed(_PARTS):
        if name not in tables:
            continue
        hashes = text_hashes(tables[name])
        leaky = np.zeros(len(hashes), dtype=np.bool_)
        for other in _TESTED_BY.get(name, ()):
            if other in tests:
                found = occurs_in(hashes, tests[other])
                if found.any():
                    count = int(found.sum())
                    leaks.append(Leak(name, other, count, examples(tables[name], found), drop))
                leaky |= found
        duplicates[name] = count_duplicates(hashes)
        if name in ("test", "validation"):
            tests[name] = hashes
        if drop and leaky.any():
            tables[name] = tables[name].keep(~leaky)
    return duplicates, leaks


def _check_what_is_left(parts: Mapping[str, _ReadPart], tables: Mapping[str, TextTable]) -> None:
    remedy = "Add rows, or set `drop_leaks: false` to keep them."
    for name, table in tables.items():
        read = parts[name].table
        if not len(table):
            raise DataError(f"{read.name}: all {len(read)} rows also occur in the test or validation data. {remedy}")
        lost = set(read.labels()) - set(table.labels()) if name in ("labelled", "source") else set()
        if lost:
            shown = names_shown(sorted(lost))
            raise DataError(
                f"{read.name}: all rows of label {shown} also occur in the test or validation data. {remedy}"
            )
