"""The arms of the few-label benchmark: from raw labelled texts to a classifier, and its labels for the test.

The model is loaded before the clock; the clock of training covers all from the labelled texts to a classifier that is
ready to predict, tokenising and choices included. Prediction of the test is timed apart.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import arms
import numpy as np
from finetune import Job, encoded, peer_trainer, precision_of
from texts import Parts, Rows

LR, SETFIT, TRAINER, AUTO, AUTO_PILE = "lr", "setfit", "trainer", "auto", "auto+pile"
OURS_AUTO = {"method": "auto"}
TRAINER_BATCH, TRAINER_EPOCHS, TRAINER_STEPS = 16, 20, 300  # epochs, but no more steps
SETFIT_BATCH, TIMED_STEPS = 16, 5
SLOWEST_STEP = 10.0  # seconds: where even such steps keep within the limit, none are timed


@dataclass(frozen=True)
class Task:
    """One run: what is learnt from, what is predicted."""

    data_set: str
    seed: int
    labelled: Rows
    test: Rows
    names: tuple[str, ...]
    label_names: Mapping[str, str]
    pile: Rows | None = None
    setfit_minutes: float = 30.0
    step_seconds: float | None = None
    """Of SetFit on this set, where it was timed before."""

    def ids(self) -> list[int]:
        return [self.names.index(label) for label in self.labelled.labels()]


WARM_UP = Task(
    "warm-up", 0,
    Rows("warm-up", [f"a {kind} example, number {number}" for kind in ("good", "bad") for number in range(8)],
         ["good"] * 8 + ["bad"] * 8),
    Rows("warm-up", ["one more good example", "one more bad example"], ["good", "bad"]), ("bad", "good"), {},
)  # fmt: skip


@contextlib.contextmanager
def timed(row: arms.Row, name: str) -> Iterator[None]:
    """Put the wall seconds of a block into the row, and the CPU's own: other work disturbs them less."""
    wall, cpu = time.perf_counter(), time.process_time()
    yield
    row[name] = round(time.perf_counter() - wall, 3)
    row[f"cpu_{name}"] = round(time.process_time() - cpu, 3)


