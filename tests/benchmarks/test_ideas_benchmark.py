"""The benchmark of ideas: its draws, one run, and its differences."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models.tiny import tiny_folder


def row(arm: str, draw: int, *, right: int) -> dict[str, Any]:
    """Return a run that is right on so many of ten texts."""
    found = np.tile([0.8, 0.1, 0.1], (10, 1))
    truth = [0] * right + [2] * (10 - right)
    return {"arm": arm, "draw": draw, "probabilities": found.tolist(), "truth": truth, "cpu_seconds": 1.0 + draw}


def test_a_draw_parts_the_training_posts(bench: Any) -> None:
    ideas = bench("ideas")
    draw = ideas.draw_posts(1, ideas.FEW)
    assert Counter(draw.labels) == ideas.FEW
    assert len(draw.scored) == len(draw.truth) == 336
    assert not set(draw.texts) & set(draw.scored)
    assert draw == ideas.draw_posts(1, ideas.FEW)
    assert draw.texts != ideas.draw_posts(2, ideas.FEW).texts


def test_cheap_arms_run_first_and_have_more_draws(bench: Any) -> None:
    ideas = bench("ideas")
    runs = ideas.runs(["full", "head"])
    assert runs == [*(("head", number) for number in range(6)), *(("full", number) for number in range(3))]


def test_a_run_is_kept(bench: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ideas, arms = bench("ideas"), bench("arms")
    kept = arms.Kept("ideas", {})
    encoders = ideas.Encoders(str(tiny_folder(tmp_path / "weights", "bert")))
    ideas.measure("head", 0, kept, encoders)
    (found,) = kept.rows()
    assert 0.2 < found["accuracy"] < 0.9
    assert np.array(found["probabilities"]).shape == (336, 3)
    ideas.measure("head", 0, kept, encoders)
    assert capsys.readouterr().out.count("draw 0, head") == 1


def test_an_idea_is_told_over_the_draws_of_both_arms(bench: Any) -> None:
    ideas = bench("ideas")
    rows = [row("words", draw, right=5) for draw in range(3)] + [row("head", draw, right=7) for draw in range(5)]
    (bar,) = ideas.bars(rows)
    assert (bar["name"], bar["value"], bar["draws"]) == ("frozen encoder with a new head less words alone", 20.0, 3)
    assert bar["arms"]["words"].startswith("50.0 [")
    assert bar["cpu_seconds"] == {"words": 2.0, "head": 2.0}
    assert ideas.bars(rows[1:]) == []


def test_log_loss_and_recall_are_those_of_the_rows(bench: Any) -> None:
    ideas = bench("ideas")
    found = row("head", 0, right=4)
    assert ideas.by_text(found, "log-loss")[:5].round(3).tolist() == [0.223] * 4 + [2.303]
    assert ideas.by_text(found, "recall").tolist() == [0.0] * 6
    mean = ideas.mean_of(found, {**found, "probabilities": [[0.0, 0.0, 1.0]] * 10})
    assert mean["probabilities"][0] == [0.4, 0.05, 0.55]
    assert mean["cpu_seconds"] == 2.0
