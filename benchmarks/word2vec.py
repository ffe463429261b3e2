"""Word vectors by nlptl's engine on the CPU against gensim 4.4, trained on the same words with the same settings.

    python benchmarks/word2vec.py DIR [--parts speed quality short growth subwords deterministic] [--repeats 5]

DIR holds enwiki2015/text8style.txt.gz, tweeteval/sentiment, tweeteval/emotion, imdb, cr and wordsim. Every training has
a process of its own with two threads; arms take turns; each repeat is another seed; imports and compiling are told
apart. window 5, negatives 5, sample 1e-3, min_count 5. gensim reads lists of words or a file, whichever takes less time
on a first slice of the set. An interrupted benchmark goes on where it stopped. Each part writes its own result,
benchmarks/results/word2vec-PART.json, as soon as it is complete:

speed          enwiki2015 (16.9 million words, lines of 1,000), dim 100 for three epochs, dim 300 for one; five repeats
quality        the vectors of dim 100 of the same runs, judged before their process ends: word pairs, analogies,
               and logistic regressions on mean vectors; asked for later it takes speed's runs, which are kept until then
short          posts and sentences of reviews, 4 million words, dim 100, one epoch; five repeats
growth         kept words/s by corpus, vocabulary and width; draws word2vec-growth.svg where matplotlib is installed
subwords       n-grams of 3 to 6 characters against gensim's FastText, 1.1 million words, three epochs; three repeats
deterministic  deterministic=True twice: the same bits, and what that costs in speed
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import arms
import word2vec_arms
import word2vec_growth
import word2vec_quality as quality
from word2vec_arms import Job
from word2vec_runs import TINY, Runs, Sizes, of_arm, speed_bars
from word2vec_texts import Files

TIMES = 5.0  # gensim's speed that is promised
SUBWORD_TIMES = 3.0
SAME_BITS = "different vectors in two deterministic runs"
MINUTES = {"speed": 26, "quality": 18, "short": 4, "growth": 8, "subwords": 4, "deterministic": 1}
"""Estimates on two cores where gensim trains 300,000 kept words a second at dim 100."""


def main(argv: Sequence[str]) -> list[Path]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds the data sets")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS), help="all, unless named")
    parser.add_argument("--repeats", type=int, help="seeds of speed, quality and short: 5; more narrow the intervals")
    parser.add_argument("--tiny", action="store_true", help="try the script out: few words, result in runs/")
    options = parser.parse_args(argv)
    word2vec_arms.keep_kernels()
    parts = [part for part in PARTS if part in options.parts]
    sizes = TINY if options.tiny else Sizes()
    sizes = replace(sizes, repeats=options.repeats or sizes.repeats)
    minutes = {**MINUTES, "quality": 0 if "speed" in parts else MINUTES["quality"]}
    minutes |= {part: round(minutes[part] * sizes.repeats / Sizes.repeats) for part in ("speed", "quality", "short")}
    arms.begin(f"about {sum(minutes[part] for part in parts)} minutes on two quiet cores")
    files = Files(options.folder, arms.SCRATCH / "word2vec")
    judge = quality.Judge(options.folder)
    written = []
    for part in parts:
        print(f"{part}: about {minutes[part]} minutes", flush=True)
        trained_once = "enwiki" if part in ("speed", "quality") else part
        runs = Runs(trained_once, files=files, sizes=sizes, tiny=options.tiny)
        bars = PARTS[part](runs, judge)
        written.append(publish(part, runs, bars))
        if part != "speed":  # its runs are judged in the quality part
            runs.forget()
    files.remove()
    if any(bar["value"] > 1 for bar in bars if bar["name"] == SAME_BITS):
        raise SystemExit(f"{SAME_BITS}: more than one; deterministic=True must give the same bits")
    return written


def publish(part: str, runs: Runs, bars: list[arms.Row]) -> Path:
    return arms.publish(
        f"word2vec-{part}",
        tiny=runs.tiny,
        command=f"python benchmarks/word2vec.py DIR --parts {part}",
        seeds=sorted({row["seed"] for row in runs.rows}),
        rows=runs.rows,
        bars=bars,
    )


def speed(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    train_and_judge(runs, judge)
    narrow, wide = runs.sizes.dims
    job = Job("nlptl", runs.files.enwiki(), wide, epochs=1, seed=0)
    runs.pair(job, gensim_on_enwiki(runs), runs.sizes.repeats, part="speed")
    names = {narrow: f"dim {narrow}, {runs.sizes.epochs} epochs", wide: f"dim {wide}, 1 epoch"}
    return [
        bar
        for dim, name in names.items()
        for bar in speed_bars(f"enwiki2015, {name}", runs.rows, at_least=TIMES, dim=dim)
    ]


def train_and_judge(runs: Runs, judge: quality.Judge) -> None:
    """Train the narrow vectors, whose scores are taken before their process ends."""
    job = Job("nlptl", runs.files.enwiki(), runs.sizes.dims[0], runs.sizes.epochs, seed=0, judge=judge)
    runs.pair(job, gensim_on_enwiki(runs), runs.sizes.repeats, part="speed")


def gensim_on_enwiki(runs: Runs) -> str:
    known = {row["arm"] for row in runs.rows if row["part"] == "speed"} - {"nlptl"}
    return known.pop() if known else runs.faster_gensim(runs.files.enwiki(runs.sizes.slice))


def compare(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    train_and_judge(runs, judge)
    return [score_bar(name, runs.rows) for name in (*quality.PAIRS, "analogies", *quality.PROBES)]


def score_bar(name: str, rows: Sequence[arms.Row]) -> arms.Row:
    """Return a bar of both arms' scores over the seeds, with what they are scores of."""
    ours, peer = ([row["scores"] for row in of_arm(rows, arm)] for arm in ("nlptl", "gensim"))
    about = {key.split(": ")[1]: value for key, value in ours[0].items() if key.startswith(f"{name}: ")}
    return quality.comparison(name, [row[name] for row in ours], [row[name] for row in peer], **about)


