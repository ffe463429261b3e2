"""What the shell completes: folders of runs, pipeline files and names of encoders, by what stands on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from nlptl.interfaces.pipeline_files import SETTINGS

MAX_ENTRIES = 2_000  # of a folder that are looked at, since nobody waits for a key


def complete_runs(incomplete: str) -> list[str]:
    """Return the runs, and the stages of runs, whose paths begin so, and those one folder below."""
    from nlptl.artifact import RUN_SETTINGS
    from nlptl.disk.ownership import MANIFEST

    return _complete(incomplete, lambda path: any((path / name).is_file() for name in (RUN_SETTINGS, MANIFEST)))


def complete_pipelines(incomplete: str) -> list[str]:
    """Return the pipeline files whose paths begin so, and those one folder below."""
    return _complete(incomplete, lambda path: path.suffix in SETTINGS[:2] and path.is_file())


def complete_assignments(incomplete: str) -> list[str]:
    """Return assignments with the names of well-known encoders where weights are set, as in stages.0.weights=minilm."""
    path, equals, value = incomplete.partition("=")
    return [f"{path}={name}" for name in complete_encoders(value)] if equals and path.endswith(".weights") else []


def complete_encoders(incomplete: str) -> list[str]:
    """Return the names of well-known encoders that begin so, those of pip packages first."""
    from nlptl.models.known_encoders import KNOWN

    names = [*(one.package for one in KNOWN if one.package), *(one.name for one in KNOWN)]
    return [name for name in names if name.startswith(incomplete)]


def _complete(incomplete: str, fits: Callable[[Path], bool]) -> list[str]:
    """Return the paths that fit, as they are typed: relative ones stay so, and ~ stays."""
    folder, name = os.path.split(incomplete)
    found = list(_fitting(folder, name, fits))
    for entry in [] if found and name else _entries(folder, name):
        path = os.path.join(folder, entry)
        if os.path.isdir(os.path.expanduser(path)) and path not in found:
            found += _fitting(path, "", fits)
    return found


def _fitting(folder: str, name: str, fits: Callable[[Path], bool]) -> Iterator[str]:
    for entry in _entries(folder, name):
        path = os.path.join(folder, entry)
        if fits(Path(os.path.expanduser(path))):
            yield path


def _entries(folder: str, name: str) -> list[str]:
    """Return the sorted names in a folder that begin with `name`, hidden ones only if it begins with a dot."""
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as listed:
            names = [entry.name for entry, _ in zip(listed, range(MAX_ENTRIES), strict=False)]
    except OSError:
        return []
    return sorted(one for one in names if one.startswith(name) and (name.startswith(".") or not one.startswith(".")))
