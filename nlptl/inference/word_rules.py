"""Rules by which text is split into words, as steps of the `tokenizers` library, and which tokenizers follow them."""

from __future__ import annotations

import itertools
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from nlptl.inference.segmenting import segmenter_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Preset = Literal["plain", "tweets"]
UnicodeForm = Literal["NFC", "NFKC", "none"]

URL, USER = "<url>", "<user>"

_SCRIPTS_WITHOUT_SPACES = r"\p{Han}|\p{Hiragana}+|[\p{Katakana}ー]+"
_WORD = r"[\p{L}\p{N}][\p{L}\p{Mn}\p{Mc}\p{N}]*(?:['’]\p{L}[\p{L}\p{Mn}\p{Mc}]*)*"  # a mark alone is no word
_INVISIBLE = r"[\x{AD}\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}]"  # soft hyphens and variation selectors
_TAGS = r"(?:[\x{E0020}-\x{E007E}]+\x{E007F})?"  # after a black flag: a region such as England
_PICTURE = rf"[\p{{Emoji_Presentation}}\p{{Extended_Pictographic}}]\p{{Emoji_Modifier}}?{_TAGS}"
_FLAG, _KEYCAP = r"[\x{1F1E6}-\x{1F1FF}]{2}", r"[0-9#*]\x{20E3}"
_EMOJI = rf"{_FLAG}|{_KEYCAP}|{_PICTURE}(?:\x{{200D}}{_PICTURE})*"
_EMOTICON = r"[:;=]['\-]?[)(dpo/|*3]|<3"


def normalizer_steps(preset: Preset, unicode: UnicodeForm, *, lowercase: bool) -> list[Any]:
    """Return the normalizers that come before the split."""
    from tokenizers import Regex, normalizers

    steps: list[Any] = [normalizers.Replace(Regex(_INVISIBLE), "")]
    steps.append(normalizers.Replace(Regex(r"<[bB][rR][ \t\r\n\f\v]*/?>"), " "))
    if unicode != "none":
        steps.append(normalizers.NFKC() if unicode == "NFKC" else normalizers.NFC())
    steps.append(normalizers.Replace(Regex("’"), "'"))
    if lowercase:
        steps.append(normalizers.Lowercase())
    if preset == "tweets":
        steps += [
            normalizers.Replace(Regex(r"(?:https?://|www\.)\S+"), f" {URL} "),
            normalizers.Replace(Regex(r"(?<![\w.])@\w+"), f" {USER} "),
            normalizers.Replace(Regex(r"(\p{L})(?=\1\1)"), ""),
        ]
    return steps


def word_split(preset: Preset, *, is_cut: bool = False) -> Any:
    """Return the pre-tokenizer that finds the words of a normalised text.

    Where texts were cut before (`is_cut`), words of scripts without spaces stand between blanks as all others do.
    """
    from tokenizers import Regex, pre_tokenizers

    pattern = _WORD if is_cut else f"{_SCRIPTS_WITHOUT_SPACES}|{_WORD}"
    if preset == "tweets":
        pattern = f"{URL}|{USER}|{_EMOTICON}|{_EMOJI}|{pattern}|[!?](?![!?])"
    return pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)


def reads_chunks_alone(tokenizer: Tokenizer) -> bool:
    """Return whether the words of a chunk, which is text between ASCII whitespace, never depend on the chunks beside it.

    It is true of tokenizers that consist of the rules here; only `<br />` has whitespace inside. Of others nothing is known,
    and a segmenter looks at the words around.
    """
    if segmenter_of(tokenizer) is not None:
        return False
    if tokenizer.normalizer is None or tokenizer.pre_tokenizer is None or type(tokenizer.model).__name__ != "WordLevel":
        return False
    if tokenizer.truncation is not None or tokenizer.padding is not None or tokenizer.get_added_tokens_decoder():
        return False
    return (_state(tokenizer.normalizer), _state(tokenizer.pre_tokenizer)) in _known_rules()


@cache
def _known_rules() -> frozenset[tuple[str, str]]:
    """Return all combinations of rules, as JSON."""
    from tokenizers import normalizers

    presets, forms = get_args(Preset), get_args(UnicodeForm)
    return frozenset(
        (_state(normalizers.Sequence(normalizer_steps(preset, form, lowercase=fold))), _state(word_split(preset)))
        for preset, form, fold in itertools.product(presets, forms, (True, False))
    )


def _state(part: Any) -> str:
    return json.dumps(json.loads(part.__getstate__()), sort_keys=True)
