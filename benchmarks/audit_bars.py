"""What is promised of audits, and the table of what was measured."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from nlptl.evaluation.intervals import hierarchical_mean

KINDS = ("random", "human-like")
PEERS = ("self_confidence", "normalized_margin", "confidence_weighted_entropy")  # rankings of cleanlab
MAX_SECONDS_OF_COPIES = 5.0
MAX_GIB, MAX_MINUTES = 4.0, 30.0

Row = dict[str, Any]


def bars_of(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield what is promised, and what was measured."""
    for kind, least in zip(KINDS, (0.0, 5.0), strict=True):
        some = [row for row in rows if row["part"] == "noise" and row["kind"] == kind]
        if some:
            best = max(PEERS, key=lambda how: np.mean([row[f"cleanlab {how}"] for row in some]))
            by_set = {row["set"]: list[float]() for row in some}
            for row in some:
                by_set[row["set"]].append(row["nlptl"] - row[f"cleanlab {best}"])
            found = hierarchical_mean([*by_set.values()])
            yield {
                "name": f"{kind} flips: area under precision and recall above cleanlab's {best}, points",
                "value": round(found.value, 2), "range": [round(found.low or 0, 2), round(found.high or 0, 2)],
                "at_least": least,
            }  # fmt: skip
    for row in rows:
        if row["part"] == "copies":
            name = f"near-copies of {row['texts']:,} reviews, seconds"
            yield {"name": name, "value": min(row["seconds"]), "at_most": MAX_SECONDS_OF_COPIES}
            yield {"name": "near-copies planted in reviews that are found", "value": row["recall"], "at_least": 0.99}
        if row["part"] == "scale":
            yield {"name": f"audit of {row['rows']:,} rows, GiB", "value": row["gib"], "at_most": MAX_GIB}
            yield {"name": f"audit of {row['rows']:,} rows, minutes", "value": row["minutes"], "at_most": MAX_MINUTES}


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Return a line for each set: mean areas under precision and recall of planted flips, by nlptl and cleanlab's best ranking."""
    flips = [row for row in rows if row["part"] == "noise"]
    lines: list[list[object]] = []
    for name in dict.fromkeys(row["set"] for row in flips):
        line: list[object] = [name]
        for kind in KINDS:
            some = [row for row in flips if (row["set"], row["kind"]) == (name, kind)]
            best = max(PEERS, key=lambda how: statistics.fmean(row[f"cleanlab {how}"] for row in some))
            areas = [statistics.fmean(row[arm] for row in some) for arm in ("nlptl", f"cleanlab {best}")]
            line += [f"{areas[0]:.1f}", f"{areas[1]:.1f}", f"{areas[0] - areas[1]:+.1f}"]
        lines.append(line)
    header = ["set"]
    for kind in KINDS:
        header += [f"{kind} flips: nlptl", "cleanlab, best ranking", "difference"]
    return header, lines
