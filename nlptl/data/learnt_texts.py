"""Texts that a classifier has learnt from, as hashes, so that a test on them is recognised."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from nlptl.artifact import read_if_there
from nlptl.config import Config
from nlptl.data.table import TextTable

FILE = "learnt.json"
HASH_BYTES = 8
KEY_BYTES = 16


class LearntTexts(Config):
    """Content of learnt.json: keyed hashes of labelled and validation texts, and how many examples each label has.

    The key follows from the texts, so that equal texts have other hashes beside other texts. A hash does not give its
    text away, but somebody who has the file can test whether a text that they know is among those learnt.
    """

    key: str = Field(pattern=f"^[0-9a-f]{{{2 * KEY_BYTES}}}$")
    hashes: str = Field(pattern="^([0-9a-f]{16})*$")
    """Hashes of 16 hexadecimal digits each, sorted, without copies."""
    labels: dict[str, int] = Field(default_factory=dict)
    exact: bool = False
    """Whether texts are hashed as they are, so that learnt texts are those that `nlptl.data.leaks` drops. Files of earlier
    versions hold hashes without differences of case, blanks and the form of accents."""

    @classmethod
    def of(
        cls, training: Iterable[TextTable | None], *, validation: TextTable | None, before: LearntTexts | None
    ) -> LearntTexts:
        """Return what is learnt from the labelled tables of `training` and chosen by `validation`.

        A classifier that had learnt `before` has hashes under a key of its own, which is kept.
        """
        tables = [table for table in training if table is not None]
        counts = sum((Counter(table.label_counts()) for table in tables), Counter[str]())
        tables += [] if validation is None else [validation]
        exact = before is None or before.exact
        texts = {_form(text, exact) for table in tables for batch in table.batches() for text in batch}
        key, known = (_key(texts), set[str]()) if before is None else (before.key, before._all())
        counts += Counter({} if before is None else before.labels)
        hashes = sorted(known | {_hash(text, key) for text in texts})
        return cls(key=key, hashes="".join(hashes), labels=dict(sorted(counts.items())), exact=exact)

    def count(self, texts: Iterable[str]) -> int:
        """Return how many of `texts` are among those learnt."""
        return sum(self.contains(texts))

    def contains(self, texts: Iterable[str]) -> list[bool]:
        """Return which of `texts` are among those learnt."""
        known = self._all()
        return [_hash(_form(text, self.exact), self.key) in known for text in texts]

    def write(self, folder: Path) -> None:
        """Write the file into a folder."""
        (folder / FILE).write_text(self.model_dump_json() + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> LearntTexts | None:
        """Read the file of a folder. None if there is none, as in folders of earlier versions."""
        return read_if_there(folder / FILE, cls, fault="does not hold hashes of learnt texts")

    def _all(self) -> set[str]:
        return set(re.findall(".{16}", self.hashes))


def _form(text: str, exact: bool) -> str:
    return text if exact else " ".join(unicodedata.normalize("NFC", text).casefold().split())


def _key(texts: Iterable[str]) -> str:
    return hashlib.blake2b("\n".join(sorted(texts)).encode("utf-8"), digest_size=KEY_BYTES).hexdigest()


def _hash(text: str, key: str) -> str:
    return hashlib.blake2b(text.encode("utf-8"), digest_size=HASH_BYTES, key=bytes.fromhex(key)).hexdigest()
