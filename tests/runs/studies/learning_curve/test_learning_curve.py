"""A learning curve from a chain to its folder: n-grams under a linear head, so that no pretrained weights are needed."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.evaluation import learning_curves
from nlptl.results import read_result, read_result_line, write_result
from nlptl.runs.chain import Chain
from nlptl.runs.folder import CURVE, CURVE_ROWS
from nlptl.runs.judging.fits import Fits
from nlptl.runs.judging.judged_chain import JudgedChain
from nlptl.runs.studies.learning_curve import subsets
from nlptl.runs.studies.learning_curve.curve import identity_of, learning_curve
from nlptl.runs.studies.learning_curve.curve_rows import CurveRow
from nlptl.runs.studies.learning_curve.measuring import Measuring, expected_seconds
from nlptl.runs.studies.learning_curve.outcome import CurveResult
from nlptl.runs.studies.learning_curve.points import macro_f1
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews

HEAD = [{"stage": "classification_head"}, {"stage": "finetune", "update": {"method": "head", "solver": "ridge"}}]
STAGES = [{"stage": "ngrams", "dim": 8}, *HEAD]


@pytest.fixture(autouse=True)
def _few_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsets.subsets_of, "__kwdefaults__", {"draws": 3})
    monkeypatch.setattr(learning_curves.fit_curve, "__kwdefaults__", {"seed": 0, "samples": 500})


def chain(stages: list[dict[str, Any]] | None = None) -> Chain:
    names = {"label_names": {"negative": "bad", "positive": "good"}}
    return Chain.model_validate({"data": names, "stages": stages or STAGES})


def reviews(*, test: int = 24, pile: int = 0, labelled: int = 32) -> TextData:
    """Return reviews of which every fourth label is wrong, so that there is something to learn."""
    texts, labels = small_reviews(labelled)
    other = {"positive": "negative", "negative": "positive"}
    labels = [other[label] if row % 4 == 3 else label for row, label in enumerate(labels)]
    return TextData(
        labelled=(texts, labels), test=small_reviews(test, start=500) if test else None,
        unlabelled=small_reviews(pile, start=900)[0] if pile else None,
    )  # fmt: skip


def arms_in(folder: Path) -> set[str]:
    return {json.loads(line)["arm"] for line in (folder / CURVE_ROWS).read_text(encoding="utf-8").splitlines()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a whole curve."""
    found = tmp_path_factory.mktemp("curve")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subsets.subsets_of, "__kwdefaults__", {"draws": 3})
        patch.setattr(learning_curves.fit_curve, "__kwdefaults__", {"seed": 0, "samples": 500})
        learning_curve(chain(), reviews(), found)
    return found


def test_a_curve_has_points_predictions_and_sentences(folder: Path) -> None:
    found = CurveResult.read(folder)
    assert found is not None
    assert [point.labels for point in found.curves[0].points] == [8, 11, 16, 23, 32]
    assert [point.draws for point in found.curves[0].points] == [3, 3, 3, 3, 1]
    assert [one.metric for one in found.curves] == ["accuracy", "macro-F1"]
    assert [one.labels for one in found.curves[0].predictions] == [64, 128]
    for one in (*found.curves[0].points, *found.curves[0].predictions):
        assert one.score.low is not None
        assert one.score.high is not None
        assert 0 <= one.score.low <= one.score.value <= one.score.high <= 1
    assert [(one.label, one.texts) for one in found.label_curves] == [("negative", 24), ("positive", 8)]
    assert (found.fits, found.planned, found.pile, found.method) == (13, 13, None, "")
    assert found.sentences[0] == found.curves[0].sentence


def test_what_each_fit_gets_right_is_kept_in_a_line(folder: Path) -> None:
    lines = (folder / CURVE_ROWS).read_text(encoding="utf-8").splitlines()
    rows = [CurveRow.model_validate(read_result_line(line)) for line in lines]
    assert len(rows) == 13
    for row in rows:
        judged, predicted, right = row.counts()
        assert judged.tolist() == [12, 12]
        assert predicted.sum() == 24
        assert (right <= np.minimum(judged, predicted)).all()


def test_a_result_is_told_from_that_of_other_data_and_settings(folder: Path) -> None:
    found = CurveResult.read(folder)
    assert found is not None
    data = dataclasses.replace(reviews(), validation=None)
    assert found.identity == identity_of(chain(), data)
    assert found.identity != identity_of(chain(), reviews(labelled=30))
    assert found.identity != identity_of(chain([{"stage": "ngrams", "dim": 6}, *HEAD]), data)


