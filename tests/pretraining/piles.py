"""Small piles and encoders for the tests of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.pretraining.encoders.pile import TokenPile, token_pile
from tests.conftest import small_reviews
from tests.models.tiny import tiny_config, tiny_tokenizer


def small_pile(encoder: Encoder, texts: Sequence[str] | None = None) -> TokenPile:
    """Return 120 texts, or those given, as the encoder's token ids."""
    return token_pile(encoder, [texts or small_reviews(120)[0]], whole=False, name="pile")


def masked_lm_folder(path: Path, model_type: str, **changes: object) -> Path:
    """Write tiny weights with their masked-LM head, as plain transformers does."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = transformers.AutoModelForMaskedLM.from_config(tiny_config(model_type, **changes))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(path)
    tiny_tokenizer(model_type).save_pretrained(path)
    return path


def encoder_of(folder: Path) -> Encoder:
    """Load an encoder from a folder."""
    return pretrained_encoder(folder)
