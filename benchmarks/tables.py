"""Write the tables and the picture of README.md and docs/benchmarks.md from benchmarks/results.

    python benchmarks/tables.py [--check]

A table stands between <!-- table: NAME --> and <!-- end -->, a figure between <!-- figure: FILE / BAR --> and <!-- end -->; after
FILE, "* 100" makes points of a share. With --check nothing is written and a difference is an error.
"""

from __future__ import annotations

import functools
import json
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import audit_bars
import curve_bars
import fewshot_tables
import front_page
import pile_tables
import start_bars

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
PAGES = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "ideas.md")
FIGURE = re.compile(r"(<!-- figure: (\S+)( \* 100)? / (.*?) -->).*?(<!-- end -->)")
PICTURE = ROOT / "docs" / "few-labels.svg"


def main(check: bool) -> int:
    pages = {path: filled(path.read_text(encoding="utf-8")) for path in PAGES}
    pages[PICTURE] = front_page.picture(result("fewshot")["bars"])
    differing = [path for path, text in pages.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in differing:
        if check:
            name = path.relative_to(ROOT)
            print(f"{name}: it differs from benchmarks/results. Run make tables.", file=sys.stderr)
        else:
            path.write_text(pages[path], encoding="utf-8")
    return int(check and bool(differing))


def filled(page: str) -> str:
    """Return a page with its tables and figures made again."""
    page = FIGURE.sub(lambda match: match[1] + figure(match[2], match[4], in_points=bool(match[3])) + match[5], page)
    return re.sub(
        r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)",
        lambda match: match[1] + TABLES[match[2]]() + match[3],
        page,
        flags=re.DOTALL,
    )


def figure(name: str, bar: str, *, in_points: bool) -> str:
    """Return value and interval of a difference, and whether it is shown: its interval leaves 0 out."""
    found = next((one for one in result(name)["bars"] if one["name"] == bar), None)
    if found is None:
        return "not measured yet"
    told = found.get("range") or str(found["value"])
    numbers = [float(number) for number in re.findall(r"[-+]?[\d.]*\d", told)] if isinstance(told, str) else told
    if len(numbers) != 3 or not isinstance(told, str):
        return f"{found['value']}" + (f" [{numbers[0]}, {numbers[-1]}]" if len(numbers) > 1 else "")
    value, low, high = (100 * number if in_points else number for number in numbers)
    digits = 1 if in_points else len(told.split()[0].partition(".")[2])
    shown = "" if low > 0 or high < 0 else ": not shown"
    return f"{value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]{shown}"


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
    gpu = next((f", {row['device']}" for row in found["rows"] if row.get("device", "cpu") != "cpu"), "")
    return (
        f"\n{found['date']}, {machine['cores']} cores {machine['cpu']}, {machine['memory_gib']} GiB{gpu}; {versions}.\n"
    )


def summary() -> str:
    return markdown(*front_page.summary(lambda name: result(name)["bars"]))


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


def quickstart(name: str = "quickstart") -> str:
    """Return the quickstart's arms on its test, a row each; the first is what the others are set against."""
    bars = result(name)["bars"]
    first, *_ = bars[0]["arms"].items()
    rows = [[first[0], first[1], "", ""]]
    for bar in bars:
        arm = bar["name"].split("difference in accuracy, ")[1]
        rows.append([arm, bar["arms"][arm], bar["range"], "/".join(map(str, bar["better_equal_worse"]))])
    header = [f"arm, on {bars[0]['texts']} texts", "accuracy", "difference", "seeds better/equal/worse"]
    return markdown(header, rows) + made_on(name)


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
        [
            bar["name"],
            f"{bar['value']:.3g}",
            f"at most {bar['at_most']}" if "at_most" in bar else f"at least {bar['at_least']}",
        ]
        for name in ("memory", "startup")
        for bar in result(name)["bars"]
        if "at_most" in bar or "at_least" in bar
    ]
    return markdown(["what", "measured", "target"], rows) + made_on("memory")


def encode(name: str = "encode") -> str:
    found = result(name)
    runs = grouped(found["rows"], "set", "precision", "arm")
    lines = []
    for speed, cosine in zip(found["bars"][::2], found["bars"][1::2], strict=True):
        data_set, precision = speed["name"].split(":")[0].split(", ")
        ours, peer = (runs[data_set, precision, arm] for arm in ("nlptl", speed["name"].split(" of ")[-1]))
        lines.append([
            data_set, precision, f"{middle(ours, 'tokens_per_second'):,.0f}", f"{middle(peer, 'tokens_per_second'):,.0f}",
            ratio(speed), f"{cosine['value']:.6f}", f"{middle(ours, 'load_seconds'):.1f} / {middle(peer, 'load_seconds'):.1f}",
            f"{most(ours):,.0f} / {most(peer):,.0f}",
        ])  # fmt: skip
    peer = found["bars"][0]["name"].split(" of ")[-1]
    header = ["set", "precision", "nlptl, tokens/s", f"{peer}, tokens/s", "ratio (range)", "lowest cosine",
              "seconds to load", "peak MiB"]  # fmt: skip
    return markdown(header, lines) + made_on(name)


