"""What a version knows: the labelled rows that it has learnt, and those that were kept from it."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nlptl.artifact import RUN_SETTINGS, last_stage, read_manifest
from nlptl.errors import ArtifactError, DataError
from nlptl.evaluation.scores import load_classifier
from nlptl.runs.folder import stage_folders
from nlptl.runs.reading.texts import read_data

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data import TextData, TextTable
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.runs.pipeline import Pipeline


@dataclasses.dataclass(frozen=True)
class KnownRows:
    """Data of a version without its pile, and its classifier."""

    folder: Path
    pipeline: Pipeline
    data: TextData
    context: RunContext
    unlearnt: int = 0  # labelled rows that its files hold today, and that it has not learnt

    @classmethod
    def read(cls, folder: Path, context: RunContext) -> KnownRows:
        """Read the rows of a finished run again. Raises ArtifactError or DataError for a run that cannot be refreshed."""
        if read_manifest(last_stage(folder)).kind != "classifier":
            raise ArtifactError(
                f"{folder}: ends with an encoder; expected a classifier, which new labels refresh. Give another run."
            )
        pipeline, data = read_data(folder, progress=context.progress)
        if data.labelled is None:
            raise DataError(
                f"{folder}: its classifier has learnt names of labels alone; expected labelled rows, to which new ones are added. "
                "Add `labelled:` to the pipeline and run it."
            )
        if data.has_label_sets:
            raise DataError(
                f"{folder}: its texts may have several labels; a refresh judges one label a text. Add the rows to the "
                "pipeline's own file, and run it."
            )
        return cls(folder, pipeline, data, dataclasses.replace(context, seed=pipeline.seed)).as_learnt()

    def as_learnt(self) -> KnownRows:
        """Leave out labelled rows that were added to the run's own files since: nobody has screened them."""
        learnt = (
            ~self.not_learnt(self.labelled.texts()) if self.classifier.learnt else np.ones(len(self.labelled), np.bool_)
        )
        if not learnt.any():
            raise DataError(
                f"{self.labelled.name}: its classifier has learnt none of these rows, so the file is another one than it was. "
                f"Put the old file back, or run the pipeline again: nlptl run {self.folder}/{RUN_SETTINGS}"
            )
        data = dataclasses.replace(self.data, labelled=self.labelled.keep(learnt))
        return dataclasses.replace(self, data=data, unlearnt=int((~learnt).sum()))

    @property
    def labelled(self) -> TextTable:
        """Rows that the version has learnt."""
        assert self.data.labelled is not None
        return self.data.labelled

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels that the version knows."""
        return tuple(self.classifier.labels)

    @property
    def kept(self) -> tuple[TextTable, ...]:
        """Rows that nothing may learn: the test and the validation texts."""
        return tuple(table for table in (self.data.test, self.data.validation) if table is not None)

    @cached_property
    def classifier(self) -> TextClassifier:
        """The classifier of the version."""
        return load_classifier(last_stage(self.folder), self.context)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder that has seen no label."""
        from nlptl.models.encoder import Encoder

        encoders = [one for one in stage_folders(self.folder) if read_manifest(one).kind == "encoder"]
        return Encoder.load(encoders[-1]).to(self.context.torch_device()) if encoders else self.classifier.encoder

    def not_learnt(self, texts: list[str]) -> NDArray[np.bool_]:
        """Return which texts (n,) the classifier has not learnt."""
        learnt = self.classifier.learnt
        return np.ones(len(texts), np.bool_) if learnt is None else ~np.array(learnt.contains(texts), np.bool_)
