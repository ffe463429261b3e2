"""The benchmark of `monitor` on a few rows: what it measures and promises."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two domains of sixty reviews."""
    for name, start in (("amazon_mdsd/kitchen", 0), ("cr/train", 200), ("cr/test", 400)):
        texts, labels = small_reviews(60, start=start)
        path = tmp_path / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        rows = [json.dumps({"text": text, "label": label}) for text, label in zip(texts, labels, strict=True)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return tmp_path


def test_it_watches_other_domains_and_samples_of_its_own(bench: Any, folder: Path, tmp_path: Path) -> None:
    weights = tiny_folder(tmp_path / "weights", "bert")
    arguments = [str(folder), "--tiny", "--out", str(tmp_path / "results"), "--weights", str(weights)]
    path = bench("monitor").main(arguments)
    found = json.loads(path.read_text(encoding="utf-8"))
    pairs = [(row["source"], row["on"]) for row in found["rows"] if row["what"] == "pair"]
    assert pairs == [("cr", "kitchen"), ("cr", "kitchen"), ("kitchen", "cr"), ("kitchen", "cr")]
    for row in found["rows"]:
        assert row["interval"][0] <= row["estimate"] <= row["interval"][1]
        assert 0 <= row["truth"] <= 1
    names = [bar["name"] for bar in found["bars"]]
    assert names == [f"{amount}: alarms on 4 samples without a shift" for amount in ("8 each", "8 each, 20 in a test")]


def test_bars_count_the_named_shifts_alone(bench: Any) -> None:
    pair = {
        "labels": "few",
        "what": "pair",
        "thresholded": 0.7,
        "held_out": 0.9,
        "interval": [0.7, 0.75],
        "alarm": True,
    }
    rows = [
        pair | {"source": source, "on": target, "estimate": 0.8, "truth": truth}
        for source, target, truth in (("books", "dvd", 0.78), ("imdb", "cr", 0.74), ("imdb", "dvd", 0.1))
    ] + [{"labels": "few", "what": "unshifted", "source": "cr", "on": "0", "alarm": number == 0} for number in range(4)]
    assert bench("monitor").bars(rows) == [
        {"name": "few: estimates within 3 points, of 2 shifts", "value": 0.5, "at_least": 0.9},
        {"name": "few: mean error, points", "value": 4.0},
        {"name": "few: mean error of thresholded confidence", "value": 6.0},
        {"name": "few: mean error of the accuracy before", "value": 14.0},
        {"name": "few: intervals that hold the truth", "value": 0.5},
        {"name": "few: alarms on 4 samples without a shift", "value": 0.25, "at_most": 0.05},
    ]
