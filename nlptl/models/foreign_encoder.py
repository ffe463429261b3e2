"""An Encoder from a folder of weights in the layout of nlptl, transformers or sentence-transformers.

Only safetensors are read. Code in the folder is never run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tokenizers import normalizers

from nlptl import artifact
from nlptl.artifact import read_published
from nlptl.disk.ownership import MANIFEST, SETTINGS
from nlptl.errors import ArtifactError, ConfigError, first_line
from nlptl.inference.segmenting import segmenter_of, segmenting, without_segmenter
from nlptl.inference.tokenizer_files import check_side_files, check_tokenizer, highest_id, is_of_tokenizers
from nlptl.inference.tokenizing import TokenRule
from nlptl.models.architectures import ARCHITECTURES
from nlptl.models.bert_japanese import FoundTokenizer, is_japanese_bert, japanese_bert_tokenizer
from nlptl.models.encoder import Encoder
from nlptl.models.pooling import Pooling
from nlptl.models.pretrained import LOCAL, load_model, quiet, read_config
from nlptl.models.projection import LinearMap, Projection
from nlptl.models.sentence_settings import DENSE_WEIGHTS, DenseSettings, sentence_settings
from nlptl.models.transformer import Transformer

SPECIAL_TOKENS = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token")
UNBOUNDED_LENGTH = 100_000  # tokenizers without a limit state an astronomic one


def pretrained_encoder(folder: Path, *, max_length: int | None = None, prompt: str | None = None) -> Encoder:
    """Load weights with the pooling and the prompt they were trained with, else the mean and no prompt.

    Raises ArtifactError if something that they ask for is not supported, and ConfigError for settings that do not suit them.
    """
    if (folder / SETTINGS).is_file():  # of nlptl; files that somebody copied out of such a folder have no manifest
        is_published = (folder / MANIFEST).exists()
        encoder = read_published(folder, Encoder.read_files) if is_published else Encoder.read_files(folder)
    else:
        encoder = _foreign_encoder(folder)
    if max_length is not None:
        set_max_length(encoder, max_length)
    if prompt is not None:
        set_prompt(encoder, prompt, pooled=not encoder.transformer.rule.skipped)
    check_prompt(encoder)
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
    direction = (encoder.tokenizer.truncation or {}).get("direction", "right")
    encoder.tokenizer.enable_truncation(max_length, direction=direction)


def set_prompt(encoder: Encoder, prompt: str, *, pooled: bool = True) -> None:
    """Put a prompt before every text. If it is not `pooled`, the vector is made of the tokens after it."""
    token_model, skipped = encoder.transformer, 0
    if prompt and not pooled:
        ids = encoder.tokenizer.encode(prompt, add_special_tokens=True).ids
        skipped = len(ids) - (ids[-1:] in _last_special(encoder))
    token_model.rule = dataclasses.replace(token_model.rule, prompt=prompt, skipped=skipped)


def _last_special(encoder: Encoder) -> list[list[int]]:
    """Return the ids of special tokens, each as the end of a text."""
    names = encoder.transformer.special_tokens.values()
    ids = map(encoder.tokenizer.token_to_id, names)
    return [[number] for number in ids if number is not None]


def check_prompt(encoder: Encoder) -> None:
    """Raise ConfigError if the prompt leaves no room for a text."""
    rule = encoder.transformer.rule
    used = len(encoder.tokenizer.encode(rule.prompt, add_special_tokens=True).ids) if rule.prompt else 0
    if rule.max_length is not None and used >= rule.max_length:
        raise ConfigError(
            f"prompt: found {used} tokens with the special ones; expected fewer than the {rule.max_length} that the encoder reads "
            "of a text. Shorten the prompt, or raise max_length."
        )


def _foreign_encoder(folder: Path) -> Encoder:
    asked = sentence_settings(folder)
    root, folder = folder, asked.transformer
    try:
        model = load_model(folder)
    except ValueError as error:
        raise ArtifactError(
            f"{folder}: holds no encoder that transformers reads ({error}); expected config.json and a "
            "model.safetensors with all its weights. Get the weights again."
        ) from None
    tokenizer = _tokenizer_of(folder)
    backend = tokenizer.backend
    backend.no_padding()
    if asked.lower_case and (words := segmenter_of(backend)) is not None:
        backend = segmenting(without_segmenter(backend), words.model_copy(update={"lowercase": True}))
    elif asked.lower_case:
        before = [] if backend.normalizer is None else [backend.normalizer]
        backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])
    rule = TokenRule(special_tokens=True, unknown=tokenizer.unknown)
    token_model = Transformer(model, rule, special_tokens=dict(tokenizer.special))
    highest, rows = highest_id(backend), token_model.word_embeddings.num_embeddings
    if highest >= rows:
        raise ArtifactError(
            f"{folder}: its tokenizer gives ids up to {highest}; expected ids below {rows}, since the encoder has no more "
            "embeddings. Use the tokenizer that it was trained with."
        )
    projection = _projection_of(root, asked.dense, token_model.dim)
    encoder = Encoder(
        backend,
        token_model,
        Pooling(asked.pooling),
        normalized=asked.normalized,
        projection=projection,
        kept_dim=asked.kept_dim,
    )
    backend.enable_truncation(1, direction=asked.truncation_side or tokenizer.truncation_side)
    stated = tokenizer.max_length if asked.max_length is None else asked.max_length
    lengths = [stated] if isinstance(stated, int) else []
    set_max_length(encoder, min([token_model.positions, UNBOUNDED_LENGTH, *lengths]))
    set_prompt(encoder, asked.prompt, pooled=asked.prompt_pooled)
    return encoder


def _projection_of(root: Path, dense: Sequence[DenseSettings], dim: int) -> Projection | None:
    """Return the Dense modules of a folder. Raises ArtifactError if their weights do not fit their settings."""
    maps, width = [], dim
    for one in dense:
        tensors = artifact.read_tensors(
            one.folder / DENSE_WEIGHTS, remedy="expected the weights of a Dense module. Get the weights again."
        )
        weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
        shapes = [None if tensor is None else tuple(tensor.shape) for tensor in (weight, bias)]
        if (
            weight is None
            or one.inputs != width
            or shapes != [(one.outputs, one.inputs), (one.outputs,) if one.bias else None]
        ):
            raise ArtifactError(
                f"{one.folder / DENSE_WEIGHTS}: holds a map of another size than its config.json and the encoder have; expected "
                f"{one.outputs} outputs of {width} inputs. Get the weights again."
            )
        maps.append(LinearMap(weight.float(), None if bias is None else bias.float(), one.activation))
        width = one.outputs
    return Projection(maps) if maps else None


def _tokenizer_of(folder: Path) -> FoundTokenizer:
    """Return the tokenizer of a folder. Without its files transformers would make one that knows no word."""
    from transformers import AutoTokenizer

    try:
        check_side_files(folder)
        if is_japanese_bert(folder):
            return _japanese_tokenizer(folder)
        config = read_config(folder, ARCHITECTURES)  # else transformers would read all of config.json
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, config=config, **LOCAL)
        files = dict(tokenizer.vocab_files_names)
        whole = files.pop("tokenizer_file", "tokenizer.json")
        if not (folder / whole).is_file() and not (files and all((folder / name).is_file() for name in files.values())):
            raise ValueError(f"{whole} is missing")
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ValueError("it does not turn into a fast tokenizer")
        tokenizer.backend_tokenizer.no_padding()
        check_tokenizer(tokenizer.backend_tokenizer)
    except ArtifactError:
        raise
    except BaseException as error:
        if not is_of_tokenizers(error):
            raise
        raise ArtifactError(
            f"{folder}: holds no tokenizer that transformers reads ({first_line(error)}); expected "
            "tokenizer.json, or the vocabulary that it is made from. Get the weights again, or save it with a fast tokenizer."
        ) from None
    special = {name: str(getattr(tokenizer, name)) for name in SPECIAL_TOKENS if getattr(tokenizer, name, None)}
    side: Literal["left", "right"] = "left" if tokenizer.truncation_side == "left" else "right"
    return FoundTokenizer(tokenizer.backend_tokenizer, special, tokenizer.model_max_length, side)


def _japanese_tokenizer(folder: Path) -> FoundTokenizer:
    try:
        found = japanese_bert_tokenizer(folder)
    except ValueError as error:
        raise ArtifactError(f"{folder}: {error}") from None
    check_tokenizer(without_segmenter(found.backend))
    return found
