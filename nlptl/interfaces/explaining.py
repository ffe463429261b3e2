"""The command `explain`: what each word of a text contributes to its label, and the labelled examples that are nearest."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ArtifactError, ConfigError, DataError, NlptlError
from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    DeviceOption,
    EncodingOption,
    InputDelimiter,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    RunArgument,
    SheetOption,
    TextColumn,
    argument,
    option,
    path_option,
)
from nlptl.interfaces.reading_options import ReadingOptions
from nlptl.interfaces.terminal import print_exactly, remark, tell_coloured

if TYPE_CHECKING:
    from nlptl.evaluation.explain import Explanation
    from nlptl.evaluation.nearest_examples import NearestExamples
    from nlptl.interfaces.prediction_input import PredictionInput
    from nlptl.models.classifier import TextClassifier

TEXTS_AT_ONCE = 16  # of a file, that appear together


def explain(
    run: RunArgument,
    text: Annotated[str | None, argument(metavar="TEXT", help="One text to explain.")] = None,
    file: Annotated[Path | None, path_option(help="Read the texts from this file: .csv, .jsonl and others.")] = None,
    label: Annotated[
        str | None, option(metavar="LABEL", help="Explain this label. Default: the labels that the text gets.")
    ] = None,
    neighbours: Annotated[
        int, typer.Option(min=0, metavar="N", help="Show the N nearest labelled examples of the run.")
    ] = 3,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Write JSON lines, with the contributions to every label.")
    ] = False,
    text_column: TextColumn = None,
    empty_text: Annotated[
        Literal["refuse", "skip"], typer.Option(metavar="HOW", help="Treat rows without a text: refuse or skip.")
    ] = "refuse",
    input_delimiter: InputDelimiter = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = None,
    no_header: NoHeader = False,
    sheet: SheetOption = None,
    max_text_length: MaxTextLength = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Show which words of a text speak for its label.

    Without TEXT and --file, each line of stdin is a text.

    A word counts with what it adds to the label's logit, less the mean of the other labels'. Where a linear head sums word
    vectors or n-grams, that is exact. Any other classifier is asked again without each word.
    """
    from nlptl.context import RunContext
    from nlptl.evaluation.scores import load_classifier
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.explanation_lines import explanation_lines, json_line
    from nlptl.interfaces.prediction_input import check_input, text_input
    from nlptl.interfaces.remedies import EXPLAIN_DOOR
    from nlptl.interfaces.run_columns import with_columns_of
    from nlptl.models.explaining.explanation import place_of

    reading = ReadingOptions(text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length)
    check_input("explain", text, file, of_a_file=reading.of_a_file())
    with at_the_command_line():
        settings = reading.settings(file, option="--file")
        settings = with_columns_of(run, settings, reading, file, labelled=False, quiet=quiet)
        how = "skip" if file is None and text is None else empty_text
        found = text_input(text, file, settings, how, keep=(), quiet=quiet, door=EXPLAIN_DOOR)
        classifier = load_classifier(run, RunContext(device=device))
        classifier.check_trained()
        if label is not None:
            place_of(label, classifier.labels, where="--label")
        # On a terminal the results themselves show how far it has come.
        progress = progress_for(sys.stderr, quiet=quiet or text is not None or sys.stdout.isatty())
        examples = _examples(run, classifier, quiet=quiet) if neighbours else None
        with progress.task("explaining", total=found.total, unit="texts") as task:
            for number, one in enumerate(
                _explained(classifier, found, examples, neighbours, after_batch=task.advance), 1
            ):
                if json_lines:
                    print_exactly([json_line(one, label)])
                else:
                    tell_coloured(explanation_lines(one, label, number=None if text is not None else number))
    if found.without_text.count and not quiet:
        remark(found.without_text.sentence("left out"))


def _explained(
    classifier: TextClassifier, found: PredictionInput, examples: NearestExamples | None, neighbours: int,
    after_batch: Callable[[int], None],
) -> Iterator[Explanation]:  # fmt: skip
    from nlptl.evaluation.explain import with_neighbours

    for rows in found.batches:
        texts = [*filter(None, rows.texts)]
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            some = classifier.explain(texts[begin : begin + TEXTS_AT_ONCE])
            yield from some if examples is None else with_neighbours(some, examples, count=neighbours)
            after_batch(len(some))


def _examples(run: Path, classifier: TextClassifier, *, quiet: bool) -> NearestExamples | None:
    """Return the labelled examples of a run, or None where they cannot be read again, which is told."""
    from nlptl.artifact import RUN_SETTINGS
    from nlptl.evaluation.nearest_examples import NearestExamples
    from nlptl.runs.folder import whole_run
    from nlptl.runs.reading.texts import read_data

    try:
        folder = whole_run(run)
        if not (folder / RUN_SETTINGS).is_file():
            raise ArtifactError(f"{run}: stands without its run, which names them. Give the folder of the run.")
        data = read_data(folder)[1]
    except (NlptlError, OSError) as error:
        if not quiet:
            told = error.faults[0] if isinstance(error, ConfigError | DataError) else str(error)
            remark(f"No labelled examples are shown, since they cannot be read again. {told}")
        return None
    table = data.labelled or data.source
    if table is None:
        return None
    found = NearestExamples.among(classifier.encoder, table)
    if not quiet and (told := found.remark()):
        remark(told)
    return found
