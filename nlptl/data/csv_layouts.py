"""How the fields of a CSV or TSV file are separated and quoted, judged by its header and its first rows."""

from __future__ import annotations

import csv
import io
import itertools
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from nlptl.data.columns import Columns
from nlptl.data.text_blocks import read_blocks
from nlptl.data.text_format import TextFormat

Quoting = Literal["csv", "none"]

SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}
_RARE_IN_TEXT = "\t|"  # separators by which a line's number of fields is hardly right by chance
_SAMPLE_CHARACTERS = 1 << 17
_SAMPLE_RECORDS = 200
_FIELD_LIMIT = threading.RLock()  # the csv module has one limit for the whole process
_MIN_EVEN_SHARE = 0.9  # of a sample's rows that have the usual number of fields under the right separator


@dataclass(frozen=True)
class CsvLayout:
    """Layout of a table of separated fields."""

    delimiter: str
    quoting: Quoting = "csv"
    skip_blanks: bool = False  # behind a separator
    header: bool = True
    first_line: int = 1  # 2 behind a line such as `sep=;`

    def reader(self, lines: Iterator[str], *, strict: bool = True) -> Iterator[list[str]]:
        """Return a reader of the csv module, which has `line_num`."""
        return csv.reader(
            lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_NONE if self.quoting == "none" else csv.QUOTE_MINIMAL,
            skipinitialspace=self.skip_blanks,
            strict=strict,
        )

    def records(self, sample: str) -> list[list[str]]:
        """Return the first records of a sample; faults are passed over."""
        records = (record for record in self.reader(iter(io.StringIO(sample, newline="\n")), strict=False) if record)
        found = list[list[str]]()
        with suppress(csv.Error), wide_fields(len(sample) + 1):
            found.extend(itertools.islice(records, _SAMPLE_RECORDS))
        return found


@contextmanager
def wide_fields(limit: int) -> Iterator[None]:
    """Let the csv module read fields of up to `limit` characters inside the block, which one thread enters at a time."""
    with _FIELD_LIMIT:
        usual = csv.field_size_limit(limit)
        try:
            yield
        finally:
            csv.field_size_limit(usual)


@dataclass(frozen=True)
class LayoutSettings:
    """Settings of a layout; None is detected."""

    delimiter: str | None = None
    quoting: Quoting | None = None
    header: bool = True


def find_layout(
    path: Path, form: TextFormat, *, usual: str, columns: Columns, settings: LayoutSettings
) -> tuple[CsvLayout, tuple[str, ...]]:
    """Return the layout of a file whose fields `usual` separates by its name, and remarks on what is not the plain default."""
    sample, is_whole = _sample(path, form)
    remarks = list[str]()
    marked = re.match(r'"?sep=(.)"?\r?\n', sample, re.IGNORECASE)
    first_line = 1 + bool(marked)
    sample = sample[marked.end() :] if marked else sample
    candidates = [usual, *(one for one in SEPARATORS if one != usual)]
    given = settings.delimiter or (marked[1] if marked else None)
    layouts = [
        CsvLayout(delimiter, settings.quoting or "csv", header=settings.header, first_line=first_line)
        for delimiter in ([given] if given else candidates)
    ]
    layout = _most_likely([_with_blanks(layout, sample) for layout in layouts], sample, is_whole, columns)
    if layout.delimiter != usual and settings.delimiter is None:
        name = SEPARATORS.get(layout.delimiter, repr(layout.delimiter))
        remarks.append(f"{name} separates its fields")
    if layout.skip_blanks:
        remarks.append("blanks behind its separators are left out")
    if settings.quoting is None and form.has_quotes:
        check = _check_quotes(path, form, layout)
        if layout.delimiter in _RARE_IN_TEXT and check.are_plain and not _has_quoted_header(layout, sample):
            layout = replace(layout, quoting="none", skip_blanks=False)
            remarks.append("its quotes are read as plain characters, since each line is a row")
        elif check.join_lines:
            remarks.append(
                f"quotes make {check.records} rows of its {check.lines} lines. Set `quoting: none` if quotes are plain characters"
            )
    return layout, tuple(remarks)


def _has_quoted_header(layout: CsvLayout, sample: str) -> bool:
    """Return whether all names of columns stand in quotes, as where a program has quoted each field."""
    names = sample.partition("\n")[0].rstrip("\r").split(layout.delimiter)
    return layout.header and all(len(name) > 1 and name[0] == name[-1] == '"' for name in names)


