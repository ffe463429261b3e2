"""The benchmarks stay alive: every arm end to end with a tiny random model, every table from what that writes."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import small_reviews

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # transformers' and PEFT's own about each other
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Compute tiny tensors on one thread: two that wait for each other on a busy machine take ten times as long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, root: Path) -> Any:
    """Return what imports a benchmark that writes below tmp_path, its environment put back afterwards."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_PROGRESS_BARS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    arms, results, tables = (importlib.import_module(name) for name in ("arms", "results", "tables"))
    monkeypatch.setattr(arms, "SCRATCH", tmp_path / "scratch")
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(tables, "RESULTS", tmp_path / "scratch")
    return importlib.import_module


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for data_set in ("tweeteval/emotion", "imdb"):
        (tmp_path / data_set).mkdir(parents=True)
        for part, count, start in (("train", 60, 0), ("test", 30, 400), ("unlabelled", 50, 600)):
            labelled = part != "unlabelled"
            rows = [
                {"text": text, "label": label} if labelled else {"text": text}
                for text, label in zip(*small_reviews(count, start=start), strict=True)
            ]
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (tmp_path / data_set / f"{part}.jsonl").write_text(lines, encoding="utf-8")
    return str(tmp_path)


def test_encode_measures_equal_vectors(bench: Any, folder: str) -> None:
    arguments = [folder, "--tiny", "--device", "cpu", "--repeats", "1", "--peer", "transformers"]
    result = json.loads(bench("encode").main(arguments).read_text())
    assert {(row["set"], row["arm"]) for row in result["rows"]} == {
        (name, arm) for name in ("emotion", "imdb") for arm in ("nlptl", "transformers")
    }
    cosines = [bar["value"] for bar in result["bars"] if "cosine" in bar["name"]]
    assert len(cosines) == 2
    assert min(cosines) > 0.9999
    assert "| emotion | float32 |" in bench("tables").encode()


def test_finetune_speed_goes_on_after_an_interruption(bench: Any, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    finetune = bench("finetune")
    arguments = [folder, "--tiny", "--device", "cpu", "--repeats", "1", "--sets", "emotion", "--parts", "speed"]
    made = dict(finetune.MAKERS)

    def stops(*, job: Any) -> Any:
        if job.update == "lora":
            raise KeyboardInterrupt
        return made["Trainer"](job=job)

    monkeypatch.setitem(finetune.MAKERS, "Trainer", stops)
    with pytest.raises(KeyboardInterrupt):
        finetune.main(arguments)
    monkeypatch.setitem(finetune.MAKERS, "Trainer", made["Trainer"])
    kept: list[str] = []

    def watched(*, job: Any) -> Any:
        kept.append(job.update)
        return made["nlptl"](job=job)

    monkeypatch.setitem(finetune.MAKERS, "nlptl", watched)
    result = json.loads(finetune.main(arguments)[0].read_text())
    assert kept == ["partial", "head"]
    assert len(result["rows"]) == 8
    assert [bar["at_least"] for bar in result["bars"] if "at_least" in bar] == [1.5, 4.0, 20.0]
    assert all(row["scaled"] == (row["arm"] == "Trainer") for row in result["rows"])
    assert "| emotion | head |" in bench("tables").finetune_speed()


def test_finetune_scores_compares_the_arms(bench: Any, folder: str) -> None:
    finetune = bench("finetune")
    result = json.loads(finetune.main([folder, "--tiny", "--device", "cpu", "--parts", "scores"])[0].read_text())
    assert len(result["rows"]) == 4
    assert [bar["name"].split(": ")[1] for bar in result["bars"]] == [
        "upper end of macro-F1 difference",
        "wall of Trainer over ours",
    ] * 2
    assert "| lora |" in bench("tables").finetune_scores()


def test_macro_f1_draws_begin_with_the_mean_of_the_seeds(bench: Any) -> None:
    import numpy as np
    from sklearn.metrics import f1_score

    finetune = bench("finetune")
    truth, predicted = np.arange(60) % 3, np.random.default_rng(1).integers(0, 3, (2, 60))
    draws = finetune.macro_f1_draws(truth, predicted, resamples=50)
    assert draws[0] == pytest.approx(np.mean([f1_score(truth, one, average="macro") for one in predicted]))
    assert len(draws) == 51
    assert draws[1:].std() > 0.01


def test_imdb_continue_pairs_its_splits(bench: Any, folder: str) -> None:
    result = json.loads(bench("imdb_continue").main([folder, "--tiny", "--device", "cpu"]).read_text())
    assert [row["arm"] for row in result["rows"]] == ["continuation", *2 * ["as it came"], *2 * ["continued"]]
    assert "at_least" not in result["bars"][0]
    assert result["bars"][0]["range"] in bench("tables").imdb_continue()


def test_an_arm_has_a_process_of_its_own(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "benchmark_of_sums.py").write_text(
        "def doubling(*, start):\n    return lambda number: {'sum': start + 2 * number} if number else {}['nothing']\n",
        encoding="utf-8",
    )
    arms = bench("arms")
    sys.path.insert(0, str(tmp_path))  # which `bench` has asked to be put back
    arm = arms.OwnProcess(importlib.import_module("benchmark_of_sums").doubling, {"start": 1})
    row = arm.run(3)
    assert row["sum"] == 7
    assert row["peak_memory_mib"] > 1
    assert row["load_seconds"] >= 0
    with pytest.raises(SystemExit, match=r"doubling: failed\n(.|\n)*KeyError: 'nothing'"):
        arm.run(0)
    arm.close()
