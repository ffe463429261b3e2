"""Which classifier a command runs: an export without torch, or a run's own with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nlptl import artifact
from nlptl.disk.refusals import checked_path
from nlptl.inference.export_settings import is_export

if TYPE_CHECKING:
    from nlptl.inference.predictor import Predictor


def load_predictor(path: Path, *, device: Literal["auto", "cpu", "cuda"] = "auto") -> Predictor:
    """Read the classifier of a run, a stage or an export. Of an export no torch is loaded."""
    folder = checked_path(path)
    folder = artifact.last_stage(folder) if artifact.is_run(folder) else folder
    if is_export(folder):
        from nlptl.inference.exported import ExportedClassifier

        return ExportedClassifier.load(folder)
    from nlptl.context import RunContext
    from nlptl.evaluation.scores import load_classifier

    return load_classifier(folder, RunContext(device=device))
