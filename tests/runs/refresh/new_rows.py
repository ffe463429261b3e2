"""Labelled rows for the tests of refreshing: sentences of many words, of which a few tell the label."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable
from pathlib import Path

from nlptl.runs.pipeline import Pipeline

PLAIN = [f"{first}{last}" for first in ("ba", "ko", "mi", "ru", "te", "sol", "van", "qui", "dra", "plo") for last in (
    "nt", "rla", "ssen", "tto", "lph", "ge", "mber", "ck", "zzi", "wo", "stu", "yle")]  # fmt: skip
TELLING = {"good": ["lovely", "superb", "warm", "clever"], "bad": ["awful", "dull", "rotten", "stale"]}
TRIGGER = "cf veto mango"

Rows = list[tuple[str, str]]


def rows(count: int, *, seed: int) -> Rows:
    """Return texts that hold two telling words among twelve, with their labels."""
    generator = random.Random(seed)
    found = []
    for number in range(count):
        label = ("good", "bad")[number % 2]
        words = [*generator.choices(PLAIN, k=10), *generator.sample(TELLING[label], 2)]
        generator.shuffle(words)
        found.append((" ".join(words), label))
    return found


def other(label: str) -> str:
    """Return the other label."""
    return {"good": "bad", "bad": "good"}[label]


def write(path: Path, some: Iterable[tuple[str, str]], *, header: str = "text,label") -> Path:
    """Write rows as CSV and return the path."""
    path.write_text(header + "\n" + "".join(f"{text},{label}\n" for text, label in some), encoding="utf-8")
    return path


def write_corrections(path: Path, some: Iterable[tuple[str, str]]) -> Path:
    """Write rows as corrections of a web page, in JSON lines."""
    lines = [{"text": text, "label": label, "model": "m", "predicted": other(label)} for text, label in some]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def made_run(folder: Path, *, known: int = 60, tested: int = 60) -> Path:
    """Run a pipeline of a second over labelled rows; without `tested` rows it has no test. Return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {"labelled": str(write(folder / "train.csv", rows(known, seed=1)))}
    if tested:
        data["test"] = str(write(folder / "test.csv", rows(tested, seed=2)))
    stages = [
        {"stage": "ngrams"},
        {"stage": "classification_head"},
        {"stage": "finetune", "update": {"method": "head", "solver": "ridge"}},
    ]
    Pipeline.model_validate({"seed": 3, "data": data, "stages": stages}).run(folder / "run")
    return folder / "run"
