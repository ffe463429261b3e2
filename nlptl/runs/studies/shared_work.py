"""Training of trials whose chains begin alike: a shared stage runs once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlptl.context import RunContext
    from nlptl.models.classifier import TextClassifier
    from nlptl.runs.studies.arms import Trial


class SharedWork:
    """Artifacts that several trials need. Each is made by the first and dropped after the last."""

    def __init__(self, trials: Sequence[Trial]) -> None:
        """`trials` are all that will be trained."""
        self._uses = Counter(key for trial in trials for key in trial.work)
        self._made: dict[str, Any] = {}

    def train(self, trial: Trial, context: RunContext) -> TextClassifier:
        """Train a trial's chain, from the last shared artifact that exists."""
        keys, stages = trial.work, trial.arm.chain.stages
        self._uses.subtract(keys)
        done = max((number for number, key in enumerate(keys, start=1) if key in self._made), default=0)
        artifact: Any = self._made[keys[done - 1]] if done else None
        for key, following, stage in zip(keys[done:], [*keys[done + 1 :], None], stages[done:], strict=True):
            artifact = stage.run(artifact, data=trial.data, context=context)
            if self._uses[key] > (0 if following is None else self._uses[following]):  # a chain branches off here
                self._made[key] = artifact
        for key in keys:
            if not self._uses[key]:
                self._made.pop(key, None)
        classifier: TextClassifier = artifact
        return classifier
