"""Pseudo-labels: aligned shares, quotas, and what closes the gate."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nlptl.context import Record
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.held_out import folds
from nlptl.finetuning.contrastive import pseudo_labels as pile_module
from nlptl.finetuning.contrastive.pseudo_labels import (
    WAYS,
    HeldOutTrial,
    PseudoLabelling,
    aligned,
    pseudo_labels,
    texts_to_pass,
    with_pile,
)
from nlptl.finetuning.contrastive.rows import Contrast
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import LinearHead


def task_of(texts: list[str], ids: list[int]) -> Any:
    """Stand for a task of labelled texts of 2 labels."""
    examples = LabelledExamples(texts, torch.tensor(ids), ("0", "1"), duplicate_groups(texts, ids))
    return SimpleNamespace(examples=examples, context=SimpleNamespace(record=Record()))


def contrast(pile: int = 30) -> Any:
    """Stand for a contrast of 4 labelled texts of 2 labels and a pile behind them."""
    return SimpleNamespace(
        label_count=2,
        labels=torch.tensor([0, 1, 0, 1] + [-1] * pile),
        own=torch.arange(4),
        pile=torch.arange(4, 4 + pile),
        task=task_of(["one", "two", "three", "four"], [0, 1, 0, 1]),
        settings=SimpleNamespace(seed=0),
    )


def test_alignment_brings_the_mean_to_the_shares_and_keeps_rows_and_order() -> None:
    generator = torch.Generator().manual_seed(0)
    chances = (3 * torch.randn(50, 3, generator=generator, dtype=torch.float64) + torch.tensor([2.0, 0, 0])).softmax(1)
    shares = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    found = aligned(chances, shares)
    assert torch.allclose(found.sum(dim=1), torch.ones(50, dtype=torch.float64))
    assert torch.allclose(found.mean(dim=0), shares, atol=1e-3)
    odds = found[:, 0] / found[:, 1] / (chances[:, 0] / chances[:, 1])
    assert torch.allclose(odds, odds[:1].expand(50))  # a label is scaled alike in every text


def test_each_label_gets_its_quota_of_the_most_certain_texts() -> None:
    vectors = torch.zeros(34, 1)
    vectors[4:, 0] = torch.linspace(1, 4, 30)  # without alignment all of them would be of label 1
    head = LinearHead(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    rows, labels = pseudo_labels(contrast(), vectors, head, share=0.2)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert rows.tolist() == [4, 5, 6, 33, 32, 31]


def test_pseudo_labels_that_leave_a_label_out_close_the_gate() -> None:
    made = contrast()
    vectors = torch.ones(34, 1)
    head = LinearHead(torch.tensor([[-1.0], [1.0]], dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    given: Any = (object(), vectors, head)
    assert with_pile(made, PseudoLabelling(), *given) == (*given, False)
    assert made.task.context.record.sentences == [
        "The pile is left out: none of its texts is taken for 1 of the 2 labels."
    ]


@pytest.mark.parametrize(
    ("head", "student", "way"),
    [
        ((0.0, 0.0, 0.0, 0.0), (-0.1, 0.2, -0.1, 0.2), "student"),  # a little worse, within the noise
        ((0.0, 0.0, 0.0, 0.0), (0.1, 0.2, 0.1, 0.2), "nothing"),
        ((-0.1, -0.2, -0.1, -0.2), (0.1, 0.2, 0.1, 0.2), "head"),
        ((-0.1, 0.05, -0.1, 0.1), (0.1, 0.2, 0.1, 0.2), "nothing"),  # a little better is not enough for the head
    ],
)
def test_the_gate_closes_where_held_out_texts_speak_against_the_pile(
    head: tuple[float, ...], student: tuple[float, ...], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = torch.tensor([0.5, 0.6, 0.7, 0.8])
    losses = (without, without + torch.tensor(head), without + torch.tensor(student))
    trials = [HeldOutTrial(name, loss, 0.5) for name, loss in zip(WAYS, losses, strict=True)]
    monkeypatch.setattr(pile_module, "_trials", lambda *_: trials)
    found, why = pile_module._gate(contrast(), PseudoLabelling())
    assert found == way
    assert "without 0.650 (50 % right)" in why


def test_a_head_has_the_shares_of_the_examples_whatever_else_it_is_fitted_to() -> None:
    made: Any = SimpleNamespace(
        label_count=2,
        labels=torch.tensor([0, 1, 1, 1, 1, 0, 1] + [0] * 6),
        named=torch.tensor([5, 6]),
        task=SimpleNamespace(examples=SimpleNamespace(is_skewed=False)),
    )
    vectors = torch.ones(13, 3)  # which tell nothing
    rows, pseudo = torch.arange(5), (torch.arange(7, 13), torch.zeros(6, dtype=torch.int64))
    for found in (Contrast.head(made, vectors, rows), Contrast.head(made, vectors, rows, pseudo=pseudo)):
        assert found.probabilities(vectors[:1])[0].tolist() == pytest.approx([0.2, 0.8], abs=1e-3)


def test_copies_go_to_the_same_part_of_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["a", "b", "a", "c", "d", "a", "c"]
    made = contrast()
    made.task = task_of(texts, [0, 1, 0, 1, 0, 0, 1])
    made.own, made.pile = torch.arange(7), torch.arange(7, 37)
    made.labels = torch.cat([made.task.examples.label_ids, torch.full((30,), -1)])
    trained: list[list[int]] = []
    head = LinearHead(torch.zeros(2, 1, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    made.train = lambda rows, **_: trained.append(rows.tolist())
    made.vectors = lambda fit, pile: torch.zeros(37, 1)
    made.head = lambda vectors, rows, pseudo=None: head
    outcomes: list[int] = []
    monkeypatch.setattr(pile_module, "_trial", lambda name, logits, labels: outcomes.append(len(labels)))
    splits = folds(made.task.examples.label_ids.numpy(), made.task.examples.groups, parts=2, seed=0)
    pile_module._trials(made, PseudoLabelling(), splits)
    assert outcomes == [4, 4, 4]  # each text once
    for rows in trained:
        assert all(row in rows for row in range(7) if texts[row] in {texts[r] for r in rows})


def test_the_work_on_a_pile_grows_with_it_and_with_the_examples() -> None:
    few = texts_to_pass(600, 20, 2, PseudoLabelling())
    assert 6500 < few < 7500  # 42 steps of 16 texts there and back, three times, make two thirds of it
    assert texts_to_pass(1200, 20, 2, PseudoLabelling()) > 1.5 * few
    assert texts_to_pass(600, 400, 2, PseudoLabelling()) > 1.5 * few
