"""What the few-label benchmarks share on their command lines, and what stands ready once these are read."""

from __future__ import annotations

import argparse
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import arms
from fewshot_arms import AUTO
from fewshot_runs import Key, resume
from fewshot_sets import SEEDS, SETS, Material, material
from texts import read_rows, weights_folder

LONGEST, TINY_LONGEST = 256, 64  # tokens of a text


@dataclass(frozen=True)
class Prepared:
    """Kept runs, data sets and the settings of every arm."""

    kept: arms.Kept
    made: Callable[[str], Material]
    about: arms.Row
    """The weights and the device, as every published row has them."""
    settings: arms.Row
    device: str
    head: arms.Row
    """Settings that kept runs must share."""
    ending: str

    def result_name(self, benchmark: str) -> str:
        return arms.result_name(benchmark + self.ending, self.device)


def parser_of(description: str | None, **more: dict[str, Any]) -> argparse.ArgumentParser:
    """Return a parser of what both benchmarks take, and `more`."""
    parser = arms.arguments(
        description,
        **more,
        dev={"action": "store_true", "help": "score on training rows; publishes nothing"},
        update={"type": json.loads, "help": 'with --dev, in auto\'s place: \'{"method": "head"}\''},
        disturbed={"action": "store_true", "help": "other work runs beside: the seconds count for no bar"},
        forget={"nargs": "+", "default": [], "metavar": "ARM[@SHOTS]", "help": "drop these kept runs first"},
        publish={"action": "store_true", "help": "run nothing, write the result of what is kept"},
        resume={"action": "store_true", "help": "begin with the runs in benchmarks/results, predictions and all"},
    )
    parser.add_argument("--setfit-minutes", type=float, default=30.0, help="the longest that SetFit may train")
    minutes = "auto's own, told in the row: a machine that others disturb makes it try less"
    parser.add_argument("--minutes", type=float, help=minutes)
    parser.set_defaults(encoders=[])
    return parser


def parsed(parser: argparse.ArgumentParser, argv: Sequence[str]) -> Any:
    """Return the options; refuse what would mislead."""
    options = parser.parse_args(argv)
    if options.update is not None and not options.dev:
        parser.error("--update is for --dev; what is published under the name auto is auto.")
    if options.dev and options.publish:
        parser.error("--publish: what --dev scored is on training rows and is not published. Drop one of the two.")
    if options.splits is not None and not 1 <= options.splits <= len(SEEDS):
        parser.error(f"--splits {options.splits}: expected 1 to {len(SEEDS)}, of which the seeds are fixed.")
    return options


def prepared(benchmark: str, options: Any) -> Prepared:
    """Return what runs need; kept runs are taken up, published ones with --resume."""
    device = arms.device_of(options.device)
    texts = read_rows(options.folder, SETS["emotion"].folder, "train").texts() if options.tiny else []
    folder, weights = weights_folder(options.weights, texts, scratch=arms.SCRATCH, tiny=options.tiny)
    about = {"weights": weights, "device": arms.device_name(device)}
    ending = ("-dev" if options.dev else "") + ("-tiny" if options.tiny else "")
    longest = TINY_LONGEST if options.tiny else LONGEST
    head = {"longest": longest, "dev": options.dev, **about}
    name = arms.result_name(benchmark + ending, device)
    kept = arms.Kept(name, head)
    if options.resume:
        resume(kept, name, about)
    if options.forget:
        kept.forget(lambda key: {key[-1], f"{key[-1]}@{key[2]}"} & set(options.forget) != set())
    made = functools.cache(functools.partial(material, options.folder, dev=options.dev, tiny=options.tiny))
    settings = {"folder": str(folder), "device": device, "longest": longest}
    return Prepared(kept, made, about, settings, device, head, ending)


def take_up(keys: Sequence[Key], ready: Prepared, other: str) -> None:
    """Keep the runs of auto without a pile that the `other` benchmark keeps, since they are the same.

    They take the place of runs that were published before.
    """
    others = arms.kept_rows(ready.result_name(other), ready.head)
    for key in keys:
        row = others.get(json.dumps(list(key.parts())))
        own = ready.kept.find(*key.parts())
        older = own is None or ("date" in own and row is not None and "date" not in row)
        if row is not None and older and key.arm.split(" ")[0] == AUTO and not key.timing:
            ready.kept.add(row, *key.parts())


def suffix(options: Any) -> str:
    """Return what is added to the name of an arm that learns by --update."""
    return "" if options.update is None else f" {json.dumps(options.update, sort_keys=True)}"
