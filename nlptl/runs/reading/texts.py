"""Texts of a run, read again by its settings: those that it learnt from, and tests that it did not."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl.artifact import RUN_SETTINGS
from nlptl.data import DataSettings, FileSource, Source, TextTable, load_data
from nlptl.data.outside_tests import read_outside, spelt_as_in
from nlptl.errors import ConfigError, DataError, NlptlError
from nlptl.runs.pipeline import Pipeline

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.progress import Progress


@dataclasses.dataclass(frozen=True)
class TestTexts:
    """Labelled texts that the classifier did not learn from."""

    __test__ = False  # no class of tests, as pytest would think

    name: str
    table: TextTable
    options: str | None  # of `nlptl evaluate`, such as "--test test.csv"; None where no file holds exactly these texts
    is_own: bool  # whether they are the run's own test, and not one of its comparison


@dataclasses.dataclass(frozen=True)
class RunTexts:
    """What could be read again of a run's texts."""

    labelled: TextTable | None = None
    tests: tuple[TestTexts, ...] = ()
    remarks: tuple[str, ...] = ()  # why something is missing
    part: Literal["labelled", "source"] = "labelled"  # of the data that `labelled` holds


def read_texts(run: Path, *, progress: Progress | None = None) -> RunTexts:
    """Read the labelled texts and the tests of a run again. What cannot be read is told in a remark, and missing."""
    try:
        pipeline, data = read_data(run, progress=progress)
    except (NlptlError, OSError) as error:
        return RunTexts(remarks=(_not_read("The texts", error),))
    tests, remarks = _outside(pipeline, data)
    if data.test is not None:
        tests.insert(0, _own_test(pipeline.data, data.test))
    part: Literal["labelled", "source"] = "source" if data.labelled is None else "labelled"
    return RunTexts(data.labelled or data.source, tuple(tests), tuple(remarks), part)


def read_data(run: Path, *, progress: Progress | None = None) -> tuple[Pipeline, TextData]:
    """Read the settings and the data of a run again, without the pile: it may be large, and no other part depends on it."""
    pipeline = Pipeline.from_yaml(run / RUN_SETTINGS)
    settings = pipeline.data.model_copy(update={"unlabelled": None})
    return pipeline, load_data(settings, seed=pipeline.seed, progress=progress)[0]


def place_of(table: TextTable, row: int) -> str:
    """Return the place of row `row` (counted from 0) as a person looks it up, such as "test.csv, row 3"."""
    number = row + 1 if table.numbers is None else table.numbers[row]
    return f"{Path(table.name).name}, row {number}"


def told_path(path: Path | str) -> str:
    """Return a path as a command takes it here: relative to the current folder if it lies in it."""
    whole, here = os.path.abspath(path), os.getcwd()
    return os.path.relpath(whole) if whole.startswith(here + os.sep) else whole


def _own_test(settings: DataSettings, table: TextTable) -> TestTexts:
    """Return the run's own test."""
    if settings.test is None:  # held out of the labelled file
        return TestTexts("held-out texts", table, None, is_own=True)
    return TestTexts(_short(settings.test, table), table, _options(settings.test, settings), is_own=True)


def _outside(pipeline: Pipeline, data: TextData) -> tuple[list[TestTexts], list[str]]:
    found, remarks = list[TestTexts](), list[str]()
    for name, source in {} if pipeline.compare is None else pipeline.compare.tests.items():
        try:
            table = spelt_as_in(data, read_outside(source, settings=pipeline.data, where=name).table)
        except (ConfigError, DataError, OSError) as error:
            remarks.append(_not_read(f"The test {name}", error))
        else:
            found.append(TestTexts(name, table, _options(source, pipeline.data), is_own=False))
    return found, remarks


def _short(source: Source, table: TextTable) -> str:
    return Path(source).name if isinstance(source, str | Path) else Path(table.name).name


def _options(source: Source, settings: DataSettings) -> str | None:
    """Return the options of `nlptl evaluate` that score these texts; None for a source that is no file."""
    if isinstance(source, str | Path):
        file, text, label = source, settings.text_column, settings.label_column
    elif isinstance(source, FileSource):
        file, text, label = source.file, source.text or settings.text_column, source.label or settings.label_column
    else:
        return None
    columns = [str(one) for one in (text if isinstance(text, list) else [text])]
    options = [f"--test {shlex.quote(told_path(file))}"]
    options += [f"--text-column {shlex.quote(one)}" for one in columns if columns != ["text"]]
    options += [f"--label-column {shlex.quote(str(label))}"] * (label != "label")
    return " ".join(options)


def _not_read(what: str, error: BaseException) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f"{what} could not be read again, so figures that show texts are left out. {reason}"
