"""Figures of a report: reliability, mistakes, the map, losses, verdicts and next steps."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nlptl.artifact import Manifest
from nlptl.evaluation.intervals import Estimate
from nlptl.evaluation.scores import evaluate_predictions
from nlptl.interfaces.html.sections import Gain, gain_of
from nlptl.runs.reading.judged import Judged
from nlptl.runs.report.embedding_map import flattened
from nlptl.runs.report.facts import Headline, Rival, Standing
from nlptl.runs.report.judging import confident_mistakes, reliability_of
from nlptl.runs.report.training import loss_curves, provenance
from nlptl.runs.report.verdict import advantage, advice_of, better_way, proof_of, verdict_of
from tests.reported import judged_texts

NAMES = ("a", "b", "c")


def test_bins_of_reliability_count_each_text_once() -> None:
    rng = np.random.default_rng(3)
    judged = judged_texts([f"text {row}" for row in range(200)], rng.choice(NAMES, 200).tolist(), NAMES)
    bins = reliability_of(judged)
    assert sum(one.texts for one in bins) == 200
    right = sum(one.right.value * one.texts for one in bins)
    assert right == pytest.approx(sum(a == b for a, b in zip(judged.predicted, judged.labels, strict=True)))
    assert sum(one.confidence * one.texts for one in bins) == pytest.approx(judged.confidences.sum())
    assert all(one.low <= one.confidence <= one.high for one in bins)


def test_a_label_among_several_is_as_sure_as_its_probability() -> None:
    probabilities = np.array([[0.22, 0.9, 0.1], [0.7, 0.23, 0.8], [0.15, 0.1, 0.05]])
    judged = Judged(
        "", "test.csv", ("one", "two", "three"), ("a", "c", "b"), probabilities, NAMES, ("", "", ""),
        sets=("a + b", "a + b + c", "(no label)"), thresholds=(0.2, 0.2, 0.5),
    )  # fmt: skip
    assert judged.confidences.tolist() == pytest.approx([0.22, 0.23, 0.85])  # of the least probable label that is given
    assert confident_mistakes(judged) == [2, 1, 0]


def test_a_mistake_is_named_once_however_often_its_text_occurs() -> None:
    judged = judged_texts(["same"] * 30, ["a"] * 30, NAMES)
    assert len(confident_mistakes(judged)) == 1


@pytest.mark.parametrize(("count", "dim"), [(4, 3), (5, 1), (40, 6), (12, 400)])
def test_the_map_is_the_same_each_time_and_lies_in_the_square(count: int, dim: int) -> None:
    vectors = np.random.default_rng(count).normal(size=(count, dim))
    places, _ = flattened(vectors)
    assert places.shape == (count, 2)
    assert (places >= 0).all()
    assert (places <= 1).all()
    assert np.array_equal(places, flattened(vectors)[0])


def test_two_groups_of_vectors_stay_apart_on_the_map() -> None:
    groups = np.repeat([0.0, 8.0], 30)
    places, how = flattened(np.random.default_rng(0).normal(size=(60, 5)) + groups[:, None])
    first, second = places[:30], places[30:]
    gap = np.linalg.norm(first.mean(axis=0) - second.mean(axis=0))
    assert gap > 2 * max(first.std(), second.std())
    assert how.startswith("t-SNE")


def test_equal_vectors_share_one_point() -> None:
    places, how = flattened(np.ones((5, 3)))
    assert (places == 0.5).all()
    assert how == "All vectors are equal."


def test_a_history_gives_a_curve_for_each_training(tmp_path: Path) -> None:
    rows = [
        '{"epoch": 1, "loss": 0.7}', '{"epoch": 2, "loss": 0.5}', "", '{"epoch": 1, "loss": 0.4}',
        '{"epoch": 2, "loss": NaN}', '{"epoch": 3, "loss": 0.2}', '{"training": "mlm", "epoch": 1, "loss": 9}',
        "no JSON", '{"training": "mlm", "epoch": 2, "loss": 8}', '{"training": "once", "epoch": 1, "loss": 8}',
    ]  # fmt: skip
    (tmp_path / "history.jsonl").write_text("\n".join(rows))
    found = [(one.name, one.epochs, one.losses) for one in loss_curves(tmp_path)]
    assert found == [
        ("training 1 of 2", (1.0, 2.0), (0.7, 0.5)), ("training 2 of 2", (1.0, 3.0), (0.4, 0.2)),
        ("mlm", (1.0, 2.0), (9.0, 8.0)),
    ]  # fmt: skip


def test_licence_and_revision_of_known_weights_are_named() -> None:
    manifest = Manifest(kind="encoder", report={"weights": {"name": "minilm", "revision": None}})
    found = provenance([manifest], pipeline="")
    assert (found.weights, found.licence) == ("minilm (sentence-transformers/all-MiniLM-L6-v2)", "Apache-2.0")
    assert len(found.revision) == 40
    unknown = Manifest(kind="encoder", report={"weights": {"name": "weights/own", "revision": "abc"}})
    found = provenance([unknown], pipeline="")
    assert (found.weights, found.revision, found.licence) == ("weights/own", "abc", "")


def standing(*rivals: Rival, reference: str) -> Standing:
    return Standing(rivals, reference, "", (), "simple")


def test_verdicts_say_what_is_shown() -> None:
    simple, this = Rival("simple", Estimate(0.7, 0.6, 0.8)), Rival("this", Estimate(0.8, 0.7, 0.9), is_this=True)
    headline = Headline(this.accuracy, 50, "test.csv: 50 texts", "yes", 0.72)
    told = {
        (0.05, 0.15): "better than “simple” (70), but not shown to be better than always answering “yes” (72)",
        (-0.05, 0.25): "not shown to be better than “simple” (70) and always answering “yes” (72)",
        (-0.2, -0.1): "not shown to be better than always answering “yes” (72), but worse than “simple” (70)",
        (None, None): "not shown to be better than “simple” (70) and always answering “yes” (72)",
    }
    for (low, high), end in told.items():
        gain = Rival("this", this.accuracy, is_this=True, difference=Estimate(0.1, low, high))
        found = standing(simple, gain, reference="simple")
        assert verdict_of(headline, found) == f"It labels about 80 of 100 new texts correctly: {end}."
    assert proof_of(headline) == (
        "Judged on test.csv: 50 texts. Expect 70 to 90 of 100 on other texts of this kind (95 % interval)."
    )
    many = Headline(Estimate(0.861, 0.8582, 0.8639), 50_000, "test.csv: 50,000 texts")
    assert proof_of(many).endswith("Expect 85.8 to 86.4 of 100 on other texts of this kind (95 % interval).")
    few = Headline(Estimate(1.0, None, None), 2, "two texts")
    assert verdict_of(few, None, texts_learnt=1) == (
        "It labels 100 of 100 new texts correctly; some of these texts were learnt from, so this is too high."
    )
    assert proof_of(few) == "Judged on two texts. That is too little for an interval."


def test_a_way_that_is_shown_to_be_better_is_told_wherever_it_stands() -> None:
    this, worse = Rival("base", Estimate(0.7, 0.6, 0.8), is_this=True), Rival("worse", Estimate(0.6, None, None))
    better = Rival("better", Estimate(0.825, None, None), difference=Estimate(0.125, 0.075, 0.192))
    best = Rival("best", Estimate(0.9, None, None), difference=Estimate(0.2, 0.1, 0.3))
    unsure = Rival("unsure", Estimate(0.99, None, None), difference=Estimate(0.29, -0.1, 0.6))
    headline = Headline(this.accuracy, 50, "test.csv: 50 texts", "yes", 0.5)
    alone = Standing((this, better, worse, unsure), "base", "", (), "base")
    assert better_way(alone) is better
    assert verdict_of(headline, alone) == (
        "It labels about 70 of 100 new texts correctly: better than always answering “yes” (50), but worse than "
        "“better” (82)."
    )
    assert gain_of(alone) == Gain(
        "No, −12 points", "bad",
        "It is the simple way itself. 95 % interval −19.2 to −7.5 points, against “better”, on the same texts. Take that way.",
    )  # fmt: skip
    assert better_way(dataclasses.replace(alone, rivals=(this, better, best))) is best
    fair = dataclasses.replace(alone, rivals=(this, worse, unsure))
    assert better_way(fair) is None
    assert gain_of(fair).told == "Nothing else that was tried is shown to be better."
    simple = Rival("simple", Estimate(0.6, None, None), difference=Estimate(-0.1, -0.2, -0.05))
    both = Standing((simple, this, better), "base", "", (), "simple")
    assert verdict_of(headline, both).endswith(
        "better than “simple” (60) and always answering “yes” (50), but worse than “better” (82)."
    )
    assert gain_of(both) == Gain(
        "Yes, +10 points", "good",
        "95 % interval +5.0 to +20.0 points, against “simple”, on the same texts. Another way is better than both: 95 % "
        "interval −19.2 to −7.5 points, against “better”, on the same texts. Take that way.",
    )  # fmt: skip


def test_the_advantage_is_the_same_from_either_side() -> None:
    this = Rival("this", Estimate(0.8, None, None), is_this=True)
    simple = Rival("simple", Estimate(0.7, None, None), difference=Estimate(-0.1, -0.2, -0.05))
    assert advantage(simple, standing(simple, this, reference="this")) == Estimate(0.1, 0.05, 0.2)
    alone = Rival("simple", Estimate(0.7, None, None))
    assert advantage(alone, standing(alone, this, reference="this")) is None


def test_next_steps_name_what_is_weak(tmp_path: Path) -> None:
    true = ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    said = ["a"] * 10 + ["a"] * 7 + ["b"] * 3 + ["c"] * 10
    scores = evaluate_predictions(labels=true, predicted=said, probabilities=None, names=NAMES)
    found = advice_of(tmp_path, scores, examples={"a": 3, "b": 3, "c": 3})
    assert [one.sentence for one in found] == [
        "Label more texts for the test: 30 tell the accuracy only to ± 15 points, about 770 to ± 3.",
        "Label more texts to learn from: 9 for 3 labels are few.",
        "Label more texts of “b”: 3 of its 10 texts were found.",
        "Use it on texts of your own.",
    ]
    many = dict.fromkeys(NAMES, 500)
    assert "7 texts of “b” that were taken for “a”" in "".join(
        one.sentence for one in advice_of(tmp_path, scores, examples=many)
    )


def test_lists_without_rows_are_no_next_step(tmp_path: Path) -> None:
    scores = evaluate_predictions(labels=["a", "b"], predicted=["a", "b"], probabilities=None, names=("a", "b"))
    told = "Label more texts to learn from: 2 for 2 labels are few."
    listed = {"label-next.csv": "Label these texts next", "suspects.csv": "Check these labels"}
    for name, step in listed.items():
        (tmp_path / name).write_text('"row","te\nxt"\n')
        assert told in [one.sentence for one in advice_of(tmp_path, scores, examples={"a": 1, "b": 1})]
        (tmp_path / name).write_text('"row","te\nxt"\n3,good\n')
        found = advice_of(tmp_path, scores, examples={"a": 1, "b": 1})
        assert [one.command for one in found if one.sentence.startswith(step)] == [str(tmp_path / name)]
        assert told not in [one.sentence for one in found]
        (tmp_path / name).unlink()
