"""Tokenizers from files that anybody may have written: bounded, without patterns that hang, tried once before use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer

from nlptl.errors import ArtifactError, first_line
from nlptl.faults import cut, shown
from nlptl.inference.pattern_safety import may_explode
from nlptl.inference.settings_files import MAX_LENGTH, MAX_TOKENIZER_BYTES, object_in

CLASS = re.compile(r"(?!Auto|Rag|TransfoXL)[A-Z][A-Za-z0-9]*Tokenizer(Fast)?|TokenizersBackend|PreTrainedTokenizerFast")
SIDE_FILES = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
# It ends at the end of the text too, so that what is never closed is read once.
STRING = re.compile(r'"(?P<text>[^"\\]*(?:\\.[^"\\]*)*)(?:"(?P<is_key>\s*:\s*(?="))?|\\?\Z)', re.DOTALL)
MAX_PATTERNS = 64  # regular expressions of a tokenizer
MAX_STEPS = 64  # of a normalizer, each of which reads the whole text
MAX_GROWTH = 64  # times that replacements may lengthen a text
MAX_SPECIAL = 64  # tokens that are added to each text
MAX_WORD = 10_000  # characters of a word that a WordPiece model splits, in quadratic time
PROBE = "A text, 1 + 2."
UNKNOWN_CHARACTERS = (
    "\U0010fffd",
    "\U0002a6d7",
    "x\U0002a6d7",
)  # of private use, and a rare Chinese one: no vocabulary has them
T = TypeVar("T")


def read_tokenizer(path: Path, *, remedy: str = "Run the stage again.") -> Tokenizer:
    """Read a tokenizer's file. Raises ArtifactError with the reason if it is damaged, or made to take time or memory."""
    try:
        check_patterns(path)
        tokenizer = Tokenizer.from_file(str(path))
        check_tokenizer(tokenizer)
    except ValueError as error:
        raise ArtifactError(f"{path}: cannot be used, since {error}; expected a tokenizers file. {remedy}") from None
    except BaseException as error:
        if not is_of_tokenizers(error):
            raise
        raise ArtifactError(f"{path}: is missing or damaged; expected a tokenizers file. {remedy}") from None
    return tokenizer


