"""Trainings of word vectors, each in a process of its own and kept at once, and the bars made of them."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import arms
import word2vec_arms
from word2vec_arms import Job
from word2vec_texts import Files

MEASURED_BY = ("word2vec_arms.py", "word2vec_quality.py", "word2vec_texts.py")
GENSIM = ("gensim list", "gensim file")


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    slice: int = 1_100_000
    """Words of the slice on which gensim's two ways of reading are tried, and n-grams are learnt: nlptl gives piles below
    a million known words one thread, which would not be the same race."""
    middle: int = 4_000_000
    """Words of the slice on which one setting at a time is varied."""
    short: int = 4_000_000
    """Words of short texts."""
    dims: tuple[int, int] = (100, 300)
    """Widths of the speed part: the first for three epochs, the second for one."""
    growth: tuple[int, ...] = (50, 100, 200, 300)
    """Widths of the growth part."""
    min_counts: tuple[int, ...] = (5, 20, 100)
    epochs: int = 3
    buckets: int = 2_000_000
    repeats: int = 5
    few: int = 3
    """Repeats of what is no bar, or takes long."""


TINY = Sizes(
    slice=3_000, middle=6_000, short=2_000, dims=(8, 12), growth=(4, 8), min_counts=(1, 2), epochs=2, buckets=500,
    repeats=2, few=2,
)  # fmt: skip


class Runs:
    """Runs jobs, each once: what an interrupted benchmark has kept is not run again."""

    def __init__(self, part: str, *, files: Files, sizes: Sizes, tiny: bool) -> None:
        """`part` names what is kept; another source text of nlptl's engines or of the arms begins again."""
        self.files, self.sizes, self.tiny = files, sizes, tiny
        self.rows: list[arms.Row] = []
        self._kept = arms.Kept(f"word2vec-{part}", {"tiny": tiny, "source": source_digest()})

    def run(self, job: Job, repeat: int, **about: Any) -> arms.Row:
        """Return the row of a job's run, which also joins `rows`."""
        key = tuple(value for name, value in sorted(vars(job).items()) if name not in ("file", "judge"))
        key = (*key, job.file.name, job.judge is not None, repeat)
        found = self._kept.find(*key)
        if found is None:
            process = arms.SameProcess if self.tiny else arms.OwnProcess
            arm = process(word2vec_arms.training, {"job": job})
            found = arm.run(None)
            arm.close()
            self._kept.add(found, *key)
        row = {
            **about, "arm": job.arm, "texts": job.file.stem, "dim": job.dim, "epochs": job.epochs, "seed": job.seed,
            "min_count": job.min_count, "threads": 1 if job.deterministic else job.threads, "repeat": repeat, **found,
        }  # fmt: skip
        row["peak_memory_mib"] = row.pop("trained_memory_mib")
        self.rows.append(row)
        print(
            f"  {job.file.stem}, dim {job.dim}, min_count {job.min_count}, {repeat + 1}: {job.arm}: "
            f"{row['kept_words_per_second']:,.0f} kept words/s, {row['seconds']:.1f} s in all",
            flush=True,
        )
        return row

    def pair(self, job: Job, gensim: str, repeats: int, **about: Any) -> None:
        """Run both arms in turn, the first in every round being another; each repeat is another seed."""
        for repeat in range(repeats):
            for arm in ("nlptl", gensim) if repeat % 2 == 0 else (gensim, "nlptl"):
                self.run(replace(job, arm=arm, seed=repeat + 1), repeat, **about)

    def faster_gensim(self, file: Path) -> str:
        """Return which of gensim's ways of reading takes less time from texts to vectors, one run of each."""
        jobs = [Job(arm=arm, file=file, dim=self.sizes.dims[0], epochs=1, seed=1) for arm in GENSIM]
        seconds = {job.arm: self.run(job, 0, part="calibration")["seconds"] for job in jobs}
        return min(GENSIM, key=seconds.__getitem__)

    def forget(self) -> None:
        """Drop what was kept: the result is written."""
        self._kept.remove()


def source_digest() -> str:
    """Return a digest of everything that decides what a training does."""
    here = Path(__file__).parent
    paths = [*sorted((here.parent / "nlptl").rglob("*.py")), *(here / name for name in MEASURED_BY)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def of_arm(rows: Sequence[arms.Row], arm: str, **wanted: Any) -> list[arms.Row]:
    """Return the rows of nlptl, or of gensim, that have the wanted values, by repeat; calibration is none of them."""
    found = [
        row
        for row in rows
        if row["arm"].startswith(arm)
        and row["part"] != "calibration"
        and all(row[name] == value for name, value in wanted.items())
    ]
    return sorted(found, key=lambda row: row["repeat"])


def speed_bars(name: str, rows: Sequence[arms.Row], *, at_least: float | None, **wanted: Any) -> list[arms.Row]:
    """Return bars of how many times gensim's speed nlptl has: in training, and from texts to vectors."""
    ours, peer = of_arm(rows, "nlptl", **wanted), of_arm(rows, "gensim", **wanted)
    promise = {} if at_least is None else {"at_least": at_least}
    pairs = list(zip(ours, peer, strict=True))
    training = [a["kept_words_per_second"] / b["kept_words_per_second"] for a, b in pairs]
    wall = [b["seconds"] / a["seconds"] for a, b in pairs]
    return [
        {"name": f"{name}: kept words/s over those of {peer[0]['arm']}", **promise, **arms.told(training)},
        {"name": f"{name}: end-to-end wall of {peer[0]['arm']} over ours", **promise, **arms.told(wall)},
    ]


def middle(rows: Sequence[arms.Row], name: str) -> float:
    return float(statistics.median(row[name] for row in rows))
