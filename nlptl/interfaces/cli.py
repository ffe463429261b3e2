"""The command line: results go to stdout, everything else to stderr."""

from __future__ import annotations

import functools
import io
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from nlptl.errors import ConfigError, NlptlError, ProcessError, StorageError
from nlptl.training.distributed import end, is_main

if TYPE_CHECKING:
    from nlptl.progress import Progress

WAITING = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}
"""How long a waiting OpenMP thread spins before it sleeps. OpenMP reads it when torch loads. Long spinning takes the cores
from other work: beside two busy processes, 160 steps of LoRA took 26 s by OpenMP's default and 16 s with these values."""
GRACE = 5.0  # seconds that the other processes leave process 0 to tell an error, before the launcher ends them


def _example(*commands: str) -> str:
    """Return the examples that end a command's help, unwrapped."""
    return "\n".join(["\b", "Example:", *(f"  {command}" for command in commands)])


_group = functools.partial(
    typer.Typer, subcommand_metavar="COMMAND", no_args_is_help=True, rich_markup_mode=None, add_completion=False,
    pretty_exceptions_enable=False,
)  # fmt: skip
_argument = functools.partial(typer.Argument, show_default=False)
_option = functools.partial(typer.Option, show_default=False)
EXPORT_EXAMPLE = _example("nlptl vectors export runs/reviews-skipgram --format glove --out vectors.txt")
app = _group(
    help="Make a text classifier from unlabelled texts and a few labelled ones.",
    epilog=_example("nlptl run pipelines/quickstart.yaml"),
)
vectors_app = _group(help="Write word vectors for other tools.", epilog=EXPORT_EXAMPLE)
app.add_typer(vectors_app, name="vectors")

