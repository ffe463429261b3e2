"""Multilingual encoders by path, in the layouts in which they are published: the vectors of transformers, Japanese included."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from nlptl.data import TextData
from nlptl.stages.bert import Bert
from tests.models.tiny import tiny_model

PILE = [
    "この映画は見ていて本当に楽しかった。",
    "途中で眠くなるほど退屈な映画でした。",
    "音楽が美しく、もう一度見たいと思いました。",
    "The film was a joy to watch.",
    "Der Film war leider langweilig.",
] * 4
TEXTS = ["この映画は楽しかった。", "ｺﾉ映画ハ「退屈」　デシタ①", "The film, a joy!", "映画", "", "見たい" * 40]
XLM_R = ["<s>", "<pad>", "</s>", "<unk>"]
MAX_LENGTH = 24


def unigram() -> Tokenizer:
    """Return a tokenizer as XLM-R, multilingual MiniLM and E5 have it: pieces of unspaced text, NFKC first."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=150, special_tokens=[*XLM_R, "<mask>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(PILE, trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def as_xlm_r(folder: Path, *, kind: str) -> None:
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=unigram(), model_max_length=MAX_LENGTH, model_input_names=["input_ids", "attention_mask"],
        bos_token="<s>", eos_token="</s>", cls_token="<s>", sep_token="</s>", pad_token="<pad>", unk_token="<unk>",
        mask_token="<mask>",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    tiny_model(kind, vocab_size=len(tokenizer), pad_token_id=1).save_pretrained(folder)


def as_mbert(folder: Path) -> None:
    characters = sorted({character for text in PILE for character in text if not character.isspace()})
    words = sorted({word for text in PILE[-2:] for word in text.strip(".").split()})
    vocabulary = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *characters,
        *(f"##{one}" for one in characters),
        *words,
    ]
    vocabulary = list(dict.fromkeys(vocabulary))
    transformers.BertTokenizer(
        vocab={token: number for number, token in enumerate(vocabulary)},
        do_lower_case=False,
        model_max_length=MAX_LENGTH,
    ).save_pretrained(folder)
    tiny_model("bert", vocab_size=len(vocabulary)).save_pretrained(folder)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "XLM-R": lambda folder: as_xlm_r(folder, kind="xlm-roberta"),
    "multilingual MiniLM": lambda folder: as_xlm_r(folder, kind="bert"),
    "mBERT, cased": as_mbert,
}


@pytest.fixture(scope="module", params=LAYOUTS)
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small folder in one of the layouts."""
    path = tmp_path_factory.mktemp("weights") / "tiny"
    LAYOUTS[request.param](path)
    return path


def vectors_of_transformers(folder: Path, texts: list[str]) -> np.ndarray:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).eval()
    found = []
    for text in texts:
        inputs = tokenizer(text, truncation=True, max_length=MAX_LENGTH, return_tensors="pt")
        with torch.no_grad():
            found.append(model(**inputs).last_hidden_state[0].mean(dim=0).numpy())
    return np.stack(found)


@pytest.mark.parametrize("prompt", ["", "query: "])
def test_the_vectors_are_those_of_transformers(prompt: str, folder: Path) -> None:
    encoder = Bert(weights=str(folder), prompt=prompt).run(data=TextData(unlabelled=PILE))
    expected = vectors_of_transformers(folder, [prompt + text for text in TEXTS])
    np.testing.assert_allclose(np.asarray(encoder.encode(TEXTS)), expected, atol=2e-5)
