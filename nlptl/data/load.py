"""load_data: from settings to checked tables and a report on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike

import numpy as np

from nlptl.config import parse
from nlptl.data.collected_faults import CollectedFaults
from nlptl.data.columns import SETTINGS_DOOR, Door, names_shown
from nlptl.data.data_settings import DataSettings, FileSource, HubSource
from nlptl.data.hold_out import hold_out
from nlptl.data.label_checks import check_labels
from nlptl.data.label_findings import LabelFinding, label_findings
from nlptl.data.label_names import LabelNames
from nlptl.data.labelled_parts import LabelChanges, labelled_parts
from nlptl.data.leaks import Hashes, Leak, count_duplicates, examples, occurs_in, text_hashes
from nlptl.data.report import DataReport, PartReport
from nlptl.data.row_checks import RowPlace, check_rows, check_whole_characters
from nlptl.data.shots import draw_shots
from nlptl.data.sources import OpenedSource, load, numbers_of_rows, open_source
from nlptl.data.table import TextTable, concatenate
from nlptl.data.text_data import LabelSet, TextData
from nlptl.errors import DataError
from nlptl.progress import Progress

_PARTS = ("unlabelled", "source", "labelled", "validation", "test")


def load_data(
    settings: DataSettings, *, seed: int, where: str = "data", progress: Progress | None = None
) -> tuple[TextData, DataReport]:
    """Read and check all parts, drop leaks, draw shots by `seed`. DataError tells all faults found, at the YAML path `where`."""
    loaded = load_parts(settings, seed=seed, where=where, progress=progress)
    return loaded.data, loaded.report


def load_parts(
    settings: DataSettings, *, seed: int, where: str = "data", progress: Progress | None = None, one_label: bool = False
) -> LoadedData:
    """Do what `load_data` does, and also return where each row stands. `one_label` lets data pass that have one label alone."""
    if not isinstance(settings, DataSettings):
        settings = parse(DataSettings, settings, where=where)
    parts, tables, names = _read_parts(settings, where=where, progress=progress)
    _check_label_sets(parts, tables, names, where=where, one_label=one_label)
    findings = {
        name: list(label_findings(table, places=parts[name].places, names_labels=name in ("labelled", "source")))
        for name, table in tables.items()
        if name != "unlabelled"
    }
    duplicates, leaks = _clear_leaks(tables, drop=settings.drop_leaks)
    _check_what_is_left(parts, tables)
    if settings.shots is not None:
        tables["labelled"] = draw_shots(tables["labelled"], settings.shots, seed)
    reports = {
        name: parts[name].report(tables[name], duplicates[name], findings.get(name, ()))
        for name in _PARTS
        if name in tables
    }
    separator = settings.labels.separator if settings.labels else None
    data = TextData.of_tables(tables, names, separator=separator)
    report = DataReport(reports, tuple(leaks), settings.shots, settings.hold_out, data.labels_without_rows)
    return LoadedData(data, report, parts)


def load_table(
    source: str | PathLike[str] | FileSource | HubSource,
    *,
    settings: DataSettings | None = None,
    labelled: bool = True,
    where: str = "data",
    door: Door = SETTINGS_DOOR,
    on_remark: Callable[[str], object] | None = None,
) -> TextTable:
    """Read one source by `settings`. DataError tells its faults, with remedies of `door`; `on_remark` gets sentences on how.

    Rows without a label are left out unless `empty_label` is "refuse".
    """
    read = read_one(source, settings=settings or DataSettings(), labelled=labelled, where=where, door=door)
    _tell(read.remarks, on_remark)
    return read.table


def read_one(
    source: str | PathLike[str] | FileSource | HubSource, *, settings: DataSettings, labelled: bool, where: str,
    door: Door = SETTINGS_DOOR,
) -> ReadPart:  # fmt: skip
    """Read one source by `settings` as a part of its own, its labels spelt alike. DataError tells its faults."""
    opened = open_source(source, settings=settings, labelled=labelled, where=where, door=door)
    table, skipped = load(opened, empty_text=settings.empty_text, empty_label=settings.empty_label)
    if not labelled:
        return ReadPart([opened], table, skipped, settings, rows=(len(table),))
    found = labelled_parts({"read": table})[0]["read"]
    return ReadPart([opened], found.table, skipped, settings, found.changes, rows=(len(table),))


def stream_texts(
    source: str | PathLike[str] | FileSource,
    *,
    settings: DataSettings | None = None,
    where: str = "data",
    door: Door = SETTINGS_DOOR,
    on_remark: Callable[[str], object] | None = None,
) -> Iterator[list[str]]:
    """Yield the texts of one file in batches as they are read; `on_remark` gets sentences on how that is done."""
    settings = settings or DataSettings()
    opened = open_source(source, settings=settings, labelled=False, where=where, door=door)
    _tell(opened.remarks, on_remark)
    for found in opened.rows():
        rows = check_rows(found, origin=opened.origin, empty_text=settings.empty_text)
        check_whole_characters(rows, opened.origin)
        yield rows.texts


def _tell(remarks: Sequence[str], on_remark: Callable[[str], object] | None) -> None:
    if on_remark is not None:
        for remark in remarks:
            on_remark(remark)


@dataclass(frozen=True)
class LoadedData:
    """Data of a run, the report on them, and the parts that they were made of."""

    data: TextData
    report: DataReport
    parts: Mapping[str, ReadPart]

    def places(self, part: str, rows: Sequence[int]) -> list[RowPlace]:
        """Return where rows (from 0) of a part of `data` stand in the files. The files are read again."""
        return self.parts[part].row_places(rows, of=getattr(self.data, part))


@dataclass(frozen=True)
class ReadPart:
    """Part of the data before leaks are dropped."""

    inputs: list[OpenedSource]
    table: TextTable
    skipped: int
    settings: DataSettings
    changes: LabelChanges = field(default_factory=LabelChanges)
    rows: tuple[int, ...] = ()  # of each source, as read; those of `joined` stand behind them
    joined: ReadPart | None = field(default=None, repr=False)  # part whose rows were added to this one

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences on how the sources are read, where that is not the plain default."""
        return tuple(remark for source in self.inputs for remark in source.remarks)

    def places(self, rows: Sequence[int]) -> list[str]:
        """Return the places of rows, such as "test.csv:17"."""
        return [
            source.origin.name if number is None else source.origin.at(number) for source, number in self._found(rows)
        ]

    def row_places(self, rows: Sequence[int], *, of: TextTable) -> list[RowPlace]:
        """Return where `rows` of a table stand that holds rows of this part."""
        found = self._found(rows, of)
        sources = {id(source): source for source, _ in found}
        shown = {
            key: source.shown_rows({number for of, number in found if of is source and number is not None})
            for key, source in sources.items()
        }
        return [
            source.origin.place(None if number is None else shown[id(source)].get(number, number))
            for source, number in found
        ]

    def _found(self, rows: Sequence[int], of: TextTable | None = None) -> list[tuple[OpenedSource, int | None]]:
        """Return the source and the number of each row."""
        numbers = (of or self.table).numbers
        wanted = np.asarray(rows, np.int64) if numbers is None else numbers[np.asarray(rows, np.int64)] - 1
        sources = [*zip(self.inputs, self.rows, strict=True)]
        sources += [] if self.joined is None else zip(self.joined.inputs, self.joined.rows, strict=True)
        ends = np.cumsum([count for _, count in sources])
        place = np.searchsorted(ends, wanted, side="right")
        found: dict[int, tuple[OpenedSource, int | None]] = {}
        for number in np.unique(place).tolist():
            source, own = sources[number][0], wanted[place == number]
            first = ends[number] - sources[number][1]
            lines = numbers_of_rows(
                source,
                (own - first).tolist(),
                empty_text=self.settings.empty_text,
                empty_label=self.settings.empty_label,
            )
            found |= {row: (source, line) for row, line in zip(own.tolist(), lines, strict=True)}
        return [found[row] for row in wanted.tolist()]

    def report(self, used: TextTable, duplicates: int, findings: Sequence[LabelFinding]) -> PartReport:
        """Return the report on this part, of which the rows `used` are left."""
        return PartReport(
            source=self.table.name,
            rows_read=len(self.table),
            rows_used=len(used),
            empty_skipped=self.skipped,
            duplicates=duplicates,
            labels=dict(sorted(used.label_counts().items())) if used.has_labels else None,
            rows_of_no_label=used.label_sets().count(()) if used.has_label_sets else None,
            digest=used.digest,
            revisions=tuple(source.revision for source in self.inputs if source.revision is not None),
            empty_label=self.settings.empty_label,
            label_changes=self.changes,
            label_findings=tuple(findings),
            remarks=self.remarks,
        )


