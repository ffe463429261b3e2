"""Lines and tables of the terminal: what came out of a run, of a stage and of a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import Manifest, checked_manifest
from nlptl.disk.ownership import MANIFEST
from nlptl.errors import ArtifactError
from nlptl.interfaces.encoder_tables import choice_lines
from nlptl.interfaces.terminal import table
from nlptl.progress import clock, human
from nlptl.results import seal_remark
from nlptl.runs.folder import COMPARISON, EVALUATION, stage_folders
from nlptl.runs.runner import read_scores
from nlptl.runs.studies.comparison.comparison import read_comparison

if TYPE_CHECKING:
    from nlptl.evaluation.intervals import Estimate
    from nlptl.runs.pipeline import Pipeline
    from nlptl.runs.runner import RunResult, RunScores
    from nlptl.runs.studies.comparison.comparison import ComparisonResult


def begin_line(pipeline: Pipeline) -> str:
    """Tell what a run is about to do."""
    stages, compare = f"Stages: {', '.join(stage.stage for stage in pipeline.stages)}.", pipeline.compare
    return stages + (f" Then a comparison of {len(compare.arms)} arms on {compare.seeds} seeds." if compare else "")


def run_lines(result: RunResult, *, price_per_hour: float | None = None, quiet: bool = False) -> Iterator[str]:
    """Tell what came out of a run. `quiet` leaves out the remarks on the data."""
    if result.scores is not None:
        yield from result.scores.evaluation.warnings()
    if not quiet:
        yield from result.data.sentences()
    if price_per_hour is not None:
        ran = [outcome.manifest.seconds for outcome in result.stages if not outcome.kept]
        yield cost_line(sum(ran), price_per_hour, f"the {len(ran)} of {len(result.stages)} stages that were not kept")
    if not quiet:
        for outcome in result.stages:
            yield from choice_lines(outcome.manifest.report, why=outcome.kept)  # else the run has told why
    if result.scores is not None:
        yield from _score_lines(result.scores, remarks=not quiet)
    if result.comparison is not None:
        yield from ("", *comparison_lines(result.comparison))


def next_lines(result: RunResult) -> Iterator[str]:
    """Tell which commands to type after a run."""
    folder = shlex.quote(str(result.folder))
    last = result.stages[-1].manifest
    if (
        last.kind == "classifier" and last.settings.get("stage") != "classification_head"
    ):  # predict refuses a fresh head
        yield f'Next:    nlptl predict {folder} "A text of your own."'
    yield f"Details: nlptl show --all {folder}"


def show_lines(run: Path, *, details: bool = False, price_per_hour: float | None = None) -> Iterator[str]:
    """Tell what stands in the folder of a run or of one stage. `details` adds the rest."""
    folders = stage_folders(run)
    manifests = [checked_manifest(folder) for folder in folders]
    yield f"{run}"
    counts = [f"{human(one.trainable_parameters)} / {human(one.total_parameters)}" for one in manifests]
    times = [clock(manifest.seconds) for manifest in manifests]
    rows = list(zip([folder.name for folder in folders], times, counts, strict=True))
    yield from table(["stage", "time", "trainable / total parameters"], rows)
    if price_per_hour is not None:
        yield cost_line(sum(manifest.seconds for manifest in manifests), price_per_hour, "all stages")
    if details:
        for folder, manifest in zip(folders, manifests, strict=True):
            yield from ("", *_stage_lines(folder, manifest))
        versions = ", ".join(f"{name} {version}" for name, version in manifests[-1].versions.items())
        yield from ("", f"Made with {versions}.")
    try:
        scores = read_scores(run)
        if scores is not None and scores.identity == manifests[-1].identity:
            yield from ("", *scores.evaluation.warnings(), *_score_lines(scores, details=details))
        if (comparison := read_comparison(run)) is not None:
            yield from ("", *comparison_lines(comparison))
        read = [*(folder / MANIFEST for folder in folders), run / EVALUATION, run / COMPARISON]
        if remarks := [remark for path in read if path.is_file() and (remark := seal_remark(path))]:
            yield from ("", *remarks)
    except ArtifactError as error:
        yield from ("", str(error))


def comparison_lines(result: ComparisonResult) -> Iterator[str]:
    """Tell each test as a table of arms, then what the tables show."""
    for found in result.results:
        yield f"Accuracy on {found.test} in %, {found.seeds} seeds [95 % interval]:"
        cells = [_percent(accuracy, ".1f") for accuracy in found.accuracies]
        differences = ["", *(_percent(one.difference, "+.1f") for one in found.differences)]
        counts = ["", *(f"{one.wins}/{one.ties}/{one.losses}" for one in found.differences)]
        rows = list(zip(result.arms, cells, differences, counts, strict=True))
        if found.most_frequent is not None:
            rows.append(("most frequent label", f"{100 * found.most_frequent:.1f}", "", ""))
        yield from (*table(["", "accuracy", "difference in points", "better/equal/worse"], rows), "")
    yield result.sentence


def settings_told(settings: Mapping[str, object]) -> str:
    """Return a stage's settings in the spelling of YAML."""
    return ", ".join(f"{key}={_plain(value)}" for key, value in settings.items() if key != "stage")


def cost_line(seconds: float, price_per_hour: float, stages: str) -> str:
    """Tell what some seconds cost."""
    return (
        f"Estimated cost: {seconds / 3600 * price_per_hour:.4g}, which is {clock(seconds)} of wall time of {stages} at "
        f"{price_per_hour:g} an hour."
    )


def _percent(found: Estimate, form: str) -> str:
    """Return a share in per cent with its interval. The sentence under the table says why there may be none."""
    ends = "(no interval)"
    if found.low is not None and found.high is not None and found.low < found.high:
        ends = f"[{100 * found.low:{form}}, {100 * found.high:{form}}]"
    return f"{100 * found.value:{form}} {ends}"


def _stage_lines(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Tell a stage's settings, data and findings."""
    yield f"{folder.name}: seed {manifest.seed}, on {manifest.device}."
    yield f"  Settings: {settings_told(manifest.settings)}"
    for part, digest in manifest.data.items():
        yield f"  Learnt from {part} (digest {digest[:12]})."
    yield from (f"  {sentence}" for sentence in manifest.report.get("sentences", []))
    yield from choice_lines(manifest.report, why=False)


def _score_lines(scores: RunScores, *, details: bool = False, remarks: bool = True) -> Iterator[str]:
    """Tell the share of unknown words, as a remark, and the accuracy, or all scores."""
    for part, share in scores.unknown_shares.items():
        if share > 0 and remarks:
            yield f"{100 * share:.1f} % of the words in the {part} texts are not in the vocabulary."
    accuracy, *others = scores.evaluation.score_lines()
    yield f"Test: {accuracy}."
    yield from (f"  {line}" for line in others if details)
    if scores.beside_teacher is not None:
        yield from scores.beside_teacher.sentences()


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_plain(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
