"""What moves in fine-tuning: the tagged union under `update:` of the stage finetune."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from nlptl.config import Config, auto_or
from nlptl.data.label_sentences import TEMPLATES
from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.augment_settings import Augmentation

if TYPE_CHECKING:
    from nlptl.finetuning.gradient.layer_tuner import Rates
    from nlptl.finetuning.gradient.lora import Adapters
    from nlptl.models.architectures import Architecture

Share = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float | Literal["auto"], auto_or(float, least=1e-9)]
NO_LAYERS = ("warmup", "layer_decay", "gradual_unfreezing", "dropout")  # of Full: they mean nothing to word vectors


class Head(Config):
    """The encoder is frozen, only the head learns (and the query of attention pooling)."""

    method: Literal["head"] = "head"
    """The name of this update."""
    solver: Literal["iterative", "auto", "logistic", "ridge", "lda"] = "iterative"
    """iterative trains any head. The others fit a linear one exactly and in one go, its strength by leaving one example
    out or cross-validation, its probabilities calibrated on what was held out: logistic regression, ridge regression, linear
    discriminant analysis with a shrunk covariance; auto takes the simplest that held-out examples do not speak against."""


class Partial(Config):
    """The top layers of a transformer learn with the head; those below run once per text and are remembered."""

    method: Literal["partial"] = "partial"
    """The name of this update."""
    top_layers: int = Field(default=2, ge=1, le=1000)
    """How many layers learn, counted from the one that gives the token vectors; more learn more and cost more."""
    encoder_learning_rate: Rate = "auto"
    """Rate of the topmost layer. auto: 1e-4. Higher learns faster and forgets more."""
    layer_decay: float = Field(default=0.9, gt=0, le=1)
    """Factor of the rate from each layer to the one below (Howard & Ruder 2018); 1 moves all alike."""
    warmup: Share = 0.1
    """Share of the steps over which rates rise from nothing, one epoch at most; more is safer with few labels."""
    gradual_unfreezing: bool = False
    """Wake one more layer with each epoch, the topmost first (Howard & Ruder 2018); few epochs then move few layers."""
    l2_to_start: Annotated[float | Literal["auto"], auto_or(float, least=0)] = "auto"
    """Pull of each weight back to its pretrained value (Li et al. 2018); larger moves less. auto: none."""
    dropout: Share | None = None
    """Share of values dropped in the layers that learn; null keeps the encoder's own."""


class Full(Config):
    """Everything learns: the head, and all layers with the embeddings, or the word vectors."""

    method: Literal["full"] = "full"
    """The name of this update."""
    encoder_learning_rate: Rate = "auto"
    """Rate of the topmost layer, or of the word vectors in units of the spread of the sentence vectors. auto: 5e-5 for
    a transformer, 1e-3 for word vectors; keep it well below the head's."""
    layer_decay: float = Field(default=0.9, gt=0, le=1)
    """Factor of the rate from each layer to the one below (Howard & Ruder 2018); 1 moves all alike."""
    warmup: Share = 0.1
    """Share of the steps over which rates rise from nothing, one epoch at most; more is safer with few labels."""
    gradual_unfreezing: bool = False
    """Wake one more layer with each epoch, the topmost first (Howard & Ruder 2018); few epochs then move few layers."""
    l2_to_start: Annotated[float | Literal["auto"], auto_or(float, least=0)] = "auto"
    """Pull of each weight back to its pretrained value; larger moves less, 0 lets the labels do what they will.
    auto: 1e-4 for word vectors, none for a transformer."""
    dropout: Share | None = None
    """Share of values dropped in the layers; null keeps the encoder's own."""


class Lora(Config):
    """Low-rank adapters learn beside frozen layers of a transformer, through PEFT (Hu et al. 2021)."""

    method: Literal["lora"] = "lora"
    """The name of this update."""
    rank: int = Field(default=8, ge=1, le=1024)
    """Width of the adapters; more can learn more and needs more labels."""
    alpha: float = Field(default=16, gt=0)
    """What the adapters add is scaled by alpha / rank (rslora: alpha / sqrt(rank)); more is like a higher rate."""
    adapter_dropout: Share = 0.0
    """Share of values dropped in front of the adapters."""
    targets: Literal["linear", "attention"] | Annotated[list[str], Field(min_length=1)] = "linear"
    """Maps that get adapters: linear (all of each layer), attention (query and value alone), or names of modules."""
    variant: Literal["lora", "rslora", "dora"] = "lora"
    """lora; rslora scales so that high ranks help (Kalajdzievski 2023); dora learns length and direction apart
    (Liu et al. 2024), better at small ranks and slower."""
    top_layers: int | None = Field(default=None, ge=1, le=1000)
    """Put adapters into the top layers only; those below run once per text. null: into all."""
    encoder_learning_rate: Rate = "auto"
    """Rate of the adapters. auto: 5e-4."""
    warmup: Share = 0.1
    """Share of the steps over which rates rise from nothing, one epoch at most."""
    dropout: Share | None = None
    """Share of values dropped in the layers; null keeps the encoder's own."""
    merge: bool = False
    """Add what was learnt into the weights and save a plain encoder instead of encoder and adapter."""


