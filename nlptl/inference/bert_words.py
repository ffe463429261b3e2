"""Words of Japanese BERT checkpoints, as transformers' BertJapaneseTokenizer cuts them: MeCab or Sudachi, over the whole text.

The words go to the vocabulary of the checkpoint with blanks between them. Settings and packages stand here, and the cut itself.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import threading
import unicodedata
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from nlptl.config import Config
from nlptl.faults import shown
from nlptl.inference.sudachi import MAX_PIECE, broken, fault, morphemes

Span = tuple[int, int]  # first character, and the one after the last

EXTRA = "nlptl[mecab]"
DISTRIBUTIONS = {  # of each dictionary
    "unidic_lite": "unidic-lite", "unidic": "unidic", "ipadic": "ipadic",
    "small": "sudachidict-small", "core": "sudachidict-core", "full": "sudachidict-full",
}  # fmt: skip
MECAB_DICTIONARIES = ("unidic_lite", "unidic", "ipadic")
_PROGRAMS = {"mecab": ("fugashi", "fugashi"), "sudachi": ("sudachipy", "SudachiPy")}  # module and distribution
MAX_WHOLE = (
    12_000  # characters in NFKC that Sudachi reads at once, as transformers has it read all; it takes 49,149 bytes
)
MAX_MARKS = 200  # of one character that are put in order together, which takes Python quadratic time
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]*")
_VOICED = "\u3099\u309a\uff9e\uff9f"  # marks that join the kana before them

Name = Annotated[str, Field(min_length=1, max_length=200)]


def _checked_version(text: str) -> str:
    """Return a version. Raises ValueError for what is none: lines of pip and of a terminal hold it."""
    if text and not _VERSION.fullmatch(text):
        raise ValueError(f"found {shown(text)}; expected the version of a package, such as 20250129")
    return text


Version = Annotated[str, Field(max_length=100), AfterValidator(_checked_version)]


class BertWords(Config):
    """Cut of texts into words before the vocabulary of a Japanese BERT."""

    name: Literal["bert_japanese"] = "bert_japanese"
    """Name of this cut."""
    program: Literal["mecab", "sudachi"]
    """What finds the words."""
    dictionary: Literal["unidic_lite", "unidic", "ipadic", "small", "core", "full"]
    """Its dictionary."""
    mode: Literal["A", "B", "C"] = "A"
    """Length of Sudachi's words, from short to long."""
    subwords: Literal["wordpiece", "character"] = "wordpiece"
    """What a word becomes: the longest pieces of the vocabulary, or characters."""
    normalize: bool = True
    """Whether NFKC comes first."""
    lowercase: bool = False
    """Whether words are written in lower case."""
    special: tuple[Name, ...] = Field(default=(), max_length=100)
    """Special tokens, which are not cut where a text holds them."""
    unknown: Name = "[UNK]"
    """Special token of what is not in the vocabulary."""
    version: Version = ""
    """Version of the dictionary by which the weights were trained here."""

    @model_validator(mode="after")
    def _dictionary_of_the_program(self) -> BertWords:
        if (self.dictionary in MECAB_DICTIONARIES) != (self.program == "mecab"):
            raise ValueError(f"found the dictionary {self.dictionary}, which {self.program} does not read")
        return self

    @property
    def distribution(self) -> str:
        """Package of the dictionary."""
        return DISTRIBUTIONS[self.dictionary]

    @property
    def digest(self) -> str:
        """What settles the words beside the settings."""
        return f"{self.distribution} {self.version}"

    def missing(self) -> str:
        """Return a sentence on the packages that are missing or do not work, if any."""
        module, program = _PROGRAMS[self.program]
        usual = {"unidic_lite": EXTRA, "small": "nlptl[ja]"}.get(self.dictionary)
        names = [program] if importlib.util.find_spec(module) is None else []
        names += [] if self.installed_version() else [self.distribution]
        if not names:
            return fault(self.dictionary) if self.program == "sudachi" else _mecab_fault(self.dictionary)
        command = f"'{usual}'" if usual else f"{program.lower()} {self.distribution}"
        return (
            f"found no {' and no '.join(names)}, by which this tokenizer cuts Japanese into words; expected what its weights were "
            f"trained with. Run pip install {command}."
        )

    def installed_version(self) -> str:
        """Return the version of the installed dictionary; empty where it is missing."""
        return installed_version(self.distribution)

    def parts(self, text: str) -> Iterator[tuple[str, Span]]:
        """Yield what the vocabulary reads of a text, and where each part stands in it: words, or their characters."""
        begin = 0
        for found in _special_pattern(self.special).finditer(text) if self.special else ():
            yield from self._plain_parts(text[begin : found.start()], begin)
            yield found.group(), found.span()
            begin = found.end()
        yield from self._plain_parts(text[begin:], begin)

    def words(self, text: str) -> Iterator[tuple[str, Span]]:
        """Yield the words of a text as written, and where each stands."""
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which tokenizers refuse too
            yield text, (0, len(text))
            return
        clean, places = normalized(text) if self.normalize else (text, None)
        for word, (first, end) in self._placed(clean):
            span = (first, end) if places is None else (places[first][0], places[end - 1][1])
            yield word, span

    def _placed(self, text: str) -> Iterator[tuple[str, Span]]:
        if self.program == "mecab":
            return _words_of_mecab(text, self.dictionary)
        most = MAX_WHOLE if self.normalize else MAX_PIECE
        found = morphemes(text, self.dictionary, self.mode, most=most)
        return ((one.surface(), (place + one.begin(), place + one.end())) for place, one in found)

    def _plain_parts(self, text: str, begin: int) -> Iterator[tuple[str, Span]]:
        for word, (first, end) in self.words(text) if text else ():
            found, span = word.lower() if self.lowercase else word, (begin + first, begin + end)
            if self.subwords == "wordpiece":
                for part in found.split():
                    yield part, span
            else:
                characters = normalized(found)[0]
                one_to_one = len(characters) == end - first
                for number, character in enumerate(characters):
                    place = (span[0] + number, span[0] + number + 1) if one_to_one else span
                    yield (self.unknown if character.isspace() else character), place


