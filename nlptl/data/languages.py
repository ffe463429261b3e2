"""Language of texts, guessed by their script and their most common words."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 2_000  # of a text that tell its language
_MIN_LETTERS = 20  # below which nothing is guessed
_MIN_FOREIGN_LETTERS = 2  # of one text, which tell its script unless it is Latin, in which names are written everywhere
_MIN_KANA = 0.05  # of the letters of a Japanese text; hardly one has less than a fifth
_MIN_COMMON = 0.1  # of the words that are common ones of the language
_CLEAR_RATIO = 1.2  # to the common words of the next language
_SURE_RATIO, _SURE_WORDS, _SURE_DIFFERENT = (
    2.0,
    5,
    3,
)  # the same of one text, how many it has, and how many different ones

_BY_SCRIPT = {
    "HIRAGANA": "ja", "KATAKANA": "ja", "CJK": "zh", "HANGUL": "ko", "GREEK": "el", "HEBREW": "he", "THAI": "th",
    "DEVANAGARI": "hi", "BENGALI": "bn", "TAMIL": "ta", "GEORGIAN": "ka", "ARMENIAN": "hy",
}  # fmt: skip
_SHARED_SCRIPTS = ("LATIN", "CYRILLIC", "ARABIC")  # of several languages, which their words tell
_COMMON = {  # the most frequent words of each language that others do not share too often
    "en": "the and of to is in that it for was with on as this you are be have not but they at from my i we what how all",
    "de": "der die und das ist nicht ich zu den mit ein eine von auf es sich wie für aber auch dem im sie wir wird noch bei",
    "fr": "le la les et des est une pour que dans pas qui sur je vous nous ce il avec au plus du mais ne été cette très un",
    "es": "el la los que y en es una por con las para del no se lo muy pero como más su este yo mi está fue un al",
    "it": "il di che è per un non la una sono con le del della i gli mi ho ma più anche come questo si nel molto ha da",
    "pt": "o que e do da em um para é com não uma os no se na por mais as dos como mas foi ao muito você eu isso está",
    "nl": "de het een van en is dat niet ik op te zijn voor met die maar er aan om ook als bij nog je naar wat deze heb",
    "sv": "och att det som en är på för av inte med den jag har till ett om var men så kan vi när från ska hade mycket",
    "da": "og det at en den til er som på de med han af for ikke der var jeg men et har kan så fra hun skal meget også",
    "no": "og det at en den til er som på de med av for ikke der var jeg men et har kan så fra hun skal mye også vært",
    "fi": "ja on ei se että oli en mutta kun hän niin ole mitä joka tämä sen jos minä vain myös ovat nyt kuin olen sitä",
    "pl": "w i nie na się z do to że jest o jak po ale za od tak co są przez jego już dla tego było może ten bardzo",
    "cs": "a se na je že v to s o do z jsem za si jak ale pro by jsou po tak co jeho byl od nebo které velmi má",
    "tr": "ve bir bu da de için çok ne ile gibi daha ben var o ama değil mi olan en kadar sonra şey olarak bana her",
    "ro": "și de a în la nu cu o pe este că un pentru din mai se care sunt au fost dar ca am foarte cum sau după",
    "hu": "a az és hogy nem is egy ez van de meg csak már volt ha még mint el azt kell nagyon én vagy lesz minden",
    "vi": "và của là không có được cho một những trong tôi với này đã người các khi để rất nhưng thì ở như đến",
    "id": "yang dan di ini itu dengan untuk tidak dari dalam saya ada akan pada ke juga sangat bisa sudah karena kami",
    "ru": "и в не на что я с он как это по но они мы к у за так же от бы все для очень вы его было",
    "uk": "і в не на що я з він як це по але та ми до у за так же від би все для дуже ви його було є",
    "bg": "и в не на че да се за от е са но това по как си аз ще с много ги му беше или към което",
    "ar": "في من على أن إلى هذا كان لا ما مع هو التي عن هذه كل لم بعد قد أو كما لكن",
    "fa": "و در به از که این را با است برای آن یک خود تا بر هم نیز می شود ها بود کرد",
}  # fmt: skip
NAMES = {
    "en": "English", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "nl": "Dutch",
    "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish", "pl": "Polish", "cs": "Czech", "tr": "Turkish",
    "ro": "Romanian", "hu": "Hungarian", "vi": "Vietnamese", "id": "Indonesian", "ru": "Russian", "uk": "Ukrainian",
    "bg": "Bulgarian", "ar": "Arabic", "fa": "Persian", "ja": "Japanese", "zh": "Chinese", "ko": "Korean", "el": "Greek",
    "he": "Hebrew", "th": "Thai", "hi": "Hindi", "bn": "Bengali", "ta": "Tamil", "ka": "Georgian", "hy": "Armenian",
}  # fmt: skip


@dataclass(frozen=True)
class Language:
    """Language of texts as far as it can be guessed."""

    script: str  # most frequent among the letters, as Unicode names it, such as LATIN
    code: str | None  # ISO 639-1, such as "en"; None where no language is clear

    @property
    def name(self) -> str:
        """The language in words, or its script."""
        return f"{self.script.capitalize()} script" if self.code is None else NAMES[self.code]


def guess_language(texts: Iterable[str]) -> Language | None:
    """Return the language of most of the texts. None where they have too few letters to judge by."""
    starts = [text[:MAX_CHARACTERS] for text in texts]
    scripts = _scripts_of(starts)
    if scripts.total() < _MIN_LETTERS:
        return None
    script = scripts.most_common(1)[0][0]
    return Language(script, _BY_SCRIPT.get(script) or _by_common_words(starts))


def sure_language(text: str) -> Language | None:
    """Return the language of one text where its script or many common words tell it, else its script alone.

    None where the text has too few letters: 20 of the Latin script, 2 of another one.
    """
    found = guess_language([text])
    if found is None:
        return _short_script(text)
    return Language(found.script, _by_many_words(text)) if found.script in _SHARED_SCRIPTS else found


@functools.cache
def script_of(character: str) -> str:
    """Return the script of a letter, as Unicode names it, whatever its width."""
    name = unicodedata.name(character, "").removeprefix("HALFWIDTH ").removeprefix("FULLWIDTH ")
    return name.split(" ")[0].removesuffix("-HIRAGANA")


def _scripts_of(texts: Iterable[str]) -> Counter[str]:
    """Return the number of letters of each script. Those of Japanese count as hiragana, where enough letters are kana."""
    scripts = Counter(script_of(letter) for text in texts for letter in text if letter.isalpha())
    kana = scripts["HIRAGANA"] + scripts["KATAKANA"]
    if kana and kana >= _MIN_KANA * scripts.total():
        scripts["HIRAGANA"] = kana + scripts.pop("CJK", 0)
        del scripts["KATAKANA"]
    return scripts


def _short_script(text: str) -> Language | None:
    """Return the script of a short text, if most letters are of it; kana tell Japanese, other characters no language."""
    scripts = _scripts_of([text[:MAX_CHARACTERS]])
    if scripts.total() < _MIN_FOREIGN_LETTERS:
        return None
    script, count = scripts.most_common(1)[0]
    if script == "LATIN" or 2 * count <= scripts.total():
        return None
    return Language(script, None if script == "CJK" else _BY_SCRIPT.get(script))


def _by_common_words(texts: Sequence[str]) -> str | None:
    words = Counter(word for text in texts for word in re.findall(r"[^\W\d_]+", text.casefold()))
    counts = {code: sum(words[word] for word in common.split()) for code, common in _COMMON.items()}
    (best, most), (_, second) = Counter(counts).most_common(2)
    return best if most >= max(_MIN_COMMON * words.total(), _CLEAR_RATIO * second) else None


def _by_many_words(text: str) -> str | None:
    words = Counter(re.findall(r"[^\W\d_]+", text[:MAX_CHARACTERS].casefold()))
    hits = {code: {word: words[word] for word in common if word in words} for code, common in _common_sets().items()}
    (best, most), (_, second) = Counter({code: sum(found.values()) for code, found in hits.items()}).most_common(2)
    is_sure = most >= max(_SURE_WORDS, _MIN_COMMON * words.total(), _SURE_RATIO * second)
    return best if is_sure and len(hits[best]) >= _SURE_DIFFERENT else None


@functools.cache
def _common_sets() -> dict[str, frozenset[str]]:
    return {code: frozenset(common.split()) for code, common in _COMMON.items()}
