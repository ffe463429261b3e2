"""The command line: the only module that prints or exits. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nlptl.progress import Progress, Task

WAITING = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}
"""Read by OpenMP when torch loads it: how long threads that wait spin before they sleep. Long spinning takes the cores
from other work, and from the very threads that are waited for: 160 steps of LoRA took 6.0 s on two idle cores either way,
and beside two other busy processes 26 s by OpenMP's default, 16 s so."""
GRACE = 5.0  # seconds that other processes leave process 0 to tell an error

app = typer.Typer(
    help="Transfer learning for text: pretrain on a pile, represent, fine-tune on a few labels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
vectors_app = typer.Typer(help="Word vectors for other tools.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(vectors_app, name="vectors")


class DeviceChoice(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class OutputChoice(StrEnum):
    """How predictions are written."""

    csv = "csv"
    jsonl = "jsonl"


PipelineArgument = Annotated[Path, typer.Argument(help="Pipeline file (YAML).", show_default=False)]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run or of one of its stages.", show_default=False)]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, e.g. stages.0.dim=50. Repeatable.", metavar="PATH=VALUE"),
]
DeviceOption = Annotated[DeviceChoice, typer.Option(help="Where to compute.")]
TextColumn = Annotated[str, typer.Option(help="Column of the file that holds the texts.")]
LabelColumn = Annotated[str, typer.Option(help="Column of the file that holds the labels.")]
PriceOption = Annotated[
    float | None,
    typer.Option(help="Price of an hour of this machine; tells what the run cost.", show_default=False),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no remarks, only results.")]


@app.command()
def run(
    pipeline: PipelineArgument,
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run; runs/NAME by default.", show_default=False)
    ] = None,
    device: DeviceOption = DeviceChoice.auto,
    tracker: Annotated[
        list[str] | None,
        typer.Option(help="Also tell tensorboard, mlflow or wandb how it goes. Repeatable.", metavar="NAME"),
    ] = None,
    price_per_hour: PriceOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline; stages that are finished and unchanged are kept. torchrun and accelerate launch share it out."""
    from nlptl.context import RunContext
    from nlptl.interfaces.text import run_lines
    from nlptl.runs.pipeline import Pipeline
    from nlptl.runs.trackers import NamedTrackers
    from nlptl.training import distributed

    _check_price(price_per_hour)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    context = RunContext(device=device.value, progress=_progress(quiet), tracker=NamedTrackers(tracker or []))
    try:
        result = chain.run(out or Path("runs") / pipeline.stem, context=context, where=str(pipeline))
    except KeyboardInterrupt:
        if distributed.is_main():
            print("Interrupted. Finished stages are kept; run the same command to go on.", file=sys.stderr)
        raise typer.Exit(1) from None
    distributed.end()
    _print(run_lines(result, price_per_hour=price_per_hour))
    if not quiet and distributed.is_main():
        print(f"The run is in {result.folder}.", file=sys.stderr)


@app.command()
def check(pipeline: PipelineArgument, set_: SetOption = None) -> None:
    """Check a pipeline's settings and all of its data; train nothing."""
    from nlptl.runs.pipeline import Pipeline

    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    _, report = chain.check(where=str(pipeline))
    _print([*report.sentences(), f"{pipeline}: fits. {len(chain.stages)} stages would run."])


@app.command()
def predict(
    run: RunArgument,
    text: Annotated[
        str | None, typer.Argument(help="One text; without it and --file, lines of stdin.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Texts from .txt, .csv, .tsv, .jsonl or .parquet.", show_default=False)
    ] = None,
    output: Annotated[OutputChoice, typer.Option(help="Form of the results.")] = OutputChoice.csv,
    proba: Annotated[bool, typer.Option("--proba", help="Add each label's probability.")] = False,
    text_column: TextColumn = "text",
    device: DeviceOption = DeviceChoice.auto,
    quiet: QuietOption = False,
) -> None:
    """Predict the label of a text, of every row of a file, or of every line of stdin, as a stream."""
    from nlptl.context import RunContext
    from nlptl.errors import ConfigError
    from nlptl.evaluation.classifier_evaluation import load_classifier
    from nlptl.interfaces.text import predictions

    if text is not None and file is not None:
        raise ConfigError("predict: found a text and --file; expected one of them. Drop one.")
    if text is not None and (not text.strip() or any("\ud800" <= character <= "\udfff" for character in text)):
        raise ConfigError(f"predict: found {text!r}; expected a text in UTF-8 that is not empty. Give another one.")
    if text is None and file is None and sys.stdin is None:
        raise ConfigError("predict: found no text, no --file and a closed stdin; expected one of them. Give one.")
    classifier = load_classifier(run, RunContext(device=device.value))
    # On a terminal the results themselves show how far it has come.
    with _progress(quiet or sys.stdout.isatty()).task("predicting", total=None, unit="texts") as task:
        texts = _counted(_texts(text, file, text_column), task)
        _print(predictions(classifier, texts, form=output.value, proba=proba))


@app.command()
def evaluate(
    run: RunArgument,
    test: Annotated[Path, typer.Option(help="Labelled texts (.csv, .tsv, .jsonl, .parquet).", show_default=False)],
    save: Annotated[Path | None, typer.Option(help="Also write all scores as JSON.", show_default=False)] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    device: DeviceOption = DeviceChoice.auto,
    quiet: QuietOption = False,
) -> None:
    """Score a trained classifier on labelled texts, every figure with its 95 % interval."""
    from nlptl.context import RunContext
    from nlptl.data import DataSettings, load_table
    from nlptl.errors import ConfigError
    from nlptl.evaluation.classifier_evaluation import evaluate_classifier, load_classifier

    if save is not None and save.is_dir():
        raise ConfigError(f"--save: {save} is a folder; expected a file to write. Name a file in it.")
    classifier = load_classifier(run, RunContext(device=device.value))
    columns = DataSettings(text_column=text_column, label_column=label_column)
    table = load_table(str(test), settings=columns, where="--test")
    with _progress(quiet).task("scoring", total=len(table), unit="texts") as task:
        evaluation = evaluate_classifier(classifier, table, after_batch=task.advance)
    if save is not None:
        evaluation.save(save)
    _print(evaluation.summary_lines())


@app.command()
def neighbours(
    run: RunArgument,
    word: Annotated[str, typer.Argument(help="A word of the vocabulary.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, help="How many to list.")] = 10,
) -> None:
    """List the words whose vectors are nearest to a word's, with their cosines."""
    from nlptl.models.neighbours import nearest_words
    from nlptl.runs.folder import stage_folders

    _print(f"{near}\t{cosine:.4f}" for near, cosine in nearest_words(stage_folders(run)[0], word, count=count))


@vectors_app.command()
def export(
    run: RunArgument,
    format: Annotated[
        str, typer.Option(help="word2vec, word2vec-binary, keyedvectors, glove or fasttext.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="File to write; packed where it ends in .gz.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write the word vectors of a run's first stage, or of one of its stages, as a file of another tool."""
    from nlptl.models.word_vector_files.export import export_vectors
    from nlptl.runs.folder import stage_folders

    _print(export_vectors(stage_folders(run)[0], out, format=format, force=force))


@app.command()
def show(run: RunArgument, price_per_hour: PriceOption = None) -> None:
    """Show what was trained, from what, its parameters, seconds and scores."""
    from nlptl.interfaces.text import show_lines

    _check_price(price_per_hour)
    _print(show_lines(run, price_per_hour=price_per_hour))


def main() -> None:
    """Run the command line; exits with 0, 1 (failed) or 2 (the user's input)."""
    from nlptl.errors import NlptlError, ProcessError, StorageError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a closed stream or a stand-in has no encoding to change
            stream.reconfigure(encoding="utf-8")
    warnings.showwarning = _show_warning
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except NlptlError as error:
        _give_way()
        print(error, file=sys.stderr)
        sys.exit(1 if isinstance(error, StorageError | ProcessError) else 2)
    except BrokenPipeError:
        # Whoever read stdout has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print(f"output: cannot be written ({error.strerror}). Free space or write elsewhere.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _give_way() -> None:
    """Let process 0 tell an error that all have; whoever started the processes then ends this one.

    What comes after is only reached where process 0 has no error of its own.
    """
    from nlptl.training.distributed import is_main

    if not is_main():
        time.sleep(GRACE)


def _check_price(price: float | None) -> None:
    from nlptl.errors import ConfigError

    if price is not None and not 0 <= price < float("inf"):
        raise ConfigError(
            f"--price-per-hour: found {price:g}; expected a number of at least 0. Give the price of an hour."
        )


def _progress(quiet: bool) -> Progress:
    from nlptl.interfaces.console import progress_for

    return progress_for(sys.stderr, quiet=quiet)


def _print(lines: Iterable[str]) -> None:
    from nlptl.training.distributed import is_main

    for line in lines:
        if is_main():
            print(line)
    sys.stdout.flush()


def _counted(batches: Iterator[list[str]], task: Task) -> Iterator[list[str]]:
    for batch in batches:
        yield batch
        task.advance(len(batch))


def _texts(text: str | None, file: Path | None, column: str) -> Iterator[list[str]]:
    """Yield batches of texts from the argument, the file or stdin."""
    from nlptl.data import DataSettings, stream_texts
    from nlptl.interfaces.text import lines_in_batches

    if text is not None:
        return iter([[text]])
    if file is not None:
        return stream_texts(str(file), settings=DataSettings(text_column=column), where="--file")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict")
    return lines_in_batches(sys.stdin)


if __name__ == "__main__":
    main()
