"""Parts into which judged texts are divided: by length, language, label, and columns of their file.

Shapes: N judged texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from nlptl.artifact import RUN_SETTINGS
from nlptl.config import did_you_mean
from nlptl.data import DataSettings, Source, TextTable
from nlptl.data.columns import names_shown
from nlptl.data.languages import guess_language
from nlptl.data.sources import open_source
from nlptl.errors import ConfigError
from nlptl.runs.pipeline import Pipeline

MAX_VALUES = 50  # of a column that divides texts


def parts_of(run: Path, table: TextTable, labels: Sequence[str], columns: Sequence[str]) -> dict[str, list[str]]:
    """Return the N values of the texts for each kind of part. Raises ConfigError for a column that cannot divide them."""
    texts = table.texts()
    found = {"label": [*labels], "length": _lengths(texts), "language": [_language(text) for text in texts]}
    if columns:
        records = _records(run, table)
        for column in columns:
            found[f"column {column}"] = _values(records, column)
    return found


def _lengths(texts: Sequence[str]) -> list[str]:
    """Return whether each text is among the short, the middle or the long third."""
    words = np.array([len(text.split()) for text in texts])
    unit, sizes = ("words", words) if np.median(words) > 1 else ("characters", np.array([len(text) for text in texts]))
    low, high = (int(end) for end in np.quantile(sizes, [1 / 3, 2 / 3]))
    names = (f"up to {low} {unit}", f"{low + 1} to {high} {unit}", f"over {high} {unit}")
    return [names[int(size > low) + int(size > high)] for size in sizes.tolist()]


def _language(text: str) -> str:
    found = guess_language([text])
    return "" if found is None else found.name


def _records(run: Path, table: TextTable) -> list[Mapping[str, object]]:
    """Return all columns of the rows of a test, read again from its file."""
    settings = Pipeline.from_yaml(run / RUN_SETTINGS).data
    source = _source(settings, table)
    if source is None:
        raise ConfigError(
            f"--slice: the texts of {table.name} do not come from one table, so no column of it can divide them. Drop the option."
        )
    opened = open_source(source, settings=settings, labelled=True, where="--slice", whole=True)
    rows: list[Mapping[str, object]] = []
    for raw in opened.rows():
        for record in raw.records or ():
            rows.append(record if isinstance(record, Mapping) else dict(zip(opened.names, record, strict=False)))
    if table.numbers is None:
        return rows[: len(table)]
    return [rows[number - 1] for number in table.numbers.tolist()]


def _source(settings: DataSettings, table: TextTable) -> Source | None:
    """Return the one source of the test: its file, or the labelled file of which it was held out."""
    for source in (settings.test, settings.labelled):
        if isinstance(source, str | Path) or (source is not None and not isinstance(source, list)):
            path = source if isinstance(source, str | Path) else getattr(source, "file", "")
            if Path(path).name == Path(table.name).name:
                return source
    return None


def _values(records: Sequence[Mapping[str, object]], column: str) -> list[str]:
    names = list(dict.fromkeys(name for record in records for name in record))
    if column not in names:
        meant = did_you_mean(column, names)
        raise ConfigError(
            f"--slice: found {column!r}; the columns are {names_shown(names)}.{meant} Name one of them, or drop the option."
        )
    values = ["" if record.get(column) is None else str(record[column]).strip() for record in records]
    counts = Counter(values)
    if len(counts) > MAX_VALUES:
        raise ConfigError(
            f"--slice: the column {column!r} has {len(counts):,} different values; expected at most {MAX_VALUES}, which divide the "
            "texts into parts. Name another column."
        )
    return values
