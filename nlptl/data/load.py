"""load_data: from settings to checked tables and a report on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.leaks import Hashes, Leak, count_duplicates, examples, occurs_in, text_hashes
from nlptl.data.report import DataReport, PartReport
from nlptl.data.row_checks import check_rows, names_shown
from nlptl.data.shots import draw_shots
from nlptl.data.sources import OpenedSource, load, open_source, place_of_row
from nlptl.data.table import TextTable, arrow_batch, concatenate
from nlptl.data.text_data import LabelNames, LabelSet, TextData, check_labels
from nlptl.errors import DataError
from nlptl.progress import Progress

_PARTS = ("unlabelled", "source", "labelled", "validation", "test")


def load_data(
    settings: DataSettings, *, seed: int, where: str = "data", progress: Progress | None = None
) -> tuple[TextData, DataReport]:
    """Read and check all parts, drop leaks, draw shots by `seed`. DataError names the first fault at the YAML path `where`."""
    named = [name for name in _PARTS if getattr(settings, name)]
    parts = {name: _read(name, settings, where=f"{where}.{name}", progress=progress) for name in named}
    tables = {name: part.table for name, part in parts.items()}
    names = None if settings.label_names is None else LabelNames.of(settings.label_names)
    defining = [tables[name] for name in ("labelled", "source") if name in tables]
    for table in defining:
        LabelSet.of(table)
    if names is not None and not defining:
        LabelSet.named(names.labels(), where=f"{where}.label_names")

    def place(part: str, row: int) -> str:
        return place_of_row(parts[part].inputs[0], row, empty_text=settings.empty_text)

    check_labels(tables, names, where=f"{where}.label_names", place=place)
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
    on_remark: Callable[[str], object] | None = None,
) -> TextTable:
    """Read one source by `settings`. DataError tells the first fault; `on_remark` gets sentences on how the file is read."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=labelled, where=where)
    _tell(opened, on_remark)
    return load(opened, empty_text=settings.empty_text)[0]


def stream_texts(
    source: str | FileSource,
    *,
    settings: DataSettings | None = None,
    where: str = "data",
    on_remark: Callable[[str], object] | None = None,
) -> Iterator[list[str]]:
    """Yield the texts of one file in batches as they are read; `on_remark` gets sentences on how that is done."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=False, where=where)
    _tell(opened, on_remark)
    for found in opened.rows():
        rows = check_rows(found, origin=opened.origin, empty_text=settings.empty_text)
        yield arrow_batch(rows, opened.origin).column("text").to_pylist()


def _tell(source: OpenedSource, on_remark: Callable[[str], object] | None) -> None:
    if on_remark is not None:
        for remark in source.remarks:
            on_remark(remark)


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
            remarks=tuple(remark for source in self.inputs for remark in source.remarks),
        )


def _read(name: str, settings: DataSettings, *, where: str, progress: Progress | None) -> _ReadPart:
    sources: list[str | FileSource | HubSource] | str | FileSource | HubSource = getattr(settings, name)
    named = (
        [(f"{where}.{i}", one) for i, one in enumerate(sources)] if isinstance(sources, list) else [(where, sources)]
    )
    is_labelled = name != "unlabelled"
    inputs = [open_source(one, settings=settings, labelled=is_labelled, where=place) for place, one in named]
    loaded = [load(source, empty_text=settings.empty_text, progress=progress) for source in inputs]
    tables, skipped = zip(*loaded, strict=True)
    return _ReadPart(inputs, concatenate(tables), sum(skipped))


def _clear_leaks(tables: dict[str, TextTable], *, drop: bool) -> tuple[dict[str, int], list[Leak]]:
    """Remove leaks from `tables`. Return the number of duplicates of each part, and the leaks."""
    duplicates: dict[str, int] = {}
    leaks: list[Leak] = []
    tests: dict[str, Hashes] = {}
    for name in reversed(_PARTS):  # the test, which is never changed; validation gives way to it, other parts to both
        if name not in tables:
            continue
        hashes = text_hashes(tables[name])
        leaky = np.zeros(len(hashes), dtype=np.bool_)
        for other, held_out in tests.items():
            found = occurs_in(hashes, held_out)
            if found.any():
                leaks.append(Leak(name, other, int(found.sum()), examples(tables[name], found), drop))
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
            rows = f"all rows of label {names_shown(sorted(lost))}"
            raise DataError(f"{read.name}: {rows} also occur in the test or validation data. {remedy}")
