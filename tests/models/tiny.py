"""Tiny encoders of every architecture: random weights, and tokenizers of the kinds that the real ones come with."""

from __future__ import annotations

import functools
import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE

from nlptl.inference.tokenizing import TokenRule
from nlptl.models.architectures import ARCHITECTURES
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import SPECIAL_TOKENS
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.transformer import Transformer

MODEL_TYPES = tuple(ARCHITECTURES)
LAYERS = 3
DIM = 32
POSITIONS = 64  # tokens of the longest text, special ones included

TEXTS = [
    "the film is good",
    "",
    "a dull story and a bad ending, was it not",
    "Lovely!",
    "the story was great and the film is lovely and the number of good things in it is great",
    "4 films, 2 of them <mask> [MASK]",
]
WORDS = ["the", "film", "story", "is", "was", "and", "good", "bad", "great", "dull", "lovely", "number"]
MARKS = [*string.ascii_lowercase, *string.digits, *",.!?-<>[]"]
BERT_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def tiny_config(model_type: str, **changes: Any) -> Any:
    """Return settings of 3 layers, 32 dimensions and 4 heads; `changes` are named as the architecture names them."""
    tokenizer = tiny_tokenizer(model_type)
    sizes = {"hidden_size": DIM, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 48}
    own: dict[str, dict[str, Any]] = {
        "distilbert": {"dim": DIM, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 48},
        "electra": {**sizes, "embedding_size": 24},
        "modernbert": {
            **sizes,
            "local_attention": 8,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "cls_token_id": tokenizer.cls_token_id,
            "sep_token_id": tokenizer.sep_token_id,
        },
    }
    after_padding = ARCHITECTURES[model_type].first_position == "after_padding"
    shared = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": POSITIONS + (tokenizer.pad_token_id + 1 if after_padding else 0),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
    }
    return transformers.AutoConfig.for_model(model_type, **{**shared, **own.get(model_type, sizes), **changes})


def tiny_model(model_type: str, *, seed: int = 0, **changes: Any) -> Any:
    """Return a base model of transformers in evaluation mode, its weights large enough for attention to matter."""
    extra = {"add_pooling_layer": False} if ARCHITECTURES[model_type].pooler else {}
    model = transformers.AutoModel.from_config(
        tiny_config(model_type, **changes), attn_implementation="eager", **extra
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.1 * noise if "norm" in name.lower() and name.endswith("weight") else 0.25 * noise)
    return model


def tiny_transformer(model_type: str, *, seed: int = 0, **changes: Any) -> Transformer:
    """Return the token model of a tiny encoder, in evaluation mode."""
    tokenizer = tiny_tokenizer(model_type)
    special = {name: str(getattr(tokenizer, name)) for name in SPECIAL_TOKENS if getattr(tokenizer, name)}
    rule = TokenRule(special_tokens=True, unknown=tokenizer.unk_token_id, max_length=POSITIONS)
    return Transformer(tiny_model(model_type, seed=seed, **changes), rule, special_tokens=special).eval()


def tiny_encoder(model_type: str, *, pooling: PoolingMode = "mean", seed: int = 0, **changes: Any) -> Encoder:
    """Return a whole tiny encoder, in evaluation mode."""
    tokenizer = Tokenizer.from_str(tiny_tokenizer(model_type).backend_tokenizer.to_str())
    tokenizer.enable_truncation(POSITIONS)
    return Encoder(tokenizer, tiny_transformer(model_type, seed=seed, **changes), Pooling(pooling)).eval()


def without_start(encoder: Encoder) -> None:
    """Let the tokenizer of an encoder add no special tokens to a text."""
    tokenizer: Any = encoder.tokenizer
    tokenizer.post_processor = None


def tiny_folder(path: Path, model_type: str, *, seed: int = 0, **changes: Any) -> Path:
    """Write tiny weights as plain transformers does, with model.safetensors and the tokenizer, and return the folder."""
    tiny_model(model_type, seed=seed, **changes).save_pretrained(path)
    tiny_tokenizer(model_type).save_pretrained(path)
    return path


@functools.cache
def tiny_tokenizer(model_type: str) -> Any:
    """Return a tokenizer of transformers: WordPiece, byte-level BPE or unigram, as the architecture's own weights have."""
    if model_type in ("bert", "electra", "distilbert"):
        made = {"bert": transformers.BertTokenizer, "electra": transformers.ElectraTokenizer}
        return made.get(model_type, transformers.DistilBertTokenizer)(vocab=_wordpiece(), model_max_length=POSITIONS)
    if model_type == "roberta":
        return transformers.RobertaTokenizer(*_bpe(ROBERTA_SPECIAL), model_max_length=POSITIONS)
    if model_type == "modernbert":
        return _modernbert_tokenizer()
    if model_type == "mpnet":
        return transformers.MPNetTokenizer(vocab=_mpnet_vocabulary(), model_max_length=POSITIONS)
    unigram = transformers.XLMRobertaTokenizer if model_type == "xlm-roberta" else transformers.CamembertTokenizer
    return unigram(vocab=_unigram(), additional_special_tokens=[], model_max_length=POSITIONS)


def _wordpiece() -> dict[str, int]:
    return {piece: i for i, piece in enumerate([*BERT_SPECIAL, *MARKS, *(f"##{mark}" for mark in MARKS), *WORDS])}


def _mpnet_vocabulary() -> dict[str, int]:
    pieces = [*MARKS, *(f"##{mark}" for mark in MARKS), *WORDS]
    return {piece: number for number, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "[UNK]", *pieces, "<mask>"])}


def _unigram() -> list[tuple[str, float]]:
    special = [(token, 0.0) for token in ROBERTA_SPECIAL[:4]]
    pieces = [("▁", -3.0), *((mark, -5.0) for mark in MARKS), *((f"▁{word}", -4.0) for word in WORDS)]
    return [*special, *pieces, ("<mask>", 0.0)]


def _bpe(special: list[str]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return entries and merges that build each word, letter by letter, with the space before it."""
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        merges.update(dict.fromkeys((f"Ġ{word[:end]}", word[end]) for end in range(len(word))))
    entries = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(merge) for merge in merges)]
    return {entry: i for i, entry in enumerate(entries)}, list(merges)


def _modernbert_tokenizer() -> Any:
    entries, merges = _bpe(BERT_SPECIAL)
    tokenizer = Tokenizer(BPE(entries, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[(token, entries[token]) for token in ("[CLS]", "[SEP]")],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{token[1:-1].lower()}_token": token for token in BERT_SPECIAL},
        model_max_length=POSITIONS,
        model_input_names=["input_ids", "attention_mask"],
    )
