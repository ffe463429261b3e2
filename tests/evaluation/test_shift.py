"""The shift score: silent where the domains are the same, loud where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nlptl.errors import DataError
from nlptl.evaluation.intervals import Interval
from nlptl.evaluation.shift import Shift, classifier_test, shift_between


def vectors(count: int, *, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)) + shift


def test_equal_distributions_show_no_shift() -> None:
    found = [
        shift_between(vectors(80, seed=2 * i), vectors(60, seed=2 * i + 1), texts=50, permutations=99, seed=i)
        for i in range(20)
    ]
    assert sum(one.is_shown for one in found) <= 4  # one of twenty is expected
    assert {one.texts for one in found} == {50}
    assert "no difference between the domains is shown." in next(one for one in found if not one.is_shown).sentence()


def test_a_shift_is_shown() -> None:
    found = shift_between(vectors(80, seed=0), vectors(60, seed=1, shift=1.5), texts=1000, permutations=99, seed=0)
    assert found.is_shown
    assert found.texts == 60
    assert found.accuracy.value > 0.9
    assert found.mmd_p == 0.01


def test_the_p_value_is_binomial() -> None:
    from scipy.stats import binomtest

    source, target = vectors(60, seed=0).double().numpy(), vectors(60, seed=1, shift=0.4).double().numpy()
    accuracy, p = classifier_test(source, target)
    right = round(accuracy.value * 60)
    assert p == pytest.approx(binomtest(right, 60, 0.5, alternative="greater").pvalue)


@pytest.mark.filterwarnings("error")
def test_a_direction_without_spread_does_no_harm() -> None:
    source, target = vectors(60, seed=0).double().numpy(), vectors(60, seed=1, shift=0.5).double().numpy()
    flat = np.full((60, 1), 1.0)
    without = classifier_test(source, target)
    assert 0.5 < without[0].value < 1
    assert classifier_test(np.hstack([source, flat]), np.hstack([target, flat])) == without
    # Flat where it learns, far off where it is tested: nothing was learnt of it, so it decides nothing.
    far = np.repeat([[1.0], [1e6]], 30, axis=0)
    assert classifier_test(np.hstack([source, far]), np.hstack([target, far])) == without


def test_the_sentence() -> None:
    shift = Shift(100, Interval(0.93, 0.86, 0.97), 1e-9, 0.0831, 0.005)
    for fact in ("0.930 [0.860, 0.970]", "p < 0.001", "0.0831", "p = 0.005", "the domains differ"):
        assert fact in shift.sentence()


def test_too_few_texts_are_told() -> None:
    with pytest.raises(DataError) as caught:
        shift_between(vectors(20, seed=0), vectors(9, seed=1), texts=50, permutations=99, seed=0)
    assert str(caught.value) == (
        "domain_adaptation: data.unlabelled has 9 texts, but a comparison of domains needs at least 10. Add texts."
    )
