"""Files of a bundle: the model, the code of nlptl, what starts it, and what a person reads first."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template

import nlptl
from nlptl.artifact import read_manifest
from nlptl.disk.drafts import files_in
from nlptl.disk.ownership import MANIFEST, SETTINGS
from nlptl.disk.sealed_text import CARD, sealed_text
from nlptl.inference.predictor import Predictor
from nlptl.inference.settings_files import EncoderSettings, read_settings
from nlptl.runs.bundle.requirements import checked_versions, requirements

PARTS = Path(__file__).parent / "parts"
MODEL, CODE, SCRIPT, REQUIREMENTS = "model", "nlptl", "run.py", "requirements.txt"
BESIDE = {"Dockerfile": "Dockerfile", "nlptl.service": "nlptl.service", "dockerignore": ".dockerignore"}
SHOWN_LABELS = 10


@dataclass(frozen=True)
class BundledModel:
    """A published classifier that runs without torch."""

    folder: Path
    name: str  # of the bundle
    predictor: Predictor
    format: str | None  # of an export; None for word vectors and n-grams

    @property
    def requirements(self) -> list[str]:
        """Requirements of whoever runs it."""
        return requirements(self.format, read_settings(self.folder / SETTINGS, EncoderSettings).cut_by)


def write_folder_files(model: BundledModel, draft: Path) -> None:
    """Write all files of the folder form."""
    copy_model(model.folder, draft / MODEL)
    copy_code(draft / CODE)
    write_script(model.name, draft / SCRIPT)
    for part, name in BESIDE.items():
        shutil.copyfile(PARTS / part, draft / name)
    (draft / REQUIREMENTS).write_text("".join(_requirement_lines(model.requirements)), encoding="utf-8")
    (draft / CARD).write_text(sealed_text(_readme(model)), encoding="utf-8")


def copy_model(folder: Path, into: Path) -> None:
    """Copy what a published folder's manifest names, the manifest, and the model card."""
    names = {MANIFEST, *read_manifest(folder).files, *([CARD] if (folder / CARD).is_file() else [])}
    for name in sorted(names):
        (into / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, into / name)


def write_script(name: str, path: Path) -> None:
    """Write the script that runs the model beside it, and serves it under this name."""
    path.write_text(
        (PARTS / SCRIPT).read_text(encoding="utf-8").replace('"model"  #', f'"{name}"  #'), encoding="utf-8"
    )


def copy_code(into: Path) -> None:
    """Copy the code of nlptl, without what Python has compiled of it."""
    shutil.copytree(Path(nlptl.__file__).parent, into, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))


def megabytes(folder: Path) -> float:
    """Return the size of all files of a folder."""
    return sum(path.stat().st_size for path in files_in(folder)) / 1e6


def _requirement_lines(lines: Iterable[str]) -> list[str]:
    versions, lines = checked_versions(lines), [*lines]
    found = [
        next((f"  # checked with {v}" for name, v in versions.items() if line.startswith(name)), "") for line in lines
    ]
    return [f"{line}{checked}\n" for line, checked in zip(lines, found, strict=True)]


def _readme(model: BundledModel) -> str:
    labels = model.predictor.labels
    names = ", ".join(labels[:SHOWN_LABELS]) + (
        f" and {len(labels) - SHOWN_LABELS} more" if len(labels) > SHOWN_LABELS else ""
    )
    names = " ".join(names.split()).replace("`", "'")
    some = "any number" if model.predictor.multi_label else "one"
    text = (PARTS / CARD).read_text(encoding="utf-8")
    return Template(text).substitute(
        name=model.name, some=some, count=len(labels), labels=names, version=nlptl.__version__
    )
