"""The masked-LM head: the one that the weights carry, whatever their architecture calls it, or a fresh one.

Shapes: M tokens to be guessed, D hidden dimension, E width of the word embeddings (D but in ELECTRA), V vocabulary.
"""

from __future__ import annotations

import dataclasses
import operator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlptl.artifact import read_json
from nlptl.models.pretrained import load_masked_lm, quiet
from nlptl.models.transformer import Transformer

SPREAD = 0.02  # standard deviation of fresh weights, as in BERT


@dataclasses.dataclass(frozen=True)
class _Parts:
    """Where transformers' masked-LM model of an architecture keeps the parts of its head, as attribute paths."""

    marker: tuple[str, ...]
    """Names of tensors one of which is in the file exactly when the head is."""
    dense: str
    norm: str
    decoder: str
    activation: str | None = None
    """None: GELU, without an attribute of its own."""


_ROBERTA = _Parts(("lm_head.dense.weight",), "lm_head.dense", "lm_head.layer_norm", "lm_head.decoder")
_PARTS: dict[str, _Parts] = {
    "bert": _Parts(
        ("cls.predictions.transform.dense.weight",),
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        "cls.predictions.transform.transform_act_fn",
    ),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": _Parts(
        ("vocab_transform.weight",), "vocab_transform", "vocab_layer_norm", "vocab_projector", "activation"
    ),
    "electra": _Parts(
        ("generator_predictions.dense.weight",),
        "generator_predictions.dense",
        "generator_predictions.LayerNorm",
        "generator_lm_head",
        "generator_predictions.activation",
    ),
    # A sequence classifier of ModernBERT has head.dense too; only the masked LM has a decoder.
    "modernbert": _Parts(("decoder.bias", "decoder.weight"), "head.dense", "head.norm", "decoder", "head.act"),
}


class MaskedLMHead(nn.Module):
    """logits = norm(act(dense h)) W^T + b with W the word embeddings, to which it is tied (Press & Wolf 2017).

    dense (E, D), norm (E,), b (V,); `table` (V, E) stands for W in the rare weights that are not tied.
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
        """Return logits (M, V) of hidden states (M, D) and the word embeddings (V, E)."""
        table = word_embeddings if self.table is None else self.table
        transformed: Tensor = self.norm(self.activation(self.dense(hidden)))
        return nn.functional.linear(transformed, table, self.bias)

    def grow(self, rows: int) -> None:
        """Make room for a vocabulary of `rows`; new words start as likely as the average one."""
        more = rows - len(self.bias)
        if more <= 0:
            return
        self.bias = nn.Parameter(torch.cat([self.bias.detach(), self.bias.detach().mean().expand(more)]))
        if self.table is not None:
            table = self.table.detach()
            self.table = nn.Parameter(torch.cat([table, table.mean(dim=0).expand(more, -1)]))


def carries_head(folder: Path) -> bool:
    """Say whether the weights in `folder` bring the whole masked-LM head of their architecture.

    Where one tensor lacks, transformers would draw it at random, unnoticed; a head known to be fresh gets a warm-up.
    """
    kind = read_json(folder / "config.json").get("model_type")
    if kind not in _PARTS:
        return False
    # The oldest files have TensorFlow's names for what a norm multiplies with and adds.
    names = {name.replace("LayerNorm.gamma", "LayerNorm.weight") for name in _tensor_names(folder)}
    names = {name.replace("LayerNorm.beta", "LayerNorm.bias") for name in names}
    return bool(names.intersection(_PARTS[kind].marker)) and all(map(names.intersection, _head_tensors(folder)))


def carried_head(folder: Path) -> MaskedLMHead:
    """Return the masked-LM head of weights that carry one."""
    model = load_masked_lm(folder)
    parts = _PARTS[model.config.model_type]
    dense, norm, decoder = (operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder))
    activation = nn.functional.gelu if parts.activation is None else operator.attrgetter(parts.activation)(model)
    tied = decoder.weight is model.get_input_embeddings().weight
    bias = torch.zeros(len(decoder.weight)) if decoder.bias is None else decoder.bias.detach().clone()
    return MaskedLMHead(dense, activation, norm, bias, None if tied else decoder.weight.detach().clone())


def fresh_head(encoder: Transformer, tokens: NDArray[np.int32], generator: torch.Generator) -> MaskedLMHead:
    """Return a head with random weights whose bias is the log-frequency of each token among `tokens` (N,)."""
    rows, width = encoder.word_embeddings.weight.shape
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        dense = nn.Linear(encoder.dim, width)
        dense.weight.normal_(std=SPREAD, generator=generator)
        dense.bias.zero_()
    counts = torch.bincount(torch.from_numpy(tokens).long(), minlength=rows)
    return MaskedLMHead(dense, nn.functional.gelu, nn.LayerNorm(width), ((counts + 1) / (counts.sum() + rows)).log())


def _head_tensors(folder: Path) -> list[set[str]]:
    """Return the names that each tensor of the head may have in a file; the word embeddings it is tied to left out."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with quiet(), torch.device("meta"):
        model = AutoModelForMaskedLM.from_config(config)
    names: dict[Tensor, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(parameter, set()).add(name)
    names.pop(model.get_input_embeddings().weight)
    parts = _PARTS[config.model_type]
    head = [operator.attrgetter(path)(model) for path in (parts.dense, parts.norm, parts.decoder)]
    return [names[parameter] for module in head for parameter in module.parameters() if parameter in names]


def _tensor_names(folder: Path) -> set[str]:
    from safetensors import safe_open

    whole = folder / "model.safetensors"
    if not whole.is_file():  # transformers, too, takes the one file where an index lies beside it
        return set(read_json(folder / "model.safetensors.index.json")["weight_map"])
    with safe_open(whole, framework="pt") as file:
        return set(file.keys())