def _sample(path: Path, form: TextFormat) -> tuple[str, bool]:
    """Return the first lines of a file, and whether these are all."""
    blocks = read_blocks(path, form)
    _, first = next(blocks, (1, ""))
    if len(first) <= _SAMPLE_CHARACTERS:
        return first, next(blocks, None) is None
    return first[: first.find("\n", _SAMPLE_CHARACTERS) + 1] or first, False


def _with_blanks(layout: CsvLayout, sample: str) -> CsvLayout:
    """Return the layout that leaves out blanks behind separators, if the header or quoted fields have them."""
    if layout.delimiter.isspace() or layout.quoting == "none":
        return layout
    records = layout.records(sample)
    skipping = replace(layout, skip_blanks=True)
    header = records[0][1:] if records and layout.header else []
    in_header = bool(header) and all(field.startswith(" ") for field in header)
    before_quotes = any(field.startswith(" ") and field.lstrip(" ").startswith('"') for row in records for field in row)
    is_better = _evenness(skipping.records(sample))[0] >= _evenness(records)[0]
    return skipping if (in_header or before_quotes) and is_better else layout


def _most_likely(layouts: Sequence[CsvLayout], sample: str, is_whole: bool, columns: Columns) -> CsvLayout:
    """Return the first layout whose header has the wanted columns, else the one whose rows are most even."""
    usual, records = layouts[0], {layout: layout.records(sample) for layout in layouts}
    if not is_whole:  # the last record may be cut
        records = {layout: found[:-1] or found for layout, found in records.items()}
    if usual.header and any(isinstance(column, str) for column in columns.wanted()):
        for layout, found in records.items():
            if found and columns.are_in(found[0]):
                return layout
    share, width = _evenness(records[usual])
    if share >= _MIN_EVEN_SHARE and width > 1 and len(records[usual][0]) == width:
        return usual
    return max(layouts, key=lambda layout: (_evenness(records[layout])[1] > 1, *_evenness(records[layout])))


def _evenness(records: Sequence[Sequence[str]]) -> tuple[float, int]:
    """Return the share of records with the usual number of fields, and that number."""
    if not records:
        return 0.0, 0
    width, count = Counter(map(len, records)).most_common(1)[0]
    return count / len(records), width


def _check_quotes(path: Path, form: TextFormat, layout: CsvLayout) -> _QuoteCheck:
    """Read the file by CSV's rules for quotes, up to the first line that is no row by itself."""
    lines = itertools.chain.from_iterable(io.StringIO(block, newline="\n") for _, block in read_blocks(path, form))
    check = _QuoteCheck(layout)
    watched = check.watched(itertools.islice(lines, layout.first_line - 1, None))
    try:
        with wide_fields(form.max_line):
            for record in layout.reader(watched):
                check.add(record)
                if not check.even_lines:
                    break
    except csv.Error:
        check.is_csv = False
        for _ in watched:  # the lines that the reader has left
            pass
    return check


@dataclass
class _QuoteCheck:
    """Lines of a table, and the rows that they make by CSV's rules for quotes."""

    layout: CsvLayout
    width: int = 0  # fields of the first line
    lines: int = 0
    records: int = 0
    even_lines: bool = True  # whether each line has as many separators as the first
    is_csv: bool = True  # whether reading by CSV's rules finds no fault

    @property
    def join_lines(self) -> bool:
        """Whether quotes make one row of several lines, although each would be a row by itself."""
        return self.even_lines and self.is_csv and self.records < self.lines

    @property
    def are_plain(self) -> bool:
        """Whether quotes seem to be plain characters."""
        return self.even_lines and (not self.is_csv or (self.width > 1 and self.records < self.lines))

    def watched(self, lines: Iterator[str]) -> Iterator[str]:
        """Yield the lines, and note whether each is a row by itself."""
        for line in lines:
            if line.strip():
                count = line.count(self.layout.delimiter) + 1
                self.width = self.width or count
                self.lines += 1
                self.even_lines = self.even_lines and count == self.width
            yield line

    def add(self, record: Sequence[str]) -> None:
        """Note a row."""
        if any(map(str.strip, record)):
            self.records += 1
            self.is_csv = self.is_csv and len(record) == self.width
