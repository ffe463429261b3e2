"""Geometry of the report's figures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.charts import Whisker, curve_of, dots_of, legend_of, level, nice_ticks
from nlptl.interfaces.html.matrix import MAX_LABELS, matrix_of
from nlptl.interfaces.html.sections import bars, gain_of, reliability_sentence
from nlptl.interfaces.html.visible import breakable, named, visible
from nlptl.runs.report.facts import LossCurve, Rival, Standing
from nlptl.runs.report.judging import reliability_of
from tests.reported import judged_texts, report_of


@given(st.integers(1, 40), st.integers(0, 99), st.floats(0, 1))
def test_a_matrix_shows_each_text_once(count: int, seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    confusion = rng.integers(0, 9, (count, count)) * (rng.random((count, count)) < share)
    matrix, group = matrix_of([str(number) for number in range(count)], confusion.tolist())
    assert sum(cell.count for row in matrix.rows for cell in row) == confusion.sum()
    assert len(matrix.rows) == len(matrix.names) == min(count, MAX_LABELS)
    assert sum(matrix.totals) == confusion.sum()
    assert max(group) < len(matrix.rows)
    for place, label_group in enumerate(group):  # a label with a row of its own keeps all its texts there
        if group.count(label_group) == 1:
            assert matrix.totals[label_group] == confusion[place].sum()
            assert matrix.names[label_group] == str(place)


def test_many_labels_fold_to_those_confused_most() -> None:
    confusion = np.diag(np.full(30, 50))
    confusion[20, 25] = 9
    matrix, group = matrix_of([f"l{number}" for number in range(30)], confusion.tolist())
    assert {"l20", "l25"} <= set(matrix.names)
    assert matrix.names[-1] == "21 other labels"
    assert matrix.rows[-1][-1].kind == "mixed"
    assert matrix.rows[-1][-1].short == "1k"
    (pair,) = matrix.pairs
    assert (pair.true, pair.said, pair.count, pair.of) == ("l20", "l25", 9, 59)
    assert matrix.rows[group[20]][group[25]].told == "9 texts of l20, predicted l25"


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_and_span_the_range(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert 2 <= len(ticks) <= 8 or low + span == low
    rounding = 1e-6 * (abs(low) + span)
    assert ticks[0] <= low + rounding
    assert ticks[-1] >= low + span - rounding


def test_a_long_curve_keeps_its_ends_and_few_points() -> None:
    losses = tuple(1 / (1 + step) for step in range(5_000))
    curve = curve_of(LossCurve("1-bert", "mlm", tuple(range(5_000)), losses))
    assert len(curve.points) <= 152
    assert curve.points[0][0] == 0
    assert curve.points[-1][0] == 100
    assert all(0 <= y <= 100 for _, y in curve.points)
    assert curve.told.startswith("Loss from 1 in epoch 0 to 0.0002 in epoch 4999")


def test_a_flat_curve_is_drawn() -> None:
    assert curve_of(LossCurve("s", "", (1.0, 2.0), (0.5, 0.5))).points == ((0.0, 50.0), (100.0, 50.0))


def test_whiskers_stay_on_their_line() -> None:
    assert Whisker.of(Estimate(0.5, 0.25, 0.75)) == Whisker(50.0, 25.0, 75.0, has_ends=True)
    assert Whisker.of(Estimate(1.2, -0.5, 2.0)) == Whisker(100.0, 0.0, 100.0, has_ends=True)
    assert Whisker.of(Estimate(0.5, None, None)) == Whisker(50.0, 50.0, 50.0, has_ends=False)
    assert [level(share, 5) for share in (0, 1e-9, 0.2, 0.21, 1)] == [0, 1, 1, 2, 5]


def test_larger_dots_hold_more_texts() -> None:
    judged = judged_texts([str(row) for row in range(300)], ["a", "b", "c"] * 100, ("a", "b", "c"))
    bins = reliability_of(judged)
    dots = dots_of(bins)
    by_texts = sorted(zip([one.texts for one in bins], [dot.radius for dot in dots], strict=True))
    assert [radius for _, radius in by_texts] == sorted(radius for _, radius in by_texts)
    assert all(dot.high <= dot.y <= dot.low for dot in dots)


def test_the_legend_names_all_points() -> None:
    names = tuple(f"label {number}" for number in range(20))
    judged = judged_texts([str(row) for row in range(200)], [names[row % 20] for row in range(200)], names)
    found = report_of(judged).map
    assert found is not None
    legend, colours = legend_of(found)
    assert sum(one.points for one in legend) == 200
    assert len(legend) == 8
    assert legend[-1].name == "13 other labels"
    assert legend_of(dataclasses.replace(found, by_sets=True))[0][-1].name == "13 other combinations"
    assert set(colours) == set(names)
    assert len(set(colours.values())) == 8


def test_the_answer_on_the_simple_way() -> None:
    simple = Rival("words (tf-idf)", Estimate(0.7, 0.6, 0.8))

    def answer(low: float | None, high: float | None, value: float = 0.1) -> str:
        this = Rival("this", Estimate(0.8, 0.7, 0.9), is_this=True, difference=Estimate(value, low, high))
        found = gain_of(Standing((simple, this), simple.name, "", (), simple.name))
        assert found is not None
        return f"{found.answer}: {found.tone}"

    assert answer(0.05, 0.15) == "Yes, +10 points: good"
    assert answer(-0.3, -0.05, -0.1) == "No, −10 points: bad"
    assert answer(-0.05, 0.25) == "Not shown: unknown"
    assert answer(None, None) == "Not shown: unknown"
    own = gain_of(Standing((Rival("words", Estimate(0.7, None, None), is_this=True),), "words", "", (), "words"))
    assert own is not None
    assert own.answer == "It is the simple way"
    assert gain_of(Standing((simple,), "", "", (), unmeasured="Nobody did.")).told == "Nobody did."


def test_reliability_is_said_in_words() -> None:
    judged = judged_texts(["a", "b", "c", "d"], ["x", "x", "y", "y"], ("x", "y"))
    sure = reliability_of(dataclasses.replace(judged, probabilities=np.array([[0.95, 0.05]] * 4)))
    assert reliability_sentence(sure) == (
        "On average it is 95 % sure, and right in 50 % of cases: it is too sure. Where it gives 90 % or more (4 of 4 texts), "
        "50 % are right."
    )
    unsure = reliability_of(dataclasses.replace(judged, probabilities=np.array([[0.52, 0.48]] * 4)))
    assert reliability_sentence(unsure) == (
        "On average it is 52 % sure, and right in 50 % of cases: both agree. It never gives 90 % or more."
    )
    assert reliability_sentence(()) == ""


def test_bars_of_many_labels_share_the_last() -> None:
    found = bars({f"l{number}": 20 - number for number in range(20)}, 5)
    assert [(name, count) for name, count, _ in found] == [
        ("l0", 20), ("l1", 19), ("l2", 18), ("l3", 17), ("16 other labels", sum(range(1, 17))),
    ]  # fmt: skip
    assert max(length for *_, length in found) == 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\r\nb\tc", "a\nb\tc"), ("\x07", "\\x07"), ("\u200bx", "\\u200bx"), ("שלום", "שלום"), ("e\u0301", "e\u0301")],
)
def test_what_hides_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_names_are_cut_and_may_break() -> None:
    assert visible("abcdef", 4) == "abc…"
    assert named(" \n") == "(empty)"
    assert named("a\nb") == "a b"
    assert str(breakable("top_up/<b>")) == "top_<wbr>up/<wbr>&lt;b&gt;"
