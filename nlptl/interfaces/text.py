"""Plain lines and tables of what a run did; the command line prints them, nothing here does."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from nlptl.artifact import Manifest, read_manifest
from nlptl.errors import DataError
from nlptl.progress import clock, human
from nlptl.runs.folder import comparison_sentence, stage_folders
from nlptl.runs.runner import read_scores

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier


if TYPE_CHECKING:
    from nlptl.evaluation.intervals import PairedDifference
    from nlptl.runs.runner import RunResult
    from nlptl.runs.studies.comparison import ComparisonResult


def run_lines(result: RunResult, *, price_per_hour: float | None = None) -> Iterator[str]:
    """Tell a finished run: data, stages, findings, cost, scores, comparison."""
    yield from result.data.sentences()
    yield ""
    rows = [_stage_row(outcome.folder, outcome.manifest, kept=outcome.kept) for outcome in result.stages]
    yield from table(["stage", "", "time", "trainable / total parameters"], rows)
    for outcome in result.stages:
        yield from outcome.manifest.report.get("sentences", [])
    if price_per_hour is not None:
        ran = [outcome.manifest.seconds for outcome in result.stages if not outcome.kept]
        yield cost_line(sum(ran), price_per_hour, f"the {len(ran)} of {len(result.stages)} stages that were not kept")
    if result.scores is not None:
        yield from unknown_lines(result.scores.unknown_shares)
        yield ""
        yield "On the test texts:"
        yield from (f"  {line}" for line in result.scores.evaluation.summary_lines())
    if result.comparison is not None:
        yield ""
        yield from comparison_lines(result.comparison)


def show_lines(run: Path, *, price_per_hour: float | None = None) -> Iterator[str]:
    """Tell what stands in a run's folder or in one stage's folder."""
    folders = stage_folders(run)
    manifests = [read_manifest(folder) for folder in folders]
    yield f"{run}"
    rows = [_stage_row(folder, manifest, kept=False) for folder, manifest in zip(folders, manifests, strict=True)]
    yield from table(["stage", "", "time", "trainable / total parameters"], rows)
    if price_per_hour is not None:
        yield cost_line(sum(manifest.seconds for manifest in manifests), price_per_hour, "all stages")
    for folder, manifest in zip(folders, manifests, strict=True):
        yield ""
        yield f"{folder.name} — seed {manifest.seed}, on {manifest.device}"
        settings = {key: value for key, value in manifest.settings.items() if key != "stage"}
        yield "  settings: " + ", ".join(f"{key}={_plain(value)}" for key, value in settings.items())
        for part, digest in manifest.data.items():
            yield f"  learnt from {part} (digest {digest[:12]})"
        yield from (f"  {sentence}" for sentence in manifest.report.get("sentences", []))
    versions = ", ".join(f"{name} {version}" for name, version in manifests[-1].versions.items())
    yield ""
    yield f"made with {versions}"
    yield from _scores(run, manifests[-1].identity)


def comparison_lines(result: ComparisonResult) -> Iterator[str]:
    """Tell all arms on every test, and the sentence on what that shows."""
    rows = [
        [
            found.test,
            *(_percent(a.value, a.low, a.high) for a in found.accuracies),
            *(cell for difference in found.differences for cell in _difference_cells(difference)),
        ]
        for found in result.results
    ]
    yield f"Accuracy in % over {result.results[0].seeds} seeds [95 % interval]:"
    several = len(result.arms) > 2
    headers = [f"{arm}: difference (points)" if several else "difference (points)" for arm in result.arms[1:]]
    yield from table(
        ["test", *result.arms, *(cell for header in headers for cell in (header, "better/equal/worse"))], rows
    )
    yield result.sentence


def cost_line(seconds: float, price_per_hour: float, stages: str) -> str:
    """Tell what some seconds cost."""
    return (
        f"Estimated cost: {seconds / 3600 * price_per_hour:.4g}, which is {clock(seconds)} of wall time of {stages} at "
        f"{price_per_hour:g} an hour."
    )


def unknown_lines(shares: Mapping[str, float]) -> Iterator[str]:
    """Tell the share of words that the vocabulary lacks in each part of the data."""
    for part, share in shares.items():
        yield f"{100 * share:.1f} % of the words in the {part} texts are not in the vocabulary."


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lay out a table as aligned plain text."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, ["-" * width for width in widths], *rows]:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _stage_row(folder: Path, manifest: Manifest, *, kept: bool) -> list[str]:
    parameters = f"{human(manifest.trainable_parameters)} / {human(manifest.total_parameters)}"
    return [folder.name, "kept" if kept else "", clock(manifest.seconds), parameters]


def _scores(run: Path, identity: str) -> Iterator[str]:
    """Tell the scores of the last stage, if they are its own, and the comparison's sentence."""
    scores = read_scores(run)
    if scores is not None and scores.identity == identity:
        yield ""
        yield from unknown_lines(scores.unknown_shares)
        yield from scores.evaluation.summary_lines()
    sentence = comparison_sentence(run)
    if sentence:
        yield sentence


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _difference_cells(found: PairedDifference) -> list[str]:
    interval = found.difference
    return [_points(interval.value, interval.low, interval.high), f"{found.wins}/{found.ties}/{found.losses}"]


def _percent(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


LINES = 256  # lines of stdin predicted at once: few, so that results appear while the input still flows


def predictions(
    classifier: TextClassifier, batches: Iterable[list[str]], *, form: Literal["csv", "jsonl"], proba: bool
) -> Iterator[str]:
    """Yield one line a text with its label and, with `proba`, each label's probability; csv begins with a header."""
    if form == "csv":
        yield _csv_line(["text", "label", *(f"p_{label}" for label in classifier.labels if proba)])
    for texts in batches:
        probabilities = classifier.predict_proba(texts)
        for text, row in zip(texts, probabilities, strict=True):
            label = classifier.labels[int(row.argmax())]
            shares = {name: round(float(p), 6) for name, p in zip(classifier.labels, row, strict=True)} if proba else {}
            if form == "csv":
                yield _csv_line([text, label, *map(str, shares.values())])
            else:
                found = {"text": text, "label": label, **({"probabilities": shares} if proba else {})}
                yield json.dumps(found, ensure_ascii=False)


def lines_in_batches(stream: TextIO) -> Iterator[list[str]]:
    """Yield the lines of a stream in batches; DataError names the line that is empty or not UTF-8."""
    numbered = enumerate(stream, start=1)
    while True:
        batch: list[str] = []
        try:
            for number, line in itertools.islice(numbered, LINES):
                if not line.strip():
                    raise DataError(f"stdin:{number}: text is empty; every line needs a text. Remove the line.")
                batch.append(line.rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise DataError(
                f"stdin: found bytes that are not UTF-8 ({error.reason}); expected UTF-8. Convert the input first."
            ) from None
        if not batch:
            return
        yield batch


def _csv_line(cells: list[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()
