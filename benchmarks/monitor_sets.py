"""Domains of reviews for benchmarks/monitor.py, with MiniLM's vectors, which are kept: encoding is what costs."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import arms
import numpy as np
from encoder_vectors import opened
from texts import Rows, read_rows

PER_DOMAIN, TINY = 1_000, 60  # rows of each part
AMAZON = ("books", "dvd", "electronics", "kitchen")
DOMAINS = (*AMAZON, "imdb", "cr")
SPELT = {"pos": "positive", "neg": "negative", "1": "positive", "0": "negative"}


@dataclass(frozen=True)
class Domain:
    """Rows to learn from, rows to watch, and the vectors of both."""

    name: str
    training: Rows
    watched: Rows  # the same as `training` where a set has no test of its own
    vectors: dict[str, np.ndarray]


def domain_of(folder: Path, name: str, *, weights: Path, tiny: bool = False) -> Domain:
    """Read one domain, and encode its rows where they were not; with `tiny` few rows."""
    most = TINY if tiny else PER_DOMAIN
    if name in AMAZON:
        training = watched = _distinct(read_rows(folder, "amazon_mdsd", name), most)
    else:
        training, watched = (_distinct(read_rows(folder, name, part), most) for part in ("train", "test"))
        known = set(training.texts())
        watched = watched.select([row for row, text in enumerate(watched.texts()) if text not in known])
    texts = list(dict.fromkeys([*training.texts(), *watched.texts()]))
    return Domain(name, training, watched, dict(zip(texts, _vectors(name, texts, weights), strict=True)))


def _distinct(rows: Rows, most: int) -> Rows:
    """Return so many rows at most with texts that differ, drawn at random."""
    first = list({text: row for row, text in reversed([*enumerate(rows.texts())])}.values())
    drawn = random.Random(17).sample(sorted(first), min(most, len(first)))
    found = rows.select(drawn)
    return Rows(found.name, found.content, [SPELT.get(label, label) for label in found.given_labels])


def _vectors(name: str, texts: Sequence[str], weights: Path) -> np.ndarray:
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    path = arms.SCRATCH / "monitor-vectors" / f"{name}-{weights.name}-{digest[:12]}.npy"
    if path.is_file():
        return np.load(path)
    found = opened(weights.name, weights.parent, by_sentence=False).encode(list(texts))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft.npy")
    np.save(draft, found)
    draft.rename(path)
    print(f"{name}: {len(texts)} texts encoded", flush=True)
    return np.asarray(found)
