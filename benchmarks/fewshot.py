"""Few labels: nlptl's automatic choice against logistic regression, SetFit and transformers' Trainer, on ten data sets.

    python benchmarks/fewshot.py DIR [--sets …] [--shots 8 16 64] [--splits 20] [--arms …] [--setfit-minutes 30]
    python benchmarks/fewshot.py DIR --parts encoders --encoders FOLDER …    a choice of several encoders, 8 labels
    python benchmarks/fewshot.py DIR --timing            training seconds, SetFit and auto in turn, one split a set
    python benchmarks/fewshot.py DIR --publish           nothing is run: all kept runs into benchmarks/results

DIR holds the sets as JSON lines (fewshot_sets.py names them). All arms begin from MiniLM, cut texts at 256 tokens, and
learn from the same splits (seeds 0 to 19; a smaller draw is part of a larger one; banking77's rare labels give fewer
than 64 rows). The test is 500 of a set's test rows at random (imdb: 300); a training row whose text stands in the test
is dropped. Each arm runs in a process of its own, in turn, and is warmed up and its model loaded before the clock.

lr             scikit-learn's logistic regression on frozen, normalised vectors of sentence-transformers
lr-cv          the same, its penalty chosen by the log-loss of five folds; auto's confidence is compared with its own
tfidf          the same on tf-idf of the labelled texts' words and pairs of words
setfit         SetFit 1.2 with its defaults; where these would train longer than --setfit-minutes (by five timed steps),
               its max_steps is set so that it takes about as long (said in the row); on the first --setfit-splits splits
trainer        transformers' Trainer, everything moves: rate 5e-5, batches of 16, 20 epochs but at most 300 steps
auto           nlptl: bert, classification_head and finetune with update method auto
auto+encoders  auto on the encoder that the stage bert chooses among MiniLM and --encoders; three splits

Ours gets the labels in words where the set's own are none (trec; stance's none is "neutral"), fixed before any result
was seen; the others take no label names, as is their default. Piles of texts: pile.py. --dev develops: it scores on
400 training rows other than the shots, with seeds from 1000 on, takes any --update in auto's place and publishes
nothing. --disturbed says that other work ran beside: these seconds count for no bar. Every run is kept
(runs/benchmarks/fewshot.jsonl), so that an interrupted one goes on; --forget ARM … runs these again (auto@8: with 8
shots); --resume takes up the published runs too; times are compared on one processor alone. A published run holds its
predictions, two hexadecimal digits a text: the number of the label, and the probability of that label times 255
("confidence"; not of all arms). SetFit and lr: pip install setfit==1.2.0 sentence-transformers. Where nlptl is not
installed: PYTHONPATH=. python benchmarks/fewshot.py …. Writes benchmarks/results/fewshot.json.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import arms
from fewshot_arms import AUTO, AUTO_ENCODERS, LR, LR_CV, SETFIT, TFIDF, TRAINER
from fewshot_bars import bars_of
from fewshot_options import Prepared, parsed, parser_of, prepared, suffix, take_up
from fewshot_runs import Key, earlier, measure, published, scored, summarise
from fewshot_sets import DEV_SEEDS, SEEDS, SETS

SHOTS = (8, 16, 64)
ENCODERS_SHOTS, ENCODERS_SPLITS = 8, 3  # of the part encoders
ALL, TIMED = (LR, LR_CV, TFIDF, SETFIT, TRAINER, AUTO), (SETFIT, AUTO)


def main(argv: Sequence[str]) -> Path | None:
    options = read_options(argv)
    ready = prepared("fewshot", options)
    keys = plan(options)
    take_up(keys, ready, "pile")
    if options.publish:
        return publish(ready, options)
    arms.begin("about 20 minutes a split at 8 shots and 4 hours at 64, most of it SetFit's, on two quiet cores")
    summarise(measure(keys, ready.kept, ready.made, options, ready.settings, lambda *_: None))
    return None


def read_options(argv: Sequence[str]) -> Any:
    parser = parser_of(
        __doc__,
        parts={"nargs": "+", "choices": ["fewshot", "encoders"], "default": ["fewshot"]},
        sets={"nargs": "+", "choices": list(SETS), "default": list(SETS)},
        shots={"nargs": "+", "type": int, "default": list(SHOTS)},
        splits={"type": int, "default": len(SEEDS), "help": "the first N of 20"},
        arms={"nargs": "+", "choices": ALL},
        encoders={"nargs": "+", "default": [], "metavar": "DIR", "help": "folders of weights, of --parts encoders"},
        timing={"action": "store_true", "help": "one split a set; SetFit and auto unless --arms names others"},
    )
    parser.add_argument("--setfit-splits", type=int, default=5, help="the first N splits that SetFit runs on")
    options = parsed(parser, argv)
    if "encoders" in options.parts and not options.encoders and not options.publish:
        parser.error(
            "--parts encoders: found no --encoders; expected folders of weights, which are tried beside MiniLM."
        )
    options.arms = options.arms or list(TIMED if options.timing else ALL)
    return options


def plan(options: Any) -> list[Key]:
    """Return the runs in order: all sets of a split before the next split; arms in turn from either end."""
    seeds = (DEV_SEEDS if options.dev else SEEDS)[: 1 if options.timing else options.splits]
    wanted = [(name, shots) for shots in options.shots for name in options.sets] if "fewshot" in options.parts else []
    keys = []
    for split, seed in enumerate(seeds):
        for number, (name, shots) in enumerate(wanted):
            for arm in options.arms[:: 1 if (split + number) % 2 == 0 else -1]:
                if arm != SETFIT or split < options.setfit_splits:
                    own = arm + suffix(options) if arm == AUTO else arm
                    keys.append(Key(name, shots, seed, own, options.timing))
    if "encoders" in options.parts:
        pairs = [(seed, name) for seed in seeds[:ENCODERS_SPLITS] for name in options.sets]
        keys += [Key(name, ENCODERS_SHOTS, seed, arm) for seed, name in pairs for arm in (AUTO, AUTO_ENCODERS)]
    return keys


def publish(ready: Prepared, options: Any) -> Path:
    rows = scored(ready.kept, "fewshot")
    return arms.publish(
        arms.result_name("fewshot", ready.device),
        tiny=options.tiny,
        command="python benchmarks/fewshot.py DIR",
        seeds=sorted({row["seed"] for row in rows}),
        rows=published(rows, ready.about),
        bars=bars_of(rows, ready.made),
        notes=earlier(rows, AUTO),
    )


if __name__ == "__main__":
    main(sys.argv[1:])
