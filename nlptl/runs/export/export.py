"""Export of a run's classifier: published only where it predicts what its source does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nlptl import artifact
from nlptl.disk.refusals import checked_path
from nlptl.errors import ConfigError
from nlptl.inference.export_settings import ExportSettings, Format, Parity, Precision, is_export
from nlptl.inference.int8.products import HAS_DOT
from nlptl.inference.loading import reader_of
from nlptl.inference.predictor import Predictor
from nlptl.models.classifier import TextClassifier
from nlptl.models.exports.writing import check_encoder, check_format, write_export
from nlptl.progress import Progress, SilentProgress
from nlptl.runs.export.parity import check_parity, parity_of, real_texts
from nlptl.runs.folder import whole_run
from nlptl.versions import artifact_in_use


@dataclass(frozen=True)
class Exported:
    """Result of an export."""

    folder: Path
    settings: ExportSettings
    parity: Parity
    megabytes: float
    source_megabytes: float
    seconds: float  # for the texts that were compared
    source_seconds: float


def export_run(
    run: Path,
    out: Path,
    *,
    format: Format | None = None,
    precision: Precision | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> Exported:
    """Export the classifier of a run or a stage into the folder `out`.

    Raises ConfigError for what has no exported form, and ArtifactError for an export that predicts too little like the run.
    """
    folder = checked_path(run)
    stage = artifact_in_use(folder)
    manifest = artifact.read_manifest(stage, kind="classifier")
    if is_export(stage):
        raise ConfigError(
            f"RUN: {run} is an export already; expected a run or a stage of one. Export the run that it is of."
        )
    _check_out(out, force=force)
    classifier = TextClassifier.load(stage)
    classifier.check_trained()
    static = classifier.encoder.token_model.kind == "word_vectors"
    format = format or ("safetensors" if static or HAS_DOT else "onnx")  # the fastest here
    precision = precision or ("fp32" if static else "int8")
    check_format(format, precision)
    check_encoder(classifier.encoder, format, precision)
    given = real_texts(whole_run(stage), classifier.labels)
    source, source_seconds = _predicted(classifier, given.texts, "the run", progress)
    found: list[tuple[ExportSettings, Parity, float]] = []

    def write(draft: Path) -> None:
        settings = write_export(classifier, draft, format=format, precision=precision, source=manifest.digest)
        export, seconds = _predicted(_read(draft), given.texts, "the export", progress)
        parity = parity_of(source, export, given, classifier)
        check_parity(parity)
        settings = settings.model_copy(update={"parity": parity})
        settings.write(draft)
        found.append((settings, parity, seconds))

    made = artifact.Manifest(
        kind="classifier", versions=artifact.library_versions(), total_parameters=manifest.total_parameters
    )
    artifact.publish(out, write, made)
    settings, parity, seconds = found[-1]
    return Exported(out, settings, parity, _megabytes(out), _megabytes(stage), seconds, source_seconds)


def _check_out(out: Path, *, force: bool) -> None:
    if out.exists() and not force:
        raise ConfigError(
            f"--out: {out} exists; nothing was overwritten. Name another folder, or add --force to replace it."
        )


def _read(draft: Path) -> Predictor:
    """Read an export as it will run."""
    read = reader_of(draft)
    assert read is not None  # an export is read without torch
    return read(draft)


def _predicted(
    classifier: Predictor, texts: Sequence[str], what: str, progress: Progress | None
) -> tuple[NDArray[np.float64], float]:
    """Return the probabilities (N, K) of texts, and the seconds that they took."""
    with (progress or SilentProgress()).task(f"predicting by {what}", total=len(texts), unit="texts") as task:
        classifier.probabilities(texts[:1])  # loads and compiles what the first text needs
        begin = time.perf_counter()
        found = classifier.probabilities(texts, after_batch=task.advance)
        return found, time.perf_counter() - begin


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
