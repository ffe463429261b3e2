"""Facts of a run, gathered from its folder; its texts are read again and predicted."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from nlptl.artifact import RUN_SETTINGS, Manifest, is_run, read_manifest
from nlptl.config import dump_yaml, load_yaml
from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.evaluation.label_sets import AnyEvaluation, LabelSetEvaluation, scored
from nlptl.evaluation.scores import load_classifier
from nlptl.progress import Progress
from nlptl.runs.folder import AUDIT, AUDIT_TABLES, RUN, stage_folders
from nlptl.runs.reading.judged import Judged, judged_on, read_held_out
from nlptl.runs.reading.texts import RunTexts, TestTexts, read_texts, told_path
from nlptl.runs.report.as_read import as_read
from nlptl.runs.report.data_facts import data_facts, read_data_report
from nlptl.runs.report.embedding_map import MAX_POINTS, embedding_map
from nlptl.runs.report.facts import EmbeddingMap, Headline, Mistake, RunReport, Standing
from nlptl.runs.report.judging import explained_mistakes, reliability_of, scores_of
from nlptl.runs.report.standing import headline_of, headline_of_start, standing_of, standing_of_start
from nlptl.runs.report.studies import read_studies
from nlptl.runs.report.training import loss_curves, provenance, stage_facts
from nlptl.runs.report.verdict import advice_of, proof_of, unjudged, verdict_of
from nlptl.runs.runner import read_scores
from nlptl.runs.start.outcome import StartOutcome

if TYPE_CHECKING:
    from nlptl.data import DataReport
    from nlptl.models.classifier import TextClassifier


HELD_OUT = "held_out.jsonl"  # predictions of a start, beside its run
SEVERAL = "Texts may have several labels, so this page has no confusion matrix, no reliability diagram and no words of mistakes."


@dataclasses.dataclass(frozen=True)
class _Judgement:
    """What is known of a classifier's predictions: of each text, or their scores alone."""

    judged: Judged | None = None
    evaluation: AnyEvaluation | None = None
    headline: Headline | None = None
    standing: Standing | None = None
    remarks: tuple[str, ...] = ()


def gather(run: Path, *, price_per_hour: float | None = None, context: RunContext | None = None) -> RunReport:
    """Return the facts of a run for its report. Raises ArtifactError for a folder that is no finished run."""
    context = context or RunContext()
    _check_is_run(run)
    folders = stage_folders(run)
    manifests = [read_manifest(folder) for folder in folders]
    report = read_data_report(run)
    texts = as_read(run, read_texts(run, progress=context.progress), report)
    classifier = _classifier(run, manifests[-1], context)
    digests = {} if report is None else {name: part.digest for name, part in report.parts.items()}
    outcome = started_by(run)
    found = _judgement_of_start(run, outcome) if outcome is not None and classifier is not None else None
    found = found or _judgement(run, manifests[-1], classifier, texts, digests, context.progress)
    own_test = next((test.table for test in texts.tests if test.is_own), None)
    named = run if outcome is None else run.parent  # as a person names it
    tables = [texts.labelled, *(test.table for test in texts.tests)]
    readable = {table.digest for table in tables if table is not None}
    studies = read_studies(run, identity=manifests[-1].identity, data=digests, tests=readable, classifier=classifier)
    learnt = 0 if found.evaluation is None else found.evaluation.texts_learnt or 0
    verdict, proof = verdict_of(found.headline, found.standing, texts_learnt=learnt), proof_of(found.headline)
    advice = advice_of(named, found.evaluation, examples=_examples(report))
    if classifier is None:
        verdict, proof, advice = unjudged(named, manifests)
    return RunReport(
        run=run,
        name=_name(run, outcome),
        verdict=verdict,
        proof=proof,
        labels=() if classifier is None else classifier.labels,
        judged=found.judged,
        evaluation=None if isinstance(found.evaluation, LabelSetEvaluation) else found.evaluation,
        label_sets=found.evaluation if isinstance(found.evaluation, LabelSetEvaluation) else None,
        headline=found.headline,
        standing=found.standing,
        reliability=() if found.judged is None or found.judged.sets is not None else reliability_of(found.judged),
        mistakes=_mistakes(classifier, found.judged, context.progress),
        map=_map(classifier, found.judged, texts, context.progress),
        curves=tuple(curve for folder in folders for curve in loss_curves(folder)),
        stages=tuple(stage_facts(folder, manifest) for folder, manifest in zip(folders, manifests, strict=True)),
        data=data_facts(report, {texts.part: texts.labelled, "test": own_test}, outcome),
        provenance=provenance(manifests, pipeline=dump_yaml(load_yaml(run / RUN_SETTINGS))),
        advice=advice,
        commands=commands(named, run, found.judged),
        remarks=tuple(filter(None, [*texts.remarks, *found.remarks, *studies.remarks])),
        price_per_hour=price_per_hour,
        studies=studies,
    )


