"""A comparison as lines of a terminal, and as a table of one-change rows in Markdown or CSV."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nlptl.interfaces.terminal import WIDTH, columns, escaped, table, wrapped
from nlptl.progress import clock, few_digits, human

if TYPE_CHECKING:
    from nlptl.evaluation.intervals import Estimate
    from nlptl.runs.studies.comparison.arm_costs import ArmCost
    from nlptl.runs.studies.comparison.comparison import ArmFacts, ComparisonResult

MAX_LINES = 25  # of all that is printed
SCORES = 3  # columns of an arm's name and scores
MANY_TEXTS = 1_000  # from which a tenth of a point is worth a column
HEADER = ("", "accuracy %", "macro-F1 %", "time", "trained", "MB peak", "MB disk", "ms/text")
ROW_NAMES = (
    "arm",
    "accuracy, %",
    "macro-F1, %",
    "time of a training",
    "parameters trained",
    "memory at the peak, MB",
    "disk, MB",
    "a text alone, ms",
)


def summary_lines(result: ComparisonResult, *, more: Sequence[str] = ()) -> list[str]:
    """Tell how arms were judged, their scores and costs, what that shows, and what was left out; `more` lines follow.

    All lines together are at most 25: long names are cut, and what was left out is told without reasons, where these do not
    fit.
    """
    begin, end = _lines([f"{result.judged} Per cent [95 % interval]."]), _lines([result.sentence])
    room = MAX_LINES - len(begin) - len(end) - len(more)
    body = _table(result, room - bool(result.left_out))
    return [*begin, *body, *end, *_left_out(result, room - len(body)), *more]


def _table(result: ComparisonResult, room: int) -> list[str]:
    """Return the table of arms: with a tenth of a point for many texts, and with whole names, where these fit into `room` lines."""
    forms = [".1f", ".0f"] if result.results[0].texts >= MANY_TEXTS else [".0f"]
    for form in forms:
        rows = [_row(result, place, form) for place in range(len(result.arms))]
        if len(lines := list(table(HEADER, rows))) <= min(room, len(rows) + 2):
            return lines
    names = max(
        10, WIDTH - sum(2 + max(columns(row[place]) for row in [HEADER, *rows]) for place in range(1, len(HEADER)))
    )
    if len(lines) > room:
        lines = list(table(HEADER, [[_tail(row[0], names), *row[1:]] for row in rows]))
    return lines


def _tail(name: str, width: int) -> str:
    """Return a name, or its end where it is wider: paths differ there."""
    shown = escaped(name)
    while columns(shown) > width:
        shown = f"…{shown.removeprefix('…')[1:]}"
    return shown


def change_rows(result: ComparisonResult) -> list[list[str]]:
    """Return a table of arms, the first row its header: scores, costs, and the command that makes each arm."""
    rows = [[*ROW_NAMES[:SCORES], f"points over {result.arms[0]}", *ROW_NAMES[SCORES:], "command"]]
    for place, (facts, apart) in enumerate(zip(result.facts, _from_first(result), strict=True)):
        cells = _row(result, place, ".1f")
        difference = "" if apart is None else _percent(apart, "+.1f")
        rows.append([*cells[:SCORES], difference, *cells[SCORES:], command(facts)])
    return rows


def markdown(result: ComparisonResult) -> str:
    """Return how the arms were judged, their table, and what it shows, in Markdown."""
    header, *rows = change_rows(result)
    lines = [_piped([*map(_in_markdown, header)]), _piped(["---", *["---:"] * (len(header) - 2), "---"])]
    lines += [_piped([*map(_in_markdown, row[:-1]), f"`` {row[-1]} ``" if row[-1] else ""]) for row in rows]
    how, shows = (" ".join(one.split()) for one in (f"{result.judged} Brackets are 95 % intervals.", result.sentence))
    return "\n".join([how, "", *lines, "", shows]) + "\n"


def as_csv(result: ComparisonResult) -> str:
    """Return the table of arms as CSV, shares and costs as plain numbers, with the ends of the intervals."""
    names = ["arm", "accuracy", "accuracy_low", "accuracy_high", "macro_f1", "macro_f1_low", "macro_f1_high"]
    names += [
        "difference",
        "difference_low",
        "difference_high",
        "seconds",
        "trainable_parameters",
        "memory_mb",
        "disk_mb",
        "latency_ms",
        "command",
    ]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    found = result.results[0]
    arms = zip(result.facts, found.accuracies, found.macro_f1s, _from_first(result), strict=True)
    for facts, accuracy, macro_f1, apart in arms:
        estimates = (accuracy, macro_f1, apart)
        scores = [value for one in estimates for value in ((one.value, one.low, one.high) if one else [None] * 3)]
        cost = facts.cost
        costs = [] if cost is None else [cost.seconds, cost.trainable_parameters, cost.memory, cost.disk, cost.latency]
        writer.writerow([facts.name, *map(_number, scores), *map(_number, costs or [None] * 5), command(facts)])
    return file.getvalue()


def command(facts: ArmFacts) -> str:
    """Return the command that makes an arm; empty where none does."""
    if facts.assignments is None:
        return ""
    settings = [part for one in facts.assignments for part in ("--set", one)]
    return shlex.join(["nlptl", "run", facts.pipeline, *settings])


def _from_first(result: ComparisonResult) -> list[Estimate | None]:
    """Return how the accuracy of each arm differs from that of the first, None for the first."""
    return [None, *(one.difference for one in result.results[0].differences)]


def _row(result: ComparisonResult, place: int, form: str) -> list[str]:
    found = result.results[0]
    scores = [_percent(one[place], form) for one in (found.accuracies, found.macro_f1s)]
    return [result.arms[place], *scores, *_costs(result.facts[place].cost)]


def _costs(cost: ArmCost | None) -> list[str]:
    if cost is None or not cost.seconds:
        return ["", "", "", "", ""]
    others = ["" if one is None else few_digits(one) for one in (cost.memory, cost.disk, cost.latency)]
    return [clock(cost.seconds), human(cost.trainable_parameters), *others]


def _percent(found: Estimate, form: str) -> str:
    value = format(100 * found.value, form)
    if found.low is None or found.high is None:
        return f"{value} (no interval)"
    return f"{value} [{100 * found.low:{form}}, {100 * found.high:{form}}]"


def _left_out(result: ComparisonResult, room: int) -> list[str]:
    """Tell what was not compared: with reasons where they fit into `room` lines, else by name."""
    if not result.left_out:
        return []
    by_reason: dict[str, list[str]] = {}
    for one in result.left_out:
        by_reason.setdefault(one.reason, []).append(one.name)
    told = "; ".join(f"{', '.join(names)} ({reason.rstrip('.')})" for reason, names in by_reason.items())
    lines = _lines([f"Left out: {told}."])
    if len(lines) <= max(1, room):
        return lines
    names = ", ".join(one.name for one in result.left_out)
    return _lines([f"Left out: {names}; comparison.json says why."])[: max(1, room)]


def _lines(sentences: Sequence[str]) -> list[str]:
    return [line for one in sentences if one for line in wrapped(one).split("\n")]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _in_markdown(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _piped(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
