"""Pipeline: a YAML file to a validated chain of stages to a run folder, each stage published whole and kept while valid."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from nlptl.artifact import (
    Kind,
    Manifest,
    check_replaceable,
    digest_of,
    is_ours,
    library_versions,
    publish,
    read_json,
    read_manifest,
    run_lock,
    sweep,
    verify,
    write_text_atomically,
)
from nlptl.comparison import (
    ROWS,
    SUMMARY,
    Comparison,
    ComparisonResult,
    Trial,
    run_trials,
    save_summary,
    summarise,
    trial_identity,
)
from nlptl.config import Config, dump_yaml, load_yaml, override, parse, replace_at
from nlptl.data import DataSettings, TextData, load_data, load_table, redraw, rows_not_in, without_texts_of
from nlptl.errors import ArtifactError, ConfigError, DataError, NlptlError
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

MARK = "# Written by nlptl: every setting of this run, defaults included.\n"
STAGE_FOLDER = re.compile(r"[1-9][0-9]*-(skipgram|sentence_vectors|classification_head|finetune)")
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
        if self.compare is not None:
            list(self._trials(data, where))
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
        context.torch_device()
        data, report = self.check(where=where, progress=context.progress)
        names = [f"{number}-{stage.stage}" for number, stage in enumerate(self.stages, start=1)]
        _check_folder(folder, names)
        with run_lock(folder):
            sweep(folder, [*names, PIPELINE, DATA_REPORT, EVALUATION, ROWS, SUMMARY])
            write_text_atomically(folder / PIPELINE, MARK + dump_yaml(self.model_dump(mode="json")))
            write_text_atomically(
                folder / DATA_REPORT, json.dumps(report.to_json(), indent=2, ensure_ascii=False) + "\n"
            )
            outcomes = self._run_stages(folder, data, context)
            _remove_others(folder, keep=[outcome.folder for outcome in outcomes])
            evaluation, shares = _evaluate(folder, outcomes[-1], data, context)
            (folder / SUMMARY).unlink(missing_ok=True)
            if self.compare is None:
                (folder / ROWS).unlink(missing_ok=True)
            comparison = self._compare(folder, data, context, where) if self.compare is not None else None
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

    def _compare(self, folder: Path, data: TextData, context: RunContext, where: str) -> ComparisonResult:
        assert self.compare is not None
        trials = list(self._trials(data, where, say=context.progress.say))
        names = list(self.compare.arms)
        with context.progress.task("comparing both arms", total=len(trials), unit="trials") as task:
            rows = run_trials(
                trials, folder, device=context.device, after_trial=lambda trial: task.advance(1, f"seed {trial.seed}")
            )
        result = summarise(rows, (names[0], names[1]), seed=self.seed)
        save_summary(result, folder)
        return result

    def _trials(self, data: TextData, where: str, *, say: Callable[[str], None] | None = None) -> Iterator[Trial]:
        """Yield every arm under every seed, the arms side by side, so that an interrupted comparison is a fair one."""
        assert self.compare is not None
        tests = {
            name: load_table(source, settings=self.data, where=f"{where}: compare.tests.{name}")
            for name, source in self.compare.tests.items()
        }
        arms = [
            (name, arm, self._arm_data(name, arm, data, list(tests.values()), where, say))
            for name, arm in self._arms(where)
        ]
        pool = None
        if self.compare.redraw is not None:
            pool = load_table(self.compare.redraw, settings=self.data, where=f"{where}: compare.redraw")
        for seed in range(self.seed, self.seed + self.compare.seeds):
            for name, arm, arm_data in arms:
                yield _trial(name, seed, arm, arm_data, tests)
            if pool is not None:
                drawn, rest = redraw(pool, like=data, seed=seed)
                for name, arm, arm_data in arms:
                    pile = arm_data.unlabelled
                    if pile is not None and self.data.drop_leaks:
                        pile = rows_not_in(pile, pool)
                    other = TextData(unlabelled=pile, labelled=drawn, validation=arm_data.validation)
                    yield _trial(name, seed, arm, other, {f"{pool.name}, other examples": rest})

    def _arm_data(
        self,
        name: str,
        arm: Pipeline,
        data: TextData,
        tests: list[TextTable],
        where: str,
        say: Callable[[str], None] | None,
    ) -> TextData:
        """Return an arm's data without the texts of the comparison's tests, telling how many went."""
        loaded = data if arm.data == self.data else arm.check(where=f"{where}: compare.arms.{name}")[0]
        kept = without_texts_of(loaded, tests, drop=self.data.drop_leaks)
        for part in PARTS:
            before, after = getattr(loaded, part), getattr(kept, part)
            if say is not None and before is not None and len(before) > len(after):
                say(
                    f"{name}: {len(before) - len(after)} rows of {part} stand in the comparison's tests and were left out."
                )
        return kept

    def _arms(self, where: str) -> list[tuple[str, Pipeline]]:
        assert self.compare is not None
        raw = self.model_dump(mode="json", exclude={"compare"})
        fixed = ["seed", "compare", "data.test"]
        fixed += ["data.labelled", "data.shots", "data.validation"] if self.compare.redraw is not None else []
        arms = []
        for name, changes in self.compare.arms.items():
            at = f"{where}: compare.arms.{name}"
            changed: object = raw
            for path, value in changes.items():
                if any(f"{path}.".startswith(f"{one}.") for one in fixed) or path == "data":
                    raise ConfigError(
                        f"{at}.{path}: both arms must share it, or they could not be compared pair by pair; expected other "
                        "settings, such as stages.0.epochs. Remove it."
                    )
                changed = replace_at(changed, path.split("."), value, where=f"{at}.{path}")
            arm = parse(Pipeline, changed, where=at)
            if arm.stages[-1].gives != "classifier":
                raise ConfigError(
                    f"{at}: the chain ends with {arm.stages[-1].stage}, which is no classifier; only classifiers can be "
                    "compared. Keep the last stages."
                )
            for number, stage in enumerate(arm.stages):
                stage.check(where=f"{at}: stages.{number}")
            arms.append((name, arm))
        return arms


def _check_folder(folder: Path, names: Sequence[str]) -> None:
    """Raise ArtifactError when something that nlptl did not write stands where the run would write."""
    for name in names:
        check_replaceable(folder / name)
    settings = folder / PIPELINE
    if settings.is_file() and not settings.read_bytes().startswith(MARK.encode()):
        raise ArtifactError(
            f"{settings}: a file that nlptl did not write stands here; nothing was overwritten. "
            "Choose another folder with --out."
        )


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
        device=str(artifact.device),
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
        if path not in keep and STAGE_FOLDER.fullmatch(path.name) and is_ours(path):
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
        with contextlib.suppress(NlptlError, KeyError, TypeError):
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
    stages = [[stage.model_dump(mode="json"), stage.version, dict(stage.outside())] for stage in arm.stages]
    identity = trial_identity([name, stages], [digests, {test: table.digest for test, table in tests.items()}])
    return Trial(name, seed, identity, functools.partial(arm.train, data), tests)


def _kind(kind: Kind | None) -> str:
    return "nothing" if kind is None else "an encoder" if kind == "encoder" else "a classifier"
