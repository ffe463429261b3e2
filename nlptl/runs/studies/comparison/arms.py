"""Arms of a study, each built once, and the trials that compare them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from nlptl.artifact import digest_of
from nlptl.config import Config, parse, replace_at, value_at
from nlptl.data import DataSettings, Source, TextData, redraw, rows_not_in, without_texts_of
from nlptl.data.outside_tests import OutsideTest, read_outside, spelt_as_in
from nlptl.errors import ConfigError
from nlptl.input_paths import NO_PATHS, in_file
from nlptl.runs.chain import Chain, ExternalDigests, Faults

if TYPE_CHECKING:
    from pathlib import Path

    from nlptl.data import TextTable
    from nlptl.runs.judging.splits import Judging
    from nlptl.stages.stage import Part, Stage

LEARNT: tuple[Part, ...] = ("unlabelled", "source", "labelled", "validation")  # parts that an arm may learn from
PARTS: tuple[Part, ...] = (*LEARNT, "label_names")
SHARED = ("seed", "compare", "data.test", "data.hold_out")  # settings that no arm may change
SHARED_WHEN_REDRAWN = ("data.labelled", "data.shots", "data.validation")


class Comparison(Config):
    """Which arms to compare, how often, on which tests."""

    arms: dict[str, dict[str, Any]] = Field(min_length=2, max_length=16)
    """Arms by name, each with its changed settings, such as "stages.0.epochs: 0". A whole chain is "stages: [...]".
    All arms are compared with the first."""
    seeds: int = Field(default=20, ge=2, le=1000)
    """Number of seeds, counted up from the pipeline's own. More seeds narrow the intervals; a claim needs 20."""
    tests: dict[str, Source] = Field(default_factory=dict)
    """Labelled test files by the name that the table shows. Default: the pipeline's own test."""
    redraw: Source | None = None
    """Labelled file from which every seed also draws other examples. Each label gets as many as the rarest label of
    data.labelled has; the rest is the test. This shows how much depends on which examples were labelled."""


@dataclasses.dataclass(frozen=True)
class ArmData:
    """Data of an arm, without the texts of the study's tests."""

    data: TextData
    left_out: Mapping[str, int]  # rows of each part that stand in a test
    redrawn: TextData  # the same without the texts from which examples are redrawn


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison: a chain under changed settings, and its data."""

    name: str
    chain: Chain
    data: ArmData
    learns: Literal["labels", "shares"] = "labels"  # shares: the most frequent label alone, by no stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages that are trained."""
        return tuple(self.chain.stages) if self.learns == "labels" else ()


@dataclasses.dataclass(frozen=True)
class Trial:
    """One arm under one seed, with its data and tests."""

    arm: Arm
    seed: int
    identity: str  # digest of all that shapes the trial but the seed
    data: TextData
    tests: Mapping[str, TextTable]
    work: tuple[str, ...]  # digest of each stage's work; trials with equal ones share its result
    labels: tuple[str, ...] = ()  # of the tests, in the order of the ids in its rows
    repeat: int = 0  # repeats are complete or left out
    split: int = 0  # of the splits in which rows are held out

    @classmethod
    def of(
        cls, arm: Arm, data: TextData, tests: Mapping[str, TextTable], *, seed: int, digests: ExternalDigests,
        labels: tuple[str, ...] = (), repeat: int = 0, split: int = 0,
    ) -> Trial:  # fmt: skip
        """Return the trial of an arm, known by all that shapes it."""
        read = {part: getattr(data, part).digest for part in PARTS if getattr(data, part) is not None}
        tested = {test: table.digest for test, table in tests.items()}
        stages = [
            (stage.model_dump(mode="json", context=dict(NO_PATHS)), stage.version, digests.of(stage))
            for stage in arm.stages
        ]
        identity = digest_of({"settings": [arm.name, stages], "data": [read, tested]})
        own = [one.own for one in arm.chain.identities(data, digests, trial=seed)] if arm.stages else []
        return cls(arm, seed, identity, data, tests, tuple(own), labels, repeat, split)


@dataclasses.dataclass(frozen=True)
class Study:
    """The arms of a comparison and its trials."""

    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]  # all arms of a seed follow one another: an interrupted comparison stays fair
    seed: int
    remarks: tuple[str, ...] = ()  # on how the tests are read
    judging: Judging | None = None  # on which all arms are judged; None for the tests of a pipeline's `compare`

    @classmethod
    def of(
        cls, chain: Chain, settings: Comparison, data: TextData, *, where: str, digests: ExternalDigests,
        folder: Path | None = None,
    ) -> Study:  # fmt: skip
        """Build and check all arms of `chain` and its `data`. Raises ConfigError or DataError.

        Paths in the arms' changes are relative to `folder`, that of the pipeline file.
        """
        sources = _Sources(chain, settings, data, digests, where)
        arms, faults = [], Faults()
        for name, changes in settings.arms.items():
            at = f"{where}.arms.{name}"
            with faults.kept():
                arm = changed_chain(chain, changes, at, redrawn=settings.redraw is not None, folder=folder)
                arms.append(Arm(name, arm, sources.of(arm, at)))
                arm.check_data(arms[-1].data.data, where=at, faults=faults)
        faults.check()
        seeds = range(chain.seed, chain.seed + settings.seeds)
        trials = tuple(trial for seed in seeds for trial in sources.trials(arms, seed))
        return cls(tuple(arms), trials, chain.seed, sources.remarks)

    def changes(self, settings: Comparison, folder: Path) -> dict[str, dict[str, Any]]:
        """Return the arms' changes with all defaults, as they stand in a file in `folder`."""
        written = {arm.name: arm.chain.model_dump(mode="json", context=in_file(folder)) for arm in self.arms}
        return {
            name: {path: value_at(written[name], path.split(".")) for path in changes}
            for name, changes in settings.arms.items()
        }