def test_a_killed_curve_goes_on_after_its_last_whole_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, calls = Fits.predicted, list[int]()

    def killed(self: Fits, chain: JudgedChain, split: int) -> Any:
        calls.append(split)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return fit(self, chain, split)

    monkeypatch.setattr(Fits, "predicted", killed)
    with pytest.raises(KeyboardInterrupt):
        learning_curve(chain(), reviews(), tmp_path)
    assert not (tmp_path / CURVE).exists()
    path = tmp_path / CURVE_ROWS
    path.write_bytes(path.read_bytes()[:-9])  # the kill cut the last line
    learning_curve(chain(), reviews(), tmp_path)
    assert len(calls) == 6 + 13 - 4
    mine, whole = CurveResult.read(tmp_path), CurveResult.read(folder)
    assert mine is not None
    assert whole is not None
    assert mine.model_copy(update={"seconds": 0.0}) == whole.model_copy(update={"seconds": 0.0})
    calls.clear()
    calls.extend([-1] * 6)
    learning_curve(chain(), reviews(labelled=31), tmp_path)  # other data: nothing is used, and all stays
    assert len(calls) > 6 + 10
    assert len(path.read_text(encoding="utf-8").splitlines()) == 13 + len(calls) - 6
    calls.clear()
    learning_curve(chain(), reviews(), tmp_path)
    assert not calls


def test_without_a_test_the_texts_judge_one_another(tmp_path: Path) -> None:
    found = learning_curve(chain(), reviews(test=0), tmp_path)
    assert found.judged == "cross-validation"
    assert (
        found.judged_how
        == "Judged on the texts that each subset leaves out; the largest size leaving out one at a time."
    )
    assert found.curves[0].points[-1].labels == 31
    assert found.curves[0].predictions


def test_a_label_with_one_text_is_left_out_of_the_mean_at_every_size(tmp_path: Path) -> None:
    data = reviews(test=0, labelled=40)
    assert data.labelled is not None
    rare = TextData(labelled=([*data.labelled.texts(), "quite another thing"], [*data.labelled.labels(), "rare"]))
    found = learning_curve(chain(), rare, tmp_path, metric="macro-F1")
    rows = [CurveRow.model_validate(read_result_line(one)) for one in (tmp_path / CURVE_ROWS).read_text().splitlines()]
    draws = {(row.size, row.draw): np.zeros((3, 3)) for row in rows}
    for row in rows:
        draws[row.size, row.draw] += row.counts()
    for point in found.curves[0].points:  # of two labels, also at the largest size, whose folds judge the third
        mine = [counts[:, :2] for (size, _), counts in draws.items() if size == point.labels]
        f1 = [(2 * right / (judged + predicted)).mean() for judged, predicted, right in mine]
        assert point.score.value == pytest.approx(np.mean(f1))
    assert found.sentences[1].startswith("*rare* has 1 text")


def test_a_draw_that_lacks_a_label_takes_its_usual_f1() -> None:
    def counts(*right: int) -> Any:
        judged = [4, 4, 0] if len(right) == 2 else [4, 4, 1]
        return np.array([judged, judged, [*right, *[0] * (3 - len(right))]])

    found = macro_f1({8: {0: counts(2, 4, 1), 1: counts(4, 4)}, 16: {0: counts(4, 4, 1)}})
    assert found[8].tolist() == [pytest.approx(2.5 / 3), 1.0]
    found = macro_f1({8: {0: counts(2, 4)}, 16: {0: counts(4, 4, 1)}})
    assert (found[8].tolist(), found[16].tolist()) == ([0.75], [1.0])
    assert np.isnan(macro_f1({8: {0: counts(2, 4) * 0}})[8]).all()


def test_the_pile_is_measured_with_and_without(tmp_path: Path) -> None:
    found = learning_curve(chain(), reviews(pile=40), tmp_path)
    assert found.pile is not None
    assert found.pile.difference is not None
    assert found.pile.sentence in found.sentences
    assert arms_in(tmp_path) == {"pipeline", "pipeline without the pile"}


def test_without_the_pile_an_encoder_reads_the_texts_of_its_fit_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, read = NgramVectors.run, list[tuple[int, bool]]()

    def watched(self: Any, given: Any = None, *, data: Any = None, context: Any = None) -> Any:
        read.append((len(data.labelled), data.unlabelled is not None))
        return run(self, given, data=data, context=context)

    monkeypatch.setattr(NgramVectors, "run", watched)
    learning_curve(chain(), reviews(pile=40), tmp_path)
    assert sorted(read) == sorted([(32, True), (32, False), *[(size, False) for size in (8, 11, 16, 23)] * 3])


