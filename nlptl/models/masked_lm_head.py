"""The masked-LM head: read from weights that have one, or fresh.

Shapes: M masked tokens, D hidden dimension, E width of the word embeddings (D except in ELECTRA), V vocabulary.
"""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlptl.artifact import read_json
from nlptl.models.architectures import ARCHITECTURES
from nlptl.models.pretrained import load_masked_lm, quiet
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
        self.dense, self.norm = dense, norm
        self.activation = activation
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
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in ARCHITECTURES:
        return False
    # The oldest files use TensorFlow's names for the weight and the bias of a norm.
    names = {name.replace("LayerNorm.gamma", "LayerNorm.weight") for name in _tensor_names(folder)}
    names = {name.replace("LayerNorm.beta", "LayerNorm.bias") for name in names}
    markers = ARCHITECTURES[kind].head.markers
    return all(map(names.intersection, [*_head_tensors(folder), *([markers] if markers else [])]))


def carried_head(folder: Path) -> MaskedLMHead:
    """Return the masked-LM head of weights that carry one."""
    model = load_masked_lm(folder)
    parts = ARCHITECTURES[model.config.model_type].head
    dense, norm, decoder = (operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder))
    activation = nn.functional.gelu if parts.activation is None else operator.attrgetter(parts.activation)(model)
    tied = decoder.weight is model.get_input_embeddings().weight
    bias = torch.zeros(len(decoder.weight)) if decoder.bias is None else decoder.bias.detach().clone()
    return MaskedLMHead(dense, activation, norm, bias, None if tied else decoder.weight.detach().clone())


def fresh_head(encoder: Transformer, tokens: NDArray[np.int32], generator: torch.Generator) -> MaskedLMHead:
    """Return a head with random weights. Its bias is the log-frequency of each token among `tokens` (N,)."""
    rows, width = encoder.word_embeddings.weight.shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        dense = nn.Linear(encoder.dim, width)
        dense.weight.normal_(std=INITIAL_STD, generator=generator)
        dense.bias.zero_()
    counts = torch.bincount(torch.from_numpy(tokens).long(), minlength=rows)
    return MaskedLMHead(dense, nn.functional.gelu, nn.LayerNorm(width), ((counts + 1) / (counts.sum() + rows)).log())


def _head_tensors(folder: Path) -> list[set[str]]:
    """Return the possible names in a file of each tensor of the head, without the tied word embeddings."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with quiet(), torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config)
    names: dict[Tensor, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, set()).add(name)
    names.pop(model.get_input_embeddings().weight)
    parts = ARCHITECTURES[config.model_type].head
    head = [operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder)]
    return [names[parameter] for module in head for parameter in module.parameters() if parameter in names]


def _tensor_names(folder: Path) -> set[str]:
    from safetensors import safe_open

    whole = folder / "model.safetensors"
    if not whole.is_file():  # transformers prefers the one file to an index, too
        return set(read_json(folder / "model.safetensors.index.json")["weight_map"])
    with safe_open(whole, framework="pt") as file:
        return set(file.keys())
