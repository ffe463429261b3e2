"""Export of a run's classifier: published only where it predicts what its source does."""

from __future__ import annotations

from pathlib import Path

from nlptl import artifact
from nlptl.disk.refusals import checked_path
from nlptl.errors import ConfigError
from nlptl.inference.export_settings import Format, Precision
from nlptl.models.classifier import TextClassifier
from nlptl.models.exports.writing import write_export


def export_run(run: Path, out: Path, *, format: Format, precision: Precision, force: bool = False) -> list[str]:
    """Export the classifier of a run or a stage into the folder `out`."""
    source = checked_path(run)
    source = artifact.last_stage(source) if artifact.is_run(source) else source
    manifest = artifact.read_manifest(source, kind="classifier")
    if out.exists() and not force:
        raise ConfigError(f"--out: {out} exists; nothing was overwritten. Name another folder, or add --force.")
    classifier = TextClassifier.load(source)
    classifier.check_trained()

    def write(draft: Path) -> None:
        write_export(classifier, draft, format=format, precision=precision, source=manifest.digest)

    made = artifact.Manifest(kind="classifier", versions=artifact.library_versions())
    artifact.publish(out, write, made)
    return [f"{out}: written.", f'Next: nlptl predict {out} "A text of your own."']
