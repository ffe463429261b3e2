"""Spelling of labels: outer blanks stripped, one name for each truth value and each whole number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal

# Signs without ink that str.strip leaves: soft hyphen, zero-width and direction marks, the byte order mark, empty letters.
# Variation selectors are no blanks: an emoji ends with one.
_INVISIBLE = "\u00ad\u061c\u115f\u1160\u180e\u2800\u3164\ufeff\uffa0" + "".join(
    map(chr, [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070)])
)
_BLANKS = _INVISIBLE + "".join(chr(code) for code in range(0x3001) if chr(code).isspace())
_TRUTH = {"true": "True", "false": "False"}
_WHOLE = re.compile(r"([+-]?)(0|[1-9][0-9]*)(\.0+)?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}([.,][0-9]{1,30})?")
_TRUTH_WORDS = {  # of spreadsheets in several languages
    **dict.fromkeys(("true", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "waar", "prawda", "истина"), "true"),
    **dict.fromkeys(("false", "falsch", "faux", "falso", "onwaar", "fałsz", "ложь"), "false"),
}
_AS_NUMBERS = {"True": "1", "False": "0"}


def stripped(label: str) -> str:
    """Return a label without outer blanks: white space of every script, zero-width signs and byte order marks."""
    return label.strip(_BLANKS)


def spellings(labels: Iterable[str]) -> dict[str, str]:
    """Return the name of each label of one data set.

    All labels lose outer blanks. Where all are truth values ("true", "FALSE"), they are named "True" and "False". Where all
    are whole numbers, "1.0" and "+1" are named "1"; where all are numbers, "1.0" is, if "1" occurs too. Otherwise a label
    keeps its spelling.
    """
    names = {label: stripped(label) for label in labels}
    if all(name.casefold() in _TRUTH for name in names.values()):
        return {label: _TRUTH[name.casefold()] for label, name in names.items()}
    if all(_WHOLE.fullmatch(name) for name in names.values()):
        return {label: _whole_number(name) for label, name in names.items()}
    if all(_NUMBER.fullmatch(name) for name in names.values()):
        return _with_one_whole_number(names)
    return names


def _with_one_whole_number(names: Mapping[str, str]) -> dict[str, str]:
    """Return the names of numbers; those that write the same whole number, such as "1" and "1.0", get one name."""
    whole = {name: _whole_number(name) for name in set(names.values()) if _WHOLE.fullmatch(name)}
    written = Counter(whole.values())
    return {label: whole[name] if written[whole.get(name, "")] > 1 else name for label, name in names.items()}


def written_values(labels: Iterable[str]) -> dict[str, str]:
    """Return the number or truth value that labels seem to write, by label; "01" and "1,0" write 1, "WAHR" writes true."""
    names = {label: stripped(label).casefold() for label in labels}
    truth = {label: _TRUTH_WORDS[name] for label, name in names.items() if name in _TRUTH_WORDS}
    numbers = {
        label: str(Decimal(name.replace(",", ".")).normalize())
        for label, name in names.items()
        if _NUMBER.fullmatch(name)
    }
    if truth and set(numbers.values()) <= {"0", "1"}:
        numbers = {label: "true" if number == "1" else "false" for label, number in numbers.items()}
    return truth | numbers


def spelt_as_known(labels: Iterable[str], known: Iterable[str]) -> Mapping[str, str]:
    """Return the known name of each label that is only spelt otherwise: "True" is known as "true", or as "1" beside "0".

    Other labels keep their name.
    """
    names = set(known)
    by_key = {_key(name): name for name in sorted(names)}
    truth = _AS_NUMBERS if names == set(_AS_NUMBERS.values()) else {}
    found: dict[str, str] = {}
    for label in set(labels):
        twin = by_key.get(_key(label)) or truth.get(_key(label))
        found[label] = label if label in names or twin is None else twin
    return found


def _key(label: str) -> str:
    name = stripped(label)
    return _TRUTH.get(name.casefold()) or (_whole_number(name) if _WHOLE.fullmatch(name) else name)


def _whole_number(name: str) -> str:
    return str(int(name.partition(".")[0])) if len(name) < 4_000 else name
