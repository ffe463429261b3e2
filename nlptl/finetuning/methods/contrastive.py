"""The method `contrastive`: layers learn to bring texts of one label together, then a head is fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from nlptl.config import Config, auto_or
from nlptl.data.label_sentences import TEMPLATES
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.augment_settings import Augmentation
from nlptl.finetuning.gradient.gradient_settings import PrecisionSetting, Rate, Share
from nlptl.finetuning.method import Fitted, Method, check_top_layers, linear_head_needed, pile_without_examples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nlptl.context import RunContext
    from nlptl.data import TextData
    from nlptl.finetuning.contrastive.pseudo_labels import PseudoLabelling
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.gradient.layer_tuner import LayerPlan
    from nlptl.models.classifier import TextClassifier

LAYER_RATE, ADAPTER_RATE = 2e-4, 1e-3  # encoder_learning_rate: auto, for layers and for adapters
QUERY_RATE = 1e-3  # of the query of attention pooling, which learns as a head over layers does


class PseudoLabels(Config):
    """Unlabelled texts (data.unlabelled) take part with the labels that the supervised training gives them."""

    texts: int = Field(default=600, ge=10, le=1_000_000)
    """How many of them, drawn at random; more tell more and take longer: each is encoded several times."""
    share: float = Field(default=0.25, gt=0, le=1)
    """Share that gets labels, the most certain texts of each label first; more brings more wrong ones."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1_000_000_000)] = "auto"
    """Steps of the training that learns from them; more fit them more closely. auto: each text is seen four times on
    average, the labelled ones more often than the pile's; from 20 to 400."""
    gate: Literal["auto", "always"] = "auto"
    """auto tries it out on labelled texts that are held out in two parts, and leaves the pile out where their log-loss is
    higher with it by more than the noise; that takes two more trainings of each kind. always does not look."""

    def use(self) -> PseudoLabelling:
        """Return what the training takes of these settings."""
        from nlptl.finetuning.contrastive.pseudo_labels import PseudoLabelling

        return PseudoLabelling(share=self.share, steps=None if self.steps == "auto" else self.steps, gate=self.gate)


