"""What stands in a run's folder: its stages, each whole or not at all and kept while valid, and the scores of the last."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import time
from collections.abc import Sequence
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
from nlptl.errors import ArtifactError, NlptlError
from nlptl.stages.stage import Record, RunContext, Stage

if TYPE_CHECKING:
    from nlptl.data import TextData
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

MARK = "# Written by nlptl: every setting of this run, defaults included.\n"
STAGE_FOLDER = re.compile(r"[1-9][0-9]*-(skipgram|sentence_vectors|classification_head|finetune)")
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

    context = dataclasses.replace(context, record=Record())
    context.progress.say(f"{place.name}: running.")
    begin = time.monotonic()
    artifact = stage.run(given, data=data, context=context)
    record = context.record
    total = count_parameters(artifact)
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
        total_parameters=total,
        report={**record.report, "sentences": record.sentences},
    )

    def write(folder: Path) -> None:
        artifact.write_files(folder)
        lines = "".join(json.dumps(row) + "\n" for row in record.history)
        (folder / HISTORY).write_text(lines, encoding="utf-8")

    manifest = publish(place, write, manifest)
    for sentence in record.sentences:
        context.progress.say(f"  {sentence}")
    return artifact, StageOutcome(place, manifest, kept=False)


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


def evaluate_last(
    folder: Path, last: StageOutcome, data: TextData, context: RunContext
) -> tuple[Evaluation | None, dict[str, float]]:
    """Score the last stage on the test texts and keep the result as long as stage and test are the same."""
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.prediction import evaluate_classifier, unknown_share

    path = folder / EVALUATION
    if last.manifest.kind != "classifier" or data.test is None:
        path.unlink(missing_ok=True)
        return None, {}
    if path.is_file():
        with contextlib.suppress(NlptlError, KeyError, TypeError):
            old = read_json(path)
            if (old["identity"], old["test"]) == (last.manifest.identity, data.test.digest):
                return Evaluation.from_json(json.dumps(old["evaluation"])), old["unknown_shares"]
    classifier = TextClassifier.load(last.folder)
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
