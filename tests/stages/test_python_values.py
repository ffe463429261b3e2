"""What a notebook gives to stages, encoders and classifiers: frames, Series and data sets, or the wrong thing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nlptl.context import RunContext
from nlptl.data import TextData, TextTable
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.evaluation.scores import evaluate_classifier
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import tiny_encoder

TEXTS = ["warm soup", "kind staff", "cold soup", "rude staff"]
LABELS = [True, True, False, False]
FRAME = pd.DataFrame({"text": TEXTS, "label": LABELS}, index=[3, 3, 1, 0])
DATA = TextData(labelled=FRAME)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    path = tmp_path_factory.mktemp("vectors") / "v.txt"
    path.write_text("warm 1 0\ncold -1 0\nkind 1 1\nrude -1 1\nsoup 0 1\nstaff 0 2\n")
    encoder = SkipGram(vectors=str(path)).run(data=DATA)
    head = ClassificationHead().run(encoder, data=DATA)
    return FineTune.model_validate({"update": {"method": "head", "solver": "logistic"}}).run(head, data=DATA)


def test_frames_and_series_are_predicted(classifier: TextClassifier) -> None:
    expected = ["True", "True", "False", "False"]
    for texts in (TEXTS, FRAME, FRAME["text"], FRAME["text"].astype("category"), np.array(TEXTS), iter(TEXTS)):
        assert classifier.predict(texts) == expected
    assert classifier.predict(FRAME.rename(columns={"text": "review"}), text="review") == expected
    np.testing.assert_array_equal(classifier.predict_proba(FRAME), classifier.predict_proba(TEXTS))
    np.testing.assert_array_equal(classifier.encoder.encode(FRAME), classifier.encoder.encode(TEXTS))
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 2)


def test_rows_without_a_text_get_what_is_asked_for(classifier: TextClassifier) -> None:
    texts = pd.Series(["warm soup", None, "", "cold soup"])
    assert classifier.predict(texts, empty_text="none") == ["True", None, None, "False"]
    assert classifier.predict(texts, empty_text="skip") == ["True", "False"]
    assert classifier.predict([None], empty_text="none") == [None]  # type: ignore[list-item]
    found = classifier.predict_proba(texts, empty_text="none")
    assert np.isnan(found).all(axis=1).tolist() == [False, True, True, False]
    np.testing.assert_array_equal(found[[0, 3]], classifier.predict_proba(["warm soup", "cold soup"]))
    assert len(classifier.predict(["", "warm soup"])) == 2
    for read in (classifier.predict, classifier.predict_proba, classifier.encoder.encode):
        with pytest.raises(DataError, match="texts, row 2: the text is empty"):
            read(texts)


@pytest.mark.parametrize(
    ("given", "word"),
    [
        (pd.DataFrame({"review": TEXTS}), "there is no column 'text'"),
        ((TEXTS, LABELS), "Give the texts alone"),
        ([("warm soup", "x")], "row 1: the text is ('warm soup', 'x') (tuple)"),
        ("warm soup", "Put the texts in a list"),
        (["a", "\ud83d"], "row 2: the text contains"),
        ([b"a"], "row 1: the text is b'a' (bytes)"),
        ({"text": TEXTS}, "Give one of its values"),
    ],
)
def test_the_wrong_thing_is_refused(classifier: TextClassifier, given: Any, word: str) -> None:
    for read in (classifier.predict, classifier.predict_proba, classifier.encoder.encode):
        with pytest.raises(DataError) as caught:
            read(given)
        assert word in str(caught.value)


def test_examples_of_every_kind_are_evaluated(classifier: TextClassifier, tmp_path: Path) -> None:
    FRAME.to_csv(tmp_path / "test.csv")
    old = FRAME.assign(label=[1, 1, 0, 0])
    table = TextTable.from_lists(TEXTS, LABELS, name="t")
    for examples in (FRAME, (TEXTS, LABELS), zip(TEXTS, LABELS, strict=True), str(tmp_path / "test.csv"), table):
        assert evaluate_classifier(classifier, examples).accuracy.value == 1.0
    renamed = TextClassifier(classifier.encoder, classifier.head, ["0", "1"])
    assert evaluate_classifier(renamed, FRAME).accuracy.value == evaluate_classifier(renamed, old).accuracy.value == 1.0
    frame = pd.DataFrame({"review": [*TEXTS, None, "x"], "y": [*LABELS, True, None]})
    found = evaluate_classifier(classifier, frame, text="review", label="y", empty_text="skip", empty_label="skip")
    assert found.rows == 4
    with pytest.raises(DataError) as caught:
        evaluate_classifier(classifier, frame, text="review", label="y")
    assert [fault.partition(": ")[0] for fault in caught.value.faults] == ["examples, row 5", "examples, row 6"]
    with pytest.raises(
        DataError, match=r"examples, row 1: the classifier has no label 'x' \(1 row\); its labels are 'F"
    ):
        evaluate_classifier(classifier, [("a", "x")])


def test_a_stage_refuses_what_it_does_not_take(classifier: TextClassifier) -> None:
    before = {"Encoder": "skipgram or bert", "TextClassifier": "classification_head"}
    stages: list[tuple[Any, Any, str, str]] = [
        (FineTune(), classifier.encoder, "a value of the type Encoder", "a TextClassifier"),
        (FineTune(), None, "nothing", "a TextClassifier"),
        (ClassificationHead(), classifier, "a value of the type TextClassifier", "an Encoder"),
        (SentenceVectors(), "a folder", "a value of the type str", "an Encoder"),
        (SkipGram(), classifier.encoder, "a value of the type Encoder", ""),
        (Bert(weights="minilm"), DATA, "a value of the type TextData", ""),
    ]
    for stage, given, found, wanted in stages:
        takes = (
            f"takes {wanted}. Give what {before[wanted.split()[-1]]} returns."
            if wanted
            else ("the stage begins a chain. Call run(data=...) alone.")
        )
        with pytest.raises(ConfigError) as caught:
            stage.run(given, data=DATA)
        assert str(caught.value) == f"{stage.stage}: found {found} as its first argument, but {takes}"


@pytest.mark.parametrize(
    ("data", "found"),
    [([("a", "x")], "is of the type list"), (FRAME, "is of the type DataFrame"), (None, "is missing")],
)
def test_a_stage_refuses_data_that_are_no_text_data(data: Any, found: str) -> None:
    with pytest.raises(DataError) as caught:
        SkipGram().run(data=data)
    assert str(caught.value) == (
        f"skipgram: `data` {found}, but must be a TextData. Give TextData(labelled=...) or TextData(unlabelled=...)."
    )


def test_a_stage_keeps_its_signature() -> None:
    assert SkipGram.run.__doc__ is not None
    assert SkipGram.run.__name__ == "run"
    assert isinstance(SkipGram(epochs=0, min_count=1).run(data=DATA), Encoder)


def test_a_stage_refuses_a_context_that_is_none() -> None:
    with pytest.raises(ConfigError) as caught:
        SkipGram().run(data=DATA, context=13)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "skipgram: `context` is of the type int, but must be a RunContext. Give RunContext(seed=..., device=...), or leave it out."
    )


@pytest.mark.parametrize(
    "update",
    [{"method": "full", "epochs": 1}, {"method": "contrastive", "steps": 2}, {"method": "head", "solver": "iterative"}],
)
def test_seeds_of_numpy_draw_as_those_of_python(update: dict[str, Any]) -> None:
    head = ClassificationHead().run(tiny_encoder("bert"), data=DATA)
    made = [
        FineTune.model_validate({"update": update}).run(head, data=DATA, context=RunContext(seed=seed, device="cpu"))
        for seed in (3, np.int64(3))
    ]
    np.testing.assert_array_equal(*(one.predict_proba(TEXTS) for one in made))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        *(
            (
                {"precision": found},
                f"encode: precision is {found!r}, but must be one of float32, bfloat16. Choose one of them.",
            )
            for found in ("flaot16", "float16", None, 32)
        ),
        *(
            ({"normalize": found}, f"encode: normalize is {found!r}, but must be True or False. Choose one of them.")
            for found in ("yes", 1, None)
        ),
        *(
            (
                {"layer": found},
                f"layer: found {found!r}; expected 'mean' or a number from -4 to 3, since this encoder has 3 layers. Choose one of "
                "them.",
            )
            for found in (True, np.True_, 1.0, "last", 4, np.int64(-5))
        ),
    ],
)
def test_what_encode_does_not_know_is_refused(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        tiny_encoder("bert").encode(TEXTS, **settings)
    assert str(caught.value) == sentence


def test_encode_takes_values_of_numpy() -> None:
    encoder = tiny_encoder("bert")
    found = encoder.encode(TEXTS, layer=np.int64(-2), normalize=np.True_)  # type: ignore[arg-type]
    np.testing.assert_array_equal(found, encoder.encode(TEXTS, layer=2, normalize=True))


@pytest.mark.parametrize("path", [b"x", 5, None, ["a"]])
def test_what_is_no_path_is_refused(classifier: TextClassifier, path: Any) -> None:
    for use in (TextClassifier.load, Encoder.load, classifier.save, classifier.encoder.save):
        with pytest.raises(ArtifactError) as caught:
            use(path)
        assert str(caught.value) == (
            f"{path!r}: is of the type {type(path).__name__}, but must be a path: a str or a pathlib.Path. Give one."
        )
