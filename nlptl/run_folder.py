"""What stands in a run's folder: its stages, each whole or not at all and kept while valid, and the scores of the last."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import (
    Manifest,
    check_replaceable,
    is_ours,
    library_versions,
    publish,
    read_json,
    read_manifest,
    verify,
    write_text_atomically,
)
from nlptl.distributed import processes, turn
from nlptl.errors import ArtifactError, ConfigError, NlptlError
from nlptl.stages.stage import Number, Record, RunContext, Stage

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.tracking import Tracker

MARK = "# Written by nlptl: every setting of this run, defaults included.\n"
STAGE_FOLDER = re.compile(
    r"[1-9][0-9]*-(skipgram|bert|sentence_vectors|classification_head|domain_adaptation|finetune)"
)
CHECKPOINTS = ".checkpoints"  # ends the name of the folder where a stage keeps what a kill must not lose
TRIES = 20  # looks, half a second apart, for what another machine has written: network disks lag behind
PIPELINE, EVALUATION, DATA_REPORT, HISTORY = "pipeline.yaml", "evaluation.json", "data.json", "history.jsonl"


@dataclasses.dataclass(frozen=True)
class StageOutcome:
    """What became of one stage of a run."""

    folder: Path
    manifest: Manifest
    kept: bool


def check_folder(folder: Path, names: Sequence[str]) -> None:
    """Raise ArtifactError when something that nlptl did not write stands where the run would write."""
    for name in names:
        check_replaceable(folder / name)
    settings = folder / PIPELINE
    if settings.is_file() and not settings.read_bytes().startswith(MARK.encode()):
        raise ArtifactError(
            f"{settings}: a file that nlptl did not write stands here; nothing was overwritten. "
            "Choose another folder with --out."
        )


def await_main(path: Path, text: str) -> None:
    """Wait until this process sees the file that process 0 wrote; ConfigError when it does not."""
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            if path.read_text(encoding="utf-8") == text:
                return
        time.sleep(0.5)
    raise not_shared(path)


def not_shared(path: Path) -> ConfigError:
    """Return the error of a process that does not see what process 0 has written."""
    return ConfigError(
        f"{path}: found nothing here that process 0 has written; expected a folder that all processes share. Choose one "
        "with --out on a disk that all machines see."
    )


def load_artifact(folder: Path) -> Encoder | TextClassifier:
    """Load whatever a stage's folder holds."""
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

    kind = read_manifest(folder).kind
    return Encoder.load(folder) if kind == "encoder" else TextClassifier.load(folder)


def run_stage(
    stage: Stage, given: Any, place: Path, ids: tuple[str, str, dict[str, str]], data: TextData, context: RunContext
) -> tuple[Any, StageOutcome]:
    """Run one stage and publish what it gives; `ids` are its identity, its parent's, and digests of what it reads."""
    from nlptl.models.encoder import count_parameters

    keep = place.with_name(f".{place.name}{CHECKPOINTS}")
    record = Record(functools.partial(_track_row, context.tracker, place.name))
    context = dataclasses.replace(context, record=record, keep=keep, keep_identity=ids[0])
    context.progress.say(f"{place.name}: running.")
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
    with turn() if stage.shared else contextlib.nullcontext(processes()) as here:
        manifest = _publish_stage(place, artifact, record, manifest) if here.is_main else read_manifest(place)
        if here.is_main:
            shutil.rmtree(keep, ignore_errors=True)
    for sentence in record.sentences:
        context.progress.say(f"  {sentence}")
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


def kept_stage(place: Path, identity: str) -> Manifest | None:
    """Return the manifest of a finished stage with this identity whose files are all there and as they were."""
    try:
        manifest = read_manifest(place)
        if manifest.identity != identity:
            return None
        verify(place, manifest)
    except ArtifactError:
        return None
    return manifest


def remove_other_stages(folder: Path, *, keep: Sequence[Path]) -> None:
    """Remove stages that an earlier version of the pipeline left, so that the folder holds one chain."""
    for path in folder.glob("[0-9]*-*"):
        if path not in keep and STAGE_FOLDER.fullmatch(path.name) and is_ours(path):
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f".*{CHECKPOINTS}"):
        if STAGE_FOLDER.fullmatch(path.name[1 : -len(CHECKPOINTS)]):
            shutil.rmtree(path, ignore_errors=True)


def evaluate_last(
    folder: Path, last: StageOutcome, data: TextData, context: RunContext
) -> tuple[Evaluation | None, dict[str, float]]:
    """Score the last stage on the test texts and keep the result as long as stage and test are the same."""
    from nlptl.evaluation import Evaluation
    from nlptl.prediction import evaluate_classifier, load_classifier, unknown_share

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
