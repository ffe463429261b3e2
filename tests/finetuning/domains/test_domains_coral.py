"""CORAL against its formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptl.finetuning.domains.coral import aligned, shrunk_covariance


def vectors(count: int, *, seed: int, dim: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=generator, dtype=torch.float64)
    return torch.randn(count, dim, generator=generator, dtype=torch.float64) @ mix + seed


def covariance(x: torch.Tensor) -> np.ndarray:
    return np.cov(x.numpy().T, bias=True)


@pytest.mark.parametrize("shrinkage", [0.0, 0.3, 0.9])
def test_coral_is_its_formula(shrinkage: float) -> None:
    from scipy.linalg import inv, sqrtm

    source, target = vectors(60, seed=1), vectors(50, seed=2)

    def shrunk(x: torch.Tensor) -> np.ndarray:
        found = covariance(x)
        return (1 - shrinkage) * found + shrinkage * np.trace(found) / len(found) * np.eye(len(found))

    centred = source.numpy() - source.numpy().mean(axis=0)
    expected = centred @ inv(sqrtm(shrunk(source))) @ sqrtm(shrunk(target)) + target.numpy().mean(axis=0)
    np.testing.assert_allclose(aligned(source, target, shrinkage=shrinkage).numpy(), expected, atol=1e-8)


def test_without_shrinkage_both_moments_are_the_targets() -> None:
    source, target = vectors(60, seed=1), vectors(50, seed=2)
    found = aligned(source, target, shrinkage=0.0)
    np.testing.assert_allclose(covariance(found), covariance(target), atol=1e-8)
    np.testing.assert_allclose(found.mean(dim=0), target.mean(dim=0), atol=1e-9)


def test_full_shrinkage_moves_mean_and_scale_alone() -> None:
    source, target = vectors(60, seed=1), vectors(50, seed=2)
    found = aligned(source, target, shrinkage=1.0)
    scale = np.sqrt(np.trace(covariance(target)) / np.trace(covariance(source)))
    expected = (source - source.mean(dim=0)) * scale + target.mean(dim=0)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_auto_shrinkage_is_ledoit_and_wolfs() -> None:
    from sklearn.covariance import ledoit_wolf

    source = vectors(30, seed=3)
    np.testing.assert_allclose(shrunk_covariance(source, None), ledoit_wolf(source.numpy())[0], atol=1e-9)


def test_fewer_texts_than_directions_stay_finite() -> None:
    source, target = vectors(4, seed=1).float(), vectors(3, seed=2).float()
    for shrinkage in (None, 0.0, 0.9):
        found = aligned(source, target, shrinkage=shrinkage)
        assert found.dtype == torch.float32
        assert torch.isfinite(found).all()
