"""Which classifier a command runs: without torch where that can be, with it else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.inference.loading import load_without_torch
from nlptl.versions import artifact_in_use

if TYPE_CHECKING:
    from nlptl.context import Device
    from nlptl.inference.predictor import Predictor


def load_predictor(path: Path, *, device: Device = "auto") -> Predictor:
    """Read the classifier of a run, a stage or an export. No torch is loaded for an export, word vectors and n-grams.

    A GPU is torch's; torch also says so where there is none.
    """
    folder = artifact_in_use(path)
    found = load_without_torch(folder) if device != "cuda" else None
    if found is not None:
        return found
    from nlptl.context import RunContext
    from nlptl.evaluation.scores import load_classifier

    return load_classifier(folder, RunContext(device=device))
