"""The tables of the pile benchmark: scores by set without and with a pile, and what was promised of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fewshot_tables import Table, disturbed, named_splits, seconds

OURS = {"auto": "nlptl auto", "auto+pile": "nlptl auto + pile", "auto+skewed": "nlptl auto + skewed pile"}
ARMS = {"tfidf": "words", "lr": "logistic regression", "setfit": "SetFit", **OURS}


def scores(bars: Sequence[dict[str, Any]]) -> Table:
    """Return each arm's score with its interval by set and shots, in points, and its seconds of training."""
    found = [bar for bar in bars if "arms" in bar]
    lines: list[list[object]] = [
        [
            f"{bar['set']} ({bar['metric']})", bar["shots"], *(bar["arms"].get(arm, "") for arm in ARMS), bar["range"],
            " / ".join(seconds(bar, arm) for arm in OURS),
        ]
        for bar in found
    ]  # fmt: skip
    header = ["set", "shots", *ARMS.values(), "auto + pile less auto", "seconds to train, ours in this order"]
    return header, lines, " ".join([named_splits(found, ARMS), *disturbed(found)])
