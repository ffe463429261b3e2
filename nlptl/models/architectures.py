"""Where each supported architecture of transformers keeps its parts."""

from __future__ import annotations

import dataclasses
from typing import Literal

from nlptl.errors import ArtifactError


@dataclasses.dataclass(frozen=True)
class LayerParts:
    """Where a layer that normalises after each part keeps its maps, as attribute paths from the layer."""

    query: str = "attention.self.query"
    key: str = "attention.self.key"
    value: str = "attention.self.value"
    output: str = "attention.output.dense"
    attention_norm: str = "attention.output.LayerNorm"
    up: str = "intermediate.dense"
    activation: str = "intermediate.intermediate_act_fn"
    down: str = "output.dense"
    output_norm: str = "output.LayerNorm"


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Where an architecture of transformers keeps its parts, as attribute paths."""

    layers: str
    word_embeddings: str
    projection: str | None = None
    """Embeddings to hidden width, where they differ."""
    final_norm: str | None = None
    rotary: str | None = None
    first_position: Literal["zero", "after_padding"] = "zero"
    pooler: bool = False
    """Whether the class would bring a pooler that nobody trained."""
    attention_targets: tuple[str, ...] = ("query", "value")
    """Linear maps that LoRA changes by default in the literature (Hu et al. 2021)."""
    linear_targets: tuple[str, ...] = ("query", "key", "value", "dense")
    """All linear maps of a layer."""
    parts: LayerParts | None = None
    """Of a layer, where it normalises after each part."""


_BERT = Architecture("encoder.layer", "embeddings.word_embeddings", pooler=True, parts=LayerParts())
_ROBERTA = dataclasses.replace(_BERT, first_position="after_padding")
ANATOMIES: dict[str, Architecture] = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "electra": dataclasses.replace(_BERT, pooler=False, projection="embeddings_project"),
    "distilbert": Architecture(
        "transformer.layer",
        "embeddings.word_embeddings",
        attention_targets=("q_lin", "v_lin"),
        linear_targets=("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
        parts=LayerParts(
            query="attention.q_lin",
            key="attention.k_lin",
            value="attention.v_lin",
            output="attention.out_lin",
            attention_norm="sa_layer_norm",
            up="ffn.lin1",
            activation="ffn.activation",
            down="ffn.lin2",
            output_norm="output_layer_norm",
        ),
    ),
    "modernbert": Architecture(
        "layers",
        "embeddings.tok_embeddings",
        final_norm="final_norm",
        rotary="rotary_emb",
        attention_targets=("Wqkv",),
        linear_targets=("Wqkv", "Wo", "Wi"),
    ),
}


def anatomy_of(model_type: str) -> Architecture:
    """Return the layout of an architecture; ArtifactError for one that is not supported."""
    if model_type not in ANATOMIES:
        raise ArtifactError(
            f"weights: found an encoder of type {model_type!r}; expected one of {', '.join(ANATOMIES)}. "
            "Choose weights of one of them."
        )
    return ANATOMIES[model_type]