def regression(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of logistic regression on frozen vectors; the test's are computed once a set."""
    from sklearn.linear_model import LogisticRegression

    model = sentence_transformer(folder, device, longest)
    encode = functools.partial(model.encode, normalize_embeddings=True, show_progress_bar=False)
    tests: dict[str, tuple[np.ndarray, arms.Row]] = {}

    def run(task: Task) -> arms.Row:
        row: arms.Row = {}
        with timed(row, "seconds"):
            head = LogisticRegression(max_iter=1000).fit(encode(task.labelled.texts()), task.ids())
        if task.data_set not in tests:
            with timed(row, "predict_seconds"):
                vectors = encode(task.test.texts())
            tests[task.data_set] = vectors, {key: row[key] for key in row if "predict" in key}
        vectors, seconds = tests[task.data_set]
        return {**row, **seconds, "predicted": head.predict(vectors).tolist()}

    return run


def sentence_transformer(folder: str, device: str, longest: int) -> Any:
    """Return the weights as sentence-transformers has them; weights that are no such folder get mean pooling."""
    from sentence_transformers import SentenceTransformer

    if (Path(folder) / "modules.json").is_file():
        model = SentenceTransformer(folder, device=device)
    else:
        from sentence_transformers.sentence_transformer import modules as models

        tokens = models.Transformer(folder)
        pooling = models.Pooling(tokens.get_word_embedding_dimension(), pooling_mode="mean")
        model = SentenceTransformer(modules=[tokens, pooling, models.Normalize()], device=device)
    model.max_seq_length = longest
    return model


def setfit(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of SetFit 1.2 with its defaults; max_steps where they would take longer than the task's limit."""
    import datasets
    from setfit import SetFitModel
    from setfit import logging as setfit_logging
    from sklearn.linear_model import LogisticRegression

    datasets.disable_progress_bars()
    setfit_logging.set_verbosity_error()

    def model() -> Any:
        return SetFitModel(sentence_transformer(folder, device, longest), LogisticRegression())

    def run(task: Task) -> arms.Row:
        row: arms.Row = {"default_steps": default_steps(task.labelled.labels()), "limited_to_steps": None}
        limit = 60 * task.setfit_minutes
        if row["default_steps"] * SLOWEST_STEP > limit:
            row["step_seconds"] = task.step_seconds or seconds_a_step(model(), task)
            most = max(1, int(limit / row["step_seconds"]))
            row["limited_to_steps"] = most if most < row["default_steps"] else None
        fresh = model()
        with timed(row, "seconds"):
            trainer = setfit_trainer(fresh, task, row["limited_to_steps"])
            trainer.train()
        row["steps"] = trainer.st_trainer.state.global_step
        with timed(row, "predict_seconds"):
            predicted = fresh.predict(task.test.texts())
        gc.collect()
        return {**row, "predicted": [int(label) for label in predicted]}

    return run


def setfit_trainer(model: Any, task: Task, steps: int | None) -> Any:
    from datasets import Dataset
    from setfit import Trainer, TrainingArguments
    from transformers import PrinterCallback

    settings = TrainingArguments(
        output_dir=str(arms.SCRATCH / "setfit"), seed=task.seed, max_steps=steps or -1, save_strategy="no",
        report_to="none", show_progress_bar=False,
    )  # fmt: skip
    rows = Dataset.from_dict({"text": task.labelled.texts(), "label": task.ids()})
    trainer = Trainer(model=model, args=settings, train_dataset=rows)
    trainer.remove_callback(PrinterCallback)
    return trainer


def default_steps(labels: Sequence[str]) -> int:
    """Return the steps of SetFit's one epoch: all pairs of texts, the rarer kind repeated until both are as many."""
    counts = Counter(labels).values()
    same = sum(count * (count + 1) // 2 for count in counts)  # a text with itself too
    different = math.comb(len(labels), 2) - sum(math.comb(count, 2) for count in counts)
    return math.ceil(2 * max(same, different) / SETFIT_BATCH)


def seconds_a_step(model: Any, task: Task) -> float:
    """Time a few steps after the first: by the wall, or by the CPU's clock where other work holds up the wall's."""
    from transformers import TrainerCallback

    ends: list[tuple[float, float]] = []
    cores = len(os.sched_getaffinity(0))

    class Watch(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append((time.perf_counter(), time.process_time() / cores))

    trainer = setfit_trainer(model, task, TIMED_STEPS + 1)
    trainer.add_callback(Watch())
    trainer.train_embeddings(task.labelled.texts(), task.ids())
    wall, cpu = (last - first for first, last in zip(ends[0], ends[-1], strict=True))
    return round(min(wall, cpu) / (len(ends) - 1), 4)


def fine_tuned(*, folder: str, device: str, longest: int) -> arms.Run:
    """Return a run of transformers' Trainer on everything: rate 5e-5, batches of 16, 20 epochs, at most 300 steps."""
    import transformers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def run(task: Task) -> arms.Row:
        given = (task.names, task.labelled, task.test)
        job = Job(folder, device, "full", *given, TRAINER_BATCH, longest, precision_of(device))
        a_pass = math.ceil(len(task.labelled) / TRAINER_BATCH)
        steps = min(TRAINER_EPOCHS * a_pass, TRAINER_STEPS)
        transformers.set_seed(task.seed)
        # The Trainer rounds up to whole steps.
        trainer, _ = peer_trainer(job, tokenizer, [], epochs=(steps - 0.5) / a_pass, seed=task.seed)
        row: arms.Row = {}
        with timed(row, "seconds"):
            trainer.train_dataset = encoded(tokenizer, task.labelled, job)
            trainer.train()
        row["steps"] = trainer.state.global_step
        with timed(row, "predict_seconds"):
            predicted = trainer.predict(encoded(tokenizer, task.test, job)).predictions.argmax(axis=1)
        return {**row, "predicted": predicted.tolist()}

    return run


def ours(*, folder: str, device: str, longest: int, update: Mapping[str, Any]) -> arms.Run:
    """Return a run of nlptl's stages on an encoder that is loaded."""
    from nlptl.context import RunContext
    from nlptl.stages.bert import Bert

    data: Any = Parts()
    on: Any = device
    encoder = Bert(weights=folder, max_length=longest).run(data=data, context=RunContext(device=on))

    def run(task: Task) -> arms.Row:
        context = RunContext(seed=task.seed, device=on)
        row: arms.Row = {}
        with timed(row, "seconds"):
            classifier = trained(encoder, task, update, context)
        with timed(row, "predict_seconds"):
            predicted = classifier.predict_proba(task.test.texts()).argmax(axis=1)
        numbers = [task.names.index(label) for label in classifier.labels]
        report = {key: value for key, value in context.record.report.items() if key not in ("weight_change", "work")}
        told = json.loads(json.dumps(report, default=str))
        return {**row, "report": told, "predicted": [numbers[guess] for guess in predicted]}

    return run


def trained(encoder: Any, task: Task, update: Mapping[str, Any], context: Any) -> Any:
    """Return a classifier as nlptl's users get it: a head for the labels, then the stage finetune."""
    from nlptl.stages.classification_head import ClassificationHead
    from nlptl.stages.finetune import FineTune

    data: Any = Parts(
        names=task.names, unlabelled=task.pile, labelled=task.labelled, label_names=dict(task.label_names) or None
    )
    given = ClassificationHead().run(encoder, data=data, context=context)
    chosen: Any = dict(update)
    return FineTune(update=chosen).run(given, data=data, context=context)


MAKERS: dict[str, Callable[..., arms.Run]] = {
    LR: regression,
    SETFIT: setfit,
    TRAINER: fine_tuned,
    AUTO: ours,
    AUTO_PILE: ours,
}
