"""The command `monitor`: whether a classifier is still as good on new texts, which have no labels, and what has changed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nlptl.errors import ConfigError
from nlptl.interfaces.completion import complete_runs
from nlptl.interfaces.door import at_the_command_line
from nlptl.interfaces.options import (
    DeviceOption,
    EncodingOption,
    InputDelimiter,
    MaxTextLength,
    NoHeader,
    QuietOption,
    QuotingOption,
    SheetOption,
    TextColumn,
    argument,
    option,
    path_option,
    run_folder,
)
from nlptl.interfaces.reading_options import ReadingOptions
from nlptl.interfaces.terminal import print_exactly, remark, tell

if TYPE_CHECKING:
    from nlptl.data import DataSettings, TextTable
    from nlptl.runs.monitoring.outcome import Cause, MixResult, MonitorResult, RateResult, Watch, WordResult

ALARM_CODE = 3  # exit code of a watch that raises an alarm; 1 and 2 tell that a command failed
CAUSES: dict[Cause, str] = {
    "inputs": "what the texts are about",
    "label mix": "the mix of labels",
    "new words": "the words: new ones",
    "cut words": "the words: more that the tokenizer cuts to pieces",
    "languages": "the languages",
}
MAX_SHOWN_WORDS, MAX_WATCHES, MAX_WORD = 5, 6, 24


def monitor(
    run: Annotated[
        Path,
        argument(
            metavar="RUN",
            callback=run_folder,
            readable=False,
            help="The folder of a run or of a classifier alone.",
            autocompletion=complete_runs,
        ),
    ],
    file: Annotated[Path, path_option(help="Watch these new texts: .csv, .jsonl and others.")],
    text_column: TextColumn = None,
    label_column: Annotated[
        str | None,
        option(metavar="NAME", help="Labels that are known of some rows, drawn at random. Other rows are empty here."),
    ] = None,
    out: Annotated[Path | None, path_option(help="Write what is found into this folder instead of RUN.")] = None,
    texts: Annotated[
        int, typer.Option(metavar="N", help="Look at up to N texts, drawn at random. More narrow the intervals.")
    ] = 2_000,
    empty_text: Annotated[
        Literal["refuse", "skip"], typer.Option(metavar="HOW", help="Treat rows without a text: refuse or skip.")
    ] = "skip",
    seed: Annotated[int, typer.Option(metavar="N", help="Draw texts by this number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all that is found as JSON.")] = False,
    input_delimiter: InputDelimiter = None,
    quoting: QuotingOption = None,
    encoding: EncodingOption = None,
    no_header: NoHeader = False,
    sheet: SheetOption = None,
    max_text_length: MaxTextLength = None,
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Tell whether a classifier is still as good on new texts.

    Their labels need not be known: the accuracy is estimated, and what has changed is told.

    The exit code is 3 where there is an alarm: the estimated accuracy has fallen, and a cause is shown. Else it is 0.

    RUN/monitor.json holds what is found, and RUN/monitor.jsonl a line of each watch.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.console import progress_for
    from nlptl.interfaces.prediction_input import text_input
    from nlptl.interfaces.run_columns import with_columns_of
    from nlptl.runs.folder import whole_run
    from nlptl.runs.monitoring.monitoring import NewTexts
    from nlptl.runs.monitoring.monitoring import monitor as watch
    from nlptl.runs.monitoring.outcome import read_history

    for name, value, least in (("--texts", texts, 20), ("--seed", seed, 0)):
        if value < least:
            raise ConfigError(f"{name}: found {value}; expected at least {least}. Give a higher number.")
    reading = ReadingOptions(
        text_column, input_delimiter, quoting, encoding, no_header, sheet, max_text_length, label_column
    )
    run = whole_run(run)
    with at_the_command_line():
        settings = reading.settings(file, option="--file")
        settings = with_columns_of(run, settings, reading, file, labelled=False, quiet=quiet)
        found = text_input(None, file, settings, empty_text, keep=(), quiet=quiet)
        every = [text for batch in found.batches for text in batch.texts if text is not None]
        labelled = None if label_column is None else _labelled(file, settings)
    context = RunContext(seed=seed, device=device, progress=progress_for(sys.stderr, quiet=quiet))
    result = watch(run, NewTexts(file.name, tuple(every)), context, labelled=labelled, out=out, texts=texts)
    if as_json:
        print_exactly([result.model_dump_json(indent=2) + "\n"])
    else:
        history = read_history(out or run, identity=result.identity)
        tell(monitor_lines(result, history, run=run, folder=out or run), wrap=True)
    if found.without_text.count and not quiet:
        remark(found.without_text.sentence("left out"))
    if result.alarm:
        raise typer.Exit(ALARM_CODE)


def monitor_lines(result: MonitorResult, history: Sequence[Watch], *, run: Path, folder: Path) -> Iterator[str]:
    """Tell the figures as a table, what they show, and what to do next."""
    from nlptl.interfaces.terminal import table

    drawn = f", {result.looked_at:,} of them drawn" if result.looked_at < result.texts else ""
    yield f"{result.file}: {result.texts:,} texts{drawn}."
    yield from table(["", "then", "now"], [*_rows(result)])
    if result.how:
        yield f"Accuracy, confidence and labels of then: {result.how}."
    yield verdict(result)
    for name, words in (("New words", result.new_words), ("Words in pieces", result.cut_words)):
        if words:
            yield f"{name}: {', '.join(map(_word, words[:MAX_SHOWN_WORDS]))}"
    past = [f"{one.accuracy.value:.3f}" for one in history if one.accuracy is not None]
    if len(past) > 1:
        yield f"Estimates of the last watches: {', '.join(past[-MAX_WATCHES:])}"
    yield from result.remarks
    yield from _next(result, run, folder)


def verdict(result: MonitorResult) -> str:
    """Return what the watch shows, in a sentence or two."""
    if result.has_few_texts:
        return _too_few(result)
    changed = _changed(result)
    if result.change is None:
        return changed
    points = result.change.told("+.1f", 100)
    if result.alarm:
        unsure = " The estimate fell beyond chance; labelled texts tell whether the accuracy did."
        unsure = "" if result.shows_drop else unsure
        return f"Alarm: the accuracy has changed by an estimated {points} points.{unsure} {changed}"
    if result.fell:
        return f"Nothing to do yet: the estimate fell ({points} points), but no cause is shown. Watch more texts."
    return f"Nothing to do: no drop of the accuracy is shown ({points} points). {changed}"


def _too_few(result: MonitorResult) -> str:
    from nlptl.runs.monitoring.outcome import MIN_TEXTS

    texts = "1 text" if result.looked_at == 1 else f"{result.looked_at} texts"
    return f"{texts} cannot tell whether the accuracy or the texts have changed; expected at least {MIN_TEXTS}. Watch more texts."


def _changed(result: MonitorResult) -> str:
    """Return what has changed of the texts, that no change is shown, or that nothing was compared."""
    from nlptl.runs.monitoring.outcome import MIN_TEXTS

    if result.causes:
        return f"Changed: {'; '.join(CAUSES[cause] for cause in result.causes)}."
    if result.has_compared:
        return "No change of the texts is shown."
    return f"The texts were not compared, which takes at least {MIN_TEXTS} of before."


def _rows(result: MonitorResult) -> Iterator[list[str]]:
    if result.held_out is not None:
        yield ["accuracy, measured", str(result.held_out), ""]
    if result.accuracy is not None:
        then = "" if result.accuracy_then is None else f"{result.accuracy_then:.3f}"
        yield ["accuracy, estimated", then, str(result.accuracy)]
    if result.labelled is not None:
        yield [f"accuracy on {result.labelled_texts:,} with a label", "", str(result.labelled)]
    if result.accuracy is None:  # else the estimates tell it, too
        then = "" if result.confidence_then is None else f"{result.confidence_then:.3f}"
        yield ["confidence", then, f"{result.confidence_now:.3f}"]
    yield from _mix_row("label", result.label_mix)
    yield from _mix_row("language", result.languages)
    yield from _rate_row("words in no other text of before, %", result.unseen)
    yield from _rate_row("words in many pieces or unknown, %", result.cut)
    inputs = result.inputs
    if inputs is not None and inputs.auc is not None:
        yield ["told from texts of before (AUC)", "0.500", str(inputs.auc)]
    if inputs is not None and inputs.unlike is not None:
        yield ["unlike known texts, %", "5.0", f"{100 * inputs.unlike:.1f}"]


def _mix_row(what: str, found: MixResult | None) -> Iterator[list[str]]:
    """Tell the value whose share has changed most."""
    if found is not None:
        yield [f"{what} {found.values[0][:MAX_WORD]}, %", f"{100 * found.then[0]:.1f}", f"{100 * found.now[0]:.1f}"]


def _rate_row(what: str, found: RateResult | None) -> Iterator[list[str]]:
    if found is not None:
        yield [what, f"{100 * found.then:.1f}", f"{100 * found.now:.1f}"]


def _word(one: WordResult) -> str:
    word = one.word if len(one.word) <= MAX_WORD else f"{one.word[:MAX_WORD]}…"
    pieces = "" if one.pieces == 1 else ", unknown" if one.pieces == 0 else f", {one.pieces} pieces"
    return f"{word} ({one.texts:,} texts{pieces})"


def _next(result: MonitorResult, run: Path, folder: Path) -> Iterator[str]:
    """Tell what to do next; a command stands on a line of its own."""
    from nlptl.artifact import is_run

    if result.accuracy is not None and not result.alarm:
        yield "The estimate cannot see labels that have come to mean something else; labelled texts can."
    if result.to_label_file is None:
        return
    path = shlex.quote(str(folder / result.to_label_file))
    yield f"Fill the column label of {result.to_label} texts in {path}. Then:"
    yield f"  nlptl evaluate {shlex.quote(str(run))} --test {path}"
    if result.alarm and is_run(run):
        yield f"  nlptl refresh {shlex.quote(str(run))} --labelled {path}"


def _labelled(file: Path, settings: DataSettings) -> TextTable:
    """Return the rows whose label is known."""
    from nlptl.data import load_table

    skipping = settings.model_copy(update={"empty_text": "skip", "empty_label": "skip"})
    return load_table(str(file), settings=skipping, where="--file")
