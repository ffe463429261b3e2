"""AuditSource: what an audit reads, which may be a pipeline, a run, an earlier audit, or files that a person has."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.artifact import RUN_SETTINGS, read_manifest, stage_folder
from nlptl.config import parse
from nlptl.data import DataSettings, TextData
from nlptl.data.discovery import NoLabels, discover_pile_settings, discover_settings
from nlptl.data.load import LoadedData, load_parts
from nlptl.disk.ownership import MANIFEST
from nlptl.errors import ArtifactError, DataError
from nlptl.runs.folder import AUDIT, run_inside, run_of_pipeline
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.audit.audit import check_same_data
from nlptl.runs.studies.audit.audited_texts import AuditedTexts
from nlptl.runs.studies.audit.outcome import AuditResult
from nlptl.runs.studies.audit.text_encoder import AuditEncoder, encoder_for, encoder_of_stages
from nlptl.stages.stage import Stage
from nlptl.versions import current_run

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.data.columns import Column
    from nlptl.data.discovery import Choose
    from nlptl.progress import Progress

TRAINED_HERE = "The run holds no finished encoder, so one was trained for the audit; after `nlptl run` its own is used."


@dataclasses.dataclass(frozen=True)
class AuditSource:
    """Data of an audit, the folder that it goes into, and the encoder of its texts."""

    settings: DataSettings
    folder: Path
    seed: int | None = None  # of a pipeline; None: that of the context
    stages: tuple[Stage, ...] = ()  # that make the pipeline's encoder; none: the encoder is chosen by the texts
    taken_as: tuple[str, ...] = ()  # sentences on how the files are read
    before: AuditResult | None = None  # the audit that is read again

    def load(self, *, progress: Progress | None = None) -> LoadedData:
        """Read the data, leaks and all labelled rows included. Raises DataError; ArtifactError where they have changed."""
        whole = self.settings.model_copy(update={"drop_leaks": False, "shots": None})
        loaded = load_parts(whole, seed=self.seed or 0, progress=progress, one_label=True)
        if self.before is not None:
            check_same_data(self.before, loaded, self.folder)
        return loaded

    def run_data(self, loaded: LoadedData) -> dict[str, str]:
        """Return the digest of each part as a run reads it: without leaks, and of the few rows that it draws.

        Files have no run, and a run refuses data of which leaks leave nothing: their digests are those of all rows.
        """
        data = loaded.data
        if self.seed is not None and (self.settings.shots is not None or loaded.report.leaks):
            with contextlib.suppress(DataError):
                data = load_parts(self.settings, seed=self.seed).data
        return AuditedTexts.of(data).digests

    def encoder(self, data: TextData, context: RunContext) -> AuditEncoder:
        """Return the finished encoder of the run, else that which the stages make, else one that suits the texts."""
        if not self.stages:
            return encoder_for(data, context)
        last = stage_folder(self.folder, len(self.stages), self.stages[-1].stage)
        if (last / MANIFEST).is_file():
            return _finished(last, context)
        if self.seed is not None:
            context = dataclasses.replace(context, seed=self.seed)
        made = encoder_of_stages(self.stages, data, context, name=self.stages[0].stage)
        if any(stage.is_random for stage in self.stages):
            return dataclasses.replace(made, remark=TRAINED_HERE)
        return made


def pipeline_to_audit(path: Path, *, out: Path | None, assignments: Sequence[str] = ()) -> AuditSource:
    """Return the source of a pipeline file, whose audit goes into its run."""
    return _of(Pipeline.from_yaml(path, assignments=assignments), out or run_of_pipeline(path))


def folder_to_audit(folder: Path, *, out: Path | None) -> AuditSource:
    """Return the source of a run, or of an earlier audit, whose scores are kept. Raises ArtifactError for another folder."""
    folder = current_run(run_inside(folder))
    before = AuditResult.read(folder) if out is None else None
    if (folder / RUN_SETTINGS).is_file():
        found = _of(Pipeline.from_yaml(folder / RUN_SETTINGS), out or folder)
        return dataclasses.replace(found, before=before)
    if before is None or before.settings is None:
        raise ArtifactError(
            f"{folder}: holds neither a run nor an audit of files; expected one. Give a pipeline, a run or files with texts."
        )
    settings = parse(DataSettings, before.settings, where=str(folder / AUDIT), folder=folder)
    return AuditSource(settings, folder, before=before)


def is_audit(folder: Path) -> bool:
    """Return whether a folder holds a run or an audit, and no texts."""
    inside = run_inside(folder)
    return (inside / AUDIT).is_file() or (inside / RUN_SETTINGS).is_file()


def files_to_audit(
    files: Sequence[Path], *, out: Path | None, text: Column | None = None, label: Column | None = None,
    unlabelled: Sequence[Path] = (), test: Path | None = None, choose: Choose | None = None,
) -> AuditSource:  # fmt: skip
    """Return the source of files, read as `nlptl start` reads them; without labels, their texts alone. Raises DataError."""
    given: dict[str, Any] = {"text": text, "choose": choose}
    try:
        settings, taken_as = discover_settings(
            files, label=label, unlabelled=unlabelled, test=test, few_labels=True, **given
        )
    except NoLabels:
        if label is not None or test is not None:
            raise
        settings, taken_as = discover_pile_settings([*files, *unlabelled], **given)
    name = files[0].resolve().name.split(".")[0] or "files"
    return AuditSource(settings, out or Path("runs") / f"{name}-audit", taken_as=tuple(taken_as))


def _of(pipeline: Pipeline, folder: Path) -> AuditSource:
    stages = tuple(stage for stage in pipeline.stages if stage.gives == "encoder")
    return AuditSource(pipeline.data, folder, pipeline.seed, stages)


def _finished(folder: Path, context: RunContext) -> AuditEncoder:
    """Return the encoder that a stage of the run has made."""
    from nlptl.models.encoder import Encoder

    manifest = read_manifest(folder, kind="encoder")
    is_pretrained = any(path.name.startswith("1-bert") for path in folder.parent.glob("1-*"))

    def make() -> Encoder:
        return Encoder.load(folder).to(context.torch_device())

    return AuditEncoder(f"that of {folder.parent}", manifest.identity, is_pretrained, make)
