"""The GPU engine: draws, gradient, refusals here; its kernel in Triton's interpreter, compiled for Hopper, and on a GPU."""

from __future__ import annotations

import gzip
import importlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nlptl.errors import ConfigError
from nlptl.pretraining.word2vec.corpus import Corpus
from nlptl.pretraining.word2vec.engines import Callbacks, SkipGramTask
from nlptl.pretraining.word2vec.gpu_engine import available, noise_table, train
from nlptl.pretraining.word2vec.gpu_tuning import Tile, Tuning, highest_rates, tile_for
from nlptl.pretraining.word2vec.sampling import keep_probability
from tests.pretraining.word2vec import gpu_reference

TASK = SkipGramTask(dim=100, window=5, negatives=5, subsample=1e-3, epochs=5, learning_rate=0.025, seed=3)
CORPUS = Corpus(np.array([1, 2], np.int32), np.array([0, 2]), np.array([0, 1, 1]))
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")


def run(*command: str, root: Path, cache: Path, **environment: str) -> str:
    """Run Python in a process of its own and return what it printed."""
    told = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    told |= {"TRITON_CACHE_DIR": str(cache), "PYTHONPATH": str(root), **environment}
    done = subprocess.run([sys.executable, *command], check=False, capture_output=True, text=True, cwd=root, env=told)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_triton
