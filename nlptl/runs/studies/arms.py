"""The arms of a comparison: a pipeline under changed settings, and every trial that sets them side by side."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nlptl.config import parse, replace_at
from nlptl.data import TextData, load_table, redraw, rows_not_in, without_texts_of
from nlptl.errors import ConfigError
from nlptl.runs.studies.comparison import Trial, trial_identity

if TYPE_CHECKING:
    from nlptl.data import TextTable
    from nlptl.runs.pipeline import Pipeline

PARTS = ("unlabelled", "source", "labelled", "validation")  # what an arm may learn from


def trials_of(
    pipeline: Pipeline, data: TextData, where: str, *, say: Callable[[str], None] | None = None
) -> Iterator[Trial]:
    """Yield every arm under every seed, the arms side by side, so that an interrupted comparison is a fair one."""
    assert pipeline.compare is not None
    tests = {
        name: load_table(source, settings=pipeline.data, where=f"{where}: compare.tests.{name}")
        for name, source in pipeline.compare.tests.items()
    }
    arms = [
        (name, arm, _arm_data(pipeline, name, arm, data, list(tests.values()), where, say))
        for name, arm in _arms(pipeline, where)
    ]
    made: dict[str, Any] = {}
    pool = None
    if pipeline.compare.redraw is not None:
        pool = load_table(pipeline.compare.redraw, settings=pipeline.data, where=f"{where}: compare.redraw")
    for seed in range(pipeline.seed, pipeline.seed + pipeline.compare.seeds):
        for name, arm, arm_data in arms:
            yield _trial(name, seed, arm, arm_data, tests, made)
        if pool is not None:
            drawn, rest = redraw(pool, like=data, seed=seed)
            for name, arm, arm_data in arms:
                pile, source = arm_data.unlabelled, arm_data.source
                if pipeline.data.drop_leaks:
                    pile, source = (part and rows_not_in(part, pool) for part in (pile, source))
                other = TextData(
                    unlabelled=pile,
                    source=source,
                    labelled=drawn,
                    validation=arm_data.validation,
                    label_names=arm_data.label_names,
                )
                yield _trial(name, seed, arm, other, {f"{pool.name}, other examples": rest}, made)


def _arm_data(
    pipeline: Pipeline,
    name: str,
    arm: Pipeline,
    data: TextData,
    tests: list[TextTable],
    where: str,
    say: Callable[[str], None] | None,
) -> TextData:
    """Return an arm's data without the texts of the comparison's tests, telling how many went."""
    loaded = data if arm.data == pipeline.data else arm.check(where=f"{where}: compare.arms.{name}")[0]
    kept = without_texts_of(loaded, tests, drop=pipeline.data.drop_leaks)
    for number, stage in enumerate(arm.stages):
        stage.check_data(kept, where=f"{where}: compare.arms.{name}: stages.{number}")
    arm.check_chain(kept, where=f"{where}: compare.arms.{name}: stages")
    for part in PARTS:
        before, after = getattr(loaded, part), getattr(kept, part)
        if say is not None and before is not None and len(before) > len(after):
            say(f"{name}: {len(before) - len(after)} rows of {part} stand in the comparison's tests and were left out.")
    return kept


def _arms(pipeline: Pipeline, where: str) -> list[tuple[str, Pipeline]]:
    assert pipeline.compare is not None
    raw = pipeline.model_dump(mode="json", exclude={"compare"})
    fixed = ["seed", "compare", "data.test"]
    fixed += ["data.labelled", "data.shots", "data.validation"] if pipeline.compare.redraw is not None else []
    arms = []
    for name, changes in pipeline.compare.arms.items():
        at = f"{where}: compare.arms.{name}"
        changed: object = raw
        for path, value in changes.items():
            if any(f"{path}.".startswith(f"{one}.") for one in fixed) or path == "data":
                raise ConfigError(
                    f"{at}.{path}: both arms must share it, or they could not be compared pair by pair; expected other "
                    "settings, such as stages.0.epochs. Remove it."
                )
            changed = replace_at(changed, path.split("."), value, where=f"{at}.{path}")
        arm = parse(type(pipeline), changed, where=at)
        if arm.stages[-1].gives != "classifier":
            raise ConfigError(
                f"{at}: the chain ends with {arm.stages[-1].stage}, which is no classifier; only classifiers can be "
                "compared. Keep the last stages."
            )
        for number, stage in enumerate(arm.stages):
            stage.check(where=f"{at}: stages.{number}")
        arms.append((name, arm))
    return arms


def _trial(
    name: str, seed: int, arm: Pipeline, data: TextData, tests: Mapping[str, TextTable], made: dict[str, Any]
) -> Trial:
    read = [part for part in (*PARTS, "label_names") if getattr(data, part) is not None]
    digests = {part: getattr(data, part).digest for part in read}
    stages = [[stage.model_dump(mode="json"), stage.version, dict(stage.external_digests())] for stage in arm.stages]
    identity = trial_identity([name, stages], [digests, {test: table.digest for test, table in tests.items()}])
    return Trial(name, seed, identity, functools.partial(arm.train, data, made=made), tests)
