"""The benchmark of students: what is promised of their speed comes from medians."""

from __future__ import annotations

from typing import Any


def test_the_promises_of_speed_are_medians_without_the_start(bench: Any) -> None:
    seconds = {"predict": [3.0, 2.5, 9.0], "of which start": [1.0, 0.5, 1.0], "predict_proba": [1.0, 2.0, 4.0]}
    predict, in_python = bench("distil").bars([{"set": "imdb"}, {"tweets": 200_000, "seconds": seconds}])
    assert (predict["value"], predict["range"]) == (100_000, [25_000, 100_000])
    assert (in_python["value"], in_python["range"]) == (100_000, [50_000, 200_000])
