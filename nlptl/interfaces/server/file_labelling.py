"""A table with labels added: read, checked and written as `nlptl predict --keep` does, in the words of the server."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nlptl.errors import ConfigError, DataError, NlptlError
from nlptl.interfaces.server.refusal import RequestRefused

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.data.columns import Door
    from nlptl.interfaces.prediction_input import EmptyText, InputRows, PredictionInput
    from nlptl.interfaces.prediction_lines import Answer, OutputForm

ROWS_AT_ONCE = 256  # that come back together

_SETTING = re.compile(r"`(text_column|delimiter|quoting|encoding|header|empty_text|max_text_length):?(?: ([^`]*))?`")
_PARAMETERS = {"delimiter": "input_delimiter"}  # of the request, where a setting of the data has another name


@dataclass(frozen=True)
class FileOptions:
    """How a table is read, and how it comes back."""

    text_column: str | None = None
    """Name of the column with the texts. Default: text."""
    column_number: int | None = None
    """Number of that column from 1, instead of its name."""
    header: bool = True
    """Whether the first row names the columns."""
    input_delimiter: str | None = None
    """Separator of fields. Default: detected."""
    quoting: Literal["csv", "none"] | None = None
    """Meaning of quotes. Default: detected."""
    encoding: str | None = None
    """Encoding of the file. Default: detected."""
    empty_text: EmptyText = "refuse"
    """Treatment of rows without a text."""
    probabilities: bool = False
    """Whether the probability of each label is added."""
    delimiter: str = ","
    """Separator of what comes back."""
    bom: bool = False
    """Whether a byte order mark begins what comes back, which Excel needs."""
    guard_formulas: bool = True
    """Whether an apostrophe stands before text that a spreadsheet would compute."""

    def settings(self, *, max_text_length: int) -> DataSettings:
        """Return the settings of the data. Raises RequestRefused for options that do not fit."""
        from nlptl.config import parse
        from nlptl.data import DataSettings

        if self.text_column is not None and self.column_number is not None:
            raise RequestRefused(
                422, "wrong_field", "The request holds text_column and column_number; expected one of them. Drop one."
            )
        given: dict[str, Any] = {
            "text_column": self.column_number or self.text_column, "delimiter": self.input_delimiter, "quoting": self.quoting,
            "encoding": self.encoding, "header": self.header, "max_text_length": max_text_length,
        }  # fmt: skip
        with told_of_the_request():
            return parse(DataSettings, {name: one for name, one in given.items() if one is not None}, where="request")

    def form(self, *, sets: bool, separator: str, labels: Sequence[str]) -> OutputForm:
        """Return the form of what comes back. Raises RequestRefused for a separator that is none."""
        from nlptl.interfaces.prediction_lines import OutputForm

        sign = self.delimiter
        if len(sign) != 1 or sign in '"\n\r\ufeff\0' or "\ud800" <= sign <= "\udfff":
            raise RequestRefused(
                422,
                "wrong_field",
                "delimiter: expected one character that is no quote and no line end. Give another one.",
            )
        found = OutputForm(
            "csv", self.probabilities, sign, self.bom, self.guard_formulas, separator=separator, sets=sets
        )
        if sets and (unfit := next((label for label in labels if separator in label), None)):
            raise RequestRefused(
                422, "wrong_field",
                f"coverage: the sets of labels are separated by {separator!r}, which stands in {unfit!r}. Leave coverage out.",
            )  # fmt: skip
        return found


@dataclass(frozen=True)
class LabelledFile:
    """Table on its way back: its lines, and what a client wants to know of them beforehand."""

    blocks: Iterator[str]
    rows: int
    without_text: int
    label_column: int  # from 0

    def headers(self) -> dict[str, str]:
        """Return what the answer's headers tell."""
        return {
            "X-Rows": str(self.rows), "X-Rows-Without-Text": str(self.without_text),
            "X-Label-Column": str(self.label_column),
        }  # fmt: skip


def labelled_file(
    path: Path, options: FileOptions, *, labels: Sequence[str], form: OutputForm, max_text_length: int,
    answers: Callable[[Sequence[str]], Sequence[Answer]],
) -> LabelledFile:  # fmt: skip
    """Check all rows of a table, and return it with the answer of each. Nothing is predicted before the first block is taken.

    Raises RequestRefused with the first row that cannot be read.
    """
    from nlptl.interfaces.prediction_input import from_file
    from nlptl.interfaces.prediction_lines import OutputColumns, answered_blocks

    settings = options.settings(max_text_length=max_text_length)
    with told_of_the_request(path.parent):
        found = from_file(
            path, settings=settings, empty_text=options.empty_text, keep=None, on_remark=lambda _: None, door=_door()
        )  # fmt: skip
    columns = OutputColumns.of(found.kept, labels)
    blocks = answered_blocks(labels, _pieces(found.batches), answers=answers, columns=columns, form=form)
    return LabelledFile(blocks, *_counts(found, options), label_column=len(found.kept))


@contextlib.contextmanager
def told_of_the_request(folder: Path | None = None) -> Iterator[None]:
    """Pass faults of a table on as refusals, without the `folder` in which the server keeps it."""
    try:
        yield
    except (ConfigError, DataError) as error:
        told = error.faults[0]
    except NlptlError as error:
        told = str(error)
    else:
        return
    if folder is not None:
        told = told.replace(f"{folder}/", "")
    raise RequestRefused(422, "wrong_table", _SETTING.sub(_parameter, told).replace("--file: ", ""))


def _pieces(batches: Iterator[InputRows]) -> Iterator[InputRows]:
    """Yield fewer rows at once than the reader gives, so that a slow model shows that it works."""
    for rows in batches:
        for begin in range(0, len(rows.texts), ROWS_AT_ONCE):
            end = begin + ROWS_AT_ONCE
            yield dataclasses.replace(rows, texts=rows.texts[begin:end], kept=rows.kept[begin:end])


def _parameter(found: re.Match[str]) -> str:
    name, value = _PARAMETERS.get(found[1], found[1]), found[2]
    return f"`{name}={value}`" if value else f"`{name}`"


def _counts(found: PredictionInput, options: FileOptions) -> tuple[int, int]:
    """Return how many rows come back, and how many of them have no text."""
    return found.total or 0, found.without_text.count if options.empty_text == "empty" else 0


def _door() -> Door:
    from nlptl.data.columns import Door

    return Door(
        empty_text="Remove the row, fill in the text, or send `empty_text=skip` to leave out all such rows, or `empty_text=empty` "
        "to give them an empty label.",
        empty_label="",
        text_column="Name the column with `text_column`.",
        label_column="",
        no_string="Name another column with `text_column`.",
        no_header="If the first row is data, send `header=false`.",
        delimiter="If another character separates the fields, send `input_delimiter`.",
    )
