"""The command `predict`: from texts to labels, on stdout or in a file."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal, cast

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    DeviceOption,
    EncodingOption,
    ForceOption,
    InputDelimiter,
    LabelSeparator,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    RunArgument,
    SheetOption,
    TextColumn,
    argument,
    check_place,
    option,
    path_option,
)
from nlptl.interfaces.reading_options import ReadingOptions
from nlptl.interfaces.terminal import print_exactly, remark

if TYPE_CHECKING:
    from nlptl.inference.predictor import Predictor
    from nlptl.interfaces.abstaining import Abstaining
    from nlptl.interfaces.prediction_input import EmptyText, PredictionInput
    from nlptl.interfaces.prediction_lines import OutputColumns, OutputForm

PLAIN_SUFFIXES = {".csv": "csv", ".tsv": "csv", ".txt": "csv", ".jsonl": "jsonl"}  # of --out, with or without .gz
TAB = ("tab", "\\t", "\t")  # ways to write it on a command line


def predict(
    run: RunArgument,
    text: Annotated[str | None, argument(metavar="TEXT", help="One text to predict the label of.")] = None,
    file: Annotated[Path | None, path_option(help="Read the texts from this file: .csv, .jsonl and others.")] = None,
    text_column: TextColumn = None,
    empty_text: Annotated[
        Literal["refuse", "skip", "empty"],
        typer.Option(metavar="HOW", help="Treat rows without a text: refuse, skip, or leave the label empty."),
    ] = "refuse",
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each label.")] = False,
    abstain: Annotated[
        float | None,
        option(
            metavar="COVERAGE",
            help="Leave the label empty where it is not sure: where the labels that the text has with this probability, such as "
            "0.9, are several, or the text looks like none. Adds the columns set, unknown and novelty.",
        ),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep all columns of the file.")] = False,
    keep_column: Annotated[
        list[str] | None, option(metavar="NAME", help="Keep this column of the file. Repeat it for more.")
    ] = None,
    out: Annotated[Path | None, path_option(help="Write the results into this file instead of to stdout.")] = None,
    force: ForceOption = False,
    output: Annotated[
        Literal["csv", "jsonl"] | None, option(help="Write in this form. Default: by the name of --out, else csv.")
    ] = None,
    delimiter: Annotated[
        str | None, option(help="Separate the columns of CSV by this character, such as ; or tab. Default: a comma.")
    ] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Begin CSV with a byte order mark, which Excel needs.")] = False,
    guard_formulas: Annotated[
        bool, typer.Option("--guard-formulas", help="Put ' before text in CSV that a spreadsheet would compute.")
    ] = False,
    input_delimiter: InputDelimiter = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = None,
    no_header: NoHeader = False,
    label_separator: LabelSeparator = None,
    sheet: SheetOption = None,
    max_text_length: MaxTextLength = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Predict the labels of texts.

    Without TEXT and --file, each line of stdin is a text. Results appear as soon as the input pauses.

    Where a text is missing, a file is refused before the first result; a line of stdin gets an empty label, and the exit
    code is 2. See --empty-text.

    Where the file has a column of the same name, that of the predictions begins with predicted_.
    """
    from nlptl.interfaces.abstaining import Abstaining
    from nlptl.interfaces.prediction_input import check_input, text_input
    from nlptl.interfaces.predictors import load_predictor
    from nlptl.interfaces.run_columns import with_columns_of

    reading = ReadingOptions(text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length)
    kept_options = [name for name, value in {"--keep": keep, "--keep-column": keep_column}.items() if value]
    check_input("predict", text, file, of_a_file=[*kept_options, *reading.of_a_file()])
    _check_out(out, file, force=force)
    form = _output_form(output, out, delimiter, proba=proba, bom=bom, guard_formulas=guard_formulas)
    with at_the_command_line():
        settings = reading.settings(file, option="--file")
        settings = with_columns_of(run, settings, reading, file, labelled=False, quiet=quiet)
        kept = None if keep else tuple(keep_column or ())
        found = text_input(text, file, settings, empty_text, keep=kept, quiet=quiet)
        classifier = load_predictor(run, device=device)
        classifier.check_trained()
        abstaining = None if abstain is None else Abstaining.of(classifier, abstain)
        form = _with_separator(dataclasses.replace(form, sets=abstaining is not None), classifier, label_separator)
        _write_predictions(classifier, found, form, abstaining, out=out, quiet=quiet)
    if abstaining is not None and not quiet:
        remark(" ".join(abstaining.sentences()))
    _tell_rows(found, empty_text, out, quiet=quiet)


