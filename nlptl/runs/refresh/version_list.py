"""List of a run's versions: a refresh adds one, a rollback names another one as in use, and old ones may be removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nlptl.artifact import is_run
from nlptl.disk.drafts import remove_folder
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError, ConfigError
from nlptl.versions import FOLDER, RunVersion, RunVersions, classifier_digest, version_folder

REMEDY = "Type the same command again."


def versions_of(run: Path) -> RunVersions:
    """Return the versions of a run; the run alone where nothing was refreshed. Raises ArtifactError for an unfinished run."""
    found = RunVersions.read(run)
    return found or RunVersions(in_use=1, versions=(RunVersion(number=1, classifier=classifier_digest(run)),))


def add_version(run: Path, added: RunVersion, *, made_from: int, keep: int | None = None) -> bool:
    """List a version, and use it if that was decided. Returns whether it is in use.

    It is not where another version has come into use meanwhile: the decision was made beside the one before. Of versions that
    are not in use, the `keep` newest keep their files; the run itself always does.
    """
    with run_lock(run / FOLDER, remedy=REMEDY):
        before = versions_of(run)
        used = added.decision == "used" and before.in_use == made_from
        others = tuple(one for one in before.versions if one.number != added.number)
        after = RunVersions(in_use=added.number if used else before.in_use, versions=(*others, added))
        removed = _to_remove(after, keep)
        versions = tuple(
            one.model_copy(update={"removed": True}) if one.number in removed else one for one in after.versions
        )
        RunVersions(in_use=after.in_use, versions=versions).write(run)
        for number in removed:
            remove_folder(version_folder(run, number))
        return used


def roll_back(run: Path, *, to: int | None = None) -> tuple[RunVersion, int]:
    """Use the version from which the one in use was made, or version `to`. Return it, and the number of the one before.

    Raises ConfigError where there is no such version, or it was not trained, ArtifactError where its files are damaged or gone.
    """
    _wanted(run, versions_of(run), to)
    with run_lock(run / FOLDER, remedy=REMEDY):
        before = versions_of(run)
        wanted = _wanted(run, before, to)
        folder = version_folder(run, wanted.number)
        if wanted.removed or not is_run(folder):
            raise ArtifactError(
                f"{folder}: the files of version {wanted.number} are gone; expected a whole run. Choose another version: "
                f"nlptl versions {run}"
            )
        digest = classifier_digest(folder)  # of a finished one
        if digest != wanted.classifier and wanted.number > 1:
            raise ArtifactError(
                f"{folder}: its classifier is not that which {run} lists as version {wanted.number}; it was changed. Choose "
                f"another version: nlptl versions {run}"
            )
        RunVersions(in_use=wanted.number, versions=before.versions).write(run)
        return wanted, before.in_use


def _wanted(run: Path, versions: RunVersions, to: int | None) -> RunVersion:
    now = versions.version(versions.in_use)
    assert now is not None
    number = now.made_from if to is None else to
    if number is None:
        raise ConfigError(
            f"{run}: version {versions.in_use} is in use, which was made from no other; expected a version to go back to. Name "
            f"one with --to: nlptl versions {run}"
        )
    found, choices = versions.version(number), ", ".join(map(str, versions.choices))
    expected = f"one of the versions {choices}" if len(versions.choices) > 1 else f"version {choices}"
    if found is None:
        raise ConfigError(f"--to: found {number}; expected {expected}. List them: nlptl versions {run}")
    if not found.is_trained:
        raise ConfigError(
            f"--to: version {number} was not trained, since no new row was left; expected {expected}. List them: nlptl "
            f"versions {run}"
        )
    return found


def _to_remove(versions: RunVersions, keep: int | None) -> Sequence[int]:
    """Return the numbers of versions whose files go."""
    if keep is None:
        return ()
    others = [one.number for one in versions.versions if one.number not in (1, versions.in_use) and not one.removed]
    return sorted(others)[: max(0, len(others) - keep)]
