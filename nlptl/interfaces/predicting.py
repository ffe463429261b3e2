"""The command `predict`: from texts to labels, on stdout or in a file."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    AddressOption,
    DeviceOption,
    EncodingOption,
    ForceOption,
    InputDelimiter,
    LabelSeparator,
    MaxTextLength,
    NoHeader,
    PileEngineOption,
    QuietOption,
    QuotingOption,
    RunArgument,
    ShardRowsOption,
    SheetOption,
    TextColumn,
    WorkersOption,
    argument,
    option,
    path_option,
)
from nlptl.interfaces.reading_options import ReadingOptions
from nlptl.interfaces.terminal import print_exactly, remark

if TYPE_CHECKING:
    from nlptl.inference.predictor import Predictor
    from nlptl.interfaces.abstaining import Abstaining
    from nlptl.interfaces.prediction_input import EmptyText, PredictionInput
    from nlptl.interfaces.prediction_lines import OutputForm


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
        Literal["csv", "jsonl", "parquet"] | None,
        option(help="Write in this form. Default: by the name of --out, parquet in a folder, else csv."),
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
    engine: PileEngineOption = "local",
    address: AddressOption = None,
    workers: WorkersOption = None,
    shard_rows: ShardRowsOption = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Predict the labels of texts.

    Without TEXT and --file, each line of stdin is a text. Results appear as soon as the input pauses.

    Where a text is missing, a file is refused before the first result; a line of stdin gets an empty label, and the exit
    code is 2. See --empty-text.

    Where the file has a column of the same name, that of the predictions begins with predicted_.

    A pile is a folder of .parquet, .csv or .jsonl files, or such an address as s3://bucket/pile. --out names a folder or an
    address then, too. Finished shards are kept: type the same command to go on after a stop.
    """
    from nlptl.interfaces.abstaining import Abstaining
    from nlptl.interfaces.output_options import check_out, output_form, with_separator
    from nlptl.interfaces.piles.pile_options import PileInput, PileOptions
    from nlptl.interfaces.piles.shards import first_file
    from nlptl.interfaces.prediction_input import check_input, text_input
    from nlptl.interfaces.predictors import load_predictor
    from nlptl.interfaces.run_columns import with_columns_of
    from nlptl.runs.engines.choice import EngineChoice

    reading = ReadingOptions(text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length)
    kept_options = [name for name, value in {"--keep": keep, "--keep-column": keep_column}.items() if value]
    check_input("predict", text, file, of_a_file=[*kept_options, *reading.of_a_file()])
    options = PileOptions(EngineChoice(engine, address, workers), shard_rows, device, force, quiet)
    options.engine.check()
    is_pile = options.wants_pile(file, out, output)
    check_out(out, file, force=force, is_pile=is_pile)
    form = output_form(output, out, delimiter, proba=proba, bom=bom, guard_formulas=guard_formulas, is_pile=is_pile)
    with at_the_command_line():
        settings = reading.settings(file, option="--file")
        settings = with_columns_of(run, settings, reading, first_file(file), labelled=False, quiet=quiet)
        kept = None if keep else tuple(keep_column or ())
        if is_pile:
            from nlptl.interfaces.piles.predict_pile import predict_pile

            needing = "--output parquet" if output == "parquet" else "a pile"
            given = PileInput(*options.files(file, out, of=needing), settings, empty_text, kept)
            predict_pile(run, given, form, abstain, label_separator, options)
            return
        found = text_input(text, file, settings, empty_text, keep=kept, quiet=quiet)
        classifier = load_predictor(run, device=device)
        classifier.check_trained()
        abstaining = None if abstain is None else Abstaining.of(classifier, abstain)
        form = with_separator(dataclasses.replace(form, sets=abstaining is not None), classifier, label_separator)
        _write_predictions(classifier, found, form, abstaining, out=out, quiet=quiet)
    if abstaining is not None and not quiet:
        remark(" ".join(abstaining.sentences()))
    _tell_rows(found, empty_text, out, quiet=quiet)


def _write_predictions(
    classifier: Predictor, found: PredictionInput, form: OutputForm, abstaining: Abstaining | None, *, out: Path | None,
    quiet: bool,
) -> None:  # fmt: skip
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.output_options import tell_names
    from nlptl.interfaces.prediction_lines import OutputColumns, prediction_blocks

    columns = OutputColumns.of(found.kept, classifier.labels)
    if not quiet:
        tell_names(columns, form)
    # On a terminal the results themselves show how far it has come.
    is_silent = quiet or (out is None and sys.stdout.isatty())
    with progress_for(sys.stderr, quiet=is_silent).task("predicting", total=found.total, unit="texts") as task:
        _write(
            prediction_blocks(
                classifier, found.batches, columns=columns, form=form, after_batch=task.advance, abstaining=abstaining
            ),
            out,
        )


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
