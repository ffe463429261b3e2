"""The arms of the few-label benchmark: from raw labelled texts to a classifier, and its labels for the test.

The model is loaded before the clock; the clock of training covers all from the labelled texts to a classifier that is
ready to predict, tokenising and choices included. Prediction of the test is timed apart.
"""

from __future__ import annotations

import gc
import json
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import arms
import numpy as np
from fewshot_linear import cross_validated, regression, sentence_transformer, words
from fewshot_task import Task, encoding_timed, guesses, timed
from finetune import Job, encoded, peer_trainer, precision_of
from texts import Parts

LR, LR_CV, TFIDF = "lr", "lr-cv", "tfidf"
SETFIT, TRAINER = "setfit", "trainer"
AUTO, AUTO_ENCODERS = "auto", "auto+encoders"
AUTO_PILE, AUTO_SKEWED, AUTO_OPEN = "auto+pile", "auto+skewed", "auto+open"
OURS_AUTO: dict[str, Any] = {"method": "auto"}
OURS_OPEN: dict[str, Any] = {"method": "self_training", "gate": "always"}
TRAINER_BATCH, TRAINER_EPOCHS, TRAINER_STEPS = 16, 20, 300  # epochs, but no more steps
SETFIT_BATCH, TIMED_STEPS = 16, 5
SLOWEST_STEP = 10.0  # seconds: where even such steps keep within the limit, none are timed


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


def ours(
    *, folder: str, device: str, longest: int, update: Mapping[str, Any], encoders: Sequence[str] = (), called: str = ""
) -> arms.Run:
    """Return a run of nlptl's stages: on an encoder that is loaded, or on the one that they choose of several.

    The row names encoders without their folders' places; `called` is the name of the first.
    """
    from nlptl.context import RunContext
    from nlptl.stages.bert import Bert

    on: Any = device
    several: Any = [folder, *encoders] if encoders else folder
    names = {folder: called, **{one: Path(one).name for one in encoders}}
    first = Bert(weights=several, max_length=longest)
    nothing: Any = Parts()
    loaded = None if encoders else first.run(data=nothing, context=RunContext(device=on))

    def run(task: Task) -> arms.Row:
        context = RunContext(seed=task.seed, device=on)
        data: Any = parts_of(task)
        row: arms.Row = {}
        with timed(row, "seconds"), encoding_timed(row):
            encoder = loaded or first.run(data=data, context=context)
            classifier = trained(encoder, data, update, context)
        with timed(row, "predict_seconds"):
            probabilities = classifier.predict_proba(task.test.texts())
        numbers = np.array([task.names.index(label) for label in classifier.labels])
        return {**row, "report": told(context.record.report, names), **guesses(probabilities, numbers)}

    return run


def told(report: Mapping[str, Any], names: Mapping[str, str]) -> Any:
    """Return what a run reports as plain values, with the names of encoders for their folders."""
    text = json.dumps(
        {key: found for key, found in report.items() if key not in ("weight_change", "work")}, default=str
    )
    for folder, name in names.items():
        text = text.replace(json.dumps(folder)[1:-1], name)
    return json.loads(text)


def parts_of(task: Task) -> Parts:
    return Parts(
        names=task.names, unlabelled=task.pile, labelled=task.labelled, label_names=dict(task.label_names) or None
    )


def trained(encoder: Any, data: Any, update: Mapping[str, Any], context: Any) -> Any:
    """Return a classifier as nlptl's users get it: a head for the labels, then the stage finetune."""
    from nlptl.stages.classification_head import ClassificationHead
    from nlptl.stages.finetune import FineTune

    given = ClassificationHead().run(encoder, data=data, context=context)
    chosen: Any = dict(update)
    return FineTune(update=chosen).run(given, data=data, context=context)


MAKERS: dict[str, Callable[..., arms.Run]] = {
    LR: regression,
    LR_CV: cross_validated,
    TFIDF: words,
    SETFIT: setfit,
    TRAINER: fine_tuned,
    **dict.fromkeys((AUTO, AUTO_ENCODERS, AUTO_PILE, AUTO_SKEWED, AUTO_OPEN), ours),
}
