"""Comparison of the regimes of one pipeline, of the arms of its `compare` block, or of whole pipelines on the same texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from nlptl.context import RunContext
from nlptl.data import TextData, TextTable
from nlptl.data.columns import names_shown
from nlptl.data.leaks import occurs_in, text_hashes
from nlptl.data.outside_tests import spelt_as_in, without_texts_of
from nlptl.errors import ConfigError, DataError
from nlptl.runs.chain import Chain, Faults
from nlptl.runs.studies.comparison.arms import Arm, ArmData, Comparison, Study, check_tests
from nlptl.runs.studies.comparison.comparison import ArmFacts, ComparisonResult
from nlptl.runs.studies.comparison.judged_comparison import check_study_folder, compare_judged
from nlptl.runs.studies.comparison.judged_study import judged_study, judging_of
from nlptl.runs.studies.comparison.regimes import checked_regimes, regimes_of
from nlptl.runs.studies.comparison.trial_work import Trainer
from nlptl.runs.studies.comparison.trials import TrialTime

SEEDS, MINUTES = 5, 10.0


@dataclasses.dataclass(frozen=True)
class NamedChain:
    """Chain with its data, under the name that tables show."""

    name: str
    chain: Chain
    data: TextData
    assignments: tuple[str, ...] = ()  # of `nlptl run NAME --set`, by which the file becomes this chain
    pipeline: str = ""  # that file, where it is not the name


@dataclasses.dataclass(frozen=True)
class ComparisonPlan:
    """Trials of a comparison, and what is known of its arms before any of them runs."""

    study: Study
    facts: Mapping[str, ArmFacts]
    texts_read: Mapping[str, float]  # by the encoder of an arm in one training, about; 0 where that is quick
    left_out: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def run(
        self,
        folder: Path,
        context: RunContext,
        *,
        minutes: float,
        as_kept: bool = False,
        trainer: Trainer | None = None,
    ) -> ComparisonResult:
        """Run the trials that `folder` has no rows of, here or by `trainer`; see `compare_judged`."""
        limit = TrialTime(minutes, texts_read=self.texts_read)
        return compare_judged(
            self.study, folder, context, limit=limit, facts=self.facts, left_out=self.left_out, as_kept=as_kept,
            trainer=trainer,
        )  # fmt: skip


def plan_regimes(
    given: NamedChain, *, regimes: Sequence[str] | None = None, minutes: float = MINUTES, seeds: int = SEEDS,
    weights: str | None = None, paths_from: Path | None = None,
) -> ComparisonPlan:  # fmt: skip
    """Return the comparison of the regimes of a chain; see `compare_regimes`. Raises ConfigError or DataError."""
    keys = checked_regimes(regimes)
    data = _checked(given)
    judging = judging_of(data, seed=given.chain.seed)
    found = regimes_of(
        given.chain, _without_test(data), names=keys, minutes=minutes,
        weights=weights, where=given.name, folder=paths_from,
    )  # fmt: skip
    quick = sorted(found.found, key=lambda one: one.texts_read)
    study = judged_study(
        [one.arm for one in found.found], judging, seed=given.chain.seed, seeds=seeds,
        order=[one.arm.name for one in quick],
    )  # fmt: skip
    facts = {
        one.arm.name: ArmFacts(
            name=one.arm.name, regime=one.key, pipeline=given.name, is_own=one.assignments == (),
            assignments=None if one.assignments is None else (*given.assignments, *one.assignments),
        )
        for one in found.found
    }  # fmt: skip
    return ComparisonPlan(study, facts, {one.arm.name: one.texts_read for one in found.found}, found.left_out)


def plan_chains(given: Sequence[NamedChain], *, seeds: int = SEEDS) -> ComparisonPlan:
    """Return the comparison of whole chains; see `compare_chains`. Raises DataError where they cannot be compared."""
    first, *others = ((one, _checked(one)) for one in given)
    for other in others:
        _check_same(first, other)
    judging = judging_of(first[1], seed=first[0].chain.seed)
    arms = [Arm(one.name, one.chain, ArmData(kept := _without_test(data), {}, kept)) for one, data in (first, *others)]
    study = judged_study(arms, judging, seed=first[0].chain.seed, seeds=seeds)
    facts = {
        one.name: ArmFacts(name=one.name, assignments=one.assignments, pipeline=one.pipeline or one.name)
        for one in given
    }
    return ComparisonPlan(study, facts, {})


def compare_regimes(
    given: NamedChain, folder: Path, context: RunContext, *, regimes: Sequence[str] | None = None,
    minutes: float = MINUTES, seeds: int = SEEDS, weights: str | None = None, paths_from: Path | None = None,
    as_kept: bool = False,
) -> ComparisonResult:  # fmt: skip
    """Compare the regimes of a chain on its test, else by cross-validation, and write the study into `folder`.

    What is finished there is kept. `regimes` are keys of `regimes.TITLES`; None are all that make sense here and fit into
    `minutes`. More `seeds` tell more of chance in training. `weights` are those of the encoder where the chain
    has none. `paths_from` is the folder of the pipeline file. `as_kept` returns the result that is there, and trains only without
    one. Raises ConfigError, DataError or ArtifactError.
    """
    checked_regimes(regimes)
    check_study_folder(folder)
    plan = plan_regimes(given, regimes=regimes, minutes=minutes, seeds=seeds, weights=weights, paths_from=paths_from)
    return plan.run(folder, context, minutes=minutes, as_kept=as_kept)


def compare_chains(
    given: Sequence[NamedChain], folder: Path, context: RunContext, *, minutes: float = MINUTES, seeds: int = SEEDS,
    as_kept: bool = False,
) -> ComparisonResult:  # fmt: skip
    """Compare whole chains on their common test, else by cross-validation of their common labelled rows.

    `as_kept` returns the result that is there, and trains only without one. Raises DataError where labels, tests or, without
    a test, labelled rows differ.
    """
    check_study_folder(folder)
    return plan_chains(given, seeds=seeds).run(folder, context, minutes=minutes, as_kept=as_kept)


def with_largest_test(data: TextData, chain: Chain, compare: Comparison | None, *, where: str) -> TextData:
    """Return data whose test is the largest of the pipeline: its own, or one of its `compare` block.

    Rows with a text of that test are left out of what is learnt. Raises ConfigError or DataError for a test that cannot be read.
    """
    faults = Faults()
    found = {} if compare is None else check_tests(compare, chain.data, faults, where=f"{where}: compare")[0]
    faults.check()
    tables = [*([] if data.test is None else [data.test]), *(spelt_as_in(data, one.table) for one in found.values())]
    if not tables or (largest := max(tables, key=len)) is data.test:
        return data
    kept = without_texts_of(data, [largest], drop=chain.data.drop_leaks)
    parts = ("unlabelled", "source", "labelled", "validation")
    tables_of = {part: getattr(kept, part) for part in parts}
    return TextData.of_tables({**tables_of, "test": largest}, kept.label_names, separator=kept.separator)


def _checked(given: NamedChain) -> TextData:
    """Return the data of a chain that can be compared. Raises ConfigError or DataError for another one."""
    last, data = given.chain.stages[-1], given.data
    if last.stage != "finetune":
        raise ConfigError(
            f"{given.name}: the chain ends with {last.stage}, but a comparison trains chains that end with finetune. Compare "
            "by `nlptl run` and a `compare:` block instead."
        )
    if data.has_label_sets:
        raise ConfigError(
            f"{given.name}: the labelled rows have lists of labels, but a comparison counts texts that get their one label. "
            "Compare the micro-F1 of runs instead: nlptl show RUN."
        )
    if data.labelled is None:
        raise DataError(
            f"{given.name}: data.labelled is not set, but a comparison needs labelled rows. Set it to a file."
        )
    if data.test is not None and (count := _shared(data.labelled, data.test)):
        raise DataError(
            f"{given.name}: {count} rows of data.labelled also stand in the test, so scores would be too high. Remove "
            "`drop_leaks: false`, or the rows."
        )
    return data


def _shared(table: TextTable, other: TextTable) -> int:
    """Return how many rows of a table have a text of another one."""
    return int(occurs_in(text_hashes(table), text_hashes(other)).sum())


def _check_same(first: tuple[NamedChain, TextData], other: tuple[NamedChain, TextData]) -> None:
    """Raise DataError for two chains that cannot be judged on the same texts."""
    names, labels = (first[0].name, other[0].name), (first[1].label_set.names, other[1].label_set.names)
    if labels[0] != labels[1]:
        raise DataError(
            f"{names[1]}: its labels are {names_shown(labels[1])}, but those of {names[0]} are {names_shown(labels[0])}; a "
            "comparison needs the same. Give pipelines with the same labels."
        )
    for part in ("test", *([] if first[1].test is not None else ["labelled"])):
        tables: list[TextTable | None] = [getattr(data, part) for _, data in (first, other)]
        digests = [None if table is None else table.digest for table in tables]
        if digests[0] != digests[1]:
            told = [f"{name} has {_told(table)}" for name, table in zip(names, tables, strict=True)]
            why = "the same test" if part == "test" else "the same labelled rows where there is no test"
            raise DataError(
                f"data.{part}: {told[0]}, but {told[1]}; a comparison needs {why}. Set data.{part} to the same file."
            )


def _told(table: TextTable | None) -> str:
    return "none" if table is None else f"{len(table)} rows of {table.name}"


def _without_test(data: TextData) -> TextData:
    tables: Mapping[str, TextTable | None] = {
        part: getattr(data, part) for part in ("unlabelled", "source", "labelled", "validation")
    }
    return TextData.of_tables(tables, data.label_names, separator=data.separator)
