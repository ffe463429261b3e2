"""Lines and tables of the terminal: nothing is wider than 100 columns, an arm is a row."""

from __future__ import annotations

from nlptl.evaluation.intervals import Interval, PairedDifference
from nlptl.interfaces.terminal import WIDTH, wrapped
from nlptl.interfaces.text import comparison_lines, settings_told, table
from nlptl.runs.studies.comparison import comparison
from nlptl.runs.studies.comparison.comparison import ComparisonResult


def compared(*arms: str) -> ComparisonResult:
    paired = PairedDifference(Interval(0.3, 0.2, 0.4), 3, 1, 0, 0.25)
    difference = comparison.ArmDifference.of(paired, texts=200)
    accuracies = tuple(Interval(0.5 + 0.3 * (number > 0), 0.4, 0.9) for number in range(len(arms)))
    differences = (difference,) * (len(arms) - 1)
    result = comparison.TestResult(
        test="200 held-out reviews", texts=200, seeds=4, accuracies=accuracies, differences=differences, redrawn=False
    )
    return ComparisonResult(arms=arms, results=(result,), sentence="All is well.")


def test_each_arm_is_a_row() -> None:
    assert list(comparison_lines(compared("8 labels alone", "LoRA"))) == [
        "Accuracy on 200 held-out reviews in %, 4 seeds [95 % interval]:",
        "                accuracy           difference in points  better/equal/worse",
        "--------------  -----------------  --------------------  ------------------",
        "8 labels alone  50.0 [40.0, 90.0]",
        "LoRA            80.0 [40.0, 90.0]  +30.0 [+20.0, +40.0]  3/1/0",
        "",
        "All is well.",
    ]


def test_settings_are_spelt_as_in_yaml() -> None:
    views = [
        {"view": "ngrams", "words": [1, 2], "characters": None},
        {"view": "word_vectors", "text": {"lowercase": True}},
    ]
    assert settings_told(
        {"stage": "sentence_vectors", "layer": -1, "normalize": None, "views": views, "weights": []}
    ) == (
        "layer=-1, normalize=null, views=[{view: ngrams, words: [1, 2], characters: null}, {view: word_vectors, text: "
        "{lowercase: true}}], weights=[]"
    )


def test_no_arm_makes_a_table_too_wide() -> None:
    arms = [f"arm {number} with all the words that a careful person gives to a name " * 2 for number in range(8)]
    lines = [*comparison_lines(compared(*arms))]
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(" ".join(lines).split()).count("careful person") == 16


def test_a_table_aligns_its_columns() -> None:
    assert list(table(["", "time"], [["1-bert", "2 s"], ["10-finetune", "12 s"]])) == [
        "             time",
        "-----------  ----",
        "1-bert       2 s",
        "10-finetune  12 s",
    ]


def test_long_lines_are_broken_at_spaces() -> None:
    sentence = "  " + "word " * 60 + "x" * 120 + " the end."
    lines = wrapped(sentence).splitlines()
    assert all(line.startswith("  ") for line in lines)
    assert [line for line in lines if len(line) > WIDTH] == ["  " + "x" * 120]
    assert " ".join(" ".join(lines).split()) == " ".join(sentence.split())
    assert wrapped("a  short   line") == "a  short   line"
