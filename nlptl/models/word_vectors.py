"""The static token model: one vector a word, whatever its context.

Shapes: V words, D dimension, N packed tokens, P phrases.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl.artifact import read_tensors
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.inference.file_names import TOKENIZER, WORD_VECTORS
from nlptl.inference.spelling import Spelling
from nlptl.inference.static_words import UNKNOWN_ID, merged
from nlptl.inference.tokenizer_files import encoded
from nlptl.inference.tokenizing import TEXTS_AT_ONCE, TokenRule, tokenize
from nlptl.models.packing import Batch, LayerChoice
from nlptl.models.subwords import Subwords
from nlptl.training.token_budgets import TOKEN_BUDGET

if TYPE_CHECKING:
    from nlptl.models.origin import Origin


class WordVectors(nn.Module):
    """token_vectors[n] = vectors[input_ids[n]] (Mikolov et al. 2013). Row 0 is the unknown word and stays zero.

    With `subwords`, an unseen word has the vector of its spelling and an id of V or more, valid for this object and only
    inside `reading`. With `phrases`, neighbouring words are read as one.
    """

    kind: ClassVar[Literal["word_vectors"]] = "word_vectors"
    rule = TokenRule(drop=UNKNOWN_ID, unknown=UNKNOWN_ID)
    sorts = False
    token_budget = TOKEN_BUDGET

    counts: Tensor
    phrases: Tensor | None

    def __init__(
        self, vectors: Tensor, counts: Tensor, *, subwords: Subwords | None = None, phrases: Tensor | None = None
    ) -> None:
        """`vectors` (V, D) float32; `counts` (V,) int64, occurrences of each word in the unlabelled texts.

        With `subwords`, the vector of a known word already is the mean of its own and its n-grams' vectors. `phrases`
        (P, 3) int32 holds the ids of two words, the first of which may be a phrase, and the id of both together.
        """
        super().__init__()
        self.vectors = nn.Parameter(vectors)
        self.register_buffer("counts", counts)
        self.register_buffer("phrases", phrases)
        self.subwords = subwords
        self.origin: Origin | None = None  # of the vectors, where it is known
        self._pairs = {} if phrases is None else {(a, b): both for a, b, both in phrases.tolist()}

    @property
    def dim(self) -> int:
        """Width D of the token vectors."""
        return int(self.vectors.shape[1])

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.vectors.device

    def read(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids. Words without a vector are left out."""
        if self.subwords is None and not self._pairs:
            return tokenize(tokenizer, texts, self.rule)
        found: list[list[int]] = []
        for begin in range(0, len(texts), TEXTS_AT_ONCE):
            ids = self._all_ids(tokenizer, texts[begin : begin + TEXTS_AT_ONCE])
            if self._pairs:
                ids = [merged(text, self._pairs) for text in ids]
            found.extend([i for i in text if i != UNKNOWN_ID] for text in ids)
        return found

    def placed(self, tokenizer: Tokenizer, text: str) -> tuple[list[int], list[tuple[int, int]]]:
        """Return a text's token ids as `read` does, and the first character of each with the one after its last."""
        found = encoded(lambda some: [tokenizer.encode(each, add_special_tokens=False) for each in some], [text])[0]
        ids, spans = found.ids if self.subwords is None else self._all_ids(tokenizer, [text])[0], found.offsets
        ids = merged(ids, self._pairs, spans=spans)
        known = [place for place, index in enumerate(ids) if index != UNKNOWN_ID]
        return [ids[place] for place in known], [spans[place] for place in known]

    def forward(self, batch: Batch, *, layer: LayerChoice | None = None) -> Tensor:
        """Return token vectors (N, D). Raises ConfigError for a choice of layer."""
        if layer is not None:
            self.layer_number(layer)
        return self.rows(batch.input_ids)

    def layer_number(self, layer: LayerChoice) -> NoReturn:
        """Raise ConfigError for any choice of layer."""
        raise ConfigError(f"layer: found {layer!r}; expected none, since word vectors have no layers. Remove it.")

    def rows(self, ids: Tensor) -> Tensor:
        """Return the vectors (N, D) of token ids (N,), unseen words included."""
        unseen = ids >= len(self.vectors)
        if self.subwords is None or not unseen.any():
            return nn.functional.embedding(ids, self.vectors)
        found = nn.functional.embedding(ids.masked_fill(unseen, UNKNOWN_ID), self.vectors)
        return found.index_put((unseen,), self.subwords(ids[unseen] - len(self.vectors)))

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Keep the ids of unseen words inside the block."""
        with contextlib.nullcontext() if self.subwords is None else self.subwords.held():
            yield

    def settings(self) -> dict[str, Any]:
        """Return the spelling, if there are subwords. The files hold the rest."""
        return {} if self.subwords is None else {"subwords": self.subwords.spelling.model_dump()}

    def save(self, folder: Path, tokenizer: Tokenizer) -> None:
        """Write vectors, counts, buckets, phrases and tokenizer into `folder`."""
        tensors = {"vectors": self.vectors.detach().contiguous(), "counts": self.counts}
        if (spelt := self.subwords) is not None:
            tensors |= {"bucket_ids": spelt.bucket_ids.contiguous(), "buckets": spelt.buckets.detach().contiguous()}
        if self.phrases is not None:
            tensors["phrases"] = self.phrases.contiguous()
        save_file(tensors, folder / WORD_VECTORS)
        (folder / TOKENIZER).write_text(tokenizer.to_str(pretty=False), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, settings: Mapping[str, Any]) -> WordVectors:
        """Read what `save` wrote, given what `settings` returned."""
        tensors = read_tensors(folder / WORD_VECTORS)
        spelling = settings.get("subwords")
        try:
            subwords = spelling and Subwords(Spelling(**spelling), tensors["bucket_ids"], tensors["buckets"])
            vectors, counts = tensors["vectors"], tensors["counts"]
            if vectors.ndim != 2 or counts.shape != vectors.shape[:1]:
                raise ValueError("vectors and counts of different lengths")
            return cls(vectors, counts, subwords=subwords, phrases=tensors.get("phrases"))
        except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
            raise ArtifactError(
                f"{folder / WORD_VECTORS}: holds no word vectors that encoder.json describes ({first_line(error)}); the "
                "folder is damaged. Run the stage again."
            ) from None

    def _all_ids(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return all token ids, those of unknown words too, before phrases are read as one."""
        spelt = self.subwords
        return tokenize(tokenizer, texts, TokenRule()) if spelt is None else self._spelt(spelt, tokenizer, texts)

    def _spelt(self, subwords: Subwords, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return all token ids, unseen words by their spelling."""
        normal = encoded(lambda some: [tokenizer.normalizer.normalize_str(text) for text in some], texts)
        splitter = Tokenizer(
            tokenizer.model
        )  # without normalizer: offsets apply to normalised texts; shares the vocabulary
        splitter.pre_tokenizer = tokenizer.pre_tokenizer
        encodings = encoded(partial(splitter.encode_batch, add_special_tokens=False), normal)
        ids = [encoding.ids for encoding in encodings]
        unseen: dict[tuple[int, int], str] = {}  # (row, place): word
        for row, text in enumerate(ids):
            if UNKNOWN_ID in text:
                offsets = encodings[row].offsets
                places = (place for place, index in enumerate(text) if index == UNKNOWN_ID)
                unseen |= {(row, place): normal[row][slice(*offsets[place])] for place in places}
        numbers = subwords.numbers(unseen.values())
        for (row, place), word in unseen.items():
            number = numbers[word]
            ids[row][place] = UNKNOWN_ID if number is None else len(self.vectors) + number
        return ids
