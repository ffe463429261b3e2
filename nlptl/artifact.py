"""Folders on disk that exist whole or not at all: manifest, digests, atomic publish, the lock of a run."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field, ValidationError

from nlptl.config import Config, load_yaml
from nlptl.errors import ArtifactError, StorageError

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
VERSIONED = ("nlptl", "torch", "tokenizers", "transformers", "accelerate", "gensim", "peft", "scikit-learn", "numpy")

LAYOUT = frozenset({
    "encoder.json", "tokenizer.json", "word_vectors.safetensors", "pooling.safetensors", "classifier.json",
    "head.safetensors", "history.jsonl", "config.json", "model.safetensors", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "bottlenecks.safetensors", MANIFEST,
})  # fmt: skip
"""All files that an artifact's folder may hold; a folder with any other is somebody else's."""
ADAPTER = "adapter"
ADAPTER_LAYOUT = frozenset({"adapter_config.json", "adapter_model.safetensors"})
"""The one folder in an artifact's folder and the files in it: PEFT's layout."""

Kind = Literal["encoder", "classifier"]


class Manifest(Config):
    """What a published folder is and where it came from; written last, so a folder without it is unfinished."""

    format_version: int = FORMAT_VERSION
    """Version of the folder's layout; a newer one than this library knows is refused."""
    kind: Kind
    """What the folder loads as."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """The settings of the stage that made it, every default written out."""
    identity: str = ""
    """Digest of settings, stage version, seed, data and the parent's identity; empty for a folder saved by hand."""
    parent: str = ""
    """Identity of the artifact that the stage was given; empty for a first stage."""
    data: dict[str, str] = Field(default_factory=dict)
    """Digest of each part of the data that the stage read."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries that made it."""
    seed: int | None = None
    """The run's seed."""
    seconds: float = 0.0
    """Wall time of the stage."""
    device: str = "cpu"
    """Device that it ran on."""
    trainable_parameters: int = 0
    """Parameters that the stage trained."""
    total_parameters: int = 0
    """Parameters in the folder."""
    report: dict[str, Any] = Field(default_factory=dict)
    """What the stage found out: nearest neighbours, share of unknown words, chosen epochs and the like."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every other file of the folder."""


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
    from importlib.metadata import PackageNotFoundError, version

    found: dict[str, str] = {}
    for name in VERSIONED:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def write_text_atomically(path: Path, text: str) -> None:
    """Write a small file so that readers see the old or the new content, never a part."""
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def write_atomically(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Let `write` fill a draft beside `path`, then put it in its place: the old or the new content, never a part."""
    draft = path.with_name(f".{path.name}.draft-{os.getpid()}")
    with told_as_storage_error(path):
        try:
            with draft.open("wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def publish(folder: Path, write: Callable[[Path], None], manifest: Manifest) -> Manifest:
    """Let `write` fill a draft folder beside `folder`, then put it in place of `folder` by rename.

    The manifest is written last and names the digest of every file. An older whole folder of the same name is
    replaced. Raises StorageError (disk full, no permission) and leaves nothing behind but what stood there before.
    """
    folder = folder if folder.name else folder.absolute()
    draft = folder.with_name(f".{folder.name}.draft-{os.getpid()}")
    with told_as_storage_error(folder):
        check_replaceable(folder)
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            write(draft)
            files = {
                str(path.relative_to(draft)): file_digest(path) for path in sorted(draft.rglob("*")) if path.is_file()
            }
            manifest = manifest.model_copy(update={"files": files})
            (draft / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            _sync(draft)
            _swap(draft, folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(folder: Path, *, kind: Kind | None = None) -> Manifest:
    """Read a published folder's manifest; ArtifactError says what is wrong with a folder that is not one."""
    path = folder / MANIFEST
    if not folder.is_dir():
        raise ArtifactError(f"{folder}: no such folder; expected one that nlptl published. Check the path.")
    try:
        manifest = Manifest.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder}: holds no {MANIFEST}; expected a folder that nlptl published. Give a run or a stage's folder."
        ) from None
    except (OSError, UnicodeDecodeError, ValidationError):
        raise ArtifactError(
            f"{path}: is not a manifest that this version reads; the folder is damaged. Run the stage again."
        ) from None
    if manifest.format_version > FORMAT_VERSION:
        raise ArtifactError(
            f"{path}: format version {manifest.format_version} is newer than {FORMAT_VERSION}, the newest that this "
            "nlptl reads. Update nlptl."
        )
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(
            f"{folder}: holds an artifact of kind {manifest.kind}; expected {kind}. Give another folder."
        )
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """Compare every file with the digest in the manifest; ArtifactError names the first that differs."""
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
    """Read a JSON file of an artifact; ArtifactError when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None


def read_tensors(path: Path) -> Mapping[str, Any]:
    """Read a safetensors file into torch tensors; ArtifactError when it is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is no whole safetensors file"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process; the kernel lets go of it even after kill -9.

    Raises ArtifactError with the holder's process id when another process has it.
    """
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


def sweep(folder: Path, names: Collection[str]) -> None:
    """Remove drafts of `names` that a killed run left in `folder`; call it with the run's lock held."""
    for path in folder.glob(".*.draft-*"):
        name = re.fullmatch(r"\.(.+)\.draft-(?:old-)?[0-9]+", path.name)
        if name and name[1] in names:
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def check_replaceable(folder: Path) -> None:
    """Raise ArtifactError when something stands at `folder` that nlptl did not write."""
    if folder.exists() and not is_ours(folder):
        raise ArtifactError(
            f"{folder}: a folder that nlptl did not write stands here; nothing was overwritten. Choose another path."
        )


