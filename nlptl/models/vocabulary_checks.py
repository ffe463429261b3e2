"""Checks of a tokenizer beside weights from its files alone, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nlptl.errors import ConfigError
from nlptl.inference.settings_files import MAX_TOKENIZER_BYTES, object_in
from nlptl.models.bert_japanese import is_japanese_bert, words_of_folder

TOKENIZER = "tokenizer.json"
VOCABULARIES = (  # files of which one set is enough
    (TOKENIZER,), ("vocab.txt",), ("vocab.json", "merges.txt"), ("sentencepiece.bpe.model",), ("spiece.model",),
    ("tokenizer.model",),
)  # fmt: skip


def check_vocabulary(name: str, folder: Path, *, where: str) -> None:
    """Raise ConfigError for weights without a tokenizer, or with one that has more entries than the encoder embeddings.

    `folder` holds config.json. Files that cannot be read are told when they are loaded.
    """
    if not any(all((folder / file).is_file() for file in files) for files in VOCABULARIES):
        raise ConfigError(
            f"{where}.weights: {name}: found no tokenizer; expected tokenizer.json, or the vocabulary that it is made from. Get "
            "the weights again, or save it with a fast tokenizer."
        )
    try:
        if is_japanese_bert(folder):
            words_of_folder(folder)
    except ValueError as error:
        raise ConfigError(f"{where}.weights: {name}: {error}") from None
    try:
        rows = object_in(folder / "config.json").get("vocab_size")
        found = object_in(folder / TOKENIZER, most=MAX_TOKENIZER_BYTES) if (folder / TOKENIZER).is_file() else {}
    except ValueError:
        return
    highest = max(_ids(found), default=-1)
    if isinstance(rows, int) and highest >= rows:
        raise ConfigError(
            f"{where}.weights: {name}: tokenizer.json gives ids up to {highest}; expected ids below {rows}, since the encoder has "
            "no more embeddings. Use the tokenizer that it was trained with."
        )


def _ids(tokenizer: Mapping[str, Any]) -> Iterator[int]:
    """Yield the ids that a tokenizer's file names, in any of the forms of its models."""
    model, added = tokenizer.get("model"), tokenizer.get("added_tokens")
    entries = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(entries, list):
        yield len(entries) - 1
    numbers = [*entries.values()] if isinstance(entries, dict) else []
    numbers += [token.get("id") for token in added if isinstance(token, dict)] if isinstance(added, list) else []
    yield from (number for number in numbers if isinstance(number, int))
