"""An Encoder from a folder of weights in the layout of nlptl, transformers or sentence-transformers.

Only safetensors are read. Code in the folder is never run.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.errors import ArtifactError, ConfigError
from nlptl.models.encoder import SETTINGS, Encoder
from nlptl.models.foreign_pooling import pooling_of
from nlptl.models.foreign_tokenizer import lower_case_if_asked, max_length_of, special_tokens, tokenizer_of
from nlptl.models.packing import TokenRule
from nlptl.models.pretrained import load_model
from nlptl.models.transformer import Transformer

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def pretrained_encoder(folder: Path, *, max_length: int | None = None) -> Encoder:
    """Load weights with the pooling they were trained with, else the mean. Raises ArtifactError if that is not supported."""
    encoder = Encoder.read_files(folder) if (folder / SETTINGS).is_file() else _foreign_encoder(folder)
    if max_length is not None:
        set_max_length(encoder, max_length)
    return encoder.eval()


def set_max_length(encoder: Encoder, max_length: int) -> None:
    """Cut texts off after `max_length` tokens. Raises ConfigError if the encoder has fewer positions."""
    token_model = encoder.transformer
    most = _positions(token_model)
    if max_length > most:
        raise ConfigError(
            f"max_length: found {max_length}; expected at most {most}, since the encoder has no more positions. Lower it."
        )
    token_model.rule = dataclasses.replace(token_model.rule, max_length=max_length)
    encoder.tokenizer.enable_truncation(max_length)


def _foreign_encoder(folder: Path) -> Encoder:
    try:
        model = load_model(folder)
    except ValueError as error:
        raise ArtifactError(
            f"{folder}: holds no encoder that transformers reads ({error}); expected config.json and a "
            "model.safetensors with all its weights. Get the weights again."
        ) from None
    tokenizer: Any = tokenizer_of(folder)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    lower_case_if_asked(folder, backend)
    rule = TokenRule(special_tokens=True, unknown=tokenizer.unk_token_id)
    token_model = Transformer(model, rule, special_tokens=special_tokens(tokenizer))
    pooling, normalized = pooling_of(folder)
    _check_vocabulary(folder, backend, token_model)
    encoder = Encoder(backend, token_model, pooling, normalized=normalized)
    set_max_length(encoder, min(_positions(token_model), max_length_of(folder, tokenizer)))
    return encoder


def _positions(token_model: Transformer) -> int:
    config = token_model.model.config
    return token_model.architecture.positions(int(config.max_position_embeddings), config.pad_token_id)


def _check_vocabulary(folder: Path, tokenizer: Tokenizer, token_model: Transformer) -> None:
    highest, rows = max(tokenizer.get_vocab().values(), default=0), token_model.word_embeddings.num_embeddings
    if highest >= rows:
        raise ArtifactError(
            f"{folder}: its tokenizer gives ids up to {highest}; expected ids below {rows}, since the encoder has no more "
            "embeddings. Use the tokenizer that it was trained with."
        )
