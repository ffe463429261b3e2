"""Segmenter: what puts blanks between the words of Japanese, before any tokenizer reads a text.

Its settings, the package that it needs, and what a folder says of it. All that cuts words stands in `segmenting`.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Field

from nlptl.config import Config
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.bert_words import BertWords, Version, installed_version
from nlptl.inference.sudachi import fault

EXTRA = "nlptl[ja]"

C = TypeVar("C", bound="WordCutter")
DictionaryName = Literal["small", "core", "full"]


class SegmenterSettings(Config):
    """Cut of Japanese into words by SudachiPy (pip install 'nlptl[ja]'). Other scripts are left to the rules of `preset`."""

    name: Literal["sudachi"] = "sudachi"
    """Name of this segmenter."""
    mode: Literal["A", "B", "C"] = "A"
    """Length of the words: A cuts finest, C keeps names and compounds whole. Short words are met more often, which suits small
    piles."""
    forms: Literal["written", "normalized"] = "normalized"
    """Forms of the words. normalized merges inflections and spellings, so that words are met more often: 観た and 見る are one.
    written keeps them apart."""
    dictionary: DictionaryName = "small"
    """Dictionary of SudachiPy. small comes with nlptl[ja]; core and full know more names: pip install sudachidict-core."""

    @property
    def distribution(self) -> str:
        """Package of the dictionary."""
        return f"sudachidict-{self.dictionary}"

    @property
    def requirement(self) -> str:
        """What pip installs for the dictionary."""
        return self.distribution

    def check(self, *, where: str) -> None:
        """Raise ConfigError where a package is missing."""
        if missing := self.missing():
            raise ConfigError(f"{where}: {missing}")

    def installed(self, *, where: str = "text.segmenter") -> Segmenter:
        """Return the segmenter of the installed dictionary. Raises ConfigError where a package is missing."""
        self.check(where=where)
        return Segmenter(**self.model_dump(), version=self.installed_version())

    def file(self) -> Path:
        """Return the file of the installed dictionary. Raises ConfigError where a package is missing."""
        self.check(where="text.segmenter")
        spec = importlib.util.find_spec(self._module)
        places = None if spec is None else spec.submodule_search_locations
        return Path(*(places or ())) / "resources" / "system.dic"

    @property
    def _module(self) -> str:
        return f"sudachidict_{self.dictionary}"

    def missing(self) -> str:
        """Return a sentence on the package that is missing or does not work, if any."""
        if importlib.util.find_spec("sudachipy") is None:
            comes_with_it = self.requirement == SegmenterSettings().distribution
            more = "" if comes_with_it or self.installed_version() else f" {self.requirement}"
            return (
                "found no SudachiPy, which cuts Japanese into words; expected it beside nlptl. Run pip install "
                f"'{EXTRA}'{more}."
            )
        if importlib.util.find_spec(self._module) is None or not self.installed_version():
            return (
                f"found no dictionary {self.dictionary} of SudachiPy, which cuts Japanese into words; expected it beside nlptl. "
                f"Run pip install {self.requirement}."
            )
        return fault(self.dictionary)

    def installed_version(self) -> str:
        """Return the version of the installed dictionary; empty where it is missing."""
        return installed_version(self.distribution)


class Segmenter(SegmenterSettings):
    """A segmenter as an artifact keeps it: with the version of the dictionary by which its words were cut."""

    version: Version = Field(min_length=1)
    """Version of the dictionary."""

    @property
    def settings(self) -> SegmenterSettings:
        """Settings that choose it, whatever the version."""
        return SegmenterSettings(name=self.name, mode=self.mode, forms=self.forms, dictionary=self.dictionary)

    @property
    def requirement(self) -> str:
        """What pip installs for the dictionary by which the words were cut."""
        return f"{self.distribution}=={self.version}"

    @property
    def program(self) -> str:
        """What finds the words."""
        return self.name

    @property
    def digest(self) -> str:
        """What settles the words beside the settings."""
        return f"{self.distribution} {self.version}"


WordCutter = Segmenter | BertWords
"""What a folder says of the cut before its tokenizer."""

PROGRAMS = {"sudachi": "SudachiPy>=0.6.10", "mecab": "fugashi>=1.5"}  # what finds the words


def packages_of(cutters: Iterable[WordCutter]) -> list[str]:
    """Return the packages that cut words in a folder, as pip names them, each once.

    The dictionary of each is that by which its words were cut, where the folder names its version.
    """
    lines = list[str]()
    for one in cutters:
        version = f"=={one.version}" if one.version else ""
        lines += [PROGRAMS[one.program], f"{one.distribution}{version}"]
    return list(dict.fromkeys(lines))


def segmenter_settings(segmenter: WordCutter | None) -> dict[str, dict[str, Any]]:
    """Return what encoder.json says of a segmenter: nothing where there is none."""
    return {} if segmenter is None else {"segmenter": segmenter.model_dump()}


def checked_segmenter(segmenter: C | None, folder: object) -> C | None:
    """Return the segmenter that a folder names. Raises ArtifactError where a package is missing.

    Warns of another version of the dictionary: it cuts few words otherwise, and an update of packages must not stop a server.
    """
    if segmenter is None:
        return None
    if missing := segmenter.missing():
        raise ArtifactError(f"{folder}: {missing}")
    if (found := segmenter.installed_version()) != (segmenter.version or found):
        warnings.warn(
            f"{folder}: found the dictionary {segmenter.distribution} {found}, but the words were cut by {segmenter.version}; a "
            f"few may be cut otherwise now. For the same answers run pip install {segmenter.distribution}=={segmenter.version}.",
            UserWarning, stacklevel=2,
        )  # fmt: skip
    return segmenter


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


SegmenterSetting = Annotated[
    SegmenterSettings | None,
    BeforeValidator(_named, json_schema_input_type=SegmenterSettings | Literal["sudachi"] | None),
]


ONLY_IF_SET = Field(exclude_if=lambda value: value is None)
"""Of a setting that settings of before did not have, so that the identities of their stages stay."""


def check_segmenter(setting: SegmenterSettings | None, *, where: str) -> None:
    """Raise ConfigError where the package of a segmenter is missing."""
    if setting is not None:
        setting.check(where=f"{where}.segmenter")


def dictionary_digests(setting: SegmenterSettings | None) -> dict[str, str]:
    """Return the version of the dictionary by which a segmenter cuts words; nothing without one."""
    return {} if setting is None else {"segmenter": setting.installed().digest}


def dictionary_paths(setting: SegmenterSettings | None) -> frozenset[Path]:
    """Return the file of a segmenter's dictionary; nothing without one."""
    return frozenset() if setting is None else frozenset({setting.file()})


def segmenter_available() -> bool:
    """Return whether Japanese can be cut here with the default settings."""
    return not SegmenterSettings().missing()


def segmenter_fault() -> str:
    """Return a sentence on the default segmenter where it is installed and does not work; empty otherwise."""
    told = SegmenterSettings().missing()
    return "" if told.startswith("found no ") else told
