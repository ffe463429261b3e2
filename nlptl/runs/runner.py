"""Running a checked chain into a run folder, stage by stage, then scores and comparison."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from nlptl.artifact import (
    Manifest,
    digest_of,
    library_versions,
    publish,
    read_manifest,
    stage_folder,
)
from nlptl.context import Record, RunContext
from nlptl.disk.locks import run_lock
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.beside_teacher import BesideTeacher, beside_teacher
from nlptl.evaluation.label_sets import AnyEvaluation, scored
from nlptl.evaluation.missed_text import cut_texts, cut_texts_sentence
from nlptl.evaluation.scores import load_classifier, unknown_share
from nlptl.models.model_card import write_card
from nlptl.progress import SilentProgress, SilentTracker, clock
from nlptl.results import read_result, write_result
from nlptl.runs import folder as on_disk
from nlptl.runs.cards import card_facts, card_test, renew_cards
from nlptl.runs.chain import Chain, StageIdentity
from nlptl.runs.studies.comparison.comparison import ComparisonResult, compare
from nlptl.runs.trackers import flat_scores
from nlptl.stages.stage import Stage
from nlptl.training.checkpoints import remove_checkpoints
from nlptl.training.distributed import main_process_first, processes
from nlptl.versions import use_run_itself

if TYPE_CHECKING:
    from nlptl.data import DataReport, TextData
    from nlptl.models.encoder import Encoder
    from nlptl.progress import Tracker
    from nlptl.runs.studies.comparison.arms import Study


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """What a run shall make."""

    settings: dict[str, Any]  # of the pipeline, as its run's folder keeps them
    identities: tuple[StageIdentity, ...]
    study: Study | None
    source: Path | None  # file of the pipeline; None in Python
    force: bool  # whether finished work of another pipeline may go


@dataclasses.dataclass(frozen=True)
class StageWork:
    """One stage of a run, before it runs."""

    stage: Stage
    place: Path
    identity: StageIdentity
    settings: dict[str, Any]  # as its manifest keeps them
    before: tuple[Path, ...]  # folders of the stages before it
    is_last: bool


@dataclasses.dataclass(frozen=True)
class StageOutcome:
    """One stage of a run, either run or kept from an earlier run."""

    folder: Path
    manifest: Manifest
    kept: bool


@dataclasses.dataclass(frozen=True)
class RunScores:
    """Content of evaluation.json: scores of the last stage on the test texts."""

    identity: str  # of the last stage
    test: str  # digest of the test texts
    unknown_shares: Mapping[str, float]  # share of unknown words in each part of the data
    evaluation: AnyEvaluation
    beside_teacher: BesideTeacher | None = None  # of a last stage that learnt from the classifier before it

    def to_dict(self) -> dict[str, Any]:
        """Return the content as plain values, without what is not there."""
        content = dataclasses.asdict(self)
        return content if self.beside_teacher else {k: v for k, v in content.items() if k != "beside_teacher"}


@dataclasses.dataclass(frozen=True)
class RunResult:
    """Result of a run."""

    folder: Path
    stages: tuple[StageOutcome, ...]
    data: DataReport
    scores: RunScores | None  # None without test texts, and where the last stage is no classifier
    comparison: ComparisonResult | None

    @property
    def evaluation(self) -> AnyEvaluation | None:
        """Figures of the last stage on the test texts."""
        return None if self.scores is None else self.scores.evaluation


def context_here(context: RunContext | None, seed: int) -> RunContext:
    """Return the context of a run in this process. Only process 0 reports progress."""
    context = dataclasses.replace(context or RunContext(), seed=seed)
    if processes().is_main:
        return context
    return dataclasses.replace(context, progress=SilentProgress(), tracker=SilentTracker())


def check_outside(chain: Chain, folder: Path, where: str) -> None:
    """Raise ConfigError for a stage that reads from the run's own folder."""
    for number, stage in enumerate(chain.stages):
        for field, path in stage.input_paths().items():
            if folder.resolve() in path.resolve().parents:
                raise ConfigError(
                    f"{where}: stages.{number}.{field}: found {path}, which stands in this run's own folder; expected "
                    "another place, this run would overwrite it. Choose another folder with --out."
                )


