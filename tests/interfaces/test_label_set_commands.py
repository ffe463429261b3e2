"""Several labels a text on the command line: run, show, predict and evaluate."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nlptl.context import RunContext
from nlptl.runs.pipeline import Pipeline
from tests.interfaces.commands import Shell
from tests.label_sets import meals

PIPELINE = """
data: {unlabelled: pile.txt, labelled: train.csv, test: test.jsonl, labels: {separator: ";", empty: no_label}}
stages:
  - {stage: skipgram, dim: 32, epochs: 0, min_count: 2}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, solver: logistic}}
"""


def write_csv(path: Path, texts: list[str], sets: list[tuple[str, ...]]) -> None:
    rows = [["text", "label"], *([text, ";".join(labels)] for text, labels in zip(texts, sets, strict=True))]
    path.write_text("".join(",".join(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with data, a pipeline and its run."""
    made = tmp_path_factory.mktemp("meals")
    (made / "pile.txt").write_text("\n".join(meals(200, seed=1)[0]))
    write_csv(made / "train.csv", *meals(60, seed=2))
    lines = [json.dumps({"text": text, "label": labels}) for text, labels in zip(*meals(40, seed=3), strict=True)]
    (made / "test.jsonl").write_text("\n".join(lines))
    write_csv(made / "test.csv", *meals(40, seed=3))
    (made / "p.yaml").write_text(PIPELINE)
    Pipeline.from_yaml(made / "p.yaml").run(made / "run", context=RunContext(device="cpu"))
    return made


def test_run_and_show(folder: Path, shell: Shell) -> None:
    code, out, _ = shell("run", folder / "p.yaml", "--out", folder / "run")
    assert code == 0
    assert "labelled: a row may have several labels, 1.4 on average; 10 rows have none." in out
    assert "Test: micro-F1 0." in out or "Test: micro-F1 1." in out
    code, out, _ = shell("show", folder / "run", "--all")
    assert code == 0
    assert "A text has each label whose probability reaches a threshold" in " ".join(out.split())
    assert "  all labels right " in out
    saved = json.loads((folder / "run" / "evaluation.json").read_text())
    assert {"micro_f1", "macro_f1", "subset_accuracy", "per_label"} <= saved["evaluation"].keys()


def test_evaluate_reads_the_separator_of_the_run(folder: Path, shell: Shell, tmp_path: Path) -> None:
    options = ("--test", folder / "test.csv", "--save", tmp_path / "scores.json")
    code, out, err = shell("evaluate", folder / "run", *options, "--empty-label", "none", "-q")
    assert (code, err) == (0, "")
    saved = json.loads((folder / "run" / "evaluation.json").read_text())["evaluation"]
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found["micro_f1"] == saved["micro_f1"]
    assert f"micro-F1 {found['micro_f1']['value']:.3f}" in out
    assert shell("evaluate", folder / "run", *options, "--empty-label", "none", "-q")[0] == 0, "scores are replaced"
    code, _, err = shell("evaluate", folder / "run", *options, "-q")
    line = 2 + meals(40, seed=3)[1].index(())
    assert code == 2
    assert err.startswith(
        f"{folder / 'test.csv'}:{line}: the label is empty. Remove the row, fill in the label, or add --empty-label skip to leave "
        "out all such rows. Write [] if no label applies, or add --empty-label none if each empty cell says so. The same in "
    )
    code, _, err = shell("evaluate", folder / "run", *options, "--empty-label", "none", "--label-separator", "|", "-q")
    assert code == 2
    assert err.endswith(
        "joins 'food' and 'service', and 3 more labels join some. Set --label-separator ';' if it separates labels; else keep "
        "one.\n"
    )


def test_predictions_are_read_back_as_labels(folder: Path, shell: Shell, tmp_path: Path) -> None:
    code, out, err = shell("predict", folder / "run", "--file", folder / "test.jsonl", "--proba", "-q")
    assert (code, err) == (0, "")
    rows = list(csv.DictReader(out.splitlines()))
    assert rows[0].keys() == {"text", "label", "p_food", "p_price", "p_service"}
    assert any(";" in row["label"] for row in rows)
    assert any(not row["label"] for row in rows)
    code, out, _ = shell("predict", folder / "run", "--file", folder / "test.jsonl", "--output", "jsonl", "-q")
    lists = [json.loads(line)["label"] for line in out.splitlines()]
    assert [";".join(labels) for labels in lists] == [row["label"] for row in rows]
    (tmp_path / "own.jsonl").write_text(out)
    code, out, _ = shell("evaluate", folder / "run", "--test", tmp_path / "own.jsonl", "-q")
    assert "all labels right 1.000" in out, "its own predictions are right"


def test_options_of_several_labels(folder: Path, small_classifier: Path, shell: Shell) -> None:
    for arguments, told in (
        (
            ("predict", small_classifier, "a good film", "--label-separator", ";"),
            "--label-separator: belongs to texts with several labels, but RUN gives each one label. Drop it.\n",
        ),
        (
            ("evaluate", small_classifier, "--test", folder / "test.csv", "--label-separator", ";"),
            "--label-separator: belongs to texts with several labels, but RUN gives each one label. Drop it.\n",
        ),
        (
            ("evaluate", small_classifier, "--test", folder / "test.csv", "--empty-label", "none"),
            "--empty-label none: belongs to texts with several labels, but RUN gives each one label. Drop it.\n",
        ),
        (
            ("predict", folder / "run", "soup", "--label-separator", "oo"),
            "--label-separator: found 'oo', which stands in the label 'food'; expected a sign that no label contains. Choose "
            "another one, or write --output jsonl.\n",
        ),
    ):
        assert shell(*arguments) == (2, "", told)


def test_a_comparison_is_refused(folder: Path, shell: Shell) -> None:
    (folder / "compare.yaml").write_text(
        PIPELINE + "compare: {arms: {a: {}, b: {stages.0.dim: 8}}, tests: {t: test.jsonl}}\n"
    )
    code, _, err = shell("check", folder / "compare.yaml")
    assert code == 2
    assert err.endswith(
        "compare: a comparison counts texts that get their one label, but the labelled rows have lists of labels. Remove "
        "compare, and compare the micro-F1 of runs.\n"
    )


def test_the_card_of_the_run(folder: Path) -> None:
    card = (folder / "run" / "3-finetune" / "README.md").read_text()
    assert "of 3 labels (food, price, service), with probabilities." in card
    assert "| Micro-F1 | 1.000" in card
    assert "average: micro" in card


def test_report_is_written(folder: Path, shell: Shell, tmp_path: Path) -> None:
    assert shell("report", folder / "run", "--out", tmp_path / "report.html")[0] == 0
    assert "micro-F1" in (tmp_path / "report.html").read_text()


def test_explain_tells_each_label_by_itself(folder: Path, shell: Shell) -> None:
    code, out, err = shell("explain", folder / "run", "the soup and bread", "--label", "food", "-q")
    assert (code, err) == (0, "")
    assert "food" in out
    assert "soup" in out
