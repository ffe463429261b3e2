"""The masked-LM head: read from weights that have one, or fresh.

Shapes: M masked tokens, D hidden dimension, E width of the word embeddings (D except in ELECTRA), V vocabulary.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.models.architectures import ARCHITECTURES
from nlptl.models.heads import zero_linear
from nlptl.models.pretrained import LOCAL, quiet, read_config, reasons
from nlptl.models.tensor_files import shapes_of, weight_files
from nlptl.models.transformer import Transformer

INITIAL_STD = 0.02  # of fresh weights, as in BERT


class MaskedLMHead(nn.Module):
    """logits = norm(act(dense h)) W^T + b, with W tied to the word embeddings (Press & Wolf 2017).

    Shapes: dense (E, D), norm (E,), b (V,). `table` (V, E) replaces W in weights that are not tied, which is rare.
    """

    def __init__(
        self, dense: nn.Linear, activation: Any, norm: nn.Module, bias: Tensor, table: Tensor | None = None
    ) -> None:
        super().__init__()
        self.dense, self.norm, self.activation = dense, norm, activation
        self.bias = nn.Parameter(bias)
        self.table = None if table is None else nn.Parameter(table)

    def forward(self, hidden: Tensor, word_embeddings: Tensor) -> Tensor:
        """Return logits (M, V) of hidden states (M, D), given the word embeddings (V, E)."""
        table = word_embeddings if self.table is None else self.table
        transformed: Tensor = self.norm(self.activation(self.dense(hidden)))
        return nn.functional.linear(transformed, table, self.bias)

    def grow(self, rows: int) -> None:
        """Extend the vocabulary to `rows`. New words get the mean bias and the mean embedding."""
        more = rows - len(self.bias)
        if more <= 0:
            return
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), self.bias.detach().mean().expand(more)]))
        if self.table is not None:
            table = self.table.detach()
            self.table = nn.Parameter(torch.cat([table, table.mean(dim=0).expand(more, -1)]))


def carries_head(folder: Path) -> bool:
    """Say whether the weights in `folder` hold the whole masked-LM head. Transformers would draw the rest at random."""
    from transformers import AutoModelForMaskedLM

    with _told(folder):
        config = read_config(folder, ARCHITECTURES)
        names = set(shapes_of(weight_files(folder)))
    # The oldest files use TensorFlow's names for the weight and the bias of a norm.
    names = {name.replace("LayerNorm.gamma", "LayerNorm.weight") for name in names}
    names = {name.replace("LayerNorm.beta", "LayerNorm.bias") for name in names}
    with quiet(), torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config)
    possible: dict[Tensor, set[str]] = {}  # names in a file, by tensor
    for name, parameter in model.named_parameters(remove_duplicate=False):
        possible.setdefault(parameter, set()).add(name)
    possible.pop(model.get_input_embeddings().weight)  # tied, usually
    parts = ARCHITECTURES[config.model_type].head
    head = [operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder)]
    tensors = [possible[parameter] for part in head for parameter in part.parameters() if parameter in possible]
    return all(map(names.intersection, [*tensors, *([parts.markers] if parts.markers else [])]))


def carried_head(folder: Path) -> MaskedLMHead:
    """Return the masked-LM head of weights that carry one."""
    from transformers import AutoModelForMaskedLM

    with _told(folder), quiet():
        config = read_config(folder, ARCHITECTURES)
        model = AutoModelForMaskedLM.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, **LOCAL
        ).eval()
    parts = ARCHITECTURES[model.config.model_type].head
    dense, norm, decoder = (operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder))
    activation = nn.functional.gelu if parts.activation is None else operator.attrgetter(parts.activation)(model)
    tied = decoder.weight is model.get_input_embeddings().weight
    bias = torch.zeros(len(decoder.weight)) if decoder.bias is None else decoder.bias.detach().clone()
    return MaskedLMHead(dense, activation, norm, bias, None if tied else decoder.weight.detach().clone())


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Raise ConfigError for weights that cannot be read."""
    try:
        with reasons():
            yield
    except ValueError as error:
        raise ConfigError(
            f"weights: {folder}: cannot be read ({error}); expected config.json and a whole model.safetensors. "
            "Get the weights again."
        ) from None


def fresh_head(encoder: Transformer, tokens: NDArray[np.int32], generator: torch.Generator) -> MaskedLMHead:
    """Return a head with random weights. Its bias is the log-frequency of each token among `tokens` (N,)."""
    rows, width = encoder.word_embeddings.weight.shape
    dense = zero_linear(encoder.dim, width)
    nn.init.normal_(dense.weight, std=INITIAL_STD, generator=generator)
    counts = torch.bincount(torch.from_numpy(tokens).long(), minlength=rows)
    return MaskedLMHead(dense, nn.functional.gelu, nn.LayerNorm(width), ((counts + 1) / (counts.sum() + rows)).log())
