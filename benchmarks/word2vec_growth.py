"""How the speed of training word vectors grows and falls with corpus, vocabulary and width; and its plot.

    python benchmarks/word2vec_growth.py

draws benchmarks/results/word2vec-growth.svg again from the result beside it.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import arms
import results
from word2vec_arms import Job
from word2vec_runs import Runs, middle, of_arm

NAME = "word2vec-growth"
AXES = {"words": "words of the corpus", "vocabulary": "words of the vocabulary", "dim": "numbers a vector"}


def measure(runs: Runs, gensim: str) -> list[arms.Row]:
    """Vary one setting at a time around 4 million words, min_count 5, dim 100; gensim once, nlptl three times."""
    sizes = runs.sizes
    whole, centre = runs.files.enwiki(), runs.files.enwiki(sizes.middle)
    first = Job("nlptl", centre, sizes.dims[0], epochs=1, seed=1, min_count=sizes.min_counts[0])
    files = [runs.files.enwiki(sizes.slice), centre, whole]
    axes = {
        "words": [replace(first, file=file) for file in files],
        "vocabulary": [replace(first, min_count=count) for count in sizes.min_counts],
        "dim": [replace(first, dim=dim) for dim in sizes.growth],
    }
    for axis, jobs in axes.items():
        for point, job in enumerate(jobs):
            for repeat in range(sizes.few):
                runs.run(replace(job, seed=repeat + 1), repeat, part=axis, point=point)
            runs.run(replace(job, arm=gensim), 0, part=axis, point=point)
    draw(runs.rows, (arms.SCRATCH if runs.tiny else results.RESULTS) / f"{NAME}.svg")
    return [ratio(axis, *point) for axis in axes for point in points(runs.rows, axis)]


def points(rows: Sequence[arms.Row], axis: str) -> list[tuple[list[arms.Row], arms.Row]]:
    """Return nlptl's rows and gensim's at each place of an axis."""
    places = sorted({row["point"] for row in rows if row["part"] == axis})
    ours, peer = ([of_arm(rows, arm, part=axis, point=place) for place in places] for arm in ("nlptl", "gensim"))
    return [(several, one[0]) for several, one in zip(ours, peer, strict=True)]


def ratio(axis: str, ours: list[arms.Row], peer: arms.Row) -> arms.Row:
    speeds = [row["kept_words_per_second"] / peer["kept_words_per_second"] for row in ours]
    return {
        "name": f"{peer[axis]:,} {AXES[axis]}: kept words/s over those of {peer['arm']}", **arms.told(speeds),
        "ours": middle(ours, "kept_words_per_second"), "peer": peer["kept_words_per_second"],
    }  # fmt: skip


def draw(rows: Sequence[arms.Row], path: Path) -> None:
    """Draw kept words/s by each setting, both arms, as SVG."""
    if importlib.util.find_spec("matplotlib") is None:
        print(
            f"no plot: pip install matplotlib, then python benchmarks/word2vec_growth.py draws {path.name}", flush=True
        )
        return
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": NAME, "svg.fonttype": "none", "font.size": 8}
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(AXES), figsize=(9, 2.6), sharey=True, layout="constrained")
    for panel, (axis, label) in zip(panels, AXES.items(), strict=True):
        found = points(rows, axis)
        at = [peer[axis] for _, peer in found]
        ours = [middle(several, "kept_words_per_second") / 1_000 for several, _ in found]
        panel.plot(at, ours, "o-", markersize=3, color="#0b6e99", label="nlptl")
        theirs = [peer["kept_words_per_second"] / 1_000 for _, peer in found]
        panel.plot(at, theirs, "s-", markersize=3, color="#c2571a", label=found[0][1]["arm"])
        panel.set(xlabel=label, xscale="linear" if axis == "dim" else "log")
        panel.set_ylim(bottom=0)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("kept words/s, thousands")
    panels[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    result = json.loads((results.RESULTS / f"{NAME}.json").read_text(encoding="utf-8"))
    draw(result["rows"], results.RESULTS / f"{NAME}.svg")
