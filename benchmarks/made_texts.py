"""Texts that are made, for machines without the data sets: the speed of training and encoding asks for no better ones.

Words are those of the texts under data/, and pairs of them joined; how often each occurs follows Zipf's law, the
words of data/ before the pairs. Labels show in one word in ten. Quality is never measured on them.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent.parent / "data"
SEED = 11
EMOTIONS, OPINIONS = ("anger", "joy", "optimism", "sadness"), ("negative", "positive")


@dataclass(frozen=True)
class Size:
    """How much is made."""

    words: int
    """Of the text for word vectors."""
    vocabulary: int
    short: tuple[int, int]
    """Training and test texts of about 20 words."""
    long: tuple[int, int]
    """Training and test texts of about 230 words."""


LIKE_THE_DATA_SETS = Size(words=17_000_000, vocabulary=50_000, short=(3_257, 5_000), long=(5_000, 1_000))
TINY = Size(words=60, vocabulary=8, short=(24, 8), long=(24, 8))


def write_texts(folder: Path, size: Size) -> None:
    """Write FOLDER/words.txt.gz, one line of words, and FOLDER/tweeteval/emotion and FOLDER/imdb as JSON lines."""
    generator = np.random.default_rng(SEED)
    words = vocabulary(generator.permutation(known_words()).tolist(), size.vocabulary)
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / "words.txt.gz", "wt", encoding="utf-8", compresslevel=1) as file:
        file.write(" ".join(drawn(words, size.words, generator)))
    for name, counts, length, labels in (
        ("tweeteval/emotion", size.short, 20, EMOTIONS),
        ("imdb", size.long, 230, OPINIONS),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for part, count in zip(("train", "test"), counts, strict=True):
            lines = labelled(words, count, length, labels, generator)
            (folder / name / f"{part}.jsonl").write_text("".join(lines), encoding="utf-8")


def known_words() -> list[str]:
    """Return the lower-case words of data/, each once."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(DATA.glob("*/*")) if path.suffix in (".csv", ".txt"))
    return sorted({word for text in texts for word in re.findall(r"[a-z]+", text.lower())})


def vocabulary(known: list[str], count: int) -> list[str]:
    """Return `count` different words: the known ones, then pairs of them joined."""
    pairs = (first + second for first in known for second in known)
    found = dict.fromkeys(known[:count])
    while len(found) < count:
        found.setdefault(next(pairs))
    return list(found)


def drawn(words: list[str], count: int, generator: np.random.Generator) -> list[str]:
    """Return `count` words, the word at place r, counted from 1, with a weight of 1 / r."""
    weights = 1 / np.arange(1, len(words) + 1)
    found: list[str] = np.array(words)[generator.choice(len(words), count, p=weights / weights.sum())].tolist()
    return found


def labelled(
    words: list[str], count: int, length: int, labels: tuple[str, ...], generator: np.random.Generator
) -> list[str]:
    """Return `count` lines of JSON: texts whose lengths are log-normal around `length` words, labels in turn."""
    lengths = np.maximum(3, generator.lognormal(np.log(length), 0.5, count)).astype(int)
    drawn_words = iter(drawn(words, int(lengths.sum()), generator))
    lines = []
    for number, places in enumerate(lengths.tolist()):
        label = labels[number % len(labels)]
        text = " ".join(label if place % 10 == 2 else next(drawn_words) for place in range(places))
        lines.append(json.dumps({"text": text, "label": label}) + "\n")
    return lines