PipelineArgument = Annotated[Path, _argument(metavar="PIPELINE", help="The pipeline's YAML file.")]
RunArgument = Annotated[Path, _argument(metavar="RUN", help="The folder of a run or of one of its stages.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a setting, such as stages.0.dim=50. Repeat it for more.", metavar="PATH=VALUE"),
]
DeviceOption = Annotated[
    Literal["auto", "cpu", "cuda"], typer.Option(help="Compute on this device; auto takes a GPU if there is one.")
]
TextColumn = Annotated[str, typer.Option(help="Read the texts from this column.")]
LabelColumn = Annotated[str, typer.Option(help="Read the labels from this column.")]
PriceOption = Annotated[float | None, _option(help="Print the cost, given the machine's price per hour.")]
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
    out: Annotated[Path | None, _option(help="Write the run here instead of to runs/NAME.")] = None,
    device: DeviceOption = "auto",
    tracker: Annotated[
        list[str] | None,
        _option(help="Report to tensorboard, mlflow or wandb too. Repeat it for more.", metavar="NAME"),
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

    _check_price(price_per_hour)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    context = RunContext(device=device, progress=_progress(quiet), tracker=NamedTrackers(tracker or []))
    if not quiet:
        _tell([begin_line(chain)], stream=sys.stderr)
    try:
        result = chain.run(out or Path("runs") / pipeline.stem, context=context, where=str(pipeline))
    except KeyboardInterrupt:
        if is_main():
            print("Interrupted. Finished stages are kept; run the same command to go on.", file=sys.stderr)
        raise typer.Exit(1) from None
    end()
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
    data, report = chain.check(where=str(pipeline))
    count = len(chain.stages)
    _tell(
        [*report.sentences(), *chain.remarks(data), f"{pipeline}: fits. {count} stage{'s' * (count != 1)} would run."]
    )


@app.command(
    epilog=_example(
        'nlptl predict runs/quickstart "A clever film with a warm ending."',
        "nlptl predict runs/quickstart --file data/reviews/held_out.csv --proba",
    )
)
def predict(
    run: RunArgument,
    text: Annotated[str | None, _argument(metavar="TEXT", help="One text to predict the label of.")] = None,
    file: Annotated[
        Path | None, _option(help="Read the texts from a .txt, .csv, .tsv, .jsonl or .parquet file.")
    ] = None,
    output: Annotated[Literal["csv", "jsonl"], typer.Option(help="Write the results in this form.")] = "csv",
    proba: Annotated[bool, typer.Option("--proba", help="Add the probability of each label.")] = False,
    text_column: TextColumn = "text",
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Predict the labels of texts.

    Without TEXT and --file, each line of stdin is a text. Results appear after every 256 lines.
    """
    from nlptl.context import RunContext
    from nlptl.evaluation.scores import load_classifier
    from nlptl.interfaces.prediction_lines import prediction_lines

    if text is not None and file is not None:
        raise ConfigError("predict: found a text and --file; expected one of them. Drop one.")
    if text is not None and (not text.strip() or any("\ud800" <= character <= "\udfff" for character in text)):
        raise ConfigError(f"predict: found {text!r}; expected a text in UTF-8 that is not empty. Give another one.")
    if text is None and file is None and sys.stdin is None:
        raise ConfigError("predict: found no text, no --file and a closed stdin; expected one of them. Give one.")
    classifier = load_classifier(run, RunContext(device=device))
    classifier.check_trained()
    # On a terminal the results themselves show how far it has come.
    with _progress(quiet or sys.stdout.isatty()).task("predicting", total=None, unit="texts") as task:
        texts = _texts(text, file, text_column)
        _print(prediction_lines(classifier, texts, form=output, proba=proba, after_batch=task.advance))


@app.command(epilog=_example("nlptl evaluate runs/quickstart --test data/reviews/held_out.csv"))
def evaluate(
    run: RunArgument,
    test: Annotated[Path, _option(help="Labelled file to score on: .csv, .tsv, .jsonl or .parquet.")],
    save: Annotated[Path | None, _option(help="Write all scores to a JSON file too.")] = None,
    text_column: TextColumn = "text",
    label_column: LabelColumn = "label",
    device: DeviceOption = "auto",
    quiet: QuietOption = False,
) -> None:
    """Score a trained classifier on labelled texts. Figures have 95 % intervals."""
    from nlptl.context import RunContext
    from nlptl.data import DataSettings, load_table
    from nlptl.evaluation.scores import evaluate_classifier, load_classifier
    from nlptl.runs.folder import write_json

    if save is not None and save.is_dir():
        raise ConfigError(f"--save: {save} is a folder; expected a file to write. Name a file in it.")
    classifier = load_classifier(run, RunContext(device=device))
    columns = DataSettings(text_column=text_column, label_column=label_column)
    table = load_table(str(test), settings=columns, where="--test")
    with _progress(quiet).task("scoring", total=len(table), unit="texts") as task:
        evaluation = evaluate_classifier(classifier, table, after_batch=task.advance)
    if save is not None:
        write_json(save, evaluation.to_dict())
    _tell(evaluation.summary_lines())


@app.command(epilog=_example("nlptl neighbours runs/reviews-skipgram good --count 5"))
def neighbours(
    run: RunArgument,
    word: Annotated[str, _argument(metavar="WORD", help="A word of the vocabulary.")],
    count: Annotated[int, typer.Option(min=1, help="Number of words to list.")] = 10,
) -> None:
    """List the words nearest to a word, with their cosines."""
    from nlptl.models.neighbours import nearest_words
    from nlptl.runs.folder import stage_folders

    _print(f"{near}\t{cosine:.4f}" for near, cosine in nearest_words(stage_folders(run)[0], word, count=count))


@vectors_app.command(epilog=EXPORT_EXAMPLE)
def export(
    run: RunArgument,
    format: Annotated[
        str, _option(help="Write in this format: word2vec, word2vec-binary, keyedvectors, glove or fasttext.")
    ],
    out: Annotated[Path, _option(help="Write this file, compressed if its name ends in .gz.")],
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a closed stream has no encoding to change
            stream.reconfigure(encoding="utf-8")
    warnings.showwarning = lambda message, *_, **__: print(f"Warning: {message}", file=sys.stderr)
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except NlptlError as error:
        if not is_main():
            time.sleep(GRACE)
        print(error, file=sys.stderr)
        sys.exit(1 if isinstance(error, StorageError | ProcessError) else 2)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whose reader has gone
            print(f"output: cannot be written ({error.strerror}). Free space or write elsewhere.", file=sys.stderr)
        # Without this Python complains once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _check_price(price: float | None) -> None:
    if price is not None and not 0 <= price < float("inf"):
        found = f"found {price:g}; expected a number of at least 0"
        raise ConfigError(f"--price-per-hour: {found}. Give the price of an hour.")


def _progress(quiet: bool) -> Progress:
    from nlptl.interfaces.console import progress_for

    return progress_for(sys.stderr, quiet=quiet)


def _tell(lines: Iterable[str], *, stream: TextIO | None = None) -> None:
    """Print lines that a person reads, on stdout by default."""
    from nlptl.interfaces.text import wrapped

    _print(map(wrapped, lines), stream=stream)


def _print(lines: Iterable[str], *, stream: TextIO | None = None) -> None:
    for line in lines:
        if is_main():
            print(line, file=stream)
    (stream or sys.stdout).flush()


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
