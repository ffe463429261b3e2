"""The command line: results go to stdout, everything else to stderr."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nlptl.errors import ConfigError, NlptlError
from nlptl.interfaces import failures
from nlptl.interfaces.auditing import audit
from nlptl.interfaces.bash_words import as_bash_has_them
from nlptl.interfaces.behaving import behave
from nlptl.interfaces.bundling import bundle
from nlptl.interfaces.comparing import compare
from nlptl.interfaces.curving import curve
from nlptl.interfaces.encoding import encode
from nlptl.interfaces.explaining import explain
from nlptl.interfaces.exporting import export
from nlptl.interfaces.init import init
from nlptl.interfaces.monitoring import monitor
from nlptl.interfaces.options import (
    DeviceOption,
    ForceOption,
    PipelineArgument,
    PriceOption,
    QuietOption,
    RunArgument,
    SetOption,
    argument,
    check_place,
    example,
    group,
    option,
    path_option,
)
from nlptl.interfaces.pipeline_files import check_is_pipeline, check_run_folder
from nlptl.interfaces.predicting import predict
from nlptl.interfaces.refreshing import refresh, rollback, versions
from nlptl.interfaces.reporting import report
from nlptl.interfaces.schema import schema
from nlptl.interfaces.scoring import evaluate
from nlptl.interfaces.serving import serve
from nlptl.interfaces.starting import start
from nlptl.interfaces.terminal import (
    OutputError,
    complain,
    give_up_stdout,
    open_streams,
    print_exactly,
    remark,
    tell,
)
from nlptl.interfaces.termination import Terminated, interruption_told, raise_when_terminated
from nlptl.training.distributed import end, is_main

if TYPE_CHECKING:
    from nlptl.progress import Progress

WAITING = {"GOMP_SPINCOUNT": "20000", "KMP_BLOCKTIME": "1"}
"""How long a waiting OpenMP thread spins before it sleeps. OpenMP reads it when torch loads. Long spinning takes the cores
from other work: beside two busy processes, 160 steps of LoRA took 26 s by OpenMP's default and 16 s with these values."""
GRACE = 5.0  # seconds that the other processes leave process 0 to tell an error, before the launcher ends them

EXPORT_EXAMPLE = example("nlptl vectors export runs/reviews-skipgram --format glove --out vectors.txt")
app = group(epilog=example("nlptl run pipelines/quickstart.yaml"), add_completion=True)
ORDER = (
    *("start", "run", "check", "init", "schema"),
    *("predict", "encode", "explain", "evaluate"),
    *("show", "report", "compare", "curve", "audit", "behave"),
    *("export", "bundle", "serve", "monitor", "refresh", "versions", "rollback"),
    *("neighbours", "encoders"),
)
"""Commands as --help lists them: make a classifier, use it, learn what it is worth, ship it."""
vectors_app = group(help="Write word vectors for other tools.", epilog=EXPORT_EXAMPLE)


def _name(command: typer.models.CommandInfo) -> str:
    return command.name or str(getattr(command.callback, "__name__", ""))


def _print_version(wanted: bool) -> None:
    if wanted:
        from nlptl import __version__

        print_exactly([f"nlptl {__version__}\n"])
        raise typer.Exit


