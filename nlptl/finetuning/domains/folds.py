"""Which examples are held out when: every label of either domain in equal shares."""

from __future__ import annotations

import torch
from torch import Tensor

from nlptl.finetuning.domains.task import Domains


def folds_of(domains: Domains, *, folds: int, seed: int, once: bool = False) -> list[tuple[Tensor, Tensor]]:
    """Return (training, held-out) row numbers of the examples; with `once` only the first pair.

    Each label of each domain is shuffled and dealt out in turn, so that no fold lacks one that has `folds` examples.
    There are as many folds as the source's rarest label has examples, at most. Copies of an example, in either domain,
    go where it goes and count once.
    """
    generator = torch.Generator().manual_seed(seed)
    every, repeats = domains.examples, domains.repeats
    labels, is_source = domains.labels.cpu()[repeats.first], every[repeats.first] < domains.source
    groups = 2 * labels + is_source.long()
    count = min(folds, int(torch.unique(labels[is_source], return_counts=True)[1].min()))
    dealt = torch.zeros(len(labels), dtype=torch.int64)
    for group in torch.unique(groups):
        rows = torch.nonzero(groups == group)[:, 0]
        dealt[rows[torch.randperm(len(rows), generator=generator)]] = torch.arange(len(rows)) % count
    fold = dealt[repeats.owner]
    return [(every[fold != number], every[fold == number]) for number in range(1 if once else count)]