def run_chain(
    chain: Chain, folder: Path, data: TextData, report: DataReport, context: RunContext, *, plan: RunPlan
) -> RunResult:
    """Run a checked chain into `folder`, score its last stage, and run the study."""
    places = [stage_folder(folder, number, stage.stage) for number, stage in enumerate(chain.stages, start=1)]
    study = plan.study
    with contextlib.ExitStack() as held:
        with main_process_first() as here:
            text = on_disk.settings_text(plan.settings, folder, plan.source)
            if here.is_main:
                wanted = {place: identity.own for place, identity in zip(places, plan.identities, strict=True)}
                on_disk.check_folder(folder, wanted)
                if not plan.force:
                    on_disk.check_finished(folder, wanted, plan.source, compare=plan.settings.get("compare"))
                held.enter_context(run_lock(folder))
                on_disk.begin(folder, settings=text, data_report=report.to_json())
                held.callback(context.tracker.finish)
                context.tracker.start(folder, plan.settings)
            else:
                on_disk.await_main(folder, text)
        outcomes = _run_stages(chain, places, plan, data, context)
        with main_process_first() as here:
            if here.is_main:
                on_disk.remove_other_stages(folder, places, say=context.progress.say)
            teacher = outcomes[-2].folder if chain.stages[-1].teacher_is_given else None
            scores = _scores(folder, outcomes[-1], data, context, teacher=teacher)
            if here.is_main:
                test = None if scores is None else card_test(scores.evaluation, digest=scores.test)
                for told in renew_cards({outcome.folder: outcome.manifest for outcome in outcomes}, data, test):
                    context.progress.say(told)
        if scores is not None:
            context.tracker.log("test", flat_scores(scores.evaluation.to_dict()))
        if study is None:
            for name in (on_disk.COMPARISON_ROWS, on_disk.COMPARISON):
                (folder / name).unlink(missing_ok=True)
        compared = None if study is None else compare(study, folder, context)
        if processes().is_main:
            on_disk.finish(folder, what_is_made(outcomes, scores, compared))
            if told := use_run_itself(folder):
                context.progress.say(told)
    return RunResult(folder, tuple(outcomes), report, scores, compared)


def what_is_made(
    outcomes: Sequence[StageOutcome], scores: RunScores | None, compared: ComparisonResult | None
) -> dict[str, object]:
    """Return digests of all that a run has made."""
    return {
        "stages": {outcome.folder.name: digest_of(outcome.manifest.files) for outcome in outcomes},
        "scores": None if scores is None else _scores_digest(scores),
        "comparison": None if compared is None else digest_of(compared.model_dump(mode="json", by_alias=True)),
    }


def _run_stages(
    chain: Chain, places: Sequence[Path], plan: RunPlan, data: TextData, context: RunContext
) -> list[StageOutcome]:
    outcomes: list[StageOutcome] = []
    artifact: Any = None
    each = zip(chain.stages, places, plan.identities, plan.settings["stages"], strict=True)
    works = [
        StageWork(*one, before=tuple(places[:number]), is_last=one[1] == places[-1]) for number, one in enumerate(each)
    ]
    for work in works:
        place = work.place
        outcome: StageOutcome | None = None
        with main_process_first() as here:
            if kept := on_disk.kept_stage(place, work.identity.own, work.settings, say=context.progress.say):
                context.progress.say(f"{place.name}: kept, nothing it depends on has changed.")
                artifact, outcome = None, StageOutcome(place, kept, kept=True)
            elif artifact is None and outcomes:
                artifact = on_disk.load_artifact(outcomes[-1].folder)
            if outcome is None and not work.stage.runs_on_all_processes:
                if not here.is_main:
                    raise on_disk.not_shared(place)
                artifact, outcome = _run_stage(work, artifact, data, context)
        if outcome is None:
            artifact, outcome = _run_stage(work, artifact, data, context)
        _track_stage(outcome, context.tracker)
        outcomes.append(outcome)
    return outcomes


def _run_stage(work: StageWork, given: Any, data: TextData, context: RunContext) -> tuple[Any, StageOutcome]:
    """Run one stage and publish its artifact."""
    from nlptl.models.encoder import count_parameters

    stage, place, identity = work.stage, work.place, work.identity
    checkpoints = on_disk.checkpoint_folder(place)
    record = _tracked_record(context.tracker, place.name)
    context = dataclasses.replace(context, record=record, checkpoint_folder=checkpoints, run_identity=identity.own)
    if processes().is_main:
        (place.parent / on_disk.FINISHED).unlink(missing_ok=True)
    start = time.monotonic()
    artifact = stage.run(given, data=data, context=context)
    if work.is_last:
        _tell_cut_texts(artifact, data, record)
    manifest = Manifest(
        kind=stage.gives, settings=work.settings, identity=identity.own, parent=identity.parent,
        data=dict(identity.data), versions=library_versions(), seed=context.seed,
        seconds=round(time.monotonic() - start, 3), device=str(artifact.device),
        trainable_parameters=record.trainable_parameters, total_parameters=count_parameters(artifact),
        report={**record.report, "sentences": record.sentences},
    )  # fmt: skip

    def write(draft: Path) -> None:
        artifact.write_files(draft)
        if stage.gives == "classifier":
            write_card(draft, manifest, card_facts([*map(read_manifest, work.before), manifest], data))
        lines = "".join(json.dumps(row) + "\n" for row in record.history)
        (draft / on_disk.HISTORY).write_text(lines, encoding="utf-8")

    with main_process_first() if stage.runs_on_all_processes else contextlib.nullcontext(processes()) as here:
        if here.is_main:
            manifest = publish(
                place, write, manifest, files=on_disk.stage_files(), beside=work.before, stamped=True, keeps_card=True
            )
            remove_checkpoints(checkpoints)
        else:
            manifest = read_manifest(place)
    told = dict.fromkeys([f"{place.name}: done in {clock(manifest.seconds)}.", *record.sentences[:1], *record.warnings])
    context.progress.say(" ".join(told))
    return artifact, StageOutcome(place, manifest, kept=False)


