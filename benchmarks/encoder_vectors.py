"""Frozen sentence vectors of several encoders for the ten sets, kept in runs/benchmarks, since encoding is what costs.

A text of four sentences or more in the middle is read sentence by sentence, as nlptl reads long texts.
"""

from __future__ import annotations

import hashlib
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import arms
import numpy as np
from fewshot_sets import DEV_SEEDS, SEEDS, TEST_SEED, material, shots_of
from texts import Rows, sample

from nlptl.models.encoder import Encoder

SHOTS = 16
SPLITS = {"banking77": 1}  # 1,232 rows; else USUAL_SPLITS
USUAL_SPLITS = 5
TEST_ROWS, FEW_TEST_ROWS = 300, 200
LONG = ("imdb",)  # sets of which few rows are encoded
ENCODERS = ("minilm", "minilm-l3", "bge-small", "e5-small-multilingual", "mpnet-base")
PROMPTS = {"e5-small-multilingual": "query: "}


@dataclass(frozen=True)
class Task:
    """One set: draws of labelled rows, and rows to be told apart."""

    name: str
    draws: tuple[tuple[int, Rows], ...]
    """Seed and labelled rows."""
    test: Rows
    names: tuple[str, ...]

    def truth(self, rows: Rows) -> np.ndarray:
        """Return label numbers (n,)."""
        return np.array([self.names.index(label) for label in rows.labels()])

    @property
    def texts(self) -> list[str]:
        """Every text once: first those of the draws, then those of the test."""
        drawn = [text for _, rows in self.draws for text in rows.texts()]
        return list(dict.fromkeys([*drawn, *self.test.texts()]))


@dataclass(frozen=True)
class Encoded:
    """Vectors of a task's texts."""

    rows: dict[str, np.ndarray]
    seconds_a_text: float

    def of(self, rows: Rows) -> np.ndarray:
        """Return the vectors (n, D) of some rows."""
        return np.stack([self.rows[text] for text in rows.texts()])


def task_of(folder: Path, name: str, *, dev: bool, tiny: bool = False) -> Task:
    """Draw one set's rows; with `dev` training rows alone."""
    made = material(folder, name, dev=dev, tiny=tiny)
    count = 1 if tiny else SPLITS.get(name, USUAL_SPLITS)
    seeds = (DEV_SEEDS if dev else SEEDS)[:count]
    draws = tuple((seed, shots_of(made.train, 2 if tiny else SHOTS, seed)) for seed in seeds)
    most = FEW_TEST_ROWS if name in LONG else TEST_ROWS
    return Task(name, draws, sample(made.test, most, seed=TEST_SEED), made.names)


def encoded(task: Task, name: str, folder: Path, *, dev: bool, by_sentence: bool | None = None) -> Encoded:
    """Return the vectors of a task's texts by one encoder, from the kept file where that holds these texts."""
    texts = task.texts
    by_sentence = is_long(task) if by_sentence is None else by_sentence
    way = "sentences" if by_sentence else "whole"
    path = arms.SCRATCH / "encoder-vectors" / f"{'dev' if dev else 'test'}-{task.name}-{name}-{way}.npz"
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
    if path.is_file():
        with np.load(path) as kept:
            if str(kept["digest"]) == digest:
                return Encoded(dict(zip(texts, kept["vectors"], strict=True)), float(kept["seconds"]) / len(texts))
    encoder = opened(name, folder, by_sentence=by_sentence)
    encoder.encode(texts[:4])
    begin = time.process_time()
    vectors = encoder.encode(texts)
    seconds = time.process_time() - begin
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, digest=digest, vectors=vectors, seconds=seconds)
    print(f"{task.name}: {len(texts)} texts by {name} in {seconds:.0f} s", flush=True)
    return Encoded(dict(zip(texts, vectors, strict=True)), seconds / len(texts))


def opened(name: str, folder: Path, *, by_sentence: bool) -> Encoder:
    """Return an encoder of the folder of encoders, or of the package minilm."""
    from nlptl.inference.sentences import rule_for
    from nlptl.models.foreign_encoder import pretrained_encoder
    from nlptl.models.weights import find_weights

    place = name if name == "minilm" else str(folder / name)
    encoder = pretrained_encoder(find_weights(place, None, where="benchmark").folder, prompt=PROMPTS.get(name))
    if by_sentence:
        rule = encoder.transformer.rule
        encoder.transformer.rule = rule_for(rule, encoder.tokenizer, by_sentence=True, where="benchmark")
    return encoder


def opening_seconds(name: str, folder: Path) -> float:
    """Return the processor seconds that it takes to open an encoder."""
    begin = time.process_time()
    opened(name, folder, by_sentence=False)
    return time.process_time() - begin


def is_long(task: Task) -> bool:
    """Say whether the labelled texts are read sentence by sentence."""
    from nlptl.finetuning.selection.long_texts import MIN_SENTENCES
    from nlptl.inference.sentences import sentences

    texts: Sequence[str] = task.draws[0][1].texts()
    return statistics.median(len(sentences(text)) for text in texts) >= MIN_SENTENCES
