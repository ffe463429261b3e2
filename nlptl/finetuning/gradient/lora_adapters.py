"""LoRA adapters in a transformer."""

from __future__ import annotations

import copy
import dataclasses
from typing import Literal

from nlptl.models.encoder import Encoder
from nlptl.models.pretrained import quiet
from nlptl.models.transformer import Transformer
from nlptl.randomness import seeded


@dataclasses.dataclass(frozen=True)
class LoraAdapters:
    """LoRA's settings, as PEFT names them."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    variant: Literal["lora", "rslora", "dora"]
    merge: bool


def add_adapters(token_model: Transformer, adapters: LoraAdapters, layers: list[int], seed: int) -> None:
    """Put LoRA adapters of PEFT into some layers; their random half is drawn from `seed`."""
    from peft import LoraConfig, get_peft_model

    # Full names of the maps: PEFT's own way to pick layers misses those of ModernBERT.
    names = [
        f"{token_model.architecture.layers}.{layer}.{name}"
        for layer in layers
        for name, _ in token_model.layers[layer].named_modules()
        if name.rsplit(".", 1)[-1] in adapters.targets
    ]
    config = LoraConfig(
        r=adapters.rank,
        lora_alpha=adapters.alpha,  # type: ignore[arg-type]  # PEFT divides by it, whole or not
        lora_dropout=adapters.dropout,
        target_modules=names,
        use_rslora=adapters.variant == "rslora",
        use_dora=adapters.variant == "dora",
    )
    with seeded(seed, token_model.device), quiet():
        token_model.adapters = (get_peft_model(token_model.model, config),)


def merged(encoder: Encoder) -> Encoder:
    """Return the encoder with its adapters added into its weights; itself when it has none."""
    token_model = encoder.token_model
    if not isinstance(token_model, Transformer) or not token_model.adapters:
        return encoder
    plain = copy.deepcopy(token_model)
    plain.model = plain.adapters[0].merge_and_unload()
    plain.adapters = ()
    return encoder.with_parts(token_model=plain).eval()
