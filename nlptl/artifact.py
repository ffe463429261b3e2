"""Published folders and JSON results: manifests, digests, and the one door through which they are read.

Files of a folder are compared with their digests before they are read. JSON of earlier versions has no digest of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import Field, field_validator

from nlptl.config import MAX_JSON, Config, load_json, load_yaml
from nlptl.disk.drafts import files_in, restore, write_folder_atomically, write_text_atomically
from nlptl.disk.hard_links import share
from nlptl.disk.ownership import LITTER, MANIFEST, check_replaceable, listed, others_in
from nlptl.disk.refusals import checked_path, told_as_read_error
from nlptl.disk.remaking import made_again
from nlptl.disk.sealed_text import CARD, carry_edited
from nlptl.errors import ArtifactError, ConfigError

FORMAT_VERSION = 1
DIGEST = "digest"  # key of a JSON file's own digest
VERSIONED = ("nlptl", "torch", "tokenizers", "transformers", "accelerate", "gensim", "peft", "scikit-learn", "numpy")
RUN_SETTINGS = "pipeline.yaml"  # resolved settings in a run's folder; `nlptl.runs.folder` describes the rest

_NOTES = (
    "*.md", *(f"{name}{ending}" for name in ("README", "LICENSE", "NOTICE") for ending in ("", ".txt", ".rst")),
    ".gitattributes", ".gitignore", ".git", ".git/*", ".cache", ".cache/*", f".{CARD}.draft-*", *LITTER,
)  # fmt: skip
"""Files that people and the Hub put beside an artifact, and nlptl's card for people. They are not read, and never replaced
with it; a card is, as long as nobody has edited it."""
DAMAGED = "the folder is damaged. Run the stage again."
_TRIES, _PAUSE = 20, 0.002  # at reading a folder that another process replaces meanwhile; seconds where it is absent

Kind = Literal["encoder", "classifier", "bundle"]
T = TypeVar("T")
C = TypeVar("C", bound=Config)


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
    stamps: dict[str, tuple[int, ...]] = Field(default_factory=dict)  # of these files; see `stamp_of`
    digest: str = ""  # of all of the above; empty in manifests of earlier versions

    @field_validator("files")
    @classmethod
    def _names_stay_inside(cls, files: dict[str, str]) -> dict[str, str]:
        for name in files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or str(path) != name or "\0" in name or name == MANIFEST:
                raise ValueError(f"{name!r} is no file of the folder")
        return files


def digest_of(value: object) -> str:
    """Return the SHA-256 of a plain value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def stamp_of(path: Path) -> tuple[int, ...]:
    """Return size, inode, and the times in ns at which a file's content and the file itself were last changed.

    Equal stamps mean equal content. The second time cannot be set: it moves where somebody sets the first one back. It also
    moves where nothing but the mode or the number of links changes.
    """
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def library_versions() -> dict[str, str]:
    """Return the installed versions of the libraries that shape results, without importing them."""
    from importlib.metadata import distributions

    return {name: found.version for name in VERSIONED for found in list(distributions(name=name))[:1]}


def publish(
    folder: Path | str, write: Callable[[Path], None], manifest: Manifest, *, files: Collection[str] = (),
    beside: Collection[Path] = (), stamped: bool = False, keeps_card: bool = False,
) -> Manifest:  # fmt: skip
    """Replace `folder`, manifest included. Raises ArtifactError if it holds files that nlptl did not write.

    Raises it too for a stage of a run, which a stage alone replaces.

    See `foreign_files` on `files`. A large file that one of the published folders `beside` it holds too is shared with it.
    With `stamped`, `checked_manifest` need not read the files of this very folder again; without, equal content gives
    equal bytes. With `keeps_card`, a card that somebody has edited comes into the new folder.
    """
    drafts: list[Path] = []  # the one that takes the folder's place, once it is there

    def check(found: Path) -> None:
        check_replaceable(found, files, keeps_card=keeps_card)
        if "stage" not in manifest.settings:
            _check_no_stage(found)
        for draft in drafts if keeps_card else ():  # at the last moment, so that no word of a person is lost
            carry_edited(found, draft)

    def write_all(draft: Path) -> Manifest:
        write(draft)
        drafts.append(draft)
        paths = {path.relative_to(draft).as_posix(): path for path in files_in(draft) if path != draft / CARD}
        mode = draft.stat().st_mode & 0o666
        for path in paths.values():
            if not path.is_symlink() and path.stat().st_mode & 0o7777 != mode:
                path.chmod(mode)  # before the stamps, which would not fit any more
        digests = {name: file_digest(path) for name, path in paths.items()}
        held = _files_by_digest(beside)
        for name, path in paths.items():
            share(path, digests[name], held, digest_of=file_digest)
        stamps = {name: stamp_of(path) for name, path in paths.items()} if stamped else {}
        published, text = _written(manifest.model_copy(update={"files": digests, "stamps": stamps}))
        (draft / MANIFEST).write_text(text, encoding="utf-8")
        return published

    return write_folder_atomically(checked_path(folder), write_all, check=check)


