"""Layout of a run's folder, and what a run may remove from it.

pipeline.yaml       resolved settings
data.json           report on the data
N-STAGE/            artifact of stage N, its manifest and history.jsonl; a classifier's also its model card, README.md
.N-STAGE.checkpoints/   what the running stage needs to go on after a kill
evaluation.json     scores of the last stage on the test texts
finished.json       digests of what the finished run holds; its time moves only when something was made
.inputs.json        size and time of the files that were read, for the next run
comparison.jsonl    one row for each trial and test of a comparison
comparison.json     its summary
curve.jsonl         one row for each fit of a learning curve
curve.json          the curve and what it predicts
audit.json          findings of `nlptl audit`
audit/              its tables, and the scores that they are made of
monitor.json, monitor.jsonl  what the last watch of `nlptl monitor` found, and a line of each watch
monitor-to-label.csv    texts whose labels would settle what a watch asks
tracking/           files of the trackers
versions.json       versions of `nlptl refresh`, and which one is in use (`nlptl.versions`)
versions/N/         version N, a run of its own, with the rows that it learns, and those in quarantine
report.html, report-tables/   page of `nlptl report`, which `nlptl.interfaces.html` writes
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl import artifact
from nlptl.artifact import DIGEST, RUN_SETTINGS, Manifest, read_manifest
from nlptl.config import MAX_JSON, dump_yaml, load_json, load_yaml
from nlptl.disk.drafts import remove_folder, sweep, write_text_atomically
from nlptl.disk.ownership import MANIFEST, check_replaceable, is_marked, is_ours
from nlptl.disk.refusals import told_as_read_error, told_as_storage_error
from nlptl.errors import ArtifactError, ConfigError
from nlptl.results import read_result, seal_remark, write_result
from nlptl.training.checkpoints import remove_checkpoints
from nlptl.training.distributed import processes
from nlptl.versions import VERSIONS

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

MARK = "# Written by nlptl: every setting of this run, defaults included.\n"
SOURCE = "# Pipeline: "
DATA_REPORT, EVALUATION, HISTORY, TRACKING = "data.json", "evaluation.json", "history.jsonl", "tracking"
COMPARISON_ROWS, COMPARISON = "comparison.jsonl", "comparison.json"
COMPARE_SUFFIX = "-compare"  # after the name of a run, of the folder in which `nlptl compare` studies its pipeline
BEHAVIOUR = "behaviour.json"
CURVE_ROWS, CURVE = "curve.jsonl", "curve.json"
FINISHED, INPUTS = "finished.json", ".inputs.json"
AUDIT, AUDIT_TABLES = "audit.json", "audit"
START, RUN = "start.json", "run"  # of `nlptl start`: its outcome, and the run beside it
START_FITS = "judged.jsonl"  # what each fit of its candidates predicts
FILES = (RUN_SETTINGS, DATA_REPORT, EVALUATION, COMPARISON_ROWS, COMPARISON, FINISHED, INPUTS, VERSIONS)
_FIRST_KEYS = {
    DATA_REPORT: "parts",
    EVALUATION: "identity",
    COMPARISON: "arms",
    FINISHED: "stages",
    INPUTS: "key",
    VERSIONS: "in_use",
}
"""A key of each JSON file of a run, by which files of early versions are known, which have no digest."""
CHECKPOINTS = ".checkpoints"
STAGE_FOLDER = re.compile("([1-9][0-9]*)-([a-z_]+)")  # of any stage, also of one that this version does not have
TRIES = 20  # half a second apart, until a file of another machine is seen: network disks lag behind


def run_inside(folder: Path) -> Path:
    """Return the run in a folder that `nlptl start` wrote; any other folder itself."""
    return folder / RUN if (folder / START).is_file() else folder


def whole_run(folder: Path) -> Path:
    """Return the run of a folder that is one of its stages; any other folder itself."""
    if (folder / RUN_SETTINGS).is_file() or not (folder / MANIFEST).is_file():
        return folder
    above = folder.parent if folder.name not in ("", "..") else folder.resolve().parent
    return above if (above / RUN_SETTINGS).is_file() else folder


def is_unfinished_start(folder: Path) -> bool:
    """Return whether a first `nlptl start` was interrupted in the folder, or still runs."""
    return (folder / START_FITS).is_file() and not (folder / START).is_file()


def run_of_pipeline(pipeline: Path) -> Path:
    """Return where the run of a pipeline file goes by default: beside it, if `nlptl start` wrote it, else into runs/NAME."""
    beside = run_inside(pipeline.parent)
    return (
        beside if beside != pipeline.parent and pipeline.name == artifact.RUN_SETTINGS else Path("runs") / pipeline.stem
    )


def checkpoint_folder(stage: Path) -> Path:
    """Return the folder of a stage's checkpoints."""
    return stage.with_name(f".{stage.name}{CHECKPOINTS}")


