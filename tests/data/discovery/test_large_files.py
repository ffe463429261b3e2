"""A large file is looked at by its first rows, and its rows stand on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.data.discovery import discover


def test_labels_far_below_are_found_and_the_pile_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("nlptl.data.discovery.seen_table._MAX_ROWS", 1_000)
    monkeypatch.setattr("nlptl.data.sources._BIG_BYTES", 1_000)
    path = tmp_path / "large.csv"
    labels = ["good", "bad"] * 30
    lines = [f"the text with number {i},{'' if i < 9_940 else labels[i - 9_940]}\n" for i in range(10_000)]
    path.write_text("text,label\n" + "".join(lines))
    found = discover([path])
    assert found.data.labelled is not None
    assert found.data.unlabelled is not None
    assert found.data.labelled.label_counts() == {"good": 30, "bad": 30}
    assert len(found.data.unlabelled) == 9_940
    assert len(list((tmp_path / "cache" / "data").glob("*.arrow"))) == 1
    assert [place.number for place in found.places("labelled", [0, 59])] == [9_942, 10_001]
    assert [place.number for place in found.places("unlabelled", [9_939])] == [9_941]
