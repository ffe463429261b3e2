"""Tables of encoders: the well-known ones, and those among which a run chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlptl.interfaces.terminal import table
from nlptl.models.known_encoders import KNOWN, KnownEncoder

MAX_CODES = 3  # languages that are named; of more their number is told


def known_lines() -> Iterator[str]:
    """Tell which encoders are well known, and which of them are at hand."""
    from nlptl.models.weights import is_at_hand

    header = ["encoder", "dim", "layers", "MB", "licence", "languages", "pooling", "year", "at hand"]
    rows = []
    for one in KNOWN:
        names = [name for name in (one.package, one.name) if name is not None]
        found = [name for name in names if is_at_hand(name)]
        at_hand = "no" if not found else "yes" if found[0] == one.name else found[0]
        rows.append([one.name, str(one.dim), str(one.layers), str(one.megabytes), one.licence,
                     _languages(one.languages.split()), one.pooling, str(one.year), at_hand])  # fmt: skip
    yield from table(header, rows)
    yield ""
    yield from _prompt_lines()
    for leaks in dict.fromkeys(one.leaks for one in KNOWN if one.leaks):
        learnt = ", ".join(_short(one) for one in KNOWN if one.leaks == leaks)
        yield f"Trained on {leaks}, where scores may flatter it: {learnt}."
    yield (
        "`weights: [minilm, BAAI/bge-small-en-v1.5]` in the stage bert takes the one that suits the labelled texts best. Get one "
        "with hf download NAME."
    )


def choice_lines(report: Mapping[str, Any], *, why: bool) -> Iterator[str]:
    """Tell the scores of the encoders among which a stage chose, and maybe `why`; nothing where it did not choose."""
    found = report.get("encoder_choice")
    if not isinstance(found, dict) or not found.get("rows"):
        return
    header = ["encoder", "evidence", "held-out accuracy", "ms a text", "MB", "licence", "languages", "year"]
    yield from ("", *table(header, [_row(row) for row in found["rows"]]))
    if why:
        yield str(found["why"])


def _row(row: Mapping[str, Any]) -> list[str]:
    ends = f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return [
        str(row["encoder"]), f"{row['log_evidence']:.3f}", f"{100 * row['accuracy']:.1f} {ends}", f"{row['milliseconds']:.3g}",
        f"{row['megabytes']:.0f}", row["licence"] or "?", _languages(row["languages"]) or "?", str(row["year"] or "?"),
    ]  # fmt: skip


def _prompt_lines() -> Iterator[str]:
    for prompt in dict.fromkeys(one.prompt for one in KNOWN if one.prompt):
        names = ", ".join(_short(one) for one in KNOWN if one.prompt == prompt)
        yield f"Read with {prompt!r} before every text, as its authors ask: {names}."


def _short(one: KnownEncoder) -> str:
    return one.name.partition("/")[2]


def _languages(codes: Sequence[str]) -> str:
    return " ".join(codes) if len(codes) <= MAX_CODES else str(len(codes))
