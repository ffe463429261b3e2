"""Settings of a run's data: the `data:` block of a pipeline file."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from os import PathLike
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError

from nlptl.config import Config
from nlptl.data.compressed_files import bare_name
from nlptl.data.limits import MAX_TEXT_LENGTH
from nlptl.data.row_checks import names_by_label
from nlptl.faults import NO_SOURCE, PREDICATE, shown
from nlptl.input_paths import InputPath


def _is_separator(value: object) -> object:
    given = _SEPARATOR_NAMES.get(value, value) if isinstance(value, str) else value
    if given is not None and not (isinstance(given, str) and len(given) == 1 and given not in '"\r\n\0'):
        raise PydanticCustomError(
            PREDICATE, "is {found}, but must be one character, such as ';', or `tab`.", {"found": shown(value)}
        )
    return given


def _is_encoding(value: object) -> object:
    if value is None:
        return None
    try:
        codec = codecs.lookup(value if isinstance(value, str) else "")
        "a".encode(codec.name).decode(codec.name)
    except (LookupError, UnicodeError, ValueError, TypeError):
        codec = None
    if codec is None or not codec._is_text_encoding or codec.name in _NO_ENCODINGS:
        raise PydanticCustomError(
            PREDICATE,
            "is {found}, which is no encoding of text. Write it as in `encoding: cp1252`.",
            {"found": shown(value)},
        )
    return "utf-8" if codec.name == "utf-8-sig" else codec.name


def _is_label_column(value: object) -> object:
    return _column(value, "the name of a column, or its number from 1.")


def _is_text_column(value: object) -> object:
    told = "the name of a column, its number from 1, or a list of these."
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts:
        _column(value, told)
    for part in parts:
        _column(part, told, within=value)
    return value


def _is_sheet(value: object) -> object:
    return None if value is None else _column(value, "the name of a sheet, or its number from 1.")


def _column(value: object, expected: str, *, within: object = None) -> object:
    """Return a name or a number from 1. One sentence tells what is none, where each kind of value would tell its own."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not is_number and not (isinstance(value, str) and value):
        found = shown(value if within is None else within)
        raise PydanticCustomError(
            PREDICATE, "is {found}, but must be {expected}", {"found": found, "expected": expected}
        )
    return value


def _is_path(file: str) -> str:
    if not file.strip():
        raise PydanticCustomError(PREDICATE, "is empty. Give the path of a file.")
    return file


