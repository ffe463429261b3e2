"""Threads that use one encoder or classifier at once, each in its own way, get what one thread alone gets."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nlptl.inference.abstention.abstention import Abstention, HeldOutLogits
from nlptl.models.at_rest import at_rest
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.side_by_side import side_by_side
from tests.models.test_views import ngram_view, word_view
from tests.models.test_word_vectors import encoder as word_encoder
from tests.models.tiny import DIM, TEXTS, tiny_encoder

THREADS = 8
FILES = re.compile("save|load|write|read|written")
LABELS = ("good", "bad", "neither")
Call = Callable[[], Any]


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Let torch compute on two threads, so that batches are computed side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def classifier_over(encoder: Encoder) -> TextClassifier:
    """Return a classifier with random weights and dropout."""
    head = Head(encoder.dim, len(LABELS), hidden=6, dropout=0.5)
    head.initialise(torch.Generator().manual_seed(1))
    torch.nn.init.constant_(head.last_linear.bias, 0.1)  # it counts as trained
    return TextClassifier(encoder, head, LABELS).eval()


def encoder_calls(encoder: Encoder, folder: Path, layers: tuple[Any, ...]) -> dict[str, list[Call]]:
    """Return calls of each public method of an encoder, each with arguments of its own."""
    every, numbers = torch.arange(len(TEXTS)), itertools.count()
    batch = encoder.tokenized(TEXTS).batch(every)

    def saved() -> Any:
        target = folder / f"saved-{next(numbers)}"
        encoder.save(target)
        return Encoder.load(target).encode(TEXTS)

    def written(write: Callable[[Path], None]) -> Any:
        target = folder / f"written-{next(numbers)}"
        target.mkdir()
        write(target)
        return Encoder.read_files(target).encode(TEXTS)

    def checked() -> None:
        encoder.check_written(folder, Encoder.read_files(folder / "encoder"))

    encoder.save(folder / "encoder")
    encodings: list[Call] = [
        lambda layer=layer: encoder.encode(TEXTS * 5, layer=layer)  # type: ignore[misc]
        for layer in layers
    ]
    encodings += [
        lambda: encoder.encode(TEXTS, normalize=True),
        lambda: encoder.encode(TEXTS, layer=layers[-1], precision="bfloat16"),
    ]
    return {
        "dim": [lambda: encoder.dim],
        "own_dim": [lambda: encoder.own_dim],
        "views": [lambda: [view.vectors(TEXTS).tolist() for view in encoder.views]],
        "joined_views": [lambda: [view.vectors(TEXTS).tolist() for view in encoder.joined_views]],
        "alone": [lambda: encoder.alone().encode(TEXTS)],
        "view_vectors": [lambda: 0 if (found := encoder.view_vectors(TEXTS)) is None else found],
        "with_views": [lambda: encoder.with_views(encoder.views[:1]).encode(TEXTS)],
        "device": [lambda: str(encoder.device)],
        "words": [encoder.words],
        "segmenter": [lambda: encoder.segmenter],
        "word_cutter": [lambda: encoder.word_cutter],
        "trainable_kind": [lambda: encoder.trainable_kind],
        "token_ids": [lambda: encoder.token_ids(TEXTS)],
        "tokenized": [lambda: encoder.tokenized(TEXTS).ids],
        "with_parts": [lambda: encoder.with_parts(normalized=True).encode(TEXTS)],
        "forward": [lambda layer=layer: encoder(batch, layer=layer).detach() for layer in layers],  # type: ignore[misc]
        "pooled": [lambda: encoder.pooled(torch.ones(len(batch.input_ids), encoder.token_model.dim), batch).detach()],
        "encode": encodings,
        "files": [Encoder.files],
        "save": [saved],
        "load": [lambda: Encoder.load(folder / "encoder").encode(TEXTS)],
        "write_files": [lambda: written(encoder.write_files)],
        "write_parts": [lambda: written(encoder.write_parts)],
        "read_files": [lambda: Encoder.read_files(folder / "encoder").encode(TEXTS)],
        "check_written": [checked],
    }


def classifier_calls(classifier: TextClassifier, folder: Path) -> dict[str, list[Call]]:
    """Return calls of each public method of a classifier."""
    every, numbers = torch.arange(len(TEXTS)), itertools.count()
    batch = classifier.encoder.tokenized(TEXTS).batch(every)
    count = len(classifier.labels)
    ids = torch.arange(4 * count) % count
    held_out = HeldOutLogits(torch.eye(count)[ids].numpy(), ids.numpy(), is_approximate=False, weight=1.0)
    classifier.abstention = Abstention.of(held_out, classifier.head.last_weight, None)
    half = classifier.abstention.coverage(0.5)
    classifier.save(folder / "classifier")

    def saved() -> Any:
        target = folder / f"classifier-{next(numbers)}"
        classifier.save(target)
        return TextClassifier.load(target).predict_proba(TEXTS)

    def written() -> Any:
        target = folder / f"written-classifier-{next(numbers)}"
        target.mkdir()
        classifier.write_files(target)
        return TextClassifier.read_files(target).predict_proba(TEXTS)

    def head_written() -> Any:
        target = folder / f"written-head-{next(numbers)}"
        target.mkdir()
        classifier.write_head(target)
        return sorted(path.name for path in target.iterdir())

    return {
        "device": [lambda: str(classifier.device)],
        "label_ids": [lambda: classifier.label_ids(["bad", "good"])],
        "forward": [lambda: classifier(batch).detach()],
        "predict_proba": [lambda: classifier.predict_proba(TEXTS * 5), lambda: classifier.predict_proba(TEXTS[:2])],
        "probabilities": [lambda: classifier.probabilities(TEXTS)],
        "predict": [lambda: classifier.predict(TEXTS)],
        "multi_label": [lambda: classifier.multi_label],
        "probabilities_of": [lambda: classifier.probabilities_of(classifier.encoder.encode(TEXTS))],
        "predict_sets": [lambda: [one.labels for one in classifier.predict_sets(TEXTS, 0.5)]],
        "sets_and_probabilities": [lambda: classifier.sets_and_probabilities(TEXTS, half)[1]],
        "checked_abstention": [lambda: classifier.checked_abstention(where="test").held_out.logits],
        "labels_of": [lambda: classifier.labels_of(classifier.probabilities(TEXTS))],
        "explain": [lambda: [one.completeness_error for one in classifier.explain(TEXTS[:2])]],
        "check_trained": [classifier.check_trained],
        "files": [TextClassifier.files],
        "save": [saved],
        "write_files": [written],
        "write_head": [head_written],
        "load": [lambda: TextClassifier.load(folder / "classifier").predict_proba(TEXTS)],
        "read_files": [lambda: TextClassifier.read_files(folder / "classifier").predict_proba(TEXTS)],
    }


def public(kind: type[nn.Module]) -> set[str]:
    """Return the names of a class's own public methods and properties."""
    return {name for name in vars(kind) if not name.startswith("_")} - {"transformer", "read_word_vectors"}


