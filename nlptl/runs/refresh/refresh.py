"""Refresh of a run: screen new labels, train the pipeline on old and new ones, and use the new version if it is not worse."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import digest_of
from nlptl.context import RunContext
from nlptl.disk.locks import run_lock
from nlptl.evaluation.scores import load_classifier
from nlptl.progress import TasksAlone
from nlptl.runs.refresh.given_rows import GivenRows
from nlptl.runs.refresh.judging import (
    NewRows,
    are_mistakes,
    judged_by_folds,
    judged_held_out,
    judged_kept,
)
from nlptl.runs.refresh.known_rows import KnownRows
from nlptl.runs.refresh.outcome import RefreshOutcome
from nlptl.runs.refresh.paired_texts import Decision, Paired, PairedTexts, decided
from nlptl.runs.refresh.quarantine import counts_of, write_quarantine
from nlptl.runs.refresh.screening import Screening
from nlptl.runs.refresh.version_files import link_encoders, rows_of, write_pipeline_files
from nlptl.runs.refresh.version_list import add_version, versions_of
from nlptl.versions import RunVersion, RunVersions, classifier_digest, current_run, version_folder

if TYPE_CHECKING:
    from nlptl.data.columns import Column
    from nlptl.data.discovery import Choose
    from nlptl.runs.pipeline import Pipeline

MARGIN = 0.02  # accuracy by which the new version may be worse at most
REMEDY = "Wait for it, and type the same command again."


@dataclasses.dataclass(frozen=True)
class RefreshRequest:
    """What a person gives."""

    run: Path
    files: Sequence[Path]
    text: Column | None = None
    label: Column | None = None
    new_labels: bool = False
    trust: bool = False
    margin: float = MARGIN
    keep: int | None = None


@dataclasses.dataclass(frozen=True)
class KnownAlready:
    """Version that the same rows have led to, so that nothing was done."""

    version: RunVersion
    in_use: int


class Refresh:
    """One refresh of a run."""

    def __init__(self, request: RefreshRequest, context: RunContext) -> None:
        """Nothing is written before `run`."""
        self._request = request
        self._context = dataclasses.replace(context, progress=TasksAlone(context.progress))
        self._begin = time.monotonic()

    def run(self, *, choose: Choose | None = None) -> RefreshOutcome | KnownAlready:
        """Screen, train and judge; what a killed call has finished is kept. Raises DataError, ConfigError or ArtifactError."""
        with run_lock(self._request.run, remedy=REMEDY):
            versions = versions_of(self._request.run)
            known = KnownRows.read(current_run(self._request.run), self._context)
            given = GivenRows.read(
                self._request.files, run=known.pipeline.data, labels=known.labels, new_labels=self._request.new_labels,
                text=self._request.text, label=self._request.label, choose=choose,
            )  # fmt: skip
            key = self._key(given)
            if (before := _known_already(versions, key)) is not None:
                return KnownAlready(before, versions.in_use)
            outcome = self._made(known, given, versions, key)
            add_version(self._request.run, outcome.version(), made_from=versions.in_use, keep=self._request.keep)
            return outcome

    def _key(self, given: GivenRows) -> str:
        """Return a digest of the rows and of the options that shape what is made of them."""
        request = self._request
        return digest_of([given.digest, request.new_labels, request.trust, request.margin])

    def _made(self, known: KnownRows, given: GivenRows, versions: RunVersions, key: str) -> RefreshOutcome:
        number = max(one.number for one in versions.versions) + 1
        folder = version_folder(self._request.run, number)
        folder.mkdir(parents=True, exist_ok=True)
        quarantined = Screening(known, given, trusted=self._request.trust).quarantined()
        write_quarantine(folder, given, quarantined)
        rows = [row for number, row in enumerate(rows_of(given.table)) if number not in quarantined]
        mistakes = are_mistakes(known, rows)
        new = NewRows.of(rows, seed=known.pipeline.seed, mistakes=mistakes)
        paired, classifier = Paired(()), ""
        decision = Decision(False, "No new row is left, so nothing was trained.", "")
        if rows:
            paired = self._judged(known, new, folder, mistakes=mistakes)
            decision = decided(paired, margin=self._request.margin, per_label=new.share_judged)
            classifier = classifier_digest(folder)
        difference = paired.difference()
        outcome = RefreshOutcome(
            number=number, made_from=versions.in_use, when=datetime.now().isoformat(timespec="seconds"),
            files=tuple(map(str, self._request.files)), taken_as=given.taken_as, labelled=key,
            given=len(given.table) + len(given.incomplete), quarantined=counts_of(given, quarantined),
            learnt=len(new.learnt), held_out=len(new.held_out), known=len(known.labelled),
            judged_how=_judged_how(known, new, paired, mistakes=mistakes),
            judged_kept=paired.count("kept"), judged_new=paired.count("new"), before=paired.before, after=paired.after,
            difference=None if difference is None else difference.estimate(), margin=self._request.margin,
            decision="used" if decision.used else "not used", why=decision.why, settle=decision.settle,
            remarks=tuple(_remarks(known)), classifier=classifier, seconds=round(time.monotonic() - self._begin, 1),
        )  # fmt: skip
        outcome.write(folder)
        return outcome

    def _judged(self, known: KnownRows, new: NewRows, folder: Path, *, mistakes: bool) -> Paired:
        """Train the new version, and return what it and the one in use predict for texts that neither has learnt."""
        pipeline = write_pipeline_files(folder, known, learnt=new.learnt, held_out=new.tested)
        link_encoders(known.folder, folder)
        result = pipeline.run(folder, context=self._context, where=str(folder), force=True)
        classifier = load_classifier(result.stages[-1].folder, self._context)
        parts: list[PairedTexts | None] = [judged_kept(known, classifier), judged_held_out(known, classifier, new)]
        if not len(new.held_out) and not mistakes:
            parts.append(self._folds(known, pipeline, new, folder))
        return Paired(tuple(one for one in parts if one is not None and len(one.before)))

    def _folds(self, known: KnownRows, pipeline: Pipeline, new: NewRows, folder: Path) -> PairedTexts | None:
        data, _ = pipeline.check(where=str(folder))
        return judged_by_folds(known, pipeline, data, new, folder, self._context)


def _known_already(versions: RunVersions, key: str) -> RunVersion | None:
    """Return the version that these rows have led to: one in use or before it, or one that was made from it."""
    line = set[int]()
    number: int | None = versions.in_use
    while number is not None and number not in line:
        line.add(number)
        found = versions.version(number)
        number = None if found is None else found.made_from
    same = [one for one in versions.versions if one.labelled == key]
    return next((one for one in same if one.number in line or one.made_from == versions.in_use), None)


def _judged_how(known: KnownRows, new: NewRows, paired: Paired, *, mistakes: bool) -> str:
    """Return what the versions were compared on."""
    kept, count = paired.count("kept"), paired.count("new")
    told = [f"{kept:,} texts of the test"] if kept else []
    if count and len(new.held_out):
        told.append(f"{count:,} new texts, which are held out for good")
    elif count:
        told.append(f"{count:,} new texts by cross-validation")
    sentences = [f"Judged on {' and '.join(told)}: neither version has learnt them." if told else ""]
    if count and not len(new.held_out):
        sentences.append(
            "The new version has then learnt all new rows, so it is another one than those judged on them."
        )
    if mistakes:
        sentences.append(
            "The new rows do not judge: the version in use gets nearly all of them wrong, as if they were chosen so."
        )
    if new.rows and known.data.test is None:
        sentences.append("The run has no test of its own.")
    return " ".join(one for one in sentences if one)


def _remarks(known: KnownRows) -> list[str]:
    told = []
    if known.unlearnt:
        rows = f"{known.unlearnt:,} rows" if known.unlearnt > 1 else "1 row"
        told.append(
            f"{rows} of the run's own files came after it was trained, and are left out: give these files with --labelled too."
        )
    if known.pipeline.compare is not None:
        told.append("The comparison of the pipeline is left out of the new version.")
    return told
