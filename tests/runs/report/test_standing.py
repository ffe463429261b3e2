"""Standing of a run beside the arms of `nlptl compare`, whose study lies beside the run."""

from __future__ import annotations

from pathlib import Path

from nlptl.evaluation.intervals import Estimate
from nlptl.results import write_result
from nlptl.runs.report.standing import standing_of
from nlptl.runs.studies.comparison import comparison
from nlptl.runs.studies.comparison.comparison import ArmDifference, ArmFacts, ArmPair, ComparisonResult

ACCURACIES = (Estimate(0.4, 0.3, 0.5), Estimate(0.6, 0.5, 0.7), Estimate(0.8, 0.7, 0.9))
NAMES = ("most frequent label", "words", "the pipeline as written")


def study(folder: Path, *, labelled: str = "d", is_own: bool = True) -> None:
    pairs = tuple(
        ArmPair(first=NAMES[one], second=NAMES[other], accuracy=Estimate(value, value - 0.1, value + 0.1),
                macro_f1=Estimate(value, None, None), p_value=0.01)
        for one, other, value in ((0, 1, 0.2), (0, 2, 0.4), (1, 2, 0.2))
    )  # fmt: skip
    difference = ArmDifference(difference=ACCURACIES[0], wins=1, ties=0, losses=0, p_value=1.0)
    result = comparison.TestResult(
        test="test.csv", texts=40, seeds=1, differences=(difference,) * 2, redrawn=False, accuracy=ACCURACIES,
        macro_f1=ACCURACIES, pairs=pairs,
    )  # fmt: skip
    facts = (
        ArmFacts(name=NAMES[0], regime="most_frequent"),
        ArmFacts(name=NAMES[1], regime="words"),
        ArmFacts(name=NAMES[2], is_own=is_own),
    )
    found = ComparisonResult(
        arms=NAMES,
        sentence="It is better.",
        results=(result,),
        version=1,
        judged="Judged.",
        facts=facts,
        belongs_to={"labelled": labelled},
    )
    folder.mkdir()
    write_result(folder / "comparison.json", found.content())


def test_the_arms_of_a_study_stand_beside_the_run(tmp_path: Path) -> None:
    study(tmp_path / "tweets-compare")
    found, remark = standing_of(tmp_path / "tweets", None, None, data={"labelled": "d"})
    assert found is not None
    assert (remark, found.reference, found.simple) == ("", NAMES[2], "words")
    assert [one.is_this for one in found.rivals] == [False, False, True]
    assert [None if one.difference is None else one.difference.value for one in found.rivals] == [-0.4, -0.2, None]
    assert found.rivals[1].difference == Estimate(-0.2, -0.30000000000000004, -0.1)
    assert found.sentences == ("Judged.", "It is better.")


def test_a_study_of_other_labels_or_without_the_run_s_own_way_is_left_out(tmp_path: Path) -> None:
    study(tmp_path / "one-compare", labelled="e")
    study(tmp_path / "two-compare", is_own=False)
    for name in ("one", "two", "three"):
        assert standing_of(tmp_path / name, None, None, data={"labelled": "d"}) == (None, "")