def replace_settings(folder: Path, manifest: Manifest, settings: Mapping[str, Any]) -> Manifest:
    """Replace the settings in the manifest of a published folder, where a path in them has changed but nothing else."""
    published, text = _written(manifest.model_copy(update={"settings": dict(settings)}))
    write_text_atomically(folder / MANIFEST, text)
    return published


def _check_no_stage(folder: Path) -> None:
    """Raise ArtifactError for the folder of a stage inside its run."""
    made_by: Mapping[str, Any] = {}
    with contextlib.suppress(ArtifactError):
        if folder.is_dir() and is_run(folder.parent):
            made_by = read_manifest(folder).settings
    if "stage" in made_by:
        raise ArtifactError(
            f"{folder}: is a stage of the run {folder.parent}; nothing was overwritten. Choose another folder."
        )


def _files_by_digest(folders: Collection[Path]) -> dict[str, Path]:
    """Return the files of published folders by the digests that their manifests state."""
    found: dict[str, Path] = {}
    for folder in folders:
        with contextlib.suppress(ArtifactError):
            found |= {digest: folder / name for name, digest in read_manifest(folder).files.items()}
    return found


def _written(manifest: Manifest) -> tuple[Manifest, str]:
    """Return a manifest with its digest, and the text of its file."""
    whole = sealed(manifest.model_dump(mode="json"))
    return Manifest.model_validate(whole), json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def read_published(folder: Path, read: Callable[[Path], T], *, kind: Kind | None = None) -> T:
    """Return what `read` makes of a published folder whose bytes fit their digests. Raises ArtifactError otherwise.

    A folder that another process replaces meanwhile is read again, so that old and new files never mix. Where disks cannot exchange
    two folders it is absent for a moment, and waited for.
    """
    for tries_left in reversed(range(_TRIES)):
        before = _place(checked_path(folder))
        if before is None:
            time.sleep(_PAUSE)
        try:
            verify(folder, read_manifest(folder, kind=kind))
            found = read(folder)
        except Exception:  # a library tells a file that has gone in its own words
            if not tries_left or (before is not None and _place(folder) == before):
                raise
        else:
            if not tries_left or _place(folder) == before:
                return found
    raise AssertionError("the last try returns or raises")


def read_manifest(folder: Path, *, kind: Kind | None = None) -> Manifest:
    """Read a published folder's manifest. Raises ArtifactError with the reason if there is none."""
    path = checked_path(folder) / MANIFEST
    with told_as_read_error(folder):
        restore(folder)
        if not folder.is_dir():
            raise ArtifactError(f"{folder}: no such folder; expected one that nlptl published. Check the path.")
    try:
        with told_as_read_error(path):
            raw = load_json(path, most=MAX_JSON)
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
    except (ValueError, AttributeError, RecursionError, ConfigError):  # no UTF-8, no JSON, no block, or other fields
        raise ArtifactError(
            f"{path}: is not a manifest that this version reads; the folder is damaged or of another version. {made_again(folder)}"
        ) from None
    check_seal(path, raw, remedy=made_again(folder))
    if kind is not None and manifest.kind != kind:
        raise ArtifactError(
            f"{folder}: holds an artifact of kind {manifest.kind}; expected {kind}. Give another folder."
        )
    return manifest


def checked_manifest(folder: Path, *, stamps: Mapping[str, Sequence[int]] | None = None) -> Manifest:
    """Read a manifest, and compare the folder with it as far as that takes no time; see `verify`.

    `stamps` are those of a later check than the publishing, after which other folders may have linked the same files.
    """
    manifest = read_manifest(folder)
    verify(folder, manifest, stamps=[manifest.stamps, stamps or {}])
    return manifest


def verify(folder: Path, manifest: Manifest, *, stamps: Sequence[Mapping[str, Sequence[int]]] = ()) -> None:
    """Compare every file with its digest. Raises ArtifactError for the first that differs, and for files beside them.

    A file that has one of its known `stamps` is not read.
    """
    for name, expected in manifest.files.items():
        path = folder / name
        missing = f"{path}: is missing though the manifest names it; the folder is damaged."
        with told_as_read_error(path):
            is_file = path.is_file()
        if not is_file:
            raise ArtifactError(f"{missing} {made_again(folder, manifest.files)}")
        _check_inside(path, folder)
        try:
            with told_as_read_error(path):
                trusted = bool(stamps) and stamp_of(path) in {tuple(known.get(name, ())) for known in stamps}
                fits = trusted or file_digest(path) == expected
        except FileNotFoundError:  # it has gone meanwhile
            raise ArtifactError(f"{missing} {made_again(folder, manifest.files)}") from None
        if not fits:
            raise ArtifactError(
                f"{path}: differs from its digest in the manifest; it was changed. {made_again(folder, manifest.files)}"
            )
    if others := others_in(folder, {MANIFEST, *manifest.files}, allowed=_NOTES):
        raise ArtifactError(
            f"{folder}: holds {listed(others)} beside the files that its manifest names; expected nothing else but notes "
            "such as README.md. Move it elsewhere."
        )


