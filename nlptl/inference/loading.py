"""Which classifiers run without torch: exports, and word vectors or n-grams as every run keeps them."""

from __future__ import annotations

from pathlib import Path

from nlptl.disk.ownership import SETTINGS
from nlptl.inference.export_settings import is_export
from nlptl.inference.predictor import Predictor
from nlptl.inference.settings_files import EncoderSettings, read_settings


def load_without_torch(folder: Path) -> Predictor | None:
    """Read the published classifier of a folder; None for one that needs torch. Raises ArtifactError for damaged files."""
    if is_export(folder):
        from nlptl.inference.exported import ExportedClassifier

        return ExportedClassifier.load(folder)
    if is_static(folder):
        from nlptl.inference.static import StaticClassifier

        return StaticClassifier.load(folder)
    return None


def is_static(folder: Path) -> bool:
    """Return whether a folder holds word vectors or n-grams. Raises ArtifactError for damaged settings."""
    path = folder / SETTINGS
    return path.is_file() and read_settings(path, EncoderSettings).token_model == "word_vectors"
