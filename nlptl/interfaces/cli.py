"""The command line: results go to stdout, everything else to stderr."""

from __future__ import annotations

import io
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from nlptl.progress import Progress, Task

WAITING = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}
"""How long a waiting OpenMP thread spins before it sleeps. OpenMP reads it when torch loads.

Long spinning takes the cores from other work. 160 steps of LoRA took 6.0 s on two idle cores either way. Beside two other
busy processes they took 26 s by OpenMP's default and 16 s with these values."""
GRACE = 5.0  # seconds that the other processes leave process 0 to tell an error


def _example(*commands: str) -> str:
    """Return the examples that end a command's help, unwrapped."""
    return "\n".join(["\b", "Example:", *(f"  {command}" for command in commands)])


app = typer.Typer(
    help="Make a text classifier from unlabelled texts and a few labelled ones.",
    epilog=_example("nlptl run pipelines/quickstart.yaml"),
    subcommand_metavar="COMMAND",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
vectors_app = typer.Typer(
    help="Write word vectors for other tools.",
    epilog=_example("nlptl vectors export runs/reviews-skipgram --format glove --out vectors.txt"),
    subcommand_metavar="COMMAND",
    no_args_is_help=True,
    rich_markup_mode=None,
)
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


PipelineArgument = Annotated[
    Path, typer.Argument(metavar="PIPELINE", help="The pipeline's YAML file.", show_default=False)
]
RunArgument = Annotated[
    Path, typer.Argument(metavar="RUN", help="The folder of a run or of one of its stages.", show_default=False)
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, such as stages.0.dim=50. Repeat it for more.", metavar="PATH=VALUE"),
]
DeviceOption = Annotated[DeviceChoice, typer.Option(help="Compute on this device; auto takes a GPU if there is one.")]
TextColumn = Annotated[str, typer.Option(help="Read the texts from this column.")]
LabelColumn = Annotated[str, typer.Option(help="Read the labels from this column.")]
PriceOption = Annotated[
    float | None, typer.Option(help="Print the cost, given the machine's price per hour.", show_default=False)
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print results only, no progress and no remarks.")]


@app.command(
    epilog=_example(
        "nlptl run pipelines/quickstart.yaml",
        "nlptl run pipelines/quickstart.yaml --set compare.seeds=20 --out runs/claim",
    )
)
def run(
    pipeline: PipelineArgument,
    set_: SetOption = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the run here instead of to runs/NAME.", show_default=False)
    ] = None,
    device: DeviceOption = DeviceChoice.auto,
    tracker: Annotated[
        list[str] | None,
        typer.Option(help="Report to tensorboard, mlflow or wandb too. Repeat it for more.", metavar="NAME"),
    ] = None,
    price_per_hour: PriceOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline and print what came out.

    A finished stage is kept while nothing that it depends on changes.
    Start it with torchrun or accelerate launch to train in several processes.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.text import begin_line, next_lines, run_lines
    from nlptl.runs.pipeline import Pipeline
    from nlptl.runs.trackers import NamedTrackers
    from nlptl.training import distributed

    _check_price(price_per_hour)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    context = RunContext(device=device.value, progress=_progress(quiet), tracker=NamedTrackers(tracker or []))
    if not quiet:
        _tell([begin_line(chain)], stream=sys.stderr)
    try:
        result = chain.run(out or Path("runs") / pipeline.stem, context=context, where=str(pipeline))
    except KeyboardInterrupt:
        if distributed.is_main():
            print("Interrupted. Finished stages are kept; run the same command to go on.", file=sys.stderr)
        raise typer.Exit(1) from None
    distributed.end()
    _tell(run_lines(result, price_per_hour=price_per_hour))
    if not quiet:
        _print(["", *next_lines(result)], stream=sys.stderr)  # a command stays on one line, to be copied


@app.command(epilog=_example("nlptl check pipelines/quickstart.yaml"))
def check(pipeline: PipelineArgument, set_: SetOption = None) -> None:
    """Check a pipeline and all of its data; train nothing.

    Exit code 2 means faults.
    """
    from nlptl.runs.pipeline import Pipeline

    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    _, report = chain.check(where=str(pipeline))
    _tell([*report.sentences(), f"{pipeline}: fits. {len(chain.stages)} stages would run."])


@app.command(
    epilog=_example(
        'nlptl predict runs/quickstart "A clever film with a warm ending."',
        "nlptl predict runs/quickstart --file data/reviews/held_out.csv --proba",
    )
)
def predict(
    run: RunArgument,
    text: Annotated[
        str | None, typer.Argument(metavar="TEXT", help="One text to predict the label of.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="Read the texts from a .txt, .csv, .tsv, .jsonl or .parquet file.", show_default=False),
    ] = None,
    output: Annotated[OutputChoice, typer.Option(help="Write the results in this form.")] = OutputChoice.csv,
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each label.")] = False,
    text_column: TextColumn = "text",
    device: DeviceOption = DeviceChoice.auto,
    quiet: QuietOption = False,
) -> None:
    """Predict the labels of texts.

    Without TEXT and --file, each line of stdin is a text. Results appear after every 256 lines.
    """
    from nlptl.context import RunContext
    from nlptl.errors import ConfigError
    from nlptl.evaluation.classifier_evaluation import load_classifier
    from nlptl.interfaces.prediction_lines import prediction_lines

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
        _print(prediction_lines(classifier, texts, form=output.value, proba=proba))


@app.command(epilog=_example("nlptl evaluate runs/quickstart --test data/reviews/held_out.csv"))
def evaluate(
    run: RunArgument,
    test: Annotated[
        Path, typer.Option(help="Labelled file to score on: .csv, .tsv, .jsonl or .parquet.", show_default=False)
    ],
    save: Annotated[Path | None, typer.Option(help="Write all scores to a JSON file too.", show_default=False)] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    device: DeviceOption = DeviceChoice.auto,
    quiet: QuietOption = False,
) -> None:
    """Score a trained classifier on labelled texts. Figures have 95 % intervals."""
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
    _tell(evaluation.summary_lines())


@app.command(epilog=_example("nlptl neighbours runs/reviews-skipgram good --count 5"))
def neighbours(
    run: RunArgument,
    word: Annotated[str, typer.Argument(metavar="WORD", help="A word of the vocabulary.", show_default=False)],
    count: Annotated[int, typer.Option(min=1, help="Number of words to list.")] = 10,
) -> None:
    """List the words nearest to a word, with their cosines."""
    from nlptl.models.neighbours import nearest_words
    from nlptl.runs.folder import stage_folders

    _print(f"{near}\t{cosine:.4f}" for near, cosine in nearest_words(stage_folders(run)[0], word, count=count))


@vectors_app.command(epilog=_example("nlptl vectors export runs/reviews-skipgram --format glove --out vectors.txt"))
def export(
    run: RunArgument,
    format: Annotated[
        str,
        typer.Option(
            help="Write in this format: word2vec, word2vec-binary, keyedvectors, glove or fasttext.", show_default=False
        ),
    ],
    out: Annotated[Path, typer.Option(help="Write this file, compressed if its name ends in .gz.", show_default=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write word vectors as a file of another tool.

    Exports the vectors of RUN's first stage, which must be skipgram.
    """
    from nlptl.models.word_vector_files.export import export_vectors
    from nlptl.runs.folder import stage_folders

    _print(export_vectors(stage_folders(run)[0], out, format=format, force=force))


@app.command(epilog=_example("nlptl show runs/quickstart", "nlptl show runs/quickstart --all"))
def show(
    run: RunArgument,
    details: Annotated[bool, typer.Option("--all", help="Add settings, findings, versions and all scores.")] = False,
    price_per_hour: PriceOption = None,
) -> None:
    """Show what a run trained, how long it took, and its scores."""
    from nlptl.interfaces.text import show_lines

    _check_price(price_per_hour)
    _tell(show_lines(run, details=details, price_per_hour=price_per_hour))


def main() -> None:
    """Run the command line. The exit code is 0, 1 (it failed) or 2 (a fault of the user's input)."""
    from nlptl.errors import NlptlError, ProcessError, StorageError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a closed stream has no encoding to change
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
        # The reader of stdout has gone. Without this Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print(f"output: cannot be written ({error.strerror}). Free space or write elsewhere.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"Warning: {message}", file=sys.stderr)


def _give_way() -> None:
    """Leave process 0 the time to tell the error. The launcher then ends this process."""
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


def _tell(lines: Iterable[str], *, stream: TextIO | None = None) -> None:
    """Print lines that a person reads, on stdout by default."""
    from nlptl.interfaces.text import wrapped

    _print(map(wrapped, lines), stream=stream)


def _print(lines: Iterable[str], *, stream: TextIO | None = None) -> None:
    from nlptl.training.distributed import is_main

    for line in lines:
        if is_main():
            print(line, file=stream or sys.stdout)
    (stream or sys.stdout).flush()


def _counted(batches: Iterator[list[str]], task: Task) -> Iterator[list[str]]:
    for batch in batches:
        yield batch
        task.advance(len(batch))


def _texts(text: str | None, file: Path | None, column: str) -> Iterator[list[str]]:
    """Yield batches of texts from the argument, the file or stdin."""
    from nlptl.data import DataSettings, stream_texts
    from nlptl.interfaces.prediction_lines import lines_in_batches

    if text is not None:
        return iter([[text]])
    if file is not None:
        return stream_texts(str(file), settings=DataSettings(text_column=column), where="--file")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8-sig", errors="strict")
    return lines_in_batches(sys.stdin)


if __name__ == "__main__":
    main()
