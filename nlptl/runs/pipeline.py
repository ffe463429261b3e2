"""Pipeline: a YAML file to a validated chain of stages to a run folder, each stage published whole and kept while valid."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from nlptl.artifact import Kind, digest_of, run_lock, sweep, write_text_atomically
from nlptl.config import Config, dump_yaml, load_yaml, override, parse
from nlptl.context import RunContext
from nlptl.data import DataSettings, TextData, load_data
from nlptl.errors import ConfigError, DataError
from nlptl.progress import SilentProgress, SilentTracker
from nlptl.runs.folder import (
    DATA_REPORT,
    EVALUATION,
    MARK,
    PIPELINE,
    StageOutcome,
    await_main,
    check_folder,
    kept_stage,
    load_artifact,
    not_shared,
    remove_other_stages,
)
from nlptl.runs.runner import evaluate_last, run_stage, track_stage
from nlptl.runs.studies.arms import trials_of
from nlptl.runs.studies.comparison import ROWS, SUMMARY, ComparisonResult, Trial, run_trials, save_summary, summarise
from nlptl.runs.studies.settings import Comparison
from nlptl.runs.trackers import flat_scores
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import ExpectedModel
from nlptl.training.distributed import main_process_first, processes

if TYPE_CHECKING:
    from nlptl.data import DataReport
    from nlptl.evaluation.scores import Evaluation
    from nlptl.progress import Progress

AnyStage = Annotated[
    SkipGram | Bert | SentenceVectors | ClassificationHead | DomainAdaptation | FineTune, Field(discriminator="stage")
]

Identity = tuple[str, str, dict[str, str]]
"""Of a stage's result: its own, its parent's, and the digests of the data it reads."""


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a run left behind."""

    folder: Path
    stages: tuple[StageOutcome, ...]
    data: DataReport
    evaluation: Evaluation | None
    unknown_shares: Mapping[str, float]
    comparison: ComparisonResult | None


