"""multilingual-e5-small of its two pip packages (4-bit weights, a tokenizer's file) as a folder of sentence-transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from nlptl.models.four_bit_file import read_four_bit_file

MAX_LENGTH = 512
TOKENS = {
    "bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>",
    "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip
LAYOUT = {  # what the authors' own folder says: the mean of the tokens, scaled to length 1, of "query: " and the text
    "tokenizer_config.json": {
        **TOKENS, "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": MAX_LENGTH,
        "model_input_names": ["input_ids", "attention_mask"],
    },
    "modules.json": [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ],
    "1_Pooling/config.json": {"word_embedding_dimension": 384, "pooling_mode_mean_tokens": True},
    "2_Normalize/config.json": {},
    "sentence_bert_config.json": {"max_seq_length": MAX_LENGTH, "model_args": {"add_pooling_layer": False}},
    "config_sentence_transformers.json": {
        "prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": "query", "similarity_fn_name": "cosine",
    },
}  # fmt: skip


def write_multilingual_e5(files: Sequence[Path], folder: Path) -> None:
    """Write the folder from the packages' two files: the weights, which become float32, and tokenizer.json."""
    from safetensors.numpy import save_file

    weights, tokenizer = files
    model = read_four_bit_file(weights)
    save_file(dict(model.arrays), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    config = {
        "architectures": ["BertModel"],
        "model_type": "bert",
        "hidden_act": "gelu",
        **model.settings,
        "dtype": "float32",
    }
    for name, content in {"config.json": config, **LAYOUT}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