def begin(folder: Path, *, settings: str, data_report: Mapping[str, object]) -> None:
    """Write the run's settings and data report, and remove drafts of killed runs. The caller holds the lock."""
    old = folder / RUN_SETTINGS
    if not old.is_file() or old.read_bytes() != settings.encode():
        (folder / COMPARISON).unlink(missing_ok=True)  # of other settings; its rows stay while they fit
    sweep(folder, lambda name: name in FILES or _names_a_stage(name))
    with told_as_storage_error(folder):
        (folder / INPUTS).unlink(missing_ok=True)
    write_text_atomically(folder / RUN_SETTINGS, settings)
    write_result(folder / DATA_REPORT, data_report)


def finish(folder: Path, made: Mapping[str, object]) -> None:
    """Write what a finished run holds, unless it is written already: the file's time says when something was last made."""
    with contextlib.suppress(ArtifactError):
        if read_result(folder / FINISHED, sealed_only=True) == made:
            return
    write_result(folder / FINISHED, made)


def settings_text(settings: Mapping[str, Any], folder: Path, source: Path | None) -> str:
    """Return the content of pipeline.yaml, which names the file of the pipeline, relative to the run's folder."""
    if source is not None and source.resolve() == (folder / RUN_SETTINGS).resolve():
        source = source_of(folder)
    path = "" if source is None else os.path.relpath(source.resolve(), folder.resolve())
    return MARK + (f"{SOURCE}{json.dumps(path)}\n" if path else "") + dump_yaml(settings)


def source_of(folder: Path) -> Path | None:
    """Return the file of the pipeline whose run `folder` holds. None where that is not known, as after a run in Python."""
    with contextlib.suppress(OSError, ValueError, TypeError), (folder / RUN_SETTINGS).open(encoding="utf-8") as file:
        lines = [file.readline() for _ in range(2)]
        if lines[1].startswith(SOURCE):
            return folder.resolve() / str(json.loads(lines[1].removeprefix(SOURCE)))
    return None


def check_finished(folder: Path, wanted: Mapping[Path, str], source: Path | None, *, compare: object) -> None:
    """Raise ArtifactError where a run would remove finished work of another pipeline, which it names.

    A pipeline is known by its file. It may replace its own stages. Where the file is not known, stages may be replaced by
    those of the same name. `wanted` holds the identities of the stages to come, `compare` the settings of the comparison.
    """
    before = source_of(folder)
    here = None if source is None else source.resolve()
    if here is not None and here in (before and before.resolve(), (folder / RUN_SETTINGS).resolve()):
        return
    lost = []
    with contextlib.suppress(ArtifactError):
        for stage in stage_folders(folder):
            replaced = before is None and stage in wanted
            if stage != folder and not replaced and read_manifest(stage).identity != wanted.get(stage):
                lost.append(stage.name)
    if before is not None and (folder / COMPARISON_ROWS).is_file() and _old_comparison(folder) != compare:
        lost.append(COMPARISON_ROWS)
    if lost:
        of = "another pipeline" if before is None else os.path.relpath(before)
        raise ArtifactError(
            f"{folder}: holds finished work of {of}, which this run would remove or replace: {', '.join(lost)}. Nothing was "
            "changed. Choose another folder with --out, or add --force (in Python: force=True)."
        )


def _old_comparison(folder: Path) -> object:
    with contextlib.suppress(ConfigError):
        settings = load_yaml(folder / RUN_SETTINGS)
        return settings.get("compare") if isinstance(settings, dict) else None
    return None


def check_folder(folder: Path, stages: Iterable[Path]) -> None:
    """Raise ArtifactError where the run would replace something that nlptl did not write; `stages` are folders."""
    files = stage_files()
    for stage in stages:
        check_replaceable(stage, files, keeps_card=True)
        if _is_saved_by_hand(stage):
            raise ArtifactError(
                f"{stage}: holds an artifact that was saved by hand, not by a run; nothing was overwritten. Choose another "
                "folder with --out."
            )
    for path in (folder / name for name in FILES):
        if os.path.lexists(path):
            with told_as_read_error(path):
                ours = not path.is_symlink() and path.is_file() and _is_of_a_run(path)
            if not ours:
                what = "a symbolic link" if path.is_symlink() else "a folder" if path.is_dir() else "a file"
                raise ArtifactError(
                    f"{path}: {what} that nlptl did not write stands here; nothing was overwritten. "
                    "Choose another folder with --out."
                )