def _read_parts(
    settings: DataSettings, *, where: str, progress: Progress | None
) -> tuple[dict[str, ReadPart], dict[str, TextTable], LabelNames | None]:
    """Read all parts, spell their labels alike and add rows without a label to the pile. DataError tells all faults."""
    faults, parts = CollectedFaults(), dict[str, ReadPart]()
    for name in _PARTS:
        if getattr(settings, name):
            with faults.kept():
                parts[name] = _read(name, settings, where=f"{where}.{name}", progress=progress)
    faults.check(where)
    names = None if settings.label_names is None else LabelNames.of(settings.label_names)
    read = {name: part.table for name, part in parts.items() if name != "unlabelled"}
    labelled, spelt = labelled_parts(read, more_labels=() if names is None else tuple(names.labels()))
    for name, found in labelled.items():
        parts[name] = dataclasses.replace(parts[name], table=found.table, changes=found.changes)
    rest = None if "labelled" not in labelled else labelled["labelled"].unlabelled
    if rest is not None and settings.empty_label == "unlabelled":
        pile = parts.get("unlabelled") or ReadPart([], rest, 0, settings)
        joined = rest if pile.table is rest else concatenate([pile.table, rest])
        parts["unlabelled"] = dataclasses.replace(pile, table=joined, joined=parts["labelled"])
    if settings.hold_out is not None:
        given = parts["labelled"]
        rows_left, held_out = hold_out(given.table, settings.hold_out, where=f"{where}.hold_out")
        parts["labelled"] = dataclasses.replace(given, table=rows_left)
        parts["test"] = ReadPart([], held_out, 0, settings, joined=given)
    tables = {name: parts[name].table for name in _PARTS if name in parts}
    return parts, tables, None if names is None else names.spelt(spelt)