def test_the_engine_works_in_the_interpreter(root: Path, tmp_path: Path) -> None:
    cases = ("-m", "pytest", "--noconftest", "-p", "no:cacheprovider", "tests/pretraining/word2vec/gpu_cases.py")
    assert "11 passed" in run(*cases, root=root, cache=tmp_path, TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_the_engine_works_on_a_gpu(root: Path, tmp_path: Path) -> None:
    cases = ("-m", "pytest", "--noconftest", "-p", "no:cacheprovider", "tests/pretraining/word2vec/gpu_cases.py")
    assert "11 passed" in run(*cases, root=root, cache=tmp_path)


@needs_triton
@pytest.mark.parametrize(
    ("dim", "window", "stack"),
    [
        ("100", "5", 256),
        pytest.param("300", "5", 256, marks=pytest.mark.slow),
        pytest.param("100", "100", 1_024, marks=pytest.mark.slow),
    ],
)
def test_the_kernel_compiles_for_hopper(dim: str, window: str, stack: int, root: Path, tmp_path: Path) -> None:
    told = run("tests/pretraining/word2vec/gpu_compiled.py", dim, window, root=root, cache=tmp_path)
    if told.startswith("skip"):
        pytest.skip(told)
    kernel = json.loads(told)
    assert kernel["reads_four_at_once"]
    assert kernel["adds_four_at_once"]
    assert kernel["shared_bytes"] <= 48 * 1024
    assert kernel["stack_bytes"] <= stack


def test_the_reference_is_the_gradient_of_its_loss() -> None:
    generator = np.random.default_rng(0)
    inputs, outputs = generator.normal(size=(2, 7, 4))
    tile = Tile(centres=4, slots=16, contexts=16, noise=6, block=16, warps=4)
    words, texts = np.array([1, 2, 3, 1, 4]), np.array([0, 0, 0, 1, 1])
    aliases, cuts = noise_table(np.array([0.0, 2, 1, 1, 1, 1, 1]))
    drawn = gpu_reference.draws(words, texts, aliases, cuts, number=0, key=9, window=3, tile=tile)
    assert (1, 3) in drawn.pairs or (2, 3) in drawn.pairs
    assert not {(3, 1), (3, 4)} & set(drawn.pairs[-2:])  # texts end between the third and the fourth word
    found = gpu_reference.slopes(inputs, outputs, drawn, 3)
    for table, slope in zip((inputs, outputs), found, strict=True):
        for place in np.ndindex(*table.shape):
            value = table[place]
            losses = []
            for table[place] in (value - 1e-5, value + 1e-5):
                losses.append(gpu_reference.loss(inputs, outputs, drawn, 3))
            table[place] = value
            assert slope[place] == pytest.approx((losses[0] - losses[1]) / 2e-5, abs=1e-6)


def test_a_shared_pool_weighs_as_much_as_noise_words_of_their_own() -> None:
    generator = np.random.default_rng(0)
    inputs, outputs = generator.normal(size=(2, 6, 3))
    probabilities = np.array([0, 0.4, 0.3, 0.1, 0.1, 0.1])
    pair = [(1, 2)]
    exact = gpu_reference.slopes(inputs, outputs, gpu_reference.Draws(pair, np.array([2])), 0)[0][1].copy()
    for word in (1, 3, 4, 5):  # not 2, the positive itself
        exact -= 5 * probabilities[word] / (1 + np.exp(-inputs[1] @ outputs[word])) * outputs[word]
    pools = generator.choice(6, (4_000, 16), p=probabilities)
    means = [gpu_reference.slopes(inputs, outputs, gpu_reference.Draws(pair, pool), 5)[0][1] for pool in pools]
    error = np.std(means, axis=0) / np.sqrt(len(means))
    assert np.all(np.abs(np.mean(means, axis=0) - exact) < 4 * error)


def test_random_numbers_are_philox() -> None:
    """Known answers from the paper's own test vectors (Random123, kat_vectors)."""
    first, second = gpu_reference.philox(0, np.array([0]))
    assert (int(first[0]), int(second[0])) == (0x6627E8D5, 0xE169C58D)


def test_an_alias_table_draws_by_weight() -> None:
    counts = np.array([50, *(1_000_000 // np.arange(1, 2_000))])
    weights = counts**0.75
    weights[0] = 0.0
    aliases, cuts = noise_table(weights)
    drawn = cuts / len(cuts) + np.bincount(aliases, (1.0 - cuts) / len(cuts), minlength=len(cuts))
    np.testing.assert_allclose(drawn, weights / weights.sum(), atol=1e-8)
    assert cuts[0] == 0.0


def test_a_word_without_weight_is_never_drawn() -> None:
    generator = np.random.default_rng(0)
    for size in range(2, 200):
        aliases, cuts = noise_table(np.append(0.0, generator.integers(1, 4, size)) ** 0.75)
        assert cuts[0] == 0.0
        assert aliases.all()


def test_words_are_kept_as_often_as_in_gensim() -> None:
    counts = np.array([99, 900, 90, 10])
    shares = counts[1:] / 1_000
    expected = np.minimum(1, (np.sqrt(shares / 0.05) + 1) * 0.05 / shares)
    np.testing.assert_allclose(keep_probability(counts, 0.05)[1:], expected, rtol=1e-6)
    assert keep_probability(counts, 0.0).tolist() == [1.0] * 4


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (TASK, Tile(centres=16, slots=16, contexts=32, noise=32, block=128, warps=4)),
        (replace(TASK, dim=300), Tile(centres=16, slots=16, contexts=32, noise=32, block=64, warps=4)),
        (replace(TASK, dim=12, window=8), Tile(centres=16, slots=16, contexts=32, noise=32, block=16, warps=4)),
        (replace(TASK, window=10), Tile(centres=16, slots=16, contexts=64, noise=32, block=64, warps=4)),
        (replace(TASK, negatives=50), Tile(centres=16, slots=16, contexts=32, noise=64, block=64, warps=4)),
        (replace(TASK, window=100), Tile(centres=16, slots=16, contexts=256, noise=32, block=16, warps=8)),
    ],
)
def test_a_tile_holds_its_centres_and_their_contexts(task: SkipGramTask, expected: Tile) -> None:
    assert tile_for(task, Tuning()) == expected


def test_frequent_words_learn_slower_where_much_trains_at_once() -> None:
    shares = np.array([0.0, 0.1, 0.01, 1e-6], np.float32)
    alone = highest_rates(shares, TASK, Tuning(longest_step=4.0), at_once=16)
    many = highest_rates(shares, TASK, Tuning(longest_step=4.0), at_once=4_000)
    assert alone.min() > TASK.learning_rate
    assert many[1] == pytest.approx(4.0 / (6 * 6 * 401), rel=1e-5)
    assert many[3] > TASK.learning_rate


def test_a_machine_without_triton_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert not available()
    with pytest.raises(ConfigError) as caught:
        train(CORPUS, TASK, start=None, callbacks=Callbacks())
    assert str(caught.value) == (
        "skipgram.engine: found gpu, but triton, its compiler, is not installed; expected version 3.6 or later. "
        "Install nlptl[gpu] or choose engine: cpu."
    )


def test_a_machine_without_a_gpu_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert not available()
    with pytest.raises(ConfigError) as caught:
        train(CORPUS, TASK, start=None, callbacks=Callbacks())
    assert str(caught.value) == (
        "skipgram.engine: found gpu, but torch sees no CUDA device; expected one with a driver that torch was built for. "
        "Check torch.cuda.is_available() or choose engine: cpu."
    )


def test_importing_the_engine_imports_neither_torch_nor_triton(root: Path, tmp_path: Path) -> None:
    told = run(
        "-c", "import sys, nlptl.pretraining.word2vec.gpu_engine; print({'torch', 'triton'} & set(sys.modules))",
        root=root, cache=tmp_path,
    )  # fmt: skip
    assert told == "set()\n"


@needs_triton
def test_the_benchmark_tries_itself_out(root: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    words = np.array(["cat", "dog", "sun", "sea", "car", "kin", "old", "new"])
    with gzip.open(tmp_path / "text.gz", "wt") as file:
        file.write(" ".join(words[generator.integers(0, 8, 60)]))
    (tmp_path / "EN-MEN-TR-3k.txt").write_text("cat dog 40.0\nsun sea 30.0\ncar kin 5.0\nold moon 1.0\n")
    (tmp_path / "questions-words.txt").write_text(": pairs\nold new cat dog\nold new sun moon\n")
    code = (
        "import sys, pathlib; sys.path.insert(0, 'benchmarks'); import arms, word2vec_gpu; "
        "folder = sys.argv[1]; arms.SCRATCH = pathlib.Path(folder); "
        "word2vec_gpu.main([folder + '/text.gz', '--wordsim', folder, '--tiny', '--repeats', '1'])"
    )
    run("-c", code, str(tmp_path), root=root, cache=tmp_path)
    result = json.loads((tmp_path / "word2vec-gpu.json").read_text())
    assert [row["dim"] for row in result["rows"] if row["arm"] == "nlptl gpu" and "repeat" in row] == [8, 24]
    assert {row["arm"] for row in result["rows"] if row.get("part") == "quality"} >= {"nlptl gpu"}
    names = [bar["name"] for bar in result["bars"]]
    assert names[:2] == ["kept words a second, dim 8", "kept words a second, dim 24"]
    assert result["bars"][0]["at_least"] == 100e6


def test_pairs_are_those_that_a_window_is_expected_to_hold(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    pairs = importlib.import_module("word2vec_gpu").pairs
    counted = sum(
        1 - (far - 1) / 3 for place in range(10) for other in range(10) if 0 < (far := abs(place - other)) <= 3
    )
    assert pairs(20, texts=2, window=3) == pytest.approx(2 * counted)
