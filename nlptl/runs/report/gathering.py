"""Facts of a run, gathered from its folder; its texts are read again and predicted."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import RUN_SETTINGS, Manifest, is_run, read_manifest
from nlptl.config import dump_yaml, load_yaml
from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.evaluation.scores import Evaluation, load_classifier
from nlptl.progress import Progress
from nlptl.runs.folder import stage_folders
from nlptl.runs.report.data_facts import data_facts, read_data_report
from nlptl.runs.report.embedding_map import embedding_map
from nlptl.runs.report.facts import EmbeddingMap, Judged, Mistake, RunReport
from nlptl.runs.report.judging import explained_mistakes, judged_on, reliability_of, scores_of
from nlptl.runs.report.standing import standing_of
from nlptl.runs.report.texts import RunTexts, TestTexts, read_texts, told_path
from nlptl.runs.report.training import loss_curves, provenance, stage_facts
from nlptl.runs.report.verdict import advice_of, proof_of, verdict_of
from nlptl.runs.runner import read_scores

if TYPE_CHECKING:
    from nlptl.data import DataReport
    from nlptl.models.classifier import TextClassifier


@dataclasses.dataclass(frozen=True)
class _Judgement:
    """What is known of a classifier's predictions: of each text, or their scores alone."""

    judged: Judged | None = None
    evaluation: Evaluation | None = None
    on: str = ""  # which texts


def gather(run: Path, *, price_per_hour: float | None = None, context: RunContext | None = None) -> RunReport:
    """Return the facts of a run for its report. Raises ArtifactError for a folder that is no finished run."""
    context = context or RunContext()
    if not is_run(run):
        raise ArtifactError(
            f"{run}: holds no {RUN_SETTINGS}; expected the folder of a run, whose data and settings the report shows. "
            "Give the folder that `nlptl run` wrote."
        )
    folders = stage_folders(run)
    manifests = [read_manifest(folder) for folder in folders]
    texts = read_texts(run, progress=context.progress)
    classifier = _classifier(run, manifests[-1], context)
    found = _judgement(run, manifests[-1], classifier, texts, context.progress)
    standing, remark = standing_of(run, found.evaluation, found.on)
    report = read_data_report(run)
    own_test = next((test.table for test in texts.tests if test.is_own), None)
    settings = load_yaml(run / RUN_SETTINGS)
    return RunReport(
        run=run,
        name=_name(run),
        verdict=verdict_of(found.evaluation, standing),
        proof=proof_of(found.evaluation, found.on),
        labels=() if classifier is None else classifier.labels,
        judged=found.judged,
        evaluation=found.evaluation,
        standing=standing,
        reliability=() if found.judged is None else reliability_of(found.judged),
        mistakes=_mistakes(classifier, found.judged, context.progress),
        map=_map(classifier, found.judged, texts, context.progress),
        curves=tuple(curve for folder in folders for curve in loss_curves(folder)),
        stages=tuple(stage_facts(folder, manifest) for folder, manifest in zip(folders, manifests, strict=True)),
        data=data_facts(report, {"labelled": texts.labelled, "test": own_test}),
        provenance=provenance(manifests, pipeline=dump_yaml(settings)),
        advice=advice_of(
            run, found.evaluation, examples=_examples(report), is_classifier=classifier is not None, beside=run.parent
        ),
        commands=_commands(run, found.judged),
        remarks=tuple(filter(None, [*texts.remarks, remark])),
        price_per_hour=price_per_hour,
    )


def _name(run: Path) -> str:
    """Return the name of a run: of its folder, or of the folder around it if that says no more than `run`."""
    whole = run.resolve()
    return whole.parent.name if whole.name == "run" else whole.name


def _classifier(run: Path, last: Manifest, context: RunContext) -> TextClassifier | None:
    """Load the classifier of a run; None for an encoder, or a head that was never trained."""
    if last.kind != "classifier":
        return None
    found = load_classifier(run, context)
    return None if found.head.is_fresh else found


def _judgement(
    run: Path, last: Manifest, classifier: TextClassifier | None, texts: RunTexts, progress: Progress
) -> _Judgement:
    """Predict the largest test. Where no test can be read again, return the scores that the run has written."""
    if classifier is None:
        return _Judgement()
    scores = read_scores(run)
    scores = scores if scores is not None and scores.identity == last.identity else None
    for test in sorted(texts.tests, key=lambda one: -len(one.table)):
        if test.is_own and scores is not None and scores.test != test.table.digest:
            continue  # other texts than those that the run was scored on
        with progress.task("predicting the test texts", total=len(test.table), unit="texts") as task:
            judged = judged_on(classifier, test, command=_scoring(run, test), after_batch=task.advance)
        if judged is not None:
            on = f"{test.name}, {len(test.table):,} texts that it did not learn from"
            own = test.is_own and scores is not None
            evaluation = scores.evaluation if own and scores is not None else scores_of(judged, classifier)
            return _Judgement(judged, evaluation, on)
    return _Judgement() if scores is None else _Judgement(None, scores.evaluation, "the test texts of the run")


def _mistakes(classifier: TextClassifier | None, judged: Judged | None, progress: Progress) -> tuple[Mistake, ...]:
    if judged is None:
        return ()
    with progress.task("explaining the surest mistakes", total=None, unit="texts") as task:
        return explained_mistakes(judged, classifier, after_batch=task.advance)


def _map(
    classifier: TextClassifier | None, judged: Judged | None, texts: RunTexts, progress: Progress
) -> EmbeddingMap | None:
    if classifier is None:
        return None
    with progress.task("drawing the map of texts", total=None, unit="texts"):
        return embedding_map(classifier.encoder, judged, texts.labelled)


def _examples(report: DataReport | None) -> dict[str, int]:
    part = None if report is None else report.parts.get("labelled")
    return {} if part is None else dict(part.labels or {})


def _scoring(run: Path, test: TestTexts) -> str:
    """Return the command that scores a run on a test."""
    folder = shlex.quote(told_path(run))
    return f"nlptl show --all {folder}" if test.options is None else f"nlptl evaluate {folder} {test.options}"


def _commands(run: Path, judged: Judged | None) -> dict[str, str]:
    """Return the command that makes the figures of each section again."""
    folder = shlex.quote(told_path(run))
    settings = shlex.quote(told_path(run / RUN_SETTINGS))
    scoring = f"nlptl show --all {folder}" if judged is None or not judged.by else judged.by
    show, again = f"nlptl show --all {folder}", f"nlptl run {settings} --out {folder}"
    sections = {
        "scores": show, "confusion": scoring, "reliability": scoring, "labels": scoring, "map": f"nlptl report {folder}",
        "mistakes": f"nlptl report {folder}", "training": show, "layers": show, "data": f"nlptl check {settings}",
        "cost": show, "provenance": again,
    }  # fmt: skip
    return sections
