"""Comparison of the methods that labelled examples may support, planned to fit the time.

Its outcome is a `MethodChoice`; `fitted_by` carries it out.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from nlptl.context import Record, RunContext
from nlptl.evaluation.held_out import draw_evenly
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted, Method
from nlptl.finetuning.probabilities import Calibration
from nlptl.finetuning.selection import method_choice
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.method_choice import Candidate, MethodChoice, MethodTrial, passes_of
from nlptl.finetuning.selection.time_plan import PlannedTraining, TimePlan, Workload, plan_within
from nlptl.finetuning.words.word_expert import words_of
from nlptl.models.classifier import TextClassifier
from nlptl.models.views import View

LEAST_OF_A_LABEL = 2  # examples that are learnt, where it has them and the time is short

Methods = Mapping[str, Method]  # by their names


@dataclasses.dataclass(frozen=True)
class SelectionTask:
    """Inputs of a choice."""

    given: TextClassifier
    examples: LabelledExamples
    context: RunContext
    speed: EncodingSpeed


def compared(
    methods_of: Callable[[TimePlan], Methods],
    trial: MethodTrial,
    task: SelectionTask,
    seconds: float,
    *,
    minutes: float,
) -> tuple[Method, MethodChoice]:
    """Return the method that does best on the trial's texts, of those that a plan for so many `seconds` holds.

    `methods_of` gives the methods at the size that the plan allows. `minutes` is what the user allows in all.
    """
    examples, seed = task.examples, task.context.seed
    plan = _planned(trial, task, seconds, minutes=minutes)
    quiet = dataclasses.replace(task.context, record=Record(), checkpoint_folder=None)
    a_text = task.speed.seconds_for(examples.texts) / len(examples)
    methods, enough = methods_of(plan), _some(examples, trial, plan.head_examples, seed)
    place = {row: number for number, row in enumerate(enough)}
    learnt = examples
    if len(enough) < len(examples):
        learnt = dataclasses.replace(examples.select(enough), whole_counts=examples.label_counts())
        _warn_of_examples_left_out(len(enough), task, minutes=minutes)
    if not plan.compares:
        why = f"{plan.trainings[0].method} was taken unseen, for the time allows no comparison."
        return methods["head"], MethodChoice("head", why, learnt=learnt)
    learnt.frozen_vectors(task.given.encoder, progress=task.context.progress)  # which all parts share

    def candidate(training: PlannedTraining) -> Candidate:
        def train(rows: Sequence[int]) -> Fitted:
            some = learnt.select([place[row] for row in rows if row in place])
            return methods[training.method].fit(task.given, some, quiet)

        return Candidate(training.method, training.seconds, a_text, train, training.again)

    def words(rows: Sequence[int]) -> View | None:
        some = examples.select(rows)
        found = words_of(some, seed=seed, balanced=examples.is_skewed, segmenter=task.given.encoder.segmenter)
        return found.view if found else None

    candidates = [candidate(training) for training in plan.trainings]
    found = method_choice.by_trial(
        candidates,
        trial,
        examples=len(examples),
        seconds=seconds - plan.encoding,
        words=words,
        learnt=len(learnt),
    )
    cuts = [f"{method} was not tried" for method in found.not_tried] if found.scored else ["nothing was compared"]
    task.context.record.add_cut(*cuts)
    steps = next(training.steps for training in plan.trainings if training.method == found.method)
    spent = found.seconds + plan.encoding
    return methods[found.method], dataclasses.replace(found, seconds=spent, learnt=learnt, steps=steps)


def fitted_by(method: Method, choice: MethodChoice, task: SelectionTask) -> Fitted:
    """Return what the method makes of all examples that it has time for, or what the comparison has trained."""
    if choice.fitted is not None:
        return dataclasses.replace(choice.fitted, calibration=Calibration())  # no validation text has stopped it
    few = choice.learnt is not None and len(choice.learnt) < len(task.examples)
    return method.fit(task.given, choice.learnt if few and choice.learnt else task.examples, task.context)


def seconds_of_fit(choice: MethodChoice, task: SelectionTask) -> float:
    """Return the estimated time of `fitted_by`."""
    if choice.fitted is not None:
        return 0.0
    examples = choice.learnt or task.examples
    count, labels, names = len(examples), examples.label_count, texts_per_name(examples)
    passes = passes_of(choice.method, count, labels, names=names, steps=choice.steps)
    return task.speed.seconds_for(examples.texts) * passes


def texts_per_name(examples: LabelledExamples) -> float:
    """Return how many labelled texts the sentences with a label's name are as long as."""
    characters = sum(map(len, examples.texts)) / len(examples)
    return sum(map(len, examples.sentences().texts)) / examples.label_count / max(1.0, characters)


def _planned(trial: MethodTrial, task: SelectionTask, seconds: float, *, minutes: float) -> TimePlan:
    """Return what is trained in so many seconds, which is told before anything starts."""
    examples = task.examples
    count = len(examples)
    work = Workload(
        examples=count,
        labels=examples.label_count,
        one_pass=task.speed.seconds_for(examples.texts),
        characters=sum(map(len, examples.texts)),
        names=texts_per_name(examples),
        trained=sum(len(split.training) for split in trial.splits) / count,
        scored=sum(len(split.texts) for split in trial.splits) / count,
    )
    plan = plan_within(seconds, work)
    told = plan.sentence(work, minutes, 60 * minutes - seconds)
    task.context.progress.say(told)
    task.context.record.add_finding("time", {"seconds": plan.seconds}, told)
    task.context.record.add_cut(*plan.cuts(work))
    return plan


def _warn_of_examples_left_out(count: int, task: SelectionTask, *, minutes: float) -> None:
    total = len(task.examples)
    told = f"The classifier learns from {count} of the {total} examples, for {minutes:g} minutes allow no more. Raise minutes."
    task.context.record.add_finding("examples_learnt", count, told, warns=True)


def _some(examples: LabelledExamples, trial: MethodTrial, count: int, seed: int) -> list[int]:
    """Return row numbers of about `count` examples, ascending: two of each label at least, or all that it has.

    They are drawn evenly by label from each part that the trial trains on, so that none lacks a label.
    """
    if count >= len(examples):
        return list(range(len(examples)))
    groups, parts = examples.groups, trial.splits
    labels = examples.label_ids.numpy()[groups.first]
    kept = np.zeros(len(labels), dtype=bool)
    for part in parts:
        known = np.unique(groups.owner[list(part.training)])
        kept[known[draw_evenly(labels[known], count=math.ceil(count / len(parts)), seed=seed)]] = True
    for label in np.unique(labels):
        missing = LEAST_OF_A_LABEL - np.count_nonzero(kept[labels == label])
        kept[np.flatnonzero((labels == label) & ~kept)[: max(0, missing)]] = True
    return [int(row) for row in groups.rows_of(np.flatnonzero(kept))]