class Pipeline(Config):
    """A straight chain of stages over one set of data."""

    seed: int = Field(default=13, ge=0, lt=2**32)
    """All randomness of the run derives from it."""
    data: DataSettings = DataSettings()
    """Where the texts and labels are."""
    stages: list[AnyStage] = Field(min_length=1)
    """The chain, first stage first."""
    compare: Comparison | None = None
    """Afterwards, set two arms of this chain against each other over many seeds."""

    @model_validator(mode="after")
    def _chain_fits(self) -> Pipeline:
        given: Kind | None = None
        for number, stage in enumerate(self.stages):
            if stage.takes != given:
                before = f"stages.{number - 1} gives {_kind(given)}" if number else "nothing stands before it"
                raise ValueError(
                    f"stages.{number}: {stage.stage} takes {_kind(stage.takes)}, but {before}; "
                    "each stage must take what the one before gives. Reorder the chain or add the missing stage"
                )
            given = stage.gives
        for number, stage in enumerate(self.stages):
            for need in sorted(stage.needs):
                part = "labelled" if need == "labels" and self.data.source is None else need
                named = part == "labelled" and self.data.label_names is not None
                if part != "labels" and getattr(self.data, part) is None and not named:
                    raise ValueError(
                        f"stages.{number}: {stage.stage} needs data.{part}, which is missing; "
                        f"it is read by this stage. Add data.{part}: FILE"
                        + (", or data.label_names to predict from the names alone" if part == "labelled" else "")
                    )
        model = ExpectedModel()
        for number, stage in enumerate(self.stages):
            model = stage.expected_model(model)
            if model.token_model is not None:
                stage.check_model(model.token_model, where=f"stages.{number}")
        if self.data.labelled is not None:
            self.check_chain(None, where="stages")
        if self.compare is not None and self.stages[-1].gives != "classifier":
            raise ValueError(
                f"compare: the chain ends with {self.stages[-1].stage}, which gives {_kind(self.stages[-1].gives)}; only "
                "classifiers can be compared. Add a classification_head and finetune, or drop compare"
            )
        return self

    @classmethod
    def from_yaml(cls, path: Path | str, *, assignments: Sequence[str] = ()) -> Pipeline:
        """Read a pipeline file and apply "stages.0.dim=50"-like assignments.

        Raises ConfigError with one sentence for every fault of the file.
        """
        raw = load_yaml(path)
        if not isinstance(raw, dict):
            raise ConfigError(
                f"{path}: found {type(raw).__name__}; expected a block with data: and stages: . Write one."
            )
        return parse(cls, override(raw, assignments), where=str(path))

    def check(self, *, where: str = "pipeline", progress: Progress | None = None) -> tuple[TextData, DataReport]:
        """Check all settings and all data without training; returns the data. Raises ConfigError or DataError."""
        faults: list[str] = []
        for number, stage in enumerate(self.stages):
            try:
                stage.check(where=f"{where}: stages.{number}")
            except ConfigError as error:
                faults += error.faults
        try:
            data, report = load_data(self.data, seed=self.seed, where=f"{where}: data", progress=progress)
        except DataError as error:
            if not faults:
                raise
            raise ConfigError([*faults, str(error)]) from None
        if faults:
            raise ConfigError(faults)
        for number, stage in enumerate(self.stages):
            stage.check_data(data, where=f"{where}: stages.{number}")
        self.check_chain(data, where=f"{where}: stages")
        if self.compare is not None:
            list(trials_of(self, data, where))
        return data, report

    def check_chain(self, data: TextData | None, *, where: str) -> None:
        """Refuse stages that do not fit the model of those before, as far as the settings, and `data` if given, tell."""
        model = ExpectedModel()
        for number, stage in enumerate(self.stages):
            stage.check_chain(model, data, where=f"{where}.{number}")
            model = stage.expected_model(model)

    def train(self, data: TextData, context: RunContext, *, made: dict[str, Any] | None = None) -> Any:
        """Run the chain in memory and return the last stage's artifact; nothing is written.

        `made` remembers the beginning of the chain that depends neither on data nor on the seed, such as loaded weights.
        """
        artifact: Any = None
        remember = made is not None
        for number, stage in enumerate(self.stages):
            remember = remember and not stage.is_random and not stage.reads(data)
            if not remember or made is None:
                artifact = stage.run(artifact, data=data, context=context)
                continue
            key = digest_of([one.model_dump(mode="json") for one in self.stages[: number + 1]])
            if key not in made:
                made[key] = stage.run(artifact, data=data, context=context)
            artifact = made[key]
        return artifact

    def run(self, folder: Path | str, *, context: RunContext | None = None, where: str = "pipeline") -> RunResult:
        """Check, then run into `folder`; a stage whose identity has not changed is kept.

        Under torchrun or accelerate launch every process calls it: process 0 alone writes and tells, all train.
        Raises ConfigError or DataError before anything is trained, ArtifactError when the folder is taken by another
        run or cannot be written, ProcessError when another process fails.
        """
        folder = Path(folder)
        context = dataclasses.replace(context or RunContext(), seed=self.seed)
        if not processes().is_main:
            context = dataclasses.replace(context, progress=SilentProgress(), tracker=SilentTracker())
        with main_process_first():
            context.torch_device()
            self._check_processes(where)
            self._check_sources(folder, where)
            data, report = self.check(where=where, progress=context.progress)
            identities = list(self.identities(data))
        with contextlib.ExitStack() as held:
            self._begin(folder, report, context, held)
            outcomes = self._run_stages(folder, identities, data, context)
            with main_process_first() as here:
                if here.is_main:
                    remove_other_stages(folder, keep=[outcome.folder for outcome in outcomes])
                evaluation, shares = evaluate_last(folder, outcomes[-1], data, context)
            if evaluation is not None:
                context.tracker.log("test", flat_scores(json.loads(evaluation.to_json())))
            comparison = self._compare(folder, data, context, where)
        return RunResult(folder, tuple(outcomes), report, evaluation, shares, comparison)

    def _check_processes(self, where: str) -> None:
        if self.compare is not None and processes().count > 1:
            raise ConfigError(
                f"{where}: compare: found {processes().count} processes; a comparison runs in one. Run it without torchrun "
                "or accelerate launch, or drop compare."
            )

    def _check_sources(self, folder: Path, where: str) -> None:
        """Refuse to begin with what the run itself will overwrite."""
        for number, stage in enumerate(self.stages):
            for field, path in stage.input_paths().items():
                if folder.resolve() in path.resolve().parents:
                    raise ConfigError(
                        f"{where}: stages.{number}.{field}: found {path}, which stands in this run's own folder; expected "
                        "another place, this run would overwrite it. Choose another folder with --out."
                    )

    def _begin(self, folder: Path, report: DataReport, context: RunContext, held: contextlib.ExitStack) -> None:
        """Lock the folder and write what the run begins with; the lock and the tracker are let go of with `held`."""
        settings = self.model_dump(mode="json")
        text = MARK + dump_yaml(settings)
        names = [f"{number}-{stage.stage}" for number, stage in enumerate(self.stages, start=1)]
        with main_process_first() as here:
            if not here.is_main:
                await_main(folder / PIPELINE, text)
                return
            check_folder(folder, names)
            held.enter_context(run_lock(folder))
            if not (folder / PIPELINE).is_file() or (folder / PIPELINE).read_text(encoding="utf-8") != text:
                (folder / SUMMARY).unlink(missing_ok=True)  # it is of other settings; its rows stay while they fit
            sweep(folder, [*names, PIPELINE, DATA_REPORT, EVALUATION, ROWS, SUMMARY])
            write_text_atomically(folder / PIPELINE, text)
            write_text_atomically(
                folder / DATA_REPORT, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
            )
            held.callback(context.tracker.finish)
            context.tracker.start(folder, settings)

    def identities(self, data: TextData) -> Iterator[Identity]:
        """Yield (identity, parent's identity, digests of the data it reads) of each stage."""
        parent = ""
        for stage in self.stages:
            digests: dict[str, str] = {part: getattr(data, part).digest for part in sorted(stage.reads(data))}
            identity = digest_of(
                {
                    "settings": stage.model_dump(mode="json"),
                    "version": stage.version,
                    "seed": self.seed,
                    "data": digests,
                    "outside": dict(stage.external_digests()),
                    "parent": parent,
                }
            )
            yield identity, parent, digests
            parent = identity

    def _run_stages(
        self, folder: Path, identities: Sequence[Identity], data: TextData, context: RunContext
    ) -> list[StageOutcome]:
        outcomes: list[StageOutcome] = []
        artifact: Any = None
        for number, (stage, ids) in enumerate(zip(self.stages, identities, strict=True), start=1):
            place = folder / f"{number}-{stage.stage}"
            outcome: StageOutcome | None = None
            with main_process_first() as here:
                kept = kept_stage(place, ids[0])
                if kept is not None:
                    context.progress.say(f"{place.name}: kept, nothing it depends on has changed.")
                    artifact, outcome = None, StageOutcome(place, kept, kept=True)
                elif artifact is None and outcomes:
                    artifact = load_artifact(outcomes[-1].folder)
                if outcome is None and not stage.runs_on_all_processes:
                    if not here.is_main:
                        raise not_shared(place)
                    artifact, outcome = run_stage(stage, artifact, place, ids, data, context)
            if outcome is None:
                artifact, outcome = run_stage(stage, artifact, place, ids, data, context)
            track_stage(outcome, context.tracker)
            outcomes.append(outcome)
        return outcomes

    def _compare(self, folder: Path, data: TextData, context: RunContext, where: str) -> ComparisonResult | None:
        (folder / SUMMARY).unlink(missing_ok=True)
        if self.compare is None:
            (folder / ROWS).unlink(missing_ok=True)
            return None
        trials = list(trials_of(self, data, where, say=context.progress.say))
        names, last, kept = list(self.compare.arms), {trial.seed: trial for trial in trials}, 0

        def before_trial(trial: Trial) -> None:
            task.advance(0, f"seed {trial.seed}: {trial.arm}")

        def after_trial(trial: Trial, was_kept: bool) -> None:
            nonlocal kept
            kept += was_kept
            task.advance(int(trial is last[trial.seed]))

        with context.progress.task(f"comparing {len(names)} arms", total=len(last), unit="seeds") as task:
            rows = run_trials(trials, folder, device=context.device, before_trial=before_trial, after_trial=after_trial)
        if kept == len(trials):
            context.progress.say(f"comparison: kept, nothing that its {kept} trials depend on has changed.")
        result = summarise(rows, tuple(names), seed=self.seed)
        save_summary(result, folder)
        return result


def _kind(kind: Kind | None) -> str:
    return "nothing" if kind is None else "an encoder" if kind == "encoder" else "a classifier"
