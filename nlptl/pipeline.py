"""Pipeline: a YAML file to a validated chain of stages to a run folder, each stage published whole and kept while valid."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from nlptl.artifact import (
    Kind,
    Manifest,
    digest_of,
    library_versions,
    publish,
    read_json,
    read_manifest,
    run_lock,
    sweep,
    verify,
    write_text_atomically,
)
from nlptl.comparison import Comparison, ComparisonResult, Trial, run_trials, save_summary, summarise, trial_identity
from nlptl.config import Config, dump_yaml, load_yaml, override, parse, replace_at
from nlptl.data import DataSettings, TextData, load_data, load_table, redraw, without_texts_of
from nlptl.errors import ArtifactError, ConfigError, NlptlError
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import Record, RunContext, Stage

if TYPE_CHECKING:
    from nlptl.data import DataReport, TextTable
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder
    from nlptl.progress import Progress

AnyStage = Annotated[SkipGram | SentenceVectors | ClassificationHead | FineTune, Field(discriminator="stage")]

PARTS = ("unlabelled", "labelled", "validation")
PIPELINE, EVALUATION, DATA_REPORT, HISTORY = "pipeline.yaml", "evaluation.json", "data.json", "history.jsonl"


@dataclasses.dataclass(frozen=True)
class StageOutcome:
    """What became of one stage of a run."""

    folder: Path
    manifest: Manifest
    kept: bool


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
            for part in sorted(stage.needs):
                if getattr(self.data, part) is None:
                    raise ValueError(
                        f"stages.{number}: {stage.stage} needs data.{part}, which is missing; "
                        f"it is read by this stage. Add data.{part}: FILE"
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
        for number, stage in enumerate(self.stages):
            stage.check(where=f"{where}: stages.{number}")
        data, report = load_data(self.data, seed=self.seed, where=f"{where}: data", progress=progress)
        if self.compare is not None:
            list(self._trials(where))
        return data, report

    def train(self, data: TextData, context: RunContext) -> Any:
        """Run the chain in memory and return the last stage's artifact; nothing is written."""
        artifact: Any = None
        for stage in self.stages:
            artifact = stage.run(artifact, data=data, context=context)
        return artifact

    def run(self, folder: Path | str, *, context: RunContext | None = None, where: str = "pipeline") -> RunResult:
        """Check, then run into `folder`; a stage whose identity has not changed is kept.

        Raises ConfigError or DataError before anything is trained, ArtifactError when the folder is taken by another
        run or cannot be written.
        """
        folder = Path(folder)
        context = dataclasses.replace(context or RunContext(), seed=self.seed)
        data, report = self.check(where=where, progress=context.progress)
        with run_lock(folder):
            sweep(folder)
            write_text_atomically(folder / PIPELINE, dump_yaml(self.model_dump(mode="json")))
            write_text_atomically(
                folder / DATA_REPORT, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
            )
            outcomes = self._run_stages(folder, data, context)
            _remove_others(folder, keep=[outcome.folder for outcome in outcomes])
            evaluation, shares = _evaluate(folder, outcomes[-1], data, context)
            comparison = self._compare(folder, context, where) if self.compare is not None else None
        return RunResult(folder, tuple(outcomes), report, evaluation, shares, comparison)

    def identities(self, data: TextData) -> Iterator[tuple[str, str, dict[str, str]]]:
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
                    "outside": dict(stage.outside()),
                    "parent": parent,
                }
            )
            yield identity, parent, digests
            parent = identity

    def _run_stages(self, folder: Path, data: TextData, context: RunContext) -> list[StageOutcome]:
        outcomes: list[StageOutcome] = []
        artifact: Any = None
        for number, (stage, ids) in enumerate(zip(self.stages, self.identities(data), strict=True), start=1):
            place = folder / f"{number}-{stage.stage}"
            kept = _kept(place, ids[0])
            if kept is not None:
                outcomes.append(StageOutcome(place, kept, kept=True))
                context.progress.say(f"{place.name}: kept, nothing it depends on has changed.")
                artifact = None
                continue
            if artifact is None and outcomes:
                artifact = load_artifact(outcomes[-1].folder)
            artifact, outcome = _run_stage(stage, artifact, place, ids, data, context)
            outcomes.append(outcome)
        return outcomes

    def _compare(self, folder: Path, context: RunContext, where: str) -> ComparisonResult:
        assert self.compare is not None
        trials = list(self._trials(where))
        names = list(self.compare.arms)
        with context.progress.task("comparing both arms", total=len(trials), unit="trials") as task:
            rows = run_trials(
                trials, folder, device=context.device, after_trial=lambda trial: task.advance(1, f"seed {trial.seed}")
            )
        result = summarise(rows, (names[0], names[1]), seed=self.seed)
        save_summary(result, folder)
        return result

    def _trials(self, where: str) -> Iterator[Trial]:
        """Yield every arm under every seed, the arms side by side, so that an interrupted comparison is a fair one."""
        assert self.compare is not None
        tests = {name: load_table(source, settings=self.data) for name, source in self.compare.tests.items()}
        pool = None if self.compare.redraw is None else load_table(self.compare.redraw, settings=self.data)
        kept_out = [*tests.values(), *([] if pool is None else [pool])]
        arms = [
            (name, arm, without_texts_of(arm.check(where=f"{where}: compare.arms.{name}")[0], kept_out))
            for name, arm in self._arms(where=where)
        ]
        for seed in range(self.seed, self.seed + self.compare.seeds):
            for name, arm, data in arms:
                yield _trial(name, seed, arm, data, tests)
            if pool is not None:
                drawn, rest = redraw(pool, like=arms[0][2], seed=seed)
                for name, arm, data in arms:
                    other = TextData(unlabelled=data.unlabelled, labelled=drawn, validation=data.validation)
                    yield _trial(name, seed, arm, other, {f"{pool.name}, other examples": rest})

    def _arms(self, *, where: str) -> list[tuple[str, Pipeline]]:
        assert self.compare is not None
        raw = self.model_dump(mode="json", exclude={"compare"}, exclude_unset=True)
        arms = []
        for name, changes in self.compare.arms.items():
            changed: object = raw
            for path, value in changes.items():
                changed = replace_at(changed, path.split("."), value, where=f"{where}: compare.arms.{name}.{path}")
            arms.append((name, parse(Pipeline, changed, where=f"{where}: compare.arms.{name}")))
        return arms


