"""The command `evaluate`: scores of a classifier on labelled texts, printed and saved."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.door import at_the_command_line, in_options
from nlptl.interfaces.options import (
    DeviceOption,
    EncodingOption,
    ForceOption,
    InputDelimiter,
    LabelColumn,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    RunArgument,
    SheetOption,
    TextColumn,
    check_place,
    check_settings_fit,
    path_option,
    reading_settings,
)
from nlptl.interfaces.terminal import remark, tell

if TYPE_CHECKING:
    from nlptl.data.row_checks import EmptyText
    from nlptl.evaluation.scores import Evaluation


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
        Literal["refuse", "skip"], typer.Option(metavar="HOW", help="Treat rows without a label: refuse or skip.")
    ] = "refuse",
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Score a trained classifier on labelled texts. Figures have 95 % intervals.

    With --save, scores that evaluate wrote before are replaced. Any other file needs --force.
    """
    from nlptl.context import RunContext
    from nlptl.data.labelled_parts import labelled_parts
    from nlptl.data.sources import load, open_source, places_of_rows
    from nlptl.evaluation.scores import evaluate_classifier, load_classifier
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.remedies import EVALUATE_DOOR
    from nlptl.results import write_result

    _check_save(save, test, force=force)
    with at_the_command_line():
        settings = reading_settings(
            text_column=text_column or None, label_column=label_column, quoting=quoting, delimiter=input_delimiter,
            encoding=encoding, header=not no_header, sheet=sheet,
            max_text_length=max_text_length,
        )  # fmt: skip
        check_settings_fit(
            "--test", test, text_column=text_column, delimiter=input_delimiter, quoting=quoting, encoding=encoding, sheet=sheet,
            header=False if no_header else None,
        )  # fmt: skip
        classifier = load_classifier(run, RunContext(device=device))
        opened = open_source(str(test), settings=settings, labelled=True, where="--test", door=EVALUATE_DOOR)
        for sentence in () if quiet else opened.remarks:
            remark(in_options(sentence))
        left: EmptyText = "refuse" if empty_text == "refuse" else "skip"
        read, skipped = load(opened, empty_text=left, empty_label=empty_label)
        part = labelled_parts({"test": read})[0]["test"]

        def place(row: int) -> str:
            number = row if part.table.numbers is None else part.table.numbers[row] - 1
            return places_of_rows(opened, [number], empty_text=left, empty_label=empty_label)[0]

        with progress_for(sys.stderr, quiet=quiet).task("scoring", total=len(part.table), unit="texts") as task:
            evaluation = evaluate_classifier(classifier, part.table, after_batch=task.advance, place=place)
    unanswered = skipped if empty_text == "empty" else 0
    if save is not None:
        write_result(save, {**evaluation.to_dict(), "rows_without_text": unanswered})
    tell([*evaluation.summary_lines(), *_of_all_rows(evaluation, unanswered)])
    for count, what in () if quiet else ((skipped - unanswered, "text"), (part.changes.empty, "label")):
        if count:
            remark(f"{count} row{'s' * (count != 1)} without a {what} {'were' if count != 1 else 'was'} left out.")


def _of_all_rows(evaluation: Evaluation, unanswered: int) -> Iterator[str]:
    """Tell the accuracy that counts rows without a text, which get no label, as wrong."""
    from nlptl.evaluation.intervals import wilson

    if unanswered:
        right = sum(row[place] for place, row in enumerate(evaluation.confusion))
        rows = evaluation.rows + unanswered
        yield f"accuracy {wilson(right, rows)} on all {rows} rows; {unanswered} without a text count as wrong"


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
    from pydantic import ValidationError

    from nlptl.evaluation.scores import Evaluation
    from nlptl.plain_files import MAX_JSON, load_json

    try:
        Evaluation.from_dict(load_json(path, most=MAX_JSON))
    except (OSError, ValueError, ValidationError, RecursionError):
        return False
    return True
