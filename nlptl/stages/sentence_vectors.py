"""Stage two: how token vectors become one sentence vector, and what views of the pile are joined to it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, model_validator

from nlptl.artifact import Kind
from nlptl.context import RunContext
from nlptl.errors import ConfigError, DataError
from nlptl.inference.settings_files import MAX_VIEWS
from nlptl.pretraining.views.view_settings import ViewSettings, check_segmenters, segmenter_digests
from nlptl.pretraining.word2vec.engine_choice import missing_engines
from nlptl.stages.stage import ExpectedModel, Part, Stage, TokenModelKind
from nlptl.stages.unlabelled import drawn_texts, pile_parts, pile_tables, watched

if TYPE_CHECKING:
    from torch import Tensor

    from nlptl.data import TextData, TextTable
    from nlptl.models.encoder import Encoder
    from nlptl.models.pooling import Pooling
    from nlptl.models.transformer import Transformer

FITTED_ON: tuple[Part, ...] = ("unlabelled", "labelled")  # the first of these that is there
SAMPLED_TEXTS = 20_000  # of the pile, drawn at random: n-grams are counted in them
MEASURED_TEXTS = 256  # of the pile, whose vectors say how long those of views should be
VIEWS_SHARE = 0.5
"""Squared length of all views together, over that of the encoder's own vectors. Ridge heads on MiniLM and two views, 8 and 32
a label, mean of six sets (20 draws): .647 without views, .667 at 0.5, .663 at 1, .648 at 2."""


class SentenceVectors(Stage):
    """Choose and fit the pooling of an encoder, and join views of the pile to it."""

    stage: Literal["sentence_vectors"] = "sentence_vectors"
    """The name of this stage."""
    pooling: Literal["auto", "mean", "max", "tfidf", "sif", "cls", "attention"] = "auto"
    """mean: plain average. max: strongest value a dimension. tfidf: average weighted by rarity over texts. sif:
    average weighted by rarity over words, without the pile's common component (Arora et al. 2017). For a transformer
    also cls: the first token, and attention: average weighted by a query that learns with the labels. auto: sif for
    word vectors (mean where there are no texts to fit it on), what it was trained with for a transformer."""
    layer: Annotated[
        Annotated[int, Field(ge=-1000, le=1000)] | Literal["mean", "last"], Field(union_mode="left_to_right")
    ] = "last"
    """For a transformer: the layer whose outputs are pooled, 0 (the embeddings) to the last, negative ones counted from
    the last (-1), or the mean of all layers. Middle layers know words, the last ones the task they were trained for."""
    normalize: bool | None = None
    """Scale every sentence vector to length 1. null: what the encoder was trained with; false for word vectors."""
    by_sentence: bool | None = None
    """For a transformer: read every sentence of a text alone and take the mean of their vectors. Made for long texts, of which
    an encoder that was trained on sentences sees little at once: a head over frozen vectors tells the opinion of reviews better
    by 3 to 10 points, and what they are about no better. `max_length` then limits a sentence; a text may be four times as long.
    null: as the encoder does; weights as they come read texts whole."""
    sif_a: float = Field(default=1e-3, gt=0, le=1)
    """SIF's a: words more frequent than this share count for less; smaller lets only rare words speak."""
    remove_common: bool = True
    """SIF: remove the component that all texts of the pile share."""
    views: list[ViewSettings] = Field(default=[], max_length=MAX_VIEWS)
    """Views of a text that are learnt from the pile and the labelled texts, without their labels; their vectors follow those of
    the encoder. word_vectors: means of word vectors that skip-gram learns. ngrams: tf-idf of words and parts of words. They know
    what is particular to the pile, and cost seconds. Fine-tuning moves the encoder alone. None: those that it has."""

    takes: ClassVar[Kind | None] = "encoder"
    gives: ClassVar[Kind] = "encoder"
    version: ClassVar[int] = 4

    @model_validator(mode="after")
    def _views_differ(self) -> SentenceVectors:
        for number, settings in enumerate(self.views):
            for before, other in enumerate(self.views[:number]):
                if _knows_no_more(settings, other):
                    raise ValueError(
                        f"found views.{before} and views.{number}, which are both {settings.view} and tell the same; expected "
                        "views that differ in more than dim. Drop one of them"
                    )
        return self

    @property
    def is_random(self) -> bool:
        """Whether views are learnt."""
        return bool(self.views)

    def reads(self, data: TextData) -> frozenset[Part]:
        """Return the pile for tfidf and sif, or the labelled texts where there is no pile; all of them for views."""
        return self._fitted_on(data) | pile_parts(data, learns=self.is_random, include_labelled=True)

    def _fitted_on(self, data: TextData) -> frozenset[Part]:
        if self.pooling not in ("auto", "tfidf", "sif"):
            return frozenset()
        return frozenset([part for part in FITTED_ON if getattr(data, part) is not None][:1])

    def expected_model(self, before: ExpectedModel) -> ExpectedModel:
        """Take the layers away where the embeddings (layer 0) or a layer counted from the last are read."""
        reads_layers = self.layer in ("last", "mean") or int(self.layer) > 0
        layers = before.layers
        if layers is not None and not isinstance(self.layer, str):
            layers = self.layer % (layers + 1)
        return dataclasses.replace(before, has_layers=before.has_layers and reads_layers, layers=layers)

    def check(self, *, where: str) -> None:
        """Refuse views whose packages are missing."""
        check_segmenters(self.views, where=f"{where}.views")

    def external_digests(self) -> Mapping[str, str]:
        """Return the versions of the dictionaries by which views cut words."""
        return segmenter_digests(self.views)

    def watched_paths(self) -> frozenset[Path]:
        """Return the files of these dictionaries."""
        return frozenset(view.cut_by.file() for view in self.views if view.cut_by is not None)

    def check_chain(self, given: ExpectedModel, data: TextData | None, *, where: str) -> None:
        """Refuse a layer that the encoder does not have, and an encoder without token vectors."""
        if not given.has_token_vectors:
            raise _nothing_to_pool(where)
        layers = given.layers
        if layers is not None and not isinstance(self.layer, str) and not -layers - 1 <= self.layer <= layers:
            raise ConfigError(
                f"{where}.layer: found {self.layer}; expected mean, last or a number from {-layers - 1} to {layers}, since this "
                f"encoder has {layers} layers. Choose one of them."
            )

    def check_model(self, token_model: TokenModelKind, *, where: str) -> None:
        """Refuse over word vectors what only layers and first tokens can give."""
        found, lack = None, "; expected mean, max, tfidf or sif there. Choose one"
        alone = "; expected it only with a transformer. Drop it"
        if self.pooling in ("cls", "attention"):
            found = f"pooling: found {self.pooling}"
        elif self.layer != "last":
            found, lack = f"layer: found {self.layer}", f", which have no layers{alone}"
        elif self.by_sentence:
            found, lack = "by_sentence: found true", f", which know no sentences{alone}"
        if found and token_model != "transformer":
            raise ConfigError(f"{where}.{found} over word vectors{lack}, or begin the chain with bert.")

    def remarks(self, data: TextData) -> list[str]:
        """Return which views need a GPU that this machine lacks."""
        engines = {
            f"sentence_vectors.views.{number}": view.engine
            for number, view in enumerate(self.views)
            if view.view == "word_vectors"
        }
        return list(missing_engines(engines))

    def check_data(self, data: TextData, *, where: str) -> None:
        """Refuse data without any text to fit on."""
        if self.views and not self.reads(data):
            raise DataError(
                f"{where}.views: found no texts to learn views from; expected a pile of them. Give data.unlabelled."
            )
        if self.pooling in ("tfidf", "sif") and not self._fitted_on(data):
            raise DataError(
                f"{where}: found no texts for {self.pooling} pooling; it is fitted on data.unlabelled. "
                "Give some, or use mean pooling."
            )

    def run(self, given: Encoder, *, data: TextData, context: RunContext | None = None) -> Encoder:
        """Return a copy of `given` with this pooling and these views; tfidf, sif and views need texts (DataError without).

        Raises ConfigError for a layer that the encoder does not have, and for sentences that its tokenizer cannot mark.
        """
        from nlptl.inference.sentences import rule_for
        from nlptl.models.transformer import Transformer

        context = context or RunContext()
        self.check_model(given.trainable_kind, where="sentence_vectors")
        if not given.own_dim:
            raise _nothing_to_pool("sentence_vectors")
        self.check_data(data, where="sentence_vectors")
        token_model = copy.deepcopy(given.token_model)
        if isinstance(token_model, Transformer):
            token_model = token_model.to(context.torch_device())
            if self.layer != "last":
                token_model.layer = token_model.layer_number(self.layer)
            if self.by_sentence is not None:
                rule, where = token_model.rule, "sentence_vectors.by_sentence"
                token_model.rule = rule_for(rule, given.tokenizer, by_sentence=self.by_sentence, where=where)
                self._check_refitted(given, token_model)
        normalized = given.normalized if self.normalize is None else self.normalize
        plain = given.with_parts(token_model=token_model, normalized=normalized).eval()
        pooled = plain.with_parts(pooling=self._pooling(plain, data, context)).eval()
        return self._with_views(pooled, data, context).eval() if self.views else pooled

    def _with_views(self, encoder: Encoder, data: TextData, context: RunContext) -> Encoder:
        """Return the encoder with views whose vectors are of a length at which one head can weigh all of them."""
        tables = pile_tables(data, pile_parts(data, learns=True, include_labelled=True))
        sample = drawn_texts(tables, SAMPLED_TEXTS, seed=context.seed)
        own = _mean_length(encoder.with_views(()), sample[:: max(1, len(sample) // MEASURED_TEXTS)])
        length = own * (VIEWS_SHARE / len(self.views)) ** 0.5
        views = [
            settings.learn(
                lambda: watched(tables, "reading the pile", context, arrays=True),
                sample,
                context,
                length=length,
                where=f"sentence_vectors.views.{number}",
            )
            for number, settings in enumerate(self.views)
        ]
        joined = encoder.with_views(views)
        told = self._views_told(joined, texts=sum(map(len, tables)), has_pile=data.unlabelled is not None)
        context.record.add_finding("views", [view.dim for view in views], told)
        return joined

    def _views_told(self, joined: Encoder, *, texts: int, has_pile: bool) -> str:
        """Tell the widths of the vectors, the texts behind the views, and which views are narrower than their settings."""
        pairs = list(zip(self.views, joined.views, strict=True))
        widths = ", ".join(f"{view.dim} of {settings.view}" for settings, view in pairs)
        learnt = (
            "from the pile." if has_pile else f"from the {texts:,} labelled texts. data.unlabelled would tell more."
        )
        told = [f"The vectors have {joined.own_dim} numbers of the encoder and {widths}, learnt {learnt}"]
        told += [
            f"{settings.view} was to have {settings.dim:,}, and the texts have {view.dim:,} direction{'s' * (view.dim != 1)}."
            for settings, view in pairs
            if view.dim < settings.dim
        ]
        return " ".join(told)

    def _check_refitted(self, given: Encoder, token_model: Transformer) -> None:
        """Refuse a pooling that was fitted to texts read otherwise."""
        fitted = self.pooling == "auto" and given.pooling.is_fitted
        if fitted and token_model.rule.sentence_start != given.token_model.rule.sentence_start:
            raise ConfigError(
                f"sentence_vectors.by_sentence: found {str(self.by_sentence).lower()} over {given.pooling.mode} pooling that was "
                "fitted to texts read otherwise; expected a pooling to be fitted anew. Set pooling, too."
            )

    def _pooling(self, given: Encoder, data: TextData, context: RunContext) -> Pooling:
        import torch

        from nlptl.models.pooling import Pooling, idf_weights, sif_weights
        from nlptl.models.word_vectors import WordVectors

        mode = self.pooling
        if mode == "auto":
            if given.token_model.kind == "transformer":
                return copy.deepcopy(given.pooling).to(given.device)
            mode = "sif" if self._fitted_on(data) else "mean"
        if mode == "attention":
            return Pooling("attention", query=torch.zeros(given.token_model.dim, device=given.device))
        if mode not in ("tfidf", "sif"):
            return Pooling(mode)
        (part,) = self._fitted_on(data)
        pile: TextTable = getattr(data, part)
        if mode == "tfidf":
            weights = idf_weights(_frequency(given, pile, context, once=True), len(pile))
            return Pooling("tfidf", token_weights=weights).to(given.device)
        table = given.token_model
        counts = table.counts if isinstance(table, WordVectors) else _frequency(given, pile, context, once=False)
        if isinstance(table, WordVectors) and table.subwords is not None:
            counts = torch.cat([counts.new_zeros(1), counts[1:]])  # row 0 stands for each single unseen word
        plain = Pooling("sif", token_weights=sif_weights(counts, self.sif_a)).to(given.device)
        if not self.remove_common:
            return plain
        common = _common_component(given, plain, pile, context).to(given.device)
        return Pooling("sif", token_weights=plain.token_weights, common_component=common)


def _nothing_to_pool(where: str) -> ConfigError:
    return ConfigError(
        f"{where}: found sentence_vectors over n-grams, which have no token vectors to pool; expected classification_head. Drop "
        "the stage, or begin the chain with skipgram or bert."
    )


def _knows_no_more(one: ViewSettings, other: ViewSettings) -> bool:
    """Say whether two views are equal but for their width. The narrower one is then the beginning of the wider, or nearly so."""
    return one == other.model_copy(update={"dim": one.dim})


def _mean_length(encoder: Encoder, texts: Sequence[str]) -> float:
    """Return the mean distance of the vectors of texts from their mean, or 1 where all are alike."""
    vectors = encoder.encode(texts)
    return float(np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).mean()) or 1.0


def _frequency(given: Encoder, pile: TextTable, context: RunContext, *, once: bool) -> Tensor:
    """Return the count of each token (V,), of its texts if `once`. Words with a vector by spelling alone count as none."""
    import torch

    frequency = torch.zeros(given.tokenizer.get_vocab_size(), dtype=torch.int64)
    for batch in watched([pile], "fitting the pooling", context):
        tokens = [token for ids in given.token_ids(batch) for token in (set(ids) if once else ids)]
        found = torch.tensor(tokens, dtype=torch.int64)
        frequency += torch.bincount(found[found < len(frequency)], minlength=len(frequency))
    return frequency


def _common_component(given: Encoder, pooling: Pooling, pile: TextTable, context: RunContext) -> Tensor:
    """Return the first right singular vector (D,) of the pile's weighted sentence vectors."""
    import torch

    from nlptl.models.encoder import Encoder
    from nlptl.models.pooling import first_component

    encoder = Encoder(given.tokenizer, given.token_model, pooling).eval()  # before any projection
    moment = torch.zeros(given.token_model.dim, given.token_model.dim, dtype=torch.float64)
    for batch in watched([pile], "fitting the pooling", context):
        vectors = torch.from_numpy(encoder.encode(batch)).double()
        moment += vectors.T @ vectors
    return first_component(moment)
