"""The command `start`: what it prints, asks and refuses."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest

from nlptl.data.discovery import Question
from nlptl.interfaces import asking
from nlptl.interfaces.starting import next_lines, outcome_lines
from nlptl.interfaces.terminal import WIDTH, columns
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand
from nlptl.runs.start import preparation
from nlptl.runs.start.outcome import StartOutcome
from nlptl.runs.start.preparation import StartRequest
from tests.conftest import small_reviews
from tests.interfaces.commands import Shell
from tests.models.tiny import tiny_folder


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "encoder_at_hand", lambda language: EncoderAtHand(None, "No encoder is at hand."))


def spreadsheet(path: Path, *, labelled: int) -> Path:
    texts, labels = small_reviews(40)
    given = [label if row < labelled else "" for row, label in enumerate(labels)]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("review", "topic"), *zip(texts, given, strict=True)])
    return path


def test_start_prints_at_most_25_lines_of_which_the_last_are_the_next_commands(tmp_path: Path, shell: Shell) -> None:
    path, out = spreadsheet(tmp_path / "my reviews.csv", labelled=16), tmp_path / "out"
    code, printed, err = shell("start", path, "--out", out, "--label", "topic", "--minutes", "2")
    lines = printed.splitlines()
    assert (code, err) == (0, "")
    assert len(lines) <= 25
    *others, look, use, improve = lines
    assert max(map(columns, others)) <= WIDTH or str(path) in printed
    assert look == f"Look at it:  open {out}/report.html in your browser."
    assert use == f'Use it:      nlptl predict {out} "A text of your own."'
    assert improve == (
        f"Improve it:  label rows of 'my reviews.csv' (see {out}/label-next.csv), then: nlptl start '{path}' --label topic "
        f"--out {out} --minutes 2"
    )
    assert (out / "report.html").is_file()
    assert sum(line.startswith("> ") for line in lines) == 1
    assert shell("predict", out, "The film is wonderful")[0] == 0


def test_what_the_time_cut_is_told_on_one_line_and_in_the_report(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = str(tiny_folder(tmp_path / "tiny", "bert"))
    monkeypatch.setattr(preparation, "encoder_at_hand", lambda language: EncoderAtHand(weights, "A tiny encoder."))
    path, out = spreadsheet(tmp_path / "rows.csv", labelled=16), tmp_path / "out"
    code, printed, err = shell("start", path, "--out", out, "--label", "topic", "--minutes", "0.05")
    assert code == 0, err
    assert len(printed.splitlines()) <= 25
    told = [line for line in printed.splitlines() if line.startswith("For lack of time")]
    assert len(told) == 1
    assert told[0] == "For lack of time, auto was not tried. Raise --minutes."
    outcome = StartOutcome.read(out)
    assert outcome is not None
    assert outcome.cuts == told[0]
    assert outcome.cuts in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("cuts", "shown"),
    [
        ("For lack of time, a; b; c. Raise --minutes.", "For lack of time, a; b; c. Raise --minutes."),
        (
            "For lack of time, auto without the pile was not tried; auto was judged on 1 of 4 folds; full took 2 of 4 epochs. "
            "Raise --minutes.",
            "For lack of time, auto without the pile was not tried; 2 more in the report. Raise --minutes.",
        ),
        (
            "For lack of time, auto was not tried; head was judged on 1 of 4 folds; words was judged on 1 of 4 folds. Raise "
            "--minutes.",
            "For lack of time, auto was not tried; 2 more in the report. Raise --minutes.",
        ),
    ],
)  # fmt: skip
def test_many_cuts_are_shortened_to_a_line(cuts: str, shown: str) -> None:
    outcome = StartOutcome.model_construct(candidates=(), verdict="v", pile="p", since_last=None, cuts=cuts)
    assert [*outcome_lines(outcome)][-3:] == ["v", shown, "p"]
    assert columns(shown) <= WIDTH


def test_the_next_call_repeats_all_that_was_given() -> None:
    request = StartRequest(
        (Path("a.csv"), Path("b c.csv")), "t", "l", (Path("more.txt"),), Path("test.csv"), 3.0, Path("o")
    )
    *_, last = next_lines(request, Path("o/report.html"), has_pile=True)
    assert last == (
        "Improve it:  label rows of your files (see o/label-next.csv), then: nlptl start a.csv 'b c.csv' --text t --label l "
        "--test test.csv --out o --unlabelled more.txt --minutes 3"
    )


def test_one_table_is_named_and_the_lines_stay_short() -> None:
    told = list(next_lines(StartRequest((Path("data/posts.csv"),)), Path("runs/posts/report.html"), has_pile=True))
    assert told[0] == "Look at it:  open runs/posts/report.html in your browser."
    assert told[2] == (
        "Improve it:  label rows of posts.csv (see runs/posts/label-next.csv), then: nlptl start data/posts.csv"
    )
    assert max(map(columns, told[:2])) <= WIDTH


def test_without_a_pile_there_is_no_row_to_label() -> None:
    *_, last = next_lines(StartRequest((Path("mails"),), out=Path("o")), Path("o/report.html"), has_pile=False)
    assert last == "Improve it:  check o/suspects.csv, add rows, then: nlptl start mails --out o"


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "1e9"])
def test_minutes_must_be_some(minutes: str, tmp_path: Path, shell: Shell) -> None:
    code, _, err = shell("start", spreadsheet(tmp_path / "r.csv", labelled=10), "--minutes", minutes)
    assert code == 2
    assert err == (
        f"--minutes: found {float(minutes):g}; expected a number above 0, at most 100,000. Give the minutes that it may take.\n"
    )


def test_nobody_is_asked_where_stdin_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert asking.asker() is None


def test_a_person_answers_by_name_or_number_until_it_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Question, "answers", property(lambda _: ("Betreff", "Text")))
    answers = iter(["nonsense", "2", "Betreff"])
    monkeypatch.setattr(asking.typer, "prompt", lambda *_, **__: next(answers))
    question = Question("mails.csv", "text", ())
    assert [asking._ask(question), asking._ask(question)] == ["Text", "Betreff"]
    assert "Found 'nonsense'; expected one of the names above, or its number.\n" in capsys.readouterr().err
