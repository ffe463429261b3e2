"""The token model of an exported classifier: a graph in the place of torch's layers.

Shapes: N packed tokens, D dimension.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Literal, NoReturn

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.inference.export_settings import ExportSettings, read_export
from nlptl.inference.exported_encoder import TOKEN_BUDGET
from nlptl.inference.graphs import TokenGraph, load_graph
from nlptl.inference.sentences import tokenize_by_sentence
from nlptl.inference.tokenizing import TokenRule, tokenize
from nlptl.models.origin import Origin
from nlptl.models.packing import Batch, LayerChoice


class ExportedModel(nn.Module):
    """token_vectors = graph(input_ids). Nothing of it learns, and it stays on the CPU."""

    kind: ClassVar[Literal["exported"]] = "exported"
    sorts = True
    token_budget = TOKEN_BUDGET

    def __init__(self, graph: TokenGraph, export: ExportSettings, rule: TokenRule) -> None:
        super().__init__()
        self.rule = rule
        self.origin: Origin | None = None
        self._graph, self._export = graph, export

    @classmethod
    def load(cls, folder: Path, rule: dict[str, Any]) -> ExportedModel:
        """Read the graph of an export."""
        export = read_export(folder)
        found = {"max_length" if name == "longest" else name: value for name, value in rule.items()}
        return cls(load_graph(folder, export), export, TokenRule(**found))

    @property
    def dim(self) -> int:
        """Width D of the token vectors."""
        return self._export.dim

    @property
    def device(self) -> torch.device:
        """Device of the graph."""
        return torch.device("cpu")

    def read(self, tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
        """Return each text's token ids."""
        return (tokenize if self.rule.sentence_start is None else tokenize_by_sentence)(tokenizer, texts, self.rule)

    def reading(self) -> AbstractContextManager[None]:
        """Return a block in which texts are read; a graph keeps nothing for it."""
        return nullcontext()

    def forward(self, batch: Batch, *, layer: LayerChoice | None = None) -> Tensor:
        """Return token vectors (N, D). Raises ConfigError for a choice of layer."""
        if layer is not None:
            self.layer_number(layer)
        if not len(batch.input_ids):
            return torch.zeros(0, self.dim)
        segments = batch.by_segment().lengths.numpy()
        found = self._graph.token_vectors(batch.input_ids.cpu().numpy(), segments[segments > 0])
        return torch.from_numpy(np.ascontiguousarray(found))

    def layer_number(self, layer: LayerChoice) -> NoReturn:
        """Raise ConfigError for any choice of layer."""
        raise ConfigError(
            f"layer: found {layer!r}; expected none, since an export computes its last layer alone. Remove it, or use the run."
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> ExportedModel:
        """Return the model itself, which never changes."""
        return self