def is_ours(folder: Path) -> bool:
    """Say whether `folder` is empty or holds nothing but files of an artifact, its manifest lost or readable."""
    return folder.is_dir() and all(
        (path.name in LAYOUT and path.is_file()) or (path.name == ADAPTER and _is_adapter(path))
        for path in folder.iterdir()
    )


def _is_adapter(folder: Path) -> bool:
    return folder.is_dir() and all(path.name in ADAPTER_LAYOUT and path.is_file() for path in folder.iterdir())


def append_lines(path: Path, lines: str) -> None:
    """Add whole lines to a file and see them onto the disk; StorageError when it refuses."""
    with told_as_storage_error(path), path.open("a", encoding="utf-8") as file:
        file.write(lines)
        file.flush()
        os.fsync(file.fileno())


def _swap(draft: Path, folder: Path) -> None:
    if folder.exists():
        old = folder.with_name(f".{folder.name}.draft-old-{os.getpid()}")
        os.rename(folder, old)
        os.rename(draft, folder)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.rename(draft, folder)
    _sync_folder(folder.parent)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def told_as_storage_error(path: Path) -> Iterator[None]:
    """Tell a disk's refusal as one sentence; safetensors hides its own behind SafetensorError."""
    try:
        yield
    except OSError as error:
        raise StorageError(_disk_sentence(path, error)) from None
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise StorageError(_disk_sentence(path, error)) from None
        raise


def _disk_sentence(path: Path, error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error)
    return f"{path}: cannot be written ({reason}); nothing was left half-written. Free space or choose another folder."


def last_stage(run: Path) -> Path:
    """Return the folder of a run's last stage; ArtifactError when it is not finished."""
    settings = load_yaml(run / "pipeline.yaml")
    stages = settings.get("stages") if isinstance(settings, dict) else None
    if not isinstance(stages, list) or not stages or not all(isinstance(stage, dict) for stage in stages):
        raise ArtifactError(f"{run / 'pipeline.yaml'}: is not the settings of a run; it is damaged. Run it again.")
    folder, parent = run, ""
    for number, stage in enumerate(stages, start=1):
        folder = run / f"{number}-{stage.get('stage')}"
        manifest = read_manifest(folder) if (folder / "manifest.json").is_file() else None
        if manifest is None or manifest.settings != stage or manifest.parent != parent:
            raise ArtifactError(
                f"{run}: stage {folder.name} is not finished under the settings of pipeline.yaml; a run is used by its "
                "last stage. Run the pipeline to its end."
            )
        parent = manifest.identity
    return folder
