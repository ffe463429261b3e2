"""Classifiers that give texts several labels, or none: every method that can learn them, and what the others say."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError, DataError, NlptlError
from nlptl.evaluation.label_sets import score_label_sets
from nlptl.evaluation.scores import evaluate_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.skipgram import SkipGram
from tests.label_sets import WORDS, meals
from tests.models.tiny import tiny_folder

LOGISTIC: dict[str, Any] = {"method": "head", "solver": "logistic"}
FIXED: dict[str, Any] = {"epochs": 2, "l2": 0.1, "folds": 2}
CPU = RunContext(seed=3, device="cpu")


@pytest.fixture(scope="module")
def data() -> TextData:
    return TextData(unlabelled=meals(400, seed=1)[0], labelled=meals(80, seed=2), test=meals(60, seed=3))


@pytest.fixture(scope="module")
def fresh(data: TextData) -> TextClassifier:
    encoder = SkipGram(dim=32, epochs=0, min_count=2).run(data=data, context=CPU)  # a random vector for each word
    return ClassificationHead().run(encoder, data=data, context=CPU)


@pytest.fixture(scope="module")
def trained(fresh: TextClassifier, data: TextData) -> TextClassifier:
    return FineTune(update=LOGISTIC).run(fresh, data=data, context=CPU)


def fitted(given: TextClassifier, data: TextData, **settings: Any) -> tuple[TextClassifier, RunContext]:
    context = RunContext(seed=3, device="cpu")
    return FineTune(**settings).run(given, data=data, context=context), context


def test_it_learns_saves_and_loads(trained: TextClassifier, data: TextData, tmp_path: Path) -> None:
    assert trained.multi_label
    assert data.test is not None
    found = score_label_sets(trained, data.test)
    assert found.micro_f1.value > 0.8 > found.most_frequent.micro_f1
    texts = data.test.texts()
    predicted, probabilities = trained.predict(texts), trained.predict_proba(texts)
    assert () in predicted, "none of the labels is an answer"
    assert max(map(len, predicted)) > 1
    bars = np.array(trained.head.thresholds)
    assert predicted == [tuple(np.array(trained.labels)[row >= bars].tolist()) for row in probabilities]
    assert not np.allclose(probabilities.sum(axis=1), 1, atol=0.1), "the probabilities are independent"
    assert trained.predict(["soup", ""], empty_text="none")[1] is None
    trained.save(tmp_path / "saved")
    again = TextClassifier.load(tmp_path / "saved")
    assert again.multi_label
    assert again.predict(texts) == predicted
    assert (again.head.thresholds, again.separator) == (trained.head.thresholds, "|")
    assert score_label_sets(again, data.test) == dataclasses.replace(found)


def test_thresholds_of_a_folder_are_checked(trained: TextClassifier, tmp_path: Path) -> None:
    trained.save(tmp_path / "saved")
    settings = json.loads((tmp_path / "saved" / "classifier.json").read_text())
    for change, told in (
        ([0.5], "found 1 thresholds for 3 labels; expected one each"),
        ([0.5, 2.0, 0.5], "less than or equal to 1"),
    ):
        settings["head"]["thresholds"] = change
        (tmp_path / "saved" / "classifier.json").write_text(json.dumps(settings))
        with pytest.raises(ArtifactError) as caught:
            TextClassifier.read_files(tmp_path / "saved")
        assert told in str(caught.value) or "thresholds" in str(caught.value)


@pytest.mark.parametrize(
    "update",
    [{"method": "head", "folds": 2, "l2": 0.01}, {"method": "full", "epochs": 10, "l2": 0.01}, {"method": "auto"}],
    ids=str,
)
def test_methods_over_word_vectors(fresh: TextClassifier, data: TextData, update: dict[str, Any]) -> None:
    found, context = fitted(fresh, data, update=update)
    assert data.test is not None
    assert score_label_sets(found, data.test).micro_f1.value > 0.7
    *_, last = context.record.sentences
    assert last.startswith("A text has each label whose probability reaches a threshold: 0.")
    assert "chosen by F1 on held-out examples (micro-F1 " in last
    if update["method"] == "auto":
        assert "The head alone learns, since the encoder has no layers that could learn." in context.record.sentences


def test_head_by_gradient_is_one_logistic_regression_a_label(fresh: TextClassifier, data: TextData) -> None:
    assert data.labelled is not None
    found, _ = fitted(fresh, data, update={"method": "head", "l2": 0.1, "epochs": 200})
    vectors = fresh.encoder.encode(data.labelled.texts())
    scaled = (vectors - vectors.mean(axis=0)) / np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).mean())
    targets = np.array([[label in labels for label in WORDS] for labels in data.labelled.label_sets()])
    oracle = OneVsRestClassifier(LogisticRegression(C=1 / (len(scaled) * 0.1), tol=1e-8, max_iter=5000))
    expected = oracle.fit(scaled, targets).predict_proba(scaled)
    np.testing.assert_allclose(found.predict_proba(data.labelled), expected, atol=2e-3)


@pytest.fixture(scope="module")
def layers(data: TextData, tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    encoder: Encoder = Bert(weights=str(tiny_folder(tmp_path_factory.mktemp("weights"), "bert"))).run(
        data=data, context=CPU
    )
    return ClassificationHead().run(encoder, data=data, context=CPU)


@pytest.mark.parametrize(
    "update",
    [{"method": "partial", "top_layers": 1, **FIXED}, {"method": "full", "label_weights": "balanced", **FIXED},
     {"method": "lora", "label_smoothing": 0.1, **FIXED}, {"method": "auto"}],
    ids=lambda update: str(update["method"]),
)  # fmt: skip
def test_methods_over_layers(layers: TextClassifier, data: TextData, update: dict[str, Any], tmp_path: Path) -> None:
    small = dataclasses.replace(data, labelled=meals(24, seed=4), validation=None)
    found, context = fitted(layers, small, update=update)
    assert found.head.thresholds is not None
    assert len(set(found.head.thresholds)) > 1
    found.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())["problem_type"] == "multi_label_classification"
    again = TextClassifier.load(tmp_path / "saved")
    assert again.predict(["fish and bread", "it was"]) == found.predict(["fish and bread", "it was"])
    if update["method"] == "auto":
        assert "The head alone learns, since 24 examples are few." in context.record.sentences


def test_validation_texts_stop_the_training_and_set_the_thresholds(fresh: TextClassifier, data: TextData) -> None:
    with_validation = dataclasses.replace(data, validation=meals(40, seed=5))
    _, context = fitted(fresh, with_validation, update={"method": "head"})
    assert "40 validation texts chose" in context.record.sentences[0]
    assert "chosen by F1 on validation texts" in context.record.sentences[-1]


def test_thresholds_as_the_settings_say(fresh: TextClassifier, data: TextData) -> None:
    found, _ = fitted(fresh, data, update=LOGISTIC, thresholds=0.3)
    assert found.head.thresholds == (0.3, 0.3, 0.3)
    found, _ = fitted(fresh, data, update=LOGISTIC, thresholds="shared")
    assert found.head.thresholds is not None
    assert len(set(found.head.thresholds)) == 1


def test_separator_comes_with_the_data(fresh: TextClassifier) -> None:
    texts, sets = meals(40, seed=2)
    data = TextData(labelled=(texts, [";".join(labels) or "[]" for labels in sets]), separator=";")
    found, _ = fitted(fresh, data, update=LOGISTIC)
    assert found.separator == ";"
    assert score_label_sets(found, (["soup bread"], ["food;service"])).labels_per_text == 2


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "contrastive": (
        {"update": {"method": "contrastive"}},
        "finetune.update: contrastive learns one label a text, but the labelled rows have lists of labels. Choose head, partial, "
        "full, lora or auto.",
    ),
    "self_training": (
        {"update": {"method": "self_training"}},
        "finetune.update: self_training learns one label a text, but the labelled rows have lists of labels. Choose head, partial, "
        "full, lora or auto.",
    ),
    "lda": (
        {"update": {"method": "head", "solver": "lda"}},
        "finetune.update.solver: lda learns one label a text, but the labelled rows have lists of labels. Choose logistic or "
        "iterative.",
    ),
    "priors": (
        {"priors": "uniform"},
        "finetune.priors: shares of labels belong to texts with one label each, but the labelled rows have lists of labels. Remove "
        "the setting.",
    ),
}


@pytest.mark.parametrize(("settings", "sentence"), [*REFUSED.values()], ids=[*REFUSED])
def test_what_needs_one_label_a_text(
    layers: TextClassifier, data: TextData, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        FineTune(**settings).run(layers, data=data, context=CPU)
    assert str(caught.value) == sentence
    with pytest.raises(ConfigError) as caught:
        FineTune(**settings).check_data(data, where="finetune")
    assert str(caught.value) == sentence


def test_other_refusals(fresh: TextClassifier, trained: TextClassifier, data: TextData) -> None:
    one_label = TextData(labelled=(["soup", "bill", "staff"] * 2, ["food", "price", "service"] * 2))
    plain = ClassificationHead().run(fresh.encoder, data=one_label, context=CPU)
    for act, sentence in (
        (
            lambda: FineTune(thresholds=0.4).run(plain, data=one_label, context=CPU),
            "finetune.thresholds: found 0.4, but each text has one label, the most probable one. Remove the setting.",
        ),
        (
            lambda: FineTune().run(plain, data=data, context=CPU),
            "finetune: the head gives a text one label, but the labelled rows have lists of labels. Attach a fresh "
            "classification_head.",
        ),
        (
            lambda: FineTune().run(fresh, data=one_label, context=CPU),
            "finetune: the head gives a text several labels, but the labelled rows have one label each. Attach a fresh "
            "classification_head.",
        ),
        (
            lambda: DomainAdaptation().check_data(
                TextData(source=data.labelled, unlabelled=["soup"]), where="domain_adaptation"
            ),
            "domain_adaptation: domain_adaptation learns one label a text, but the labelled rows have lists of labels. Use "
            "finetune.",
        ),
        (
            lambda: evaluate_classifier(trained, (["soup"], ["food"])),
            "classifier: gives a text several labels. Score it by nlptl.evaluation.label_sets.score_label_sets.",
        ),
        (
            lambda: score_label_sets(plain, (["soup"], ["food"])),
            "classifier: gives each text one label. Score it by evaluate_classifier.",
        ),
        (
            lambda: score_label_sets(trained, (["soup", "fish"], [["food"], ["food", "drink"]])),
            "examples, row 2: the classifier has no label 'drink' (1 row); its labels are 'food', 'price', 'service'. Correct or "
            "remove the row, or train with the label.",
        ),
    ):
        with pytest.raises(NlptlError) as caught:
            act()
        assert str(caught.value) == sentence


def test_a_folder_of_one_label_a_text_is_as_before(fresh: TextClassifier, tmp_path: Path) -> None:
    data = TextData(labelled=(["soup", "bill", "staff"] * 2, ["food", "price", "service"] * 2))
    plain = ClassificationHead().run(fresh.encoder, data=data, context=CPU)
    plain.save(tmp_path / "saved")
    settings = json.loads((tmp_path / "saved" / "classifier.json").read_text())
    assert settings.keys() == {"labels", "head"}
    assert "thresholds" not in settings["head"]
    assert not TextClassifier.load(tmp_path / "saved").multi_label


def test_head_of_several_labels_uses_sigmoids(fresh: TextClassifier) -> None:
    logits = torch.tensor([[0.0, 2.0, -2.0]])
    torch.testing.assert_close(fresh.head.probabilities(logits), logits.double().sigmoid())
    with pytest.raises(DataError):
        fresh.label_ids(["drink"])