def test_a_pile_of_labelled_texts_is_not_measured(tmp_path: Path) -> None:
    data = reviews()
    assert data.labelled is not None
    found = learning_curve(
        chain(), dataclasses.replace(data, unlabelled=TextData(unlabelled=data.labelled.texts()).unlabelled), tmp_path
    )
    assert found.pile is not None
    assert found.pile.sentence == "What the pile is worth is not measured: all of its texts are labelled texts."
    assert found.pile.sentence in found.sentences
    assert arms_in(tmp_path) == {"pipeline"}


def test_a_slow_method_is_replaced_by_the_head_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Measuring, "first_seconds", lambda *_: 25.0)
    auto = [STAGES[0], HEAD[0], {"stage": "finetune", "update": {"method": "auto"}}]
    found = learning_curve(chain(auto), reviews(), tmp_path, minutes=10)
    assert found.method == (
        "The pipeline's own method is too slow for a curve in this time, so the head alone over the frozen encoder was fitted "
        "instead: the curve shows how it learns, and not how the pipeline does."
    )
    assert found.method in found.sentences
    assert arms_in(tmp_path) == {"head"}


def test_a_short_time_is_told(tmp_path: Path) -> None:
    found = learning_curve(chain(), reviews(), tmp_path, minutes=1e-6)
    assert found.fits == 1
    assert found.sentences[-1] == "The time allowed 1 of 13 fits; more --minutes narrow the intervals."
    assert found.curves[0].sentence == (
        "More labels are not predicted, since the curve is too short: it has 1 sizes, and 4 are needed."
    )


def test_few_judged_texts_predict_nothing(tmp_path: Path) -> None:
    found = learning_curve(chain(), reviews(test=6), tmp_path)
    assert found.curves[0].predictions == ()
    assert found.sentences[0] == "More labels are not predicted, since it is judged on 6 texts, and 20 are needed."


def test_the_time_of_a_fit_is_that_of_the_nearest_size() -> None:
    def row(size: int, seconds: float) -> CurveRow:
        return CurveRow(
            arm="a", identity="i", size=size, draw=0, part=0, seconds=seconds, judged=(1,), predicted=(1,), right=(1,)
        )

    assert expected_seconds([], 8) == 0
    assert expected_seconds([row(8, 1.0), row(8, 3.0), row(32, 10.0)], 16) == 4.0
    assert expected_seconds([row(32, 10.0)], 8) == 10.0


@pytest.mark.parametrize(
    ("stages", "data", "error", "told"),
    [
        (
            STAGES[:2], reviews(), ConfigError,
            "curve: the chain ends with classification_head; expected finetune, which learns the labelled texts that are "
            "counted. Add classification_head and finetune.",
        ),
        (
            STAGES, TextData(label_names={"a": "one", "b": "two"}), DataError,
            "curve: found names of labels and no labelled text; expected labelled texts, which are counted. Give data.labelled.",
        ),
        (
            STAGES, TextData(labelled=(["a", "b"] * 10, [["x"], ["x", "y"]] * 10)), DataError,
            "labelled: its rows have lists of labels, but a learning curve counts texts with one label each. Give texts one "
            "label, or compare the micro-F1 of runs with more and with fewer rows.",
        ),
    ],
)  # fmt: skip
def test_chains_and_data_without_a_curve_are_refused(
    stages: list[dict[str, Any]], data: TextData, error: type[Exception], told: str
) -> None:
    with pytest.raises(error) as caught:
        learning_curve(chain(stages), data)
    assert str(caught.value) == told


def test_minutes_that_are_no_time_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        learning_curve(chain(), reviews(), minutes=0)
    assert str(caught.value) == (
        "--minutes: found 0; expected a number above 0, at most 100,000. Give the minutes that it may take."
    )


def test_a_result_of_another_version_is_refused_and_made_anew(folder: Path, tmp_path: Path) -> None:
    content = read_result(folder / CURVE)
    assert content is not None
    write_result(tmp_path / CURVE, {**content, "version": 0})
    with pytest.raises(ArtifactError) as caught:
        CurveResult.read(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / CURVE}: holds a learning curve of version 0; expected version 1. Run `nlptl curve` again, which keeps the "
        "fits that still hold."
    )
    write_result(tmp_path / CURVE, {"version": 1})
    with pytest.raises(ArtifactError, match="is no learning curve"):
        CurveResult.read(tmp_path)
    assert learning_curve(chain(), reviews(), tmp_path, RunContext()) == CurveResult.read(tmp_path)
