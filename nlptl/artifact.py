"""Files and folders on disk, whole or not at all: manifests, digests, publishing, locks."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, TypeVar

from pydantic import Field

from nlptl.config import Config, load_yaml
from nlptl.errors import ArtifactError, StorageError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
VERSIONED = ("nlptl", "torch", "tokenizers", "transformers", "accelerate", "gensim", "peft", "scikit-learn", "numpy")

RUN_SETTINGS = "pipeline.yaml"  # resolved settings in a run's folder; `nlptl.runs.folder` describes the rest

Kind = Literal["encoder", "classifier"]
T = TypeVar("T")


class Manifest(Config):
    """Kind and origin of a published folder. Written last: a folder without it is unfinished."""

    format_version: int = FORMAT_VERSION
    kind: Kind
    settings: dict[str, Any] = Field(default_factory=dict)  # of the stage that made it, with all defaults
    identity: str = ""  # digest of settings, stage version, seed, data and parent; empty for a folder saved by hand
    parent: str = ""  # identity of the artifact that the stage was given; empty for a first stage
    data: dict[str, str] = Field(default_factory=dict)  # digest of each part of the data that the stage read
    versions: dict[str, str] = Field(default_factory=dict)
    seed: int | None = None
    seconds: float = 0.0
    device: str = "cpu"
    trainable_parameters: int = 0
    total_parameters: int = 0
    report: dict[str, Any] = Field(default_factory=dict)  # findings, such as nearest neighbours or chosen epochs
    files: dict[str, str] = Field(default_factory=dict)  # SHA-256 of every other file of the folder


def digest_of(value: object) -> str:
    """Return the SHA-256 of a plain value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that shape results, without importing them."""
    from importlib.metadata import distributions

    return {name: found.version for name in VERSIONED for found in list(distributions(name=name))[:1]}


def write_text_atomically(path: Path, text: str) -> None:
    """Replace a text file; see `write_atomically`."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Replace a file by a draft that `write` fills. Readers see the old or the new content, never a part."""
    with _draft(path) as draft:
        with draft.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)


def write_folder_atomically(folder: Path, write: Callable[[Path], T]) -> T:
    """Replace a folder like `write_atomically` and return what `write` returns. StorageError leaves the old folder."""
    with _draft(folder) as draft:
        draft.mkdir(parents=True)
        result = write(draft)
        for path in (*_files_in(draft), draft):
            _sync(path)
        old = folder.with_name(f".{folder.name}.draft-old-{uuid.uuid4().int}")
        if folder.exists():
            os.rename(folder, old)
        os.rename(draft, folder)
        shutil.rmtree(old, ignore_errors=True)
        _sync(folder.parent)
        return result


def publish(folder: Path, write: Callable[[Path], None], manifest: Manifest, *, files: Collection[str]) -> Manifest:
    """Replace `folder`, manifest included. Raises ArtifactError if it holds files that are not in `files` or its old manifest."""
    folder = folder if folder.name else folder.absolute()

    def write_all(draft: Path) -> Manifest:
        write(draft)
        digests = {path.relative_to(draft).as_posix(): file_digest(path) for path in _files_in(draft)}
        published = manifest.model_copy(update={"files": digests})
        (draft / MANIFEST).write_text(published.model_dump_json(indent=2) + "\n", encoding="utf-8")
        return published

    with told_as_storage_error(folder):
        check_replaceable(folder, files)
    return write_folder_atomically(folder, write_all)


def read_manifest(folder: Path, *, kind: Kind | None = None) -> Manifest:
    """Read a published folder's manifest. Raises ArtifactError with the reason if there is none."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; expected one that nlptl published. Check the path.")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        found = raw.get("format_version")
        if isinstance(found, int) and found != FORMAT_VERSION:
            than, remedy = ("newer", "Update nlptl") if found > FORMAT_VERSION else ("older", "Run the pipeline again")
            raise ArtifactError(
                f"{path}: format version {found} is {than} than {FORMAT_VERSION}, which this nlptl reads. {remedy}."
            )
        manifest = Manifest.model_validate(raw)
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder}: holds no {MANIFEST}; expected a folder that nlptl published. Give a run or a stage's folder."
        ) from None
    except (OSError, ValueError, AttributeError):  # no UTF-8, no JSON, no block, or other fields
        raise ArtifactError(
            f"{path}: is not a manifest that this version reads; the folder is damaged or of another version. Run the stage again."
        ) from None
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(
            f"{folder}: holds an artifact of kind {manifest.kind}; expected {kind}. Give another folder."
        )
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with its digest. Raises ArtifactError for the first that differs."""
    for name, expected in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(
                f"{path}: is missing though the manifest names it; the folder is damaged. Run it again."
            )
        if file_digest(path) != expected:
            raise ArtifactError(
                f"{path}: differs from its digest in the manifest; it was changed. Run the stage again."
            )


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises ArtifactError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None