@app.callback()
def nlptl(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Make a text classifier from unlabelled texts and a few labelled ones."""


app.command(epilog=example("nlptl start tickets.csv", "nlptl start mails.xlsx --text Body --label Topic --minutes 5"))(
    start
)


@app.command(
    epilog=example(
        "nlptl run pipelines/quickstart.yaml",
        "nlptl run pipelines/quickstart.yaml --set compare.seeds=20 --out runs/claim",
    )
)
def run(
    pipeline: PipelineArgument,
    set_: SetOption = None,
    out: Annotated[Path | None, path_option(help="Write the run into this folder instead of runs/NAME.")] = None,
    device: DeviceOption = "auto",
    tracker: Annotated[
        list[str] | None,
        option(help="Report to tensorboard, mlflow or wandb too. Repeat it for more.", metavar="NAME"),
    ] = None,
    price_per_hour: PriceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Replace finished work of another pipeline.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Run a pipeline and print what came out.

    A finished stage is kept while nothing that it depends on changes.
    Start it with torchrun or accelerate launch to train in several processes.
    """
    from nlptl.context import RunContext
    from nlptl.interfaces.text import begin_line, next_lines, run_lines
    from nlptl.progress import SilentTracker
    from nlptl.runs.folder import run_of_pipeline
    from nlptl.runs.pipeline import Pipeline
    from nlptl.runs.trackers import NamedTrackers

    _check_price(price_per_hour)
    check_is_pipeline(pipeline)
    folder = out or run_of_pipeline(pipeline)
    check_run_folder(folder)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    context = RunContext(
        device=device, progress=_progress(quiet), tracker=NamedTrackers(tracker) if tracker else SilentTracker()
    )
    if not quiet:
        remark(begin_line(chain))
    with interruption_told("Finished stages are kept; run the same command to go on."):
        result = chain.run(folder, context=context, where=str(pipeline), force=force)
    end()
    tell(run_lines(result, price_per_hour=price_per_hour, quiet=quiet))
    if not quiet:
        for line in ("", *next_lines(result)):
            remark(line, wrap=False)  # a command stays on one line, to be copied


@app.command(epilog=example("nlptl check pipelines/quickstart.yaml"))
def check(pipeline: PipelineArgument, set_: SetOption = None) -> None:
    """Check a pipeline and all of its data; train nothing.

    What a person should know of the data goes to stderr. Exit code 2 means faults.
    """
    from nlptl.runs.pipeline import Pipeline

    check_is_pipeline(pipeline)
    chain = Pipeline.from_yaml(pipeline, assignments=set_ or [])
    data, found = chain.check(where=str(pipeline))
    count = len(chain.stages)
    complain([*found.sentences(), *chain.remarks(data)])
    tell([f"{pipeline}: fits. {count} stage{'s' * (count != 1)} would run."])


app.command(
    epilog=example(
        'nlptl predict runs/quickstart "A clever film with a warm ending."',
        "nlptl predict runs/quickstart --file data/reviews/held_out.csv --proba",
        "nlptl predict runs/quickstart --file mails.csv --keep --bom --out labels.csv",
    )
)(predict)
app.command(
    epilog=example(
        "nlptl encode runs/quickstart --file new.csv --out vectors.npy",
        "nlptl encode runs/quickstart --file pile --keep --out vectors --engine ray",
    )
)(encode)
app.command(
    epilog=example(
        'nlptl explain runs/quickstart "A clever film with a warm ending."',
        "nlptl explain runs/quickstart --file data/reviews/test.csv --label negative",
    )
)(explain)
app.command(
    epilog=example(
        "nlptl audit tickets.csv", "nlptl audit pipelines/quickstart.yaml", "nlptl audit runs/quickstart --suspects 0.3"
    )
)(audit)
app.command(epilog=example("nlptl evaluate runs/quickstart --test data/reviews/held_out.csv"))(evaluate)

app.command(epilog=example("nlptl behave runs/quickstart", "nlptl behave runs/tickets --slice Region"))(behave)
app.command(epilog=example("nlptl curve tickets.yaml", "nlptl curve tickets.yaml --minutes 30 --metric macro-F1"))(
    curve
)
app.command(
    epilog=example(
        "nlptl bundle runs/tickets --out bundles/tickets", "nlptl bundle exports/tickets --form wheel --out dist"
    )
)(bundle)
app.command(epilog=example("nlptl export runs/tickets --format onnx --out exports/tickets"))(export)
app.command(
    epilog=example(
        "nlptl compare pipelines/tweets-bert-lora.yaml --regimes frozen,lora",
        "nlptl compare first.yaml second.yaml --minutes 30",
        "nlptl compare runs/tweets-skipgram runs/tweets-bert-lora",
    )
)(compare)

app.command(
    epilog=example("nlptl serve runs/quickstart", "nlptl serve runs/tickets mails=runs/mails --workers 2 --port 8080")
)(serve)

app.command(
    epilog=example(
        "nlptl monitor runs/quickstart --file new.csv",
        "nlptl monitor runs/tickets --file june.xlsx --out watch/tickets",
    )
)(monitor)

app.command(epilog=example("nlptl report runs/quickstart", "nlptl report runs/quickstart --out quickstart.html"))(
    report
)

app.command(epilog=example("nlptl refresh runs/tweets-head --labelled corrections.jsonl"))(refresh)
app.command(epilog=example("nlptl versions runs/tweets-head"))(versions)
app.command(epilog=example("nlptl rollback runs/tweets-head", "nlptl rollback runs/tweets-head --to 2"))(rollback)


@app.command(epilog=example("nlptl neighbours runs/reviews-skipgram good --count 5"))
def neighbours(
    run: RunArgument,
    word: Annotated[str, argument(metavar="WORD", help="A word of the vocabulary.")],
    count: Annotated[int, typer.Option(min=1, help="Number of words to list.")] = 10,
) -> None:
    """List the words nearest to a word, with their cosines."""
    from nlptl.models.neighbours import nearest_words
    from nlptl.runs.folder import stage_folders

    if any("\ud800" <= character <= "\udfff" for character in word):
        raise ConfigError(f"WORD: found {word!r}; expected a word in UTF-8. Give another one.")
    found = nearest_words(stage_folders(run)[0], word, count=count)
    print_exactly(f"{near}\t{cosine:.4f}\n" for near, cosine in found)


@app.command(epilog=example("nlptl encoders"))
def encoders() -> None:
    """List well-known encoders, and which are at hand."""
    from nlptl.interfaces.encoder_tables import known_lines

    tell(known_lines())


@vectors_app.command("export", epilog=EXPORT_EXAMPLE)
def vectors_export(
    run: RunArgument,
    format: Annotated[
        str, option(help="Write in this format: word2vec, word2vec-binary, keyedvectors, glove or fasttext.")
    ],
    out: Annotated[Path, path_option(help="Write this file, compressed if its name ends in .gz.")],
    force: ForceOption = False,
) -> None:
    """Write word vectors as a file of another tool.

    Exports the vectors of RUN's first stage, which must be skipgram.
    """
    from nlptl.models.word_vector_files.export import export_vectors
    from nlptl.runs.folder import stage_folders

    check_place(out, "--out")
    tell(export_vectors(stage_folders(run)[0], out, format=format, force=force), wrap=False)


@app.command(epilog=example("nlptl show runs/quickstart", "nlptl show runs/quickstart --all"))
def show(
    run: RunArgument,
    details: Annotated[bool, typer.Option("--all", help="Add settings, findings, versions and all scores.")] = False,
    price_per_hour: PriceOption = None,
) -> None:
    """Show what a run trained, how long it took, and its scores."""
    from nlptl.interfaces.text import show_lines

    _check_price(price_per_hour)
    tell(show_lines(run, details=details, price_per_hour=price_per_hour))


app.command(epilog=example("nlptl init", "nlptl init few-labels --out tickets.yaml"))(init)
app.command(epilog=example("nlptl schema --out nlptl.schema.json"))(schema)
app.add_typer(vectors_app, name="vectors")
app.registered_commands.sort(key=lambda command: ORDER.index(_name(command)))


def main() -> None:
    """Run the command line. The exit code is 0, 1 (it failed), 2 (a fault of the user's input) or 3 (an alarm of `monitor`)."""
    open_streams()
    warnings.showwarning = lambda message, *_, **__: remark(f"Warning: {message}")
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    raise_when_terminated()
    try:
        with as_bash_has_them():
            code = _exit_code()
    except Terminated as stop:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        stop.end()
    finally:
        logging.disable(logging.NOTSET)  # which --quiet has raised
    sys.exit(code)


def _exit_code() -> int:
    """Run the command, and tell on stderr why it failed."""
    try:
        returned = app(prog_name="nlptl", standalone_mode=False)
        if returned != failures.INTERRUPT_CODE:
            return returned if isinstance(returned, int) else 0
    except KeyboardInterrupt:
        pass
    except Exception as error:
        if failures.is_usage_error(error):
            complain(failures.usage_lines(error))
            return 2
        if not failures.is_interrupt(error):
            return _failed(error)
    complain([failures.INTERRUPTED])
    return 1


def _failed(error: Exception) -> int:
    if not isinstance(error, NlptlError | OutputError | OSError | MemoryError) and not failures.is_missing_library(
        error
    ):
        raise error
    if not is_main():
        time.sleep(GRACE)
    complain(failures.failure_lines(error))
    if not isinstance(error, NlptlError):
        give_up_stdout()
    return failures.exit_code(error)


def _check_price(price: float | None) -> None:
    if price is not None and not 0 <= price < float("inf"):
        found = f"found {price:g}; expected a number of at least 0"
        raise ConfigError(f"--price-per-hour: {found}. Give the price of an hour.")


def _progress(quiet: bool) -> Progress:
    from nlptl.interfaces.console import progress_for

    return progress_for(sys.stderr, quiet=quiet)