def read_json(path: Path) -> Any:
    """Read a JSON file of a verified folder. Raises ArtifactError when it is missing or damaged."""
    try:
        with told_as_read_error(path):
            return load_json(path, most=MAX_JSON)
    except (FileNotFoundError, ValueError, RecursionError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "cannot be read"
        raise ArtifactError(f"{path}: {reason}; the folder is damaged. Run the stage again.") from None


def read_if_there(path: Path, model: type[C], *, fault: str) -> C | None:
    """Read a JSON file that folders of earlier versions lack; None if there is none.

    Raises ArtifactError with `fault`, which begins with a verb, where the content is no `model`.
    """
    if not path.exists():
        return None
    try:
        return model.model_validate(read_json(path))
    except ConfigError:
        raise ArtifactError(f"{path}: {fault}; the folder is damaged. Run the stage again.") from None


def read_tensors(path: Path, *, remedy: str = DAMAGED) -> Mapping[str, Any]:
    """Read a safetensors file of a verified folder as tensors. Raises ArtifactError when it is missing or damaged."""
    from safetensors.torch import load_file

    return _read_safetensors(path, load_file, remedy)


def read_arrays(path: Path, *, remedy: str = DAMAGED) -> Mapping[str, Any]:
    """Read a safetensors file of a verified folder as arrays of NumPy; see `read_tensors`. bfloat16 has no array."""
    from safetensors.numpy import load_file

    return _read_safetensors(path, load_file, remedy)


def _read_safetensors(path: Path, load: Callable[[Path], Mapping[str, Any]], remedy: str) -> Mapping[str, Any]:
    from safetensors import SafetensorError

    try:
        return load(path)
    except PermissionError:
        with told_as_read_error(path):
            raise
    except (OSError, SafetensorError) as error:
        reason = "is missing" if isinstance(error, FileNotFoundError) else "is no whole safetensors file"
        raise ArtifactError(f"{path}: {reason}; {remedy}") from None


def _found_manifest(folder: Path) -> Manifest | None:
    with told_as_read_error(folder):
        found = (folder / MANIFEST).is_file()
    return read_manifest(folder) if found else None


def _check_inside(path: Path, folder: Path) -> None:
    """Raise ArtifactError for a link that leaves its folder. The Hub's cache links to the blobs beside its snapshots."""
    real, place = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    blobs = place.parent.parent / "blobs" if place.parent.name == "snapshots" else place
    if place not in real.parents and blobs not in real.parents:
        raise ArtifactError(
            f"{path}: is a symbolic link to {real}, outside its folder; expected the file itself. Copy it here."
        )


def _place(folder: Path) -> tuple[int, int, int] | None:
    """Return what changes when another folder takes the place of this one."""
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def sealed(content: Mapping[str, object]) -> dict[str, Any]:
    """Return plain content with its digest."""
    plain = unsealed(json.loads(json.dumps(content, ensure_ascii=False)))
    return {**plain, DIGEST: digest_of(plain)}


def unsealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return content without its digest."""
    return {name: value for name, value in content.items() if name != DIGEST}


def is_whole(content: Mapping[str, Any]) -> bool:
    """Return whether content fits its digest, or has none, as files of earlier versions.

    Content of which no digest can be made, nested too deeply or with half a character, was not written by nlptl.
    """
    try:
        digest = digest_of(unsealed(content))
    except (ValueError, RecursionError):
        return False
    return content.get(DIGEST) in (None, "", digest)


def check_seal(path: Path, content: Mapping[str, Any], *, remedy: str) -> None:
    """Raise ArtifactError for content that does not fit its digest."""
    if not is_whole(content):
        raise ArtifactError(f"{path}: differs from the digest that it holds; it was changed. {remedy}")


def stage_folder(run: Path, number: int, stage: object) -> Path:
    """Return the folder of a run's stage; the first stage has number 1."""
    return run / f"{number}-{stage}"


def is_run(folder: Path) -> bool:
    """Return whether `folder` is a run's, with one folder for each stage."""
    with told_as_read_error(folder):
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
        manifest = _found_manifest(folder)
        if manifest is None or manifest.settings != stage or manifest.parent != parent:
            raise ArtifactError(
                f"{run}: stage {folder.name} is not finished under the settings of {RUN_SETTINGS}; a run is used by its "
                "last stage. Run the pipeline to its end."
            )
        parent = manifest.identity
    return folder