def installed_version(distribution: str) -> str:
    """Return the version of an installed package; empty where it is missing."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def installed_dictionaries() -> dict[str, str]:
    """Return the version of each dictionary that is installed."""
    found = {name: installed_version(name) for name in DISTRIBUTIONS.values()}
    return {name: number for name, number in found.items() if number}


def normalized(text: str) -> tuple[str, list[Span] | None]:
    """Return a text in NFKC, and the place that each of its characters comes from; None where nothing changes.

    Hundreds of marks on one character, which no language has, are put in order in parts.
    """
    if unicodedata.is_normalized("NFKC", text):
        return text, None
    clean, places, begin, is_cut = list[str](), list[Span](), 0, False
    for end in range(1, len(text) + 1):
        if end < len(text) and (unicodedata.combining(text[end]) or text[end] in _VOICED):
            if end - begin < MAX_MARKS:
                continue
            is_cut = True
        part = unicodedata.normalize("NFKC", text[begin:end])
        clean.append(part)
        places += [(begin, end)] * len(part)
        begin = end
    whole = "".join(clean) if is_cut else unicodedata.normalize("NFKC", text)
    if len(whole) != len(places):  # characters join that are not known to: any place in the text will do
        places = [(0, len(text))] * len(whole)
    return whole, places


@functools.lru_cache(maxsize=100)
def _special_pattern(tokens: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))


def _words_of_mecab(text: str, dictionary: str) -> Iterator[tuple[str, Span]]:
    """Yield each word and its place. MeCab leaves out blanks and tells no places, so that they are looked for in order."""
    end = 0
    for node in _tagger_of_thread(dictionary)(text):
        word = node.surface
        begin = max(end, text.find(word, end))
        end = begin + len(word)
        if word:
            yield word, (begin, min(end, len(text)))


def _mecab_fault(dictionary: str) -> str:
    """Return a sentence on a MeCab or a dictionary that is installed and does not work; empty where both work."""
    again = "pip install --force-reinstall"
    try:
        importlib.import_module("fugashi")
    except Exception as error:  # whatever a broken package raises
        return broken("fugashi", "imported", error, f"{again} fugashi")
    try:
        _tagger_of_thread(dictionary)
    except Exception as error:
        command = "python -m unidic download" if dictionary == "unidic" else f"{again} {DISTRIBUTIONS[dictionary]}"
        return broken(f"the dictionary {dictionary} of MeCab", "opened", error, command)
    return ""


def _tagger_of_thread(dictionary: str) -> Any:
    """Return this thread's own tagger: one takes one text at a time."""
    known = _OF_THREAD.taggers
    if dictionary not in known:
        known[dictionary] = _mecab(dictionary)
    return known[dictionary]


class _TaggersOfThread(threading.local):
    """Taggers of one thread, by dictionary."""

    def __init__(self) -> None:
        self.taggers: dict[str, Any] = {}


_OF_THREAD = _TaggersOfThread()


def _mecab(dictionary: str) -> Any:
    import fugashi

    folder = importlib.import_module(dictionary).DICDIR
    return fugashi.GenericTagger(f'-d "{folder}" -r "{folder}/mecabrc"')
