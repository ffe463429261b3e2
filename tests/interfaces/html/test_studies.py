"""Sections of studies: there with a study, safe whatever its texts hold, and silent about results of another classifier."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from nlptl.evaluation.intervals import Estimate
from nlptl.inference.abstention.conformal import SetCoverage
from nlptl.interfaces.html.run_report import page_of
from nlptl.interfaces.html.study_charts import learning_figure
from nlptl.runs.behaviour.outcome import BehaviourResult, EditResult, Flip, LabelFlips, SliceResult
from nlptl.runs.report.studies import Studies, read_studies
from nlptl.runs.studies.audit.outcome import AuditExample, AuditFinding, AuditResult, AuditThresholds
from nlptl.runs.studies.learning_curve.outcome import CurvePoint, CurvePrediction, CurveResult, MetricCurve
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
        name="typos", what="one letter in twenty mistyped", may_change_label=False, english=False, texts=40,
        flipped=SHARE, right_before=0.8,
        right_after=0.7, difference=Estimate(-0.1, -0.2, 0.0), flips=flips,
        labels=(LabelFlips(label=NAMES[0], texts=20, flipped=SHARE),),
    )  # fmt: skip
    part = SliceResult(
        by="label", value=NAMES[0], texts=20, accuracy=SHARE, difference=SHARE, overconfidence=SHARE, differs=True,
        misjudges_itself=False,
    )  # fmt: skip
    return BehaviourResult(
        version=1, identity=identity, test="t", on="test.csv: 40 texts", learnt=False, texts=40, edited_texts=40,
        seed=0, edits=(edit,),
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
    assert read_studies(tmp_path, identity="a", data={}, tests={"t"}).behaviour == behaviour_of()
    other = read_studies(tmp_path, identity="b", data={}, tests={"t"})
    assert other.behaviour is None
    assert other.remarks == ("behaviour.json is of an earlier classifier and is not shown. Run `nlptl behave` again.",)
    changed = read_studies(tmp_path, identity="a", data={}, tests={"u"})
    assert changed.behaviour is None
    assert changed.remarks == ("behaviour.json is of other texts and is not shown. Run `nlptl behave` again.",)
    (tmp_path / "behaviour.json").write_text((tmp_path / "behaviour.json").read_text().replace("typos", "types"))
    damaged = read_studies(tmp_path, identity="a", data={}, tests={"t"})
    assert damaged.behaviour is None
    assert len(damaged.remarks) == 1


def curve_of(*, labelled: str = "d") -> CurveResult:
    points = tuple(
        CurvePoint(labels=size, draws=12, score=Estimate(0.5 + place / 20, 0.4, 0.9))
        for place, size in enumerate((10, 20, 40, 80))
    )
    predicted = CurvePrediction(labels=320, score=Estimate(0.8, 0.7, 0.95), gain=Estimate(0.1, 0.0, 0.2))
    curve = MetricCurve(
        metric="accuracy", points=points, predictions=(predicted,), labels_for_a_point=None, sentence=HOSTILE[0]
    )
    return CurveResult(
        identity="i", data={"labelled": labelled}, metric="accuracy", labels=("a", "b"), texts=80, judged="test",
        judged_how="Judged on a test.", fits=4, planned=4, method="", curves=(curve,), label_curves=(), pile=None,
        sentences=(HOSTILE[0],), seconds=1.0,
    )  # fmt: skip


def audit_of(*, labelled: str = "d") -> AuditResult:
    examples = tuple(AuditExample(file="a.csv", row=3, text=text, label=NAMES[0], detail=text) for text in HOSTILE)
    finding = AuditFinding(
        kind="wrong_labels", name="labels that held-out predictions contradict", rows=13, looked_at=100, examples=examples,
        remedy="Read them.", table="wrong-labels.csv",
    )  # fmt: skip
    nothing = AuditFinding(kind="copies", name="copies of a text", rows=0, looked_at=100)
    return AuditResult(
        command="nlptl audit a.csv", settings=None, data={"labelled": labelled}, rows={"labelled": 100}, labels={"a": 100},
        encoder=None, judges=("the words",), encoded=100, thresholds=AuditThresholds(), findings=(finding, nothing), confused=(),
        languages={"en": 100}, remarks=(HOSTILE[0],), seconds=1.0,
    )  # fmt: skip


def test_curve_audit_and_abstention_are_shown_and_safe() -> None:
    coverage = SetCoverage(0.9, 64, 0.8, 0.95, 50, 45, is_approximate=True)
    studies = Studies(curve=curve_of(), audit=audit_of(), coverage=coverage)
    page = page_of(dataclasses.replace(report_of(None), studies=studies), tables="t").decode()
    for section in ("curve", "audit", "abstention"):
        assert f'id="{section}"' in page
        assert f'href="#{section}"' in page
    assert "<img" not in page
    assert "\u202e" not in page
    assert "Looked for and not found: copies of a text." in page
    assert "both are approximate" in page


def test_the_figure_of_a_curve_lies_within_its_axes() -> None:
    figure = learning_figure(curve_of().curves[0])
    assert figure is not None
    assert [point.predicted for point in figure.points] == [False] * 4 + [True]
    assert [point.x for point in figure.points] == [0, 20, 40, 60, 100]
    assert all(0 <= end <= 100 for point in figure.points for end in (point.y, point.low, point.high))
    assert figure.told == "accuracy from 50 % with 10 labels to 80 % with 320."


def test_a_curve_and_an_audit_of_other_data_are_not_shown(tmp_path: Path) -> None:
    curve_of().write(tmp_path)
    audit_of().write(tmp_path)
    same = read_studies(tmp_path, identity="a", data={"labelled": "d", "test": "t"}, tests=())
    assert (same.curve, same.audit, same.remarks) == (curve_of(), audit_of(), ())
    other = read_studies(tmp_path, identity="a", data={"labelled": "e"}, tests=())
    assert (other.curve, other.audit) == (None, None)
    assert other.remarks == (
        "curve.json is of other data and is not shown. Run `nlptl curve` again.",
        "audit.json is of other data and is not shown. Run `nlptl audit` again.",
    )
