"""Encoder: text to sentence vector. Tokenizer + token model + pooling.

Shapes: B texts, N packed tokens, M segments, D dimension, R width of all views.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl import artifact
from nlptl.data.python_texts import TextColumns, TextsLike, strings
from nlptl.errors import ConfigError
from nlptl.faults import shown
from nlptl.inference.segmenting import segmenter_alone, segmenter_of
from nlptl.models.at_rest import at_rest
from nlptl.models.encoder_files import EncoderParts, check_read_back, file_names, probe_texts
from nlptl.models.packing import Batch, LayerChoice, TokenizedTexts, pack
from nlptl.models.pooling import Pooling
from nlptl.models.projection import Projection
from nlptl.models.side_by_side import side_by_side, thread_count
from nlptl.models.views import TEXTS_AT_ONCE as VIEWED_AT_ONCE
from nlptl.models.views import View
from nlptl.models.word_vectors import WordVectors
from nlptl.training.token_budgets import shrinking_batches, token_budget_batches
from nlptl.versions import artifact_in_use

if TYPE_CHECKING:
    from nlptl.inference.segmenter import Segmenter, WordCutter
    from nlptl.models.exported_model import ExportedModel
    from nlptl.models.transformer import Transformer

    TokenModel = WordVectors | Transformer | ExportedModel

EncodingPrecision = Literal["float32", "bfloat16"]
ENCODING_PRECISIONS = get_args(EncodingPrecision)
TEXTS_AT_ONCE = 20_000  # tokenised and sorted by length together; bounds the memory of a long list


class Encoder(nn.Module):
    """sentence_vector(text) = pooling(token_model(tokenizer(text))), projected if there is a `projection`.

    It is scaled to length 1 if `normalized`; then the first `kept_dim` numbers are kept. A text that is read by sentence
    gets the mean of its sentences' vectors, scaled once more. The vectors of its `views` follow.
    """

    def __init__(
        self, tokenizer: Tokenizer, token_model: TokenModel, pooling: Pooling, *, normalized: bool = False,
        projection: Projection | None = None, kept_dim: int | None = None, views: Sequence[View] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self.tokenizer, self.normalized, self.kept_dim = tokenizer, normalized, kept_dim
        self.token_model, self.pooling, self.projection = token_model, pooling, projection
        self._views = nn.ModuleList(views)

    @property
    def views(self) -> tuple[View, ...]:
        """Views whose vectors follow the encoder's own."""
        return cast("tuple[View, ...]", tuple(self._views))

    @property
    def joined_views(self) -> tuple[View, ...]:
        """Views beside vectors of its own; none where the views are all that the encoder has."""
        return self.views if self.own_dim else ()

    @property
    def dim(self) -> int:
        """Width D of the sentence vectors, views included."""
        return self.own_dim + sum(view.dim for view in self.views)

    @property
    def own_dim(self) -> int:
        """Width of the sentence vectors without views, which follow."""
        whole = self.token_model.dim if self.projection is None else self.projection.dim
        return whole if self.kept_dim is None else min(whole, self.kept_dim)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.token_model.device

    @property
    def segmenter(self) -> Segmenter | None:
        """What cuts Japanese into words by the settings of a stage, for the token model or a view; None where nothing does."""
        found = map(segmenter_alone, self._word_cutters())
        return next((one for one in found if one is not None), None)

    @property
    def word_cutter(self) -> WordCutter | None:
        """What cuts texts into words for the token model, or for a view; None where nothing does."""
        return next((one for one in self._word_cutters() if one is not None), None)

    @property
    def transformer(self) -> Transformer:
        """The token model, if the caller knows that it is a transformer."""
        from nlptl.models.transformer import Transformer

        assert isinstance(self.token_model, Transformer)
        return self.token_model

    @property
    def trainable_kind(self) -> Literal["word_vectors", "transformer"]:
        """Kind of the token model. Raises ConfigError for an export, which learns nothing more."""
        if self.token_model.kind == "exported":
            raise ConfigError(
                "encoder: found that of an export, which computes in a fixed graph; expected one that learns. Use the run that it "
                "was exported from."
            )
        return self.token_model.kind

    def _word_cutters(self) -> tuple[WordCutter | None, ...]:
        return segmenter_of(self.tokenizer), *(view.terms.segmenter for view in self.views)

    def words(self) -> list[str]:
        """Return the vocabulary by id."""
        return [word for word, _ in sorted(self.tokenizer.get_vocab().items(), key=lambda item: item[1])]

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        return self.token_model.read(self.tokenizer, texts)

    def tokenized(self, texts: Sequence[str]) -> TokenizedTexts:
        """Return the token ids and views of texts, from which batches are picked."""
        start = self.token_model.rule.sentence_start
        return TokenizedTexts.of(self.token_ids(texts), sentence_start=start, views=self.view_vectors(texts))

    def view_vectors(self, texts: Sequence[str]) -> Tensor | None:
        """Return the vectors (B, R) of all views side by side, on the CPU; None without views."""
        return torch.cat([view.vectors(texts) for view in self.views], dim=1) if self.views else None

    def with_parts(
        self, *, token_model: TokenModel | None = None, pooling: Pooling | None = None, normalized: bool | None = None
    ) -> Encoder:
        """Return an encoder with other parts. It shares the rest with this one."""
        return Encoder(
            self.tokenizer, token_model or self.token_model, pooling or self.pooling,
            normalized=self.normalized if normalized is None else normalized,
            projection=self.projection, kept_dim=self.kept_dim, views=self.views,
        )  # fmt: skip

    def with_views(self, views: Sequence[View]) -> Encoder:
        """Return an encoder with these views instead of its own. It shares the rest with this one."""
        found = Encoder(
            self.tokenizer, self.token_model, self.pooling, normalized=self.normalized,
            projection=self.projection, kept_dim=self.kept_dim, views=views,
        )  # fmt: skip
        found.training = self.training
        return found

    def alone(self) -> Encoder:
        """Return the encoder without the views that are joined to it, itself if there are none. It shares its parts with it."""
        return self.with_views(()) if self.joined_views else self

    def forward(self, batch: Batch, *, layer: LayerChoice | None = None) -> Tensor:
        """Return sentence vectors (B, D), of the token vectors of `layer` if it is given."""
        thread_count()  # torch asks in each new thread for once, and must not find the workers' number
        return self.pooled(self.token_model(batch, layer=layer).float(), batch)

    def pooled(self, token_vectors: Tensor, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D) of token vectors (N, D) and the views that the batch carries."""
        views = batch.views
        if skipped := self.token_model.rule.skipped:
            batch, kept = batch.without_first(skipped)
            token_vectors = token_vectors[kept]
        segments = self.pooling(token_vectors, batch.by_segment())
        segments = self._scaled(segments if self.projection is None else self.projection(segments))
        own = (segments if batch.segments is None else self._joined(segments, batch))[:, : self.kept_dim]
        if not self.views:
            return own
        if views is None:
            raise ValueError("the batch carries no vectors of the encoder's views; make it with `tokenized`")
        return torch.cat([own, views.to(own.dtype)], dim=1)

    def _joined(self, segments: Tensor, batch: Batch) -> Tensor:
        """Return the vectors (B, D) of texts whose sentences have the vectors `segments` (M, D)."""
        text = batch.text_of_segment()
        summed = segments.new_zeros(len(batch.lengths), segments.shape[1]).index_add(0, text, segments)
        counts = torch.bincount(text, minlength=len(batch.lengths)).clamp(min=1)
        return self._scaled(summed / counts[:, None])

    def _scaled(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=1) if self.normalized else vectors

    def encode(
        self,
        texts: TextsLike,
        *,
        text: TextColumns = "text",
        normalize: bool = False,
        layer: LayerChoice | None = None,
        precision: EncodingPrecision = "float32",
        after_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return sentence vectors (B, D) of texts, in their order.

        Texts come as a list, tuple, generator, array or Series, as a frame or data set with the column `text`, or as a file's
        path. Anything else raises DataError, and so do rows without a text; an empty string has a vector.
        `normalize` scales each to length 1; zero stays zero. `layer` selects a transformer's layer: 0 (the embeddings) to
        the last, negative ones counted from the last (-1), or "mean" of all. `precision` bfloat16 is several times as fast
        on a GPU, and slower on a CPU without AVX512-BF16; MiniLM's vectors keep a cosine of at least 0.9999 to those of
        float32. `after_batch` is called with the number of texts of each finished batch. Dropout is off.

        Nothing is kept of these arguments: threads may call at once, with other ones.
        """
        texts = strings(texts, text=text)
        _check_choices(normalize, precision)
        if precision == "bfloat16":
            token_model = copy.deepcopy(self.token_model)
            for parameter in token_model.parameters():  # buffers stay: rotary frequencies need all bits
                parameter.data = parameter.data.to(torch.bfloat16)
            halved = self.with_parts(token_model=token_model)
            return halved.encode(texts, normalize=normalize, layer=layer, after_batch=after_batch)
        layer = None if layer is None else self.token_model.layer_number(layer)
        resting = self.with_parts(token_model=at_rest(self.token_model), pooling=at_rest(self.pooling))
        parts: list[Tensor] = []
        for begin in range(0, max(1, len(texts)), TEXTS_AT_ONCE):
            with torch.inference_mode(), resting.token_model.reading():
                parts.append(resting._encoded(texts[begin : begin + TEXTS_AT_ONCE], layer, after_batch))
        vectors = torch.cat(parts)
        return cast("NDArray[np.float32]", (nn.functional.normalize(vectors, dim=1) if normalize else vectors).numpy())

    def _encoded(
        self, texts: Sequence[str], layer: LayerChoice | None, after_batch: Callable[[int], None] | None
    ) -> Tensor:
        if not self.own_dim:
            return self._by_views(texts, after_batch)
        ids, start = self.token_ids(texts), self.token_model.rule.sentence_start
        vectors, views = torch.empty(len(ids), self.dim, device=self.device), self.view_vectors(texts)

        @torch.inference_mode()
        def compute(rows: list[int]) -> Tensor:
            beside = None if views is None else views[rows]
            batch = pack([ids[row] for row in rows], sentence_start=start, views=beside)
            with torch.autocast(self.device.type, enabled=False):  # a caller's autocast would reach one thread only
                return cast("Tensor", self(batch.to(self.device), layer=layer)).float()

        apart = self.token_model.sorts and self.device.type == "cpu"
        for rows, found in side_by_side(compute, self._batches([len(text) for text in ids]), apart=apart):
            vectors[rows] = found
            if after_batch:
                after_batch(len(rows))
        return vectors.cpu()

    def _by_views(self, texts: Sequence[str], after_batch: Callable[[int], None] | None) -> Tensor:
        """Return the vectors (B, R) of the views, which are all there is: no text is tokenised."""
        vectors = torch.empty(len(texts), self.dim)
        for begin in range(0, len(texts), VIEWED_AT_ONCE):
            part = texts[begin : begin + VIEWED_AT_ONCE]
            found = self.view_vectors(part)
            assert found is not None
            vectors[begin : begin + len(part)] = found
            if after_batch:
                after_batch(len(part))
        return vectors

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Yield the rows of each batch. A transformer gets texts of equal length together, the longest first."""
        order, cut = list(range(len(lengths))), token_budget_batches
        if self.token_model.sorts:
            order.sort(key=lengths.__getitem__, reverse=True)
            if self.device.type == "cpu" and (threads := thread_count()) > 1:
                cut = partial(shrinking_batches, workers=threads)
        for rows in cut([lengths[row] for row in order], budget=self.token_model.token_budget):
            yield order[rows.start : rows.stop]

    @staticmethod
    def files() -> frozenset[str]:
        """Return the names of all files that an encoder's folder may hold."""
        return file_names()

    def save(self, folder: Path | str) -> None:
        """Publish the encoder as a folder that `Encoder.load` reads: whole or not at all."""
        total, versions = count_parameters(self), artifact.library_versions()
        manifest = artifact.Manifest(kind="encoder", versions=versions, total_parameters=total)
        artifact.publish(folder, self.write_files, manifest)

    def write_files(self, folder: Path) -> None:
        """Write the encoder's files into an existing folder. Raises ArtifactError if they read back with other vectors."""
        self.write_parts(folder)
        self.check_written(folder, Encoder.read_files(folder))

    def check_written(self, folder: Path, again: Encoder) -> None:
        """Compare the vectors of some texts with those of `again`, which was read back. Raises ArtifactError if they differ."""
        texts = probe_texts(self.tokenizer)
        check_read_back(folder, "encoder", "vectors", self.encode(texts), again.to(self.device).encode(texts))

    def write_parts(self, folder: Path) -> None:
        """Write the encoder's files without reading them back."""
        parts = EncoderParts(
            self.tokenizer, self.token_model, self.pooling, self.normalized, self.projection, self.kept_dim, self.views
        )
        parts.write(folder)

    @classmethod
    def load(cls, folder: Path | str) -> Encoder:
        """Read an encoder from a folder of `save`, of a stage or of a whole run. A classifier's folder gives its encoder."""
        return artifact.read_published(artifact_in_use(folder), cls.read_files)

    @classmethod
    def read_files(cls, folder: Path) -> Encoder:
        """Read the files of `write_files`. Raises ArtifactError if one is missing or damaged."""
        parts = EncoderParts.read(folder)
        return cls(
            parts.tokenizer, parts.token_model, parts.pooling, normalized=parts.normalized, projection=parts.projection,
            kept_dim=parts.kept_dim, views=parts.views,
        ).eval()  # fmt: skip

    @classmethod
    def read_word_vectors(cls, folder: Path) -> tuple[Encoder, WordVectors]:
        """Read the encoder of a published folder and its word vectors. Raises ConfigError where words have none."""
        encoder = artifact.read_published(folder, cls.read_files)
        if not isinstance(encoder.token_model, WordVectors):
            raise ConfigError(
                f"{folder}: holds a transformer, whose words have no vector of their own; expected a run that begins with "
                "skipgram. Choose one."
            )
        if not encoder.own_dim:
            raise ConfigError(
                f"{folder}: holds n-grams, beside which no word has a vector of its own; expected a run that begins with "
                "skipgram. Choose one."
            )
        return encoder, encoder.token_model


def _check_choices(normalize: object, precision: object) -> None:
    """Raise ConfigError for a precision that there is not, and for what is neither True nor False."""
    if precision not in ENCODING_PRECISIONS:
        raise ConfigError(
            f"encode: precision is {shown(precision)}, but must be one of {', '.join(ENCODING_PRECISIONS)}. Choose one of them."
        )
    if not isinstance(normalize, bool | np.bool_):
        raise ConfigError(f"encode: normalize is {shown(normalize)}, but must be True or False. Choose one of them.")


def count_parameters(module: nn.Module) -> int:
    """Return the number of scalars in a module's parameters and in the tables of its views."""
    tables = [part.table.numel() for part in module.modules() if isinstance(part, View)]
    return sum(parameter.numel() for parameter in module.parameters()) + sum(tables)