def _tell_cut_texts(artifact: Any, data: TextData, record: Record) -> None:
    encoder: Encoder = getattr(artifact, "encoder", artifact)
    found = cut_texts(encoder, data)
    if sentence := cut_texts_sentence(encoder, found):
        record.add_finding("cut_texts", [dataclasses.asdict(counts) for counts in found], sentence, warns=True)


def _track_stage(outcome: StageOutcome, tracker: Tracker) -> None:
    """Log a stage's findings. The history of a kept stage is logged again for this tracker."""
    name, manifest = outcome.folder.name, outcome.manifest
    if outcome.kept:
        again = _tracked_record(tracker, name)
        for line in (outcome.folder / on_disk.HISTORY).read_text(encoding="utf-8").split("\n"):
            if line:
                again.row(**json.loads(line))
    figures = manifest.model_dump(include={"seconds", "trainable_parameters", "total_parameters"})
    tracker.log(f"{name}/report", {**figures, **manifest.report})


def _tracked_record(tracker: Tracker, stage: str) -> Record:
    return Record(lambda group, values, step: tracker.log(f"{stage}/{group}" if group else stage, values, step))


def _scores(
    folder: Path, last: StageOutcome, data: TextData, context: RunContext, *, teacher: Path | None
) -> RunScores | None:
    """Score the last stage on the test texts, beside its `teacher` if it had one.

    Scores of equal stage and texts are kept, if they are those of the finished run.
    """
    path = folder / on_disk.EVALUATION
    if last.manifest.kind != "classifier" or data.test is None:
        path.unlink(missing_ok=True)
        return None
    try:
        old = _known_scores(folder)
    except ArtifactError as error:
        context.progress.say(f"{error} The test texts are scored again.")
        old = None
    same = old is not None and (old.identity, old.test) == (last.manifest.identity, data.test.digest)
    lacks_teacher = old is not None and teacher is not None and old.beside_teacher is None
    if old is not None and same and old.evaluation.most_frequent is not None and not lacks_teacher:
        return old  # else of an earlier version
    classifier = load_classifier(last.folder, context)
    parts = {"labelled": data.labelled, "test": data.test}
    shares = {name: unknown_share(classifier.encoder, table) for name, table in parts.items() if table is not None}
    with context.progress.task("scoring the test texts", total=len(data.test), unit="texts") as task:
        evaluation = scored(classifier, data.test, after_batch=task.advance)
    beside = None
    if teacher is not None:
        context.progress.say("The teacher is scored on the test texts, too.")
        beside = beside_teacher(classifier, load_classifier(teacher, context), data.test, seed=context.seed)
    scores = RunScores(last.manifest.identity, data.test.digest, shares, evaluation, beside)
    write_result(path, scores.to_dict())
    return scores


def _known_scores(run: Path) -> RunScores | None:
    """Read scores that a run may keep. Raises ArtifactError when they differ from a digest, or have none."""
    found = read_scores(run, sealed_only=True)
    with contextlib.suppress(ArtifactError):
        finished = read_result(run / on_disk.FINISHED, sealed_only=True)
        if found is not None and finished is not None and finished.get("scores") != _scores_digest(found):
            return None
    return found


def _scores_digest(scores: RunScores) -> str:
    return digest_of(scores.to_dict())


def read_scores(run: Path, *, sealed_only: bool = False) -> RunScores | None:
    """Read a run's scores. None when they are missing or of another version. Raises ArtifactError when they were changed."""
    content = read_result(run / on_disk.EVALUATION, sealed_only=sealed_only)
    with contextlib.suppress(ValidationError):
        return None if content is None else TypeAdapter(RunScores).validate_python(content)
    return None
