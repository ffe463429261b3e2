"""A start from a file to its folder: words alone, so that no pretrained weights are needed."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from nlptl.context import RunContext
from nlptl.errors import ArtifactError
from nlptl.evaluation.most_frequent import MostFrequent
from nlptl.models.classifier import TextClassifier
from nlptl.runs.folder import run_inside, run_of_pipeline, stage_folders
from nlptl.runs.judging import fits as fits_module
from nlptl.runs.judging.encoder_at_hand import EncoderAtHand
from nlptl.runs.pipeline import Pipeline
from nlptl.runs.start import preparation
from nlptl.runs.start.outcome import StartOutcome
from nlptl.runs.start.preparation import StartRequest, prepare
from nlptl.runs.start.start import Start
from tests.conftest import small_reviews

FILES = ("held_out.jsonl", "judged.jsonl", "label-next.csv", "pipeline.yaml", "start.json", "suspects.csv")


@pytest.fixture(autouse=True)
def _no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation, "encoder_at_hand", lambda language: EncoderAtHand(None, "No encoder is at hand."))


def spreadsheet(folder: Path, *, rows: int, labelled: int, wrong: int | None = None) -> Path:
    """Write a table whose first rows have labels, one of them a wrong one."""
    texts, labels = small_reviews(rows)
    given = [label if row < labelled else "" for row, label in enumerate(labels)]
    if wrong is not None:
        given[wrong] = next(label for label in labels if label != given[wrong])
    path = folder / "reviews.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=";").writerows([("text", "label"), *zip(texts, given, strict=True)])
    return path


def started(path: Path) -> StartOutcome:
    return Start(prepare(StartRequest((path,), out=path.parent / "out"), RunContext()), RunContext()).run()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a start on 12 labelled rows of 40, and of a second one with 20."""
    folder = tmp_path_factory.mktemp("few")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparation, "encoder_at_hand", lambda language: EncoderAtHand(None, "No encoder is at hand."))
        started(spreadsheet(folder, rows=40, labelled=12, wrong=3))
        shutil.copytree(folder / "out", folder / "first")
        started(spreadsheet(folder, rows=40, labelled=20))
    return folder


def test_few_labels_are_judged_by_folds_and_then_all_learnt(few: Path) -> None:
    outcome = StartOutcome.read(few / "first")
    assert outcome is not None
    assert (outcome.judged, outcome.texts, outcome.since_last) == ("cross-validation", 12, None)
    assert [one.name for one in outcome.candidates] == [
        "most frequent label", "words (tf-idf, logistic regression)", "word vectors of your texts, head",
    ]  # fmt: skip
    assert outcome.warnings == ("No encoder is at hand.",)
    assert sum(one.chosen for one in outcome.candidates) == 1
    assert sorted(path.name for path in (few / "first").iterdir() if path.is_file()) == sorted(FILES)
    classifier = TextClassifier.load(stage_folders(few / "first" / "run")[-1])
    assert classifier.learnt is not None
    assert sum(classifier.learnt.labels.values()) == 12


def test_rows_to_label_name_the_file_and_the_row(few: Path) -> None:
    rows, texts = table(few / "first" / "label-next.csv"), small_reviews(40)[0]
    assert rows
    for row in rows:
        assert Path(row["file"]).name == "reviews.csv"
        assert texts[int(row["row"]) - 2] == row["text"]  # row 1 is the header
        assert int(row["row"]) - 2 >= 12


def test_held_out_predictions_have_a_row_for_each_judged_text(few: Path) -> None:
    first, *rows = map(json.loads, (few / "first" / "held_out.jsonl").read_text(encoding="utf-8").splitlines())
    assert first == {"labels": ["negative", "positive"]}
    assert sorted(row["row"] for row in rows) == [*range(2, 14)]
    assert all(sum(row["probabilities"]) == pytest.approx(1, abs=1e-4) for row in rows)


def test_a_second_call_says_what_the_new_labels_brought(few: Path) -> None:
    outcome = StartOutcome.read(few / "out")
    assert outcome is not None
    assert outcome.texts == 20
    assert outcome.since_last is not None
    # The label that was wrong was learnt with its text, so that eight texts are new.
    assert outcome.since_last.startswith(
        "8 labelled texts are new since the last call. On 8 texts that neither classifier"
    )


def test_the_pipeline_goes_on_in_the_run_and_keeps_it(few: Path) -> None:
    path = few / "out" / "pipeline.yaml"
    assert run_of_pipeline(path) == run_inside(few / "out") == few / "out" / "run"
    assert run_of_pipeline(Path("pipelines/quickstart.yaml")) == Path("runs/quickstart")
    result = Pipeline.from_yaml(path).run(run_of_pipeline(path))
    assert all(stage.kept for stage in result.stages)


