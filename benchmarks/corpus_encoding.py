"""How fast text becomes word ids, beside gensim: its vocabulary scan and one tokenised reading.

    python benchmarks/corpus_encoding.py DIR [REPEATS]

DIR holds text8style.txt.gz, one line of words (a text8-like extract of Wikipedia). It is cut into lines of 1,000 words before
any clock starts. Per repeat, in turn: `corpus_of` on the list of lines (counting, vocabulary, ids on disk); gensim's
`build_vocab` on the list of token lists; gensim's LineSentence over the file of lines, once. The first call of `corpus_of`
compiles, or reads numba's cache, and is told apart. Writes benchmarks/results/corpus-encoding.json.
"""

from __future__ import annotations

import gzip
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gensim.models import Word2Vec
from gensim.models.word2vec import LineSentence
from results import write_result

from nlptl.pretraining.word2vec.corpus import corpus_of
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer

REPEATS = 5
WORDS = 1_000  # a line
MIN_COUNT = 5
BAR = 0.333


def main() -> None:
    folder, repeats = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else REPEATS
    lines = lines_of(folder / "text8style.txt.gz")
    compiling = seconds(lambda: ours(lines[:100]))
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "lines.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        rows = [measured(lines, path, repeat) for repeat in range(repeats)]
    assert len({row["vocabulary"] for row in rows}) == 1
    ratios = [row["ours"] / (row["gensim_scan"] + row["gensim_reading"]) for row in rows]
    bar = {
        "name": "seconds of counting and encoding over those of gensim's scan and reading (median)",
        "value": round(statistics.median(ratios), 4),
        "at_most": BAR,
        "range": [round(min(ratios), 4), round(max(ratios), 4)],
    }
    compiled = {
        "name": "seconds of the first call, which compiles or reads numba's cache",
        "value": round(compiling, 3),
    }
    print(bar, compiled, sep="\n")
    write_result(
        "corpus-encoding", command=f"python benchmarks/corpus_encoding.py {folder.name}", seeds=[], rows=rows,
        bars=[bar, compiled], packages=["nlptl", "gensim", "numba", "tokenizers"],
    )  # fmt: skip


def lines_of(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        words = file.read().split()
    return [" ".join(words[first : first + WORDS]) for first in range(0, len(words), WORDS)]


def measured(lines: list[str], path: Path, repeat: int) -> dict[str, Any]:
    row: dict[str, Any] = {"repeat": repeat}
    row["ours"] = round(seconds(lambda: row.update(ours(lines))), 4)
    row["gensim_reading"] = round(seconds(lambda: sum(1 for _ in LineSentence(str(path)))), 4)
    tokens = [line.split() for line in lines]
    row["gensim_scan"] = round(seconds(lambda: row.update(scanned(tokens))), 4)
    assert row["vocabulary"] == row["gensim_vocabulary"]
    print(row, flush=True)
    return row


def ours(lines: list[str]) -> dict[str, int]:
    with corpus_of(untrained_tokenizer(TextSettings()), [lines], min_count=MIN_COUNT) as corpus:
        return {"vocabulary": len(corpus.counts) - 1, "words": len(corpus.ids)}


def scanned(tokens: list[list[str]]) -> dict[str, int]:
    model = Word2Vec(vector_size=1, min_count=MIN_COUNT)
    model.build_vocab(tokens)
    return {"gensim_vocabulary": len(model.wv)}


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