def finetune_speed(name: str = "finetune-speed") -> str:
    found = result(name)
    runs = grouped(found["rows"], "set", "update", "arm")
    lines = []
    for bar in found["bars"]:
        data_set, update, epochs = bar["name"].split(":")[0].split(", ")
        peer_name = bar["name"].removesuffix(" over ours").split(" wall of ")[-1]
        ours, peer = (runs[data_set, update, arm] for arm in ("nlptl", peer_name))
        lines.append([
            data_set, update, peer_name, epochs.removesuffix(" epochs"), f"{middle(ours, 'seconds'):.1f}",
            f"{middle(peer, 'seconds'):.1f}", ratio(bar), bar.get("at_least", ""),
            f"{middle(ours, 'tokens_per_second'):,.0f} / {middle(peer, 'tokens_per_second'):,.0f}",
            f"{most(ours):,.0f} / {most(peer):,.0f}",
        ])  # fmt: skip
    header = [
        "set",
        "update",
        "peer",
        "epochs",
        "nlptl, s",
        "peer, s",
        "ratio (range)",
        "target",
        "tokens/s",
        "peak MiB",
    ]
    return markdown(header, lines) + made_on(name)


def finetune_scores(name: str = "finetune-scores") -> str:
    bars = result(name)["bars"]
    lines = [
        [score["name"].split(":")[0].split(", ")[-1], score["ours"], score["peer"], score["range"], ratio(wall)]
        for score, wall in zip(bars[::2], bars[1::2], strict=True)
    ]
    header = ["update", "nlptl, macro-F1", "Trainer, macro-F1", "difference", "wall of Trainer over ours (range)"]
    return markdown(header, lines) + made_on(name)


def imdb_continue(name: str = "imdb-continue") -> str:
    lines = [
        [bar["peer"], bar["ours"], bar["range"], "/".join(map(str, bar["better_equal_worse"]))]
        for bar in result(name)["bars"]
    ]
    return markdown(["as it came", "continued", "difference", "splits better/equal/worse"], lines) + made_on(name)


def adapt_domain(name: str = "adapt-domain") -> str:
    bars = result(name)["bars"]
    lines = [
        [bar["name"].split(":")[0], bar.get("told_apart", ""), bar["peer"], bar["ours"], bar["range"],
         f"{bar['adapted']} of {bar['splits']}" if "adapted" in bar else "", bar.get("coral", "")]
        for bar in [bars[0], *(bar for bar in bars if "adapted" in bar)]
    ]  # fmt: skip
    lines[0][-1] = next(bar["range"] for bar in bars if bar["name"].endswith("coral less none"))
    header = ["pair", "told apart", "source only", "auto", "difference", "splits adapted", "CORAL always: difference"]
    few = [bar for bar in bars if bar["name"].split(": ")[-1].split(" ")[0] in ("continue", "adversarial", "adapters")]
    more = [[bar["name"].split(": ")[-1].split(" ")[0], bar["peer"], bar["ours"], bar["range"]] for bar in few]
    methods = "\n" + markdown(["method", "source only", "adapted", "difference"], more) if more else ""
    return markdown(header, lines) + methods + made_on(name)


def word2vec() -> str:
    lines = [line for part in ("speed", "short") for line in word2vec_speeds(f"word2vec-{part}")]
    header = ["texts", "dim", "epochs", "nlptl, kept words/s", "gensim, kept words/s", "ratio (range)",
              "end-to-end, s", "ratio (range)", "trained pairs/s", "CPU seconds", "peak MiB", "compiling, s"]  # fmt: skip
    return markdown(header, lines) + made_on("word2vec-speed")


