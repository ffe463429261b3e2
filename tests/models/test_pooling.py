"""Pooling equals its definition, whatever stands beside a text in the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlptl.models.packing import Batch, pack
from nlptl.models.pooling import Pooling, first_component, idf_weights, remove_component, sif_weights
from nlptl.training.token_budgets import shrinking_batches, token_budget_batches

V, D = 12, 5
TABLE = torch.randn(V, D, generator=torch.Generator().manual_seed(1))
COUNTS = torch.tensor([3, *range(40, 18, -2)])
QUERY = torch.tensor([2.0, -1.0, 0.5, 3.0, -2.0])
MODES = ["mean", "max", "tfidf", "sif", "cls", "attention"]
texts_of_ids = st.lists(st.lists(st.integers(1, V - 1), max_size=7), min_size=1, max_size=6)


def pooled(pooling: Pooling, ids: list[list[int]]) -> torch.Tensor:
    batch = pack(ids)
    result: torch.Tensor = pooling(TABLE[batch.input_ids], batch)
    return result.detach()


def defined(mode: str, ids: list[int]) -> np.ndarray:
    """Return the sentence vector as the papers write it, word by word."""
    table, counts = TABLE.double().numpy(), COUNTS.double().numpy()
    if not ids:
        return np.zeros(D)
    if mode == "mean":
        return table[ids].mean(axis=0)
    if mode == "cls":
        return table[ids[0]]
    if mode == "attention":
        shares = [math.exp(QUERY.double().numpy() @ table[i] / math.sqrt(D)) for i in ids]
        return np.asarray(sum(share * table[i] for share, i in zip(shares, ids, strict=True)) / sum(shares))
    if mode == "max":
        return table[ids].max(axis=0)
    if mode == "tfidf":
        idf = {i: math.log(11 / (1 + i)) + 1 for i in ids}
        return sum(idf[i] * table[i] for i in ids) / sum(
            idf.values() if len(set(ids)) == len(ids) else [idf[i] for i in ids]
        )
    probability = counts / counts[1:].sum()
    x = sum(1e-2 / (1e-2 + probability[i]) * table[i] for i in ids) / len(ids)
    u = np.full(D, 1 / math.sqrt(D))
    return np.asarray(x - u * (u @ x))


def made(mode: str) -> Pooling:
    if mode == "tfidf":
        return Pooling("tfidf", token_weights=idf_weights(torch.arange(V), 10))
    if mode == "sif":
        return Pooling("sif", token_weights=sif_weights(COUNTS, 1e-2), common_component=torch.full((D,), D**-0.5))
    return Pooling("attention", query=QUERY.clone()) if mode == "attention" else Pooling(mode)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=40, deadline=None)
@given(ids=texts_of_ids)
def test_pooling_is_its_definition(mode: str, ids: list[list[int]]) -> None:
    expected = np.stack([defined(mode, text) for text in ids])
    np.testing.assert_allclose(pooled(made(mode), ids).numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(ids=texts_of_ids, order=st.randoms())
def test_neighbours_in_the_batch_change_nothing(mode: str, ids: list[list[int]], order: object) -> None:
    pooling = made(mode)
    together = pooled(pooling, ids)
    alone = torch.cat([pooled(pooling, [text]) for text in ids])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    shuffled = list(range(len(ids)))
    order.shuffle(shuffled)
    torch.testing.assert_close(pooled(pooling, [ids[i] for i in shuffled]), together[shuffled], atol=1e-5, rtol=1e-4)


def test_a_query_of_nothing_is_the_mean_and_a_long_one_takes_one_token() -> None:
    ids = [[1, 2, 3], [4, 4, 5, 6]]
    torch.testing.assert_close(pooled(Pooling("attention", query=torch.zeros(D)), ids), pooled(Pooling("mean"), ids))
    nearest = [max(text, key=lambda i: float(TABLE[i] @ QUERY)) for text in ids]  # exp of 1e5 would overflow
    found = pooled(Pooling("attention", query=1e5 * QUERY), ids)
    torch.testing.assert_close(found, TABLE[nearest])


def test_the_query_learns_by_the_gradient_of_the_formula() -> None:
    batch = pack([[1, 2, 3], [], [4, 5]])
    pooling = Pooling("attention", query=QUERY.double())
    query = pooling.query
    assert query is not None

    def by_text(query: torch.Tensor) -> torch.Tensor:
        tokens = [TABLE[ids].double() for ids in ([1, 2, 3], [4, 5])]
        first, last = ((vectors @ query / D**0.5).softmax(dim=0) @ vectors for vectors in tokens)
        return torch.stack([first, torch.zeros_like(first), last])

    aim = torch.randn(3, D, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    (pooling(TABLE.double()[batch.input_ids], batch) * aim).sum().backward()
    start = QUERY.double().requires_grad_()
    (by_text(start) * aim).sum().backward()
    torch.testing.assert_close(query.grad, start.grad)


def test_weights_are_those_of_the_papers() -> None:
    assert sif_weights(torch.tensor([9, 3, 1]), 0.25).tolist()[1:] == pytest.approx([0.25 / (0.25 + 0.75), 0.5])
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["a b a", "b c", "c c d", "a"]
    sklearn = TfidfVectorizer(token_pattern=r"\w").fit(texts).idf_
    assert idf_weights(torch.tensor([2, 2, 2, 1]), 4).tolist() == pytest.approx(sklearn.tolist())


def test_the_first_component_is_the_svds() -> None:
    vectors = torch.randn(50, D, generator=torch.Generator().manual_seed(2)) + 2.0
    component = first_component(vectors.T @ vectors)
    expected = np.linalg.svd(vectors.numpy())[2][0]
    np.testing.assert_allclose(np.abs(component.numpy()), np.abs(expected), atol=1e-5)
    left = remove_component(vectors, component)
    assert float((left @ component).abs().max()) < 1e-4


def test_weighted_pooling_needs_weights() -> None:
    with pytest.raises(ValueError, match="sif pooling needs token_weights; fit them with the sentence_vectors stage"):
        Pooling("sif")


@given(lengths=st.lists(st.integers(0, 30), max_size=40), budget=st.integers(1, 50))
def test_token_budget_batches_cover_all_rows_in_order(lengths: list[int], budget: int) -> None:
    runs = list(token_budget_batches(lengths, budget=budget))
    assert [row for run in runs for row in run] == list(range(len(lengths)))
    assert all(sum(lengths[row] for row in run) <= budget or len(run) == 1 for run in runs)


def test_a_batch_moves() -> None:
    batch = pack([[1, 2], [], [3]]).to(torch.device("cpu"))
    assert isinstance(batch, Batch)
    assert (batch.input_ids.tolist(), batch.lengths.tolist()) == ([1, 2, 3], [2, 0, 1])


@given(
    lengths=st.lists(st.integers(0, 400), max_size=40), workers=st.integers(1, 4), budget=st.sampled_from([256, 1024])
)
def test_shrinking_batches_cover_all_rows_and_end_small(lengths: list[int], workers: int, budget: int) -> None:
    runs = list(shrinking_batches(lengths, budget=budget, workers=workers))
    assert [row for run in runs for row in run] == list(range(len(lengths)))
    for run in runs:
        tokens, left = sum(lengths[run.start : run.stop]), sum(lengths[run.start :])
        assert len(run) == 1 or tokens <= min(budget, max(256, left // (2 * workers)))
