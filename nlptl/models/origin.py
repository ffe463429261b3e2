"""Where the weights of an encoder come from, and under which licence: found once, then carried in every folder made of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from nlptl.artifact import read_if_there
from nlptl.config import Config
from nlptl.disk.sealed_text import CARD
from nlptl.models.known_encoders import KnownEncoder, known_encoder

if TYPE_CHECKING:
    from nlptl.models.weights import Weights

FILE = "origin.json"
MAX_CARD, MAX_LICENCE = 1_000_000, 100_000  # characters that are read of a model card, and of a licence
MAX_TEXT = 1000  # characters of a name
LICENCE_FILES = tuple(f"{name}{ending}" for name in ("LICENSE", "LICENCE", "COPYING") for ending in ("", ".txt", ".md"))
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_PHRASES = {  # that tell a licence's text, the more special ones first
    "Apache-2.0": r"Apache License\s+Version 2\.0",
    "CC-BY-NC-SA-4.0": r"Attribution-NonCommercial-ShareAlike 4\.0",
    "CC-BY-NC-4.0": r"Attribution-NonCommercial 4\.0",
    "CC-BY-SA-4.0": r"Attribution-ShareAlike 4\.0",
    "CC-BY-4.0": r"Attribution 4\.0 International",
    "AGPL-3.0": r"GNU AFFERO GENERAL PUBLIC LICENSE\s+Version 3",
    "LGPL-3.0": r"GNU LESSER GENERAL PUBLIC LICENSE\s+Version 3",
    "GPL-3.0": r"GNU GENERAL PUBLIC LICENSE\s+Version 3",
    "GPL-2.0": r"GNU GENERAL PUBLIC LICENSE\s+Version 2",
    "MPL-2.0": r"Mozilla Public License,? Version 2\.0",
    "MIT": r"Permission is hereby granted, free of charge",
    "BSD-3-Clause": r"Redistribution and use in source and binary forms[\s\S]*Neither the name",
    "BSD-2-Clause": r"Redistribution and use in source and binary forms",
}
Text = Annotated[str, Field(max_length=MAX_TEXT)]


class Origin(Config):
    """Origin and licence of an encoder's weights. What is not known is empty."""

    kind: Literal["given", "own"] = "given"
    """Whether the weights were given, or drawn at random and learnt here from a run's own texts."""
    name: Text = ""
    """Name on the Hub, or else that of the file or folder, without its place."""
    revision: Text | None = None
    """Commit on the Hub."""
    digest: Text = ""
    """SHA-256 over the files of the weights, or their commit on the Hub."""
    licence: Text = ""
    """SPDX identifier, or the name that a model card gives the licence."""
    licence_source: Text = ""
    """What states the licence."""
    licence_text: str = Field(default="", max_length=MAX_LICENCE)
    """Text of the licence, where a file beside the weights holds it."""
    languages: tuple[Text, ...] = Field(default=(), max_length=1000)
    """Codes of the languages that the weights were trained on."""
    leaks: Text = ""
    """Common test sets among the training data of the weights, as far as their authors tell."""

    @property
    def hub_name(self) -> str | None:
        """Name of the weights on the Hub, if they have one."""
        return self.name if _HUB_NAME.fullmatch(self.name) else None

    def write(self, folder: Path) -> None:
        """Write the file into a folder."""
        (folder / FILE).write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Origin | None:
        """Read the file of a folder. None if there is none, as in folders of earlier versions."""
        fault = "does not say where weights come from as this version reads it"
        return read_if_there(folder / FILE, cls, fault=fault)


OWN = Origin(kind="own")


def origin_of(weights: Weights) -> Origin:
    """Return the origin of weights.

    In a folder of nlptl it is that of the weights which the folder was made of. Else the licence is what is known of
    weights of this name, what a model card beside them states, what is known of the weights that their config names, or
    what a file with a licence's text says.
    """
    if (kept := Origin.read(weights.folder)) is not None:
        return kept
    known, (licence, languages) = known_encoder(weights.name), stated_in_card(weights.folder / CARD)
    text, by_text = _licence_file(weights.folder)
    if known is None and not licence and not languages:
        known = known_encoder(_name_in_config(weights.transformer))
    is_folder = Path(weights.name).expanduser() == weights.folder
    name = known.name if known is not None else weights.folder.resolve().name if is_folder else weights.name
    found = Origin(name=name[:MAX_TEXT], revision=weights.revision, digest=weights.digest(), licence_text=text)
    if known is not None:
        return found.model_copy(update=_known(known))
    source = f"their model card ({CARD})" if licence else "the licence file beside them" if text else ""
    return found.model_copy(update={"licence": licence or by_text, "licence_source": source, "languages": languages})


def package_origin(name: str, module: str, *, digest: str = "") -> Origin:
    """Return the origin of vectors in an installed package, whose metadata state the licence."""
    from importlib.metadata import PackageNotFoundError, metadata

    try:
        stated = metadata(module)
    except PackageNotFoundError:
        return Origin(name=name, digest=digest)
    licence = str(stated["License-Expression"] or stated["License"] or "").split("\n")[0][:200]
    source = f"the metadata of the package {stated['Name']}" if licence else ""
    return Origin(name=name, digest=digest, licence=licence, licence_source=source)


def stated_in_card(path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the licence and the languages that the head of a model card states."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            text = file.read(MAX_CARD)
    except OSError:
        return "", ()
    head = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if head is None:
        return "", ()
    stated = dict(re.findall(r"^(license|license_name):[ ]*[\"']?([\w.+-]{1,60})", head[1], re.MULTILINE))
    licence = stated.get("license", "")
    licence = stated.get("license_name", "") if licence == "other" else licence
    languages = re.search(r"^languages?:(.*(?:\n[ ]*- .*)*)", head[1], re.MULTILINE)
    codes = re.findall(r"[A-Za-z]{2,12}", languages[1]) if languages else []
    return "" if licence == "unknown" else licence, tuple(code for code in codes if len(code) < 4)


def _known(known: KnownEncoder) -> dict[str, object]:
    return {
        "licence": known.licence, "licence_source": "the authors of the weights", "languages": tuple(known.languages.split()),
        "leaks": known.leaks,
    }  # fmt: skip


def _name_in_config(folder: Path) -> str:
    """Return the name that transformers has written into the config of weights that it saved elsewhere, if any."""
    from nlptl.inference.settings_files import read_object

    config = folder / "config.json"
    name = read_object(config, remedy="Get the weights again.").get("_name_or_path") if config.is_file() else None
    return name if isinstance(name, str) else ""


def _licence_file(folder: Path) -> tuple[str, str]:
    """Return the text of a licence that stands in a folder, and its SPDX identifier where the text tells it."""
    for name in LICENCE_FILES:
        try:
            with (folder / name).open(encoding="utf-8", errors="replace") as file:
                text = file.read(MAX_LICENCE)
        except OSError:
            continue
        told = (spdx for spdx, phrase in _PHRASES.items() if re.search(phrase, text, re.IGNORECASE))
        return text, next(told, "")
    return "", ""