_SEPARATOR_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "space": " "}
_SEPARATED = (".csv", ".tsv")
_WORKBOOKS = (".xlsx", ".xlsm", ".xls")
_KINDS_WITH = {  # settings, and the files that have them
    "delimiter": _SEPARATED,
    "quoting": _SEPARATED,
    "header": (*_SEPARATED, *_WORKBOOKS),
    "encoding": (*_SEPARATED, ".txt", ".jsonl"),
    "sheet": _WORKBOOKS,
}
_NO_ENCODINGS = ("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "mbcs", "oem")
_Position = Annotated[int, Field(strict=True, ge=1)]
_ColumnName = Annotated[str, Field(min_length=1)]
_TextColumn = Annotated[
    _Position | _ColumnName | Annotated[list[_Position | _ColumnName], Field(min_length=1)],
    BeforeValidator(_is_text_column),
]
_LabelColumn = Annotated[_Position | _ColumnName, BeforeValidator(_is_label_column)]
_FILLED = Field(json_schema_extra={"pattern": r"\S"})  # for an editor; the program tells more
_SeparatorText = Annotated[
    str, Field(json_schema_extra={"pattern": f'^([^"\\r\\n\\0]|{"|".join(map(re.escape, _SEPARATOR_NAMES))})$'})
]
_Separator = Annotated[_SeparatorText | None, BeforeValidator(_is_separator)]
_Encoding = Annotated[str | None, BeforeValidator(_is_encoding)]
_Sheet = Annotated[_Position | _ColumnName | None, BeforeValidator(_is_sheet)]


def misfitting_settings(file: str, given: Iterable[str]) -> list[str]:
    """Return a sentence for each of the settings `given` that a file of this ending cannot have."""
    kind = PurePath(bare_name(PurePath(file))).suffix
    return [
        f"{file} has no {name}, since it is a {kind} file. Remove `{name}:`."
        for name in given
        if kind and kind not in _KINDS_WITH[name]
    ]


class FileSource(Config):
    """Data file with column names of its own."""

    file: Annotated[InputPath, AfterValidator(_is_path), _FILLED]
    """Path of a .txt, .csv, .tsv, .jsonl or .parquet file, with or without .gz or .bz2, of an .xlsx or .xls file, or of a
    folder of .txt files, each a text."""
    text: _TextColumn | None = None
    """Column of the texts, or a list of columns. Default: `text_column` of the data block."""
    label: _LabelColumn | None = None
    """Column of the labels. Default: `label_column` of the data block."""
    delimiter: _Separator = None
    """Separator of fields. Default: `delimiter` of the data block."""
    quoting: Literal["csv", "none"] | None = None
    """Meaning of quotes. Default: `quoting` of the data block."""
    encoding: _Encoding = None
    """Encoding of the file. Default: `encoding` of the data block."""
    header: bool | None = None
    """Whether the first row names the columns. Default: `header` of the data block."""
    sheet: _Sheet = None
    """Sheet of a workbook. Default: `sheet` of the data block."""

    @model_validator(mode="after")
    def _settings_fit_the_file(self) -> FileSource:
        kind = PurePath(bare_name(PurePath(self.file))).suffix
        if kind == ".txt" and (self.text, self.label) != (None, None):
            raise ValueError(f"{self.file} has no columns, since it is a .txt file. Remove the column name.")
        if misfits := misfitting_settings(self.file, [name for name in _KINDS_WITH if getattr(self, name) is not None]):
            raise ValueError(misfits[0])
        return self


class HubSource(Config):
    """Split of a data set on the Hugging Face Hub."""

    hub: str = Field(json_schema_extra={"pattern": "^[^/]+/[^/]+(/[^/]+)?$"})
    """Name on the Hub: OWNER/NAME or OWNER/NAME/CONFIG."""
    split: str
    """Split to read, such as train or test."""
    text: _TextColumn | None = None
    """Column of the texts, or a list of columns. Default: `text_column` of the data block."""
    label: _LabelColumn | None = None
    """Column of the labels. Default: `label_column` of the data block."""
    revision: str | None = None
    """Commit, tag or branch of the data set. Default: the newest commit."""

    @field_validator("hub")
    @classmethod
    def _names_an_owner(cls, hub: str) -> str:
        parts = hub.split("/")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"{hub!r} is not of the form OWNER/NAME or OWNER/NAME/CONFIG.")
        return hub


def _source_kind(value: object) -> str | None:
    if isinstance(value, str | PathLike):
        return "str" if str(value).strip() else None
    if isinstance(value, FileSource | HubSource | list | None):
        return type(value).__name__
    names = value.keys() if isinstance(value, dict) else set()
    return "FileSource" if "file" in names else "HubSource" if names & {"hub", "split", "revision"} else None


_by_kind = Discriminator(
    _source_kind,
    custom_error_type=NO_SOURCE,
    custom_error_message="is not a source. Give the path of a file, or a block with `file: ...` or `hub: ...`.",
)

# The tags are the class names of the members: nlptl.faults removes those from the path of a fault.
_Path = Annotated[InputPath, _FILLED, Tag("str")]
_File = Annotated[FileSource, Tag("FileSource")]
_Hub = Annotated[HubSource, Tag("HubSource")]
_Missing = Annotated[None, Tag("NoneType")]  # a tagged member too: `Source | None` would nest two unions

Source = Annotated[_Path | _File | _Hub, _by_kind]
_Sources = Annotated[list[Source], Field(min_length=1), Tag("list")]
_MaybeSource = Annotated[_Path | _File | _Hub | _Missing, _by_kind]
_MaybeSources = Annotated[_Path | _File | _Hub | _Sources | _Missing, _by_kind]


class LabelCells(Config):
    """Cells of the label column that hold several labels."""

    separator: Annotated[str, Field(min_length=1, max_length=10)] | None = None
    """Sign between the labels of a cell, such as "|". Blanks, brackets and quotes around a cell or a label do not count. null:
    cells are lists, as in .jsonl and .parquet files, or hold one label."""
    empty: Literal["missing", "no_label"] = "missing"
    """Meaning of an empty cell. `missing`: the row was not labelled, see `empty_label`. `no_label`: it was, and none of
    the labels applies. An empty list, [], always means the latter."""