def check_tests(
    settings: Comparison, columns: DataSettings, faults: Faults, *, where: str
) -> tuple[dict[str, OutsideTest], OutsideTest | None]:
    """Read the tests and the pool of a comparison. What cannot be read is added to `faults`."""
    tests: dict[str, OutsideTest] = {}
    pool = None
    for name, source in settings.tests.items():
        with faults.kept():
            tests[name] = read_outside(source, settings=columns, where=f"{where}.tests.{name}")
    if settings.redraw is not None:
        with faults.kept():
            pool = read_outside(settings.redraw, settings=columns, where=f"{where}.redraw")
    return tests, pool


class _Sources:
    """Tables of a study, each read and filtered once."""

    def __init__(self, chain: Chain, settings: Comparison, data: TextData, digests: ExternalDigests, at: str) -> None:
        self._chain, self._data, self._digests = chain, data, digests
        faults = Faults()
        tests, pool = check_tests(settings, chain.data, faults, where=at)
        faults.check()
        if not tests and data.test is None:
            raise ConfigError(
                f"{at}.tests: names no test, and the pipeline has none; expected labelled texts to judge the arms on. Name a file "
                "here, or give data.test or data.hold_out."
            )
        read = [
            *((f"tests.{name}", test) for name, test in tests.items()),
            *([] if pool is None else [("redraw", pool)]),
        ]
        self.remarks = tuple(f"compare.{name}: {remark}" for name, one in read for remark in one.remarks)
        own = {} if data.test is None or tests else {data.test.name: data.test}
        self._outside: list[TextTable | OutsideTest] = [*tests.values(), *own.values()]
        self._tests = {name: spelt_as_in(data, one.table) for name, one in tests.items()} | own
        self._pool = None if pool is None else spelt_as_in(data, pool.table)
        self._known: dict[str, ArmData] = {}

    def of(self, arm: Chain, where: str) -> ArmData:
        """Return an arm's data. Arms with equal data settings share them."""
        key = digest_of(arm.data.model_dump(mode="json"))
        if key not in self._known:
            loaded = self._data if arm.data == self._chain.data else arm.check(where=where)[0]
            kept = without_texts_of(loaded, self._outside, drop=self._chain.data.drop_leaks)
            counts = {part: len(getattr(loaded, part) or ()) - len(getattr(kept, part) or ()) for part in LEARNT}
            left_out: dict[str, int] = {part: count for part, count in counts.items() if count}
            pile, source, pool = kept.unlabelled, kept.source, self._pool
            if pool is not None and self._chain.data.drop_leaks:
                pile, source = (part and rows_not_in(part, pool) for part in (pile, source))
            redrawn = dataclasses.replace(kept, unlabelled=pile, source=source, test=None)
            self._known[key] = ArmData(kept, left_out, redrawn)
        return self._known[key]

    def trials(self, arms: Sequence[Arm], seed: int) -> Iterator[Trial]:
        """Yield the trials of a seed, then those on redrawn examples."""
        for arm in arms:
            yield self._trial(arm, arm.data.data, self._tests, seed)
        if self._pool is not None:
            drawn, rest = redraw(self._pool, like=self._data, seed=seed)
            for arm in arms:
                data = dataclasses.replace(arm.data.redrawn, labelled=drawn)
                yield self._trial(arm, data, {f"{self._pool.name}, other examples": rest}, seed)

    def _trial(self, arm: Arm, data: TextData, tests: Mapping[str, TextTable], seed: int) -> Trial:
        labels = tuple(sorted({label for table in tests.values() for label in table.label_counts()}))
        repeat = seed - self._chain.seed
        return Trial.of(arm, data, tests, seed=seed, digests=self._digests, labels=labels, repeat=repeat)


def changed_chain(
    chain: Chain, changes: Mapping[str, Any], where: str, *, redrawn: bool = False, folder: Path | None = None
) -> Chain:
    """Return the chain of an arm. Raises ConfigError for changes that are unfair or do not fit."""
    shared = SHARED + (SHARED_WHEN_REDRAWN if redrawn else ())
    changed: object = chain.model_dump(mode="json", context=in_file(folder))
    for path, value in changes.items():
        if any(f"{path}.".startswith(f"{one}.") for one in shared) or path == "data":
            raise ConfigError(
                f"{where}.{path}: both arms must share it, or they could not be compared pair by pair; expected other "
                "settings, such as stages.0.epochs. Remove it."
            )
        changed = replace_at(changed, path.split("."), value, where=f"{where}.{path}")
    arm = parse(Chain, changed, where=where, folder=folder)
    if arm.stages[-1].gives != "classifier":
        raise ConfigError(
            f"{where}: the chain ends with {arm.stages[-1].stage}, which is no classifier; only classifiers can be "
            "compared. Keep the last stages."
        )
    faults = Faults()
    for number, stage in enumerate(arm.stages):
        with faults.kept():
            stage.check(where=f"{where}: stages.{number}")
    faults.check()
    return arm
