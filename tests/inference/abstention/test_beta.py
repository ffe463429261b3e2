"""Quantiles of the beta distribution: those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nlptl.inference.abstention.beta import beta_probability, beta_quantile

SHAPES = st.floats(0.05, 800)


@given(st.floats(0.01, 0.99), SHAPES, SHAPES)
def test_quantiles_are_those_of_scipy(share: float, a: float, b: float) -> None:
    assert beta_quantile(share, a, b) == pytest.approx(float(stats.beta.ppf(share, a, b)), abs=1e-9)


def test_probabilities_at_and_beyond_the_ends() -> None:
    found = [beta_probability(x, 2.5, 4.0) for x in (-1.0, 0.0, 0.3, 1.0, 2.0)]
    np.testing.assert_allclose(found, stats.beta.cdf([-1, 0, 0.3, 1, 2], 2.5, 4.0), atol=1e-12)