def _check_label_sets(
    parts: Mapping[str, ReadPart],
    tables: Mapping[str, TextTable],
    names: LabelNames | None,
    *,
    where: str,
    one_label: bool,
) -> None:
    faults = CollectedFaults()
    defining = [tables[name] for name in ("labelled", "source") if name in tables]
    for table in () if one_label else defining:
        with faults.kept():
            LabelSet.of(table)
    if names is not None and not defining:
        with faults.kept():
            LabelSet.named(names.labels(), where=f"{where}.label_names")
    with faults.kept():
        check_labels(tables, names, where=f"{where}.label_names", place=lambda part, row: parts[part].places([row])[0])
    faults.check(where)


def _read(name: str, settings: DataSettings, *, where: str, progress: Progress | None) -> ReadPart:
    sources: list[str | FileSource | HubSource] | str | FileSource | HubSource = getattr(settings, name)
    named = (
        [(f"{where}.{i}", one) for i, one in enumerate(sources)] if isinstance(sources, list) else [(where, sources)]
    )
    is_labelled = name != "unlabelled"
    faults, inputs, loaded = CollectedFaults(), [], []
    for place, one in named:
        with faults.kept():
            inputs.append(open_source(one, settings=settings, labelled=is_labelled, where=place))
    for source in inputs:
        with faults.kept():
            loaded.append(
                load(source, empty_text=settings.empty_text, empty_label=settings.empty_label, progress=progress)
            )
    faults.check(where)
    tables, skipped = zip(*loaded, strict=True)
    return ReadPart(inputs, concatenate(tables), sum(skipped), settings, rows=tuple(map(len, tables)))


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


def _check_what_is_left(parts: Mapping[str, ReadPart], tables: Mapping[str, TextTable]) -> None:
    remedy = "Add rows, or set `drop_leaks: false` to keep them."
    for name, table in tables.items():
        read = parts[name].table
        if not len(table):
            raise DataError(f"{read.name}: all {len(read)} rows also occur in the test or validation data. {remedy}")
        lost = read.label_counts().keys() - table.label_counts().keys() if name in ("labelled", "source") else set()
        if lost:
            rows = f"all rows of label {names_shown(sorted(lost))}"
            raise DataError(f"{read.name}: {rows} also occur in the test or validation data. {remedy}")
