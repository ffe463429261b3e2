"""The command `audit`: what it prints, where it writes, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nlptl.artifact import sealed
from nlptl.interfaces.auditing import BOUNDS, audit_lines, next_lines
from nlptl.interfaces.terminal import WIDTH, columns
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand
from nlptl.runs.studies.audit import text_encoder
from nlptl.runs.studies.audit.findings import NAMED
from nlptl.runs.studies.audit.outcome import AuditFinding, AuditResult, AuditThresholds
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_encoder, "encoder_at_hand", lambda language: EncoderAtHand(None, "No encoder is at hand."))


def spreadsheet(path: Path, *, rows: int = 40, labelled: int = 40) -> Path:
    texts, labels = small_reviews(rows)
    given = [label if row < labelled else "" for row, label in enumerate(labels)]
    given[3] = "negative" if given[3] == "positive" else "positive"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("review", "topic"), *zip(texts, given, strict=True), (texts[5], given[6])])
    return path


def wrong_rows(folder: Path) -> list[str]:
    with (folder / "audit" / "wrong-labels.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["row"] for row in csv.DictReader(file)]


def test_files_are_audited_and_read_again_with_other_thresholds(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spreadsheet(tmp_path / "mails.csv", labelled=30)
    code, printed, _ = shell("audit", "mails.csv")
    lines, folder = printed.splitlines(), tmp_path / "runs" / "mails-audit"
    assert code == 0
    assert len(lines) <= 25
    assert max(map(columns, lines)) <= WIDTH
    assert lines[0].split() == ["finding", "count", "share", "the", "first", "one"]
    assert "No encoder is at hand." in lines
    assert lines[-3:] == [
        "Look at them:      runs/mails-audit/audit/wrong-labels.csv",
        "What to do first:  Read them, the first ones first, and correct the label.",
        "Other thresholds:  nlptl audit runs/mails-audit --suspects 0.3 --near-copies 0.9",
    ]
    assert "5" in wrong_rows(folder)  # row 1 is the header
    code, printed, err = shell("audit", "runs/mails-audit", "--suspects", "0.99", "--quiet")
    assert (code, err) == (0, "")
    assert not (folder / "audit" / "wrong-labels.csv").exists()
    assert json.loads((folder / "audit.json").read_text())["thresholds"]["suspects"] == 0.99
    spreadsheet(tmp_path / "mails.csv", labelled=31)
    code, _, err = shell("audit", "runs/mails-audit", "--suspects", "0.3", "--quiet")
    assert code == 2
    assert err == (
        "runs/mails-audit/audit.json: belongs to other data than there are now (labelled, unlabelled changed), so its scores do "
        "not hold. Audit them again: nlptl audit mails.csv\n"
    )


def test_all_findings_and_remarks_fit_into_25_lines() -> None:
    one = {"looked_at": 1000, "remedy": "Read them.", "table": "a.csv"}
    kinds = [kind for kind in NAMED if kind != "leaks"]
    findings = [AuditFinding(kind=kind, name=NAMED[kind][0], rows=7, **one) for kind in kinds]
    result = AuditResult(
        command="", settings=None, data={}, rows={}, labels={}, encoder=None, judges=("a head", "the words"), encoded=0,
        thresholds=AuditThresholds(), findings=(*findings, findings[0].model_copy(update={"rows": 0})), confused=(),
        languages={}, remarks=("A remark that takes more than one line, since it is so long. " * 3,) * 5, seconds=1.0,
    )  # fmt: skip
    lines = [*audit_lines(result), *next_lines(result, Path("runs/x"))]
    assert len(lines) <= 25
    assert max(map(columns, lines)) <= WIDTH
    assert any(line.startswith("Also found: ") for line in lines)
    nothing = tuple(one.model_copy(update={"rows": 0}) for one in findings)
    lines = [
        *audit_lines(result.model_copy(update={"findings": (*nothing[:7], *findings[7:])})),
        *next_lines(result, Path("x")),
    ]
    assert len(lines) <= 25
    assert "; and 1 more." in " ".join(lines)
    few = result.model_copy(update={"findings": tuple(findings[:3]), "remarks": ()})
    assert len([line for line in audit_lines(few) if "Also found" in line]) == 0
    assert [*audit_lines(few)][2].startswith(findings[0].name)


def test_a_pipeline_is_audited_into_its_run(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spreadsheet(tmp_path / "mails.csv")
    (tmp_path / "words.yaml").write_text(
        "data: {labelled: mails.csv, text_column: review, label_column: topic, hold_out: 0.3, shots: 4}\n"
        "stages:\n  - {stage: skipgram, dim: 20, min_count: 1, epochs: 2}\n  - {stage: sentence_vectors}\n"
        "  - {stage: classification_head}\n  - {stage: finetune, update: {method: head}}\n"
    )
    code, _, err = shell("audit", "words.yaml", "--quiet")
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "runs" / "words" / "audit.json").read_text())
    assert sum(found["rows"].values()) == 41  # all of them, not only the few that are learnt
    assert found["encoder"] == "skipgram"
    assert found["remarks"] == [
        "The run holds no finished encoder, so one was trained for the audit; after `nlptl run` its own is used."
    ]
    assert wrong_rows(tmp_path / "runs" / "words")
    assert shell("run", "words.yaml", "--quiet")[0] == 0
    parts = json.loads((tmp_path / "runs" / "words" / "data.json").read_text())["parts"]
    assert found["data"] == {name: part["digest"] for name, part in parts.items()}  # of the rows that the run learns
    assert found["audited"]["labelled"] != found["data"]["labelled"]
    assert (tmp_path / "runs" / "words" / "audit.json").is_file()
    code, _, err = shell("audit", "runs/words", "--suspects", "0.3", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads((tmp_path / "runs" / "words" / "audit.json").read_text())["encoder"] == "that of runs/words"


def test_a_file_without_labels_is_audited_as_far_as_that_goes(tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("review\n" + "".join(f"this is text number {row % 3} of a few\n" for row in range(5)))
    code, printed, err = shell("audit", path, "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    assert "copies of a text  2      40.0 %  texts.csv, row 2" in printed.splitlines()
    assert (
        "No row has a label, so labels are not judged; copies, lengths, languages and odd texts are."
        in printed.splitlines()
    )


def test_a_row_without_a_text_is_told(tmp_path: Path, shell: Shell) -> None:
    path = spreadsheet(tmp_path / "mails.csv")
    path.write_text(path.read_text() + ",positive\n")
    code, printed, _ = shell("audit", path, "--out", tmp_path / "out", "--quiet")
    assert code == 0
    assert ["rows", "without", "a", "text", "1", "2.4", "%", "mails.csv,", "row", "43"] in map(
        str.split, printed.splitlines()
    )
    table = (tmp_path / "out" / "audit" / "no-text.csv").read_text(encoding="utf-8-sig")
    assert table.splitlines() == ["part,file,row,label", f"labelled,{path},43,positive"]


def test_an_empty_file_is_refused(tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / "texts.csv"
    path.write_text("")
    code, _, err = shell("audit", path, "--out", tmp_path / "out")
    assert (code, err) == (2, f"{path}: there are no rows. Add rows, or choose another source.\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("labels", "options"),
    [("xxx", ("--label", "label")), ("xxx", ()), ("xyz", ("--label", "label")), ("xyz", ()), ("x", ())],
)
def test_few_labels_are_audited_with_their_leaks(
    labels: str, options: tuple[str, ...], tmp_path: Path, shell: Shell
) -> None:
    path, texts = tmp_path / "texts.csv", ("a text of words", "more of it here", "and one more text")
    path.write_text("review,label\n" + "".join(f"{text},{label}\n" for text, label in zip(texts, labels, strict=False)))
    code, printed, err = shell("audit", path, *options, "--test", path, "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    leaks = f"texts of a test that stand in other parts too {len(labels)} 100.0 % texts.csv, row 2"
    assert leaks in [" ".join(line.split()) for line in printed.splitlines()]
    one = "All labelled rows have the label 'x', so no label can be judged by the others."
    assert (one in printed.splitlines()) == (len(set(labels)) == 1)
    if labels == "xxx" and not options:
        again = shell("audit", tmp_path / "out", "--suspects", "0.3", "--quiet")
        assert (again[0], again[2]) == (0, "")


def test_a_pipeline_whose_rows_all_stand_in_its_test_is_audited(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "mails.csv").write_text("text,label\n" + "".join(f"text number {row},{row % 2}\n" for row in range(8)))
    (tmp_path / "words.yaml").write_text(
        "data: {labelled: mails.csv, test: mails.csv}\nstages:\n  - {stage: ngrams, dim: 2}\n"
    )
    code, printed, err = shell("audit", tmp_path / "words.yaml", "--out", tmp_path / "out", "--quiet")
    assert (code, err) == (0, "")
    assert any(line.startswith("texts of a test that stand in other parts too  8 ") for line in printed.splitlines())


def test_all_that_was_not_found_is_named_where_there_is_room(tmp_path: Path, shell: Shell) -> None:
    code, printed, _ = shell("audit", spreadsheet(tmp_path / "mails.csv"), "--out", tmp_path / "out", "--quiet")
    told = " ".join(printed.split())
    result = AuditResult.read(tmp_path / "out")
    assert code == 0
    assert result is not None
    nothing = [one.name for one in result.findings if not one.rows]
    assert len(nothing) > 6
    assert f"Looked for and not found: {'; '.join(nothing)}." in told


def test_labels_that_are_asked_for_must_be_there(tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("a text of some words\nanother text\n")
    code, _, err = shell("audit", "texts.txt", "--label", "topic")
    assert (code, err) == (
        2,
        "found texts without labels in 'texts.txt'; expected labels too. Give a table with a column of labels, or a folder that "
        "holds a folder of .txt files for each label.\n",
    )


def test_a_folder_that_is_no_audit_is_refused(tmp_path: Path, shell: Shell) -> None:
    (tmp_path / "audit.json").write_text(json.dumps(sealed({"version": 7})))
    code, _, err = shell("audit", tmp_path)
    assert code == 2
    assert err == (
        f"{tmp_path}/audit.json: was written by version 7 of the audit; expected version 1. Audit the data again.\n"
    )


def test_a_pipeline_takes_no_options_of_files_and_stands_alone(tmp_path: Path, shell: Shell) -> None:
    path = tmp_path / "words.yaml"
    path.write_text("data: {}\n")
    code, _, err = shell("audit", path, "--text", "review")
    assert (code, err) == (
        2, f"--text: found beside {path}, whose settings name its data; expected it with files alone. Leave it out.\n",
    )  # fmt: skip
    code, _, err = shell("audit", path, spreadsheet(tmp_path / "mails.csv"))
    assert (code, err) == (
        2, f"{path}: found beside other paths; expected a pipeline or a run alone. Audit it alone.\n",
    )  # fmt: skip


def test_the_bounds_of_thresholds_are_those_of_the_settings() -> None:
    for name, (low, high) in BOUNDS.items():
        for value in (low, high):
            assert getattr(AuditThresholds(**{name: value}), name) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("--suspects", "1.5", "0 to 0.99"),
        ("--near-copies", "0.5", "0.7 to 1"),
        ("--paraphrases", "nan", "0.85 to 1"),
        ("--outliers", "0", "1 to 100"),
    ],
)
def test_a_threshold_is_within_what_is_kept(name: str, value: str, expected: str, tmp_path: Path, shell: Shell) -> None:
    code, _, err = shell("audit", spreadsheet(tmp_path / "mails.csv"), name, value)
    assert (code, err) == (
        2,
        f"{name}: found {value}; expected a number from {expected}. Correct it.\n",
    )
