"""Prediction sets of a classifier: what they hold, what travels with its folder, and what is said where it does not."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nlptl.artifact import Manifest, publish
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.inference.abstention.abstention import FILE, Abstention
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from tests.conftest import small_reviews
from tests.label_sets import meals

TEXTS = ["The film is good and the plot was warm, number 3", "zzz ÄÖÜ @@@", "good bad"]
NOTHING_HELD_OUT = (
    "predict_sets: the classifier carries no held-out logits of its head, from which prediction sets are made; expected those of "
    "the stage finetune, which needs two labelled texts at least of every label. A student of the stage distil has none: give its "
    "teacher, the folder of the stage before, such as RUN/4-finetune. Else run the pipeline again if an earlier nlptl "
    "made the classifier, or label more texts."
)


def classifier_of(labelled: tuple[list[str], list[str]], *, pile: int = 0) -> TextClassifier:
    data = TextData(unlabelled=small_reviews(pile + 20, start=500)[0], labelled=labelled)
    given = ClassificationHead().run(NgramVectors(dim=6).run(data=data), data=data)
    return FineTune(update={"method": "head", "solver": "logistic"}).run(given, data=data)


@pytest.fixture(scope="module")
def classifier() -> TextClassifier:
    return classifier_of(small_reviews(40))


def test_a_set_holds_the_labels_whose_probability_reaches_the_threshold(classifier: TextClassifier) -> None:
    texts = [*small_reviews(60, start=200)[0], *TEXTS]
    found = classifier.predict_sets(texts, 0.8)
    probabilities = classifier.predict_proba(texts)
    sizes = {len(one.labels) for one in found}
    least = min(
        row[classifier.labels.index(name)] for row, one in zip(probabilities, found, strict=True) for name in one.labels
    )
    for row, one in zip(probabilities, found, strict=True):
        assert one.labels[0] == classifier.labels[row.argmax()]
        assert set(one.labels[1:]) <= {
            name for name, share in zip(classifier.labels, row, strict=True) if share >= least
        }
        assert one.label == (one.labels[0] if len(one.labels) == 1 and not one.unknown else None)
    assert sizes <= {1, 2}
    assert found[0].coverage.held_out == 40
    assert found[0].coverage is found[-1].coverage
    assert len({one.novelty for one in found[-3:]}) == 3


def test_what_sets_need_travels_with_the_folder(classifier: TextClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "kept")
    again = TextClassifier.load(tmp_path / "kept")
    assert again.predict_sets(TEXTS, 0.7) == classifier.predict_sets(TEXTS, 0.7)
    again.save(tmp_path / "twice")
    first, second = ((tmp_path / name / FILE).read_bytes() for name in ("kept", "twice"))
    assert first == second


def test_a_folder_without_the_file_says_what_to_do(classifier: TextClassifier, tmp_path: Path) -> None:
    older = TextClassifier(classifier.encoder, classifier.head, classifier.labels)
    older.save(tmp_path / "older")
    found = TextClassifier.load(tmp_path / "older")
    assert not (tmp_path / "older" / FILE).exists()
    assert found.predict(TEXTS) == classifier.predict(TEXTS)
    with pytest.raises(ConfigError) as raised:
        found.predict_sets(TEXTS)
    assert str(raised.value) == NOTHING_HELD_OUT


def test_a_head_that_was_changed_has_no_sets(classifier: TextClassifier) -> None:
    changed = copy.deepcopy(classifier)
    assert changed.predict_sets(TEXTS) == classifier.predict_sets(TEXTS)
    with torch.no_grad():
        changed.head.last_linear.weight.mul_(2)
    with pytest.raises(ConfigError) as raised:
        changed.predict_sets(TEXTS)
    assert str(raised.value) == NOTHING_HELD_OUT


def test_few_texts_promise_less() -> None:
    few = classifier_of(small_reviews(6))
    with pytest.raises(DataError, match=r"predict_sets: found 6 held-out texts, too few for a coverage of 0.9"):
        few.predict_sets(TEXTS)
    found = few.predict_sets(TEXTS, 0.6)
    assert found[0].unknown is not None  # 20 texts of the pile and 6 labelled ones
    with pytest.raises(ConfigError, match=r"^predict_sets: found 90; expected a share"):
        few.predict_sets(TEXTS, 90)


def test_several_labels_a_text_have_no_sets() -> None:
    data = TextData(unlabelled=meals(60, seed=1)[0], labelled=meals(40, seed=2))
    given = ClassificationHead().run(NgramVectors(dim=6).run(data=data), data=data)
    found = FineTune(update={"method": "head", "solver": "logistic"}).run(given, data=data)
    assert found.abstention is None
    with pytest.raises(ConfigError) as raised:
        found.predict_sets(["soup"])
    assert str(raised.value) == (
        "predict_sets: the classifier gives a text several labels, or none; prediction sets are for texts with one label each. "
        "Use the probabilities of its labels."
    )


@pytest.mark.parametrize("damage", ["labels", "logits", "dimension", "missing", "text"])
def test_a_damaged_file_is_refused(classifier: TextClassifier, tmp_path: Path, damage: str) -> None:
    def write(draft: Path) -> None:
        classifier.write_files(draft)
        path = draft / FILE
        tensors = load_file(path)
        if damage == "text":
            path.write_text("no tensors")
            return
        changed = {
            "labels": {"label_ids": tensors["label_ids"] + 5}, "logits": {"logits": tensors["logits"][:, :1].contiguous()},
            "dimension": {"vectors.mean": torch.zeros(50), "vectors.axes": torch.zeros(6, 50)},
        }.get(damage, {})  # fmt: skip
        kept = {
            name: tensor
            for name, tensor in {**tensors, **changed}.items()
            if damage != "missing" or name != "head_size"
        }
        save_file(kept, path)

    publish(tmp_path / "damaged", write, Manifest(kind="classifier"))
    with pytest.raises(ArtifactError) as raised:
        TextClassifier.load(tmp_path / "damaged")
    fault = "is no whole safetensors file" if damage == "text" else "does not fit the classifier"
    assert str(raised.value) == f"{tmp_path / 'damaged' / FILE}: {fault}; the folder is damaged. Run the stage again."


def test_held_out_probabilities_sum_to_one(classifier: TextClassifier) -> None:
    abstention = classifier.abstention
    assert isinstance(abstention, Abstention)
    assert abstention.held_out.probabilities.sum(axis=1) == pytest.approx(np.ones(40))
