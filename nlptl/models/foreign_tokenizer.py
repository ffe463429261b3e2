"""Tokenizers of other tools' folders, read by transformers, with the settings of sentence-transformers applied."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlptl.errors import ArtifactError, first_line
from nlptl.models.pretrained import quiet
from nlptl.models.weight_checks import read_settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SPECIAL_TOKENS = ("cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token")
SENTENCE_SETTINGS = "sentence_bert_config.json"  # of sentence-transformers
UNBOUNDED_LENGTH = 100_000  # tokenizers without a limit state an astronomic one


def tokenizer_of(folder: Path) -> Any:
    """Return transformers' tokenizer of a folder. Without its files transformers would make one that knows no word."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        files = dict(tokenizer.vocab_files_names)
        whole = files.pop("tokenizer_file", "tokenizer.json")
        if not (folder / whole).is_file() and not (files and all((folder / name).is_file() for name in files.values())):
            raise ValueError(f"{whole} is missing")
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise ValueError("it does not turn into a fast tokenizer")
    except Exception as error:  # tokenizers raises the bare class
        raise ArtifactError(
            f"{folder}: holds no tokenizer that transformers reads ({first_line(error).rstrip('.:')}); expected "
            "tokenizer.json, or the vocabulary that it is made from. Get the weights again, or save it with a fast tokenizer."
        ) from None
    return tokenizer


def special_tokens(tokenizer: Any) -> dict[str, str]:
    """Return the special tokens of transformers' tokenizer by name."""
    return {name: str(getattr(tokenizer, name)) for name in SPECIAL_TOKENS if getattr(tokenizer, name, None)}


def lower_case_if_asked(folder: Path, tokenizer: Tokenizer) -> None:
    """Add lower-casing to the tokenizer if sentence-transformers' settings say do_lower_case."""
    from tokenizers import normalizers

    if _sentence_settings(folder).get("do_lower_case") is True:
        before = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *before])


def max_length_of(folder: Path, tokenizer: Any) -> int:
    """Return the maximum length that the tokenizer or sentence-transformers' settings state."""
    stated = [tokenizer.model_max_length, _sentence_settings(folder).get("max_seq_length")]
    return min([UNBOUNDED_LENGTH, *(length for length in stated if isinstance(length, int))])


def _sentence_settings(folder: Path) -> dict[str, Any]:
    path = folder / SENTENCE_SETTINGS
    return read_settings(path) if path.is_file() else {}
