"""Tiny sequence-to-sequence models with random weights, as plain transformers writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

from tests.models.tiny import tiny_tokenizer

POSITIONS = 40


def tiny_config(kind: str) -> Any:
    """Return the settings of a Marian or T5 model of one layer."""
    tokenizer = tiny_tokenizer("bert")
    ids = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "decoder_start_token_id": tokenizer.pad_token_id,
    }
    if kind == "t5":
        return transformers.T5Config(d_model=16, d_kv=8, d_ff=24, num_layers=1, num_heads=2, **ids)
    return transformers.MarianConfig(
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_position_embeddings=POSITIONS,
        forced_eos_token_id=None,
        **ids,
    )


def translator_folder(path: Path, kind: str = "marian", *, seed: int = 0) -> Path:
    """Write a tiny model and a WordPiece tokenizer, and return the folder."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForSeq2SeqLM.from_config(tiny_config(kind))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(path)
    tiny_tokenizer("bert").save_pretrained(path)
    return path
