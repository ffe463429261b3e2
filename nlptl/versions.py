"""Versions of a run: which one is in use, and what is known of each.

The run itself is version 1. Version N of a refresh is a whole run in RUN/versions/N. RUN/versions.json lists all of them and
names the one in use; a run without this file has version 1 alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from nlptl.artifact import digest_of, is_run, last_stage, read_manifest
from nlptl.config import Config
from nlptl.disk.refusals import checked_path
from nlptl.errors import ArtifactError, ConfigError
from nlptl.results import read_result, write_result

VERSIONS, FOLDER = "versions.json", "versions"
AGAIN = "Move it away, and version 1 is in use, which is the run itself."

Count = Annotated[int, Field(ge=0, le=10**12, strict=True)]
Number = Annotated[int, Field(ge=1, le=10**9, strict=True)]


class MeasuredAccuracy(Config):
    """Share of texts that get their label, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class RunVersion(Config):
    """One version of a run, as versions.json lists it."""

    number: Number
    when: str = ""  # it was decided, as 2031-02-28T09:30:00; empty where that is not known
    made_from: Number | None = None  # version that was in use before; None for the run itself
    labelled: str = ""  # digest of the rows that the refresh was given; empty for the run itself
    added: Count = 0  # rows that it learns or is judged by, beside those of the version before
    quarantined: Count = 0  # rows of the refresh that it was kept from
    judged: Count = 0  # texts that neither this version nor the one before has learnt
    accuracy: MeasuredAccuracy | None = None  # on these texts
    accuracy_before: MeasuredAccuracy | None = None  # of the version before, on the same texts
    decision: Literal["used", "not used"] = "used"
    why: str = ""
    classifier: str = ""  # digest of its files; empty where none was trained
    removed: bool = False  # whether its files were removed

    @property
    def is_trained(self) -> bool:
        """Whether it ever had a classifier: a refresh trains none where no new row is left."""
        return bool(self.classifier) or self.made_from is None

    @property
    def is_usable(self) -> bool:
        """Whether it can be used, as far as the list knows."""
        return self.is_trained and not self.removed


class RunVersions(Config):
    """Content of versions.json."""

    in_use: Number
    versions: tuple[RunVersion, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_is_in_use(self) -> RunVersions:
        numbers = [one.number for one in self.versions]
        if self.in_use not in numbers or len(set(numbers)) < len(numbers):
            raise ValueError("in_use is the number of none of the versions, or two have one number")
        return self

    @classmethod
    def read(cls, run: Path) -> RunVersions | None:
        """Read the versions of a run; None where it has version 1 alone. Raises ArtifactError for a damaged file."""
        content = read_result(run / VERSIONS, sealed_only=True, again=AGAIN)
        try:
            return None if content is None else cls.model_validate(content)
        except ConfigError:
            raise ArtifactError(f"{run / VERSIONS}: is no list of versions that this nlptl reads. {AGAIN}") from None

    def write(self, run: Path) -> None:
        """Replace the list in one step: readers see the old or the new one."""
        write_result(run / VERSIONS, self.model_dump(mode="json"))

    @property
    def choices(self) -> tuple[int, ...]:
        """Numbers of the versions that can be used, ascending."""
        return tuple(sorted(one.number for one in self.versions if one.is_usable))

    def version(self, number: int) -> RunVersion | None:
        """Return the version of this number; None where there is none."""
        return next((one for one in self.versions if one.number == number), None)


def version_folder(run: Path, number: int) -> Path:
    """Return the folder of a version; that of version 1 is the run's own."""
    return run if number == 1 else run / FOLDER / str(number)


def run_of_version(folder: Path) -> Path:
    """Return the run of a folder that is one of its versions; any other folder itself."""
    above = folder.resolve().parent
    return above.parent if above.name == FOLDER and is_run(above.parent) else folder


def current_run(run: Path) -> Path:
    """Return the folder of the version in use; `run` itself where it has version 1 alone, or is no run.

    Raises ArtifactError where the list of versions is damaged, or the version in use has gone.
    """
    found = RunVersions.read(run)
    if found is None:
        return run
    folder = version_folder(run, found.in_use)
    if not is_run(folder):
        raise ArtifactError(
            f"{folder}: is missing, though {run / VERSIONS} names version {found.in_use} as the one in use. Type "
            f"nlptl rollback {run} --to 1."
        )
    return folder


def artifact_in_use(folder: Path | str) -> Path:
    """Return the folder whose artifact is meant: of a run, the last stage of its version in use; else `folder` itself."""
    folder = checked_path(folder)
    return last_stage(current_run(folder)) if is_run(folder) else folder


def classifier_digest(run: Path) -> str:
    """Return a digest of the files of a finished run's last stage."""
    return digest_of(read_manifest(last_stage(run)).files)


def use_run_itself(run: Path) -> str:
    """Use a run itself where its own classifier is another than versions.json knows. Return a sentence on it; else nothing.

    A version that was made from a classifier of before would be stale.
    """
    found = RunVersions.read(run)
    first = None if found is None else found.version(1)
    if found is None or first is None or first.classifier == (digest := classifier_digest(run)):
        return ""
    mended = first.model_copy(update={"classifier": digest})
    versions = tuple(mended if one.number == 1 else one for one in found.versions)
    RunVersions(in_use=1, versions=versions).write(run)
    if found.in_use == 1:
        return ""
    return (
        f"Version 1, this run itself, is in use again, since its classifier has changed. Version {found.in_use}, which was in "
        f"use, stays: nlptl rollback {run} --to {found.in_use}."
    )
