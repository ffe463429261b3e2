"""The command `evaluate`: scores of a classifier on labelled texts, printed and saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    DeviceOption,
    EncodingOption,
    ForceOption,
    InputDelimiter,
    LabelColumn,
    LabelSeparator,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    RunArgument,
    SheetOption,
    TextColumn,
    check_place,
    path_option,
)
from nlptl.interfaces.reading_options import ReadingOptions
from nlptl.interfaces.terminal import remark, tell

if TYPE_CHECKING:
    from nlptl.evaluation.label_sets import AnyEvaluation


def evaluate(
    run: RunArgument,
    test: Annotated[Path, path_option(help="Score on this labelled file: .csv, .jsonl and others.")],
    save: Annotated[Path | None, path_option(help="Write all scores to this JSON file too.")] = None,
    force: ForceOption = False,
    text_column: TextColumn = None,
    label_column: LabelColumn = None,
    empty_text: Annotated[
        Literal["refuse", "skip", "empty"],
        typer.Option(metavar="HOW", help="Treat rows without a text: refuse, skip, or empty (they count as wrong)."),
    ] = "refuse",
    input_delimiter: InputDelimiter = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = None,
    no_header: NoHeader = False,
    sheet: SheetOption = None,
    max_text_length: MaxTextLength = None,
    empty_label: Annotated[
        Literal["refuse", "skip", "none"],
        typer.Option(metavar="HOW", help="Treat rows without a label: refuse, skip, or none (no label applies)."),
    ] = "refuse",
    label_separator: LabelSeparator = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Score a trained classifier on labelled texts. Figures have 95 % intervals.

    With --save, scores that evaluate wrote before are replaced. Any other file needs --force.
    """
    from nlptl.context import RunContext
    from nlptl.evaluation.label_sets import scored
    from nlptl.evaluation.scores import load_classifier
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.labelled_input import label_cells, labelled_input
    from nlptl.interfaces.run_columns import with_columns_of
    from nlptl.results import write_result

    _check_save(save, test, force=force)
    with at_the_command_line():
        reading = ReadingOptions(
            text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length, label_column
        )  # fmt: skip
        settings = reading.settings(test, option="--test")
        settings = with_columns_of(run, settings, reading, test, labelled=True, quiet=quiet)
        classifier = load_classifier(run, RunContext(device=device))
        classifier.check_trained()
        labels = label_cells(classifier, label_separator, empty_is_none=empty_label == "none")
        settings = settings.model_copy(update={"labels": labels})
        found = labelled_input(test, settings, empty_text=empty_text, empty_label=empty_label, quiet=quiet)
        table = found.part.table
        with progress_for(sys.stderr, quiet=quiet).task("scoring", total=len(table), unit="texts") as task:
            evaluation = scored(classifier, table, after_batch=task.advance, place=found.place)
    unanswered = found.skipped if empty_text == "empty" else 0
    if save is not None:
        write_result(save, {**evaluation.to_dict(), "rows_without_text": unanswered})
    tell([*evaluation.summary_lines(), *_of_all_rows(evaluation, unanswered)])
    left_out = {"text": found.skipped - unanswered, "label": found.part.changes.empty}
    for what, count in left_out.items():
        if count and not quiet:
            remark(f"{count} row{'s' * (count != 1)} without a {what} {'were' if count != 1 else 'was'} left out.")


def _of_all_rows(evaluation: AnyEvaluation, unanswered: int) -> Iterator[str]:
    """Tell the accuracy that counts rows without a text, which get no label, as wrong."""
    from nlptl.evaluation.intervals import wilson

    if unanswered:
        rows, name = evaluation.rows + unanswered, evaluation.right_name
        told = f"{unanswered} without a text count as wrong"
        yield f"{name} {wilson(evaluation.right, rows)} on all {rows} rows; {told}"


def _check_save(save: Path | None, test: Path, *, force: bool) -> None:
    check_place(save, "--save")
    if save is None or not save.exists():
        return
    if test.exists() and save.samefile(test):
        raise ConfigError(f"--save: {save} is the file that --test reads; expected another one. Name another file.")
    if not force and not _holds_scores(save):
        raise ConfigError(
            f"--save: {save} exists, and evaluate did not write it; nothing was overwritten. Name another file, or add "
            "--force to replace it."
        )


def _holds_scores(path: Path) -> bool:
    """Return whether a file is one that evaluate wrote."""
    from pydantic import TypeAdapter, ValidationError

    from nlptl.evaluation.label_sets import AnyEvaluation
    from nlptl.plain_files import MAX_JSON, load_json

    try:
        TypeAdapter[AnyEvaluation](AnyEvaluation).validate_python(load_json(path, most=MAX_JSON))
    except (OSError, ValueError, ValidationError, RecursionError):
        return False
    return True
