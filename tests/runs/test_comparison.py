"""What a comparison says, for every outcome it can have."""

from __future__ import annotations

import numpy as np
import pytest

from nlptl.interfaces.text import comparison_lines
from nlptl.runs.studies.comparison import ComparisonRow, summarise


def rows(test: str, first: float, second: float, *, texts: int = 200, redrawn: bool = False) -> list[ComparisonRow]:
    generator = np.random.default_rng(0)
    found = []
    for seed in range(6):
        for arm, share in (("a", first), ("b", second)):
            bits = generator.permutation([1] * round(share * texts) + [0] * (texts - round(share * texts)))
            digest = f"{test}/{seed}" if redrawn else test
            correct = "".join(map(str, bits))
            found.append(
                ComparisonRow(arm=arm, seed=seed, test=test, accuracy=share, texts=digest, correct=correct, identity="")
            )
    return found


@pytest.mark.parametrize(
    ("second", "begin"),
    [
        (0.8, "'b' is better than 'a': +30.0 points, 95 % interval +"),
        (0.2, "'b' is worse than 'a': -30.0 points, 95 % interval -"),
        (0.5, "no difference between 'b' and 'a' is shown: +0.0 points, 95 % interval -"),
    ],
)
def test_the_largest_test_decides(second: float, begin: str) -> None:
    found = summarise([*rows("small", 0.5, 0.5, texts=2), *rows("large", 0.5, second)], ("a", "b"), seed=1)
    assert found.sentence.startswith(begin)
    assert " over 6 seeds on 200 texts (large). A test of 2 texts alone shows nothing: " in found.sentence
    assert found.sentence.endswith(
        "a coin gets all right 1 time in 4. This speaks of these texts and these examples, not of other data."
    )
    assert [(result.test, result.texts, result.redrawn) for result in found.results] == [
        ("small", 2, False),
        ("large", 200, False),
    ]


def test_other_examples_are_told_apart() -> None:
    found = summarise([*rows("large", 0.5, 0.8), *rows("others", 0.5, 0.5, redrawn=True)], ("a", "b"), seed=1)
    assert (
        "With other examples to learn from for every seed: no difference between 'b' and 'a' is shown: "
        in found.sentence
    )
    assert found.sentence.endswith("This speaks of these texts, not of other data.")
    assert found.to_json()["results"][1]["redrawn"] is True
    assert found.results[0].differences[0].wins == 6


def test_every_arm_is_set_against_the_first() -> None:
    both = rows("large", 0.5, 0.8)
    third = [row.model_copy(update={"arm": "c"}) for row in rows("large", 0.5, 0.2) if row.arm == "b"]
    found = summarise([*both, *third], ("a", "b", "c"), seed=1)
    assert [round(difference.difference.value, 2) for difference in found.results[0].differences] == [0.3, -0.3]
    assert found.sentence.startswith("'b' is better than 'a': +30.0 points, 95 % interval +")
    assert "; 'c' is worse than 'a': -30.0 points, 95 % interval -" in found.sentence
    lines = list(comparison_lines(found))
    assert lines[1].split("  ")[0] == "test"
    assert "b: difference (points)" in lines[1]
    assert "c: difference (points)" in lines[1]
    assert "0/0/6" in lines[3]
    assert len(found.to_json()["results"][0]["differences"]) == 2
