"""Running a checked chain into a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import (
    Manifest,
    library_versions,
    publish,
    read_json,
    read_manifest,
    write_text_atomically,
)
from nlptl.context import Number, Record, RunContext
from nlptl.errors import NlptlError
from nlptl.progress import clock
from nlptl.stages.stage import Stage
from nlptl.training.distributed import main_process_first, processes

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.evaluation.scores import Evaluation
    from nlptl.progress import Tracker
from nlptl.runs.folder import CHECKPOINTS, EVALUATION, HISTORY, StageOutcome


def run_stage(
    stage: Stage, given: Any, place: Path, ids: tuple[str, str, dict[str, str]], data: TextData, context: RunContext
) -> tuple[Any, StageOutcome]:
    """Run one stage and publish what it gives; `ids` are its identity, its parent's, and digests of what it reads."""
    from nlptl.models.encoder import count_parameters

    keep = place.with_name(f".{place.name}{CHECKPOINTS}")
    record = Record(functools.partial(_track_row, context.tracker, place.name))
    context = dataclasses.replace(context, record=record, checkpoint_folder=keep, run_identity=ids[0])
    begin = time.monotonic()
    artifact = stage.run(given, data=data, context=context)
    manifest = Manifest(
        kind=stage.gives,
        settings=stage.model_dump(mode="json"),
        identity=ids[0],
        parent=ids[1],
        data=ids[2],
        versions=library_versions(),
        seed=context.seed,
        seconds=round(time.monotonic() - begin, 3),
        device=str(artifact.device),
        trainable_parameters=int(record.report.pop("trainable_parameters", 0)),
        total_parameters=count_parameters(artifact),
        report={**record.report, "sentences": record.sentences},
    )
    with main_process_first() if stage.runs_on_all_processes else contextlib.nullcontext(processes()) as here:
        manifest = _publish_stage(place, artifact, record, manifest) if here.is_main else read_manifest(place)
        if here.is_main:
            shutil.rmtree(keep, ignore_errors=True)
    context.progress.say(" ".join([f"{place.name}: done in {clock(manifest.seconds)}.", *record.sentences[:1]]))
    return artifact, StageOutcome(place, manifest, kept=False)


def _publish_stage(place: Path, artifact: Any, record: Record, manifest: Manifest) -> Manifest:
    def write(folder: Path) -> None:
        artifact.write_files(folder)
        lines = "".join(json.dumps(row) + "\n" for row in record.history)
        (folder / HISTORY).write_text(lines, encoding="utf-8")

    return publish(place, write, manifest)


def track_stage(outcome: StageOutcome, tracker: Tracker) -> None:
    """Tell a tracker the findings of a stage; of one that was kept also its history, which it has not heard."""
    name, manifest = outcome.folder.name, outcome.manifest
    if outcome.kept:
        again = Record(functools.partial(_track_row, tracker, name))
        for line in (outcome.folder / HISTORY).read_text(encoding="utf-8").splitlines():
            again.row(**json.loads(line))
    figures = manifest.model_dump(include={"seconds", "trainable_parameters", "total_parameters"})
    tracker.log(f"{name}/report", {**figures, **manifest.report})


def _track_row(tracker: Tracker, stage: str, group: str, values: Mapping[str, Number], step: int | None) -> None:
    tracker.log(f"{stage}/{group}" if group else stage, values, step)


def evaluate_last(
    folder: Path, last: StageOutcome, data: TextData, context: RunContext
) -> tuple[Evaluation | None, dict[str, float]]:
    """Score the last stage on the test texts and keep the result as long as stage and test are the same."""
    from nlptl.evaluation.classifier import evaluate_classifier, load_classifier, unknown_share
    from nlptl.evaluation.scores import Evaluation

    path = folder / EVALUATION
    if last.manifest.kind != "classifier" or data.test is None:
        path.unlink(missing_ok=True)
        return None, {}
    if path.is_file():
        with contextlib.suppress(NlptlError, KeyError, TypeError):
            old = read_json(path)
            if (old["identity"], old["test"]) == (last.manifest.identity, data.test.digest):
                return Evaluation.from_json(json.dumps(old["evaluation"])), old["unknown_shares"]
    classifier = load_classifier(last.folder, context)
    parts = {"labelled": data.labelled, "test": data.test}
    shares = {name: unknown_share(classifier.encoder, table) for name, table in parts.items() if table is not None}
    with context.progress.task("scoring the test texts", total=len(data.test), unit="texts") as task:
        evaluation = evaluate_classifier(classifier, data.test, seed=context.seed, after_batch=task.advance)
    content = {
        "identity": last.manifest.identity,
        "test": data.test.digest,
        "unknown_shares": shares,
        "evaluation": json.loads(evaluation.to_json()),
    }
    write_text_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return evaluation, shares