class DataSettings(Config):
    """Parts of the data, each from a file or the Hub, and how they are read."""

    unlabelled: _MaybeSources = None
    """Texts without labels, for pretraining: a file, or a folder of .txt files, each a text. Several sources may be listed;
    they are joined. More text makes better vectors and takes longer."""
    source: _MaybeSource = None
    """Labelled examples of another domain, with the same labels. The stage domain_adaptation starts from them."""
    labelled: _MaybeSources = None
    """The few labelled examples from which the classifier learns: a file, or a folder with a folder of .txt files for each
    label. Several sources may be listed; they are joined."""
    validation: _MaybeSource = None
    """Held-out labelled examples: for choosing methods, early stopping and calibration."""
    test: _MaybeSource = None
    """Labelled examples for the final scores. Nothing learns from them."""
    hold_out: float | None = Field(default=None, gt=0, le=0.5)
    """Share of each label's texts in `labelled` that becomes the test, where there is no file for it. More gives narrower
    intervals of the scores and leaves fewer examples to learn from. Copies of a text stay together."""
    label_names: dict[str, Annotated[str, _FILLED]] | None = Field(
        default=None, json_schema_extra={"minProperties": 1, "propertyNames": {"pattern": r"\S"}}
    )
    """A few words for each label, such as "0": "not hateful". Methods that read label names use them instead of the
    label; some labels may be left out. Without `labelled`, the classifier predicts from the names alone (zero-shot)."""
    text_column: _TextColumn = "text"
    """Column of the texts: its name, or its number from 1. A list of columns is joined by line ends, without empty ones."""
    label_column: _LabelColumn = "label"
    """Column of the labels: its name, or its number from 1."""
    labels: LabelCells | None = None
    """How a cell holds several labels of one text. Default: each text has one label, unless the cells are lists."""
    delimiter: _Separator = None
    """Separator of fields in .csv and .tsv files: one character, or `tab`. Default: detected."""
    quoting: Literal["csv", "none"] | None = None
    """Meaning of quotes in .csv and .tsv files: `csv` encloses fields in them, `none` reads them as plain characters.
    Default: csv, except where each line of a tab-separated file is a row."""
    encoding: _Encoding = None
    """Encoding of text files, such as cp1252, shift_jis or utf-16. Default: UTF-8, UTF-16, UTF-32, cp1252 or
    the encodings of Japanese, as detected."""
    header: bool = True
    """Whether the first row of a .csv, .tsv or .xlsx file names the columns. With `false`, columns have numbers: texts
    stand in the first and labels in the next, unless `text_column` and `label_column` are numbers."""
    sheet: _Sheet = None
    """Sheet of an Excel workbook: its name, or its number from 1. Default: the first visible one."""
    max_text_length: int = Field(default=MAX_TEXT_LENGTH, ge=1, le=1_000_000_000, strict=True)
    """Largest number of characters of a text. A longer one is refused, since it would fill the memory."""
    shots: int | None = Field(default=None, ge=1, le=10_000_000)
    """Number of rows of each label to draw from `labelled`, by `seed`. Default: all rows. Fewer rows show what a
    smaller set of examples would be worth."""
    drop_leaks: bool = True
    """Leave out rows of other parts whose text also occurs in `test` or `validation`. `false` keeps them, which makes
    scores too high."""
    empty_text: Literal["refuse", "skip"] = "refuse"
    """Treatment of a row without text: `refuse` stops and names its line; `skip` leaves it out."""
    empty_label: Literal["refuse", "skip", "unlabelled"] = "refuse"
    """Treatment of a labelled row without label: `refuse` stops and names its line; `skip` leaves it out; `unlabelled`
    adds the text of a row of `labelled` to the pile, and leaves out rows of other parts."""

    @field_validator("label_names", mode="before")
    @classmethod
    def _labels_are_names(cls, value: object) -> object:
        """Read numbers as the labels that they are in a data file."""
        return None if value is None else names_by_label(value)

    @property
    def has_test(self) -> bool:
        """Whether there is a test, in a source of its own or held out."""
        return self.test is not None or self.hold_out is not None

    @model_validator(mode="after")
    def _hold_out_is_the_only_test(self) -> DataSettings:
        if self.hold_out is not None and self.test is not None:
            raise ValueError(
                f"`hold_out: {self.hold_out:g}` makes a test, but `test:` gives one already. Remove one of them."
            )
        if self.hold_out is not None and self.labelled is None:
            raise ValueError(f"`hold_out: {self.hold_out:g}` needs labelled examples to hold out. Add `labelled:`.")
        return self

    @model_validator(mode="after")
    def _shots_need_labelled(self) -> DataSettings:
        if self.shots is not None and self.labelled is None:
            raise ValueError(f"`shots: {self.shots}` needs labelled examples to draw from. Add `labelled:`.")
        return self
