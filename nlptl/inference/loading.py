"""Which classifiers run without torch: exports, and word vectors or n-grams as every run keeps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nlptl.artifact import read_published
from nlptl.disk.ownership import SETTINGS
from nlptl.disk.refusals import checked_path
from nlptl.inference.array_classifier import ArrayClassifier
from nlptl.inference.export_settings import is_export
from nlptl.inference.settings_files import EncoderSettings, read_settings


def load_without_torch(folder: Path) -> ArrayClassifier | None:
    """Read the published classifier of a folder; None for one that needs torch. Raises ArtifactError for damaged files."""
    read = reader_of(folder)
    return None if read is None else read_published(checked_path(folder), read, kind="classifier")


def reader_of(folder: Path) -> Callable[[Path], ArrayClassifier] | None:
    """Return what reads the files of a folder without torch; None for one that needs torch."""
    if is_static(folder):
        from nlptl.inference.static import StaticClassifier

        return StaticClassifier.read_files
    if is_export(folder):
        from nlptl.inference.exported import ExportedClassifier

        return ExportedClassifier.read_files
    return None


def is_static(folder: Path) -> bool:
    """Return whether a folder holds word vectors or n-grams. Raises ArtifactError for damaged settings."""
    path = folder / SETTINGS
    return path.is_file() and read_settings(path, EncoderSettings).token_model == "word_vectors"
