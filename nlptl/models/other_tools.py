"""Files by which other tools open a saved encoder: modules of sentence-transformers, and a note of what they cannot do.

Where no module of theirs computes what nlptl does, no modules are written, and the note says why.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file

from nlptl.models.pooling import Pooling
from nlptl.models.projection import LinearMap, Projection
from nlptl.models.sentence_settings import (
    ACTIVATIONS,
    DENSE_WEIGHTS,
    MAX_DENSE,
    MODULES,
    PROMPTS,
    TRANSFORMER_SETTINGS,
    Activation,
)

if TYPE_CHECKING:
    from nlptl.models.transformer import Transformer
    from nlptl.models.word_vectors import WordVectors

NOTE = "other-tools.txt"
_PACKAGE = "sentence_transformers.models"
_ACTIVATION_NAMES: dict[Activation, str] = {name: path for path, name in reversed(ACTIVATIONS.items())}
_PLACES = range(2, 2 + MAX_DENSE + 2)  # of modules after the pooling: any Dense, Normalize, and one that cuts vectors
FILES = frozenset({
    NOTE, MODULES, PROMPTS, TRANSFORMER_SETTINGS[0], "1_Pooling/config.json",
    *(f"{place}_Dense/{name}" for place in _PLACES for name in ("config.json", DENSE_WEIGHTS)),
    *(f"{place}_Normalize/config.json" for place in _PLACES),
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Parts:
    """Parts of an encoder, as other tools see them."""

    token_model: Transformer | WordVectors
    pooling: Pooling
    normalized: bool
    projection: Projection | None
    kept_dim: int | None
    views: int = 0  # number of views beside its own vectors


def write(parts: Parts, folder: Path) -> None:
    """Write modules of sentence-transformers into the folder of an encoder, where they give its vectors, and the note."""
    reason = why_not(parts)
    if reason is None and parts.token_model.kind == "transformer":
        _write_modules(parts, parts.token_model, folder)
    lines = [
        "sentence-transformers gives the same vectors: SentenceTransformer(folder)."
        if reason is None
        else f"No other tool gives the vectors of this folder, because {reason}. Load it with nlptl: Encoder.load(folder)."
    ]
    if parts.token_model.kind == "transformer" and parts.token_model.adapters:
        lines.append(
            "The folder `adapter` holds a LoRA adapter over the encoder of this folder; with PEFT: "
            "PeftModel.from_pretrained(AutoModel.from_pretrained(folder), folder + '/adapter')."
        )
    (folder / NOTE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def add_head(folder: Path, labels: Sequence[str], *, multi_label: bool = False) -> None:
    """Name the labels in config.json, for those of other weights may stand there, and say in the note who reads the head."""
    path = folder / "config.json"
    if path.is_file():
        names = {str(number): label for number, label in enumerate(labels)}
        numbers = {label: number for number, label in enumerate(labels)}
        settings = json.loads(path.read_text(encoding="utf-8")) | {"id2label": names, "label2id": numbers}
        settings.pop("problem_type", None)
        settings |= {"problem_type": "multi_label_classification"} if multi_label else {}
        path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    with (folder / NOTE).open("a", encoding="utf-8") as file:
        file.write(
            "The head is read by nlptl alone: TextClassifier.load(folder). transformers.pipeline('text-classification') would "
            "draw another head at random.\n"
        )


def why_not(parts: Parts) -> str | None:
    """Return why sentence-transformers cannot compute an encoder's vectors, or None where it can."""
    if parts.views:
        return "it joins views of other terms to them"
    if parts.token_model.kind == "word_vectors":
        return "it holds word vectors, read with a vocabulary of whole words"
    token_model, mode = parts.token_model, parts.pooling.mode
    reasons = {
        "texts are read sentence by sentence": token_model.rule.sentence_start is not None,
        f"its pooling is {mode}": mode not in ("cls", "mean", "max"),
        f"it reads the layer {token_model.layer} of {token_model.depth}": token_model.layer != token_model.depth,
        "its adapter is not merged": bool(token_model.adapters),
        "it has bottleneck adapters": len(token_model.bottlenecks) > 0,
        "its tokenizer has no padding": "pad_token" not in token_model.special_tokens,
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def _write_modules(parts: Parts, token_model: Transformer, folder: Path) -> None:
    """Write what sentence-transformers reads: in words that all of its versions understand."""
    rule, mode = token_model.rule, parts.pooling.mode
    settings: dict[str, Any] = {"max_seq_length": rule.max_length, "do_lower_case": False}
    if token_model.architecture.pooler:
        settings["model_args"] = {"add_pooling_layer": False}
    _write_json(folder / TRANSFORMER_SETTINGS[0], settings)
    names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    flags = {f"pooling_mode_{name}": kind == mode for kind, name in names.items()}
    pooling = {"word_embedding_dimension": token_model.dim, **flags, "include_prompt": not rule.skipped}
    _write_json(folder / "1_Pooling" / "config.json", pooling)
    paths = {"": "Transformer", "1_Pooling": "Pooling"}
    for one in parts.projection.maps() if parts.projection is not None else ():
        _write_dense(one, folder, paths)
    if parts.normalized:
        place = f"{len(paths)}_Normalize"
        _write_json(folder / place / "config.json", {})
        paths[place] = "Normalize"
    width = token_model.dim if parts.projection is None else parts.projection.dim
    if parts.kept_dim is not None and parts.kept_dim < width:  # not every version reads truncate_dim
        _write_dense(LinearMap(torch.eye(width)[: parts.kept_dim], None, "identity"), folder, paths)
    modules = [
        {"idx": place, "name": str(place), "path": path, "type": f"{_PACKAGE}.{kind}"}
        for place, (path, kind) in enumerate(paths.items())
    ]
    _write_json(folder / MODULES, modules)
    prompts = (
        {"prompts": {"default": rule.prompt}, "default_prompt_name": "default"} if rule.prompt else {"prompts": {}}
    )
    _write_json(folder / PROMPTS, {"default_prompt_name": None, **prompts, "similarity_fn_name": "cosine"})


def _write_dense(one: LinearMap, folder: Path, paths: dict[str, str]) -> None:
    """Write a linear map as the next module."""
    place = f"{len(paths)}_Dense"
    outputs, inputs = one.weight.shape
    _write_json(folder / place / "config.json", {
        "in_features": inputs, "out_features": outputs, "bias": one.bias is not None,
        "activation_function": _ACTIVATION_NAMES[one.activation],
    })  # fmt: skip
    tensors = {"linear.weight": one.weight.cpu().contiguous()}
    if one.bias is not None:
        tensors["linear.bias"] = one.bias.cpu().contiguous()
    save_file(tensors, folder / place / DENSE_WEIGHTS)
    paths[place] = "Dense"


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
