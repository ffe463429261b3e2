"""An exported classifier without torch: text to label and probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlptl import artifact
from nlptl.disk.refusals import checked_path
from nlptl.inference.array_classifier import ArrayClassifier, ClassifierParts
from nlptl.inference.export_settings import ExportSettings, read_export
from nlptl.inference.exported_encoder import ExportedEncoder


@dataclass(frozen=True)
class ExportedClassifier(ArrayClassifier):
    """A classifier over the graph of an export."""

    export: ExportSettings

    @classmethod
    def load(cls, folder: Path | str) -> ExportedClassifier:
        """Read a classifier from the folder of an export."""
        return artifact.read_published(checked_path(folder), cls.read_files, kind="classifier")

    @classmethod
    def read_files(cls, folder: Path) -> ExportedClassifier:
        """Read the files of an export. Raises ArtifactError if one is missing or damaged."""
        export = read_export(folder)
        encoder = ExportedEncoder.read_files(folder, export)
        return cls(encoder, ClassifierParts.read(folder, dim=encoder.dim, again="Export the run again."), export)
