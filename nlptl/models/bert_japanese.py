"""Tokenizers of Japanese BERT checkpoints (tokenizer_class BertJapaneseTokenizer), read from their files and written back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from nlptl.errors import ConfigError
from nlptl.faults import shown
from nlptl.inference.bert_words import BertWords
from nlptl.inference.segmenter import Segmenter
from nlptl.inference.segmenting import segmenting, without_segmenter
from nlptl.inference.settings_files import object_in

CLASS = "BertJapaneseTokenizer"
SETTINGS, VOCABULARY = FILES = ("tokenizer_config.json", "vocab.txt")
OTHERS = "Choose other weights."
MAX_VOCABULARY = 50_000_000  # bytes
SPECIAL = {
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
_SPECIAL_MAP, _ADDED = "special_tokens_map.json", "added_tokens.json"  # of folders that older transformers wrote
_TYPES: dict[str, tuple[type, str]] = {  # of settings, and how a sentence calls them
    "word_tokenizer_type": (str, "a name"), "subword_tokenizer_type": (str, "a name"), "do_lower_case": (bool, "true or false"),
    "mecab_kwargs": (dict, "a block"), "sudachi_kwargs": (dict, "a block"), "truncation_side": (str, "left or right"),
    "added_tokens_decoder": (dict, "a block"),
}  # fmt: skip
_KWARGS = {  # settings of each program, and the names that they have here
    "mecab": {"mecab_dic": "dictionary", "normalize_text": "normalize"},
    "sudachi": {"sudachi_dict_type": "dictionary", "sudachi_split_mode": "mode", "normalize_text": "normalize"},
}


@dataclasses.dataclass(frozen=True)
class FoundTokenizer:
    """Tokenizer of a folder, and what its settings say beside it."""

    backend: Tokenizer
    special: Mapping[str, str]  # tokens by their names, such as cls_token
    max_length: int | float | None = None
    truncation_side: Literal["left", "right"] = "right"

    @property
    def unknown(self) -> int | None:
        """Id of what is not in the vocabulary."""
        token = self.special.get("unk_token")
        return None if token is None else self.backend.token_to_id(token)


def is_japanese_bert(folder: Path) -> bool:
    """Return whether a folder names the tokenizer's class."""
    path = folder / SETTINGS
    return path.is_file() and object_in(path).get("tokenizer_class") in (CLASS, f"{CLASS}Fast")


def words_of_folder(folder: Path) -> BertWords | None:
    """Return what cuts texts into words for the tokenizer of a folder; None where its own rules do.

    Raises ValueError for settings that are not honoured, and for a package that is missing.
    """
    settings = _settings(folder)
    program = settings.get("word_tokenizer_type", "basic")
    _refuse(settings)
    special = _special(settings)
    _refuse_added(settings, special)
    if program == "basic":
        return None
    found: dict[str, Any] = {"dictionary": "unidic_lite" if program == "mecab" else "core"}  # as transformers has them
    for name, value in (settings.get(f"{program}_kwargs") or {}).items():
        if name in _KWARGS[program] and value is not None:
            found[_KWARGS[program][name]] = value
        elif value not in (None, "", False, []):
            raise ValueError(f"its {program}_kwargs hold {name}, which is not read. {OTHERS}")
    try:
        words = BertWords(
            program=program, subwords=settings.get("subword_tokenizer_type", "wordpiece"),
            lowercase=settings.get("do_lower_case", False), special=tuple(dict.fromkeys(special.values())),
            unknown=special["unk_token"], **found,
        )  # fmt: skip
    except ConfigError as error:
        raise ValueError(f"its {SETTINGS} has a fault: {str(error).removeprefix('BertWords.')}") from None
    if missing := words.missing():
        raise ValueError(missing)
    return words.model_copy(update={"version": words.installed_version()})


def dictionary_of_folder(folder: Path) -> str:
    """Return package and version of the dictionary that cuts the texts of a folder's tokenizer; empty where none does."""
    words = words_of_folder(folder) if is_japanese_bert(folder) else None
    return "" if words is None else words.digest