def test_a_repeated_call_trains_nothing_again(few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = StartOutcome.read(few / "out")

    def fail(*_: object) -> None:
        raise AssertionError("a kept fit was made again")

    monkeypatch.setattr(fits_module.Fits, "predicted", fail)
    again = started(few / "reviews.csv")
    assert before is not None
    assert again.since_last is None, "no label is new"
    assert again.model_copy(update={"seconds": before.seconds, "since_last": before.since_last}) == before


def test_a_fit_that_a_kill_cut_off_is_made_again(few: Path, tmp_path: Path) -> None:
    shutil.copytree(few / "out", tmp_path / "out")
    shutil.copy(few / "reviews.csv", tmp_path)
    path = tmp_path / "out" / "judged.jsonl"
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[:-40], encoding="utf-8")
    started(tmp_path / "reviews.csv")
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(whole.splitlines())


def test_many_labels_get_a_test_from_which_nothing_is_learnt(tmp_path: Path) -> None:
    outcome = started(spreadsheet(tmp_path, rows=110, labelled=104, wrong=5))
    assert outcome.judged == "test"
    assert outcome.judged_how.startswith("Judged on 31 texts that were held out: 30% of each label's")
    rows = [json.loads(line) for line in (tmp_path / "out" / "held_out.jsonl").read_text().splitlines()[1:]]
    classifier = TextClassifier.load(stage_folders(tmp_path / "out" / "run")[-1])
    assert classifier.learnt is not None
    assert classifier.learnt.count([row["text"] for row in rows]) == 0
    right = sum(classifier.predict([row["text"]]) == [row["label"]] for row in rows)
    assert outcome.chosen.accuracy.value == pytest.approx(right / len(rows))
    guessing = MostFrequent.of([row["label"] for row in rows], learnt=classifier.learnt.labels)
    assert outcome.candidates[0].accuracy.value == pytest.approx(guessing.accuracy.value)
    assert [row["row"] for row in table(tmp_path / "out" / "suspects.csv")][:1] == ["7"]


def test_a_pipeline_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    path = spreadsheet(tmp_path, rows=12, labelled=12)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pipeline.yaml").write_text("stages: []\n")
    with pytest.raises(ArtifactError) as caught:
        started(path)
    assert str(caught.value) == (
        f"{tmp_path / 'out' / 'pipeline.yaml'}: stands here, and nlptl start did not write it; nothing was overwritten. Name "
        "another folder with --out."
    )


def test_new_labels_of_the_test_are_counted_and_lost_labels_forbid_a_comparison(tmp_path: Path) -> None:
    started(spreadsheet(tmp_path, rows=140, labelled=104, wrong=5))
    path = spreadsheet(tmp_path, rows=140, labelled=124, wrong=5)
    told = started(path).since_last
    assert told is not None
    assert told.startswith("20 labelled texts are new since the last call.")
    path.write_text(path.read_text(encoding="utf-8").replace(";positive", ";good"), encoding="utf-8")
    assert started(path).since_last == (
        "The last call also knew 'positive', so what new labels brought cannot be compared."
    )


def test_another_table_of_the_same_name_replaces_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        Path(name).mkdir()
        spreadsheet(Path(name), rows=40, labelled=12, wrong=3)
    request = StartRequest((Path("a/reviews.csv"),))
    Start(prepare(request, RunContext()), RunContext()).run()
    assert prepare(request, RunContext()).labelled == 12, "the same table goes on"
    with pytest.raises(ArtifactError) as caught:
        prepare(StartRequest((Path("b/reviews.csv"),)), RunContext())
    assert str(caught.value) == (
        "runs/reviews: holds what nlptl start made of a/reviews.csv, another table; nothing was overwritten. Name another "
        "folder with --out, or this one to replace it."
    )
    assert prepare(StartRequest((Path("b/reviews.csv"),), out=Path("runs/reviews")), RunContext()).labelled == 12


def test_a_table_in_utf_16_is_read_as_excel_writes_it(tmp_path: Path) -> None:
    path = spreadsheet(tmp_path, rows=40, labelled=12, wrong=3)
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    prepared = prepare(StartRequest((path,), out=tmp_path / "out"), RunContext())
    assert (prepared.labelled, prepared.pile) == (12, 28)


def test_cells_that_join_labels_are_told(tmp_path: Path) -> None:
    texts, _ = small_reviews(60)
    labels = [["sport", "music", "sport, music"][row % 3] for row in range(60)]
    path = tmp_path / "tags.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    assert (
        "The label 'sport, music' joins 'sport', 'music'. If texts have several labels, write a pipeline with nlptl init "
        "several-labels instead: here each combination is a label."
    ) in prepare(StartRequest((path,), out=tmp_path / "out"), RunContext()).warnings()
