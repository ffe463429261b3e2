"""load_data: from settings to checked tables and a report of what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.leaks import Hashes, Leak, count_duplicates, examples, stands_in, text_hashes
from nlptl.data.report import DataReport, PartReport
from nlptl.data.row_checks import check_rows, names_shown
from nlptl.data.shots import draw_shots
from nlptl.data.sources import Input, Loaded, load, open_source, place_of_row
from nlptl.data.table import TextTable, check_whole_characters, concatenate
from nlptl.data.text_data import LabelNames, LabelSet, TextData, check_known_labels, check_named_labels
from nlptl.errors import DataError
from nlptl.progress import Progress

_PARTS = ("unlabelled", "source", "labelled", "validation", "test")
_TESTED_BY = {
    "validation": ("test",),
    "labelled": ("test", "validation"),
    "source": ("test", "validation"),
    "unlabelled": ("test", "validation"),
}
"""Which parts must not share texts with which; test itself is never changed."""


def load_data(
    settings: DataSettings, *, seed: int, where: str = "data", progress: Progress | None = None
) -> tuple[TextData, DataReport]:
    """Read, check, clear of leaks and draw shots from all parts that `settings` names.

    `seed` decides the draw; `where` is the YAML path of the settings. Raises DataError for the first fault.
    """
    parts = {
        name: _read(name, settings, where=f"{where}.{name}", progress=progress)
        for name in _PARTS
        if getattr(settings, name)
    }
    tables = {name: part.loaded.table for name, part in parts.items()}
    names = None if settings.label_names is None else LabelNames.of(settings.label_names)
    _check_labels(parts, tables, settings, names, where)
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
    """Read one source by itself, with the column names of `settings`; raises DataError for the first fault."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=labelled, where=where)
    return load(opened, empty_text=settings.empty_text).table


def stream_texts(source: str, *, settings: DataSettings | None = None, where: str = "data") -> Iterator[list[str]]:
    """Yield the texts of one file in batches as they are read, however long the file is."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=False, where=where)
    for found in opened.rows():
        rows = check_rows(found, origin=opened.origin, empty_text=settings.empty_text)
        check_whole_characters(rows, opened.origin)
        yield list(rows.texts)


class _Part:
    """A part as it was read."""

    def __init__(self, inputs: list[Input], loaded: Loaded) -> None:
        self.inputs = inputs
        self.loaded = loaded

    def report(self, used: TextTable, duplicates: int) -> PartReport:
        return PartReport(
            source=self.loaded.table.name,
            rows_read=len(self.loaded.table),
            rows_used=len(used),
            empty_skipped=self.loaded.skipped,
            duplicates=duplicates,
            labels=dict(sorted(Counter(used.labels()).items())) if used.has_labels else None,
            digest=used.digest,
            revisions=tuple(source.revision for source in self.inputs if source.revision is not None),
        )


def _read(name: str, settings: DataSettings, *, where: str, progress: Progress | None) -> _Part:
    sources: list[str | FileSource | HubSource] | str | FileSource | HubSource = getattr(settings, name)
    labelled = name != "unlabelled"
    if not isinstance(sources, list):
        inputs = [open_source(sources, settings=settings, labelled=labelled, where=where)]
    else:
        inputs = [
            open_source(source, settings=settings, labelled=labelled, where=f"{where}.{index}")
            for index, source in enumerate(sources)
        ]
    loaded = [load(source, empty_text=settings.empty_text, progress=progress) for source in inputs]
    table = concatenate([part.table for part in loaded])
    return _Part(inputs, Loaded(table, sum(part.skipped for part in loaded)))


def _check_labels(
    parts: Mapping[str, _Part],
    tables: Mapping[str, TextTable],
    settings: DataSettings,
    names: LabelNames | None,
    where: str,
) -> None:
    naming: list[TextTable] = [tables[name] for name in ("labelled", "source") if name in tables]
    for table in naming:
        LabelSet.of(table)
    if names is not None and naming:
        check_named_labels(names, naming[0], where=f"{where}.label_names")
    elif names is not None:
        LabelSet.named(names.labels(), where=f"{where}.label_names")
    known = naming[0] if naming else names
    if known is None:
        return
    pairs = [(name, known) for name in ("source", "validation", "test")]
    if len(naming) > 1:
        pairs.append(("labelled", naming[1]))
    for name, other in pairs:
        if name in tables and tables[name] is not other:
            place = partial(place_of_row, parts[name].inputs[0], empty_text=settings.empty_text)
            check_known_labels(tables[name], other, place=place)


def _clear_leaks(tables: dict[str, TextTable], *, drop: bool) -> tuple[dict[str, int], list[Leak]]:
    """Replace the tables that hold leaks, and return the duplicates by part and the leaks found."""
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
                found = stands_in(hashes, tests[other])
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


def _check_what_is_left(parts: Mapping[str, _Part], tables: Mapping[str, TextTable]) -> None:
    for name, table in tables.items():
        read = parts[name].loaded.table
        if not len(table):
            raise DataError(
                f"{table.name}: all {len(read)} rows stand in the test or validation data too; expected others. "
                "Add rows, or set drop_leaks: false to keep them."
            )
        lost = set(read.labels()) - set(table.labels()) if name in ("labelled", "source") else set()
        if lost:
            raise DataError(
                f"{table.name}: all rows of label {names_shown(sorted(lost))} stand in the test or validation data "
                "too; expected others. Add rows, or set drop_leaks: false to keep them."
            )
