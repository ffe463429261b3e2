"""The benchmark of exports runs, and writes every arm and bar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's exporter, by which a peer is built
def test_exports_are_measured_beside_their_peers(bench: Any, tmp_path: Path) -> None:
    for name, texts in {
        "tweeteval/emotion": ["what a happy day", "this is so sad"],
        "imdb": ["a good film", "a dull one"],
    }.items():
        for part in ("train", "test"):
            (tmp_path / name).mkdir(parents=True, exist_ok=True)
            rows = [{"text": f"{text} {number}", "label": text[0]} for number in range(20) for text in texts]
            (tmp_path / name / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    module = bench("export")
    result = json.loads(module.main([str(tmp_path), "--tiny", "--repeats", "1"]).read_text())
    speeds = [row for row in result["rows"] if "tokens_per_second" in row]
    assert {row["arm"] for row in speeds} == {"nlptl fp32", *module.OWN, module.PEER, module.BACKENDS[0]}
    exact = [row for row in result["rows"] if row["arm"] == module.OWN[0] and "lowest_cosine" in row]
    assert exact
    assert all(row["lowest_cosine"] > 0.9999 for row in exact)
    assert [bar for bar in result["bars"] if "at_least" in bar and "int8" in bar["name"]]
