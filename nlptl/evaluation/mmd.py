"""Maximum mean discrepancy (MMD): the distance of m source and n target vectors, in the means of a kernel's features."""

from __future__ import annotations

import torch
from torch import Tensor

from nlptl.evaluation.intervals import chunks

MIN_SQUARED_BANDWIDTH = 1e-12  # of samples whose vectors are all equal


def squared_distances(one: Tensor, other: Tensor) -> Tensor:
    """Return the squared Euclidean distances (m, n) of vectors (m, D) and (n, D), at least 0."""
    lengths = one.pow(2).sum(dim=1)[:, None] + other.pow(2).sum(dim=1)[None, :]
    return (lengths - 2 * one @ other.T).clamp(min=0)


def median_bandwidth(vectors: Tensor) -> Tensor:
    """Return the median squared distance () between vectors (m, D), the squared bandwidth of Gretton et al. 2012, § 8."""
    apart = squared_distances(vectors, vectors)
    above = torch.triu_indices(len(vectors), len(vectors), offset=1)
    return apart[above[0], above[1]].median().clamp(min=MIN_SQUARED_BANDWIDTH)


def rbf_kernel(one: Tensor, other: Tensor, bandwidth: Tensor) -> Tensor:
    """Return exp(-|x - y|² / (2 σ²)) (m, n) for the squared bandwidth σ² ()."""
    return torch.exp(squared_distances(one, other) / (-2 * bandwidth))


def mmd_squared(source: Tensor, target: Tensor, bandwidth: Tensor) -> Tensor:
    """Return the unbiased estimate () of MMD² (Gretton et al. 2012, eq. 3), which may be negative.

    MMD² = mean of k(x, x') over x ≠ x' + mean of k(y, y') over y ≠ y' - 2 · mean of k(x, y), for m, n ≥ 2.
    """

    def within(vectors: Tensor) -> Tensor:
        kernel = rbf_kernel(vectors, vectors, bandwidth)
        return (kernel.sum() - kernel.diagonal().sum()) / (len(vectors) * (len(vectors) - 1))

    return within(source) + within(target) - 2 * rbf_kernel(source, target, bandwidth).mean()


def permutation_test(source: Tensor, target: Tensor, *, permutations: int, seed: int) -> tuple[float, float]:
    """Return MMD² at the median bandwidth, and its p-value under R random permutations of source and target.

    p = (1 + permutations with at least this MMD²) / (1 + R), which is valid for any R (Phipson & Smyth 2010).
    """
    vectors = torch.cat([source, target]).double()
    kernel = rbf_kernel(vectors, vectors, median_bandwidth(vectors)).fill_diagonal_(0)
    generator = torch.Generator().manual_seed(seed)
    count, reached = len(vectors), 0
    seen = _permuted_values(torch.arange(count)[None], kernel, len(source))[0]
    for size in chunks(permutations, count):
        orders = torch.stack([torch.randperm(count, generator=generator) for _ in range(size)])
        reached += int((_permuted_values(orders, kernel, len(source)) >= seen - 1e-12).sum())
    return float(seen), (1 + reached) / (1 + permutations)


def _permuted_values(orders: Tensor, kernel: Tensor, m: int) -> Tensor:
    """Return MMD² (R,) with the first m of each order (R, m + n) as source; `kernel` (m + n, m + n) has a zero diagonal."""
    n = len(kernel) - m
    in_source = torch.zeros(len(orders), len(kernel), dtype=kernel.dtype).scatter_(1, orders[:, :m], 1.0)
    sums = in_source @ kernel
    within_source = (sums * in_source).sum(dim=1)
    across = (sums * (1 - in_source)).sum(dim=1)
    within_target = kernel.sum() - within_source - 2 * across
    return within_source / (m * (m - 1)) + within_target / (n * (n - 1)) - 2 * across / (m * n)
