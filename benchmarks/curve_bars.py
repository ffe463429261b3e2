"""What is promised of predicted learning curves, and the table of their benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
MAX_MEDIAN_ERROR = 2.0  # points
MIN_COVERED, MAX_COVERED = 0.85, 0.95  # of the 90 % intervals
WAYS = ("predicted", "last point", "POW3")
TOLD = {"whole": "curves of 256 labels, seen up to 64", "alone": "64 labels in all"}


def bars_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the bars of accuracy, curves of whole pools first; those of macro-F1 are told beside them."""
    kinds = list(dict.fromkeys((row["metric"], row["way"]) for row in sorted(rows, key=_order)))
    return [bar for kind in kinds for bar in _bars([row for row in rows if (row["metric"], row["way"]) == kind])]


def _order(row: Row) -> tuple[str, bool]:
    return row["metric"], row["way"] != "whole"


def _bars(rows: Sequence[Row]) -> list[dict[str, Any]]:
    metric, way, promised = rows[0]["metric"], TOLD[rows[0]["way"]], rows[0]["metric"] == "accuracy"
    errors = {one: statistics.median(error(row, one) for row in rows) for one in WAYS}
    others = ", ".join(f"{one} {errors[one]:.2f}" for one in WAYS[1:])
    width = statistics.fmean(100 * (row["predicted"][2] - row["predicted"][1]) for row in rows)
    missed = "; ".join(f"{named(row)} {row['measured']:.3f}" for row in rows if not covers(row)) or "none"
    half = [score for row in rows for score in row["between"].values()]
    at_half = "" if not half else (
        f"; twice as many labels: error {statistics.median(100 * abs(one[1] - one[0]) for one in half):.2f}, covered "
        f"{statistics.fmean(one[2] <= one[0] <= one[3] for one in half):.2f}"
    )  # fmt: skip
    return [
        {
            "name": f"{way}: median error of the {metric} predicted for four times as many labels, {len(rows)} curves, points",
            "value": round(errors["predicted"], 2), **({"at_most": MAX_MEDIAN_ERROR} if promised else {}),
            "range": others + at_half,
        },
        {
            "name": f"{way}: share of the {len(rows)} 90 % intervals of the {metric} that hold what is measured",
            "value": round(statistics.fmean(covers(row) for row in rows), 3),
            **({"at_least": MIN_COVERED, "at_most": MAX_COVERED} if promised else {}),
            "range": f"mean width {width:.1f} points; missed: {missed}",
        },
    ]  # fmt: skip


def error(row: Row, way: str) -> float:
    """Return the absolute error in points of one way to predict."""
    value = row["predicted"][0] if way == "predicted" else row[way]
    return float(100 * abs(value - row["measured"]))


def covers(row: Row) -> bool:
    """Say whether the prediction interval holds what was measured."""
    return bool(row["predicted"][1] <= row["measured"] <= row["predicted"][2])


def named(row: Row) -> str:
    return f"{row['set']} {row['representation']} ({row['seed']})"


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Return a line for each way, set and representation: accuracy, means over the seeds in points, median errors."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(rows, key=_order):
        if row["metric"] == "accuracy":
            found.setdefault((row["way"], row["set"], row["representation"]), []).append(row)
    lines: list[list[object]] = [
        [
            TOLD[way], name, representation, f"{100 * statistics.fmean(row['last point'] for row in runs):.1f}",
            f"{100 * statistics.fmean(row['measured'] for row in runs):.1f}",
            f"{100 * statistics.fmean(row['predicted'][0] for row in runs):.1f}",
            f"{sum(map(covers, runs))} of {len(runs)}",
            *(f"{statistics.median(error(row, one) for row in runs):.1f}" for one in WAYS),
        ]
        for (way, name, representation), runs in found.items()
    ]  # fmt: skip
    header = ["curve", "set", "by", "last seen", "256 labels", "predicted", "covered", "error", "last point", "POW3"]
    return header, lines
