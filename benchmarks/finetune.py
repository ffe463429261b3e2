"""Fine-tuning from the same weights on the same texts: nlptl's stages against transformers' Trainer as its users run it.

    python benchmarks/finetune.py DIR [--device auto|cpu|cuda] [--sets emotion imdb] [--parts speed scores]
        [--updates full lora partial head] [--repeats 3] [--precision float32|bfloat16] [--out DIR]

DIR holds tweeteval/emotion and imdb as JSON lines. The Trainer pads each batch to its longest text (SDPA, its default
AdamW, linear decay; accepts_loss_kwargs=False against its loss trap). What is frozen in nlptl is frozen there
(requires_grad), LoRA goes through PEFT with the same rank, alpha and targets. Batch size, dropout and precision are the
same: float32 on a CPU, bfloat16 on a GPU, where the Trainer also runs compiled. An arm whose packages are missing is left
out and named in the notes: the Trainer needs accelerate, LoRA needs peft, compiling needs triton.

speed: wall for the same number of epochs over a fixed sample, each arm in a process of its own, in turn. nlptl's is the
whole FineTune.run with fixed epochs and l2, for as many epochs as are compared: tokenising, frozen layers once a text,
fitted head and all. The Trainer's epochs cost alike, so one is measured each time (after one to warm up, without
tokenising and set-up) and multiplied; a compiled Trainer may compile in each call, whose second epoch counts. Tokens are real
ones: special ones count, padding does not.
scores: tweeteval/emotion with all labels, three epochs, three seeds; macro-F1 and wall. nlptl at its defaults but for
the epochs; the Trainer at learning rate 5e-5, and at 1e-3 for LoRA, which is what PEFT's guide takes. Nothing was
chosen on the test.
Every run is kept, in DIR of --out or else in runs/benchmarks, so that an interrupted benchmark goes on; --fresh begins
again. Where nlptl is not installed:
PYTHONPATH=. python benchmarks/finetune.py …. Writes benchmarks/results/finetune-speed.json and finetune-scores.json
(…-cuda.json on a GPU).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import arms
import numpy as np
from texts import EMOTION, IMDB, Parts, Rows, label_names, read_rows, sample, weights_folder

from nlptl.evaluation.intervals import Interval, paired_difference, percentile_interval

OURS, PEER, COMPILED = "nlptl", "Trainer", "Trainer, compiled"
EPOCHS = {"full": 3, "lora": 3, "partial": 10, "head": 10}
TOP_LAYERS, RANK, ALPHA = 2, 8, 16
PEER_RATES = {"lora": 1e-3}  # and 5e-5, the Trainer's default, for all others
L2 = 0.03  # of the head, where nothing is to be chosen
PROMISED = {
    "cpu": {("full", PEER): 1.5, ("partial", PEER): 4.0, ("head", PEER): 20.0},
    "cuda": {("full", PEER): 3.0, ("full", COMPILED): 1.0, ("partial", PEER): 4.0, ("head", PEER): 20.0},
}
NEEDED = {OURS: (), PEER: ("accelerate",), COMPILED: ("accelerate", "triton")}
SEEDS = (1, 2, 3)
MINUTES = {"emotion": 4, "imdb": 8}  # of the speed, three repeats on two quiet cores


@dataclass(frozen=True)
class Sample:
    """What the speed is measured on."""

    data_set: str
    texts: int
    batch_size: int
    max_length: int


SPEED = {
    "cpu": {"emotion": Sample(EMOTION, 256, 32, 256), "imdb": Sample(IMDB, 24, 8, 512)},
    "cuda": {"emotion": Sample(EMOTION, 3257, 32, 256), "imdb": Sample(IMDB, 1024, 8, 512)},
}


@dataclass(frozen=True)
class Job:
    """What one arm trains on."""

    folder: str
    device: str
    update: str
    names: tuple[str, ...]
    train: Rows
    test: Rows | None
    batch_size: int
    max_length: int
    precision: str
    compiled: bool = False


def main(argv: Sequence[str]) -> list[Path]:
    parser = arms.arguments(
        __doc__,
        sets={"nargs": "+", "choices": ["emotion", "imdb"], "default": ["emotion", "imdb"]},
        parts={"nargs": "+", "choices": ["speed", "scores"], "default": ["speed", "scores"]},
        updates={"nargs": "+", "choices": list(EPOCHS), "default": list(EPOCHS), "help": "of the speed; default all"},
        repeats={"type": int, "default": 3},
        precision={"choices": ["float32", "bfloat16"], "help": "default float32; on a GPU bfloat16"},
        out=arms.OUT,
        fresh={"action": "store_true", "help": "drop the kept runs of an interrupted benchmark"},
    )
    options = parser.parse_args(argv)
    device = arms.device_of(options.device)
    minutes = {"speed": sum(MINUTES[name] for name in options.sets) * options.repeats / 3, "scores": 35}
    arms.begin(*(f"{part}: about {minutes[part]:.0f} minutes on two quiet cores" for part in options.parts))
    texts = (
        read_rows(options.folder, EMOTION, "train").texts() + read_rows(options.folder, IMDB, "train").texts()[:5000]
    )
    folder, weights = weights_folder(options.weights, texts, scratch=arms.SCRATCH, tiny=options.tiny)
    options.precision = options.precision or precision_of(device)
    about = {"weights": weights, "device": arms.device_name(device), "precision": options.precision}
    parts = {"speed": speed, "scores": scores}
    return [parts[part](options, device, str(folder), about) for part in options.parts]


def precision_of(device: str) -> str:
    """Return the precision that is measured on a device."""
    return "bfloat16" if device == "cuda" else "float32"


def speed(options: Any, device: str, folder: str, about: arms.Row) -> Path:
    settings = {"sets": SPEED[device], "epochs": EPOCHS, "repeats": options.repeats, **about}
    notes = left_out(options.updates, device)
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    kept = kept_runs("finetune-speed", options, settings)
    rows: list[arms.Row] = []
    for name in options.sets:
        jobs = speed_jobs(options, device, folder, name)
        found = measure(
            kept, jobs, [(name, repeat) for repeat in range(options.repeats)], tiny=options.tiny,
            request=lambda arm, _: EPOCHS[arm[0]] if arm[1] == OURS else 1,
        )  # fmt: skip
        rows += [whole_training(row, found) for row in found]
    path = arms.publish(
        arms.result_name("finetune-speed", device),
        tiny=options.tiny,
        out=options.out,
        notes=notes,
        command="python benchmarks/finetune.py DIR --parts speed",
        seeds=[0],
        rows=[{**row, **about} for row in rows],
        bars=[bar for name in options.sets for bar in speed_bars(name, rows, device)],
    )
    kept.remove()
    return path


def speed_jobs(options: Any, device: str, folder: str, name: str) -> dict[tuple[str, str], Job]:
    what = SPEED[device][name]
    if options.tiny:
        what = replace(what, texts=16, batch_size=4, max_length=64)
    every = read_rows(options.folder, what.data_set, "train")
    train = sample(every, what.texts, seed=0)
    jobs = {}
    for update in options.updates:
        job = Job(
            folder, device, update, label_names(every), train, None, what.batch_size, what.max_length, options.precision
        )
        for arm in arms_of(update, device):
            if not lacking(update, arm):
                jobs[update, arm] = replace(job, compiled=arm == COMPILED)
    # What compiles comes last: where that fails, the other runs are kept.
    return dict(sorted(jobs.items(), key=lambda item: item[1].compiled))


def arms_of(update: str, device: str) -> tuple[str, ...]:
    return (OURS, PEER, COMPILED) if device == "cuda" and update == "full" else (OURS, PEER)


def lacking(update: str, arm: str) -> list[str]:
    """Return the packages that an arm needs and that are not installed."""
    return arms.missing([*NEEDED[arm], *(("peft",) if update == "lora" else ())])


def left_out(updates: Sequence[str], device: str) -> list[str]:
    """Return one sentence for each arm whose packages are not installed."""
    return [
        f"{' and '.join(names)}: not installed, so {update} of {arm} is left out."
        for update in updates
        for arm in arms_of(update, device)
        if (names := lacking(update, arm))
    ]


def whole_training(row: arms.Row, rows: list[arms.Row]) -> arms.Row:
    """Bring a run to the number of epochs that is compared, and count the tokens of the arm that knows them."""
    epochs = EPOCHS[row["update"]]
    per_epoch = {other["tokens"] for other in rows}
    if len(per_epoch) != 1:
        raise SystemExit(f"{row['set']}: the arms' tokenizers gave different numbers of tokens")
    seconds = row["seconds_run"] * epochs / row["epochs_run"]
    tokens = epochs * row["tokens"]
    return {
        **row, "epochs": epochs, "scaled": row["epochs_run"] != epochs, "seconds": round(seconds, 3), "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
    }  # fmt: skip


def speed_bars(name: str, rows: list[arms.Row], device: str) -> list[arms.Row]:
    bars = []
    for update, epochs in EPOCHS.items():
        of = {
            arm: [
                row["seconds"]
                for row in in_order(rows)
                if (row["set"], row["update"], row["arm"]) == (name, update, arm)
            ]
            for arm in (OURS, PEER, COMPILED)
        }
        for peer in (PEER, COMPILED):
            if not of[OURS] or not of[peer]:
                continue
            ratio = [theirs / ours for ours, theirs in zip(of[OURS], of[peer], strict=True)]
            promise = PROMISED[device].get((update, peer))
            bars.append({
                "name": f"{name}, {update}, {epochs} epochs: wall of {peer} over ours",
                **arms.told(ratio), **({} if promise is None else {"at_least": promise}),
            })  # fmt: skip
    return bars


def in_order(rows: list[arms.Row]) -> list[arms.Row]:
    return sorted(rows, key=lambda row: row.get("repeat", row.get("seed", 0)))


def scores(options: Any, device: str, folder: str, about: arms.Row) -> Path:
    train, test = (read_rows(options.folder, EMOTION, part) for part in ("train", "test"))
    if options.tiny:
        train, test = sample(train, 16, seed=0), sample(test, 12, seed=0)
    seeds = SEEDS[:1] if options.tiny else SEEDS
    kept = kept_runs("finetune-scores", options, {"epochs": EPOCHS["full"], "seeds": seeds, **about})
    names, length = label_names(train), 64 if options.tiny else 256
    jobs = {
        (update, arm): Job(folder, device, update, names, train, test, 32, length, options.precision)
        for update in ("full", "lora")
        for arm in (OURS, PEER)
        if not lacking(update, arm)
    }
    notes = left_out(("full", "lora"), "cpu")  # the scores have no compiled arm
    print(*notes, sep="\n", end="\n" if notes else "", flush=True)
    found = measure(
        kept, jobs, [("emotion", seed) for seed in seeds], tiny=options.tiny, what="seed",
        request=lambda _, seed: {"epochs": EPOCHS["full"], "seed": seed},
    )  # fmt: skip
    truth = np.array([names.index(label) for label in test.labels()])
    rows = [{**row, **score(truth, row["predicted"])} for row in found]
    path = arms.publish(
        arms.result_name("finetune-scores", device),
        tiny=options.tiny,
        out=options.out,
        notes=notes,
        command="python benchmarks/finetune.py DIR --parts scores",
        seeds=list(seeds),
        rows=[{**{key: value for key, value in row.items() if key != "predicted"}, **about} for row in rows],
        bars=[
            bar
            for update in ("full", "lora")
            if {(update, OURS), (update, PEER)} <= jobs.keys()
            for bar in score_bars(update, rows, truth, device)
        ],
    )
    kept.remove()
    return path


def kept_runs(name: str, options: Any, settings: arms.Row) -> arms.Kept:
    sets = {key: asdict(value) for key, value in settings.get("sets", {}).items()}
    settings = {**settings, "sets": sets, "tiny": options.tiny}
    name = f"{name}-tiny" if options.tiny else name
    kept = arms.Kept(name, settings, folder=options.out)
    if not options.fresh:
        return kept
    kept.remove()
    return arms.Kept(name, settings, folder=options.out)


def measure(
    kept: arms.Kept,
    jobs: dict[tuple[str, str], Job],
    rounds: list[tuple[str, int]],
    *,
    request: Callable[[tuple[str, str], int], Any],
    tiny: bool,
    what: str = "repeat",
) -> list[arms.Row]:
    """Run all arms in turn, once a round, each in its process; what was kept is not run again."""
    process = arms.SameProcess if tiny else arms.OwnProcess
    running: dict[tuple[str, str], arms.Arm] = {}
    try:
        for name, number in rounds:
            for arm in list(jobs) if number % 2 == 0 else list(reversed(jobs)):
                if kept.find(name, *arm, number) is not None:
                    continue
                if arm not in running:
                    running[arm] = process(MAKERS[arm[1]], {"job": jobs[arm]})
                row = running[arm].run(request(arm, number))
                kept.add({"set": name, "update": arm[0], "arm": arm[1], what: number, **row}, name, *arm, number)
                print(f"{name} {what} {number}: {arm[0]} {arm[1]} {row['seconds_run']:.1f} s", flush=True)
    finally:
        for started in running.values():
            started.close()
    found = [kept.find(name, *arm, number) for name, number in rounds for arm in jobs]
    return [row for row in found if row is not None]


def score(truth: np.ndarray, predicted: list[int]) -> arms.Row:
    from sklearn.metrics import f1_score

    hits = truth == np.array(predicted)
    f1 = f1_score(truth, predicted, average="macro", zero_division=0)
    return {"macro_f1": round(float(f1), 5), "accuracy": round(float(hits.mean()), 5)}


def score_bars(update: str, rows: list[arms.Row], truth: np.ndarray, device: str) -> list[arms.Row]:
    """Not below the Trainer by more than the interval (its upper end reaches zero), and how much faster."""
    of = {arm: [row for row in in_order(rows) if (row["update"], row["arm"]) == (update, arm)] for arm in (OURS, PEER)}
    predicted = {arm: np.array([row["predicted"] for row in found]) for arm, found in of.items()}
    draws = {arm: macro_f1_draws(truth, guesses) for arm, guesses in predicted.items()}
    interval = {arm: interval_of(found) for arm, found in draws.items()}
    difference = interval_of(draws[OURS] - draws[PEER])
    hits = {arm: (guesses == truth).astype(float) for arm, guesses in predicted.items()}
    accuracy = paired_difference(hits[PEER], hits[OURS], seed=0).difference
    ratio = [theirs["seconds_run"] / ours["seconds_run"] for ours, theirs in zip(of[OURS], of[PEER], strict=True)]
    promise = PROMISED[device].get((update, PEER))
    name = f"emotion, all labels, {update}"
    return [
        {"name": f"{name}: upper end of macro-F1 difference", "value": round(difference.high, 5), "at_least": 0.0,
         "range": str(difference), "ours": str(interval[OURS]), "peer": str(interval[PEER]), "accuracy": str(accuracy)},
        {"name": f"{name}: wall of {PEER} over ours", **arms.told(ratio),
         **({} if promise is None else {"at_least": promise})},
    ]  # fmt: skip


def macro_f1_draws(truth: np.ndarray, predicted: np.ndarray, *, resamples: int = 1000) -> np.ndarray:
    """Return macro-F1 of predictions (S, I), then R resamples of seeds and items: (1 + R,).

    Seeds and items are drawn independently, the items jointly for all seeds (Owen 2007), and alike in every call, so
    that differences of two arms are paired.
    """
    generator = np.random.default_rng(0)
    seeds, items = predicted.shape
    item_counts = np.stack(
        [np.bincount(generator.integers(0, items, items), minlength=items) for _ in range(resamples)]
    )
    seed_counts = np.stack(
        [np.bincount(generator.integers(0, seeds, seeds), minlength=seeds) for _ in range(resamples)]
    )
    item_counts = np.vstack([np.ones(items), item_counts])
    seed_counts = np.vstack([np.ones(seeds), seed_counts]) / seeds
    labels = np.unique(truth)
    true = truth[:, None] == labels
    found = []
    for guesses in predicted:
        guessed = guesses[:, None] == labels
        right, wanted, given = (item_counts @ part.astype(float) for part in (true & guessed, true, guessed))
        found.append((2 * right / np.maximum(wanted + given, 1)).mean(axis=1))
    return (np.stack(found, axis=1) * seed_counts).sum(axis=1)


def interval_of(draws: np.ndarray) -> Interval:
    return percentile_interval(float(draws[0]), draws[1:])


def our_arm(*, job: Job) -> arms.Run:
    """Return a run of FineTune: of so many epochs, for speed; or of a seed, with predictions of the test."""
    from nlptl.context import RunContext
    from nlptl.stages.bert import Bert
    from nlptl.stages.classification_head import ClassificationHead
    from nlptl.stages.finetune import FineTune

    data: Any = Parts(names=job.names, labelled=job.train)
    update = {"method": job.update}
    if job.update == "partial":
        update["top_layers"] = TOP_LAYERS
    elif job.update == "lora":
        update |= {"rank": RANK, "alpha": ALPHA}

    def trained(seed: int, given: Any, data: Any, **settings: Any) -> tuple[Any, arms.Row]:
        context = RunContext(seed=seed, device=job.device)
        stage = FineTune(update={**update, "precision": job.precision, **settings})
        begin = time.perf_counter()
        classifier = stage.run(given, data=data, context=context)
        wait_for(job.device)
        seconds = time.perf_counter() - begin
        restarts = sum("collapsed" in sentence for sentence in context.record.sentences)
        return classifier, {"seconds_run": round(seconds, 4), "epochs_run": settings["epochs"], "restarts": restarts}

    def untrained(seed: int) -> Any:
        context = RunContext(seed=seed, device=job.device)
        encoder = Bert(weights=job.folder, max_length=job.max_length).run(data=data, context=context)
        return ClassificationHead().run(encoder, data=data, context=context)

    fixed = {"l2": L2, "batch_size": job.batch_size}
    given = untrained(0)
    tokens = sum(map(len, given.encoder.token_ids(job.train.texts())))
    few = Parts(names=job.names, labelled=job.train.select(range(min(2 * job.batch_size, len(job.train)))))
    trained(0, given, few, epochs=1, **fixed)  # warm up

    def run(request: Any) -> arms.Row:
        if job.test is None:
            return {**trained(0, given, data, epochs=request, **fixed)[1], "tokens": tokens}
        classifier, row = trained(request["seed"], untrained(request["seed"]), data, epochs=request["epochs"])
        predicted = classifier.predict_proba(job.test.texts()).argmax(axis=1)
        return {**row, "tokens": tokens, "predicted": predicted.tolist()}

    return run


def trainer_arm(*, job: Job) -> arms.Run:
    """Return a run of the Trainer: of one more epoch, for speed; or of a seed, with predictions of the test."""
    import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(job.folder)
    examples = encoded(tokenizer, job.train, job)
    tokens = sum(len(example["input_ids"]) for example in examples)
    if job.test is None:
        transformers.set_seed(0)
        # Each call of a compiled Trainer may compile anew, so that only a call's second epoch is an epoch alone.
        trainer, clock = peer_trainer(job, tokenizer, examples, epochs=2 if job.compiled else 1, seed=0)
        trainer.train()  # warm up; the optimiser's state stays for the measured epochs

        def one_more_epoch(epochs: int) -> arms.Row:
            trainer.train()
            return {"seconds_run": round(clock.seconds, 4), "epochs_run": epochs, "tokens": tokens}

        return one_more_epoch
    test = encoded(tokenizer, job.test, job)

    def run(request: Any) -> arms.Row:
        transformers.set_seed(request["seed"])
        trainer, _ = peer_trainer(job, tokenizer, examples, **request)
        begin = time.perf_counter()
        trainer.train()
        wait_for(job.device)
        seconds = time.perf_counter() - begin
        predicted = trainer.predict(test).predictions.argmax(axis=1)
        row = {"seconds_run": round(seconds, 4), "epochs_run": request["epochs"], "tokens": tokens}
        return {**row, "predicted": predicted.tolist()}

    return run


def wait_for(device: str) -> None:
    """Wait until a GPU has done what it was given, so that the clock does not stop before."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def encoded(tokenizer: Any, rows: Rows, job: Job) -> list[dict[str, Any]]:
    found = tokenizer(rows.texts(), truncation=True, max_length=job.max_length)
    labels = [job.names.index(label) for label in rows.labels()]
    return [{**{key: value[row] for key, value in found.items()}, "labels": label} for row, label in enumerate(labels)]