def japanese_bert_tokenizer(folder: Path) -> FoundTokenizer:
    """Read the tokenizer of a folder. Raises ValueError like `words_of_folder`, and for a vocabulary that cannot be used."""
    settings, words = _settings(folder), words_of_folder(folder)
    special, path = _special(settings), folder / VOCABULARY
    if not path.is_file():
        raise ValueError(f"{VOCABULARY} is missing. Get the weights again.")
    if path.stat().st_size > MAX_VOCABULARY:
        raise ValueError(f"{VOCABULARY} has more than {MAX_VOCABULARY:,} bytes. {OTHERS}")
    lines = path.read_text(encoding="utf-8").split("\n")
    vocabulary = {token.rstrip("\r"): number for number, token in enumerate(lines[:-1] if not lines[-1] else lines)}
    if absent := [token for token in special.values() if token not in vocabulary]:
        raise ValueError(f"{VOCABULARY} lacks {absent[0]}. Get the weights again.")
    for number, token in _added(settings):
        if vocabulary[token] != number:
            raise ValueError(
                f"its {SETTINGS} gives {token} the id {number}; expected {vocabulary[token]}, its line in {VOCABULARY}. Get the "
                "weights again."
            )
    by_character = settings.get("subword_tokenizer_type") == "character"
    kind: Any = models.WordLevel if by_character else models.WordPiece
    backend = Tokenizer(kind(vocabulary, unk_token=special["unk_token"]))
    if words is None:
        lower = settings.get("do_lower_case", False)
        clean = normalizers.BertNormalizer(
            clean_text=True, handle_chinese_chars=False, strip_accents=None, lowercase=lower
        )
        backend.normalizer = normalizers.Sequence([normalizers.NFC(), clean])
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    first, last = special["cls_token"], special["sep_token"]
    backend.post_processor = processors.TemplateProcessing(
        f"{first} $A {last}", f"{first} $A {last} $B:1 {last}:1",
        [(token, vocabulary[token]) for token in (first, last)],
    )  # fmt: skip
    backend.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in dict.fromkeys(special.values())]
    )
    side: Literal["left", "right"] = "left" if settings.get("truncation_side") == "left" else "right"
    return FoundTokenizer(segmenting(backend, words), special, settings.get("model_max_length"), side)


def write_for_transformers(folder: Path, tokenizer: Tokenizer, words: Segmenter | BertWords) -> None:
    """Write vocab.txt and settings by which transformers cuts texts in the same way, beside tokenizer.json."""
    if not isinstance(words, BertWords):
        return
    lines = "".join(f"{token}\n" for token in _lines(without_segmenter(tokenizer).get_vocab()))
    (folder / VOCABULARY).write_text(lines, encoding="utf-8")
    ours = {here: there for there, here in _KWARGS[words.program].items()}
    given = {ours[name]: value for name, value in words.model_dump().items() if name in ours}
    settings = object_in(folder / SETTINGS) | {
        "tokenizer_class": CLASS, "word_tokenizer_type": words.program, "subword_tokenizer_type": words.subwords,
        "do_lower_case": words.lowercase, f"{words.program}_kwargs": given,
    }  # fmt: skip
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _lines(vocabulary: Mapping[str, int]) -> list[str]:
    """Return the lines of vocab.txt: each token stands at its id.

    An id without a token had a line that comes twice, and the later one counts. It gets the next token, as its first line.
    """
    tokens, lines = {number: token for token, number in vocabulary.items()}, list[str]()
    for number in reversed(range(max(tokens, default=-1) + 1)):
        lines.append(tokens[number] if number in tokens else lines[-1])
    return lines[::-1]


