"""TextClassifier: text to label and probabilities. Encoder + head + label names.

Shapes: B texts, K labels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlptl.artifact import (
    Manifest,
    is_run,
    last_stage,
    library_versions,
    publish,
    read_json,
    read_manifest,
    read_tensors,
    verify,
)
from nlptl.data import LabelSet
from nlptl.errors import ArtifactError
from nlptl.models.encoder import PROBES, SAME, Encoder, count_parameters, not_training
from nlptl.models.heads import Head
from nlptl.models.packing import Batch

SETTINGS = "classifier.json"
HEAD = "head.safetensors"


class TextClassifier(nn.Module):
    """probabilities = softmax(head(encoder(text))); `labels` gives the K names in the order of the columns."""

    def __init__(self, encoder: Encoder, head: Head, labels: Sequence[str]) -> None:
        super().__init__()
        if head.labels != len(labels):
            raise ValueError(f"the head has {head.labels} outputs for {len(labels)} labels")
        self.encoder = encoder
        self.head = head
        self.labels = tuple(labels)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.encoder.device

    def label_ids(self, labels: Sequence[str]) -> Tensor:
        """Return the places (B,) of label names among `labels`; DataError for an unknown one."""
        return torch.tensor(LabelSet(self.labels).ids(labels), dtype=torch.int64)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.head(self.encoder(batch))
        return logits

    def predict_proba(
        self, texts: Sequence[str], *, after_batch: Callable[[int], None] | None = None
    ) -> NDArray[np.float64]:
        """Return probabilities (B, K), columns in the order of `labels`; every row sums to 1."""
        vectors = self.encoder.encode(texts, after_batch=after_batch)
        with torch.inference_mode(), not_training(self.head):
            logits = self.head(torch.from_numpy(vectors).to(self.head.centre.device))
        probabilities: NDArray[np.float64] = torch.softmax(logits.double(), dim=1).cpu().numpy()
        return probabilities

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_proba(texts).argmax(axis=1)]

    @staticmethod
    def files() -> frozenset[str]:
        """Return the names of all files that a classifier's folder may hold, those of its encoder included."""
        return Encoder.files() | {SETTINGS, HEAD}

    def save(self, folder: Path | str) -> None:
        """Publish the classifier as a folder that `TextClassifier.load` reads: whole or not at all."""
        manifest = Manifest(kind="classifier", versions=library_versions(), total_parameters=count_parameters(self))
        publish(Path(folder), self.write_files, manifest, files=self.files())

    def write_files(self, folder: Path) -> None:
        """Write the classifier's files into an existing folder; `save` does it safely."""
        import json

        from safetensors.torch import save_file

        self.encoder.write_parts(folder)
        save_file({name: tensor.contiguous() for name, tensor in self.head.state_dict().items()}, folder / HEAD)
        settings = {"labels": list(self.labels), "head": self.head.settings()}
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self._check_written(folder)

    def _check_written(self, folder: Path) -> None:
        """Read the files again and compare; ArtifactError where they differ, before anything is published."""
        again = TextClassifier.read_files(folder).to(self.device)
        self.encoder.check_written(folder, again.encoder)
        texts = [*PROBES, *self.labels]
        apart = abs(self.predict_proba(texts) - again.predict_proba(texts)).max()
        if not apart <= SAME:
            raise ArtifactError(
                f"{folder}: the classifier reads back with other probabilities (by {apart:.2g}) than it was saved with; "
                "expected the same ones, so nothing was published. This is a fault of nlptl: please report it."
            )

    @classmethod
    def load(cls, folder: Path | str) -> TextClassifier:
        """Read a classifier from a folder of `save`, of a stage that gives one, or from a whole run."""
        folder = Path(folder)
        folder = last_stage(folder) if is_run(folder) else folder
        verify(folder, read_manifest(folder, kind="classifier"))
        return cls.read_files(folder)

    @classmethod
    def read_files(cls, folder: Path) -> TextClassifier:
        """Read the files of `write_files`; ArtifactError when one is missing or damaged."""
        settings = read_json(folder / SETTINGS)
        head = Head(**settings["head"])
        try:
            head.load_state_dict(dict(read_tensors(folder / HEAD)))
        except RuntimeError:
            raise ArtifactError(
                f"{folder / HEAD}: does not fit the head that {SETTINGS} describes; the folder is damaged. "
                "Run the stage again."
            ) from None
        return cls(Encoder.read_files(folder), head, settings["labels"]).eval()
