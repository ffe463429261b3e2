"""Augmenter: new texts as a function of texts and a seed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation.augment_settings import (
    Augmentation,
    BackTranslation,
    Eda,
    MaskedLMReplacement,
    Swap,
    Typos,
    WordDropout,
)
from nlptl.finetuning.augmentation.typos import mistype
from nlptl.finetuning.augmentation.unigrams import Vocabulary
from nlptl.finetuning.augmentation.word_edits import drop_words, eda, swap_words

if TYPE_CHECKING:
    import torch

    from nlptl.inference.segmenter import WordCutter

Editor = Callable[[str, Sequence[np.random.Generator]], list[str]]  # makes one version of a text for each generator
MAX_DRAWS = 4  # for a version that differs from the text and its other versions


@dataclasses.dataclass(frozen=True)
class Augmented:
    """New texts, in the order of their originals."""

    texts: tuple[str, ...]  # no text is empty or equals its original or another version of it
    rows: tuple[int, ...]  # row of each original
    kinds: tuple[str, ...]  # kind of augmentation of each
    repeated: Mapping[str, int]  # missing versions of each kind: every draw repeated the text or another version

    def __len__(self) -> int:
        return len(self.texts)

    def where(self, kept: Sequence[bool]) -> Augmented:
        """Return the new texts for which `kept` is true."""
        texts, rows = tuple(compress(self.texts, kept)), tuple(compress(self.rows, kept))
        return Augmented(texts, rows, tuple(compress(self.kinds, kept)), self.repeated)

    def of_rows(self, rows: Collection[int]) -> Augmented:
        """Return the new texts of some originals, with the same row numbers."""
        wanted = set(rows)
        return self.where([row in wanted for row in self.rows])

    def sentence(self) -> str:
        """Tell how many new texts there are of each kind."""
        made = Counter(self.kinds)
        told = ", ".join(f"{made[kind]} by {kind}" for kind in self.repeated)
        missing = sum(self.repeated.values())
        short = f"; {missing} more would have repeated a text" if missing else ""
        return f"Augmentation made {len(self)} new texts ({told}){short}."


class Augmenter:
    """List of augmentations, each prepared once and applied to the original texts."""

    def __init__(
        self, settings: Sequence[Augmentation], *, words: Vocabulary | None = None, device: torch.device | None = None,
        where: str = "augment", cutter: WordCutter | None = None,
    ) -> None:  # fmt: skip
        """Prepare each kind: `words` serve eda, `device` runs models, `cutter` tells the words of Japanese.

        ConfigError names the setting below `where`.
        """
        self._settings = tuple(settings)
        self._editors = [
            _editor(setting, words, device, f"{where}.{i}", cutter) for i, setting in enumerate(self._settings)
        ]

    def __call__(self, texts: Sequence[str], *, seed: int) -> Augmented:
        """Return `copies` new versions of each text by each kind."""
        found = [(new, row, kind) for row, text in enumerate(texts) for new, kind in self._versions(text, seed)]
        kinds = tuple(kind for _, _, kind in found)
        repeated: Counter[str] = Counter()
        for setting in self._settings:
            repeated[setting.kind] += setting.copies * len(texts)
        repeated.subtract(kinds)
        return Augmented(tuple(new for new, _, _ in found), tuple(row for _, row, _ in found), kinds, dict(repeated))

    def _versions(self, text: str, seed: int) -> list[tuple[str, str]]:
        """Return the new versions of a text and their kinds."""
        seen = {text.strip(), ""}
        found: list[tuple[str, str]] = []
        times: Counter[str] = Counter()
        for setting, editor in zip(self._settings, self._editors, strict=True):
            times[setting.kind] += 1  # two blocks of one kind must not draw alike
            missing = list(range(setting.copies))
            for attempt in range(MAX_DRAWS):
                keys = [f"{setting.kind} {times[setting.kind]} {copy} {attempt}" for copy in missing]
                versions = editor(text, [generator_of(seed, text, key) for key in keys]) if missing else []
                again = []
                for copy, version in zip(missing, versions, strict=True):
                    if version.strip() in seen:
                        again.append(copy)
                        continue
                    seen.add(version.strip())
                    found.append((version, setting.kind))
                missing = again
        return found


def generator_of(seed: int, text: str, purpose: str) -> np.random.Generator:
    """Return a generator that is a function of seed, text and purpose."""
    digest = hashlib.blake2b(f"{seed}\n{purpose}\n{text}".encode("utf-8", "surrogatepass"), digest_size=16)
    return np.random.default_rng(int.from_bytes(digest.digest(), "little"))


def _editor(
    setting: Augmentation, words: Vocabulary | None, device: torch.device | None, where: str, cutter: WordCutter | None
) -> Editor:
    edit: Callable[[str, np.random.Generator], str]
    if isinstance(setting, WordDropout):
        edit = functools.partial(drop_words, share=setting.share, cutter=cutter)
    elif isinstance(setting, Swap):
        edit = functools.partial(swap_words, share=setting.share, reach=setting.reach, cutter=cutter)
    elif isinstance(setting, Typos):
        edit = functools.partial(mistype, share=setting.share)
    elif isinstance(setting, Eda):
        if setting.needs_words and words is None:
            raise ConfigError(
                f"{where}: found the edits {', '.join(setting.edits)} and no words to draw from; expected some for replace "
                "and insert. Give words, such as Vocabulary.of(texts), or set edits: [swap, delete]."
            )
        edit = functools.partial(eda, share=setting.share, edits=setting.edits, source=words, cutter=cutter)
    else:
        return _model_editor(setting, device, where)
    return lambda text, generators: [edit(text, generator) for generator in generators]


def _model_editor(setting: MaskedLMReplacement | BackTranslation, device: torch.device | None, where: str) -> Editor:
    import torch

    from nlptl.finetuning.augmentation.back_translation import RoundTrip
    from nlptl.finetuning.augmentation.word_filler import WordFiller

    device = device or torch.device("cpu")
    if isinstance(setting, MaskedLMReplacement):
        return WordFiller.open(setting, device=device, where=where)
    return RoundTrip.open(setting, device=device, where=where)
