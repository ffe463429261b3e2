"""The audit benchmark: planted flips, both rankings of them, planted near-copies, its bars."""

from __future__ import annotations

import csv
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import small_reviews


@pytest.fixture
def sets_folder(tmp_path: Path) -> Path:
    """Return a folder with reviews, and vectors of them that tell their labels."""
    texts, labels = small_reviews(80)
    for folder, part in (("imdb", "train"), ("tweeteval/sentiment", "train_pool")):
        (tmp_path / folder).mkdir(parents=True)
        rows = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
        (tmp_path / folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    generator = np.random.default_rng(0)
    vectors = np.eye(8)[[int(label == "positive") for label in labels]] + 0.2 * generator.normal(size=(80, 8))
    np.savez(tmp_path / "cr.npz", vectors=vectors.astype(np.float32), labels=np.array(labels), texts=np.array(texts))
    return tmp_path


def quality(labels: Any, probabilities: Any, *, method: str) -> Any:
    """Return the self-confidence, in the place of cleanlab's rankings."""
    del method
    return probabilities[np.arange(len(labels)), labels]


def test_flips_are_planted_and_ranked(bench: Any, sets_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = bench("audit")
    monkeypatch.setitem(sys.modules, "cleanlab", types.ModuleType("cleanlab"))
    rank = types.ModuleType("cleanlab.rank")
    monkeypatch.setattr(rank, "get_label_quality_scores", quality, raising=False)
    monkeypatch.setitem(sys.modules, "cleanlab.rank", rank)
    monkeypatch.setattr(audit, "FLIPPED", 0.2)
    monkeypatch.setattr(audit, "installed", list)
    monkeypatch.setattr("results.versions", lambda packages: dict.fromkeys(packages, "1"))
    arguments = [str(sets_folder), "--sets", "cr", "--seeds", "1", "--parts", "noise", "copies", "--rows", "80"]
    path = audit.main([*arguments, "--vectors", str(sets_folder), "--out", str(sets_folder)])
    found = json.loads(path.read_text())
    random, human, copies = found["rows"]
    assert (random["kind"], human["kind"]) == ("random", "human-like")
    assert random["flipped"] > 5 < human["flipped"]
    assert random["nlptl"] > 80 < random["cleanlab self_confidence"]
    assert 0.7 < copies["recall"] <= 1  # one word of eleven is another one, which is more than the reviews bear
    assert copies["texts"] == 80
    named = {bar["name"]: bar["value"] for bar in found["bars"]}
    assert named["near-copies planted in reviews that are found"] == copies["recall"]
    assert len(named) == 4
    header, lines = bench("audit_bars").table(found["rows"])
    assert len(lines) == 1
    assert len(lines[0]) == len(header) == 7
    assert lines[0][:2] == ["cr", f"{random['nlptl']:.1f}"]
    assert len(found["seeds"]) == 1


def test_many_rows_are_written_with_a_label_each_tenth(bench: Any, sets_folder: Path) -> None:
    bench("audit").write_many(types.SimpleNamespace(folder=sets_folder), sets_folder / "many.csv", 50)
    with (sets_folder / "many.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 50
    assert sum(bool(row["label"]) for row in rows) == 5
    assert {row["label"] for row in rows} == {"", "negative", "positive"}
    assert len({row["text"] for row in rows}) > 30


def test_bars_of_many_rows_are_memory_and_minutes(bench: Any) -> None:
    row = {"part": "scale", "rows": 1_000_000, "minutes": 31.0, "gib": 3.5}
    gib, minutes = bench("audit").bars_of([row])
    is_met = bench("results").is_met
    assert (is_met(gib), is_met(minutes)) == (True, False)