def _output_form(
    output: Literal["csv", "jsonl"] | None, out: Path | None, delimiter: str | None, *, proba: bool, bom: bool,
    guard_formulas: bool,
) -> OutputForm:  # fmt: skip
    """Return the form of the output. Raises ConfigError for options that do not go together."""
    from nlptl.interfaces.prediction_lines import OutputForm

    suffix = "" if out is None else Path(out.name.lower().removesuffix(".gz")).suffix
    if output is None and out is not None and suffix not in PLAIN_SUFFIXES:
        raise ConfigError(
            f"--out: found the ending {suffix!r}; expected .csv, .tsv or .jsonl, each with or without .gz. Choose one, or "
            "name the form with --output."
        )
    form = output or cast('Literal["csv", "jsonl"]', PLAIN_SUFFIXES.get(suffix, "csv"))
    for_csv = {"--delimiter": delimiter is not None, "--bom": bom, "--guard-formulas": guard_formulas}
    if form == "jsonl" and (given := [name for name, is_given in for_csv.items() if is_given]):
        raise ConfigError(f"{given[0]}: belongs to CSV, but the output is JSON lines. Drop it, or add --output csv.")
    usual = "\t" if suffix == ".tsv" else ","
    separator = usual if delimiter is None else "\t" if delimiter in TAB else delimiter
    if len(separator) != 1 or separator in '"\n\r\ufeff\0' or "\ud800" <= separator <= "\udfff":
        raise ConfigError(
            f"--delimiter: found {separator!r}; expected one character that is no quote and no line end, or tab. Choose "
            "another one."
        )
    return OutputForm(form, proba, separator, bom, guard_formulas)


def _with_separator(form: OutputForm, classifier: Predictor, separator: str | None) -> OutputForm:
    """Return the form with the sign between several labels. Raises ConfigError where a label contains it."""
    if not classifier.multi_label and not form.sets:
        if separator is not None:
            raise ConfigError(
                "--label-separator: belongs to texts with several labels, but RUN gives each one label. Drop it."
            )
        return form
    separator = separator or classifier.separator
    if form.form == "csv" and (unfit := next((label for label in classifier.labels if separator in label), None)):
        raise ConfigError(
            f"--label-separator: found {separator!r}, which stands in the label {unfit!r}; expected a sign that no label contains. "
            "Choose another one, or write --output jsonl."
        )
    return dataclasses.replace(form, separator=separator)


def _check_out(out: Path | None, file: Path | None, *, force: bool) -> None:
    check_place(out, "--out")
    if out is None or not out.exists():
        return
    if file is not None and file.exists() and out.samefile(file):
        raise ConfigError(f"--out: {out} is the file that --file reads; expected another one. Name another file.")
    if not force:
        raise ConfigError(
            f"--out: {out} exists; nothing was overwritten. Name another file, or add --force to replace it."
        )


def _write_predictions(
    classifier: Predictor, found: PredictionInput, form: OutputForm, abstaining: Abstaining | None, *, out: Path | None,
    quiet: bool,
) -> None:  # fmt: skip
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.prediction_lines import OutputColumns, prediction_blocks

    columns = OutputColumns.of(found.kept, classifier.labels)
    if not quiet:
        _tell_names(columns, form)
    # On a terminal the results themselves show how far it has come.
    is_silent = quiet or (out is None and sys.stdout.isatty())
    with progress_for(sys.stderr, quiet=is_silent).task("predicting", total=found.total, unit="texts") as task:
        _write(
            prediction_blocks(
                classifier, found.batches, columns=columns, form=form, after_batch=task.advance, abstaining=abstaining
            ),
            out,
        )


def _tell_names(columns: OutputColumns, form: OutputForm) -> None:
    renamed = [name for name in columns.added(form) if name.startswith("predicted_")]
    if renamed:
        remark(f"The file has columns of these names; the predictions stand in {', '.join(renamed)}.")


def _write(blocks: Iterable[str], out: Path | None) -> None:
    if out is None:
        print_exactly(blocks)
        return
    from nlptl.disk.drafts import packed_by_name, write_atomically

    def write(file: IO[bytes]) -> None:
        for block in blocks:
            file.write(block.encode("utf-8", "backslashreplace"))

    write_atomically(out, packed_by_name(out, write))


def _tell_rows(found: PredictionInput, empty_text: EmptyText, out: Path | None, *, quiet: bool) -> None:
    """Tell rows without a text and the file that was written. Raises DataError where such rows are refused."""
    from nlptl.errors import DataError

    count, first = found.without_text.count, found.without_text.first
    if count and empty_text == "refuse":  # of stdin: other input is refused before
        others = f" and {count - 1} more" if count > 1 else ""
        raise DataError(
            f"{first}: the line is empty{others}; its label was left empty, all other lines have theirs. Remove the line, or "
            "add --empty-text skip or --empty-text empty."
        )
    if quiet:
        return
    if count:
        done = "left out" if empty_text == "skip" else "given an empty label"
        remark(found.without_text.sentence(done))
    if out is not None:
        remark(f"{out}: written.")
