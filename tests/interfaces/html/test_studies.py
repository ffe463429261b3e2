"""Sections of studies: there with a study, safe whatever its texts hold, and silent about results of another classifier."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.run_report import page_of
from nlptl.runs.behaviour.outcome import BehaviourResult, EditResult, Flip, LabelFlips, SliceResult
from nlptl.runs.report.studies import Studies, read_studies
from tests.reported import HOSTILE, NAMES, report_of

SHARE = Estimate(0.25, 0.1, 0.4)


def behaviour_of(texts: tuple[str, ...] = HOSTILE, *, identity: str = "a") -> BehaviourResult:
    flips = tuple(
        Flip(
            place="test.csv, row 1", text=text, edited=text[::-1], label=NAMES[0], before=NAMES[1], after=NAMES[2],
            probability=0.6, probability_after=0.5,
        )
        for text in texts
    )  # fmt: skip
    edit = EditResult(
        name="typos", what="one letter in twenty mistyped", may_change_label=False, texts=40, flipped=SHARE, right_before=0.8,
        right_after=0.7, difference=Estimate(-0.1, -0.2, 0.0), flips=flips,
        labels=(LabelFlips(label=NAMES[0], texts=20, flipped=SHARE),),
    )  # fmt: skip
    part = SliceResult(
        by="label", value=NAMES[0], texts=20, accuracy=SHARE, difference=SHARE, overconfidence=SHARE, differs=True,
        misjudges_itself=False,
    )  # fmt: skip
    return BehaviourResult(
        version=1, identity=identity, on="test.csv: 40 texts", learnt=False, texts=40, edited_texts=40, seed=0, edits=(edit,),
        slices=(part,), sentences=(HOSTILE[0],),
    )  # fmt: skip


def test_changed_texts_are_shown_and_safe() -> None:
    without = page_of(report_of(None), tables="t").decode()
    assert 'id="behaviour"' not in without
    report = dataclasses.replace(report_of(None), studies=Studies(behaviour_of()))
    page = page_of(report, tables="t").decode()
    assert 'id="behaviour"' in page
    assert 'href="#behaviour"' in page
    assert page.count("<script") == without.count("<script")
    assert "<img" not in page
    assert "\\u202e" in page
    assert "\u202e" not in page
    assert "Typos: 13 texts whose label changes" in page


def test_results_of_another_classifier_are_not_shown(tmp_path: Path) -> None:
    behaviour_of().write(tmp_path)
    assert read_studies(tmp_path, identity="a").behaviour == behaviour_of()
    other = read_studies(tmp_path, identity="b")
    assert other.behaviour is None
    assert other.remarks == ("behaviour.json is of an earlier classifier and is not shown. Run `nlptl behave` again.",)
    (tmp_path / "behaviour.json").write_text((tmp_path / "behaviour.json").read_text().replace("typos", "types"))
    damaged = read_studies(tmp_path, identity="a")
    assert damaged.behaviour is None
    assert len(damaged.remarks) == 1