def started_by(run: Path) -> StartOutcome | None:
    """Return the outcome of the `nlptl start` that made a run; None for a run of its own."""
    whole = run.resolve()
    return StartOutcome.read(whole.parent) if whole.name == RUN else None


def commands(named: Path, run: Path, judged: Judged | None) -> dict[str, str]:
    """Return the command that shows the figures of each section; a person may have `named` the folder of a start.

    What a start has judged, and whatever has no line on the terminal, is shown by this page alone.
    """
    folder = shlex.quote(told_path(named))
    settings = shlex.quote(told_path(named / RUN_SETTINGS))
    page, show = f"nlptl report {folder}", f"nlptl show --all {folder}"
    scores = show if named == run else page
    found = dict.fromkeys(("confusion", "reliability", "map", "mistakes", "training", "layers", "data"), page)
    return found | {
        "scores": scores, "labels": judged.by if judged is not None and judged.by else scores, "cost": show,
        "provenance": f"nlptl run {settings}" + f" --out {folder}" * (named == run),
        "behaviour": f"nlptl behave {folder}", "audit": f"nlptl audit {folder}",
        "curve": f"nlptl curve {settings}" + f" --out {folder}" * (named == run),
        "compare": f"nlptl compare {settings}", "abstention": f'nlptl predict {folder} "A text." --abstain 0.9',
    }  # fmt: skip


def _check_is_run(run: Path) -> None:
    if not is_run(run):
        remedy = "Give the folder that `nlptl run` wrote."
        if (run / AUDIT).is_file():
            remedy = f"It holds an audit of files, whose tables stand in {run / AUDIT_TABLES}; look at them there."
        raise ArtifactError(
            f"{run}: holds no {RUN_SETTINGS}; expected the folder of a run, whose data and settings the report shows. {remedy}"
        )


def _name(run: Path, outcome: StartOutcome | None) -> str:
    whole = run.resolve()
    return whole.name if outcome is None else whole.parent.name


def _classifier(run: Path, last: Manifest, context: RunContext) -> TextClassifier | None:
    """Load the classifier of a run; None for an encoder, or a head that was never trained."""
    if last.kind != "classifier":
        return None
    found = load_classifier(run, context)
    return None if found.head.is_fresh else found


def _judgement_of_start(run: Path, outcome: StartOutcome) -> _Judgement | None:
    """Return what a start has judged. None where its predictions are missing."""
    path = run.resolve().parent / HELD_OUT
    if not path.is_file():
        return None
    judged = read_held_out(path, how=outcome.judged_how)
    if not judged.texts:
        return None
    evaluation = scores_of(judged, None)
    return _Judgement(judged, evaluation, headline_of_start(outcome, evaluation), standing_of_start(outcome))


def _judgement(
    run: Path, last: Manifest, classifier: TextClassifier | None, texts: RunTexts, data: Mapping[str, str],
    progress: Progress,
) -> _Judgement:  # fmt: skip
    """Predict the largest test. Where no test can be read again, return the scores that the run has written."""
    if classifier is None:
        return _Judgement()
    scores = read_scores(run)
    scores = scores if scores is not None and scores.identity == last.identity else None
    judged, evaluation, on = None, None if scores is None else scores.evaluation, "the test texts of the run"
    for test in sorted(texts.tests, key=lambda one: -len(one.table)):
        if test.is_own and scores is not None and scores.test != test.table.digest:
            continue  # other texts than those that the run was scored on
        with progress.task("predicting the test texts", total=len(test.table), unit="texts") as task:
            judged = judged_on(classifier, test, command=_scoring(run, test), after_batch=task.advance)
        if judged is not None:
            on = f"{test.name}: {len(test.table):,} texts that it did not learn from"
            if not test.is_own or evaluation is None:
                evaluation = scored(classifier, test.table) if classifier.multi_label else scores_of(judged, classifier)
            break
    headline = None if evaluation is None else headline_of(evaluation, on)
    if isinstance(evaluation, LabelSetEvaluation):
        return _Judgement(judged, evaluation, headline, remarks=(SEVERAL,))
    standing, remark = standing_of(run, headline, evaluation, data=data)
    return _Judgement(judged, evaluation, headline, standing, (remark,))


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
    known = (0 if judged is None else len(judged.texts)) + len(texts.labelled or ())
    with progress.task("drawing the map", total=min(known, MAX_POINTS), unit="texts") as task:
        return embedding_map(classifier.encoder, judged, texts.labelled, after_batch=task.advance)


def _examples(report: DataReport | None) -> dict[str, int]:
    part = None if report is None else report.parts.get("labelled")
    return {} if part is None else dict(part.labels or {})


def _scoring(run: Path, test: TestTexts) -> str:
    """Return the command that scores a run on a test."""
    folder = shlex.quote(told_path(run))
    return f"nlptl show --all {folder}" if test.options is None else f"nlptl evaluate {folder} {test.options}"