def read_tensors(path: Path) -> Mapping[str, Any]:
    """Read a safetensors file. Raises ArtifactError when it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is no whole safetensors file"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Lock a run folder; the kernel unlocks it even after kill -9. ArtifactError names the process that already holds it."""
    with told_as_storage_error(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode("ascii", "replace").strip() or "unknown"
            raise ArtifactError(
                f"{folder}: another run (process {holder}) works in this folder; one at a time is possible. "
                "Wait for it, or choose another folder with --out."
            ) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode("ascii"), 0)
        yield
    finally:
        os.close(handle)


def sweep(folder: Path, has_name: Callable[[str], bool]) -> None:
    """Remove drafts of a killed run whose names `has_name` accepts. The caller holds the lock."""
    for path in folder.glob(".*.draft-*"):
        name = re.fullmatch(r"\.(.+)\.draft-(?:old-)?[0-9]+", path.name)
        if name and has_name(name[1]):
            _remove(path)


def check_replaceable(folder: Path, files: Collection[str]) -> None:
    """Raise ArtifactError for a folder with files that are not nlptl's; see `is_ours`."""
    if folder.exists() and not is_ours(folder, files):
        raise ArtifactError(
            f"{folder}: a folder that nlptl did not write stands here; nothing was overwritten. Choose another path."
        )


def is_ours(folder: Path, files: Collection[str] = ()) -> bool:
    """Return whether `folder` holds only a manifest, files that it names, and `files`."""
    listed: Collection[str] = ()
    with contextlib.suppress(ArtifactError):
        listed = read_manifest(folder).files
    known = {MANIFEST, *files, *listed}
    parents = {str(parent) for name in known for parent in PurePosixPath(name).parents}
    return folder.is_dir() and all(
        path.relative_to(folder).as_posix() in (known if path.is_file() else parents if path.is_dir() else ())
        for path in folder.rglob("*")
    )


def append_lines(path: Path, lines: str) -> None:
    """Append whole lines to a file and flush it. Raises StorageError when the disk refuses."""
    with told_as_storage_error(path), path.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Lend a fresh name beside `path`, of the form that `sweep` removes, and remove what is left there."""
    draft = path.with_name(f".{path.name}.draft-{uuid.uuid4().int}")
    with told_as_storage_error(path):
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                _remove(draft)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def told_as_storage_error(path: Path) -> Iterator[None]:
    """Turn a disk's refusal into StorageError; safetensors hides its own in SafetensorError."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and type(error).__name__ != "SafetensorError":
            raise
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(
            f"{path}: cannot be written ({reason}); nothing was left half-written. Free space or choose another folder."
        ) from None


def stage_folder(run: Path, number: int, stage: object) -> Path:
    """Return the folder of a run's stage; the first stage has number 1."""
    return run / f"{number}-{stage}"


def is_run(folder: Path) -> bool:
    """Return whether `folder` is a run's, with one folder for each stage."""
    return (folder / RUN_SETTINGS).is_file()


def last_stage(run: Path) -> Path:
    """Return the folder of a run's last stage. Raises ArtifactError if it is not finished."""
    settings = load_yaml(run / RUN_SETTINGS)
    stages = settings.get("stages") if isinstance(settings, dict) else None
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise ArtifactError(f"{run / RUN_SETTINGS}: is not the settings of a run; it is damaged. Run it again.")
    folder, parent = run, ""
    for number, stage in enumerate(stages, start=1):
        folder = stage_folder(run, number, stage.get("stage"))
        manifest = read_manifest(folder) if (folder / MANIFEST).is_file() else None
        if manifest is None or manifest.settings != stage or manifest.parent != parent:
            raise ArtifactError(
                f"{run}: stage {folder.name} is not finished under the settings of {RUN_SETTINGS}; a run is used by its "
                "last stage. Run the pipeline to its end."
            )
        parent = manifest.identity
    return folder
