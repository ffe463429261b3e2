"""An Encoder from a folder of weights in the layout of nlptl, transformers or sentence-transformers.

Only safetensors are read. Code in the folder is never run.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tokenizers import normalizers

from nlptl.artifact import MANIFEST, SETTINGS, read_published
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.models.encoder import Encoder
from nlptl.models.packing import TokenRule
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.pretrained import LOCAL, load_model, quiet
from nlptl.models.tokenizer_files import check_patterns, check_side_files, check_tokenizer, is_of_tokenizers
from nlptl.models.transformer import Transformer
from nlptl.models.weights import read_settings
from nlptl.models.word_vectors import TOKENIZER

SPECIAL_TOKENS = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token")
SENTENCE_SETTINGS = "sentence_bert_config.json"  # of sentence-transformers
UNBOUNDED_LENGTH = 100_000  # tokenizers without a limit state an astronomic one
MODES: dict[str, PoolingMode] = {"cls": "cls", "mean": "mean", "max": "max"}


def pretrained_encoder(folder: Path, *, max_length: int | None = None) -> Encoder:
    """Load weights with the pooling they were trained with, else the mean. Raises ArtifactError if that is not supported."""
    if (folder / SETTINGS).is_file():  # of nlptl; files that somebody copied out of such a folder have no manifest
        is_published = (folder / MANIFEST).exists()
        encoder = read_published(folder, Encoder.read_files) if is_published else Encoder.read_files(folder)
    else:
        encoder = _foreign_encoder(folder)
    if max_length is not None:
        set_max_length(encoder, max_length)
    return encoder.eval()


def set_max_length(encoder: Encoder, max_length: int) -> None:
    """Cut texts off after `max_length` tokens. Raises ConfigError if the encoder has fewer positions."""
    token_model = encoder.transformer
    most = token_model.positions
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
    tokenizer = _tokenizer_of(folder)
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    sentence_settings = read_settings(path) if (path := folder / SENTENCE_SETTINGS).is_file() else {}
    if sentence_settings.get("do_lower_case") is True:
        before = [] if backend.normalizer is None else [backend.normalizer]
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    rule = TokenRule(special_tokens=True, unknown=tokenizer.unk_token_id)
    special = {name: str(getattr(tokenizer, name)) for name in SPECIAL_TOKENS if getattr(tokenizer, name, None)}
    token_model = Transformer(model, rule, special_tokens=special)
    pooling, normalized = _pooling_of(folder)
    highest, rows = max(backend.get_vocab().values(), default=0), token_model.word_embeddings.num_embeddings
    if highest >= rows:
        raise ArtifactError(
            f"{folder}: its tokenizer gives ids up to {highest}; expected ids below {rows}, since the encoder has no more "
            "embeddings. Use the tokenizer that it was trained with."
        )
    encoder = Encoder(backend, token_model, pooling, normalized=normalized)
    stated = [tokenizer.model_max_length, sentence_settings.get("max_seq_length")]
    lengths = [length for length in stated if isinstance(length, int)]
    set_max_length(encoder, min([token_model.positions, UNBOUNDED_LENGTH, *lengths]))
    return encoder


def _tokenizer_of(folder: Path) -> Any:
    """Return transformers' tokenizer of a folder. Without its files transformers would make one that knows no word."""
    from transformers import AutoTokenizer

    try:
        check_side_files(folder)
        if (folder / TOKENIZER).is_file():
            check_patterns(folder / TOKENIZER)
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
        files = dict(tokenizer.vocab_files_names)
        whole = files.pop("tokenizer_file", "tokenizer.json")
        if not (folder / whole).is_file() and not (files and all((folder / name).is_file() for name in files.values())):
            raise ValueError(f"{whole} is missing")
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ValueError("it does not turn into a fast tokenizer")
        tokenizer.backend_tokenizer.no_padding()
        check_tokenizer(tokenizer.backend_tokenizer)
    except BaseException as error:
        if not is_of_tokenizers(error):
            raise
        raise ArtifactError(
            f"{folder}: holds no tokenizer that transformers reads ({first_line(error)}); expected "
            "tokenizer.json, or the vocabulary that it is made from. Get the weights again, or save it with a fast tokenizer."
        ) from None
    return tokenizer


def _pooling_of(folder: Path) -> tuple[Pooling, bool]:
    """Return the pooling of a folder, and whether vectors are scaled to length 1. Other folders get the plain mean."""
    path = folder / "modules.json"
    if not path.is_file():
        return Pooling("mean"), False
    try:
        modules = json.loads(path.read_text(encoding="utf-8"))
        kinds = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in modules}
    except (OSError, ValueError, KeyError, TypeError):
        raise ArtifactError(
            f"{path}: cannot be read; expected a list of modules with type and path, as sentence-transformers writes it. "
            "Get the weights again."
        ) from None
    other = set(kinds) - {"Transformer", "Pooling", "Normalize"}
    if other:
        raise ArtifactError(
            f"{path}: found the module {sorted(other)[0]}; expected only Transformer, Pooling and Normalize. Choose "
            "weights without it."
        )
    settings = read_settings(folder / kinds["Pooling"] / "config.json") if "Pooling" in kinds else {}
    asked = [settings["pooling_mode"]] if isinstance(settings.get("pooling_mode"), str) else [
        name.removeprefix("pooling_mode_") for name, wanted in settings.items()
        if name.startswith("pooling_mode_") and wanted is True
    ]  # fmt: skip
    mode = MODES.get(asked[0].removesuffix("_token").removesuffix("_tokens") if asked else "mean")
    if len(asked) > 1 or mode is None:
        raise ArtifactError(
            f"{path}: found the pooling {', '.join(asked)}; expected one of cls, mean, max. Choose other weights."
        )
    return Pooling(mode), "Normalize" in kinds
