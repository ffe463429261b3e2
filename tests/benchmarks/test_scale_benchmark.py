"""The benchmark of scale: its table, which stands in docs/scale.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def test_rates_become_core_hours_in_the_docs(bench: Any, tmp_path: Path, root: Path) -> None:
    scale = bench("scale")
    rates = {"local": 250.0, "ray 1": 240.0, "ray 2": 230.5}
    rows = [
        {
            "model": "MiniLM",
            "command": "encode",
            "engine": engine,
            "texts_per_core_second": rate,
            "bytes_per_text": 1_600.2,
        }
        for engine, rate in rates.items()
    ]
    page = tmp_path / "scale.md"
    page.write_text((root / "docs" / "scale.md").read_text())
    for _ in range(2):
        scale.write_table(rows, page)
    text = page.read_text()
    assert "| MiniLM | encode | 250 | 240 / 230 | 1,111 | 1,600 |\n<!-- end -->" in text
    assert text.count("core-hours for 10⁹ texts") == 1
    assert text.endswith((root / "docs" / "scale.md").read_text().partition(scale.END)[2])
    assert scale.bars(rows)[0] == {
        "name": "encode, MiniLM: rate of a worker of ray 1 / rate of one process",
        "value": 0.96,
    }


def test_every_arm_is_measured_once(bench: Any) -> None:
    scale = bench("scale")
    arms = list(scale.arms(list(scale.ENGINES)))
    assert len(arms) == len(set(arms)) == 15
