"""An exported classifier without torch: text to label and probabilities.

Shapes: B texts, D dimension, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nlptl import artifact
from nlptl.data.learnt_texts import LearntTexts
from nlptl.disk.refusals import checked_path
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.export_settings import ExportSettings, read_export
from nlptl.inference.exported_encoder import ExportedEncoder
from nlptl.inference.head import ArrayHead
from nlptl.inference.predictor import UNTRAINED, labels_of
from nlptl.inference.settings_files import ClassifierSettings, head_shapes, read_settings

CLASSIFIER, HEAD = "classifier.json", "head.safetensors"


@dataclass(frozen=True)
class ExportedClassifier:
    """probabilities = softmax(head(encoder(text))), or the sigmoids where a text may have several labels."""

    encoder: ExportedEncoder
    head: ArrayHead
    labels: tuple[str, ...]
    separator: str  # between the labels of a text in a file's cell
    learnt: LearntTexts | None
    export: ExportSettings

    @classmethod
    def load(cls, folder: Path | str) -> ExportedClassifier:
        """Read a classifier from the folder of an export."""
        return artifact.read_published(checked_path(folder), cls.read_files, kind="classifier")

    @classmethod
    def read_files(cls, folder: Path) -> ExportedClassifier:
        """Read the files of an export. Raises ArtifactError if one is missing or damaged."""
        export, settings = read_export(folder), read_settings(folder / CLASSIFIER, ClassifierSettings)
        head = ArrayHead(settings.head, artifact.read_arrays(folder / HEAD))
        encoder = ExportedEncoder.read_files(folder, export)
        try:
            head.check(head_shapes(settings.head))
            if encoder.dim != settings.head.dim:
                raise ValueError("another width")
        except ValueError:
            raise ArtifactError(
                f"{folder / HEAD}: does not fit the head that {CLASSIFIER} describes over vectors of {encoder.dim} numbers; "
                "the folder is damaged. Export the run again."
            ) from None
        return cls(encoder, head, tuple(settings.labels), settings.separator, LearntTexts.read(folder), export)

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.head.settings.thresholds is not None

    def check_trained(self) -> None:
        """Raise ConfigError for a head into which nothing was ever written."""
        if self.head.is_fresh:
            raise ConfigError(UNTRAINED)

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K)."""
        return self.head.probabilities(self.encoder.encode(texts, after_batch=after_batch))

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        """Return the most probable label of each row of probabilities (B, K), or a tuple of labels where `multi_label`."""
        return labels_of(probabilities, self.labels, self.head.settings.thresholds)
