"""Reference of a watch: which answers and which encoder stand for the texts of before."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlptl.context import RunContext
from nlptl.evaluation.scores import load_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.runs.monitoring.changes import inputs_by_look, inputs_by_vectors
from nlptl.runs.monitoring.reference import answers_to, encoder_of_inputs, left_out_answers, reference_of
from nlptl.runs.reading.texts import read_data
from tests.conftest import small_reviews
from tests.reported import PIPELINE, tiny_run

LEARNT = PIPELINE.replace("method: head, epochs: 3, l2: 0.1", "method: full, epochs: 1")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run whose word vectors have learnt the labels."""
    return tiny_run(tmp_path_factory.mktemp("reference"), pipeline=LEARNT)


@pytest.fixture(scope="module")
def classifier(run: Path) -> TextClassifier:
    return load_classifier(run, RunContext())


def test_a_small_test_is_joined_to_the_held_out_examples(run: Path, classifier: TextClassifier) -> None:
    found = reference_of(run, classifier, RunContext())
    assert found.answers is not None
    assert found.answers.how.startswith("24 texts of the run's test and ")
    assert len(found.answers.labels) == len(found.answers.held_out.right) > 24
    assert len(found.texts) == 48
    assert len(found.pile) == 60
    assert found.remarks == ()


def test_answers_are_scored_by_their_labels(run: Path, classifier: TextClassifier) -> None:
    test = read_data(run)[1].test
    assert test is not None
    found = answers_to(classifier, test, how="a test")
    assert found is not None
    probabilities = classifier.probabilities(test.texts())
    assert found.held_out.confidences == pytest.approx(probabilities.max(axis=1))
    right = np.array(classifier.labels_of(probabilities)) == np.array(test.labels())
    assert found.held_out.right.tolist() == right.astype(float).tolist()


def test_texts_that_were_learnt_answer_nothing(run: Path, classifier: TextClassifier) -> None:
    labelled = read_data(run)[1].labelled
    assert labelled is not None
    assert answers_to(classifier, labelled, how="examples") is None


def test_word_vectors_that_have_learnt_the_labels_do_not_compare_inputs(run: Path, classifier: TextClassifier) -> None:
    found = encoder_of_inputs(run, classifier)
    assert found is not None
    texts = small_reviews(4)[0]
    assert not np.allclose(found.encode(texts), classifier.encoder.encode(texts))
    assert encoder_of_inputs(run / "4-finetune", classifier) is None


def test_a_head_of_other_weights_has_no_answers(run: Path) -> None:
    classifier = load_classifier(run, RunContext())
    assert left_out_answers(classifier) is not None
    classifier.head.last_linear.weight.data.mul_(2)
    assert left_out_answers(classifier) is None


def test_inputs_are_compared_where_there_are_enough(classifier: TextClassifier) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 4))
    assert inputs_by_vectors(vectors[:19], vectors[20:], seed=0) is None
    found = inputs_by_vectors(vectors[:25], vectors[30:] + 3, seed=0)
    assert found is not None
    assert found.p_value < 0.01
    assert inputs_by_look(None, ["a"] * 30, vectors) is None
