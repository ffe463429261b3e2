"""Bottleneck adapters that learn labels and align domains in frozen layers, after UDApter (Malik et al. 2023).

Shapes: B texts, D dimension.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlptl.errors import ConfigError
from nlptl.evaluation.mmd import median_bandwidth, mmd_squared
from nlptl.models.bottlenecks import Bottleneck, bottlenecks
from nlptl.models.transformer import Transformer

KERNEL_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the bandwidth, for coarse and fine differences


class Discrepancy(nn.Module):
    """loss = `weight` · mean over kernels of the unbiased MMD² between the domains' vectors."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self._weight = weight

    def forward(self, here: Tensor, there: Tensor, progress: float) -> Tensor:
        """Return the loss () of vectors (B, D)."""
        del progress
        bandwidth = median_bandwidth(torch.cat([here, there]).detach())
        kernels = [mmd_squared(here, there, scale * bandwidth) for scale in KERNEL_SCALES]
        return self._weight * torch.stack(kernels).mean()


def add_bottlenecks(token_model: Transformer, frozen: int, *, width: int, seed: int, where: str) -> list[nn.Parameter]:
    """Add an adapter to each layer above the frozen ones and return their parameters; ConfigError if it has some.

    This is the paper's joint variant: one adapter a layer learns labels and alignment. The discrepancy is that of the
    sentence vectors; the authors' code sums it over several layers, on a schedule.
    """
    if len(token_model.bottlenecks):
        raise ConfigError(
            f"{where}: found an encoder that has bottleneck adapters already; expected one without. Choose "
            "another method, or begin with plain weights."
        )
    generator = torch.Generator().manual_seed(seed)
    token_model.bottlenecks = bottlenecks(token_model.dim, width, range(frozen + 1, token_model.used_depth + 1))
    for adapter in token_model.bottlenecks.values():
        assert isinstance(adapter, Bottleneck)
        adapter.initialise(generator)
    return list(token_model.bottlenecks.to(token_model.device).parameters())
