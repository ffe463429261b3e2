"""CORAL: the source's vectors with the target's mean and covariance (Sun et al. 2016).

Shapes: m source vectors, n target vectors, D dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor


def aligned(source: Tensor, target: Tensor, *, shrinkage: float | None = None) -> Tensor:
    """Return source vectors (m, D) as (x - μ_s) C_s^(-1/2) C_t^(1/2) + μ_t of target vectors (n, D).

    The paper centres each domain before; here the means move, which has the same effect.
    """
    one, other = source.double(), target.double()
    whiten = _power(shrunk_covariance(one, shrinkage), -0.5)
    colour = _power(shrunk_covariance(other, shrinkage), 0.5)
    return ((one - one.mean(dim=0)) @ whiten @ colour + other.mean(dim=0)).to(source.dtype)


def shrunk_covariance(vectors: Tensor, shrinkage: float | None) -> Tensor:
    """Return (1 - γ) C + γ tr(C)/D I (D, D) of vectors (m, D); `shrinkage` γ is 0 to 1, or None for Ledoit & Wolf 2004."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    centred = vectors - vectors.mean(dim=0)
    covariance = centred.T @ centred / len(vectors)
    share = float(ledoit_wolf_shrinkage(centred.numpy(), assume_centered=True)) if shrinkage is None else shrinkage
    sphere = torch.eye(len(covariance), dtype=covariance.dtype) * covariance.diagonal().mean()
    return (1 - share) * covariance + share * sphere


def _power(covariance: Tensor, exponent: float) -> Tensor:
    """Return a symmetric matrix (D, D) to a power; directions without variance stay without."""
    values, directions = torch.linalg.eigh(covariance)
    held = values > values.max() * 1e-10
    powers = torch.where(held, values.clamp(min=1e-300), torch.ones_like(values)).pow(exponent) * held
    power: Tensor = (directions * powers) @ directions.T
    return power
