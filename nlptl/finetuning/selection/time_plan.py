"""What is trained within the minutes of `auto`: fewer steps, epochs or texts where the time is short, nothing that cannot end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from nlptl.finetuning.contrastive.contrastive_training import batch_size_for, passes_for, steps_for
from nlptl.finetuning.selection.method_choice import MIN_EXAMPLES_ONE_SPLIT, passes_of

LEAST_EXAMPLES = 4  # of a label on average, that the head learns from however short the time is
SHARE_OF_HEAD = 0.8  # of the time, that the frozen head may take before it learns from fewer examples
SECONDS_A_CHARACTER_OF_WORDS = 6e-6  # of n-grams, counted and fitted in the comparison and again on all examples


@dataclasses.dataclass(frozen=True)
class Level:
    """How much is trained: share of the contrastive steps, epochs of `full`, and whether once more on all examples."""

    steps: float
    epochs: int
    again: bool = True


MANY = (
    Level(1, 4), Level(1, 3), Level(0.5, 3), Level(0.5, 2), Level(0, 2), Level(0, 2, again=False), Level(0.5, 0),
    Level(0, 1, again=False), Level(0.25, 0), Level(0.25, 0, again=False), Level(0, 0),
)  # fmt: skip
FEW = (
    Level(1, 0),
    Level(0.5, 0),
    Level(0.25, 0),
    Level(0, 0),
)  # below `MIN_EXAMPLES_ONE_SPLIT`, where two halves train


@dataclasses.dataclass(frozen=True)
class Workload:
    """What the time depends on."""

    examples: int
    labels: int
    one_pass: float  # seconds of a forward pass over all examples
    characters: int  # of all examples
    names: float  # length of a label's sentences, in texts
    trained: float  # examples that the comparison trains on, relative to all, summed over its parts
    scored: float  # texts that it scores on, relative to all examples


@dataclasses.dataclass(frozen=True)
class PlannedTraining:
    """One method, as much of it as the time allows."""

    method: str
    seconds: float  # of one training on all examples, whose frozen vectors are at hand
    again: bool
    steps: int | None = None  # of contrastive; None: its own number
    epochs: int = 0  # of full


@dataclasses.dataclass(frozen=True)
class TimePlan:
    """Trainings to compare, the one to beat first, and how long all takes."""

    trainings: Sequence[PlannedTraining]
    seconds: float
    encoding: float  # seconds of them for the vectors of the frozen encoder, which all share
    head_examples: int  # that the frozen head learns from
    compares: bool = True  # whether anything is scored; else the one training is taken unseen

    def sentence(self, work: Workload, minutes: float, spent: float) -> str:
        """Tell the plan in one sentence; `spent` seconds went before."""
        total = (spent + self.seconds) / 60
        return f"Plan for {minutes:g} minutes: {self._told(work)}; about {total:.2g} minutes in all."

    def cuts(self, work: Workload) -> list[str]:
        """Return what is less than without a limit of the time, each as a clause in the past tense."""
        whole, own = _levels(work)[0], {one.method: one for one in self.trainings}
        found = [f"{one.method} was not tried" for one in _trainings(whole, work) if one.method not in own]
        if (steps := getattr(own.get("contrastive"), "steps", None)) is not None:
            found.append(f"contrastive took {steps} of {_own_steps(work)} steps")
        if "full" in own and own["full"].epochs < whole.epochs:
            found.append(f"full took {own['full'].epochs} of {whole.epochs} epochs")
        if not self.trainings[0].again:
            found.append("the best was not trained again on all examples")
        if self.head_examples < work.examples:
            found.append(f"the head learnt from {self.head_examples:,} of {work.examples:,} examples")
        return found if self.compares else [*found, "nothing was compared"]

    def _told(self, work: Workload) -> str:
        """Return what is trained and compared, as a part of a sentence."""
        if len(self.trainings) > 1:
            once_more = "trained again on all examples"
            if not self.trainings[0].again:
                once_more = "kept as it is, since the time is short"
            parts = ", ".join(map(_told, self.trainings))
            return f"{parts} and the words are compared, then the best one is {once_more}"
        count = f"{self.head_examples:,} of {work.examples:,}" if self.head_examples < work.examples else "all"
        learns = f"the head alone learns from {count} examples"
        if not self.compares:
            return f"{learns} and nothing is compared, since the time is short"
        return f"{learns}, compared with and without the words, since the time is short"


def plan_within(seconds: float, work: Workload) -> TimePlan:
    """Return the most that can be trained in about so many seconds."""
    words = SECONDS_A_CHARACTER_OF_WORDS * work.characters
    for level in _levels(work):
        trainings = _trainings(level, work)
        trials = sum(each.seconds * work.trained + work.scored * work.one_pass for each in trainings)
        last = max(each.seconds for each in trainings) if level.again else 0.0
        total = words + work.one_pass + trials + last
        if total <= seconds:
            return TimePlan(trainings, total, work.one_pass, work.examples)
    scoring = words + work.scored * work.one_pass
    plan = _head_within(seconds, work, beside=scoring)
    return plan if plan.seconds <= seconds else _head_within(seconds, work, beside=0.0)


def _head_within(seconds: float, work: Workload, *, beside: float) -> TimePlan:
    """Return the plan for the head alone, on fewer examples, with so many seconds for comparing it `beside`."""
    available = max(0.0, SHARE_OF_HEAD * seconds - beside)
    least = min(work.examples, LEAST_EXAMPLES * work.labels)
    count = max(least, min(work.examples, int(work.examples * available / max(work.one_pass, 1e-9))))
    encoding = work.one_pass * count / work.examples
    head = PlannedTraining("head", 0.0, again=True)
    return TimePlan([head], beside + encoding, encoding, count, compares=beside > 0)


def _levels(work: Workload) -> tuple[Level, ...]:
    """Return the levels that suit so many examples, the whole one first."""
    return FEW if work.examples < MIN_EXAMPLES_ONE_SPLIT else MANY


def _own_steps(work: Workload) -> int:
    """Return the steps of contrastive training without a limit of the time."""
    size = batch_size_for(work.labels)
    return steps_for(work.examples, size, passes=passes_for(work.examples, work.labels))


def _trainings(level: Level, work: Workload) -> list[PlannedTraining]:
    """Return the trainings of a level, the one to beat first."""
    found = []
    if level.steps:
        steps = max(1, round(level.steps * _own_steps(work)))
        passes = passes_of("contrastive", work.examples, work.labels, names=work.names, steps=steps)
        own = None if level.steps == 1 else steps
        found.append(PlannedTraining("contrastive", passes * work.one_pass, level.again, steps=own))
    if level.epochs:
        passes = passes_of("full", work.examples, work.labels, epochs=level.epochs)
        found.append(PlannedTraining("full", passes * work.one_pass, level.again, epochs=level.epochs))
    return [*found, PlannedTraining("head", 0.0, again=True)]


def _told(training: PlannedTraining) -> str:
    if training.method == "full":
        return f"full ({training.epochs} epochs)" if training.epochs > 1 else "full (one epoch)"
    if training.method == "contrastive" and training.steps is not None:
        return f"contrastive ({training.steps} steps)"
    return "the head alone" if training.method == "head" else training.method