def is_of_tokenizers(error: BaseException) -> bool:
    """Return whether tokenizers raised an error: the bare class, or a panic of Rust, which is no Exception."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def check_patterns(path: Path) -> None:
    """Raise ValueError for regular expressions that may take exponential time. The vocabulary is not parsed."""
    if path.exists() and not path.is_file():
        raise ValueError("it is no plain file")
    if (size := path.stat().st_size) > MAX_TOKENIZER_BYTES:
        raise ValueError(f"it has {size:,} bytes, more than {MAX_TOKENIZER_BYTES:,}")
    for number, pattern in enumerate(_patterns(path.read_text(encoding="utf-8"))):
        if number >= MAX_PATTERNS:
            raise ValueError(f"it has more than {MAX_PATTERNS} patterns")
        if may_explode(pattern):
            raise ValueError(f"the pattern {shown(pattern)} may take exponential time")


def _patterns(content: str) -> Iterator[str]:
    """Yield each text under the key "Regex", which may be written with escapes."""
    of_pattern = False
    for found in STRING.finditer(content):
        if of_pattern:
            yield json.loads(f'"{found["text"]}"', strict=False)
        key = found["text"] if found["is_key"] else ""
        of_pattern = (json.loads(f'"{key}"', strict=False) if "\\" in key else key) == "Regex"


def check_tokenizer(tokenizer: Any) -> None:
    """Raise ValueError for a tokenizer that lengthens texts, draws at random, or fails on the simplest one."""
    length = (tokenizer.truncation or {}).get("max_length", 1)
    if not 1 <= length <= MAX_LENGTH:
        raise ValueError(f"it cuts texts off after {length} tokens")
    padding = tokenizer.padding or {}
    if (padding.get("length") or 0) > MAX_LENGTH or (padding.get("pad_to_multiple_of") or 0) > MAX_LENGTH:
        raise ValueError("it pads texts to more than a million tokens")
    if getattr(tokenizer.model, "dropout", None):
        raise ValueError("it draws the pieces of a word at random")
    if getattr(tokenizer.model, "max_input_chars_per_word", 0) > MAX_WORD:
        raise ValueError(f"it splits words of more than {MAX_WORD:,} characters")
    if tokenizer.normalizer is not None:
        _check_growth(json.loads(tokenizer.normalizer.__getstate__()))
    if tokenizer.num_special_tokens_to_add(False) > MAX_SPECIAL:
        raise ValueError("it adds too many tokens to each text")
    tokenizer.encode_batch_fast([PROBE, ""], add_special_tokens=True)
    try:
        tokenizer.encode_batch_fast(list(UNKNOWN_CHARACTERS), add_special_tokens=True)
    except BaseException as error:
        if not is_of_tokenizers(error):
            raise
        raise ValueError(f"it fails on a character that its vocabulary lacks: {first_line(error)}") from None


def encoded(encode: Callable[[Sequence[str]], list[T]], texts: Sequence[str]) -> list[T]:
    """Return what a tokenizer makes of texts. Raises ArtifactError with the first text on which it fails."""
    try:
        return encode(texts)
    except BaseException as error:
        if not _is_failure(error):
            raise
        reason = first_line(error)
    for text in texts:
        try:
            encode([text])
        except BaseException as error:
            if not _is_failure(error):
                raise
            raise _failure(shown(text), first_line(error)) from None
    raise _failure(f"one of {len(texts)} texts", reason)


def _failure(text: str, reason: str) -> ArtifactError:
    return ArtifactError(
        f"The encoder's tokenizer fails on the text {text} ({reason}); expected one that reads every text. Use other "
        "weights, or leave the text out."
    )


def _is_failure(error: BaseException) -> bool:
    """Return whether a tokenizer gave up on a text: errors of its own have no class but the bare one."""
    return type(error) is Exception or (is_of_tokenizers(error) and not isinstance(error, Exception))


def highest_id(tokenizer: Any, *, of_all: bool = True) -> int:
    """Return the highest id that a tokenizer gives, special tokens of a text included; `of_all` looks at each word."""
    words: int = max(tokenizer.get_vocab().values(), default=-1) if of_all else tokenizer.get_vocab_size() - 1
    ids: list[int] = tokenizer.encode(PROBE, add_special_tokens=True).ids
    return max([words, *ids])


def check_side_files(folder: Path) -> None:
    """Raise ValueError for patterns that may hang, and settings that name what is no class, file or value of a tokenizer."""
    for path in sorted(folder.glob("tokenizer*.json")):
        if path.name not in SIDE_FILES:
            check_patterns(path)
    for name in SIDE_FILES:
        if (folder / name).is_file():
            object_in(folder / name)
    settings = object_in(folder / SIDE_FILES[0]) if (folder / SIDE_FILES[0]).is_file() else {}
    kind = settings.get("tokenizer_class")
    if kind is not None and not (isinstance(kind, str) and CLASS.fullmatch(kind)):
        raise ValueError(f"tokenizer_config.json names the tokenizer_class {shown(kind)}")
    files = settings.get("fast_tokenizer_files") or []
    if not isinstance(files, list) or not all(re.fullmatch(r"tokenizer[0-9.]*\.json", str(file)) for file in files):
        raise ValueError("tokenizer_config.json names fast_tokenizer_files elsewhere")
    for name, place in settings.items():  # paths of the machine that wrote them are harmless, those of this one are not
        if name.endswith("_file") and isinstance(place, str) and _stands_elsewhere(place, folder):
            raise ValueError(f"tokenizer_config.json names {name} {shown(place)} outside of the folder")
    length = settings.get("model_max_length")
    if length is not None and (isinstance(length, bool) or not isinstance(length, int | float) or length < 1):
        raise ValueError(f"tokenizer_config.json holds model_max_length {cut(str(length))}")


def _stands_elsewhere(place: str, folder: Path) -> bool:
    """Return whether a path leads to a file of this machine that is not in `folder`."""
    try:
        return Path(place).exists() and Path(place).resolve().parent != folder.resolve()
    except (OSError, ValueError):  # no path at all
        return False


def _check_growth(normalizer: dict[str, Any]) -> None:
    growth, steps = 1.0, 0
    waiting = [normalizer]
    while waiting:
        step = waiting.pop()
        waiting += step.get("normalizers") or []
        steps += 1
        if step.get("type") == "Replace":
            pattern = step.get("pattern") or {}
            shortest = len(pattern.get("String") or "x") if isinstance(pattern, dict) else 1
            growth *= max(1.0, len(step.get("content") or "") / shortest)
        elif step.get("type") == "Prepend":
            growth *= max(1.0, len(step.get("prepend") or ""))
    if steps > MAX_STEPS or growth > MAX_GROWTH:
        raise ValueError(f"its normalizer has {steps} steps, which lengthen a text {growth:.3g} times")
