"""What is promised of `nlptl start`, and the table of its benchmark."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]
MIN_COVERED = 0.9  # of the runs
MAX_OVER_TIME = 1.2  # of the minutes that it was given


def bars_of(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the bars: never below the best baseline beyond the noise, its own estimate, its time."""
    below = [row for row in rows if row["difference"][2] < 0]
    with_interval = [row for row in rows if row["estimate"][1] is not None]
    covered = [row for row in with_interval if covers(row)]
    times = [row["seconds"] / (60 * row["minutes"]) for row in rows]
    longest = max(rows, key=lambda row: row["seconds"] / row["minutes"])
    gains = [100 * row["difference"][0] for row in rows]
    return [
        {
            "name": f"runs of {len(rows)} below the best baseline by more than the interval of the difference",
            "value": len(below), "at_most": 0,
            "range": f"difference {min(gains):+.1f} to {max(gains):+.1f} points, mean {statistics.fmean(gains):+.1f}"
            + "".join(f"; {named(row)} {100 * row['difference'][0]:+.1f}" for row in below),
        },
        {
            "name": f"share of {len(with_interval)} runs whose own interval covers the accuracy on the real test",
            "value": round(len(covered) / max(1, len(with_interval)), 3), "at_least": MIN_COVERED,
            "range": "; ".join(f"{named(row)} {row['accuracy']:.3f}" for row in with_interval if not covers(row)) or "all",
        },
        {
            "name": "seconds over the minutes given, longest run", "value": round(max(times), 2), "at_most": MAX_OVER_TIME,
            "range": f"{min(times):.2f} to {max(times):.2f}; longest {named(longest)}, {longest['seconds']:.0f} s",
        },
    ]  # fmt: skip


def covers(row: Row) -> bool:
    """Say whether the interval that start states holds the accuracy on the real test."""
    return bool(row["estimate"][1] <= row["accuracy"] <= row["estimate"][2])


def named(row: Row) -> str:
    return f"{row['set']} {row['size']} ({row['seed']})"


def table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Return a line for each set and size, means over the seeds in points."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["set"], row["size"]), []).append(row)
    lines: list[list[object]] = [
        [
            name, size, f"{points(runs, 'accuracy'):.1f}",
            f"{100 * statistics.fmean(row['estimate'][0] for row in runs):.1f}",
            f"{sum(row['estimate'][1] is not None and covers(row) for row in runs)} of {len(runs)}",
            f"{100 * statistics.fmean(row['baselines'][row['best']] for row in runs):.1f}",
            ", ".join(sorted({row["best"] for row in runs})),
            f"{100 * statistics.fmean(row['difference'][0] for row in runs):+.1f}",
            ", ".join(sorted({row["chosen"] for row in runs})),
            f"{statistics.fmean(row['seconds'] for row in runs):.0f}",
        ]
        for (name, size), runs in found.items()
    ]  # fmt: skip
    header = [
        "set", "labels (a label)", "accuracy", "own estimate", "covered", "best baseline", "which", "difference", "handed out",
        "seconds",
    ]  # fmt: skip
    return header, lines


def points(runs: Sequence[Row], what: str) -> float:
    return 100 * statistics.fmean(row[what] for row in runs)
