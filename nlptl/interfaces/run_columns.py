"""Columns of a run's own files, by which a command reads a file that has the same ones."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import RUN_SETTINGS
from nlptl.errors import NlptlError
from nlptl.interfaces.terminal import remark
from nlptl.plain_files import load_yaml

if TYPE_CHECKING:
    from nlptl.data import DataSettings
    from nlptl.interfaces.reading_options import ReadingOptions


def with_columns_of(
    run: Path, settings: DataSettings, reading: ReadingOptions, file: Path | None, *, labelled: bool, quiet: bool
) -> DataSettings:
    """Return the settings with the columns that the run's own files have, if `file` has them too and none was named.

    A person who trains on the column `Body` and predicts a file of the same kind need not name it again.
    """
    if file is None or reading.text_column or reading.label_column:
        return settings
    own = _own_columns(run, labelled=labelled)
    if not own or all(getattr(settings, name) == column for name, column in own.items()):
        return settings
    with contextlib.suppress(
        NlptlError, OSError
    ):  # its columns or values do not fit, so that the usual ones are looked for
        found = type(settings).model_validate({**settings.model_dump(exclude_unset=True), **own})
        _check_has_columns(file, found, labelled=labelled)
        if not quiet:
            told = " and ".join(
                f"{name.removesuffix('_column')}s from {_named(column)}" for name, column in own.items()
            )
            remark(f"Read as the run's own files: {told}. Name other columns with --text-column.")
        return found
    return settings


def _own_columns(run: Path, *, labelled: bool) -> dict[str, object]:
    """Return the settings of columns in the run's pipeline that are not the usual ones; empty where it cannot be read."""
    from nlptl.runs.folder import whole_run

    try:
        whole = load_yaml(whole_run(run) / RUN_SETTINGS)
    except (NlptlError, OSError, ValueError):
        return {}
    data = whole.get("data") if isinstance(whole, Mapping) else None
    names = ("text_column", "label_column") if labelled else ("text_column",)
    return {name: data[name] for name in names if name in data} if isinstance(data, Mapping) else {}


def _check_has_columns(file: Path, settings: DataSettings, *, labelled: bool) -> None:
    """Raise DataError where the file lacks a column. Rows of .jsonl name them, so that the first ones are read."""
    from nlptl.data.sources import open_source

    opened = open_source(str(file), settings=settings, labelled=labelled, where="--file")
    if not opened.names:
        next(iter(opened.rows()), None)


def _named(column: object) -> str:
    return ", ".join(map(str, column)) if isinstance(column, list) else str(column)
