"""The supported architectures of transformers: one row each, which says where its models keep their parts.

All locations are attribute paths. Adding an architecture means adding a row to `ARCHITECTURES`.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

from nlptl.errors import ArtifactError

USUAL_PADDING = 1  # id of RoBERTa's family, whose positions begin behind it; some files leave it out


@dataclasses.dataclass(frozen=True)
class LayerParts:
    """Parts of a layer that normalises after attention and after the feed-forward network (post-norm)."""

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
class HeadParts:
    """Parts of the masked-LM head, as paths from transformers' masked-LM model."""

    dense: str
    norm: str
    decoder: str
    activation: str | None = None  # None: GELU, which has no attribute of its own
    markers: tuple[str, ...] = ()  # names of tensors, one of which must be in the file besides the head's own


@dataclasses.dataclass(frozen=True)
class Architecture:
    """Parts of an encoder."""

    head: HeadParts
    layers: str = "encoder.layer"
    word_embeddings: str = "embeddings.word_embeddings"
    projection: str | None = None  # map from the embeddings' width to the hidden width
    final_norm: str | None = None
    rotary: str | None = None
    relative: bool = False  # whether attention is biased by relative positions, see nlptl.models.relative_positions
    first_position: Literal["zero", "after_padding"] = "zero"
    pooler: bool = False  # whether the class adds a pooler, which would be untrained
    attention_targets: tuple[str, ...] = ("query", "value")  # as in LoRA (Hu et al. 2021)
    linear_targets: tuple[str, ...] = ("query", "key", "value", "dense")  # all linear maps of a layer
    parts: LayerParts | None = LayerParts()  # None for layers that are not post-norm

    def positions(self, max_position_embeddings: int, pad_token_id: int) -> int:
        """Return how many tokens have a position. RoBERTa's family counts from behind the padding id."""
        return max_position_embeddings - (pad_token_id + 1 if self.first_position == "after_padding" else 0)


_DISTILBERT = LayerParts(
    query="attention.q_lin", key="attention.k_lin", value="attention.v_lin", output="attention.out_lin",
    attention_norm="sa_layer_norm", up="ffn.lin1", activation="ffn.activation", down="ffn.lin2",
    output_norm="output_layer_norm",
)  # fmt: skip
_CLS, _GENERATOR = "cls.predictions", "generator_predictions"
_BERT = HeadParts(
    f"{_CLS}.transform.dense", f"{_CLS}.transform.LayerNorm", f"{_CLS}.decoder", f"{_CLS}.transform.transform_act_fn"
)
_ROBERTA = HeadParts("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder")
ARCHITECTURES = {
    "bert": Architecture(_BERT, pooler=True),
    **dict.fromkeys(
        ("roberta", "xlm-roberta", "camembert"), Architecture(_ROBERTA, first_position="after_padding", pooler=True)
    ),
    "electra": Architecture(
        HeadParts(f"{_GENERATOR}.dense", f"{_GENERATOR}.LayerNorm", "generator_lm_head", f"{_GENERATOR}.activation"),
        projection="embeddings_project",
    ),
    "distilbert": Architecture(
        HeadParts("vocab_transform", "vocab_layer_norm", "vocab_projector", "activation"),
        layers="transformer.layer",
        attention_targets=("q_lin", "v_lin"),
        linear_targets=("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
        parts=_DISTILBERT,
    ),
    "mpnet": Architecture(
        _ROBERTA,
        first_position="after_padding",
        pooler=True,
        relative=True,
        attention_targets=("q", "v"),
        linear_targets=("q", "k", "v", "o", "dense"),
        parts=None,
    ),
    # ModernBERT's sequence classifier has head.dense too; only its masked LM has a decoder.
    "modernbert": Architecture(
        HeadParts("head.dense", "head.norm", "decoder", "head.act", ("decoder.bias", "decoder.weight")),
        layers="layers",
        word_embeddings="embeddings.tok_embeddings",
        final_norm="final_norm",
        rotary="rotary_emb",
        attention_targets=("Wqkv",),
        linear_targets=("Wqkv", "Wo", "Wi"),
        parts=None,
    ),
}


def architecture_of(model_type: str) -> Architecture:
    """Return the row of an architecture. Raises ArtifactError for one that is not supported."""
    if model_type not in ARCHITECTURES:
        raise ArtifactError(
            f"weights: found an encoder of type {model_type!r}; expected one of {', '.join(ARCHITECTURES)}. "
            "Choose weights of one of them."
        )
    return ARCHITECTURES[model_type]
