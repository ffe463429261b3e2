"""What a comparison says, for every outcome it can have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.interfaces.text import comparison_lines
from nlptl.results import read_result_lines, result_lines
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.studies.comparison.comparison import read_comparison, summarise
from nlptl.runs.studies.comparison.comparison_rows import ComparisonRow


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
    ("second", "verdict"),
    [(0.8, "'b' is better than 'a'"), (0.2, "'b' is worse than 'a'"), (0.5, "'b' is not shown to differ from 'a'")],
)
def test_the_largest_test_decides(second: float, verdict: str) -> None:
    found = summarise([*rows("small", 0.5, 0.5, texts=2), *rows("large", 0.5, second)], ("a", "b"), seed=1)
    assert found.sentence == (
        f"On large, {verdict}. A test of 2 texts shows nothing: too few texts for an interval. "
        "This speaks of these texts and these labelled examples, not of other data, and 6 seeds are few: a claim needs 20 "
        "or more."
    )
    assert [(result.test, result.texts, result.redrawn) for result in found.results] == [
        ("small", 2, False),
        ("large", 200, False),
    ]


def test_other_examples_are_told_apart() -> None:
    found = summarise([*rows("large", 0.5, 0.8), *rows("others", 0.5, 0.5, redrawn=True)], ("a", "b"), seed=1)
    assert "With other labelled examples for each seed, 'b' is not shown to differ from 'a'." in found.sentence
    assert "This speaks of these texts, not of other data, and" in found.sentence
    assert [result.redrawn for result in found.results] == [False, True]
    assert found.results[0].differences[0].wins == 6


def test_every_arm_is_set_against_the_first() -> None:
    both = rows("large", 0.5, 0.8)
    others = [
        row.model_copy(update={"arm": arm}) for arm, share in (("c", 0.2), ("d", 0.5), ("e", 0.8))
        for row in rows("large", 0.5, share) if row.arm == "b"
    ]  # fmt: skip
    found = summarise([*both, *others], ("a", "b", "c", "d", "e"), seed=1)
    differences = [round(difference.difference.value, 2) for difference in found.results[0].differences]
    assert differences == [0.3, -0.3, 0.0, 0.3]
    assert found.sentence.startswith(
        "On large, 'b' and 'e' are better than 'a'; 'c' is worse than it; 'd' is not shown to differ from it."
    )
    lines = list(comparison_lines(found))
    assert lines[0] == "Accuracy on large in %, 6 seeds [95 % interval]:"
    assert [line.split(" ")[0] for line in lines[3:8]] == ["a", "b", "c", "d", "e"]
    assert "0/0/6" in lines[5] or "0/0/6" in lines[6]
    assert len(found.results[0].differences) == 4


@pytest.mark.parametrize(("texts", "second"), [(2, 1.0), (19, 1.0), (200, 0.5)])
def test_a_test_that_bounds_nothing_has_no_intervals(texts: int, second: float) -> None:
    """On 2 texts every resample may agree; [100.0, 100.0] would claim a certainty that no 2 texts give."""
    found = summarise(rows("few", 0.0 if second == 1 else second, second, texts=texts), ("a", "b"), seed=1)
    same = texts == 200
    if same:  # the arms agree on each text
        found = summarise(
            [row.model_copy(update={"correct": "10" * 100}) for row in rows("few", 0.5, 0.5)], ("a", "b"), seed=1
        )
    difference = found.results[0].differences[0].difference
    assert (difference.value, difference.low, difference.high) == (0.0 if same else 1.0, None, None)
    assert "'b' is not shown to differ from 'a'" in found.sentence
    lines = "\n".join(comparison_lines(found))
    assert ("+0.0" if same else "+100.0") + " (no interval)" in lines
    assert "[100.0, 100.0]" not in lines
    assert ("too few texts for an interval" in lines) != same


def test_the_most_frequent_label_stands_beside_the_arms() -> None:
    found = summarise(rows("large", 0.5, 0.8), ("a", "b"), seed=1, bars={"large": 0.625})
    lines = list(comparison_lines(found))
    assert lines[5].split() == ["most", "frequent", "label", "62.5"]


@pytest.mark.parametrize("name", ["a\u2028b", "a\u2029b", "a\x85b", "a\x1cb", "a\x0bb", "a\rb", "a\nb"])
def test_rows_of_any_arm_name_are_read_back(tmp_path: Path, name: str) -> None:
    found = [row.model_copy(update={"arm": name}) for row in rows("large", 0.5, 0.8)]
    path = tmp_path / "comparison.jsonl"
    path.write_text(result_lines(found), encoding="utf-8")
    assert read_result_lines(path, ComparisonRow) == (found, 0)


def test_arms_whose_names_hold_line_ends_resume(review_files: Path) -> None:
    path, out = review_files / "small.yaml", review_files / "out"
    arms = '{"a\\u2028b\\x85c\\nd\\r\\x1ce": {}, "x\\u2029": {stages.0.epochs: 0}}'
    study = f'compare: {{seeds: 2, arms: {arms}, tests: {{"t\\u2028": test.csv}}}}\n'
    path.write_text(path.read_text().replace("epochs: 20", "epochs: 1") + study)
    first = Pipeline.from_yaml(path).run(out, context=RunContext(device="cpu")).comparison
    assert first is not None
    assert first.arms == ("a\u2028b\x85c\nd\r\x1ce", "x\u2029")
    rows = (out / "comparison.jsonl").read_bytes()
    for settings in (path, out / "pipeline.yaml"):
        (out / ".inputs.json").unlink()
        assert Pipeline.from_yaml(settings).run(out, context=RunContext(device="cpu")).comparison == first
        assert (out / "comparison.jsonl").read_bytes() == rows


def test_a_summary_is_read_back(tmp_path: Path) -> None:
    found = summarise(rows("large", 0.5, 0.8), ("a", "b"), seed=1, bars={"large": 0.5})
    assert read_comparison(tmp_path) is None
    raw: Any = found.content()
    assert list(raw) == ["arms", "sentence", "results"]
    assert list(raw["results"][0]) == ["test", "texts", "seeds", "differences", "redrawn", "accuracy", "most_frequent"]
    (tmp_path / "comparison.json").write_text(json.dumps(raw))
    assert read_comparison(tmp_path) == found
    del raw["results"][0]["most_frequent"]  # as an earlier version wrote it
    (tmp_path / "comparison.json").write_text(json.dumps(raw))
    older = summarise(rows("large", 0.5, 0.8), ("a", "b"), seed=1)
    assert read_comparison(tmp_path) == older
    (tmp_path / "comparison.json").write_text('{"sentence": "of an earlier version"}')
    assert read_comparison(tmp_path) is None


@pytest.mark.parametrize(("learnt", "tested"), [("true false maybe", "True FALSE"), ("1 0", "true false")])
def test_a_test_that_spells_labels_otherwise_is_scored(review_files: Path, learnt: str, tested: str) -> None:
    names, spelt = learnt.split(), dict(zip(learnt.split(), tested.split(), strict=False))
    rows = {name: (review_files / f"{name}.csv").read_text().splitlines()[1:] for name in ("train", "test")}
    labels = sorted({row.rpartition(",")[2] for lines in rows.values() for row in lines})
    known = dict(zip(labels, names, strict=False))

    def write(name: str, text: str, spellings: dict[str, str], *more: str) -> None:
        lines = (row.rpartition(",") for row in rows[text])
        content = [f"{head},{spellings.get(known[label], known[label])}" for head, _, label in lines]
        (review_files / f"{name}.csv").write_text("\n".join(["text,label", *content, *more]) + "\n")

    extra = [f"quite another text {number},maybe" for number in range(3)] if "maybe" in names else []
    write("train", "train", {}, *extra)
    write("test", "test", {})
    write("same", "test", {})
    write("other", "test", spelt)
    path = review_files / "small.yaml"
    study = (
        "compare: {seeds: 2, arms: {a: {}, b: {stages.0.epochs: 0}}, tests: {same: same.csv, other: other.csv}, "
        "redraw: other.csv}\n"
    )
    if extra:
        study = study.replace(", redraw: other.csv", "")
    path.write_text(path.read_text() + study)
    found = Pipeline.from_yaml(path).run(review_files / "out", context=RunContext(device="cpu")).comparison
    assert found is not None
    same, other = found.results[:2]
    assert same.accuracies[0].value > 0.3
    assert (same.accuracies, same.most_frequent) == (other.accuracies, other.most_frequent)
    assert all(result.accuracies[0].value > 0.3 for result in found.results)


def test_remarks_on_tests_are_told(review_files: Path) -> None:
    test = review_files / "test.csv"
    (review_files / "t.csv").write_text(test.read_text(), encoding="utf-16")
    path = review_files / "small.yaml"
    path.write_text(
        path.read_text() + "compare: {seeds: 2, arms: {a: {}, b: {stages.0.epochs: 0}}, tests: {t: t.csv}}\n"
    )
    pipeline = Pipeline.from_yaml(path)
    data, _ = pipeline.check()
    assert pipeline.remarks(data)[-1] == f"compare.tests.t: {review_files / 't.csv'}: it is read as UTF-16."
