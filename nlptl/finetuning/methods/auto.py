"""The method `auto`: the labels decide which method they can support."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.gradient_settings import PrecisionSetting
from nlptl.finetuning.method import Fitted, Method, linear_head_needed
from nlptl.finetuning.methods.contrastive import Contrastive
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.finetuning.methods.layers import Full
from nlptl.finetuning.probabilities import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
    from nlptl.finetuning.selection.long_texts import ReadingChoice
    from nlptl.finetuning.selection.method_choice import Candidate, ExampleStatistics, MethodChoice, MethodTrial
    from nlptl.finetuning.selection.time_plan import PlannedTraining, TimePlan
    from nlptl.models.classifier import TextClassifier
    from nlptl.models.views import View

TIMED_PILE = 100  # texts of the pile whose encoding is timed
FULL_L2 = 3e-2  # penalty of the head of `full`, whose epochs the time decides


class Auto(Method):
    """The labels decide which method they can support; the reasons are told in one paragraph.

    Word vectors: head. A transformer with fewer than 100 examples, or 16 a label: contrastive. With more, contrastive and
    the head alone are trained on each half and compared on the other. From 400 on contrastive, full and the head alone are
    trained on four fifths and compared on the rest. They are trained on all examples and compared on data.validation instead
    where that has 100 texts or more, 5 of each label, and as many as would be held out. What was compared on also calibrates
    the probabilities. Before all this long texts are tried whole and sentence by sentence.
    """

    needs_linear_head: ClassVar[bool] = True

    method: Literal["auto"] = "auto"
    """The name of this method."""
    minutes: float = Field(default=10.0, gt=0, le=100_000)
    """Time budget for the choice, in minutes; more tries more. Candidates whose estimated cost exceeds what is left are
    skipped."""
    pseudo_labels: Literal["auto", "never"] = "auto"
    """auto: with fewer than 100 examples, or 16 a label, self-training gives data.unlabelled soft labels and learns them, unless
    its texts are of another kind than the labelled ones. With more it does not help. never: it does not."""
    by_sentence: Literal["auto", "always", "never"] = "auto"
    """Over a transformer: read texts sentence by sentence, a text's vector being the mean of its sentences'. auto: where the
    labelled texts are long (median of four sentences), neither classifier nor pooling were fitted to whole texts, and
    held-out ones do not speak against it. never: read them as the encoder does."""
    precision: PrecisionSetting = "auto"

    @property
    def reads_unlabelled(self) -> bool:
        """Whether it reads `data.unlabelled`."""
        return self.pseudo_labels != "never"

    def check_words(self, *, where: str) -> None:
        """Refuse to read word vectors by sentence."""
        if self.by_sentence == "always":
            raise ConfigError(
                f"{where}.by_sentence: found always over word vectors, which know no sentences; expected auto or never, "
                "or a transformer. Choose one, or begin the chain with bert."
            )

    def check_head(self, hidden: int, data: TextData | None, *, layers: bool, where: str) -> None:
        """Refuse a head with a hidden layer, unless the head alone learns, which may then be of any kind."""
        if data is not None and layers and data.labelled is not None and not _head_alone(data):
            super().check_head(hidden, data, layers=layers, where=where)

    def prepared(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> TextClassifier:
        """Return the classifier that reads texts as the settings say."""
        from nlptl.finetuning.selection.encoding_speed import EncodingSpeed

        return self._reading(
            given, examples, context, EncodingSpeed(given, examples.texts, context.checkpoints("encoding-speed"))
        ).classifier

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the classifier of the method that the labels can support; the record tells why it was chosen."""
        from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
        from nlptl.finetuning.selection.method_choice import too_few

        speed = EncodingSpeed(given, examples.texts, context.checkpoints("encoding-speed"))
        reading = self._reading(given, examples, context, speed)
        task = _Task(reading.classifier, examples, context, speed)
        method, choice = self._choose(task, 60 * self.minutes - reading.seconds)
        context.record.add_finding("update", choice.method, choice.why)
        fitted = _with_words(choice, _fitted(method, choice, task), examples, context)
        if too_few(len(examples), examples.label_count):
            left = 60 * self.minutes - reading.seconds - choice.seconds
            fitted = self._with_more_than_labels(fitted, task, left, has_words=choice.words_weight > 0)
        if not fitted.calibration.by_validation and examples.validation is not None:
            return fitted  # stopped by these texts already
        held_out = 0 if fitted.used_unlabelled else choice.scored  # what was compared had no pile
        return dataclasses.replace(fitted, calibration=Calibration(temperature=choice.temperature, held_out=held_out))

    def _with_more_than_labels(self, fitted: Fitted, task: _Task, seconds: float, *, has_words: bool) -> Fitted:
        """Return the fit to few examples with what the pile and their words tell beside them."""
        from nlptl.finetuning.selection.deciding_words import with_deciding_words

        if self.reads_unlabelled and task.examples.unlabelled is not None:
            fitted = with_pile_within(seconds - _seconds_of_contrastive(task), fitted, task)
        if has_words or task.given.encoder.token_model.kind == "word_vectors":
            return fitted
        return with_deciding_words(fitted, task.given, task.examples, task.context)

    def _reading(
        self, given: TextClassifier, examples: LabelledExamples, context: RunContext, speed: EncodingSpeed
    ) -> ReadingChoice:
        """Return how to read the texts, which is told."""
        from nlptl.finetuning.selection.long_texts import ReadingChoice, choose_reading, read_by_sentence

        found = ReadingChoice(given)
        if self.by_sentence == "always" and not found.by_sentence:
            found = ReadingChoice(read_by_sentence(given), "Texts are read sentence by sentence, as the settings say.")
        elif self.by_sentence == "auto" and len(examples):
            found = choose_reading(given, examples, speed, context, seconds=60 * self.minutes)
        if found.why:
            context.record.add_finding("by_sentence", found.by_sentence, found.why)
        return found

    def _choose(self, task: _Task, seconds: float) -> tuple[Method, MethodChoice]:
        """Return the method to take and how it was chosen, by rule or by trial."""
        from nlptl.finetuning.selection.method_choice import ExampleStatistics, by_rule, selection_rows

        given, examples = task.given, task.examples
        validation = [] if examples.validation is None else examples.validation.label_ids.tolist()
        selecting = selection_rows(validation, examples.label_count, seed=task.context.seed)
        fewest, named = int(examples.label_counts().min()), len(examples.sentences()) > 0
        no_layers = given.encoder.token_model.kind == "word_vectors" or given.encoder.transformer.used_depth == 0
        statistics = ExampleStatistics(len(examples), examples.label_count, fewest, no_layers, named, len(selecting))
        ruled = by_rule(statistics)
        if ruled is not None and ruled.method == "head":
            return HeadOnly(precision=self.precision), ruled
        if given.head.hidden:
            raise linear_head_needed(self.title, given.head.hidden, where="finetune.update")
        return (self._methods()[ruled.method], ruled) if ruled else self._try(statistics, selecting, task, seconds)

    def _methods(self, plan: TimePlan | None = None) -> dict[str, Method]:
        """Return what may be chosen over a transformer, at the size that the time allows."""
        found: dict[str, Method] = {
            "head": _NamedHead(),
            "contrastive": Contrastive(precision=self.precision),
            "full": Full(precision=self.precision),
        }
        for training in plan.trainings if plan else ():
            if training.epochs:
                found["full"] = Full(precision=self.precision, epochs=training.epochs, l2=FULL_L2)
            if training.steps is not None:
                found["contrastive"] = Contrastive(precision=self.precision, steps=training.steps)
        return found

    def _try(
        self, statistics: ExampleStatistics, rows: Sequence[int], task: _Task, seconds: float
    ) -> tuple[Method, MethodChoice]:
        """Return the method that does best on validation texts (row numbers `rows`) or on held-out examples."""
        from nlptl.context import Record
        from nlptl.finetuning.selection import method_choice
        from nlptl.finetuning.words.word_expert import fit_words

        examples = task.examples
        if statistics.selects_by_validation:
            assert examples.validation is not None
            texts, ids = [examples.validation.texts[row] for row in rows], examples.validation.label_ids
            trial = method_choice.trial_on_validation(len(examples), texts, ids[list(rows)].tolist())
        else:
            trial = method_choice.trial_on_examples(examples, seed=task.context.seed)
        plan = _planned(trial, task, seconds, minutes=self.minutes)
        quiet = dataclasses.replace(task.context, record=Record(), checkpoint_folder=None)
        a_text = task.speed.seconds_for(examples.texts) / len(examples)
        methods, enough = self._methods(plan), _some(examples, plan.head_examples, task.context.seed)
        place = {row: number for number, row in enumerate(enough)}
        learnt = examples if len(enough) == len(examples) else examples.select(enough)
        learnt.frozen_vectors(task.given.encoder, progress=task.context.progress)  # which all parts share

        def candidate(training: PlannedTraining) -> Candidate:
            def train(rows: Sequence[int]) -> TextClassifier:
                some = learnt.select([place[row] for row in rows if row in place])
                return methods[training.method].fit(task.given, some, quiet).classifier

            return method_choice.Candidate(training.method, training.seconds, a_text, train, training.again)

        def words(rows: Sequence[int]) -> View | None:
            some = examples.select(rows)
            found = fit_words(
                some.texts,
                some.label_ids,
                some.label_count,
                groups=some.groups,
                seed=task.context.seed,
                balanced=examples.is_skewed,
            )
            return found.view if found else None

        candidates = [candidate(training) for training in plan.trainings]
        found = method_choice.by_trial(
            candidates, trial, examples=len(examples), seconds=seconds - plan.encoding, words=words
        )
        return methods[found.method], dataclasses.replace(found, seconds=found.seconds + plan.encoding, learnt=learnt)


