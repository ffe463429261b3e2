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
from nlptl.finetuning.methods.self_training import SelfTraining
from nlptl.finetuning.probabilities import Calibration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
    from nlptl.finetuning.selection.long_texts import ReadingChoice
    from nlptl.finetuning.selection.method_choice import MethodChoice
    from nlptl.finetuning.selection.method_comparison import SelectionTask
    from nlptl.finetuning.selection.time_plan import TimePlan
    from nlptl.models.classifier import TextClassifier

FULL_L2 = 3e-2  # penalty of the head of `full`, whose epochs the time decides
VIEWS_KNOW_THE_PILE = "The pile is used by the views of the encoder, which learnt from it; self-training adds nothing."
"""With 64 examples, word vectors with a view of n-grams got 75 % of Japanese sentences right, with self-training 69 % (3 draws)."""


class Auto(Method):
    """The labels decide which method they can support; the reasons are told in one paragraph.

    Over word vectors the head alone learns. From 32 examples on, n-grams of words, or of characters where texts put no space
    between words, join it where held-out examples are predicted better with them.
    Over a transformer, fewer than 100 examples, or 16 a label: contrastive, and n-grams of words join where they predict held-out
    examples better than the encoder does. So few examples also let self-training learn from data.unlabelled, but over word
    vectors with views, which have learnt from it.
    More examples over a transformer: contrastive and the head alone are trained on each half and compared on the other, each with
    and without n-grams of words. From 400 on contrastive, full and the head alone are trained on four fifths and compared on
    the rest, as much of each as `minutes` allow. What was compared on also calibrates the probabilities. data.validation is
    compared on instead where it has 100 texts, 5 of each label, and as many as would be held out.
    Before all this long texts are tried whole and sentence by sentence.
    Where texts may have several labels, the head alone learns; from 400 on over a transformer, full where it is better on
    held-out texts.
    """

    needs_linear_head: ClassVar[bool] = True
    reads_frozen_vectors: ClassVar[bool] = True
    learns_label_sets: ClassVar[bool] = True

    method: Literal["auto"] = "auto"
    """The name of this method."""
    minutes: float = Field(default=10.0, gt=0, le=100_000)
    """Time budget for everything, in minutes: what is compared, the training that follows, the pile. More tries more and
    trains longer. The estimate is told first; steps, epochs or texts are fewer where the time is short. It is rough, and less
    true beside other work: the encoder's speed is measured once, on a few texts."""
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
                f"{where}.by_sentence: found always over word vectors or n-grams, which know no sentences; expected auto or never, "
                "or a transformer. Choose one, or begin the chain with bert."
            )

    def check_head(self, hidden: int, data: TextData | None, *, layers: bool, where: str) -> None:
        """Refuse a head with a hidden layer, unless the head alone learns, which may then be of any kind."""
        if data is not None and data.has_label_sets:
            return
        if data is not None and layers and data.labelled is not None and not _head_alone(data):
            super().check_head(hidden, data, layers=layers, where=where)

    def with_named_labels(self, labels: Sequence[str], *, where: str) -> Auto:
        """Return a quarter of the time, since parts of the examples are tried too, and no pile: its texts may have `labels`."""
        return self.model_copy(update={"minutes": self.minutes / 4, "pseudo_labels": "never"})

    def prepared(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> TextClassifier:
        """Return the classifier that reads texts as the settings say."""
        from nlptl.finetuning.selection.encoding_speed import EncodingSpeed

        return self._reading(
            given, examples, context, EncodingSpeed(given, examples.texts, context.checkpoints("encoding-speed"))
        ).classifier

    def after_names(
        self, fitted: Fitted, given: TextClassifier, examples: LabelledExamples, context: RunContext
    ) -> Fitted:
        """Return what as much of the pile as the time allows makes of a classifier by the labels' names."""
        from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
        from nlptl.finetuning.selection.method_comparison import SelectionTask
        from nlptl.finetuning.selection.pile_time import pile_within
        from nlptl.finetuning.self_training.fit import with_pile

        if not self.reads_unlabelled or examples.unlabelled is None:
            return fitted
        task = SelectionTask(given, examples, context, EncodingSpeed(given, examples.texts))
        use = pile_within(60 * self.minutes, SelfTraining().use(), task)
        return with_pile(fitted, given, examples, use, context) if use else fitted

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the classifier of the method that the labels can support; the record tells why it was chosen."""
        from nlptl.finetuning.selection.deciding_words import with_chosen_words, with_weighed_words
        from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
        from nlptl.finetuning.selection.method_choice import too_few
        from nlptl.finetuning.selection.method_comparison import SelectionTask, fitted_by

        speed = EncodingSpeed(given, examples.texts, context.checkpoints("encoding-speed"))
        if examples.label_sets is not None:
            return self._fit_label_sets(given, examples, context, speed)
        reading = self._reading(given, examples, context, speed)
        task = SelectionTask(reading.classifier, examples, context, speed)
        method, choice = self._choose(task, 60 * self.minutes - reading.seconds)
        context.record.add_finding("update", choice.method, choice.why)
        fitted = with_chosen_words(choice.words_weight, fitted_by(method, choice, task), examples, context)
        if given.encoder.token_model.kind == "word_vectors":
            fitted = with_weighed_words(fitted, examples, context)
        if too_few(len(examples), examples.label_count):
            left = 60 * self.minutes - reading.seconds - choice.seconds
            fitted = self._with_more_than_labels(fitted, choice, task, left)
        if not fitted.calibration.by_validation and examples.validation is not None:
            return fitted  # stopped by these texts already
        if fitted.used_unlabelled:  # what was compared had no pile
            return dataclasses.replace(fitted, calibration=Calibration(temperature=choice.temperature))
        if fitted.calibration.held_out:  # of word vectors and words, weighed already
            return fitted
        logits = choice.logits_of(len(examples)) if fitted.held_out_logits is None else None
        held_out = fitted.held_out_logits if logits is None else lambda: logits
        calibration = Calibration(temperature=choice.temperature, held_out=choice.scored)
        return dataclasses.replace(fitted, calibration=calibration, held_out_logits=held_out)

    def _fit_label_sets(
        self, given: TextClassifier, examples: LabelledExamples, context: RunContext, speed: EncodingSpeed
    ) -> Fitted:
        """Return the fit to texts with several labels, read as the encoder does unless the settings say by sentence."""
        from nlptl.finetuning.selection.label_set_choice import LabelSetTask, fitted_to_label_sets

        given = self._reading(given, examples, context, speed).classifier if self.by_sentence == "always" else given
        head = HeadOnly(precision=self.precision) if given.head.hidden else HeadOnly(solver="logistic")

        def full(epochs: int) -> Full:
            return Full(precision=self.precision, epochs=epochs, l2=FULL_L2)

        return fitted_to_label_sets(LabelSetTask(given, examples, context, speed, head, full, 60 * self.minutes))

    def _with_more_than_labels(
        self, fitted: Fitted, choice: MethodChoice, task: SelectionTask, seconds: float
    ) -> Fitted:
        """Return the fit to few examples with what the pile and their words tell beside them.

        The fit itself has taken a part of the `seconds`.
        """
        from nlptl.finetuning.selection.deciding_words import with_deciding_words
        from nlptl.finetuning.selection.method_comparison import seconds_of_fit
        from nlptl.finetuning.selection.pile_time import pile_within
        from nlptl.finetuning.self_training.fit import with_pile

        given, examples, context = task.given, task.examples, task.context
        if self.reads_unlabelled and examples.unlabelled is not None:
            if given.encoder.token_model.kind == "word_vectors" and given.encoder.joined_views:
                context.record.add_finding("pile", {"used": "views"}, VIEWS_KNOW_THE_PILE)
                return fitted
            use = pile_within(seconds - seconds_of_fit(choice, task), SelfTraining().use(), task)
            fitted = with_pile(fitted, given, examples, use, context) if use else fitted
        if given.encoder.token_model.kind == "word_vectors" or choice.scored:  # validation texts have decided on words
            return fitted
        return with_deciding_words(fitted, given, examples, context)

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

    def _choose(self, task: SelectionTask, seconds: float) -> tuple[Method, MethodChoice]:
        """Return the method to take and how it was chosen, by rule or by trial."""
        from nlptl.finetuning.selection.method_choice import (
            ExampleStatistics,
            by_rule,
            selection_rows,
            trial_on_examples,
            trial_on_validation,
        )
        from nlptl.finetuning.selection.method_comparison import compared

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
        if ruled:
            from nlptl.finetuning.selection.ruled_time import ruled_within

            ruled = ruled_within(ruled, task, seconds)
            found = self._methods()
            if ruled.steps is not None:
                found["contrastive"] = Contrastive(precision=self.precision, steps=ruled.steps)
            return found[ruled.method], ruled
        if statistics.selects_by_validation:
            assert examples.validation is not None
            texts, ids = [examples.validation.texts[row] for row in selecting], examples.validation.label_ids
            trial = trial_on_validation(len(examples), texts, ids[list(selecting)].tolist())
        else:
            trial = trial_on_examples(examples, seed=task.context.seed)
        return compared(self._methods, trial, task, seconds, minutes=self.minutes)

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


class _NamedHead(Method):
    """The head alone, with the labels' names where they do no harm."""

    method: Literal["head"] = "head"

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the given encoder under a logistic head."""
        from nlptl.finetuning.contrastive.named_head import named_head

        return named_head(given, examples, context)


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
