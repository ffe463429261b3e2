"""A classifier in NumPy: a head over an encoder without torch.

Shapes: B texts, D dimension, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nlptl import artifact
from nlptl.data.learnt_texts import LearntTexts
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.abstention.abstention import Abstention, PredictionSet, usable_abstention
from nlptl.inference.abstention.conformal import SetCoverage
from nlptl.inference.file_names import CLASSIFIER, HEAD
from nlptl.inference.head import ArrayHead
from nlptl.inference.predictor import UNTRAINED, labels_of
from nlptl.inference.settings_files import ClassifierSettings, head_shapes, read_settings


class VectorEncoder(Protocol):
    """Text → sentence vector."""

    @property
    def dim(self) -> int:
        """Width D of the vectors."""

    def encode(self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Return sentence vectors (B, D) of texts."""


@dataclass(frozen=True)
class ClassifierParts:
    """What a classifier's folder holds beside its encoder."""

    head: ArrayHead
    labels: tuple[str, ...]
    separator: str  # between the labels of a text in a file's cell
    learnt: LearntTexts | None
    abstention: Abstention | None

    @classmethod
    def read(cls, folder: Path, *, dim: int, again: str) -> ClassifierParts:
        """Read the files of a classifier over vectors of width `dim`.

        Raises ArtifactError with the remedy `again` where they are missing or damaged.
        """
        settings = read_settings(folder / CLASSIFIER, ClassifierSettings)
        head = ArrayHead(settings.head, artifact.read_arrays(folder / HEAD))
        try:
            head.check(head_shapes(settings.head))
            if dim != settings.head.dim:
                raise ValueError("another width")
        except ValueError:
            raise ArtifactError(
                f"{folder / HEAD}: does not fit the head that {CLASSIFIER} describes over vectors of {dim} numbers; the folder is "
                f"damaged. {again}"
            ) from None
        abstention = Abstention.read(folder, label_count=len(settings.labels), dim=dim)
        return cls(head, tuple(settings.labels), settings.separator, LearntTexts.read(folder), abstention)


@dataclass(frozen=True)
class ArrayClassifier:
    """probabilities = softmax(head(encoder(text))), or the sigmoids where a text may have several labels: a `Predictor`."""

    encoder: VectorEncoder
    parts: ClassifierParts

    @property
    def labels(self) -> tuple[str, ...]:
        """The K names, in the order of the columns."""
        return self.parts.labels

    @property
    def separator(self) -> str:
        """Sign between the labels of a text in a file's cell."""
        return self.parts.separator

    @property
    def learnt(self) -> LearntTexts | None:
        """Hashes of the texts that it was trained on, where they are known."""
        return self.parts.learnt

    @property
    def abstention(self) -> Abstention | None:
        """What prediction sets need, where it is known."""
        return self.parts.abstention

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels, or none."""
        return self.parts.head.settings.thresholds is not None

    def check_trained(self) -> None:
        """Raise ConfigError for a head into which nothing was ever written."""
        if self.parts.head.is_fresh:
            raise ConfigError(UNTRAINED)

    def probabilities(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K)."""
        return self.parts.head.probabilities(self.encoder.encode(texts, after_batch=after_batch))

    def labels_of(self, probabilities: NDArray[np.float64]) -> list[Any]:
        """Return the most probable label of each row of probabilities (B, K), or a tuple of labels where `multi_label`."""
        return labels_of(probabilities, self.labels, self.parts.head.settings.thresholds)

    def checked_abstention(self, *, where: str) -> Abstention:
        """Return what prediction sets need. Raises ConfigError, which begins with `where`, where it is not there."""
        self.check_trained()
        return usable_abstention(
            self.abstention, multi_label=self.multi_label, weight=self.parts.head.last_weight, where=where
        )

    def sets_and_probabilities(
        self, texts: Sequence[str], coverage: SetCoverage, *, after_batch: Callable[[int], None] | None = None
    ) -> tuple[list[PredictionSet], NDArray[np.float64]]:
        """Return the prediction sets of texts and their probabilities (B, K), at a coverage of `checked_abstention`."""
        abstention = self.checked_abstention(where="predict_sets")
        vectors = self.encoder.encode(texts, after_batch=after_batch)
        probabilities = self.parts.head.probabilities(vectors)
        return abstention.sets(texts, vectors, probabilities, self.labels, coverage=coverage), probabilities