def word2vec_speeds(name: str) -> list[list[object]]:
    found = result(name)
    measured = [row for row in found["rows"] if row["part"] != "calibration"]
    runs = grouped(measured, "texts", "dim", "epochs")
    lines: list[list[object]] = []
    for (_, dim, epochs), rows in sorted(runs.items(), key=lambda item: item[0][1]):
        training, wall = found["bars"][2 * len(lines) : 2 * len(lines) + 2]
        ours, peer = ([row for row in rows if (row["arm"] == "nlptl") == is_ours] for is_ours in (True, False))

        def both(key: str, digits: int = 0, *, ours: Any = ours, peer: Any = peer) -> str:
            return f"{middle(ours, key):,.{digits}f} / {middle(peer, key):,.{digits}f}"

        lines.append([
            training["name"].split(", dim")[0], dim, epochs, f"{middle(ours, 'kept_words_per_second'):,.0f}",
            f"{middle(peer, 'kept_words_per_second'):,.0f} ({peer[0]['arm'].removeprefix('gensim ')})", ratio(training),
            both("seconds", 1), ratio(wall), both("pairs_per_second"), both("cpu_seconds"),
            f"{most(ours):,.0f} / {most(peer):,.0f}", f"{max(row['compile_seconds'] for row in ours):.1f}",
        ])  # fmt: skip
    return lines


def word2vec_quality(name: str = "word2vec-quality") -> str:
    lines = [
        [bar["name"].removesuffix(": farther end of the difference"), bar["ours"], bar["peer"],
         f"{bar['range'][0]} to {bar['range'][1]}", bar.get("at_most", ""), asked_of(bar)]
        for bar in result(name)["bars"] if "ours" in bar
    ]  # fmt: skip
    header = ["score", "nlptl", "gensim", "difference (90 %)", "margin", "over"]
    return markdown(header, lines) + made_on(name)


def asked_of(bar: dict[str, Any]) -> str:
    """Return what a score was taken over."""
    if "pairs" in bar:
        return f"{bar['pairs']:,} of {bar['of']:,} pairs"
    if "asked" in bar:
        return f"{bar['asked']:,} questions"
    return f"{bar['unseen']} % of the test's words unseen" if "unseen" in bar else ""


def word2vec_growth() -> str:
    lines = [
        [bar["name"].split(":")[0], f"{bar['ours']:,.0f}", f"{bar['peer']:,.0f}", ratio(bar)]
        for bar in result("word2vec-growth")["bars"]
    ]
    return markdown(["", "nlptl, kept words/s", "gensim, kept words/s", "ratio (range)"], lines) + made_on(
        "word2vec-growth"
    )


def word2vec_subwords() -> str:
    speeds = [bar for bar in result("word2vec-subwords")["bars"] if "ours" not in bar]
    lines = [[bar["name"].split(": ")[-1], ratio(bar), bar.get("at_least", "")] for bar in speeds]
    return markdown(["n-grams", "ratio (range)", "target"], lines) + "\n" + word2vec_quality("word2vec-subwords")


def word2vec_deterministic() -> str:
    bars = result("word2vec-deterministic")["bars"]
    lines = [[bar["name"], bar["value"], bar.get("at_most", "")] for bar in bars]
    return markdown(["what", "measured", "at most"], lines) + made_on("word2vec-deterministic")


def corpus_encoding() -> str:
    bars = [bar for bar in result("corpus-encoding")["bars"] if "at_most" in bar]
    lines = [[bar["name"], ratio(bar), f"at most {bar['at_most']}"] for bar in bars]
    return markdown(["what", "measured (range)", "target"], lines) + made_on("corpus-encoding")


def fewshot(name: str = "fewshot") -> str:
    found = result(name)
    header, lines, told = fewshot_tables.scores(found["bars"])
    return markdown(header, lines) + f"\n{' '.join([told, *found.get('notes', [])])}\n" + made_on(name)


def fewshot_bars(name: str = "fewshot") -> str:
    header, lines, notes = fewshot_tables.promises(result(name)["bars"])
    return markdown(header, lines) + (f"\n{notes}\n" if notes else "") + made_on(name)


def pile(name: str = "pile") -> str:
    found = result(name)
    header, lines, told = pile_tables.scores(found["bars"])
    return markdown(header, lines) + f"\n{' '.join([told, *found['notes']])}\n" + made_on(name)


def pile_bars(name: str = "pile") -> str:
    header, lines, notes = fewshot_tables.promises(result(name)["bars"])
    return markdown(header, lines) + (f"\n{notes}\n" if notes else "") + made_on(name)


def grouped(rows: Sequence[dict[str, Any]], *keys: str) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def middle(rows: Sequence[dict[str, Any]], name: str) -> float:
    return statistics.median(row.get(name, 0) for row in rows)


def most(rows: Sequence[dict[str, Any]]) -> float:
    return max(row.get("peak_memory_mib", 0) for row in rows)


def ratio(bar: dict[str, Any]) -> str:
    return f"{bar['value']:.2f} ({bar['range'][0]:.2f} to {bar['range'][1]:.2f})"