class Pile(Config):
    """Unlabelled texts (data.unlabelled) take part with the labels that the supervised training gives them."""

    texts: int = Field(default=600, ge=10, le=1_000_000)
    """How many of them, drawn at random; more tell more and take longer: each is encoded several times."""
    share: float = Field(default=0.25, gt=0, le=1)
    """Share that gets labels, the most certain texts of each label first; more brings more wrong ones."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Steps of the training that learns from them. auto: so many that texts are seen four times on average, the labelled
    ones more often than the pile's; within 20 and 400."""
    gate: Literal["auto", "always"] = "auto"
    """auto tries it out on labelled texts that are held out in two parts, and leaves the pile out where their log-loss is
    higher with it by more than the noise; that takes two more trainings of each kind. always does not look."""


class Contrastive(Config):
    """Layers of a transformer learn to bring texts of one label together (Khosla et al. 2020); then a head is fitted.

    Made for 2 to about 100 examples a label: the cost depends on the steps, not on how many pairs there are.
    """

    method: Literal["contrastive"] = "contrastive"
    """The name of this update."""
    top_layers: Annotated[int | Literal["auto"], auto_or(int, least=1)] | None = "auto"
    """How many layers learn, counted from the one that gives the token vectors; those below run once per text. auto:
    the upper two thirds. More learn more and cost more. null: all, with the embeddings."""
    rank: int | None = Field(default=None, ge=1, le=1024)
    """Let LoRA adapters of this width learn in those layers instead of the layers themselves."""
    steps: Annotated[int | Literal["auto"], auto_or(int, least=1)] = "auto"
    """Steps of training; more learn the examples better by heart. auto: so many that each text is seen four times, or with
    more than 16 examples a label a quarter as often as it has examples, up to 16 times; within 20 and 400 steps."""
    batch_size: Annotated[int | Literal["auto"], auto_or(int, least=4)] = "auto"
    """Labelled texts a step, as many of each label as fit, two at least; more see more pairs and cost more. auto: two
    of each label, within 16 and 64."""
    temperature: float = Field(default=0.1, ge=0.01, le=10)
    """Lower looks at the nearest texts alone, higher at all alike."""
    encoder_learning_rate: Rate = "auto"
    """Rate of all layers. auto: 2e-4, or 1e-3 for adapters. Higher learns faster and forgets more."""
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    """Factor of the rate from each layer to the one below; 1 moves all alike."""
    label_names: Literal["auto", "always", "never"] = "auto"
    """Whether sentences with the names of the labels join the training and the head, as further examples. auto: where
    leaving one example out shows that they do no harm; always and never decide that without looking."""
    templates: list[str] = Field(default=list(TEMPLATES), min_length=1)
    """Those sentences; {} is replaced by the name of a label. Each counts as one more example, so several weigh the name more:
    all of them join where leaving one example out shows that it helps, or cannot be done, else those of the first template."""
    dropout: Share | None = None
    """Share of values dropped in the layers that learn; null keeps the encoder's own."""
    augment: tuple[Augmentation, ...] = ()
    """Altered versions of the texts that join the training, each with the label of its text; those that the head on frozen
    vectors gives another label than their text has (or than it gives that text, for one of the pile) are left out. The report
    says whether they help that head."""
    pile: Pile | None = None
    """Put data.unlabelled to work: a block of settings, or {} for their defaults. null: leave it to stage one."""

    @field_validator("templates")
    @classmethod
    def _templates_name_the_label(cls, value: list[str]) -> list[str]:
        for template in value:
            if "{}" not in template:
                raise ValueError(f"found the template {template!r}; expected {{}} where the label's name goes. Add it")
        return value


