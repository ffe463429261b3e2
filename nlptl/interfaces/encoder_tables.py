"""Tables of encoders: the well-known ones, and those among which a run chose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nlptl.interfaces.terminal import table
from nlptl.models.known_encoders import FULL_BITS, KNOWN, KnownEncoder
from nlptl.progress import few_digits

MAX_NAME = 24  # columns for which there is room
MAX_CODES = 3  # languages that are named; of more their number is told


def known_lines() -> Iterator[str]:
    """Tell which encoders are well known, and which of them are at hand."""
    from nlptl.models.weights import is_at_hand

    header = ["encoder", "dim", "MB", "licence", "lang.", "year", "here"]  # as wide as the longest name leaves room for
    rows = []
    for one in KNOWN:
        is_here = any(is_at_hand(name) for name in (one.package, one.name) if name is not None)
        rows.append([one.name, str(one.dim), str(one.megabytes), one.licence, _languages(one.languages.split()), str(one.year),
                     "yes" if is_here else "no"])  # fmt: skip
    yield from table(header, rows)
    yield ""
    for one in KNOWN:
        if one.package is not None:
            found = "is" if is_at_hand(one.package) else "would be"
            rounded = "" if one.bits == FULL_BITS else f", its weights rounded to {one.bits} bits"
            yield f"As the pip package {one.package}, {_short(one)} {found} here: `weights: {one.package}`{rounded}."
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
    names = _short_names([*(row["encoder"] for row in found["rows"]), *found.get("skipped", ())])
    rows = [_row(row, names[row["encoder"]]) for row in found["rows"]]
    rows += [[names[name], "not tried", *[""] * (len(header) - 2)] for name in found.get("skipped", ())]
    yield from ("", *table(header, rows))
    if why:
        yield str(found["why"])


def _short_names(names: Sequence[str]) -> dict[str, str]:
    """Return each name, or as many of its last folders as tell a long one from the others."""
    ends = {name: [part for part in name.split("/") if part] for name in names}
    short = {}
    for name, parts in ends.items():
        others = [other for other in names if other != name]
        for count in range(1, len(parts) + 1):
            if all(ends[other][-count:] != parts[-count:] for other in others):
                break
        short[name] = name if len(name) <= MAX_NAME or not parts else "/".join(parts[-count:])
    return short


def _row(row: Mapping[str, Any], name: str) -> list[str]:
    ends = f"[{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    return [
        name, f"{row['log_evidence']:.3f}", f"{100 * row['accuracy']:.1f} {ends}", f"{row['milliseconds']:.3g}",
        few_digits(row["megabytes"]), row["licence"] or "?", _languages(row["languages"]) or "?", str(row["year"] or "?"),
    ]  # fmt: skip


def _prompt_lines() -> Iterator[str]:
    for prompt in dict.fromkeys(one.prompt for one in KNOWN if one.prompt):
        names = ", ".join(_short(one) for one in KNOWN if one.prompt == prompt)
        yield f"Read with {prompt!r} before every text, as its authors ask: {names}."


def _short(one: KnownEncoder) -> str:
    return one.name.partition("/")[2]


def _languages(codes: Sequence[str]) -> str:
    return " ".join(codes) if len(codes) <= MAX_CODES else str(len(codes))
