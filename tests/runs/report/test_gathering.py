"""Facts of a run: what is found in its folder, and what is said where something is missing."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.config import dump_yaml, load_yaml
from nlptl.errors import ArtifactError
from nlptl.evaluation.intervals import Estimate
from nlptl.interfaces.html.run_report import page_of
from nlptl.interfaces.html.sections import Gain, gain_of
from nlptl.models.classifier import TextClassifier
from nlptl.results import result_line
from nlptl.runs.reading.texts import RunTexts, read_texts
from nlptl.runs.report.as_read import as_read
from nlptl.runs.report.data_facts import data_facts, read_data_report
from nlptl.runs.report.facts import Advice, RunReport
from nlptl.runs.report.gathering import gather
from nlptl.runs.runner import read_scores
from nlptl.runs.start.outcome import JudgedCandidate, StartOutcome
from nlptl.runs.studies.comparison.comparison import ComparisonRow, summarise
from tests.conftest import small_reviews
from tests.reported import tiny_run, write_rows

ENCODER = "data: {unlabelled: pile.txt}\nstages: [{stage: skipgram, dim: 8, min_count: 1, epochs: 2, engine: gensim}]"

SEVERAL = """
data: {labelled: several.csv, test: judged.csv, labels: {separator: "|"}}
stages:
  - {stage: skipgram, dim: 8, min_count: 1, epochs: 3, engine: gensim}
  - {stage: sentence_vectors}
  - {stage: classification_head}
  - {stage: finetune, update: {method: head, epochs: 3, l2: 0.1}}