class _NamedHead(Method):
    """The head alone, with the labels' names where they do no harm."""

    method: Literal["head"] = "head"

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the given encoder under a logistic head."""
        from nlptl.finetuning.contrastive.named_head import named_head

        return named_head(given, examples, context)


@dataclasses.dataclass(frozen=True)
class _Task:
    """Inputs of a choice."""

    given: TextClassifier
    examples: LabelledExamples
    context: RunContext
    speed: EncodingSpeed


def _planned(trial: MethodTrial, task: _Task, seconds: float, *, minutes: float) -> TimePlan:
    """Return what is trained in so many seconds, which is told before anything starts."""
    from nlptl.finetuning.selection.time_plan import Workload, plan_within

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
    return plan


def _seconds_of_contrastive(task: _Task) -> float:
    """Return the estimated time of one contrastive training on all examples."""
    from nlptl.finetuning.selection.method_choice import passes_of

    examples = task.examples
    passes = passes_of("contrastive", len(examples), examples.label_count, names=texts_per_name(examples))
    return task.speed.seconds_for(examples.texts) * passes


def _some(examples: LabelledExamples, count: int, seed: int) -> list[int]:
    """Return the row numbers of `count` examples, ascending, drawn with the shares of their labels."""
    from nlptl.evaluation.held_out import split

    if count >= len(examples):
        return list(range(len(examples)))
    left_out = len(examples.groups.first) - count
    kept = split(examples.label_ids.numpy(), examples.groups, held_out=max(1, left_out), seed=seed).training
    return [int(row) for row in kept]


def _fitted(method: Method, choice: MethodChoice, task: _Task) -> Fitted:
    """Return what the method makes of all examples that it has time for, or what the comparison has trained."""
    if choice.classifier is not None:
        moved = sum(parameter.numel() for parameter in choice.classifier.parameters())
        return Fitted(choice.classifier, moved)
    few = choice.learnt is not None and len(choice.learnt) < len(task.examples)
    return method.fit(task.given, choice.learnt if few and choice.learnt else task.examples, task.context)


def _with_words(choice: MethodChoice, fitted: Fitted, examples: LabelledExamples, context: RunContext) -> Fitted:
    """Return the fit with the words beside it, where these were chosen."""
    if not choice.words_weight:
        return fitted
    from nlptl.finetuning.words.joined import with_words
    from nlptl.finetuning.words.word_expert import fit_words

    words = fit_words(
        examples.texts,
        examples.label_ids,
        examples.label_count,
        groups=examples.groups,
        seed=context.seed,
        balanced=examples.is_skewed,
    )
    if words is None:
        return fitted
    context.record.add_finding("words", {"weight": choice.words_weight}, words.how)
    joined = with_words(fitted.classifier, words.view, own_weight=1.0, words_weight=choice.words_weight)
    return dataclasses.replace(
        fitted, classifier=joined, trainable_parameters=fitted.trainable_parameters + words.view.table.numel()
    )


def with_pile_within(seconds: float, fitted: Fitted, task: _Task) -> Fitted:
    """Return what self-training makes of a fit on as much of the pile as can be encoded in `seconds`.

    The pile's own texts are timed: they may be much longer than the labelled ones, and cut off at `max_length`.
    """
    from nlptl.finetuning.methods.self_training import SelfTraining
    from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
    from nlptl.finetuning.self_training.fit import MIN_PILE, with_pile

    given, examples, context = task.given, task.examples, task.context
    most = SelfTraining().texts
    texts = examples.draw_unlabelled(TIMED_PILE, context.generator("pile"))
    speed = EncodingSpeed(given, texts, context.checkpoints("encoding-speed-of-the-pile"))
    one = speed.seconds_for(texts) / len(texts) if texts else 0.0
    # Coarse, so that the same machine comes to the same number.
    count = next((most // parts for parts in (1, 2, 4, 8, 16) if one * most // parts <= seconds), 0)
    if count < MIN_PILE:
        told = f"it would take about {one * MIN_PILE / 60:.2g} minutes, {max(0.0, seconds / 60):.2g} are left"
        context.record.add_finding("pile", {"used": "nothing"}, f"The pile is not tried: {told}.", warns=True)
        return fitted
    return with_pile(fitted, given, examples, SelfTraining(texts=count).use(), context)


def texts_per_name(examples: LabelledExamples) -> float:
    """Return how many labelled texts the sentences with a label's name are as long as."""
    characters = sum(map(len, examples.texts)) / len(examples)
    return sum(map(len, examples.sentences().texts)) / examples.label_count / max(1.0, characters)


def _head_alone(data: TextData) -> bool:
    """Return whether the head alone learns on these data."""
    from nlptl.data.label_sentences import label_sentences
    from nlptl.finetuning.selection.method_choice import ExampleStatistics, by_rule

    assert data.labelled is not None
    known, labels = data.label_set.names, data.labelled.labels()
    named = len(label_sentences(known, data.label_names)) > 0
    fewest = min(map(labels.count, known))
    ruled = by_rule(ExampleStatistics(len(labels), len(known), fewest, word_vectors=False, has_label_words=named))
    return ruled is not None and ruled.method == "head"