def _settings(folder: Path) -> dict[str, Any]:
    """Return the settings of a folder, with the special tokens and added tokens that older folders keep in files of their own.

    Raises ValueError for a setting of another type.
    """
    settings = dict(object_in(folder / SETTINGS))
    if "added_tokens_decoder" not in settings:
        settings |= object_in(folder / _SPECIAL_MAP) if (folder / _SPECIAL_MAP).is_file() else {}
        added = object_in(folder / _ADDED) if (folder / _ADDED).is_file() else {}
        settings["added_tokens_decoder"] = {str(number): {"content": token} for token, number in added.items()}
    for name, (kind, expected) in _TYPES.items():
        if name in settings and settings[name] is not None and not isinstance(settings[name], kind):
            raise ValueError(
                f"its {SETTINGS} has a fault: {name} is {shown(settings[name])}, but must be {expected}. Get the weights again."
            )
    if settings.get("truncation_side") not in (None, "left", "right"):
        side = shown(settings["truncation_side"])
        raise ValueError(f"its truncation_side is {side}, and only left and right are read. {OTHERS}")
    return settings


def _added(settings: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return the tokens that are added to the vocabulary, with their ids. Raises ValueError for what is no token."""
    found = list[tuple[int, str]]()
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        content = token.get("content") if isinstance(token, dict) else None
        if not (isinstance(content, str) and number.isascii() and number.isdigit()):
            raise ValueError(
                f"its {SETTINGS} has a fault: added_tokens_decoder holds {shown(token)} at {shown(number)}, but must hold tokens "
                "by their ids. Get the weights again."
            )
        found.append((int(number[:20]), content))
    return found


def _refuse_added(settings: Mapping[str, Any], special: Mapping[str, str]) -> None:
    """Raise ValueError for tokens beside the five special ones, and for special tokens that take the blanks around them."""
    more = [token for _, token in _added(settings)]
    for name, value in settings.items():
        if name in ("additional_special_tokens", "extra_special_tokens"):
            more += value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
        elif name.endswith("_token") and name not in SPECIAL:
            more.append(value)
    contents = [one.get("content") if isinstance(one, dict) else one for one in more if one is not None]
    if beside := [one for one in contents if one not in special.values()]:
        raise ValueError(
            f"its tokenizer adds the token {shown(beside[0])}; expected no tokens beside the five special ones "
            f"({', '.join(special.values())}). {OTHERS}"
        )
    given = [*(settings.get("added_tokens_decoder") or {}).values(), *(settings.get(name) for name in SPECIAL)]
    for one in given:
        if isinstance(one, dict) and (flag := next((f for f in ("lstrip", "rstrip", "single_word") if one.get(f)), "")):
            raise ValueError(f"its special token {shown(one.get('content'))} sets {flag}, which is not read. {OTHERS}")


def _refuse(settings: Mapping[str, Any]) -> None:
    """Raise ValueError for what transformers would do and nlptl does not."""
    program = settings.get("word_tokenizer_type", "basic")
    if program != "basic" and program not in _KWARGS:
        raise ValueError(
            f"its word_tokenizer_type is {program!r}, and only mecab, sudachi and basic are read. {OTHERS}"
        )
    subwords = settings.get("subword_tokenizer_type", "wordpiece")
    if subwords not in ("wordpiece", "character") or (program == "basic" and subwords == "character"):
        raise ValueError(f"its subword_tokenizer_type is {subwords!r} over {program}, which is not read. {OTHERS}")
    for name, usual in (("do_word_tokenize", True), ("do_subword_tokenize", True), ("never_split", [])):
        if (settings.get(name) or usual) != usual or settings.get(name) is False:
            raise ValueError(f"its tokenizer_config.json sets {name}, which is not read. {OTHERS}")


def _special(settings: Mapping[str, Any]) -> dict[str, str]:
    found = dict[str, str]()
    for name, usual in SPECIAL.items():
        value = settings.get(name) or usual
        token = value.get("content") if isinstance(value, dict) else value
        if not (isinstance(token, str) and token and token.isprintable()):
            raise ValueError(f"its special tokens are no texts. {OTHERS}")
        found[name] = token
    return found