def short(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    del judge  # too few words for vectors that are worth judging
    sizes = runs.sizes
    mode = runs.faster_gensim(runs.files.short(sizes.slice))
    job = Job("nlptl", runs.files.short(sizes.short), sizes.dims[0], epochs=1, seed=0)
    runs.pair(job, mode, sizes.repeats, part="short")
    return speed_bars(f"posts and sentences of reviews, dim {job.dim}, 1 epoch", runs.rows, at_least=TIMES)


def growth(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    del judge
    return word2vec_growth.measure(runs, gensim_on_enwiki(runs))


def subwords(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    sizes = runs.sizes
    asked = replace(judge, pairs=("RareWords",), analogies=False, probes=("emotion",))
    file = runs.files.enwiki(sizes.slice)
    job = Job("nlptl", file, sizes.dims[0], sizes.epochs, seed=0, buckets=sizes.buckets, judge=asked)
    runs.pair(job, runs.faster_gensim(file), sizes.few, part="subwords")
    training, wall = speed_bars("n-grams: enwiki2015's first words", runs.rows, at_least=SUBWORD_TIMES)
    del wall["at_least"]  # told, not promised: 2 million vectors are drawn at random before the first word
    names = ("RareWords", "RareWords, unseen words too", "emotion", "emotion, unseen words too")
    scores = [score_bar(name, runs.rows) for name in names]
    for bar in scores:
        bar.pop("at_most", None)  # the margins are for five seeds of longer training
    return [training, wall, *scores]


def deterministic(runs: Runs, judge: quality.Judge) -> list[arms.Row]:
    del judge
    file = runs.files.enwiki(runs.sizes.middle)
    fast = Job("nlptl", file, runs.sizes.dims[0], epochs=1, seed=1)
    for repeat in range(2):
        runs.run(fast, repeat, part="two threads")
        runs.run(replace(fast, deterministic=True), repeat, part="deterministic")
    rows = [[row for row in runs.rows if row["part"] == part] for part in ("deterministic", "two threads")]
    ratios = [a["kept_words_per_second"] / b["kept_words_per_second"] for a, b in zip(*rows, strict=True)]
    return [
        {"name": SAME_BITS, "value": len({row["digest"] for row in rows[0]}),
         "at_most": 1},
        {"name": "kept words/s of a deterministic run over those of two threads", **arms.told(ratios)},
    ]  # fmt: skip


PARTS: dict[str, Callable[[Runs, quality.Judge], list[arms.Row]]] = {
    "speed": speed,
    "quality": compare,
    "short": short,
    "growth": growth,
    "subwords": subwords,
    "deterministic": deterministic,
}

if __name__ == "__main__":
    main(sys.argv[1:])
