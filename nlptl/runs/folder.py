"""What stands in a run's folder: its stages, each whole or not at all and kept while valid, and the scores of the last."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import (
    MANIFEST,
    Manifest,
    check_replaceable,
    is_ours,
    read_manifest,
    verify,
)
from nlptl.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    pass


if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

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


_NUMBERED = re.compile("[1-9][0-9]*-[a-z_]+$")


def stage_folders(run: Path) -> list[Path]:
    """Return the stage folders of a run in their order, or the folder itself when it is one stage's."""
    if not run.is_dir():
        raise ArtifactError(f"{run}: no such folder; expected a run or one of its stages. Check the path.")
    numbered = [
        path for path in run.glob("*-*") if _NUMBERED.match(path.name) and (path / MANIFEST).is_file() and is_ours(path)
    ]
    if not numbered and (run / "manifest.json").is_file():
        return [run]
    if not numbered:
        raise ArtifactError(f"{run}: holds no finished stage; expected the folder of a run. Run the pipeline first.")
    return sorted(numbered, key=lambda path: int(path.name.split("-")[0]))
