"""What is to be predicted: one text, a file or the lines of stdin, as batches of rows with the columns to keep."""

from __future__ import annotations

import io
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from nlptl.config import did_you_mean
from nlptl.errors import ConfigError
from nlptl.interfaces.door import in_options
from nlptl.interfaces.standard_input import Lines, lines_in_batches
from nlptl.interfaces.terminal import remark

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.data.columns import Door
    from nlptl.data.row_checks import Origin, RawRows

FILES = (".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet", ".xlsx", ".xlsm", ".xls", ".gz", ".bz2")  # of texts
EmptyText = Literal["refuse", "skip", "empty"]


@dataclass(frozen=True)
class InputRows:
    """Batch of rows: their texts, None where there is none, and what is kept of each."""

    texts: Sequence[str | None]
    kept: Sequence[Sequence[object]]
    lines: Sequence[int] = ()  # of a file: the line or row of each


@dataclass
class WithoutText:
    """Rows without a text that were met so far, told at the end."""

    count: int = 0
    first: str = ""  # place of the first one

    def add(self, place: str) -> None:
        """Count one."""
        self.first = self.first or place
        self.count += 1

    def sentence(self, done: str) -> str:
        """Tell what was `done` with these rows."""
        were = "were" if self.count != 1 else "was"
        return f"{self.count} row{'s' * (self.count != 1)} without a text {were} {done}; first: {self.first}."


@dataclass(frozen=True)
class PredictionInput:
    """Rows to predict. `kept` names the columns that are kept; `total` is the number of texts, if known."""

    kept: tuple[str, ...]
    batches: Iterator[InputRows]
    total: int | None = None
    without_text: WithoutText = field(default_factory=WithoutText)


def check_input(command: str, text: str | None, file: Path | None, *, of_a_file: Sequence[str]) -> None:
    """Raise ConfigError unless one of TEXT, --file and stdin is given to a command; `of_a_file` are options that need --file."""
    if text is not None and file is not None:
        raise ConfigError(f"{command}: found a text and --file; expected one of them. Drop one.")
    if text is not None and (not text.strip() or any("\ud800" <= character <= "\udfff" for character in text)):
        raise ConfigError(f"{command}: found {text!r}; expected a text in UTF-8 that is not empty. Give another one.")
    if text is None and file is None and sys.stdin is None:
        raise ConfigError(f"{command}: found no text, no --file and a closed stdin; expected one of them. Give one.")
    if of_a_file and file is None:
        raise ConfigError(f"{of_a_file[0]}: says how a file is read, but there is no --file. Give --file, or drop it.")


def text_input(
    text: str | None, file: Path | None, settings: DataSettings, empty_text: EmptyText, *,
    keep: tuple[str, ...] | None, quiet: bool, door: Door | None = None,
) -> PredictionInput:  # fmt: skip
    """Return TEXT, the rows of --file or the lines of stdin as input; `door` holds remedies of faulty rows."""
    if text is not None:
        if not quiet and Path(text).suffix.lower() in FILES and os.path.isfile(text):
            remark(f"{text} is a file; its rows are read with --file.")
        return one_text(text)
    if file is None:
        return from_stdin(empty_text=empty_text, max_text_length=settings.max_text_length)
    on_remark: Callable[[str], object] = (lambda _: None) if quiet else remark
    return from_file(file, settings=settings, empty_text=empty_text, keep=keep, on_remark=on_remark, door=door)


def one_text(text: str) -> PredictionInput:
    """Return one text as input."""
    return PredictionInput(("text",), iter([InputRows([text], [(text,)])]), total=1)


