"""Training of trials, which share the artifacts of equal stages."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from nlptl.context import Record, RunContext
from nlptl.runs.studies.comparison.arm_costs import ArmCost, peak_memory
from nlptl.runs.studies.comparison.arms import Trial

if TYPE_CHECKING:
    from nlptl.models.classifier import TextClassifier


_FIRST = iter((True,))  # for the first training of a process, which imports and compiles what all need


@dataclasses.dataclass(frozen=True)
class Made:
    """Artifact of a stage, and what it and all before it cost."""

    artifact: Any
    cost: ArmCost


class SharedWork:
    """Artifacts that several trials need. Each is made by the first and dropped after the last."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        """`trials` are all that will be trained."""
        self._uses = Counter(key for trial in trials for key in trial.work)
        self._made: dict[str, Made] = {}

    def train(self, trial: Trial, context: RunContext) -> tuple[TextClassifier, ArmCost]:
        """Train a trial's chain, from the last shared artifact that exists. Return it with the cost of all its stages."""
        keys, stages = trial.work, trial.arm.chain.stages
        done = max((number for number, key in enumerate(keys, start=1) if key in self._made), default=0)
        made = self._made[keys[done - 1]] if done else Made(None, ArmCost(seconds=0))
        self.forget(trial)
        for key, following, stage in zip(keys[done:], [*keys, ""][done + 1 :], stages[done:], strict=True):
            made = _run(stage, made, trial, context)
            if self._uses[key] > self._uses[following]:  # a chain branches off here, or ends
                self._made[key] = made
        self._drop_unused()
        return cast("TextClassifier", made.artifact), made.cost.model_copy(update={"holds_start": next(_FIRST, False)})

    def forget(self, trial: Trial) -> None:
        """Count a trial as done, or as one that will not be trained."""
        self._uses.subtract(trial.work)

    def _drop_unused(self) -> None:
        self._made = {key: made for key, made in self._made.items() if self._uses[key] > 0}


def _run(stage: Any, before: Made, trial: Trial, context: RunContext) -> Made:
    """Run a stage on what stands before it."""
    context = dataclasses.replace(context, record=Record())
    begin = time.monotonic()
    with peak_memory(context.torch_device()) as peak:
        artifact = stage.run(before.artifact, data=trial.data, context=context)
    peaks = [one for one in (before.cost.memory, peak.megabytes) if one is not None]
    cost = ArmCost(
        seconds=round(before.cost.seconds + time.monotonic() - begin, 3),
        trainable_parameters=before.cost.trainable_parameters + context.record.trainable_parameters,
        memory=round(max(peaks), 1) if peaks else None,
    )
    return Made(artifact, cost)
