"""Encoder: text to sentence vector. Tokenizer + token model + pooling.

Shapes: B texts, D dimension.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl.artifact import (
    FORMAT_VERSION,
    Manifest,
    library_versions,
    publish,
    read_json,
    read_manifest,
    read_tensors,
    verify,
)
from nlptl.errors import ArtifactError
from nlptl.models.packing import Batch, TokenizedTexts, pack
from nlptl.models.pooling import Pooling
from nlptl.models.threads import side_by_side
from nlptl.models.word_vectors import WordVectors
from nlptl.training.batches import shrinking_batches, token_budget_batches

if TYPE_CHECKING:
    from nlptl.models.transformer import LayerChoice, Transformer

SETTINGS = "encoder.json"
TOKENIZER = "tokenizer.json"
POOLING = "pooling.safetensors"
PROBES = ("A text.", "Another one, which is somewhat longer and ends here: 1, 2, 3!")  # read back after every save
ADDED_PROBES = 8  # of the tokens that were added to the vocabulary, the newest, each as a probe
SAME = 1e-4  # two computations of the same thing may differ by so much
CHUNK = 20_000  # texts tokenised and sorted by length together; bounds the memory of a long list


class Encoder(nn.Module):
    """sentence_vector(text) = pooling(token_model(tokenizer(text))), scaled to length 1 where `normalized`.

    A text that is read sentence by sentence gets the mean of its sentences' vectors, scaled once more.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        token_model: WordVectors | Transformer,
        pooling: Pooling,
        *,
        normalized: bool = False,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.token_model = token_model
        self.pooling = pooling
        self.normalized = normalized

    @property
    def dim(self) -> int:
        """Width D of the sentence vectors."""
        return self.token_model.dim

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_model.device

    @property
    def transformer(self) -> Transformer:
        """The token model, where the caller knows that it is a transformer."""
        from nlptl.models.transformer import Transformer

        assert isinstance(self.token_model, Transformer)
        return self.token_model

    def words(self) -> list[str]:
        """Return the vocabulary by id."""
        vocabulary = self.tokenizer.get_vocab()
        return sorted(vocabulary, key=vocabulary.__getitem__)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids as the token model wants them."""
        return self.token_model.read(self.tokenizer, texts)

    def tokenized(self, texts: Sequence[str]) -> TokenizedTexts:
        """Return texts as token ids from which batches are picked."""
        return TokenizedTexts.of(self.token_ids(texts), sentence_start=self.token_model.rule.sentence_start)

    def forward(self, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D)."""
        return self.pooled(self.token_model(batch).float(), batch)

    def pooled(self, token_vectors: Tensor, batch: Batch) -> Tensor:
        """Return sentence vectors (B, D) of token vectors (N, D)."""
        pieces = self._scaled(self.pooling(token_vectors, batch.by_piece()))
        if batch.pieces is None:
            return pieces
        text = batch.text_of_piece()
        summed = pieces.new_zeros(len(batch.lengths), pieces.shape[1]).index_add(0, text, pieces)
        counts = torch.bincount(text, minlength=len(batch.lengths)).clamp(min=1)
        return self._scaled(summed / counts[:, None])

    def _scaled(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=1) if self.normalized else vectors

    def encode(
        self,
        texts: Sequence[str],
        *,
        normalize: bool = False,
        layer: LayerChoice | None = None,
        precision: Literal["float32", "bfloat16"] = "float32",
        after_batch: Callable[[int], None] | None = None,
    ) -> NDArray[np.float32]:
        """Return sentence vectors (B, D) of texts, in their order.

        `normalize` scales each to length 1 (a zero vector stays zero). `layer` takes the output of another layer of a
        transformer, 0 (the embeddings) to the last, negative ones counted from the last (-1), or "mean" of all.
        `precision` bfloat16 runs the token model on a copy of half the bits, several times as fast on a GPU, where it
        also opens the fused attention kernels, and slower on a CPU without AVX512-BF16; MiniLM's vectors keep a cosine
        of 0.9999 and more to those of float32. `after_batch` is told how many texts each finished batch held.
        """
        if isinstance(texts, str):
            raise TypeError("encode expects a list of texts; put the one text into a list")
        if precision == "bfloat16":
            token_model = copy.deepcopy(self.token_model)
            for parameter in token_model.parameters():  # buffers stay: rotary frequencies need all bits
                parameter.data = parameter.data.to(torch.bfloat16)
            halved = Encoder(self.tokenizer, token_model, self.pooling, normalized=self.normalized)
            return halved.encode(texts, normalize=normalize, layer=layer, after_batch=after_batch)
        parts: list[Tensor] = []
        for begin in range(0, max(1, len(texts)), CHUNK):
            with torch.inference_mode(), self.token_model.reading(layer), not_training(self):
                parts.append(self._encoded(texts[begin : begin + CHUNK], after_batch))
        vectors = torch.cat(parts)
        vectors = nn.functional.normalize(vectors, dim=1) if normalize else vectors
        result: NDArray[np.float32] = vectors.numpy()
        return result

    def _encoded(self, texts: Sequence[str], after_batch: Callable[[int], None] | None) -> Tensor:
        ids, start = self.token_ids(texts), self.token_model.rule.sentence_start
        vectors = torch.empty(len(ids), self.dim, device=self.device)

        def compute(rows: list[int]) -> Tensor:
            with torch.inference_mode():
                found: Tensor = self(pack([ids[row] for row in rows], sentence_start=start).to(self.device))
                return found.float()

        apart = self.token_model.sorts and self.device.type == "cpu"
        for rows, found in side_by_side(compute, self._batches([len(text) for text in ids]), apart=apart):
            vectors[rows] = found
            if after_batch:
                after_batch(len(rows))
        return vectors.cpu()

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Cut rows into batches; a transformer gets equally long texts together, the longest first."""
        budget = self.token_model.token_budget
        if not self.token_model.sorts:
            yield from (list(rows) for rows in token_budget_batches(lengths, budget=budget))
            return
        order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
        workers = torch.get_num_threads() if self.device.type == "cpu" else 1
        ordered = [lengths[row] for row in order]
        runs = (
            shrinking_batches(ordered, budget=budget, workers=workers)
            if workers > 1
            else token_budget_batches(ordered, budget=budget)
        )
        yield from (order[rows.start : rows.stop] for rows in runs)

    @staticmethod
    def files() -> frozenset[str]:
        """Return the names of all files that an encoder's folder may hold."""
        from nlptl.models import transformer, word_vectors

        return frozenset({SETTINGS, TOKENIZER, POOLING, *word_vectors.FILES, *transformer.FILES})

    def save(self, folder: Path | str) -> None:
        """Publish the encoder as a folder that `Encoder.load` reads: whole or not at all."""
        manifest = Manifest(kind="encoder", versions=library_versions(), total_parameters=count_parameters(self))
        publish(Path(folder), self.write_files, manifest, files=self.files())

    def write_files(self, folder: Path) -> None:
        """Write the encoder's files into an existing folder and read them back; `save` does it safely.

        Raises ArtifactError, before anything is published, when the files give other vectors.
        """
        self.write_parts(folder)
        self.check_written(folder, Encoder.read_files(folder))

    def check_written(self, folder: Path, again: Encoder) -> None:
        """Compare the vectors of some texts with those of the encoder that was read back."""
        added = [token.content for token in self.tokenizer.get_added_tokens_decoder().values()][-ADDED_PROBES:]
        texts = [*PROBES, *added]
        first, second = self.encode(texts), again.to(self.device).encode(texts)
        apart = float(np.abs(first - second).max())
        if not apart <= SAME * max(1.0, float(np.abs(first).max())):
            raise ArtifactError(
                f"{folder}: the encoder reads back with other vectors (by {apart:.2g}) than it was saved with; expected "
                "the same ones, so nothing was published. This is a fault of nlptl: please report it."
            )

    def write_parts(self, folder: Path) -> None:
        """Write the encoder's files without reading them back."""
        import json

        from safetensors.torch import save_file

        settings = {
            "format_version": FORMAT_VERSION,
            "token_model": self.token_model.kind,
            "pooling": self.pooling.mode,
            "normalized": self.normalized,
            **self.token_model.settings(),
        }
        (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
        self.token_model.save(folder, self.tokenizer)
        save_file({name: tensor.contiguous() for name, tensor in self.pooling.state_dict().items()}, folder / POOLING)

    @classmethod
    def load(cls, folder: Path | str) -> Encoder:
        """Read an encoder from a folder of `save` or of a stage that gives one."""
        verify(Path(folder), read_manifest(Path(folder), kind="encoder"))
        return cls.read_files(Path(folder))

    @classmethod
    def read_files(cls, folder: Path) -> Encoder:
        """Read the files of `write_files`; ArtifactError when one is missing or damaged."""
        settings = read_json(folder / SETTINGS)
        token_model = _read_token_model(folder, settings)
        try:
            tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        except Exception:  # tokenizers raises the bare class
            raise ArtifactError(
                f"{folder / TOKENIZER}: is missing or damaged; expected a tokenizers file. Run the stage again."
            ) from None
        # Cloned, since memory that is aligned otherwise would give other roundings than before saving.
        state = {name: tensor.clone() for name, tensor in read_tensors(folder / POOLING).items()}
        pooling = Pooling(
            settings["pooling"],
            token_weights=state["token_weights"],
            common_component=state["common_component"],
            query=state.get("query"),
        )
        return cls(tokenizer, token_model, pooling, normalized=settings.get("normalized", False)).eval()


@contextlib.contextmanager
def not_training(module: nn.Module) -> Iterator[None]:
    """Switch dropout off for a while."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


def _read_token_model(folder: Path, settings: dict[str, Any]) -> WordVectors | Transformer:
    kind = settings.get("token_model")
    if kind == "word_vectors":
        return WordVectors.load(folder, settings)
    if kind == "transformer":
        from nlptl.models.transformer import Transformer

        return Transformer.load(folder, settings)
    raise ArtifactError(
        f"{folder / SETTINGS}: found token_model {kind!r}; this nlptl reads 'word_vectors' and 'transformer'. "
        "Update nlptl."
    )


def count_parameters(module: nn.Module) -> int:
    """Return the number of scalars in a module's parameters."""
    return sum(parameter.numel() for parameter in module.parameters())
