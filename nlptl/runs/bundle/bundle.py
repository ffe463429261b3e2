"""A bundle of a run: one folder, or one wheel, that predicts and serves without torch."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nlptl import artifact
from nlptl.disk.drafts import temporary_folder, write_atomically
from nlptl.disk.refusals import checked_path
from nlptl.errors import ConfigError
from nlptl.inference.export_settings import Format, Parity, Precision, is_export, read_export
from nlptl.inference.loading import is_static, load_without_torch
from nlptl.progress import Progress
from nlptl.runs.bundle.bundle_files import CODE, MODEL, SCRIPT, BundledModel, megabytes, write_folder_files
from nlptl.runs.bundle.requirements import installed_megabytes
from nlptl.runs.bundle.self_check import check_bundle, checked_texts
from nlptl.runs.bundle.wheel_file import module_name, pack_wheel, stage_wheel, wheel_name
from nlptl.versions import artifact_in_use, run_of_version

Form = Literal["folder", "wheel"]


@dataclass(frozen=True)
class Bundle:
    """What was bundled: where it lies, and how large it is, in megabytes."""

    path: Path  # the folder, or the wheel
    name: str
    form: Form
    model: float
    code: float
    libraries: float  # that it needs installed, as installed here
    checked: int  # texts whose probabilities were compared with the source's
    parity: Parity | None = None  # of the export that was made on the way


def bundle_run(
    run: Path, out: Path, *, form: Form = "folder", name: str | None = None, format: Format = "onnx",
    precision: Precision = "int8", force: bool = False, progress: Progress | None = None,
) -> Bundle:  # fmt: skip
    """Write the bundle of a run, a stage or an export into the folder `out`.

    A transformer that is no export is exported on the way, and refused where `export` refuses it. The bundle is published whole
    or not at all, after a process without torch has predicted with it what the source predicts.
    """
    run, out = checked_path(run), checked_path(out)
    name = name or _name_of(run)
    module_name(name)
    if form == "folder" and out.exists() and not force:
        raise ConfigError(f"--out: {out} exists; nothing was overwritten. Name another folder, or add --force.")
    with _without_torch(run, format, precision, progress) as (folder, parity):
        predictor = load_without_torch(folder)
        assert predictor is not None
        predictor.check_trained()
        export = read_export(folder) if is_export(folder) else None
        if export is not None and export.arrays is not None:
            raise ConfigError(
                "bundle: found a transformer in safetensors, which numba multiplies; expected a form without numba. Bundle the run "
                "with --format onnx or openvino."
            )
        made_format = None if export is None else export.format
        model = BundledModel(folder, name, predictor, made_format)
        found = _write_folder(model, out) if form == "folder" else _write_wheel(model, out, force=force)
    return dataclasses.replace(found, parity=parity)


def _write_folder(model: BundledModel, out: Path) -> Bundle:
    def write(draft: Path) -> None:
        write_folder_files(model, draft)
        check_bundle(draft / SCRIPT, model.predictor, where=out)

    made = artifact.Manifest(
        kind="bundle",
        settings={"name": model.name, "requirements": model.requirements},
        versions=artifact.library_versions(),
    )
    artifact.publish(out, write, made, beside=[model.folder])
    return _told(model, out, "folder", model_at=out / MODEL, code_at=out / CODE)


def _write_wheel(model: BundledModel, out: Path, *, force: bool) -> Bundle:
    path = out / wheel_name(model)
    if path.exists() and not force:
        raise ConfigError(f"--out: {path} exists; nothing was overwritten. Name another folder, or add --force.")
    if out.exists() and not out.is_dir():
        raise ConfigError(
            f"--out: {out} is a file; expected a folder, into which the wheel is written. Name another one."
        )
    out.mkdir(parents=True, exist_ok=True)
    with temporary_folder("wheel") as staged:
        script = stage_wheel(model, staged)
        check_bundle(script, model.predictor, where=path, code=staged)
        write_atomically(path, lambda file: pack_wheel(staged, file))
        return _told(model, path, "wheel", model_at=script.parent / MODEL, code_at=staged / CODE)


def _told(model: BundledModel, path: Path, form: Form, *, model_at: Path, code_at: Path) -> Bundle:
    return Bundle(
        path, model.name, form, megabytes(model_at), megabytes(code_at), installed_megabytes(model.requirements),
        checked_texts(model.predictor.labels),
    )  # fmt: skip


@contextmanager
def _without_torch(
    run: Path, format: Format, precision: Precision, progress: Progress | None
) -> Iterator[tuple[Path, Parity | None]]:
    """Lend the folder of the classifier in a form that needs no torch, with what its export was held against the run by."""
    folder = artifact_in_use(run)
    artifact.read_manifest(folder, kind="classifier")
    if is_export(folder) or is_static(folder):
        yield folder, None
        return
    from nlptl.runs.export.export import export_run

    with temporary_folder("export") as place:
        done = export_run(run, place / "export", format=format, precision=precision, progress=progress)
        yield done.folder, done.parity


def _name_of(run: Path) -> str:
    """Return the name of a bundle after its run, of which a stage may have been given."""
    folder = run_of_version(run).resolve()
    whole = folder.parent if artifact.is_run(folder.parent) else folder
    return re.sub(r"[^A-Za-z0-9]+", "-", whole.name).strip("-") or "classifier"
