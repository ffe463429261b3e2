"""The stage distil: what students learn from a classifier and from a file, alone and in a run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.config import dump_yaml
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.distillation.students import WordVectorStudent
from nlptl.interfaces.text import run_lines
from nlptl.models.classifier import TextClassifier
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.distil import Distil
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews

VECTORS = {"kind": "skipgram", "dim": 8, "epochs": 5, "min_count": 1}


def run(stage: Any, given: Any, data: TextData, context: RunContext | None = None) -> Any:
    return stage.run(given, data=data, context=context or RunContext(seed=7, device="cpu"))


@pytest.fixture(scope="module")
def fresh(reviews: TextData) -> TextClassifier:
    """Return an untrained classifier over word vectors."""
    vectors = run(SkipGram(dim=8, epochs=5, min_count=1), None, reviews)
    return run(ClassificationHead(), run(SentenceVectors(), vectors, reviews), reviews)


@pytest.fixture(scope="module")
def teacher(fresh: TextClassifier, reviews: TextData) -> TextClassifier:
    return run(FineTune(), fresh, reviews)


def labelled_file(path: Path, reviews: TextData) -> Path:
    """Write the pile with labels of an outside teacher, which are right."""
    texts, labels = small_reviews(120, start=100)
    rows = [json.dumps({"text": text, "llm": label}) for text, label in zip(texts, labels, strict=True)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert reviews.unlabelled is not None
    assert reviews.unlabelled.texts() == texts
    return path


def test_a_student_agrees_with_its_teacher(teacher: TextClassifier, reviews: TextData, context: RunContext) -> None:
    student = run(Distil(student=VECTORS), teacher, reviews, context)
    test = reviews.test
    assert test is not None
    theirs, own = teacher.predict(test.texts()), student.predict(test.texts())
    assert sum(a == b for a, b in zip(theirs, own, strict=True)) >= 36
    found = context.record.report["distil"]
    assert set(found) == {"texts", "penalty", "temperature", "agreement", "texts_per_second", "megabytes"}
    assert found["texts"] == 108
    assert found["agreement"]["texts"] == 12
    assert found["agreement"]["low"] <= found["agreement"]["value"] <= found["agreement"]["high"]
    assert context.record.sentences[0].startswith(
        "The student learnt the teacher's labels of 108 texts. Of 12 others it "
    )
    assert re.search(r" and takes [\d.]+ kB \(the teacher [\d.]+ kB\)\.", context.record.sentences[0])
    with pytest.raises(ConfigError) as caught:
        student.predict_sets(["A text."], 0.8)
    assert "A student of the stage distil has none: give its teacher, the folder of the stage before, such as" in str(
        caught.value
    )
    assert len(teacher.predict_sets(["A text."], 0.8)) == 1
    confidences = [one.predict_proba(test.texts()).max(axis=1).mean() for one in (teacher, student)]
    assert abs(confidences[0] - confidences[1]) < 0.1, "it is as sure as the teacher"


def test_a_compact_student_predicts_the_same(teacher: TextClassifier, reviews: TextData) -> None:
    whole = run(Distil(student=VECTORS), teacher, reviews)
    compact = run(Distil(student={**VECTORS, "compact": True}), teacher, reviews)
    texts = [*(reviews.test.texts() if reviews.test else []), "", "zzz"]
    np.testing.assert_allclose(compact.probabilities(texts), whole.probabilities(texts), atol=1e-6)
    assert compact.encoder.dim == 2
    assert whole.encoder.dim == 8 + 2


def test_a_file_teaches_the_classifier_before(fresh: TextClassifier, reviews: TextData, tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "llm.jsonl", reviews)
    names = TextData(unlabelled=reviews.unlabelled, label_names={"negative": "bad", "positive": "good"})
    student = run(Distil(teacher={"file": str(path), "label": "llm"}), fresh, names)
    test = reviews.test
    assert test is not None
    own = run(Distil(teacher={"file": str(path), "label": "llm"}, student=VECTORS), fresh, names)
    for one in (student, own):
        assert sum(a == b for a, b in zip(one.predict(test.texts()), test.labels(), strict=True)) >= 36
    assert student.encoder.tokenizer.to_str() == fresh.encoder.tokenizer.to_str() != own.encoder.tokenizer.to_str()


def test_labelled_texts_count_for_their_share(teacher: TextClassifier, reviews: TextData) -> None:
    """People who say the opposite of the teacher win where their share is large."""
    assert reviews.labelled is not None
    other = {"negative": "positive", "positive": "negative"}
    turned = TextData(
        unlabelled=reviews.unlabelled,
        labelled=(reviews.labelled.texts(), [other[label] for label in reviews.labelled.labels()]),
    )
    texts = reviews.labelled.texts()
    hard = run(Distil(student=VECTORS, hard_share=0.99), teacher, turned).predict(texts)
    soft = run(Distil(student=VECTORS, hard_share=0), teacher, turned).predict(texts)
    assert sum(a == b for a, b in zip(hard, soft, strict=True)) < 6


def test_the_identity_follows_the_labels_of_the_file(reviews: TextData, tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "llm.jsonl", reviews)
    stage = Distil(teacher={"file": str(path), "label": "llm"}, student=VECTORS)
    before = stage.external_digests()
    path.write_text(path.read_text().replace("positive", "negative", 1))
    assert stage.external_digests() != before
    assert set(before) == {"teacher"}
    assert stage.input_paths() == {"teacher.file": path}
    assert stage.watched_paths() == {path}
    assert stage.reads(reviews) == {"unlabelled", "labelled"}


def test_what_is_refused(fresh: TextClassifier, teacher: TextClassifier, reviews: TextData, tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "llm.jsonl", reviews)
    by_file: dict[str, Any] = {"teacher": {"file": str(path), "label": "llm"}}
    few = TextData(unlabelled=["one", "two", "one"], labelled=reviews.labelled)
    hidden = run(ClassificationHead(hidden=3), fresh.encoder, reviews)
    largest = run(ClassificationHead(), run(SentenceVectors(pooling="max"), fresh.encoder, reviews), reviews)
    cases: list[tuple[Distil, TextClassifier, TextData, str]] = [
        (
            Distil(), fresh, reviews,
            "classifier: found a head that was never trained, whose answers say nothing of a text; expected a trained one. Run the "
            "stage finetune, and use its result.",
        ),
        (
            Distil(), teacher, TextData(labelled=reviews.labelled),
            "distil: found no texts to label; expected a pile of them. Give data.unlabelled.",
        ),
        (
            Distil(), teacher, few,
            "distil: found 2 different texts with the teacher's labels; expected at least 20 to learn from and to hold out. Add "
            "texts to data.unlabelled.",
        ),
        (
            Distil(**by_file), hidden, reviews,
            "distil: the student learns a linear head, but classification_head has `hidden: 3`. Set it to 0.",
        ),
        (
            Distil(**by_file), largest, reviews,
            "distil: the student's encoder has max pooling, which is not linear in the words; expected mean or sif pooling. Set it "
            "in sentence_vectors, without normalize.",
        ),
    ]  # fmt: skip
    for stage, given, data, told in cases:
        with pytest.raises((ConfigError, DataError)) as caught:
            run(stage, given, data)
        assert str(caught.value) == told


def test_a_transformer_before_a_file_is_refused(reviews: TextData, tmp_path: Path) -> None:
    path = labelled_file(tmp_path / "llm.jsonl", reviews)
    (tmp_path / "labelled.csv").write_text("text,label\na,negative\nb,positive\n")
    with pytest.raises(ConfigError) as caught:
        Pipeline(
            data={"unlabelled": str(path), "labelled": str(tmp_path / "labelled.csv")},
            stages=[
                {"stage": "bert", "weights": "minilm"}, {"stage": "classification_head"},
                {"stage": "distil", "teacher": {"file": str(path), "label": "llm"}},
            ],
        )  # fmt: skip
    assert (
        "stages.2: found a transformer before a stage with `teacher`, where the classifier before is what learns; expected word "
        "vectors. Begin the chain with skipgram, or set student." in str(caught.value)
    )


def test_a_teacher_that_no_stage_trains_is_refused_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "labelled.csv").write_text("text,label\na,negative\nb,positive\n")
    with pytest.raises(ConfigError) as caught:
        Pipeline(
            data={"unlabelled": str(tmp_path / "pile.txt"), "labelled": str(tmp_path / "labelled.csv")},
            stages=[{"stage": "skipgram"}, {"stage": "classification_head"}, {"stage": "distil"}],
        )
    assert (
        "stages.2: found a classifier that no stage before trains; expected a trained one, which labels the pile. Put the stage "
        "finetune before distil, or set teacher." in str(caught.value)
    )


def test_copies_and_labelled_texts_do_not_count(reviews: TextData) -> None:
    assert reviews.labelled is not None
    pile = ["one"] * 30 + reviews.labelled.texts()
    with pytest.raises(DataError) as caught:
        Distil().check_data(TextData(unlabelled=pile, labelled=reviews.labelled), where="stages.3")
    assert str(caught.value) == (
        "stages.3: found 1 different text with the teacher's labels; expected at least 20 to learn from and to hold out. Add "
        "texts to data.unlabelled."
    )


@pytest.mark.parametrize("student", [VECTORS, {**VECTORS, "compact": True}, {"kind": "ngrams"}])
def test_several_labels_of_a_text(student: dict[str, Any]) -> None:
    words = {"rain": ["weather"], "goal": ["sport"], "rain goal": ["weather", "sport"], "tea": []}
    texts = [f"{word} number{number}" for number in range(30) for word in words]
    labels = [own for _ in range(30) for own in words.values()]
    data = TextData(unlabelled=texts[40:], labelled=(texts[:40], labels[:40]))
    encoder = run(SkipGram(dim=8, epochs=5, min_count=1), None, data)
    teacher = run(
        FineTune(update={"method": "full", "l2": 0.01, "epochs": 20}), run(ClassificationHead(), encoder, data), data
    )
    made = run(Distil(student=student), teacher, data)
    assert made.multi_label
    assert made.head.thresholds == teacher.head.thresholds
    own, theirs = made.predict(texts), teacher.predict(texts)
    assert sum(one == other for one, other in zip(own, theirs, strict=True)) >= 0.9 * len(texts)


def test_folded_vectors_are_those_of_the_pooling(fresh: TextClassifier, reviews: TextData) -> None:
    assert fresh.encoder.pooling.mode == "sif"
    texts = reviews.labelled.texts() if reviews.labelled else []
    student = WordVectorStudent.of(fresh.encoder, texts, compact=False, where="distil")
    np.testing.assert_allclose(student.encoder.encode(texts), fresh.encoder.encode(texts), atol=1e-6)


def test_a_run_scores_both(review_files: Path) -> None:
    stages = [
        {"stage": "skipgram", "dim": 8, "epochs": 5, "min_count": 1}, {"stage": "classification_head"}, {"stage": "finetune"},
        {"stage": "distil", "student": VECTORS},
    ]  # fmt: skip
    data = {"unlabelled": "pile.txt", "labelled": "train.csv", "test": "test.csv"}
    (review_files / "distil.yaml").write_text(dump_yaml({"data": data, "stages": stages}))
    pipeline = Pipeline.from_yaml(review_files / "distil.yaml")
    first = pipeline.run(review_files / "out")
    assert first.scores is not None
    assert first.scores.beside_teacher is not None
    told = [line for line in run_lines(first) if line.startswith(("Teacher: ", "Student − teacher: "))]
    assert told == first.scores.beside_teacher.sentences()
    again = pipeline.run(review_files / "out")
    assert again.scores == first.scores
    assert all(stage.kept for stage in again.stages)
