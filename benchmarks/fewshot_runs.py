"""The runs of the few-label benchmarks: which are missing, each in its arm's process, every one kept and resumable."""

from __future__ import annotations

import importlib.util
import os
import statistics
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import arms
import results
from fewshot_arms import AUTO, AUTO_ENCODERS, AUTO_OPEN, LR, LR_CV, MAKERS, OURS_AUTO, OURS_OPEN, SETFIT
from fewshot_scores import score
from fewshot_sets import EVERY, Material, shots_of
from fewshot_task import WARM_UP, Task
from texts import Rows

NEEDS = {LR: "sentence_transformers", LR_CV: "sentence_transformers", SETFIT: "setfit"}
Piles = Callable[["Key", Material, Rows], Rows | None]
"""The unlabelled texts of a run, given its set and its labelled rows."""


@dataclass(frozen=True)
class Key:
    """Which run this is; arm tells the update too where it is not the published one."""

    set: str
    shots: int
    seed: int
    arm: str
    timing: bool = False

    def parts(self) -> tuple[Any, ...]:
        return "timing" if self.timing else "scores", self.set, self.shots, self.seed, self.arm


def measure(
    keys: Sequence[Key], kept: arms.Kept, made: Callable[[str], Material], options: Any, settings: Mapping[str, Any],
    pile: Piles,
) -> list[arms.Row]:  # fmt: skip
    """Run what is not kept, each arm in its own process, and return all rows asked for."""
    missing = [key for key in keys if not is_enough(kept.find(*key.parts()), options)]
    for arm in {key.arm for key in missing} & set(NEEDS):
        if importlib.util.find_spec(NEEDS[arm]) is None and not options.tiny:
            raise SystemExit(
                f"fewshot: the arm {arm} needs {NEEDS[arm]}, which is not installed; expected it beside nlptl. Run pip "
                "install setfit==1.2.0 sentence-transformers, or name other --arms."
            )
    running: dict[str, arms.Arm] = {}
    try:
        for number, key in enumerate(missing, 1):
            if key.arm not in running:
                running[key.arm] = started(key.arm, options, settings)
            row = one_run(running[key.arm], key, kept, made(key.set), options, pile)
            kept.add(row, *key.parts())
            told = f"{row['score']:.3f}, {row['seconds']:.1f} s"
            print(f"{number}/{len(missing)} {key.set} {key.shots} shots, seed {key.seed}: {key.arm} {told}", flush=True)
    finally:
        for process in running.values():
            process.close()
    return [row for key in keys if (row := kept.find(*key.parts())) is not None]


def started(arm: str, options: Any, settings: Mapping[str, Any]) -> arms.Arm:
    """Start an arm and let it train once, so that no measured run loads what the others find loaded."""
    name = arm.split(" ", maxsplit=1)[0]
    minutes = {} if options.minutes is None else {"minutes": options.minutes}
    own: dict[str, Any] = {"update": options.update or {**OURS_AUTO, **minutes}} if name.startswith(AUTO) else {}
    if name == AUTO_OPEN:
        own["update"] = OURS_OPEN
    if name == AUTO_ENCODERS:
        own |= {"encoders": options.encoders, "called": Path(options.weights or "minilm").name}
    made = (arms.SameProcess if options.tiny else arms.OwnProcess)(MAKERS[name], {**settings, **own})
    made.run(WARM_UP)
    return made


def is_enough(row: arms.Row | None, options: Any) -> bool:
    """Say whether a kept run will do: one of SetFit's that was cut short does only where it would be cut alike.

    One for timing does only on the processor on which it was timed.
    """
    here = results.machine()["cpu"]
    if row is None or (row.get("timing") and row.get("cpu", here) != here):
        return False
    limited = row.get("limited_to_steps") is not None
    return not limited or row["setfit_minutes"] == options.setfit_minutes