def long_texts() -> str:
    header = ["set", "sentences a text", "labels each", "read whole", "sentence by sentence", "difference"]
    found = result("long-texts")
    usual = {row["set"]: row["sentences"] for row in found["rows"]}
    lines = [
        [bar["set"], f"{usual[bar['set']]:g}", bar["shots"], bar["whole"], bar["by_sentence"], bar["range"]]
        for bar in found["bars"]
    ]
    return markdown(header, lines) + made_on("long-texts")


def curve() -> str:
    found = result("curve")
    return markdown(*curve_bars.table(found["rows"])) + made_on("curve")


def start() -> str:
    found = result("start")
    return markdown(*start_bars.table(found["rows"])) + made_on("start")


def audit() -> str:
    found = result("audit")
    return markdown(*audit_bars.table(found["rows"])) + made_on("audit")


def promises(name: str) -> str:
    """Return the bars of a result as a table, those without a target too."""
    rows = [[bar["name"], _short(bar["value"]), fewshot_tables.promise(bar)] for bar in result(name)["bars"]]
    return markdown(["measured", "value", "target"], rows) + made_on(name)


def distil() -> str:
    """Return what each student keeps of its teacher's accuracy, and the promises of speed."""
    rows = result("distil")["rows"]
    reports = {(row["set"], arm): one for row in rows for arm, one in _student_reports(row)}
    lines = []
    for row in rows:
        if "summary" in row:
            name, arm, told = row["summary"].split(": ")
            accuracy, difference, share = re.split(r", (?![^\[(]*[\])])", told)
            whose, taught = ("teacher", STUDENT) if arm.endswith("(teacher)") else ("student", arm)
            report = reports.get((name, taught), {"texts_per_second": {}, "megabytes": {}})
            speed, size = (report[of].get(whose) for of in ("texts_per_second", "megabytes"))
            lines.append([
                name, arm, accuracy, "" if whose == "teacher" else difference.removesuffix(" beside the teacher"),
                share.removesuffix(" of it"), "" if speed is None else f"{speed:,.0f}", "" if size is None else f"{size:.1f}",
            ])  # fmt: skip
    header = ["set", "classifier", "accuracy", "less the teacher's", "of it", "texts a second", "MB"]
    return markdown(header, lines) + "\n" + promises("distil")


def _student_reports(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return what the stage reported of each student of a split."""
    return [(arm, one["report"]) for arm, one in row.get("arms", {}).items() if "report" in one]


def japanese() -> str:
    """Return how much better nlptl's word vectors are than each peer, in accuracy."""
    bars = result("japanese")["bars"]
    ends = ": upper end of the accuracy of nlptl minus that of "
    rows = [[*bar["name"].split(ends), bar["range"], fewshot_tables.promise(bar)] for bar in bars]
    return markdown(["set", "nlptl less", "accuracy", "upper end"], rows) + made_on("japanese")


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


STUDENT = "word vectors, distilled"  # whose report tells of the teacher, too

TABLES = {
    "abstain": functools.partial(promises, "abstain"),
    "audit": audit,
    "audit-bars": functools.partial(promises, "audit"),
    "monitor": functools.partial(promises, "monitor"),
    "export": functools.partial(promises, "export"),
    "japanese": japanese,
    "serve": functools.partial(promises, "serve"),
    "curve-bars": functools.partial(promises, "curve"),
    "distil": distil,
    "summary": summary,
    "long-texts": long_texts,
    "corpus-encoding": corpus_encoding,
    "curve": curve,
    "start": start,
    "static": static,
    "reviews": reviews,
    "quickstart": quickstart,
    "two-commands": two_commands,
    "bounds": bounds,
    "encode": encode,
    "encode-cuda": functools.partial(encode, "encode-cuda"),
    "finetune-speed": finetune_speed,
    "finetune-speed-cuda": functools.partial(finetune_speed, "finetune-speed-cuda"),
    "finetune-scores": finetune_scores,
    "finetune-scores-cuda": functools.partial(finetune_scores, "finetune-scores-cuda"),
    "fewshot": fewshot,
    "fewshot-bars": fewshot_bars,
    "pile": pile,
    "pile-bars": pile_bars,
    "imdb-continue": imdb_continue,
    "imdb-continue-cuda": functools.partial(imdb_continue, "imdb-continue-cuda"),
    "adapt-domain": adapt_domain,
    "word2vec": word2vec,
    "word2vec-quality": word2vec_quality,
    "word2vec-growth": word2vec_growth,
    "word2vec-subwords": word2vec_subwords,
    "word2vec-deterministic": word2vec_deterministic,
}

if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