class Contrastive(Method):
    """Layers of a transformer learn to bring texts of one label together (Khosla et al. 2020); then a head is fitted.

    Made for 2 to about 100 examples a label: the cost depends on the steps, not on how many pairs there are.
    """

    needs_layers: ClassVar[bool] = True
    needs_linear_head: ClassVar[bool] = True
    reads_frozen_vectors: ClassVar[bool] = True

    method: Literal["contrastive"] = "contrastive"
    """The name of this method."""
    top_layers: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1000)] | None = "auto"
    """How many layers learn, counted from the one that gives the token vectors; those below run once per text. More learn
    more and cost more. auto: the upper two thirds. null: all, with the embeddings."""
    rank: int | None = Field(default=None, ge=1, le=1024)
    """Width of LoRA adapters that learn in those layers instead of the layers themselves; more can learn more."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1, most=1_000_000_000)] = "auto"
    """Steps of training; more learn the examples better by heart. auto: each text is seen four times, or with more than 16
    examples a label a quarter as often as it has examples, up to 16 times; from 20 to 400 steps."""
    batch_size: Annotated[int | Literal["auto"], auto_or(int, least=4, most=1_000_000)] = "auto"
    """Labelled texts a step, as many of each label as fit, two at least; more see more pairs and cost more. auto: two
    of each label, from 16 to 64."""
    temperature: float = Field(default=0.1, ge=0.01, le=10)
    """Temperature of the loss: lower looks at the nearest texts alone, higher at all alike."""
    encoder_learning_rate: Rate = "auto"
    """Learning rate of all layers; higher learns faster and forgets more. auto: 2e-4, or 1e-3 for adapters."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the rate from each layer to the one below; 1 moves all alike."""
    label_names: Literal["auto", "always", "never"] = "auto"
    """Whether sentences with the names of the labels join the training and the head, as further examples. auto: where
    leaving one example out shows that they do no harm. always and never decide without looking."""
    templates: list[str] = Field(default=list(TEMPLATES), min_length=1)
    """Those sentences; {} is replaced by the name of a label. Each counts as one more example, so more sentences give the
    name more weight. All join where leaving one example out shows that it helps, or cannot be done; else the first template."""
    dropout: Share | None = None
    """Share of values dropped in the layers that learn; null keeps the encoder's own."""
    augment: tuple[Augmentation, ...] = ()
    """Altered versions of the texts that join the training, each with the label of its text. A version is left out where the
    head on frozen vectors gives it another label. The report says whether they help that head."""
    pseudo_labels: PseudoLabels | None = None
    """Put data.unlabelled to work: a block of settings, or {} for their defaults. null: leave it to stage one."""
    precision: PrecisionSetting = "auto"

    @field_validator("templates")
    @classmethod
    def _templates_name_the_label(cls, value: list[str]) -> list[str]:
        for template in value:
            if "{}" not in template:
                raise ValueError(f"found the template {template!r}; expected {{}} where the label's name goes. Add it")
        return value

    @property
    def reads_unlabelled(self) -> bool:
        """Whether it reads `data.unlabelled`."""
        return self.pseudo_labels is not None

    @property
    def templates_of_names(self) -> Sequence[str]:
        """Sentences that stand for a label where only names are known."""
        return self.templates

    def check(self, *, where: str) -> None:
        """Refuse models of augmentation that are not there."""
        if self.augment:
            from nlptl.finetuning.augmentation import check_models

            check_models(self.augment, where=f"{where}.augment")

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse settings for a pile that is not there."""
        if data.labelled is not None and self.pseudo_labels is not None and data.unlabelled is None:
            raise ConfigError(
                f"{where}.pseudo_labels: found settings for the pile but no data.unlabelled; expected unlabelled texts. Add "
                "data.unlabelled, or set pseudo_labels: null."
            )

    def with_named_labels(self, labels: Sequence[str], *, where: str) -> Contrastive:
        """Return itself without a pile, whose texts may have `labels`; refuse to put one to work."""
        if self.pseudo_labels is not None:
            raise pile_without_examples("pseudo_labels", labels, where=where)
        return self

    def external_digests(self, *, where: str) -> Mapping[str, str]:
        """Return digests of the models that augmentation reads."""
        from nlptl.finetuning.augmentation import model_digests

        return model_digests(self.augment, where=f"{where}.augment")

    def check_layers(self, layers: int, *, where: str) -> None:
        """Refuse more top layers than the encoder has."""
        check_top_layers(self.top_layers, layers, where=where)

    def fit(self, given: TextClassifier, examples: LabelledExamples, context: RunContext) -> Fitted:
        """Return a classifier whose layers have learnt from pairs of texts, under a fitted linear head."""
        from nlptl.finetuning.augmentation import Augmented
        from nlptl.finetuning.augmentation.checked import checked_versions
        from nlptl.finetuning.contrastive.contrastive_fit import contrastive_classifier
        from nlptl.finetuning.contrastive.contrastive_training import ContrastiveSettings, batch_size_for
        from nlptl.finetuning.contrastive.rows import ContrastiveTask
        from nlptl.training.compute import precision_for

        if given.head.hidden:
            raise linear_head_needed(self.title, given.head.hidden, where="finetune.update")
        pile, use, versions = [], None, Augmented((), (), (), {})
        if self.pseudo_labels:
            pile = examples.draw_unlabelled(self.pseudo_labels.texts, context.generator("pile"))
            use = self.pseudo_labels.use()
        if self.augment:
            versions = checked_versions(self.augment, given, examples, pile, context)
        sentences = examples.sentences(self.templates)
        task = ContrastiveTask(given, examples, sentences, context, pile, versions.texts, versions.rows)
        settings = ContrastiveSettings(
            steps=None if self.steps == "auto" else self.steps,
            batch_size=batch_size_for(examples.label_count) if self.batch_size == "auto" else self.batch_size,
            temperature=self.temperature,
            seed=context.seed,
            precision=precision_for(self.precision, context.torch_device()),
        )
        return contrastive_classifier(task, self._plan(given), settings, names=self.label_names, pile=use)

    def _plan(self, given: TextClassifier) -> LayerPlan:
        """Return what learns, and how fast; no head does beside it, but the query of attention pooling."""
        from nlptl.finetuning.gradient.layer_tuner import LayerPlan, Rates
        from nlptl.finetuning.methods.lora import Lora

        transformer, adapters = given.encoder.transformer, None
        if self.rank:
            adapters = Lora(rank=self.rank, alpha=2 * self.rank).adapters(transformer.architecture)
        upper = max(1, round(2 * transformer.used_depth / 3))
        auto = ADAPTER_RATE if self.rank else LAYER_RATE
        rate = auto if self.encoder_learning_rate == "auto" else self.encoder_learning_rate
        rates = Rates(QUERY_RATE, rate, layer_decay=self.layer_decay, dropout=self.dropout)
        return LayerPlan(rates, upper if self.top_layers == "auto" else self.top_layers, adapters)
