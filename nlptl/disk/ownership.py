"""What nlptl may replace or remove: folders with its own mark, and nothing of somebody else in them."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from nlptl.config import MAX_JSON, load_json
from nlptl.disk.refusals import shown, told_as_read_error, told_as_storage_error
from nlptl.disk.sealed_text import CARD, is_edited, is_sealed
from nlptl.errors import ArtifactError, ConfigError

MANIFEST = "manifest.json"
SETTINGS = "encoder.json"  # in the folder of every artifact
LITTER = (
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "._*",
    ".nfs*",
    "*__pycache__*",
)  # what a system or Python puts anywhere
_SHOWN_FILES = 3  # named in a sentence


def check_replaceable(folder: Path, files: Collection[str] = (), *, keeps_card: bool = False) -> None:
    """Raise ArtifactError for a folder with files that nlptl did not write, and for what is no folder; see `foreign_files`.

    Where an edited card is kept, it stands in nobody's way.
    """
    if not os.path.lexists(folder):
        return
    if not folder.is_dir():
        raise ArtifactError(
            f"{folder}: a file stands here; expected a folder or nothing. Nothing was overwritten. Choose another path."
        )
    with told_as_storage_error(folder), told_as_read_error(folder):
        kept = keeps_card and is_edited(folder / CARD) and bool(_known_names(folder, files))
        others = [name for name in foreign_files(folder, files) if not (kept and name == CARD)]
    if others == [CARD]:
        raise ArtifactError(
            f"{folder}: holds {CARD}, which nlptl did not write or somebody has edited since; nothing was overwritten. Move it "
            "elsewhere, or choose another path."
        )
    if others:
        raise ArtifactError(
            f"{folder}: holds {listed(others)}, which nlptl did not write; nothing was overwritten. Choose another path."
        )


def is_marked(folder: Path) -> bool:
    """Return whether `folder` carries nlptl's mark, whatever else it holds."""
    return bool(_known_names(folder, (SETTINGS,)))


def is_ours(folder: Path) -> bool:
    """Return whether `folder` is no link, carries nlptl's mark, and holds no foreign file."""
    return not folder.is_symlink() and folder.is_dir() and is_marked(folder) and not foreign_files(folder)


def foreign_files(folder: Path, files: Collection[str] = ()) -> list[str]:
    """Return what a folder holds that its manifest does not name, a card that stands as nlptl wrote it left out.

    Without a manifest of nlptl that is everything. If the manifest was lost or damaged, but nlptl's own settings are
    there, it is everything but `files`.
    """
    known = _known_names(folder, files)
    return others_in(folder, known | ({CARD} if known and is_sealed(folder / CARD) else set()), allowed=LITTER)


def _known_names(folder: Path, files: Collection[str]) -> set[str]:
    """Return the names of files that are nlptl's; none without a mark."""
    try:
        raw = load_json(folder / MANIFEST, most=MAX_JSON)
        if isinstance(raw["format_version"], int) and isinstance(raw["kind"], str) and isinstance(raw["files"], dict):
            return {MANIFEST, *raw["files"]}
    except (OSError, ValueError, KeyError, TypeError, RecursionError, ConfigError):
        pass  # somebody else's, or none
    return {MANIFEST, *files} if files and _are_settings(folder / SETTINGS) else set()


def _are_settings(path: Path) -> bool:
    """Return whether a file holds the settings of an encoder of nlptl; other tools give the same name to files of theirs."""
    try:
        raw = load_json(path, most=MAX_JSON)
    except (OSError, ValueError, RecursionError, ConfigError):
        return False
    return isinstance(raw, dict) and "token_model" in raw


def others_in(folder: Path, known: set[str], *, allowed: Iterable[str]) -> list[str]:
    """Return the entries of a folder that are not `known`: files, links, and subfolders without a known file."""
    parents = {str(parent) for name in known for parent in PurePosixPath(name).parents}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return sorted(
        name for name, path in found.items()
        if name not in (parents if path.is_dir() and not path.is_symlink() else known)
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in allowed)
    )  # fmt: skip


def listed(names: list[str]) -> str:
    """Return the first names, and the number of the others."""
    more = len(names) - _SHOWN_FILES
    return ", ".join(map(shown, names[:_SHOWN_FILES])) + (f" and {more} more" if more > 0 else "")
