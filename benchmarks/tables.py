"""Write the README's tables from benchmarks/results.

    python benchmarks/tables.py [--check]

A table stands between <!-- table: NAME --> and <!-- end -->; with --check nothing is written and a difference is an error.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"


def main(check: bool) -> int:
    readme = ROOT / "README.md"
    old = readme.read_text(encoding="utf-8")
    new = re.sub(
        r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + TABLES[match[2]]() + match[3],
        old,
        flags=re.DOTALL,
    )
    if check:
        if old != new:
            print("README.md: its tables differ from benchmarks/results. Run make tables.", file=sys.stderr)
        return int(old != new)
    readme.write_text(new, encoding="utf-8")
    return 0


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def made_on(name: str) -> str:
    found = result(name)
    machine = found["machine"]
    versions = ", ".join(f"{key} {value}" for key, value in found["versions"].items() if key != "python")
    return f"\n{found['date']}, {machine['cores']} cores {machine['cpu']}, {machine['memory_gib']} GiB; {versions}.\n"


def static() -> str:
    rows = [
        [*bar["name"].split(":")[0].split(", "), bar["ours"], bar["peer"], bar["range"]]
        for name in ("static-emotion", "static-hahackathon", "static-imdb")
        for bar in result(name)["bars"]
    ]
    header = ["set", "labels (a label)", "nlptl", "gensim + LogisticRegression", "difference"]
    return markdown(header, rows) + made_on("static-imdb")


def reviews() -> str:
    bars = result("reviews")["bars"]
    arms = list(bars[0]["arms"])
    rows = [
        [
            bar["name"].split(":")[0],
            *(bar["arms"][arm] for arm in arms),
            bar["range"],
            "/".join(map(str, bar["better_equal_worse"])),
        ]
        for bar in bars
    ]
    return markdown(["test", *arms, "difference", "seeds better/equal/worse"], rows) + made_on("reviews")


def two_commands() -> str:
    seconds = {(row["command"], row["state"]): row["seconds"] for row in result("two-commands")["rows"]}
    rows = [
        [
            f"`{command}`",
            *(f"{seconds[command, s]:.0f} s" if (command, s) in seconds else "" for s in ("cold", "warm", "again")),
        ]
        for command in ("make quickstart", "make test")
    ]
    header = ["", "cold (nothing installed, empty pip cache)", "warm (installed)", "once more"]
    return markdown(header, rows) + made_on("two-commands")


def bounds() -> str:
    rows = [
        [bar["name"], bar["value"], f"at most {bar['at_most']}" if "at_most" in bar else f"at least {bar['at_least']}"]
        for name in ("memory", "startup")
        for bar in result(name)["bars"]
        if "at_most" in bar or "at_least" in bar
    ]
    return markdown(["what", "measured", "bar"], rows) + made_on("memory")


TABLES = {"static": static, "reviews": reviews, "two-commands": two_commands, "bounds": bounds}

if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