def equal(one: Any, other: Any) -> bool:
    """Say whether two results are the same, bit for bit."""
    if isinstance(one, torch.Tensor | np.ndarray):
        return bool(np.array_equal(np.asarray(one), np.asarray(other)))
    return bool(one == other)


def hammered(calls: Mapping[str, list[Call]]) -> list[str]:
    """Return the names of the calls whose result differs when eight threads call at once.

    Each thread makes all calls, but those that read or write files are shared out, since they are slow.
    """
    flat = [(f"{name} {number}", call) for name, many in calls.items() for number, call in enumerate(many)]
    alone = {name: call() for name, call in flat}
    slow = [(name, call) for name, call in flat if FILES.search(name)]
    begin = threading.Barrier(THREADS)

    def all_of_them(thread: int) -> list[str]:
        begin.wait()
        mine = [(name, call) for name, call in flat if not FILES.search(name)]
        mine = mine[thread * 3 % len(mine) :] + slow[thread::THREADS] + mine[: thread * 3 % len(mine)]
        return [name for name, call in mine if not equal(call(), alone[name])]

    with ThreadPoolExecutor(THREADS) as pool:
        return sorted({name for wrong in pool.map(all_of_them, range(THREADS)) for name in wrong})


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("kind", ["bert", "modernbert", "words"])
def test_eight_threads_get_what_one_gets(kind: str, tmp_path: Path) -> None:
    views = [word_view(), ngram_view()]
    encoder = word_encoder().with_views(views).eval() if kind == "words" else tiny_encoder(kind)
    layers = (None,) if kind == "words" else (None, 0, 1, -1, "mean")
    classifier = classifier_over(encoder)
    of_encoder = encoder_calls(encoder, tmp_path, layers)
    of_classifier = classifier_calls(classifier, tmp_path)
    assert (set(of_encoder), set(of_classifier)) == (public(Encoder), public(TextClassifier))
    together = {f"encoder.{name}": calls for name, calls in of_encoder.items()}
    together |= {f"classifier.{name}": calls for name, calls in of_classifier.items()}
    if kind == "modernbert":  # files were enough once
        together = {name: calls for name, calls in together.items() if not FILES.search(name)}
    assert hammered(together) == []
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_eight_threads_over_a_model_in_training_mode_drop_nothing() -> None:
    encoder = tiny_encoder("bert", hidden_dropout_prob=0.5)
    classifier = classifier_over(encoder)
    expected = classifier.predict_proba(TEXTS * 5)
    classifier.train()
    calls = {"encode": [lambda layer=layer: encoder.encode(TEXTS * 5, layer=layer) for layer in (None, 1, "mean")],
             "predict_proba": [lambda: classifier.predict_proba(TEXTS * 5)]}  # fmt: skip
    assert hammered(calls) == []
    np.testing.assert_array_equal(classifier.predict_proba(TEXTS * 5), expected)
    assert all(part.training for part in classifier.modules())


