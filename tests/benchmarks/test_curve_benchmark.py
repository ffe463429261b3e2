"""The curve benchmark: what is seen, what is measured later, its bars and its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.evaluation import learning_curves
from nlptl.evaluation.curve_noise import MeasuredCurve
from nlptl.runs.studies.learning_curve import subsets
from tests.conftest import small_reviews

ROW = {
    "set": "cr", "representation": "words", "way": "alone", "seed": 0, "metric": "accuracy", "labels": 256, "measured": 0.8,
    "predicted": [0.79, 0.7, 0.85], "last point": 0.7, "POW3": 0.75, "between": {"128": [0.78, 0.76, 0.7, 0.8]},
}  # fmt: skip


@pytest.fixture
def sets_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "sets" / "cr"
    folder.mkdir(parents=True)
    for part, start, count in (("train", 0, 80), ("test", 79, 30)):
        rows = [{"text": text, "label": label} for text, label in zip(*small_reviews(count, start=start), strict=True)]
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder.parent


def test_a_curve_is_predicted_from_its_first_part_alone(
    bench: Any, sets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subsets.subsets_of, "__kwdefaults__", {"draws": 3})
    monkeypatch.setattr(learning_curves.fit_curve, "__kwdefaults__", {"seed": 0, "samples": 500})
    script, pools = bench("curve"), bench("curve_pools")
    head = {"stage": "finetune", "update": {"method": "head", "solver": "ridge"}}
    stages = [{"stage": "ngrams", "dim": 4}, *pools.HEAD, head]
    monkeypatch.setitem(pools.REPRESENTATIONS, "words", stages)
    given = [str(sets_folder), "--tiny", "--sets", "cr", "--representations", "words", "--seeds", "5"]
    given += ["--scratch", str(sets_folder.parent / "kept")]
    result = json.loads(script.main(given).read_text())
    assert [(row["way"], row["metric"]) for row in result["rows"]] == [
        ("whole", "accuracy"), ("whole", "macro-F1"), ("alone", "accuracy"), ("alone", "macro-F1"),
    ]  # fmt: skip
    whole, _, alone, _ = result["rows"]
    assert list(whole["seen"]) == ["8", "11", "16", "23", "34"]
    assert list(alone["seen"]) == ["8", "12", "17", "25", "36"]
    for row in (whole, alone):
        assert row["labels"] == 48
        assert row["last point"] == list(row["seen"].values())[-1]
    assert whole["measured"] == alone["measured"]  # the same rows are learnt
    assert len(result["bars"]) == 8
    kept = [
        len(path.read_text(encoding="utf-8").splitlines()) for path in sorted((sets_folder.parent / "kept").iterdir())
    ]
    assert kept == [4 * 3 + 2, 5 * 3 + 1]
    found = pools.pools_of(sets_folder, "cr", [5], dev=False, tiny=True)
    assert found.data.labelled is not None
    assert found.data.test is not None
    assert not set(found.data.labelled.texts()) & set(found.data.test.texts())
    labels = found.data.labelled.labels()
    assert [labels[row] for row in found.pools[5][:36]].count("positive") == 18


def test_the_power_law_finds_a_known_curve(bench: Any) -> None:
    sizes = (8, 16, 32, 64)
    scores = tuple(np.array([0.9 - 0.8 * size**-0.5]) for size in sizes)
    assert bench("curve").power_law(MeasuredCurve(sizes, scores, 64), 256) == pytest.approx(0.85, abs=0.01)


def test_the_bars_count_errors_and_covered_intervals(bench: Any) -> None:
    missed = {**ROW, "seed": 1, "measured": 0.9}
    rows = [ROW, missed, {**ROW, "metric": "macro-F1"}]
    error, covered, other, _ = bench("curve_bars").bars_of(rows)
    assert (error["value"], error["at_most"]) == (6.0, 2.0)
    assert error["range"] == "last point 15.00, POW3 10.00; twice as many labels: error 2.00, covered 1.00"
    assert (covered["value"], covered["at_least"], covered["at_most"]) == (0.5, 0.85, 0.95)
    assert covered["range"] == "mean width 15.0 points; missed: cr words (1) 0.900"
    assert "at_most" not in other
    header, lines = bench("curve_bars").table(rows)
    assert len(header) == len(lines[0])
    assert lines == [["64 labels in all", "cr", "words", "70.0", "85.0", "79.0", "1 of 2", "6.0", "15.0", "10.0"]]
