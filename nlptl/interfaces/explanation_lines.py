"""Explanations as coloured lines of a terminal, and as JSON lines.

Signs and bars carry all that the colours do: `[++warm]` speaks much for the label, `[-slow]` somewhat against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlptl.interfaces.terminal import WIDTH, Colour, Coloured, columns, escaped, filled, padded

if TYPE_CHECKING:
    from nlptl.models.explaining.explanation import Contribution, Explanation

STRONGEST = 5  # words for the label, and as many against it
MAX_LINES = 6  # of a text, those with the strongest words
MAX_SENTENCES = 3
MAX_LABELS = 3  # explained by default, of those that a text gets
MAX_NAMED = 4  # labels in the first line
BAR = 10  # columns of the strongest word's bar
LEVELS = (0.4, 0.75)  # shares of the strongest word from which on a word has one sign, or two
MIN_SHOWN = 0.005  # contribution that is shown as more than zero
LARGE_ERROR = 1.0  # of the sum, in logits
OVERLAP = " Words that say the same, or need one another, make this error; read their order, not their sum."
INDENT = "  "
COLOURS: tuple[Colour, Colour] = ("green", "red")  # for and against
Line = list[Coloured]


@dataclass(frozen=True)
class _Row:
    """Word of the table, with what all its occurrences contribute that speak alike."""

    text: str
    count: int
    weight: float

    def shown(self, width: int) -> str:
        """Return the word, and how often it occurs, in at most `width` columns."""
        times = f" ×{self.count:,}" if self.count > 1 else ""
        return _cut(self.text, width - len(times)) + times


def explanation_lines(found: Explanation, label: str | None = None, *, number: int | None = None) -> Iterator[Line]:
    """Yield what a person reads of an explanation; `number` is that of the text, where there are several."""
    labels = [label or found.label]
    if found.multi_label and label is None:
        labels = sorted(found.given, key=lambda one: one != found.label)[:MAX_LABELS] or labels
    if number is not None and number > 1:
        yield []
    yield _headline(found, labels[0], number)
    for one in labels:
        if found.multi_label:
            yield _threshold_line(found, one)
        yield from _label_lines(found, one, of=len(labels))
    yield from _neighbour_lines(found)
    sentences = [*found.remarks, *(_method(found, one) for one in labels)]
    if found.multi_label and label is None and len(found.given) > len(labels):
        sentences.append(f"{len(labels)} of {len(found.given)} labels are explained; --label NAME explains another.")
    for sentence in sentences:
        yield from ([Coloured(INDENT + line, "faint")] for line in filled(escaped(sentence), WIDTH - len(INDENT)))


def json_line(found: Explanation, label: str | None = None) -> str:
    """Return an explanation as a line of JSON; numbers of labels stand in the order of `labels`."""
    place = found.labels.index(label or found.label)

    def parts(given: Sequence[Contribution]) -> list[dict[str, object]]:
        return [{"text": one.text, "start": one.start, "end": one.end, "logits": _rounded(one.logits)} for one in given]

    content = {
        "text": found.text, "given": found.given, "label": found.labels[place],
        "probability": round(found.probabilities[place], 6), "labels": found.labels,
        "thresholds": None if found.thresholds is None else _rounded(found.thresholds),
        "probabilities": _rounded(found.probabilities), "logits": _rounded(found.logits),
        "base": _rounded(found.base), "words": parts(found.contributions), "towards": _rounded(found.towards(label)),
        "sentences": parts(found.sentences), "how": found.how, "completeness_error": round(found.completeness_error, 6),
        "remarks": found.remarks,
        "nearest": [
            {"text": one.text, "label": one.labels if found.multi_label else one.label,
             "similarity": round(one.similarity, 6), "row": one.row}
            for one in found.nearest
        ],
    }  # fmt: skip
    return json.dumps(content, ensure_ascii=False) + "\n"


def _headline(found: Explanation, label: str, number: int | None) -> Line:
    line = [Coloured("" if number is None else f"{number}. ")]
    if found.multi_label:
        more = f" and {len(found.given) - MAX_NAMED} more" if len(found.given) > MAX_NAMED else ""
        names = ", ".join(_cut(one, 80 // MAX_NAMED - 2) for one in found.given[:MAX_NAMED])
        return [*line, Coloured(f"labels given: {names or 'none'}{more}")]
    place = found.labels.index(label)
    order = sorted(range(len(found.labels)), key=lambda one: -found.probabilities[one])
    other = next((one for one in order if one != place), place)
    line.append(Coloured(f"{_cut(label, 40)} {found.probabilities[place]:.2f}"))
    if other != place:
        role = "most probable" if other == order[0] else "next"
        line.append(Coloured(f"   {role}: {_cut(found.labels[other], 30)} {found.probabilities[other]:.2f}", "faint"))
    return line


def _threshold_line(found: Explanation, label: str) -> Line:
    """Return the probability of one of several labels, and the one from which on it is given."""
    assert found.thresholds is not None  # the caller knows
    place = found.labels.index(label)
    answer = "given" if label in found.given else "not given; it would be"
    told = f" {found.probabilities[place]:.3f}: {answer} from {found.thresholds[place]:.3f} on"
    return [Coloured(_cut(label, 60) + told)]


def _label_lines(found: Explanation, label: str, *, of: int) -> Iterator[Line]:
    """Yield the words and sentences that speak for a label and against it; `of` labels share the lines."""
    weights = found.towards(label)
    words = _summed(found.contributions, weights)
    shows = any(abs(one.weight) >= MIN_SHOWN for one in words)
    yield from _text_lines(found, weights if shows else [0.0] * len(weights), at_most=MAX_LINES // of)
    if shows:
        yield from _table(words, label, rows=-(-STRONGEST // of))
    else:
        yield [Coloured(f"{INDENT}No word weighs {MIN_SHOWN} or more.")]
    yield from _sentence_lines(found, label)


def _summed(words: Sequence[Contribution], weights: Sequence[float]) -> list[_Row]:
    """Return the words with their weights, the strongest for the label first. Equal words that speak alike are summed."""
    sums: dict[tuple[str, bool], list[float]] = {}
    for word, weight in zip(words, weights, strict=True):
        if weight:  # others may not even be read
            sums.setdefault((word.text, weight > 0), []).append(weight)
    found = [_Row(text, len(each), sum(each)) for (text, _), each in sums.items()]
    return sorted(found, key=lambda one: -one.weight)


def _text_lines(found: Explanation, weights: Sequence[float], *, at_most: int) -> Iterator[Line]:
    """Yield the text with its strong words marked; of a long text the lines with the strongest words."""
    most = max(map(abs, weights), default=0.0)
    lines: list[tuple[float, Line]] = [(0.0, [Coloured(INDENT)])]
    taken, end = len(INDENT), 0
    for one, weight in zip(found.contributions, weights, strict=True):
        gap = " " if found.text[end : one.start] else ""
        word = _marked(one.text, weight, most)
        if taken + len(gap) + columns(word.text) > WIDTH and taken > len(INDENT):
            lines.append((0.0, [Coloured(INDENT)]))
            taken, gap = len(INDENT), ""
        elif taken == len(INDENT):
            gap = ""
        strength, line = lines[-1]
        lines[-1] = (max(strength, abs(weight)), [*line, Coloured(gap), word])
        taken, end = taken + len(gap) + columns(word.text), one.end
    kept = sorted(sorted(range(len(lines)), key=lambda number: -lines[number][0])[:at_most])
    for before, number in zip([-1, *kept], kept, strict=False):
        if number > before + 1:
            yield [Coloured(f"{INDENT}…", "faint")]
        yield lines[number][1]
    if kept[-1] < len(lines) - 1:
        yield [Coloured(f"{INDENT}…", "faint")]


def _marked(word: str, weight: float, most: float) -> Coloured:
    word = _cut(word, WIDTH - 10)
    signs = sum(abs(weight) >= share * most for share in LEVELS) if most else 0
    if not signs:
        return Coloured(word)
    return Coloured(f"[{('+' if weight > 0 else '-') * signs}{word}]", "green" if weight > 0 else "red")


def _table(words: Sequence[_Row], label: str, *, rows: int) -> Iterator[Line]:
    """Yield the strongest words for and against the label, side by side, with bars. `words` begin with the strongest for it."""
    against = [one for one in reversed(words) if one.weight <= -MIN_SHOWN]
    sides = ([one for one in words if one.weight >= MIN_SHOWN][:rows], against[:rows])
    most, half = max(abs(one.weight) for one in words), (WIDTH - len(INDENT)) // 2
    yield [Coloured(INDENT + padded(f"for {_cut(label, half - 8)}", half) + "against it", "faint")]
    for row in range(max(map(len, sides))):
        line = [Coloured(INDENT)]
        for side, colour in zip(sides, COLOURS, strict=True):
            one = side[row] if row < len(side) else None
            if one is None:
                line.append(Coloured(" " * half))
                continue
            bar, number = "█" * max(1, round(BAR * abs(one.weight) / most)), f"{one.weight:+.2f}"
            word = one.shown(half - BAR - len(number) - 4)
            line.append(Coloured(f"{number} {padded(bar, BAR)} ", colour))
            line.append(Coloured(padded(word, half - BAR - len(number) - 2)))
        yield line


def _sentence_lines(found: Explanation, label: str) -> Iterator[Line]:
    weights = found.sentences_towards(label)
    strongest = sorted(range(len(weights)), key=lambda one: -abs(weights[one]))[:MAX_SENTENCES]
    for row, one in enumerate(strongest):
        head = INDENT + ("sentences: " if not row else " " * 11)
        colour = Coloured(f"{weights[one]:+.2f} ", "green" if weights[one] > 0 else "red")
        yield [Coloured(head, "faint"), colour, Coloured(_cut(found.sentences[one].text, WIDTH - len(head) - 8))]


def _neighbour_lines(found: Explanation) -> Iterator[Line]:
    for row, one in enumerate(found.nearest):
        head = INDENT + ("nearest: " if not row else " " * 9)
        label = _cut(one.label or "(no label)", 30)
        text = _cut(one.text, WIDTH - len(head) - 7 - columns(label))
        yield [Coloured(head, "faint"), Coloured(f"{one.similarity:.2f} {label}  "), Coloured(text, "faint")]


def _method(found: Explanation, label: str) -> str:
    """Tell by which method the words were weighed, and what they add up to."""
    base, whole, words = found.margin(found.base, label), found.margin(found.logits, label), sum(found.towards(label))
    if found.how == "exact":
        return (
            f"Exact: {base:+.2f} without a word and {words:+.2f} by the words make {whole:+.2f} for {_cut(label, 40)}."
        )
    error = abs(base + words - whole)
    told = (
        f"By deleting words: {base:+.2f} without a word and {words:+.2f} by the words, where the text has {whole:+.2f} for "
        f"{_cut(label, 40)} (error: {error:.2f})."
    )
    return told + (OVERLAP if error >= LARGE_ERROR else "")


def _cut(text: str, width: int) -> str:
    """Return a text, escaped and on one line, of at most `width` columns."""
    text = escaped(" ".join(text.split()))
    if columns(text) <= width:
        return text
    taken, kept = 0, ""
    for character in text:
        taken += columns(character)
        if taken >= width:
            break
        kept += character
    return kept + "…"


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, 6) for number in numbers]
