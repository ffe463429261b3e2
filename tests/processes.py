"""What one process, or each of several, does in the tests of several processes."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nlptl.context import Record, RunContext
from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.pretraining.encoders.continued import continue_training
from nlptl.pretraining.encoders.objectives import TSDAE, MaskedLM, SimCSE
from nlptl.runs.chain import Chain
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.training.batches import share_of_rows
from nlptl.training.checkpoints import Checkpoints
from nlptl.training.distributed import processes
from nlptl.training.loop import ParameterGroup, TrainingJob, train
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder
from tests.pretraining.piles import small_pile

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
OBJECTIVES = (
    MaskedLM(steps=6, batch_size=5, head_warmup_steps=2, learning_rate=1e-3),
    SimCSE(steps=6, batch_size=5, learning_rate=1e-3),
    TSDAE(steps=6, batch_size=5, learning_rate=1e-3),
)
UPDATES: tuple[Mapping[str, Any], ...] = (
    {"method": "full", "dropout": 0},
    {"method": "partial", "top_layers": 2, "gradual_unfreezing": True, "dropout": 0},
    {"method": "lora", "rank": 2, "dropout": 0},
)


def curves() -> dict[str, Tensor]:
    """Train by every objective and update; returns the loss of each step or epoch, and the weights after."""
    found: dict[str, Tensor] = {}
    for settings in OBJECTIVES:
        losses: list[float] = []
        encoder = tiny_encoder("bert", **NO_DROPOUT)
        context = RunContext(seed=7, device="cpu", record=Record(lambda _, row, __, to=losses: to.append(row["loss"])))
        pile = small_pile(encoder, small_reviews(41)[0])
        outcome = continue_training(encoder, settings, pile, context, folder=None, precision="float32")
        found[f"{settings.objective}.losses"] = torch.tensor([*losses, outcome.before or 0, outcome.after or 0])
        found.update(_weights(settings.objective, encoder))
    data = TextData(labelled=small_reviews(21))
    for update in UPDATES:
        context = RunContext(seed=7, device="cpu")
        given = ClassificationHead().run(tiny_encoder("bert", **NO_DROPOUT), data=data, context=context)
        stage = FineTune.model_validate(
            {
                "update": {
                    **update,
                    "epochs": 3,
                    "l2": 0.1,
                    "batch_size": 5,
                    "precision": "float32",
                    "label_weights": "balanced",
                }
            }
        )
        trained = stage.run(given, data=data, context=context)
        name = str(update["method"])
        found[f"{name}.losses"] = torch.tensor([float(row["loss"]) for row in context.record.history])
        found.update(_weights(name, trained))
    return found


def resumed(folder: Path, *, stop: int | None) -> Tensor:
    """Train with dropout, and with `stop` end without a word after that step and begin again; returns the weights."""
    calm = stop is None
    for stop_at in (stop, None) if not calm else (None,):
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        for index, parameter in enumerate(model.parameters()):
            nn.init.constant_(parameter, 0.1 * (index + 1))
        rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
        job = TrainingJob(
            model=model,
            groups=[ParameterGroup(list(model.parameters()), 0.1)],
            batches=lambda epoch: torch.arange(10).roll(epoch).split(3),
            loss=lambda part, model=model, rows=rows: model(rows[part]).pow(2).mean(),
            epochs=4,
            seed=3,
            share=share_of_rows,
            checkpoints=None if calm else Checkpoints(folder / "checkpoints", "x", every_steps=3),
        )

        def after_step(step: int, loss: float, stop_at: int | None = stop_at) -> None:
            if step == stop_at:
                raise InterruptedError

        try:
            train(job, after_step=after_step)
        except InterruptedError:
            continue
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def _weights(name: str, module: nn.Module) -> dict[str, Tensor]:
    return {f"{name}.weights.{key}": tensor.clone() for key, tensor in module.state_dict().items()}


def train_and_run(folder: Path) -> None:
    """Write curve-RANK.safetensors with every loss and weight; run small.yaml from Python, then from the command line."""
    torch.set_num_threads(1)
    found = curves()
    found["resumed.calm"] = resumed(folder, stop=None)
    found["resumed.disturbed"] = resumed(folder, stop=8)
    save_file(found, folder / f"curve-{processes().index}.safetensors")
    result = Pipeline.from_yaml(folder / "small.yaml").run(folder / "two", context=RunContext(device="cpu"))
    kept = [outcome.kept for outcome in result.stages]
    accuracy = result.evaluation.accuracy.value if result.evaluation is not None else None
    (folder / f"kept-{processes().index}.txt").write_text(f"{kept} {accuracy}", encoding="utf-8")
    run(folder / "small.yaml", folder / "two")


def run(path: Path, out: Path) -> None:
    """Run a pipeline file as `python -m nlptl` does."""
    sys.argv = ["nlptl", "run", str(path), "--out", str(out), "--device", "cpu"]
    runpy.run_module("nlptl", run_name="__main__")


def run_and_fail(path: Path, out: Path) -> None:
    """Run a pipeline file whose check fails on process 1."""
    if processes().index == 1:
        with mock.patch.object(Chain, "check_into", side_effect=DataError("disk: gone.")):
            run(path, out)
    run(path, out)
