"""Held-out accuracy on both domains. The caller must know that the encoder has not seen the examples.

Shapes: n examples, B held-out examples.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from nlptl.evaluation.intervals import Interval, PairedDifference, estimate, paired_difference, sign_test, wilson
from nlptl.evaluation.shift import p_value_text
from nlptl.finetuning.domains.task import AdaptationMethod, Domains

SIGNIFICANCE = 0.05  # of the sign test; a bootstrap of few examples that agree is one point, whatever their number
NO_GAIN = "within the noise, no gain is shown"


@dataclasses.dataclass(frozen=True)
class Hits:
    """Held-out examples, and whether a method predicted each one right."""

    rows: Tensor  # (B,) row numbers
    right: Tensor  # (B,) bool

    def of(self, wanted: Tensor) -> np.ndarray:
        """Return 1 (right) or 0 for those rows for which `wanted` (n,) is true."""
        return self.right[wanted[self.rows]].double().numpy()


@dataclasses.dataclass(frozen=True)
class BothDomains:
    """Held-out accuracy of none and of the chosen method; None for a target without labelled examples."""

    source: Interval
    source_none: Interval
    target: Interval | None
    target_none: Interval | None
    target_gain: PairedDifference | None
    target_p: float | None  # exact sign test over the target's examples that only one of the two predicts right
    counts: tuple[int, int]  # number of held-out examples of source and target

    def sentence(self, name: str) -> str:
        """Tell both; a gain or loss is claimed only if interval and sign test show it."""
        source = f"source {self.source} on {self.counts[0]} examples" + _beside(self.source_none, name)
        if self.target is None or self.target_none is None or self.target_gain is None or self.target_p is None:
            unknown = "target unknown, since it has no labelled examples to hold out: test it before trusting a gain"
            return f"Held-out accuracy: {source}; {unknown}."
        target = f"target {self.target} on {self.counts[1]} examples" + _beside(self.target_none, name)
        if name == "none":
            return f"Held-out accuracy: {source}; {target}."
        gain = self.target_gain.difference
        told = f"gain in points {estimate(gain, texts=self.counts[1]).told('+.1f', 100)}"
        sure = self.target_p < SIGNIFICANCE
        shown = "a gain" if sure and gain.low > 0 else "a loss" if sure and gain.high < 0 else NO_GAIN
        return f"Held-out accuracy: {source}; {target}: {told}, sign test {p_value_text(self.target_p)}, {shown}."


def held_out_hits(
    method: AdaptationMethod, domains: Domains, folds: Sequence[tuple[Tensor, Tensor]], *, seed: int
) -> Hits:
    """Fit a method to each fold's training rows and predict its held-out rows."""
    rows, right = [], []
    for training, held_out in folds:
        fitted = method.fit(domains.task(training), seed=seed)
        rows.append(held_out)
        right.append(fitted.predict(held_out) == domains.labels[held_out])
    return Hits(torch.cat(rows), torch.cat(right))


def both_domains(none: Hits, taken: Hits, domains: Domains) -> BothDomains:
    """Compare the chosen method with none on the same folds."""
    is_source = domains.examples < domains.source_count
    source, source_none = (wilson(int(hits.sum()), len(hits)) for hits in (taken.of(is_source), none.of(is_source)))
    before, after = none.of(~is_source), taken.of(~is_source)
    counts = (int(is_source[taken.rows].sum()), len(after))
    if not len(after):
        return BothDomains(source, source_none, None, None, None, None, counts)
    target, target_none = (wilson(int(hits.sum()), len(hits)) for hits in (after, before))
    p = sign_test(int((after > before).sum()), int((after < before).sum()))
    gain = paired_difference(before[None], after[None])
    return BothDomains(source, source_none, target, target_none, gain, p, counts)


def _beside(none: Interval, name: str) -> str:
    return "" if name == "none" else f" (none {none.value:.3f})"