def from_stdin(*, empty_text: EmptyText, max_text_length: int) -> PredictionInput:
    """Return the lines of stdin as input. A line without a text gets no prediction, unless `skip` leaves it out."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    without_text = WithoutText()

    def rows(lines: Lines) -> InputRows:
        for number, text in enumerate(lines.texts, lines.first):
            if not text.strip():
                without_text.add(f"stdin:{number}")
        kept = [text for text in lines.texts if text.strip() or empty_text != "skip"]
        return InputRows([text if text.strip() else None for text in kept], [(text,) for text in kept])

    return PredictionInput(
        ("text",), map(rows, lines_in_batches(sys.stdin, max_length=max_text_length)), without_text=without_text
    )


def from_file(
    path: Path, *, settings: DataSettings, empty_text: EmptyText, keep: tuple[str, ...] | None,
    on_remark: Callable[[str], object], door: Door | None = None,
) -> PredictionInput:  # fmt: skip
    """Return the rows of a file as input, all of them checked. DataError names the first row that cannot be predicted.

    `keep` names columns to keep beside the text; None keeps all. `on_remark` gets sentences on how the file is read.
    """
    from nlptl.data.sources import open_source
    from nlptl.interfaces.remedies import PREDICT_DOOR

    opened = open_source(
        str(path), settings=settings, labelled=False, where="--file", door=door or PREDICT_DOOR, whole=keep != ()
    )
    for sentence in opened.remarks:
        on_remark(in_options(sentence))
    names, without_text, total = dict.fromkeys(opened.names), WithoutText(), 0
    read = opened.rows if opened.is_big else [*opened.rows()].__iter__  # a small file is not read twice
    for raw in read():
        total += len(_checked(raw, opened.origin, empty_text, without_text))
        if raw.records and isinstance(raw.records[0], Mapping):
            records = (record for record in raw.records if isinstance(record, Mapping))
            names |= dict.fromkeys(itertools.chain.from_iterable(records))
    choice = KeptColumns.of(tuple(names), opened.names, keep, text=text_name(settings, keep), where=str(path))
    batches = choice.of_rows(read(), opened.origin, empty_text, WithoutText())
    return PredictionInput(choice.names, batches, total, without_text)


def text_name(settings: DataSettings, keep: tuple[str, ...] | None) -> str:
    """Return the name of the column with the texts, which no kept column of the file has unless it holds them."""
    given, name = settings.text_column, "text"
    one = given[0] if isinstance(given, list) and len(given) == 1 and name in (keep or ()) else given
    if isinstance(one, str) and keep:
        return one
    while name in (keep or ()):
        name = f"joined_{name}"
    return name


@dataclass(frozen=True)
class KeptColumns:
    """Columns to keep of each row."""

    names: tuple[str, ...]
    places: tuple[int, ...] | None = None  # in a record that is a sequence
    with_text: bool = True  # whether the text comes first

    @classmethod
    def of(
        cls, found: tuple[str, ...], header: tuple[str, ...], keep: tuple[str, ...] | None, *, text: str, where: str
    ) -> KeptColumns:
        """Return the columns `keep` among those `found`, all if it is None; a table's `header` says where they stand."""
        from nlptl.data.columns import names_shown

        if keep is None and (header or found):  # not of a .txt file
            return cls(header or found, tuple(range(len(header))) if header else None, with_text=False)
        for name in keep or ():
            if name not in found:
                meant = did_you_mean(name, found)
                raise ConfigError(
                    f"--keep-column: {where} has no column {name!r}; its columns are {names_shown(found)}.{meant} Correct it."
                )
        kept = tuple(name for name in dict.fromkeys(keep or ()) if name != text)
        return cls((text, *kept), tuple(map(header.index, kept)) if header else None)

    def of_rows(
        self, rows: Iterable[RawRows], origin: Origin, empty_text: EmptyText, without_text: WithoutText
    ) -> Iterator[InputRows]:
        """Yield rows as input. Raises DataError for a row that cannot be predicted; those without a text are counted."""
        for raw in rows:
            texts = _checked(raw, origin, empty_text, without_text)
            lines = raw.lines if len(texts) == len(raw.lines) else [raw.lines[place] for place in texts]
            kept = self._texts_alone(raw, texts) or [self.of_row(raw, place) for place in texts]
            yield InputRows([*texts.values()], kept, lines)

    def _texts_alone(self, raw: RawRows, places: Iterable[int]) -> list[tuple[object, ...]] | None:
        """Return what `of_row` does where no column but the text is kept, else None; of each of many rows."""
        has_more = self.places if raw.records and not isinstance(raw.records[0], Mapping) else len(self.names) > 1
        return None if has_more or not self.with_text else [(raw.texts[place],) for place in places]

    def of_row(self, raw: RawRows, place: int) -> tuple[object, ...]:
        """Return what is kept of the row at a place of a batch."""
        text = (raw.texts[place],) if self.with_text else ()
        if raw.records is None:
            return text
        record = raw.records[place]
        if isinstance(record, Mapping):
            return (*text, *(record.get(name) for name in self.names[len(text) :]))
        return (*text, *(record[one] for one in self.places or ()))


def _checked(raw: RawRows, origin: Origin, empty_text: EmptyText, without_text: WithoutText) -> dict[int, str | None]:
    """Return the text of each row by its place in the batch, None where it is missing. DataError for one that is refused."""
    from nlptl.data.row_checks import RawRows, check_rows, check_whole_characters

    if (texts := _plain_texts(raw.texts)) is not None:
        return dict(enumerate(texts))
    places = [place for place, text in enumerate(raw.texts) if empty_text == "refuse" or not _is_empty(text)]
    chosen = RawRows([raw.lines[place] for place in places], [raw.texts[place] for place in places], None)
    rows = check_rows(chosen, origin=origin, empty_text="refuse")
    check_whole_characters(rows, origin)
    found = dict(zip(places, rows.texts, strict=True))
    for place in sorted(set(range(len(raw.texts))) - found.keys()):
        without_text.add(origin.at(raw.lines[place]))
    return {place: found.get(place) for place in range(len(raw.texts)) if place in found or empty_text == "empty"}


def _plain_texts(values: Sequence[object]) -> list[str] | None:
    """Return the texts where none needs a second look: each is a filled string in whole characters. It runs at C speed."""
    from nlptl.data.row_checks import all_filled_strings

    if not all_filled_strings(values):
        return None
    texts = [*cast("Sequence[str]", values)]
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return None
    return texts


def _is_empty(text: object) -> bool:
    return text is None or text != text or (isinstance(text, str) and not text.strip())
