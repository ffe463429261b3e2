"""The choice among candidates, and the intervals of what was chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from nlptl.artifact import Manifest
from nlptl.data import TextTable
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.evaluation.intervals import wilson
from nlptl.runs.judging.fit_rows import FitRow
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.judging.scored import Scored, paired, paired_texts, variance_factor
from nlptl.runs.judging.splits import JudgedSplit, Judging, judged_by_folds
from nlptl.runs.start.candidates import Kind
from nlptl.runs.start.choice import choose, pile_sentence
from nlptl.runs.start.start import cuts_sentence, verdict


def a_test(texts: int) -> Judging:
    table = TextTable.from_lists([f"text {number}" for number in range(texts)], ["a"] * texts, name="test")
    split = JudgedSplit(0, np.arange(10), np.arange(texts))
    return Judging("test", "", table, duplicate_groups(table.texts(), [0] * texts), (split,))


def scored(kind: Kind, hits: list[int], judging: Judging, *, may_be_chosen: bool = True) -> Scored:
    row = FitRow(
        candidate=kind,
        split=0,
        identity="",
        seconds=1,
        probabilities=[[0.9, 0.1] if hit else [0.2, 0.8] for hit in hits],
    )
    return Scored(JudgedChain(kind, kind, (), may_be_chosen=may_be_chosen), (row,), judging, ("a", "b"), 1.0)


def beside(words: list[int], auto: list[int]) -> list[Scored]:
    judging = a_test(len(auto))
    return [scored("words", words, judging), scored("auto", auto, judging)]


def test_few_texts_leave_the_favourite_unless_another_is_better_beyond_the_noise() -> None:
    assert choose(beside([1] * 12 + [0] * 8, [1] * 10 + [0] * 10)).chosen.candidate.kind == "auto"
    few = choose(beside([1] * 12 + [0] * 8, [1] * 10 + [0] * 10)).why
    assert (
        few == "20 texts are too few to tell it from words; it is taken as the best on the mean of several data sets."
    )
    won = choose(beside([1] * 20, [1] * 4 + [0] * 16))
    assert (won.chosen.candidate.kind, won.why) == ("words", "It is better than auto beyond the noise.")


def test_of_many_texts_the_cheaper_one_wins_within_one_standard_error_and_two_points() -> None:
    good = [1] * 160 + [0] * 40
    close = choose(beside([1] * 158 + [0] * 40 + [1, 0], good))
    assert (close.chosen.candidate.kind, close.why) == (
        "words",
        "It is the cheapest within one standard error of auto.",
    )
    apart = choose(beside([1] * 130 + [0] * 70, good))
    assert (apart.chosen.candidate.kind, apart.why) == ("auto", "It is better than each other one beyond the noise.")


def test_a_bar_is_never_chosen() -> None:
    judging = a_test(30)
    names = scored("names", [1] * 30, judging, may_be_chosen=False)
    assert choose([names, scored("head", [0] * 30, judging)]).chosen.candidate.kind == "head"


def test_the_texts_of_the_judged_folds_alone_are_told() -> None:
    table = TextTable.from_lists([f"text {number}" for number in range(60)], ["a", "b"] * 30, name="labelled")
    judging = judged_by_folds(table, seed=0)
    right = [judging.table.labels()[row] == "a" for row in judging.splits[0].judged]
    names, auto = (scored(kind, [*map(int, right)], judging) for kind in ("words", "auto"))
    choice = choose([names, auto])
    told = verdict([names, auto], choice)
    assert (judging.texts, choice.chosen.texts) == (60, len(right))
    assert told.startswith(f"{choice.chosen.candidate.name} is right in 100% [")
    assert f"] of {len(right)} texts (1 of 4 folds, for lack of time). " in told
    assert "60" not in told
    unjudged = [Scored(one.candidate, (), judging, ("a", "b"), 0.0) for one in (names, auto)]
    assert verdict(unjudged, choose(unjudged)) == (
        "auto is taken. It was taken unseen, since it was best on the mean of several data sets."
    )


def test_what_the_time_cut_is_told_in_one_sentence() -> None:
    table = TextTable.from_lists([f"text {number}" for number in range(60)], ["a", "b"] * 30, name="labelled")
    judging = judged_by_folds(table, seed=0)
    part = scored("auto", [1] * len(judging.splits[0].judged), judging)
    whole = Scored(part.candidate, tuple(part.rows * judging.folds), judging, ("a", "b"), 1.0)
    without = Scored(JudgedChain("auto without the pile", "auto without the pile", ()), (), judging, ("a", "b"), 0.0)
    manifest = Manifest.model_construct(report={})
    assert cuts_sentence([whole], manifest) == ""
    cut = Manifest.model_construct(report={"cuts": ["full took 2 of 4 epochs", "the pile was not tried"]})
    assert cuts_sentence([without, part], cut) == (
        "For lack of time, auto without the pile was not tried; auto was judged on 1 of 4 folds; full took 2 of 4 epochs; the pile "
        "was not tried. Raise --minutes."
    )
    assert cuts_sentence([whole], cut).startswith("For lack of time, full took 2 of 4 epochs; the pile")


def test_where_nothing_is_judged_the_favourite_is_taken_and_nothing_is_claimed() -> None:
    judging = judged_by_folds(TextTable.from_lists(["x", "y"], ["a", "b"], name="labelled"), seed=0)
    both: tuple[Kind, ...] = ("words", "auto")
    found = choose([Scored(JudgedChain(kind, kind, ()), (), judging, ("a", "b"), 0.0) for kind in both])
    assert found.chosen.candidate.kind == "auto"
    assert (found.chosen.accuracy().low, found.chosen.accuracy().high) == (0.0, 1.0)


def test_the_interval_on_a_test_is_wilsons_and_lower_by_the_optimism() -> None:
    one = scored("auto", [1] * 30 + [0] * 10, a_test(40))
    plain, expected = one.accuracy(), wilson(30, 40)
    assert (plain.value, plain.low, plain.high) == pytest.approx((0.75, expected.low, expected.high))
    assert one.accuracy(optimism=0.05).low == pytest.approx(expected.low - 0.05)


def test_copies_do_not_narrow_an_interval() -> None:
    table = TextTable.from_lists(["x", "x", "x", "y"], ["a"] * 4, name="test")
    split = JudgedSplit(0, np.arange(2), np.arange(4))
    judging = Judging("test", "", table, duplicate_groups(table.texts(), [0] * 4), (split,))
    found = scored("auto", [1, 1, 1, 0], judging).accuracy()
    assert (found.low, found.high) == pytest.approx((wilson(1.5, 2).low, wilson(1.5, 2).high))


def test_folds_that_share_texts_widen_an_interval() -> None:
    judging = judged_by_folds(TextTable.from_lists([*"abcdefgh"], ["a", "b"] * 4, name="labelled"), seed=0)
    assert variance_factor(judging, 1) == pytest.approx(1 + 4 / 3)
    assert variance_factor(judging, 4) == pytest.approx(1 / 4 + 4 / 3)
    assert variance_factor(a_test(5), 1) == 1


def test_the_upper_end_allows_for_learning_the_held_out_fold_too() -> None:
    judging = judged_by_folds(TextTable.from_lists([*"abcdefgh"], ["a", "b"] * 4, name="labelled"), seed=0)
    rows = tuple(
        FitRow(candidate="auto", split=split, identity="", seconds=1, probabilities=[[0.9, 0.1]] * len(part.judged))
        for split, part in enumerate(judging.splits[:4])
    )
    found = Scored(JudgedChain("auto", "auto", ()), rows, judging, ("a", "b"), 1.0).accuracy()
    plain = wilson(4 / (1 + 4 / 3), 8 / (1 + 4 / 3))
    assert (found.value, found.low) == pytest.approx((0.5, plain.low))
    assert found.high == pytest.approx(1 - (1 - plain.high) * 0.75**0.5)


def test_a_paired_difference_has_a_width_where_both_always_agree() -> None:
    judging = a_test(50)
    found = paired(scored("words", [1] * 50, judging), scored("auto", [1] * 50, judging))
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert found.value == 0
    assert found.low < 0 < found.high < 0.1


def test_a_paired_difference_covers_the_truth() -> None:
    # 0.15 of the texts speak for one, 0.05 for the other; the nominal 95 % interval must hold 0.10 in 93 % of 400 draws.
    generator, judging = np.random.default_rng(5), a_test(60)
    covered = 0
    for _ in range(400):
        apart = generator.choice([1.0, -1.0, 0.0], 60, p=[0.15, 0.05, 0.8])
        found = paired_texts(np.zeros(60), apart, judging, repeats=1)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.1 <= found.high
    assert covered >= 372


def test_pairs_are_those_that_both_judged() -> None:
    found = paired_texts(np.array([1, math.nan, 0, 1]), np.array([0, 1, math.nan, 1]), a_test(4), repeats=1)
    assert found is not None
    assert found.value == -0.5
    assert paired_texts(np.array([1, math.nan]), np.array([math.nan, 1]), a_test(2), repeats=1) is None


def test_what_pretraining_and_the_pile_bring_is_told_or_not_shown() -> None:
    judging = a_test(100)
    words, without, auto = (
        scored("words", [1] * 50 + [0] * 50, judging), scored("auto without the pile", [1] * 89 + [0] * 11, judging),
        scored("auto", [1] * 90 + [0] * 10, judging),
    )  # fmt: skip
    assert pile_sentence([words, without, auto], pile=300) == (
        "Pretraining brought +40 [+30, +49] points (auto against words). The pile is not shown to help: +1 [-2, +4] points "
        "(auto against auto without the pile)."
    )
    assert pile_sentence([words], pile=0) == (
        "No pretrained encoder was tried, so what it would bring is not shown. There is no pile: every row has a label."
    )
