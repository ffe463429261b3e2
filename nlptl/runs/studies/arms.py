"""Arms of a study, each built once, and the trials that compare them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nlptl.artifact import digest_of
from nlptl.config import parse, replace_at
from nlptl.data import TextData, load_table, redraw, rows_not_in, without_texts_of
from nlptl.errors import ConfigError
from nlptl.runs.chain import Chain, ExternalDigests, part_digest
from nlptl.runs.studies.settings import Comparison

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.stages.stage import Part

LEARNT: tuple[Part, ...] = ("unlabelled", "source", "labelled", "validation")  # parts that an arm may learn from
PARTS: tuple[Part, ...] = (*LEARNT, "label_names")
SHARED = ("seed", "compare", "data.test")  # settings that no arm may change
SHARED_WHEN_REDRAWN = ("data.labelled", "data.shots", "data.validation")


@dataclasses.dataclass(frozen=True)
class ArmData:
    """Data of an arm, without the texts of the study's tests."""

    data: TextData
    left_out: Mapping[str, int]
    """Rows of each part that stand in a test."""
    redrawn: TextData | None
    """The same without the texts from which examples are redrawn."""


@dataclasses.dataclass(frozen=True)
class Arm:
    """One side of a comparison: a chain under changed settings, and its data."""

    name: str
    chain: Chain
    data: ArmData
    stages: tuple[tuple[Any, ...], ...]
    """Settings, version and external digests of each stage."""

    def trial(self, data: TextData, tests: Mapping[str, TextTable], seed: int, digests: ExternalDigests) -> Trial:
        """Return the trial of this arm on `data` under a seed."""
        read = {part: part_digest(data, part) for part in PARTS if getattr(data, part) is not None}
        shaped_by = {
            "settings": [self.name, self.stages],
            "data": [read, {test: table.digest for test, table in tests.items()}],
        }
        return Trial(self, seed, digest_of(shaped_by), data, tests, self.chain.work(data, digests, seed=seed))


@dataclasses.dataclass(frozen=True)
class Trial:
    """One arm under one seed, with its data and tests."""

    arm: Arm
    seed: int
    identity: str
    """Digest of all that shapes the trial but the seed."""
    data: TextData
    tests: Mapping[str, TextTable]
    work: tuple[str, ...]
    """Digest of each stage's work; trials with equal ones share its result."""


@dataclasses.dataclass(frozen=True)
class Study:
    """The arms of a comparison and its trials."""

    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    """All arms of a seed follow one another, so that an interrupted comparison stays fair."""
    seed: int

    @classmethod
    def of(cls, chain: Chain, settings: Comparison, data: TextData, *, where: str, digests: ExternalDigests) -> Study:
        """Build and check all arms of `chain` and its `data`. Raises ConfigError or DataError."""
        sources = _Sources(chain, settings, data, digests, where)
        arms = []
        for name, changes in settings.arms.items():
            at = f"{where}.arms.{name}"
            arm = _changed(chain, changes, at, redrawn=settings.redraw is not None)
            arm_data = sources.of(arm, at)
            arm.check_data(arm_data.data, where=at)
            stages = tuple((stage.model_dump(mode="json"), stage.version, digests.of(stage)) for stage in arm.stages)
            arms.append(Arm(name, arm, arm_data, stages))
        seeds = range(chain.seed, chain.seed + settings.seeds)
        return cls(tuple(arms), tuple(trial for seed in seeds for trial in sources.trials(arms, seed)), chain.seed)


class _Sources:
    """Tables of a study, each read and filtered once."""

    def __init__(
        self, chain: Chain, settings: Comparison, data: TextData, digests: ExternalDigests, where: str
    ) -> None:
        self._chain, self._data, self._digests = chain, data, digests
        self._tests = {
            name: load_table(source, settings=chain.data, where=f"{where}.tests.{name}")
            for name, source in settings.tests.items()
        }
        self._pool: TextTable | None = None
        if settings.redraw is not None:
            self._pool = load_table(settings.redraw, settings=chain.data, where=f"{where}.redraw")
        self._known: dict[str, ArmData] = {}

    def of(self, arm: Chain, where: str) -> ArmData:
        """Return an arm's data. Arms with equal data settings share them."""
        key = digest_of(arm.data.model_dump(mode="json"))
        if key not in self._known:
            loaded = self._data if arm.data == self._chain.data else arm.check(where=where)[0]
            kept = without_texts_of(loaded, list(self._tests.values()), drop=self._chain.data.drop_leaks)
            rows = {part: (getattr(loaded, part), getattr(kept, part)) for part in LEARNT}
            left_out: dict[str, int] = {
                part: len(before) - len(after)
                for part, (before, after) in rows.items()
                if before is not None and len(before) > len(after)
            }
            self._known[key] = ArmData(kept, left_out, self._without_pool(kept))
        return self._known[key]

    def _without_pool(self, data: TextData) -> TextData | None:
        if self._pool is None:
            return None
        pile, source = data.unlabelled, data.source
        if self._chain.data.drop_leaks:
            pile, source = (part and rows_not_in(part, self._pool) for part in (pile, source))
        return dataclasses.replace(data, unlabelled=pile, source=source, test=None)

    def trials(self, arms: Sequence[Arm], seed: int) -> Iterator[Trial]:
        """Yield the trials of a seed, then those on redrawn examples."""
        for arm in arms:
            yield arm.trial(arm.data.data, self._tests, seed, self._digests)
        if self._pool is None:
            return
        drawn, rest = redraw(self._pool, like=self._data, seed=seed)
        for arm in arms:
            if arm.data.redrawn is not None:
                data = dataclasses.replace(arm.data.redrawn, labelled=drawn)
                yield arm.trial(data, {f"{self._pool.name}, other examples": rest}, seed, self._digests)


def _changed(chain: Chain, changes: Mapping[str, Any], where: str, *, redrawn: bool) -> Chain:
    """Return the chain of an arm. Raises ConfigError for changes that are unfair or do not fit."""
    shared = SHARED + (SHARED_WHEN_REDRAWN if redrawn else ())
    changed: object = chain.model_dump(mode="json")
    for path, value in changes.items():
        if any(f"{path}.".startswith(f"{one}.") for one in shared) or path == "data":
            raise ConfigError(
                f"{where}.{path}: both arms must share it, or they could not be compared pair by pair; expected other "
                "settings, such as stages.0.epochs. Remove it."
            )
        changed = replace_at(changed, path.split("."), value, where=f"{where}.{path}")
    arm = parse(Chain, changed, where=where)
    if arm.stages[-1].gives != "classifier":
        raise ConfigError(
            f"{where}: the chain ends with {arm.stages[-1].stage}, which is no classifier; only classifiers can be "
            "compared. Keep the last stages."
        )
    for number, stage in enumerate(arm.stages):
        stage.check(where=f"{where}: stages.{number}")
    return arm
