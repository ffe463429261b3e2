"""The method `self_training`: a classifier of the labelled texts teaches a linear head on the pile, which sees more."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from nlptl.errors import ConfigError
from nlptl.finetuning.gradient.gradient_settings import PrecisionSetting
from nlptl.finetuning.method import Fitted, Method, linear_head_needed, pile_without_examples
from nlptl.finetuning.methods.contrastive import Contrastive
from nlptl.finetuning.methods.head import HeadOnly
from nlptl.pretraining.views.view_settings import (
    NgramView,
    ViewSettings,
    WordVectorView,
    check_segmenters,
    segmenter_digests,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.self_training.fit import PileUse
    from nlptl.models.classifier import TextClassifier

VIEWS: tuple[ViewSettings, ...] = (WordVectorView(min_count=5), NgramView(dim=40, max_terms=20_000))


class SelfTraining(Method):
    """A classifier of the labelled texts gives the pile soft labels; a linear head learns them from more views of a text.

    Without labelled texts the classifier by the labels' names gives them. The views are the encoder's own vectors and what the
    pile's words tell, which the encoder need not know. The head of one round teaches the next. In the end there is one linear
    head over all views. It is made for 2 to 20 labels.
    """

    needs_linear_head: ClassVar[bool] = True
    reads_frozen_vectors: ClassVar[bool] = True

    method: Literal["self_training"] = "self_training"
    """The name of this method."""
    teacher: Literal["auto", "contrastive", "head"] = "auto"
    """What learns the labelled texts first. contrastive: as the method of this name. head: logistic regression over the frozen
    encoder, much faster and less right. auto: contrastive over a transformer, head over word vectors."""
    texts: int = Field(default=10_000, ge=200, le=1_000_000)
    """How many texts of the pile teach the head, drawn at random. More tell more and take longer: each is encoded once. The
    views of words are learnt on the whole pile."""
    rounds: int = Field(default=8, ge=1, le=100)
    """How often the head teaches the next one. More rounds follow the pile's own structure further."""
    directions: int = Field(default=40, ge=1, le=4096)
    """Leading directions of each view that the head sees. More see rarer differences, and need a larger pile."""
    views: tuple[ViewSettings, ...] = VIEWS
    """Views of a text that are learnt on the pile, where the encoder has none of its own (`views` of sentence_vectors)."""
    gate: Literal["auto", "always"] = "auto"
    """auto leaves the pile out where its texts are of another kind than the labelled ones. always does not look."""
    precision: PrecisionSetting = "auto"

    @property
    def reads_unlabelled(self) -> bool:
        """It always reads the pile."""
        return True

    def check(self, *, where: str) -> None:
        """Refuse views whose packages are missing."""
        check_segmenters(self.views, where=f"{where}.views")

    def external_digests(self, *, where: str) -> Mapping[str, str]:
        """Return the versions of the dictionaries by which views cut words."""
        return segmenter_digests(self.views)

    def check_words(self, *, where: str) -> None:
        """Refuse contrastive training of word vectors."""
        if self.teacher == "contrastive":
            raise ConfigError(
                f"{where}.teacher: found contrastive over word vectors or n-grams, which have no layers; expected head or "
                "auto, or a transformer. Choose one, or begin the chain with bert."
            )

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without a pile."""
        if data.labelled is not None and data.unlabelled is None:
            raise ConfigError(
                f"{where}: found self_training but no data.unlabelled; expected unlabelled texts. Add data.unlabelled, or "
                "choose another update."
            )

    def with_named_labels(self, labels: Sequence[str], *, where: str) -> SelfTraining:
        """Refuse a pile whose texts may have `labels`, which the teacher does not know."""
        raise pile_without_examples(self.title, labels, where=where)

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return the encoder with views of the pile under the head that self-training ends with."""
        from nlptl.finetuning.self_training.fit import with_pile

        if given.head.hidden:
            raise linear_head_needed(self.title, given.head.hidden, where="finetune.update")
        words = given.encoder.token_model.kind == "word_vectors"
        alone = self.teacher == "head" or (self.teacher == "auto" and words)
        method = HeadOnly(solver="logistic") if alone else Contrastive(precision=self.precision)
        return with_pile(method.fit(given, examples, context), given, examples, self.use(), context)

    def after_names(
        self, fitted: Fitted, given: TextClassifier, examples: LabelledExamples, context: RunContext
    ) -> Fitted:
        """Return what the pile makes of a classifier by the labels' names."""
        from nlptl.finetuning.self_training.fit import with_pile

        return fitted if examples.unlabelled is None else with_pile(fitted, given, examples, self.use(), context)

    def use(self) -> PileUse:
        """Return what self-training takes of these settings."""
        from nlptl.finetuning.self_training.fit import PileUse
        from nlptl.finetuning.self_training.rounds import Rounds

        return PileUse(Rounds(self.rounds, self.directions), texts=self.texts, views=self.views, gate=self.gate)
