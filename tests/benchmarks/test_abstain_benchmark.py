"""The benchmark of abstention: what it measures of two sets, and its bars."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder


@pytest.fixture
def sets_folder(tmp_path: Path) -> Path:
    """Return a folder with two sets, of which one is written in capitals."""
    for name, start in (("cr", 0), ("trec", 500)):
        folder = tmp_path / "sets" / name
        folder.mkdir(parents=True)
        for part, first in (("train", start), ("test", start + 200)):
            pairs = zip(*small_reviews(48 if part == "train" else 24, start=first), strict=True)
            rows = [{"text": text.upper() if start else text, "label": label} for text, label in pairs]
            (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "sets"


def test_both_promises_are_measured(bench: Any, sets_folder: Path, tmp_path: Path) -> None:
    weights = tiny_folder(tmp_path / "weights", "bert")
    arguments = [str(sets_folder), "--tiny", "--sets", "cr", "trec", "--weights", str(weights)]
    result = json.loads(bench("abstain").main(arguments).read_text())
    found = {(row["set"], row["what"]): row for row in result["rows"]}
    assert set(found) == {
        (name, what)
        for name in ("cr", "trec")
        for what in ("16 labels each", "16 labels in all", "alone", "with a pile")
    }
    row = found["cr", "16 labels each"]
    assert (row["labelled"], row["test"]) == (32, 12)
    assert row["said"][0] < 0.9 < row["said"][1]
    assert 0 <= row["single_right"] <= row["single"] <= 12
    assert found["cr", "alone"]["auroc"].keys() == {"trec"}
    assert found["cr", "with a pile"]["false_rejections"] is not None
    assert [sorted({"at_least", "at_most"} & bar.keys()) for bar in result["bars"]][:4] == [[], [], ["at_most"], []]


def test_bars_are_means_of_sets_and_pairs(bench: Any) -> None:
    abstain = bench("abstain")
    rows = [
        {"set": name, "what": "16 labels each", "coverage": coverage, "said": [0.85, 0.95]}
        for name, coverages in {"cr": (0.8, 0.9), "trec": (0.9, 0.94)}.items()
        for coverage in coverages
    ]
    bar = abstain.coverage_bar(rows, "16 labels each")
    assert bar["value"] == 5.0
    assert bar["range"] == "1 of 2 sets within 3; cr 85.0; trec 92.0"
    assert abstain.within_bar(rows, "16 labels each")["value"] == 1
    assert abstain.interval_bar(rows, "16 labels each")["value"] == 0.75
    pairs = [{"set": "cr", "what": "alone", "auroc": {"trec": value}} for value in (0.9, 1.0)]
    pairs += [{"set": "trec", "what": "alone", "auroc": {"cr": 0.99}}]
    assert abstain.pair_bar(pairs, "alone")["value"] == 0.97
    assert abstain.auroc([0, 1], [1, 2]) == 0.875
