"""A pile of unlabelled texts beside a few labels: what it adds to nlptl's automatic choice, and what it costs.

    python benchmarks/pile.py DIR [--parts …] [--sets …] [--splits N]
    python benchmarks/pile.py DIR --publish           nothing is run: all kept runs into benchmarks/results

DIR holds the ten sets of fewshot.py and amazon_mdsd (books, dvd, electronics, kitchen), whose test is 500 distinct rows
at random. Tests, splits, label names and processes are fewshot.py's; all arms begin from MiniLM.

auto          nlptl without the pile: bert, classification_head and finetune with update method auto
auto+pile     the same with the pile
auto+skewed   the same with a pile of which nine tenths have one label
auto+open     the update self_training with `gate: always`, where auto+pile leaves the pile

baselines     logistic regression on frozen vectors and on words (lr and tfidf of fewshot.py) for amazon_mdsd
imdb          20 labels, ten splits; the pile is 1,000 texts of the set's unlabelled file. A collapse: one label for
              over nine tenths of the test, or an accuracy of at most .55
sets          8 labels a class, five splits; the pile is the training texts without labels, at most 3,000 posts or
              1,000 reviews of imdb, the shots left out
skew          the same on sets of two labels with at most 2,000 texts (imdb: 1,000), the frequent label by turns
gate          auto+open on the runs of the part sets whose gate is closed; run it after them
seconds       auto without and with the pile: 10,000 posts (sentiment) and 75,000 reviews (imdb), one split, in turn. The
              time in which texts are encoded is measured apart

Runs of auto on the same splits that fewshot.py keeps are taken up. SetFit's scores, and those of lr and tfidf on the
ten sets, are those that fewshot.py published.
A run harms or helps where its score on the test moves by more than 2 points, which chance does too: a standard error of
the difference is 1 to 2 points. --dev, --update, --disturbed, --forget and --resume are as in fewshot.py. Every run is
kept (runs/benchmarks/pile.jsonl), so that an interrupted one goes on. Writes benchmarks/results/pile.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
import results
from fewshot_arms import AUTO, AUTO_OPEN, AUTO_PILE, AUTO_SKEWED, LR, SETFIT, TFIDF
from fewshot_options import Prepared, parsed, parser_of, prepared, suffix, take_up
from fewshot_runs import Key, as_numbers, measure, published, scored, summarise
from fewshot_sets import AMAZON, DEV_SEEDS, EVERY, SEEDS
from pile_bars import OWN_FILE_SET, SHOTS, bars_of, takes_pile
from pile_sets import OWN_FILE_SHOTS, REVIEWS, TEXTS, TIMED_TEXTS, pile_for

SPLITS = {"baselines": 5, "imdb": 10, "sets": 5, "skew": 5, "gate": 5, "seconds": 1}
"""Of each part."""
CAPPED = (
    f"Piles hold at most {TEXTS:,} posts or {REVIEWS['imdb']:,} reviews of imdb, and all of amazon_mdsd: to encode more takes "
    "longer than the measuring machine, which was shared, allowed."
)
TWO_LABELS = ("offensive", "hahackathon", "cr", "imdb", *AMAZON)


def main(argv: Sequence[str]) -> Path | None:
    options = read_options(argv)
    ready = prepared("pile", options)
    if options.publish:
        return publish(ready, options)
    arms.begin("about an hour a split on two quiet cores, most of it encoding")
    found = []
    for part in options.parts:
        keys = plan(part, options, ready.kept)
        take_up(keys, ready, "fewshot")
        found += measure(keys, ready.kept, ready.made, options, ready.settings, pile_for)
    summarise([row for row in found if not row["timing"]])
    return None


def read_options(argv: Sequence[str]) -> Any:
    parser = parser_of(
        __doc__,
        parts={"nargs": "+", "choices": list(SPLITS), "default": list(SPLITS)},
        sets={"nargs": "+", "choices": list(EVERY), "default": list(EVERY)},
        splits={"type": int, "help": "the first N splits of each part"},
    )
    return parsed(parser, argv)


def plan(part: str, options: Any, kept: arms.Kept) -> list[Key]:
    """Return the runs of a part in order: all sets of a split before the next split; arms in turn from either end."""
    seeds = (DEV_SEEDS if options.dev else SEEDS)[: options.splits or SPLITS[part]]
    timing, end = part == "seconds", suffix(options)
    sets, shots, both = {
        "baselines": (AMAZON, SHOTS, (LR, TFIDF)),
        "imdb": ([OWN_FILE_SET], OWN_FILE_SHOTS, (AUTO, AUTO_PILE)),
        "sets": (EVERY, SHOTS, (AUTO, AUTO_PILE)),
        "skew": (TWO_LABELS, SHOTS, (AUTO, AUTO_SKEWED)),
        "gate": (EVERY, SHOTS, (AUTO_OPEN,)),
        "seconds": (TIMED_TEXTS, SHOTS, (AUTO, AUTO_PILE)),
    }[part]
    keys = [
        Key(name, shots, seed, arm + end * arm.startswith(AUTO), timing)
        for split, seed in enumerate(seeds)
        for number, name in enumerate(name for name in sets if name in options.sets)
        for arm in both[:: 1 if (split + number) % 2 == 0 else -1]
    ]
    return [key for key in keys if part != "gate" or leaves_pile(key, kept, end)]


def leaves_pile(key: Key, kept: arms.Kept, end: str) -> bool:
    """Say whether auto left the pile of a run that is kept."""
    row = kept.find(*Key(key.set, key.shots, key.seed, AUTO_PILE + end).parts())
    return row is not None and not takes_pile(row)


def publish(ready: Prepared, options: Any) -> Path:
    rows = scored(ready.kept, "pile")
    name = arms.result_name("pile", ready.device)
    peers = peer_runs(arms.result_name("fewshot", ready.device), ready)
    return arms.publish(
        name,
        tiny=options.tiny,
        command="python benchmarks/pile.py DIR",
        seeds=sorted({row["seed"] for row in rows}),
        rows=published(rows, ready.about),
        bars=bars_of(rows, peers, ready.made),
        notes=[CAPPED, *not_measured(rows)],
    )


def not_measured(rows: Sequence[arms.Row]) -> list[str]:
    """Return a sentence that names the parts without runs, if there are any."""
    ran = {"seconds" if row["timing"] else row["arm"] for row in rows}
    missing = [
        part for part, what in (("skew", AUTO_SKEWED), ("gate", AUTO_OPEN), ("seconds", "seconds")) if what not in ran
    ]
    return [f"Not measured: the part{'s' * (len(missing) > 1)} {', '.join(missing)}."] if missing else []


def peer_runs(name: str, ready: Prepared) -> list[arms.Row]:
    """Return the peers' published runs on the splits of the part sets, where the test is the same."""
    path = results.RESULTS / f"{name}.json"
    found = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    return [
        {**row, "predicted": as_numbers(row["predicted"])}
        for row in found
        if row["arm"] in (LR, TFIDF, SETFIT)
        and (row["shots"], row["timing"]) == (SHOTS, False)
        and row["seed"] < SPLITS["sets"]
        and row["test"] == len(ready.made(row["set"]).test)
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
