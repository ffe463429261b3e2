"""Files of a new version: its labelled rows, its test, its pipeline, and stages of the version before that may be kept.

The rows are copied, so that a version stays whole where the files of a person change or go.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import read_manifest
from nlptl.data import DataSettings, FileSource
from nlptl.disk.drafts import files_in, write_folder_atomically, write_text_atomically
from nlptl.disk.hard_links import MIN_BYTES
from nlptl.errors import ArtifactError
from nlptl.runs.folder import stage_folders
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.refresh.known_rows import KnownRows

if TYPE_CHECKING:
    from nlptl.data import TextTable

LABELLED, TEST, UNLABELLED = "labelled.jsonl", "test.jsonl", "unlabelled.jsonl"

Row = tuple[str, str]  # text and label


def write_pipeline_files(folder: Path, known: KnownRows, *, learnt: Sequence[Row], held_out: Sequence[Row]) -> Pipeline:
    """Write the rows of a new version and return its pipeline: that of the version before, over these rows.

    `learnt` rows are added to the labelled ones, `held_out` rows to the test.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = known.data
    given: dict[str, Any] = known.pipeline.data.model_dump()
    given |= {"hold_out": None, "shots": None}
    given["labelled"] = _written(folder / LABELLED, [*rows_of(known.labelled), *learnt])
    tests = [*rows_of(data.test), *held_out]
    given["test"] = _written(folder / TEST, tests) if tests else None
    if data.unlabelled is not None:  # rows without a label in the files of labels
        rest = _written(folder / UNLABELLED, [(text, "") for text in data.unlabelled.texts()])
        before = given["unlabelled"]
        given["unlabelled"] = [*(before if isinstance(before, list) else [] if before is None else [before]), rest]
    return Pipeline(
        seed=known.pipeline.seed, data=DataSettings.model_validate(given), stages=list(known.pipeline.stages)
    )


def rows_of(table: TextTable | None) -> list[Row]:
    """Return the texts and labels of a table; none where there is no table."""
    return [] if table is None else list(zip(table.texts(), table.labels(), strict=True))


def link_encoders(before: Path, folder: Path) -> None:
    """Put the encoders of a version into the folder of the next, where a run keeps those whose identity stays.

    Large files are hard links: a published folder is replaced whole and never written into.
    """
    for stage in stage_folders(before):
        place = folder / stage.name
        if stage == before or os.path.lexists(place) or read_manifest(stage).kind != "encoder":
            continue
        with contextlib.suppress(ArtifactError, OSError):  # it is made anew then
            write_folder_atomically(place, functools.partial(_linked, stage))


def _linked(stage: Path, draft: Path) -> None:
    for path in files_in(stage):
        place = draft / path.relative_to(stage)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.stat().st_size >= MIN_BYTES and not path.is_symlink():
            with contextlib.suppress(OSError):
                os.link(path, place)
                continue
        shutil.copyfile(path, place)


def _written(path: Path, rows: Iterable[Row]) -> FileSource:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows]
    write_text_atomically(path, "".join(line + "\n" for line in lines))
    is_labelled = path.name != UNLABELLED
    here = os.path.relpath(path)  # so that the run's own file names it relative to its folder
    return FileSource(file=here, text="text", label="label" if is_labelled else None, encoding="utf-8")