class Auto(Config):
    """The labels decide which update they can support; the reasons are told in one paragraph.

    Word vectors: head. A transformer with fewer than 100 examples, or 16 a label: contrastive. With more, contrastive and
    the head alone are trained on each half and compared on the other; from 400 on contrastive, full and the head alone are
    trained on four fifths and compared on the rest. They are trained on all examples and compared on data.validation instead
    where that has 100 texts or more, 5 of each label, and as many as would be held out. What was compared on also calibrates
    the probabilities. Before all this long texts are tried whole and sentence by sentence.
    """

    method: Literal["auto"] = "auto"
    """The name of this update."""
    minutes: float = Field(default=10.0, gt=0, le=100_000)
    """Time that choosing may take, as estimated before; what does not fit in is not tried."""
    pile: Literal["auto", "never"] = "auto"
    """auto also tries data.unlabelled, where it is given and contrastive was chosen, and leaves it out where labelled texts
    that are held out speak against it; never leaves it to stage one."""
    by_sentence: Literal["auto", "always", "never"] = "auto"
    """Over a transformer: read texts sentence by sentence, a text's vector being the mean of its sentences'. auto: where the
    labelled texts are long (four sentences in the middle one), neither classifier nor pooling were fitted to whole texts, and
    held-out ones do not speak against it. never: read them as the encoder does."""


Update = Annotated[Head | Partial | Full | Lora | Contrastive | Auto, Field(discriminator="method")]
Concrete = Head | Partial | Full | Lora
"""Updates that train head and encoder on the labels themselves."""
RATES = {"partial": 1e-4, "full": 5e-5, "lora": 5e-4, "contrastive": 2e-4}
"""encoder_learning_rate: auto, for a transformer."""
ADAPTER_RATE = 1e-3
"""The same for adapters in contrastive training."""
QUERY_RATE = 1e-3
"""Of the query of attention pooling in contrastive training: that of a head over layers that move."""


def is_step_by_step(update: Update) -> bool:
    """Return whether an update trains on the labels themselves, step by step, and so takes the settings of that."""
    return update.solver == "iterative" if isinstance(update, Head) else isinstance(update, Concrete)


def contrastive_rates(update: Contrastive) -> Rates:
    """Return how fast the layers learn in contrastive training, where no head does, but the query of attention pooling."""
    from nlptl.finetuning.gradient.layer_tuner import Rates

    rate = update.encoder_learning_rate
    auto = ADAPTER_RATE if update.rank else RATES["contrastive"]
    return Rates(QUERY_RATE, auto if rate == "auto" else rate, layer_decay=update.layer_decay, dropout=update.dropout)


def layers_of(update: Contrastive, depth: int) -> int | None:
    """Return how many of `depth` layers learn in contrastive training; None for all, with the embeddings."""
    if update.top_layers == "auto":
        return max(1, round(2 * depth / 3))
    return update.top_layers


def rates_of(update: Head | Partial | Full | Lora, head: float) -> Rates:
    """Return how fast head and layers of a transformer learn; `head` is the head's rate."""
    from nlptl.finetuning.gradient.layer_tuner import Rates

    if isinstance(update, Head):
        return Rates(head, 0.0)
    rate = update.encoder_learning_rate
    layered = update if isinstance(update, Partial | Full) else None
    return Rates(
        head,
        RATES[update.method] if rate == "auto" else rate,
        layer_decay=layered.layer_decay if layered else 1.0,
        warmup=update.warmup,
        gradual=layered.gradual_unfreezing if layered else False,
        l2_to_start=pull_of(update, default=0.0),
        dropout=update.dropout,
    )


def pull_of(update: Head | Partial | Full | Lora, *, default: float) -> float:
    """Return the pull of each weight to its start; `default` where the settings say auto."""
    if isinstance(update, Head | Lora):
        return 0.0
    return default if update.l2_to_start == "auto" else update.l2_to_start


def adapters_of(update: Lora, architecture: Architecture) -> Adapters:
    """Return LoRA's settings for an architecture; ConfigError names a target that it does not have."""
    from nlptl.finetuning.gradient.lora import Adapters

    known = {"linear": architecture.linear_targets, "attention": architecture.attention_targets}
    names = tuple(update.targets) if isinstance(update.targets, list) else known[update.targets]
    for name in sorted(set(names) - set(architecture.linear_targets)):
        raise ConfigError(
            f"finetune.update.targets: found {name!r}; expected linear, attention, or some of "
            f"{', '.join(architecture.linear_targets)}, the linear maps of this encoder. Choose among them."
        )
    return Adapters(update.rank, update.alpha, update.adapter_dropout, names, update.variant, update.merge)
