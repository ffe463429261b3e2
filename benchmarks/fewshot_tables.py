"""The tables of the few-label benchmark: scores by set and shots, and what was promised of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

ARMS = {
    "tfidf": "words", "lr": "logistic regression", "setfit": "SetFit", "trainer": "Trainer", "auto": "nlptl auto",
    "auto+encoders": "nlptl auto, several encoders",
}  # fmt: skip
Table = tuple[list[str], list[list[object]], str]
"""Header, rows, and the sentences below them."""


def scores(bars: Sequence[dict[str, Any]]) -> Table:
    """Return each arm's score with its interval by set and shots, in points, and its seconds of training."""
    found = [bar for bar in bars if "arms" in bar]
    arms = {arm: name for arm, name in ARMS.items() if any(arm in bar["arms"] for bar in found)}
    lines: list[list[object]] = [
        [
            f"{bar['set']} ({bar['metric']})", bar["shots"], *(score(bar, arm) for arm in arms), bar["range"],
            " / ".join(seconds(bar, arm) for arm in arms),
        ]
        for bar in found
    ]  # fmt: skip
    header = ["set", "shots", *arms.values(), "auto less SetFit", "seconds to train, in this order"]
    return header, lines, " ".join([named_splits(found, arms), *limits(found), *disturbed(found)])


def score(bar: dict[str, Any], arm: str) -> str:
    return str(bar["arms"].get(arm, "")) + ("†" if arm == "setfit" and "limited" in bar else "")


def seconds(bar: dict[str, Any], arm: str) -> str:
    if arm not in bar["seconds"]:
        return "–"
    found = bar["seconds"][arm]
    return f"{found['median']:.{0 if found['median'] >= 10 else 1}f}" + ("*" if found["disturbed"] else "")


def named_splits(bars: Sequence[dict[str, Any]], arms: Mapping[str, str]) -> str:
    """Return how many splits each arm ran."""
    ran = {arm: [bar["splits"][arm] for bar in bars if arm in bar["splits"]] for arm in arms}
    told = [
        f"{arms[arm]} {min(counts)}" + (f" to {max(counts)}" if max(counts) > min(counts) else "")
        for arm, counts in ran.items()
        if counts
    ]
    return f"Splits: {', '.join(told)}."


def limits(bars: Sequence[dict[str, Any]]) -> list[str]:
    """Return where SetFit did not run to the end of its default."""
    told = []
    for bar in bars:
        if "limited" in bar:
            limit = bar["limited"]
            steps = " or ".join(f"{count:,}" for count in limit["steps"])
            told.append(
                f"{bar['set']} with {bar['shots']} shots to {limit['minutes']:g} minutes ({steps} of "
                f"{limit['default_steps']:,} steps, {limit['splits']} of {bar['splits']['setfit']} splits)"
            )
    return [f"† SetFit was limited by max_steps: {'; '.join(told)}."] if told else []


def disturbed(bars: Sequence[dict[str, Any]]) -> list[str]:
    marked = any(found["disturbed"] for bar in bars for found in bar["seconds"].values())
    return ["Seconds with * were measured beside other work."] if marked else []


def promises(bars: Sequence[dict[str, Any]]) -> Table:
    """Return what was measured beside what was promised; a bar that is missed says so."""
    lines: list[list[object]] = [
        [bar["name"], bar["value"], ranged(bar), promise(bar)] for bar in bars if "arms" not in bar
    ]
    cut = sorted({name for bar in bars for name in (bar["limited"] if "seconds" in bar and "arms" not in bar else [])})
    timed = [f"SetFit was timed up to its limit on {', '.join(cut)}."] if cut else []
    header = ["what", "measured", "interval or range", "target"]
    return header, lines, " ".join([*limits([bar for bar in bars if "arms" in bar]), *timed])


def ranged(bar: dict[str, Any]) -> str:
    """Return a bar's interval, or the range of its sets or splits, and how many splits the arms share."""
    found = bar["range"]
    told = f"{found[0]} to {found[1]}" if isinstance(found, list) else str(found)
    if "splits" not in bar:
        return told
    least, most = bar["splits"]
    if least == most:
        return f"{told}, {least} split{'s' * (least != 1)}"
    return f"{told}, {least} to {most} splits"


def promise(bar: dict[str, Any]) -> str:
    least, most = bar.get("at_least"), bar.get("at_most")
    if least is None and most is None:
        return ""
    told = f"at least {least}" if most is None else f"at most {most}" if least is None else f"{least} to {most}"
    met = (least is None or bar["value"] >= least) and (most is None or bar["value"] <= most)
    return f"{told}: {'met' if met else '**missed**'}"