def test_a_layer_that_one_thread_reads_is_not_another_ones() -> None:
    classifier = classifier_over(tiny_encoder("bert"))
    expected, inside, go_on = classifier.predict_proba(TEXTS), threading.Event(), threading.Event()

    def wait(_: int) -> None:
        inside.set()
        assert go_on.wait(20)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(lambda: classifier.encoder.encode(TEXTS, layer=0, after_batch=wait))
        assert inside.wait(20)
        found = classifier.predict_proba(TEXTS)
        go_on.set()
        assert other.result(20).shape == (len(TEXTS), DIM)
    np.testing.assert_array_equal(found, expected)


def test_the_autocast_of_a_caller_changes_nothing() -> None:
    classifier = classifier_over(tiny_encoder("bert"))
    expected = classifier.predict_proba(TEXTS)
    with torch.autocast("cpu", torch.bfloat16):
        np.testing.assert_array_equal(classifier.predict_proba(TEXTS), expected)


def test_a_model_at_rest_is_itself_or_shares_its_tensors() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.BatchNorm1d(3)).eval()
    assert at_rest(model) is model
    model[1].train()
    resting = at_rest(model)
    assert model[1].training
    assert not any(part.training for part in resting.modules())
    own = [*model.parameters(), *model.buffers()]
    assert [tensor is mine for tensor, mine in zip([*resting.parameters(), *resting.buffers()], own, strict=True)] == [
        True
    ] * len(own)


@pytest.mark.usefixtures("two_threads")
def test_workers_leave_the_number_of_threads_of_new_threads() -> None:
    counts: list[int] = []

    def look(_: list[int]) -> torch.Tensor:
        thread = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        return torch.tensor(torch.get_num_threads())

    found = [int(result) for _, result in side_by_side(look, [[0], [1], [2]], apart=True)]
    assert found == [1, 1, 1]
    assert counts == [2, 2, 2]


def test_workers_that_cannot_start_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(3)
    started: list[int] = []
    start = threading.Thread.start

    def second_fails(self: threading.Thread) -> None:
        started.append(1)
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", second_fails)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            list(side_by_side(torch.tensor, [[0], [1]], apart=True))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(1)