def load_artifact(folder: Path) -> Encoder | TextClassifier:
    """Load whatever a stage's folder holds."""
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.encoder import Encoder

    kind = read_manifest(folder).kind
    return Encoder.load(folder) if kind == "encoder" else TextClassifier.load(folder)


def _run_stage(
    stage: Stage, given: Any, place: Path, ids: tuple[str, str, dict[str, str]], data: TextData, context: RunContext
) -> tuple[Any, StageOutcome]:
    from nlptl.models.encoder import count_parameters

    context = dataclasses.replace(context, record=Record())
    context.progress.say(f"{place.name}: running.")
    begin = time.monotonic()
    artifact = stage.run(given, data=data, context=context)
    record = context.record
    total = count_parameters(artifact)
    manifest = Manifest(
        kind=stage.gives,
        settings=stage.model_dump(mode="json"),
        identity=ids[0],
        parent=ids[1],
        data=ids[2],
        versions=library_versions(),
        seed=context.seed,
        seconds=round(time.monotonic() - begin, 3),
        device=str(context.torch_device()),
        trainable_parameters=int(record.report.pop("trainable_parameters", 0)),
        total_parameters=total,
        report={**record.report, "sentences": record.sentences},
    )

    def write(folder: Path) -> None:
        artifact.write_files(folder)
        lines = "".join(json.dumps(row) + "\n" for row in record.history)
        (folder / HISTORY).write_text(lines, encoding="utf-8")

    manifest = publish(place, write, manifest)
    for sentence in record.sentences:
        context.progress.say(f"  {sentence}")
    return artifact, StageOutcome(place, manifest, kept=False)


def _kept(place: Path, identity: str) -> Manifest | None:
    """Return the manifest of a finished stage with this identity whose files are all there and as they were."""
    try:
        manifest = read_manifest(place)
        if manifest.identity != identity:
            return None
        verify(place, manifest)
    except ArtifactError:
        return None
    return manifest


def _remove_others(folder: Path, *, keep: Sequence[Path]) -> None:
    """Remove stages that an earlier version of the pipeline left, so that the folder holds one chain."""
    for path in folder.glob("[0-9]*-*"):
        if path not in keep and (path / "manifest.json").is_file():
            shutil.rmtree(path, ignore_errors=True)


def _evaluate(
    folder: Path, last: StageOutcome, data: TextData, context: RunContext
) -> tuple[Evaluation | None, dict[str, float]]:
    """Score the last stage on the test texts and keep the result as long as stage and test are the same."""
    from nlptl.evaluation import Evaluation
    from nlptl.models.classifier import TextClassifier
    from nlptl.prediction import evaluate_classifier, unknown_share

    path = folder / EVALUATION
    if last.manifest.kind != "classifier" or data.test is None:
        path.unlink(missing_ok=True)
        return None, {}
    if path.is_file():
        with contextlib.suppress(NlptlError, KeyError):
            old = read_json(path)
            if (old["identity"], old["test"]) == (last.manifest.identity, data.test.digest):
                return Evaluation.from_json(json.dumps(old["evaluation"])), old["unknown_shares"]
    classifier = TextClassifier.load(last.folder)
    parts = {"labelled": data.labelled, "test": data.test}
    shares = {name: unknown_share(classifier.encoder, table) for name, table in parts.items() if table is not None}
    with context.progress.task("scoring the test texts", total=len(data.test), unit="texts") as task:
        evaluation = evaluate_classifier(classifier, data.test, seed=context.seed, after_batch=task.advance)
    content = {
        "identity": last.manifest.identity,
        "test": data.test.digest,
        "unknown_shares": shares,
        "evaluation": json.loads(evaluation.to_json()),
    }
    write_text_atomically(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return evaluation, shares


def _trial(name: str, seed: int, arm: Pipeline, data: TextData, tests: Mapping[str, TextTable]) -> Trial:
    digests = {part: table.digest for part in PARTS if (table := getattr(data, part)) is not None and part != "test"}
    settings = arm.model_dump(mode="json", include={"stages"})
    versions = [stage.version for stage in arm.stages]
    identity = trial_identity([settings, versions], [digests, {test: table.digest for test, table in tests.items()}])
    return Trial(name, seed, identity, functools.partial(arm.train, data), tests)


def _kind(kind: Kind | None) -> str:
    return "nothing" if kind is None else "an encoder" if kind == "encoder" else "a classifier"