def one_run(arm: arms.Arm, key: Key, kept: arms.Kept, made: Material, options: Any, pile: Piles) -> arms.Row:
    labelled, what = shots_of(made.train, key.shots, key.seed), EVERY[key.set]
    timed_as = ("step seconds", key.set, key.shots, options.disturbed)
    task = Task(
        key.set, key.seed, labelled, made.test, made.names, what.label_names, pile=pile(key, made, labelled),
        setfit_minutes=options.setfit_minutes, step_seconds=(kept.find(*timed_as) or {}).get("seconds"),
    )  # fmt: skip
    row = arm.run(task)
    if task.step_seconds is None and "step_seconds" in row:
        kept.add({"seconds": row["step_seconds"]}, *timed_as)
    limit = {"setfit_minutes": options.setfit_minutes} if row.get("limited_to_steps") else {}
    return {
        **asdict(key), "labelled": len(labelled), "test": len(made.test), "dropped": made.dropped,
        **({} if task.pile is None else {"pile": len(task.pile)}), "metric": what.metric,
        "score": round(score(made.truth, row["predicted"], what.metric, made.names), 5), **limit,
        **({} if options.minutes is None else {"minutes": options.minutes}),
        "disturbed": options.disturbed, "load": round(os.getloadavg()[0], 1), **row,
    }  # fmt: skip


def summarise(rows: Sequence[arms.Row]) -> None:
    """Print each arm's mean score by shots and set."""
    found: dict[tuple[int, str], dict[str, list[float]]] = {}
    for row in rows:
        found.setdefault((row["shots"], row["set"]), {}).setdefault(row["arm"], []).append(row["score"])
    for (shots, name), by_arm in sorted(found.items()):
        told = ", ".join(f"{arm} {statistics.mean(scores):.3f} ({len(scores)})" for arm, scores in by_arm.items())
        print(f"{shots} shots, {name}: {told}", flush=True)


def scored(kept: arms.Kept, benchmark: str) -> list[arms.Row]:
    """Return the kept runs that have a score, with date and processor; SystemExit where there are none."""
    here = {"date": results.today(), "cpu": results.machine()["cpu"]}
    rows = [{**here, **row} for row in kept.rows() if "score" in row]
    if not rows:
        raise SystemExit(f"{benchmark}: found no kept runs to publish; expected some. Run it without --publish first.")
    return rows


def published(rows: Sequence[arms.Row], about: arms.Row) -> list[arms.Row]:
    """Return runs as they are published."""
    return [{**row, "predicted": as_text(row["predicted"]), **about} for row in rows]


def earlier(rows: Sequence[arms.Row], arm: str) -> list[str]:
    """Return sentences that tell which runs of an arm are older than its newest ones."""
    own = [row for row in rows if row["arm"] == arm]
    newest = max((row["date"] for row in own), default="")
    old = [row for row in own if row["date"] < newest]
    counts = Counter((row["date"], row["shots"]) for row in old if not row["timing"])
    every = Counter(row["shots"] for row in own if not row["timing"])
    times = sorted({(row["date"], row["cpu"]) for row in old if row["timing"]})
    return [
        f"{count} of {every[shots]} runs of {arm} with {shots} labels a class are those of {date}; the code has changed since."
        for (date, shots), count in sorted(counts.items())
    ] + [f"The training times are those of {date}, on {cpu}." for date, cpu in times]


def resume(kept: arms.Kept, name: str, about: arms.Row) -> None:
    """Keep the published runs that are not kept yet."""
    for run in results.read_rows(name, packages=arms.installed()):
        row = {key: value for key, value in run.items() if key not in about}
        key = Key(**{field.name: row[field.name] for field in fields(Key)})
        if {**run, **about} == run and kept.find(*key.parts()) is None:
            kept.add({**row, "predicted": as_numbers(row["predicted"])}, *key.parts())


def as_text(predicted: Sequence[int]) -> str:
    """Return label numbers, at most 255, as two hexadecimal digits each."""
    return bytes(predicted).hex()


def as_numbers(predicted: str) -> list[int]:
    return list(bytes.fromhex(predicted))