def peer_model(job: Job) -> Any:
    import importlib.util

    from transformers import AutoModelForSequenceClassification

    flash = job.compiled and importlib.util.find_spec("flash_attn") is not None
    model = AutoModelForSequenceClassification.from_pretrained(
        job.folder, num_labels=len(job.names), attn_implementation="flash_attention_2" if flash else "sdpa"
    )
    model.accepts_loss_kwargs = False  # else the loss grows with the steps of accumulation: transformers#47688
    if job.update == "lora":
        from peft import LoraConfig, TaskType, get_peft_model

        targets = ["query", "key", "value", "dense"]
        return get_peft_model(
            model, LoraConfig(task_type=TaskType.SEQ_CLS, r=RANK, lora_alpha=ALPHA, target_modules=targets)
        )
    layers = model.base_model.encoder.layer
    frozen = {"full": [], "head": [model.base_model], "partial": [model.base_model.embeddings, *layers[:-TOP_LAYERS]]}
    for part in frozen[job.update]:
        part.requires_grad_(False)
    return model


def peer_trainer(job: Job, tokenizer: Any, examples: list[Any], *, epochs: float, seed: int) -> tuple[Any, Any]:
    """Return a Trainer with its usual settings, and a clock that holds the seconds of its last epoch."""
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    class Clock(TrainerCallback):
        seconds = 0.0

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            wait_for(job.device)
            self._begin = time.perf_counter()

        def on_epoch_end(self, *_: Any, **__: Any) -> None:
            wait_for(job.device)
            self.seconds = time.perf_counter() - self._begin

    clock = Clock()
    settings = TrainingArguments(
        output_dir=str(arms.SCRATCH / "trainer"), num_train_epochs=epochs, seed=seed,
        per_device_train_batch_size=job.batch_size, learning_rate=PEER_RATES.get(job.update, 5e-5),
        use_cpu=job.device == "cpu", bf16=job.precision == "bfloat16", torch_compile=job.compiled,
        dataloader_pin_memory=job.device == "cuda", save_strategy="no", report_to="none", disable_tqdm=True,
    )  # fmt: skip
    collator = DataCollatorWithPadding(
        tokenizer, pad_to_multiple_of=64 if job.compiled else None
    )  # few shapes to compile
    trainer = Trainer(
        model=peer_model(job), args=settings, train_dataset=examples, data_collator=collator, callbacks=[clock]
    )
    trainer.remove_callback(PrinterCallback)
    return trainer, clock


MAKERS = {OURS: our_arm, PEER: trainer_arm, COMPILED: trainer_arm}

if __name__ == "__main__":
    main(sys.argv[1:])