"""
HALF = '{"text": "\\ud800", "label": "a", "probabilities": [1]}'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def facts(made: Path) -> RunReport:
    return gather(made)


def copied(made: Path, folder: Path) -> Path:
    """Return a copy of a run and its data."""
    run = folder / "copy" / made.name
    shutil.copytree(made.parent, run.parent)
    settings = run / "pipeline.yaml"
    settings.write_text(settings.read_text().replace(str(made.parent), str(run.parent)))
    return run


def test_each_fact_of_a_run_is_found(made: Path, facts: RunReport) -> None:
    scores = read_scores(made)
    assert scores is not None
    assert facts.evaluation == scores.evaluation
    assert facts.judged is not None
    assert facts.judged.labels == tuple(small_reviews(24, start=60)[1])
    assert facts.judged.places[0] == "test.csv, row 1"
    assert facts.judged.by.endswith(f"--test {made.parent / 'test.csv'}")
    assert facts.standing is not None
    assert [one.name for one in facts.standing.rivals] == ["this classifier", "most frequent label"]
    assert [stage.folder for stage in facts.stages] == [
        "1-skipgram", "2-sentence_vectors", "3-classification_head", "4-finetune",
    ]  # fmt: skip
    assert {(curve.stage, len(curve.epochs)) for curve in facts.curves} == {("1-skipgram", 3), ("4-finetune", 3)}
    assert [(part.name, part.rows_used) for part in facts.data.parts] == [
        ("unlabelled", 60), ("labelled", 24), ("test", 24),
    ]  # fmt: skip
    assert facts.map is not None
    assert len(facts.map.points) == 48
    assert facts.remarks == ()
    page, show = f"nlptl report {made}", f"nlptl show --all {made}"
    assert {
        section: facts.commands[section] for section in ("confusion", "reliability", "training", "data")
    } == dict.fromkeys(("confusion", "reliability", "training", "data"), page)
    assert (facts.commands["scores"], facts.commands["labels"]) == (show, facts.judged.by)
    assert facts.commands["provenance"] == f"nlptl run {made / 'pipeline.yaml'} --out {made}"


def test_the_verdict_is_one_sentence_with_the_figures_of_the_scores(facts: RunReport) -> None:
    assert facts.evaluation is not None
    assert facts.evaluation.most_frequent is not None
    right = round(100 * facts.evaluation.accuracy.value)
    better = facts.evaluation.accuracy.low > 0.5
    way = "better than" if better else "not shown to be better than"
    about = "" if right == 100 else "about "
    told = f"It labels {about}{right} of 100 new texts correctly: {way} always answering “negative” (50)."
    assert facts.verdict == told


def test_words_of_mistakes_speak_for_the_wrong_label(made: Path, facts: RunReport) -> None:
    assert facts.judged is not None
    confidences = [float(facts.judged.confidences[one.text]) for one in facts.mistakes]
    assert confidences == sorted(confidences, reverse=True)
    classifier = TextClassifier.load(made)
    for mistake in facts.mistakes:
        text, said = facts.judged.texts[mistake.text], facts.judged.predicted[mistake.text]
        assert said != facts.judged.labels[mistake.text]
        logits = np.log(classifier.predict_proba([text])[0])
        place, other = (classifier.labels.index(one) for one in (said, facts.judged.labels[mistake.text]))
        # Words explain the margin of the two labels up to what no word contributes.
        empty = np.log(classifier.predict_proba([""])[0])
        margin = (logits[place] - logits[other]) - (empty[place] - empty[other])
        assert sum(word.weight for word in mistake.words) == pytest.approx(margin, abs=0.05)


def test_moved_data_leave_the_scores_and_a_remark(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    (run.parent / "test.csv").unlink()
    found = gather(run)
    scores = read_scores(run)
    assert scores is not None
    assert (found.judged, found.map, found.evaluation) == (None, None, scores.evaluation)
    (remark,) = found.remarks
    assert remark.startswith("The texts could not be read again, so figures that show texts are left out. ")
    assert "test.csv" in remark


@pytest.mark.parametrize("part", ["labelled", "test"])
def test_a_file_that_has_changed_since_is_told_and_not_shown(made: Path, tmp_path: Path, part: str) -> None:
    run = copied(made, tmp_path)
    file = run.parent / {"labelled": "train.csv", "test": "test.csv"}[part]
    write_rows(file, *small_reviews(10, start=500))
    found = gather(run)
    assert found.remarks == (
        f"{file} holds other rows than this run has read for `{part}`. This page leaves them out; run the pipeline again to "
        "use them.",
    )
    assert {one.name for one in found.data.parts if one.lengths} == {"labelled", "test"} - {part}
    assert found.map is not None
    assert {point.part for point in found.map.points} == ({"judged"} if part == "labelled" else {"labelled"})
    assert (found.judged is None) == (part == "test")
    assert found.evaluation is not None
    assert found.evaluation.rows == 24


def test_a_changed_test_of_a_comparison_is_told(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    write_rows(run.parent / "other.csv", *small_reviews(30, start=700))
    settings = run / "pipeline.yaml"
    arms = "{a: {}, b: {stages.3.update.l2: 1}}"
    compare = f"compare: {{tests: {{other: {run.parent / 'other.csv'}}}, arms: {arms}}}"
    settings.write_text(settings.read_text().replace("compare: null", "") + compare)
    digest = next(one.table.digest for one in read_texts(run).tests if one.name == "other")
    row = ComparisonRow(arm="a", seed=1, test="other", accuracy=0, texts=digest, correct="0", identity="")
    (run / "comparison.jsonl").write_text(result_line(row.model_dump()) + "\n")
    assert gather(run).remarks == ()
    write_rows(run.parent / "other.csv", *small_reviews(30, start=800))
    assert gather(run).remarks == (
        "The test other holds other rows than the comparison was scored on, so its table and this page's other figures speak "
        "of different texts. Run the pipeline again.",
    )


def test_texts_of_a_source_have_lengths_too(made: Path) -> None:
    table = read_texts(made).labelled
    report = read_data_report(made)
    assert table is not None
    assert report is not None
    source = dataclasses.replace(report, parts={"source": report.parts["labelled"]})
    found = data_facts(source, {"source": table}, None)
    assert [(one.name, len(one.lengths)) for one in found.parts] == [("source", 6)]
    assert as_read(made, RunTexts(labelled=table, part="source"), source).labelled is table


def test_a_run_without_a_test_says_so_and_how_to_judge_it(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    settings = run / "pipeline.yaml"
    settings.write_text(settings.read_text().replace(f"test: {run.parent / 'test.csv'}", "test: null"))
    (run / "evaluation.json").unlink()
    found = gather(run)
    assert (found.evaluation, found.headline, found.standing, found.mistakes) == (None, None, None, ())
    assert found.verdict == "This run has no judged texts, so how well it labels new texts is not known."
    assert found.advice[0].sentence == "Judge it on labelled texts that it has not seen."
    assert found.map is not None
    assert {point.part for point in found.map.points} == {"labelled"}


def test_a_comparison_says_why_nothing_is_measured_against_this_classifier(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    alone = gather(run)
    assert gain_of(alone.standing, comparing=alone.commands["compare"]) == Gain(
        "Not measured", "unknown", "This run has no other way beside it. The simple ways are measured on the same texts by",
        f"nlptl compare {run / 'pipeline.yaml'}",
    )  # fmt: skip
    (run / "comparison.jsonl").write_text("")
    standing = gather(run).standing
    told = "The comparison of this run is not finished. Run it again: it goes on where it stopped."
    assert standing is not None
    assert standing.sentences == (told,)
    assert gain_of(standing) == Gain("Not measured", "unknown", told)
    both = ("a", "b")
    rows = [
        ComparisonRow(arm=arm, seed=seed, test="t", accuracy=0.5, texts="", correct="10" * 20, identity="")
        for arm in both for seed in (1, 2)
    ]  # fmt: skip
    (run / "comparison.json").write_text(summarise(rows, both, seed=1).model_dump_json(by_alias=True))
    found = gather(run).standing
    assert found is not None
    assert [one.name for one in found.rivals] == ["a", "b"]
    assert gain_of(found) == Gain(
        "Not measured", "unknown",
        "None of the ways below is this classifier. An arm of `compare:` that changes nothing, such as `base: {}`, would be.",
    )  # fmt: skip
    (run / "comparison.json").write_text("{")
    found = gather(run).standing
    assert found is not None
    assert found.unmeasured == "The comparison of this run cannot be read."


def test_a_run_of_an_encoder_has_losses_and_no_scores(tmp_path: Path) -> None:
    found = gather(tiny_run(tmp_path, pipeline=ENCODER))
    assert (found.labels, found.evaluation, found.map) == ((), None, None)
    assert [curve.stage for curve in found.curves] == ["1-skipgram"]
    assert (
        found.verdict
        == "This run has no classifier: its last stage makes sentence vectors, which have no scores of their own."
    )
    assert found.proof == "A classifier learns labels on top of these vectors."
    assert found.advice == (
        Advice(
            "To make a classifier, add `labelled` texts under `data:` and the stages `classification_head` and `finetune` to the "
            "pipeline file, and run it again."
        ),
        Advice("See which words the vectors hold to be alike.", f"nlptl neighbours {tmp_path / 'made'} WORD"),
    )


def test_a_head_that_was_never_trained_is_told(made: Path, tmp_path: Path) -> None:
    run = copied(made, tmp_path)
    shutil.rmtree(run / "4-finetune")
    settings: Any = load_yaml(run / "pipeline.yaml")
    (run / "pipeline.yaml").write_text(dump_yaml({**settings, "stages": settings["stages"][:-1]}))
    found = gather(run)
    assert found.verdict == "This run has no classifier: its head was never trained, so its labels would be chance."
    assert found.proof == "The stage `finetune` trains it."
    assert found.advice[0] == Advice(
        "To make a classifier, add the stage `finetune` to the pipeline file, and run it again."
    )


def test_texts_of_several_labels_are_judged_by_all_of_them(tmp_path: Path) -> None:
    texts, labels = small_reviews(24)
    several = ["[]" if row % 6 == 0 else f"{label}|odd" if row % 3 == 0 else label for row, label in enumerate(labels)]
    write_rows(tmp_path / "several.csv", texts, several)
    write_rows(tmp_path / "judged.csv", [f"{text} indeed" for text in texts], several)
    found = gather(tiny_run(tmp_path, pipeline=SEVERAL))
    assert (found.evaluation, found.standing, found.reliability) == (None, None, ())
    assert found.label_sets is not None
    assert found.judged is not None
    assert {"(no label)", "odd + positive"} <= set(found.judged.labels)
    right = sum(one == other for one, other in zip(found.judged.labels, found.judged.predicted, strict=True))
    assert right == found.label_sets.right
    scores = found.label_sets.micro_f1
    assert scores.low is not None
    assert scores.high is not None
    alone = found.label_sets.most_frequent
    way = "better than" if scores.low > alone.micro_f1 else "not shown to be better than"
    assert found.verdict == (
        f"It gives {'about ' * (0 < right < 24)}{100 * right / 24:.0f} of 100 new texts exactly their labels; by micro-F1 it is "
        f"{way} always answering “{alone.label}” alone."
    )
    assert found.proof.endswith(
        f"Micro-F1 is {100 * scores.value:.1f} % (95 % interval {100 * scores.low:.1f} to {100 * scores.high:.1f}); always "
        f"answering “{alone.label}” alone gets {100 * alone.micro_f1:.1f} %."
    )
    assert found.remarks == (
        "Texts may have several labels, so this page has no confusion matrix, no reliability diagram and no words of "
        "mistakes.",
    )
    assert gain_of(found.standing) == Gain(
        "Not measured", "unknown",
        "Other ways are measured only where each text has one label; these texts may have several.",
    )  # fmt: skip
    assert found.map is not None
    assert found.map.by_sets
    assert found.judged.confidences.min() < 1
    assert [one.label for one in found.per_label] == ["negative", "odd", "positive"]
    assert b'id="labels"' in page_of(found, tables="t")


def test_a_start_is_judged_by_its_held_out_predictions(made: Path, tmp_path: Path) -> None:
    folder = copied(made, tmp_path).parent
    (folder / "made").rename(folder / "run")
    (folder / "label-next.csv").write_text("row\n3\n")
    write_start(folder)
    found = gather(folder / "run")
    assert found.name == "copy"
    assert found.judged is not None
    assert found.judged.places == ("a.csv, row 7", "row 9", "")
    assert found.evaluation is not None
    assert found.evaluation.rows == 3
    assert found.verdict == (
        "It labels about 80 of 100 new texts correctly: better than always answering “negative” (50), but not "
        "shown to be better than “words” (75)."
    )
    assert found.proof == "Judged on 60 texts. Expect 70 to 90 of 100 on other texts of this kind (95 % interval)."
    assert found.standing is not None
    assert found.standing.sentences == ("Chosen.", "The pile brought nothing.")
    assert found.data.warnings == ("Beware.",)
    assert {found.commands[section] for section in ("scores", "labels")} == {f"nlptl report {folder}"}
    assert found.advice[0].command.endswith("label-next.csv")
    assert found.commands["provenance"] == f"nlptl run {folder / 'pipeline.yaml'}"


def write_start(folder: Path) -> None:
    """Write what `nlptl start` writes into its folder."""
    scores = [("most frequent label", 0.5, -0.3, -0.1), ("words", 0.75, -0.15, 0.05), ("auto", 0.8, None, None)]
    candidates = [
        JudgedCandidate(
            name=name, accuracy=Estimate(value, value - 0.1, value + 0.1), macro_f1=Estimate(value, None, None),
            difference=None if low is None else Estimate(value - 0.8, low, high), seconds=1.0, chosen=low is None,
        )
        for name, value, low, high in scores
    ]  # fmt: skip
    StartOutcome(
        labels=("negative", "positive"), taken_as=("a.csv: texts.",), profile=("Two labels.",), warnings=("Beware.",),
        judged="test", judged_how="Judged on 60 texts.", texts=60, candidates=tuple(candidates), verdict="Chosen.",
        pile="The pile brought nothing.", since_last=None, seconds=9.0,
    ).write(folder)  # fmt: skip
    rows = [
        {"row": 7, "file": "data/a.csv", "text": "good", "label": "positive", "probabilities": [0.2, 0.8]},
        {"row": 9, "file": None, "text": "bad", "label": "negative", "probabilities": [0.4, 0.6]},
        {"row": None, "file": None, "text": "so so", "label": "negative", "probabilities": [0.9, 0.1]},
    ]
    lines = [json.dumps({"labels": ["negative", "positive"]}), *map(json.dumps, rows)]
    (folder / "held_out.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(("row", "fault"), [('{"text": "cut o', "JSONDecodeError"), (HALF, "UnicodeEncodeError")])
def test_damaged_predictions_of_a_start_are_told(made: Path, tmp_path: Path, row: str, fault: str) -> None:
    folder = copied(made, tmp_path).parent
    (folder / "made").rename(folder / "run")
    write_start(folder)
    path = folder / "held_out.jsonl"
    path.write_text(f'{{"labels": ["a"]}}\n{row}\n')
    with pytest.raises(ArtifactError) as caught:
        gather(folder / "run")
    assert str(caught.value) == (
        f"{path}: is not a file of held-out predictions; it is damaged ({fault}). Run `nlptl start` again."
    )


def test_a_folder_that_is_no_run_is_refused(made: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        gather(made / "4-finetune")
    assert str(caught.value) == (
        f"{made / '4-finetune'}: holds no pipeline.yaml; expected the folder of a run, whose data and settings the report "
        "shows. Give the folder that `nlptl run` wrote."
    )


def test_the_folder_of_an_audit_of_files_says_where_its_tables_are(tmp_path: Path) -> None:
    (tmp_path / "audit.json").write_text("{}")
    with pytest.raises(ArtifactError) as caught:
        gather(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: holds no pipeline.yaml; expected the folder of a run, whose data and settings the report shows. It holds an "
        f"audit of files, whose tables stand in {tmp_path / 'audit'}; look at them there."
    )