def _is_of_a_run(path: Path) -> bool:
    """Return whether a run wrote a file, or one that is damaged now: what cannot be read is told and made again."""
    if not (path.parent / RUN_SETTINGS).is_file():
        return False  # a run writes its settings first
    with path.open("rb") as file:
        if path.name == RUN_SETTINGS:
            return file.read(len(MARK)) == MARK.encode()
        if path.name == COMPARISON_ROWS:
            return path.stat().st_size == 0 or any(line.startswith(b'{"arm": ') for line in file)
        beginning = file.read(2)
    try:
        content = load_json(path, most=MAX_JSON)
    except (ValueError, RecursionError, ConfigError):
        return beginning != b'{"'  # with which lines of JSON begin, and no file of a run
    return not content or (
        isinstance(content, dict) and not content.keys().isdisjoint({DIGEST, _FIRST_KEYS[path.name]})
    )


def _is_saved_by_hand(stage: Path) -> bool:
    with contextlib.suppress(ArtifactError):
        return "stage" not in read_manifest(stage).settings
    return False


def stage_files() -> frozenset[str]:
    """Return the names of all files in the folder of a stage."""
    from nlptl.models.classifier import TextClassifier

    return TextClassifier.files() | {HISTORY}


def await_main(folder: Path, settings: str) -> None:
    """Wait until this process sees the settings of process 0. Raises ConfigError after ten seconds."""
    for _ in range(TRIES):
        with contextlib.suppress(OSError):
            if (folder / RUN_SETTINGS).read_bytes() == settings.encode():
                return
        time.sleep(0.5)
    raise not_shared(folder / RUN_SETTINGS)


def not_shared(path: Path) -> ConfigError:
    """Return the error of a process that cannot see the files of process 0."""
    return ConfigError(
        f"{path}: found nothing here that process 0 has written; expected a folder that all processes share. Choose one "
        "with --out on a disk that all machines see."
    )


def load_artifact(folder: Path) -> Encoder | TextClassifier:
    """Load the artifact in a stage's folder."""
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

    return (Encoder if read_manifest(folder).kind == "encoder" else TextClassifier).load(folder)


def kept_stage(
    stage: Path, identity: str, settings: Mapping[str, Any], *, say: Callable[[str], None]
) -> Manifest | None:
    """Return the manifest of a finished, undamaged stage of this identity. None if there is none. Damage is told.

    Paths in its settings follow a file that has moved, since its content alone is part of the identity.
    """
    if not os.path.lexists(stage):
        return None
    try:
        if (found := read_manifest(stage)).identity != identity:
            return None
        if not found.digest:
            raise ArtifactError(seal_remark(stage / MANIFEST))
        manifest = artifact.checked_manifest(stage)
    except ArtifactError as error:
        say(f"{error} It is made again.")
        return None
    if manifest.settings != settings and processes().is_main:
        manifest = artifact.replace_settings(stage, manifest, settings)
    return manifest


def remove_other_stages(folder: Path, keep: Collection[Path], *, say: Callable[[str], None]) -> None:
    """Remove the stages of an earlier pipeline and all checkpoints. Other folders are told.

    A folder goes if its manifest names all its files and the stage.
    """
    for path in sorted(folder.glob("[1-9]*-*")):
        name = STAGE_FOLDER.fullmatch(path.name)
        if name is None or path in keep or not path.is_dir():
            continue
        stage = None  # without a readable manifest
        with contextlib.suppress(ArtifactError):
            stage = read_manifest(path).settings.get("stage")
        if is_ours(path) and stage == name[2]:
            remove_folder(path)
        else:
            say(f"{path}: is no stage of this pipeline and was left, since nlptl did not write it. Move or remove it.")
    for path in folder.glob(f".*{CHECKPOINTS}"):
        if _names_a_stage(path.name[1 : -len(CHECKPOINTS)]):
            remove_checkpoints(path)


def _names_a_stage(folder: str) -> bool:
    name = STAGE_FOLDER.fullmatch(folder)
    if name is None:
        return False
    from nlptl.stages.union import stage_names  # which loads every stage

    return name[2] in stage_names()


def stage_folders(run: Path) -> list[Path]:
    """Return the stage folders of a run in order. A stage's own folder returns itself."""
    if not run.is_dir():
        raise ArtifactError(f"{run}: no such folder; expected a run or one of its stages. Check the path.")
    numbered = {
        int(name[1]): path
        for path in run.glob("[1-9]*-*")
        if (name := STAGE_FOLDER.fullmatch(path.name)) and (path / MANIFEST).is_file() and is_marked(path)
    }
    if not numbered and not (run / MANIFEST).is_file():
        raise ArtifactError(f"{run}: holds no finished stage; expected the folder of a run. Run the pipeline first.")
    return [numbered[number] for number in sorted(numbered)] or [run]
