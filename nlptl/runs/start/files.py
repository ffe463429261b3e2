"""Files that `nlptl start` writes for a person: the pipeline with comments, tables of rows, held-out predictions."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlptl.artifact import RUN_SETTINGS
from nlptl.config import Config, dump_yaml, load_yaml
from nlptl.data import DataSettings
from nlptl.data.row_checks import RowPlace
from nlptl.disk.drafts import write_text_atomically
from nlptl.disk.refusals import told_as_read_error
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.segmenter import SegmenterSettings
from nlptl.input_paths import in_file
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.scored import Scored

MARK = "# Written by nlptl start"
NEXT_LABELS, SUSPECTS, HELD_OUT = "label-next.csv", "suspects.csv", "held_out.jsonl"
TAGS = ("stage", "method", "view", "kind", "objective")  # settings that tell members of a union apart: always written
COMMENTS = {
    "skipgram": "word vectors, learnt from all texts without their labels",
    "ngrams": "n-grams of words and characters, weighted by tf-idf",
    "bert": "the pretrained encoder: text to sentence vector",
    "sentence_vectors": "how the vectors of words become one vector of a text",
    "classification_head": "one output a label",
    "finetune": "the labels are learnt here; another way is one line: update: {method: lora}",
}


def pipeline_text(settings: DataSettings, candidate: JudgedChain, folder: Path, *, seed: int, why: str) -> str:
    """Return the pipeline of a candidate as a commented YAML file in `folder`. Settings at their default are left out."""
    data = _brief(settings, settings.model_dump(mode="json", by_alias=True, context=in_file(folder)))
    lines = [f"{MARK}, which writes it anew at its next call: copy it to keep changes of your own.", f"# {why}"]
    lines += [
        f"# Run it with: nlptl run {RUN_SETTINGS}. It goes on in the folder run beside it.",
        f"seed: {seed}",
        "data:",
    ]
    lines += _indented(dump_yaml(data))
    lines.append("stages:")
    for stage in candidate.stages:
        found = _brief(stage, stage.model_dump(mode="json", by_alias=True, context=in_file(folder)))
        first, *rest = _indented(dump_yaml(found), by=4)
        lines += [f"  - {first.lstrip()}   # {COMMENTS[found['stage']]}", *rest]
    return "\n".join(lines) + "\n"


def _indented(text: str, *, by: int = 2) -> list[str]:
    return [" " * by + line for line in text.splitlines()]


def _brief(settings: Config, written: dict[str, Any]) -> dict[str, Any]:
    """Return the settings as they are `written`, without those at their default."""
    found = {}
    for name, field in type(settings).model_fields.items():
        value, key = getattr(settings, name), field.alias or name
        if name in TAGS or value != field.get_default(call_default_factory=True):
            found[key] = _brief(value, written[key]) if isinstance(value, Config) else written[key]
            if isinstance(value, SegmenterSettings):
                found[key] = {"name": value.name, **found[key]} if found[key] else value.name
    return found


def check_folder(folder: Path) -> None:
    """Raise ArtifactError where the files of a start would replace a pipeline that nlptl start did not write."""
    path = folder / RUN_SETTINGS
    if folder.is_file():
        raise ArtifactError(f"{folder}: is a file; expected a folder to write into. Name another one with --out.")
    if not path.is_file():
        return
    with told_as_read_error(path), path.open(encoding="utf-8", errors="replace") as file:
        ours = file.read(len(MARK)) == MARK
    if not ours:
        raise ArtifactError(
            f"{path}: stands here, and nlptl start did not write it; nothing was overwritten. Name another folder with --out."
        )


def check_same_tables(folder: Path, files: Sequence[Path]) -> None:
    """Raise ArtifactError where an earlier start in `folder` read other tables than all of these files."""
    before = _tables_of(folder)
    if before and not before & {path.resolve() for path in files}:
        raise ArtifactError(
            f"{folder}: holds what nlptl start made of {os.path.relpath(min(before))}, another table; nothing was overwritten. "
            "Name another folder with --out, or this one to replace it."
        )


def _tables_of(folder: Path) -> set[Path]:
    """Return the labelled files of the pipeline that an earlier start has left; none where that cannot be read."""
    with contextlib.suppress(ConfigError, OSError, TypeError, KeyError):
        content: Any = load_yaml(folder / RUN_SETTINGS)
        labelled = content["data"]["labelled"]
        sources = labelled if isinstance(labelled, list) else [labelled]
        return {(folder / (one["file"] if isinstance(one, dict) else one)).resolve() for one in sources}
    return set()


def write_held_out(path: Path, chosen: Scored, places: Sequence[RowPlace]) -> None:
    """Write what the chosen candidate predicted for each judged row (J,) while it was held out; `places` are those of its rows."""
    table = chosen.judging.table
    texts, labels = table.texts(), table.labels()
    lines = [json.dumps({"labels": list(chosen.labels)}, ensure_ascii=False)]
    for row, place in zip(chosen.judged.tolist(), places, strict=True):
        content = {
            "row": place.number, "file": place.file, "text": texts[row], "label": labels[row],
            "probabilities": np.round(chosen.probabilities[row], 6).tolist(),
        }  # fmt: skip
        lines.append(json.dumps(content, ensure_ascii=False))
    write_text_atomically(path, "\n".join(lines) + "\n")
