"""Comparison of finished runs: their classifiers predict the same texts, which none has learnt."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nlptl.artifact import Manifest, checked_manifest, library_versions
from nlptl.context import RunContext
from nlptl.data import TextTable
from nlptl.data.columns import names_shown
from nlptl.data.labelled_parts import spelt_as
from nlptl.data.outside_tests import read_outside
from nlptl.disk.drafts import write_text_atomically
from nlptl.disk.locks import run_lock
from nlptl.errors import ConfigError, DataError
from nlptl.evaluation.arm_scores import ArmScores
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.scores import load_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.results import read_result_lines, result_lines, write_result
from nlptl.runs.folder import COMPARISON, COMPARISON_ROWS, stage_folders, whole_run
from nlptl.runs.reading.texts import TestTexts, read_data, read_texts
from nlptl.runs.studies.comparison.arm_costs import MEGABYTE, ArmCost, median_latency
from nlptl.runs.studies.comparison.comparison import ArmFacts, ComparisonResult
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow
from nlptl.runs.studies.comparison.judged_comparison import check_study_folder, judged_result
from nlptl.runs.studies.comparison.trial_work import predicted_labels
from nlptl.versions import current_run


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A finished run whose classifier is compared."""

    name: str
    folder: Path
    manifests: tuple[Manifest, ...]
    classifier: TextClassifier

    @classmethod
    def read(cls, folder: Path, context: RunContext) -> ComparedRun:
        """Read a run: its version in use. Raises ArtifactError for a damaged one, ConfigError for one without a classifier."""
        name, folder = str(folder), current_run(folder)
        stages = stage_folders(folder)
        manifests = tuple(map(checked_manifest, stages))
        if manifests[-1].kind != "classifier":
            raise ConfigError(
                f"{folder}: its last stage is an encoder, but a comparison needs classifiers. Give a run that ends with finetune."
            )
        classifier = load_classifier(stages[-1], context)
        classifier.check_trained()
        if classifier.multi_label:
            raise ConfigError(
                f"{folder}: its classifier gives a text several labels, but a comparison counts texts that get their one label. "
                "Compare the micro-F1 of the runs instead: nlptl show RUN."
            )
        return cls(name, folder, manifests, classifier)

    def cost(self, texts: Sequence[str]) -> ArmCost:
        """Return what the run took, and what predicting takes."""
        last = stage_folders(self.folder)[-1]
        size = sum(path.stat().st_size for path in last.rglob("*") if path.is_file()) / MEGABYTE
        return ArmCost(
            seconds=round(sum(one.seconds for one in self.manifests), 3),
            trainable_parameters=sum(one.trainable_parameters for one in self.manifests),
            disk=round(size, 6), latency=round(median_latency(self.classifier, texts), 3),
        )  # fmt: skip


def compare_runs(
    folders: Sequence[Path], folder: Path, context: RunContext, *, test: Path | None = None
) -> ComparisonResult:
    """Compare finished runs by what their classifiers predict for their common test, or for the file `test`.

    Rows and summary are written into `folder`. Raises DataError for runs with different labels or tests, and for a test whose
    texts one of them has learnt.
    """
    check_study_folder(folder)
    runs = [ComparedRun.read(one, context) for one in folders]
    for other in runs[1:]:
        _check_labels(runs[0], other)
    table = spelt_as(_common_test(runs, test), runs[0].classifier.labels)
    texts, labels = table.texts(), table.labels()
    for run in runs:
        _check_not_learnt(run, table, texts)
    known = tuple(sorted(set(labels)))
    place = {label: number for number, label in enumerate(known)}
    rows, predicted = [], []
    for run in runs:
        with context.progress.task(f"predicting by {run.name}", total=None, unit="texts"):
            found = predicted_labels(run.name, run.classifier, table, None)
        ids = [place.get(label, -1) for label in found]
        predicted.append([ids])
        rows.append(_row(run, table, ids, [place[label] for label in labels], run.cost(texts)))
    scores = ArmScores(
        np.array([place[label] for label in labels], dtype=np.int64), np.array(predicted, dtype=np.int64),
        duplicate_groups(texts, [0] * len(texts)).owner, len(known), seeds_vary=False,
    )  # fmt: skip
    facts = tuple(
        ArmFacts(name=run.name, pipeline=run.name, cost=row.cost) for run, row in zip(runs, rows, strict=True)
    )
    result = judged_result(
        tuple(run.name for run in runs), scores, test=table.name,
        judged=f"Judged on {scores.texts:,} texts of {table.name}, which no run has learnt.", facts=facts, left_out={},
        belongs_to={"judged": table.digest, **library_versions(), **{run.name: run.manifests[-1].identity for run in runs}},
    )  # fmt: skip
    with run_lock(folder):
        asked = {row.key for row in rows}
        others = [row for row in read_result_lines(folder / COMPARISON_ROWS, ComparisonRow)[0] if row.key not in asked]
        write_text_atomically(folder / COMPARISON_ROWS, result_lines([*others, *rows]))
        write_result(folder / COMPARISON, result.content())
    return result


def _row(run: ComparedRun, table: TextTable, ids: Sequence[int], truth: Sequence[int], cost: ArmCost) -> ComparisonRow:
    hits = [int(one == other) for one, other in zip(ids, truth, strict=True)]
    return ComparisonRow(
        arm=run.name, seed=run.manifests[-1].seed, test=table.name, accuracy=sum(hits) / len(hits), texts=table.digest,
        correct="".join(map(str, hits)), identity=run.manifests[-1].identity, predicted=list(ids), cost=cost,
    )  # fmt: skip


def _check_labels(first: ComparedRun, other: ComparedRun) -> None:
    labels = [sorted(run.classifier.labels) for run in (first, other)]
    if labels[0] != labels[1]:
        raise DataError(
            f"{other.name}: its labels are {names_shown(labels[1])}, but those of {first.name} are {names_shown(labels[0])}; a "
            "comparison needs the same. Give runs with the same labels."
        )


def _common_test(runs: Sequence[ComparedRun], test: Path | None) -> TextTable:
    """Return the largest test that all runs have, or the one of the file `test`."""
    if test is not None:
        settings = read_data(whole_run(runs[0].folder))[0].data
        return read_outside(str(test), settings=settings, where="--test").table
    found = [list(read_texts(whole_run(run.folder)).tests) for run in runs]
    common = [one for one in found[0] if all(any(_same(one, other) for other in tests) for tests in found[1:])]
    if common:
        return max((one.table for one in common), key=len)
    told = "; ".join(f"{run.name} has {_told(tests)}" for run, tests in zip(runs, found, strict=True))
    raise DataError(f"test: {told}; a comparison needs a test that all have. Give one with --test FILE.")


def _same(one: TestTexts, other: TestTexts) -> bool:
    return one.table.digest == other.table.digest


def _told(tests: Sequence[TestTexts]) -> str:
    return " and ".join(f"{one.name} ({len(one.table)} texts)" for one in tests) or "no test that can be read"


def _check_not_learnt(run: ComparedRun, table: TextTable, texts: Sequence[str]) -> None:
    learnt = run.classifier.learnt
    if learnt is not None and (count := learnt.count(texts)):
        raise DataError(
            f"{run.name}: its classifier has learnt {count} of the {len(texts)} texts of {table.name}, so its scores would be too "
            "high. Give a test that no run has learnt with --test FILE."
        )
