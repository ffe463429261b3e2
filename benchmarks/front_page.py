"""What README.md shows of the results: a table of eight lines, and a picture of the few-label scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from fewshot_tables import promise

Bar = Mapping[str, Any]
LINES = (
    ("8 labels a class, points above SetFit, mean of 10 sets", "fewshot", "8 shots, mean of 10 sets: auto less setfit"),
    ("64 labels a class, points above SetFit, mean of 7 sets", "fewshot", "64 shots, mean of 7 sets: auto less setfit"),
    ("training time as a fraction of SetFit's, 9 sets", "fewshot", "8 shots, 9 sets: summed training time"),
    (
        "8 labels a class, points that a pile adds, mean of 14 sets",
        "pile",
        "8 shots, mean of 14 sets: auto+pile less auto",
    ),
    ("word vectors, words a second over gensim's", "word2vec-speed", "enwiki2015, dim 100, 3 epochs: kept words/s"),
    ("full fine-tuning, times as fast as the Trainer", "finetune-speed", "emotion, full, 3 epochs: wall of Trainer"),
    ("encoding in float32, times as fast as sentence-transformers", "encode", "emotion, float32: tokens/s"),
    ("encoding by an int8 export, the same", "export", "tweets: nlptl safetensors int8, tokens/s over those"),
)
"""What a line says, its result, and how the name of its bar begins."""
ARMS = (("lr", "logistic regression", "#8a8f98"), ("setfit", "SetFit", "#c2571a"), ("auto", "nlptl", "#0b6e99"))
SHOTS = 8
WIDTH, LEFT, RIGHT, TOP, ROW, BELOW = 720, 215, 24, 46, 26, 34
SCALE = (20, 90)


def summary(bars_of: Callable[[str], Sequence[Bar]]) -> tuple[list[str], list[list[object]]]:
    """Return header and rows of the table; `bars_of` gives the bars of a result."""
    rows: list[list[object]] = []
    for text, name, start in LINES:
        bar = next(bar for bar in bars_of(name) if bar["name"].startswith(start))
        rows.append([text, f"{bar['value']:.3g}", interval(bar), promise(dict(bar))])
    return ["measured", "value", "interval or range", "target"], rows


def interval(bar: Bar) -> str:
    """Return the interval or the range of a bar, without the value that stands before it."""
    found = bar["range"]
    return f"{found[0]:.3g} to {found[1]:.3g}" if isinstance(found, list) else str(found).split(" ", 1)[1]


def picture(bars: Sequence[Bar]) -> str:
    """Return an SVG: for each set of the few-label benchmark every arm's score with its interval."""
    found = [bar for bar in bars if bar.get("shots") == SHOTS and all(arm in bar["arms"] for arm, _, _ in ARMS)]
    height = TOP + ROW * len(found) + BELOW
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f"<title>Scores with {SHOTS} labels a class, by data set</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        *legend(),
        *axis(height),
    ]
    for number, bar in enumerate(found):
        middle = TOP + ROW * number + ROW / 2
        name = escape(f"{bar['set']} ({bar['metric']})")
        parts.append(f'<text x="{LEFT - 12}" y="{middle + 4:.1f}" text-anchor="end" fill="#222222">{name}</text>')
        for place, (arm, _, colour) in enumerate(ARMS):
            parts.append(mark(bar["arms"][arm], middle + 6 * (place - 1), colour))
    return "\n".join([*parts, "</svg>", ""])


def legend() -> list[str]:
    parts = []
    for place, (_, name, colour) in enumerate(ARMS):
        x = LEFT + 160 * place
        parts.append(f'<circle cx="{x}" cy="18" r="4" fill="{colour}"/>')
        parts.append(f'<text x="{x + 10}" y="22" fill="#222222">{name}</text>')
    return parts


def axis(height: int) -> list[str]:
    parts = []
    for score in range(SCALE[0], SCALE[1] + 1, 10):
        x = at(score)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{height - BELOW}" stroke="#e4e6ea"/>')
        parts.append(f'<text x="{x:.1f}" y="{height - 16}" text-anchor="middle" fill="#555555">{score}</text>')
    return parts


def mark(score: str, y: float, colour: str) -> str:
    """Return a dot at a score such as "45.6 [42.2, 48.8]", and a line over its interval."""
    value, low, high = (float(number) for number in re.findall(r"[\d.]+", score))
    if not SCALE[0] <= low <= high <= SCALE[1]:
        raise ValueError(f"front_page.picture: {score} lies outside the scale {SCALE}. Widen SCALE.")
    return (
        f'<line x1="{at(low):.1f}" y1="{y:.1f}" x2="{at(high):.1f}" y2="{y:.1f}" stroke="{colour}" stroke-width="2"/>'
        f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
    )


def at(score: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (score - SCALE[0]) / (SCALE[1] - SCALE[0])
