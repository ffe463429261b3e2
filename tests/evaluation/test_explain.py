"""Explanations beside labelled examples, and what deleting the strongest word does to a trained classifier."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nlptl.data import TextData, TextTable
from nlptl.evaluation import nearest_examples
from nlptl.evaluation.explain import explain
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews

TEXTS, LABELS = small_reviews(12)


@pytest.fixture(scope="module")
def trained() -> TextClassifier:
    """Return a classifier of two labels over word vectors."""
    data = TextData(unlabelled=small_reviews(60)[0], labelled=small_reviews(12))
    encoder = SkipGram(dim=16, min_count=1, epochs=20, window=10).run(data=data)
    head = ClassificationHead().run(encoder, data=data)
    return FineTune(update={"method": "head", "epochs": 60, "l2": 0.001}).run(head, data=data)


def test_the_nearest_examples_have_the_largest_cosines(trained: TextClassifier) -> None:
    texts = ["the music was funny", TEXTS[3]]
    found = explain(trained, texts, examples=(TEXTS, LABELS), neighbours=4)
    vectors, queries = (trained.encoder.encode(some, normalize=True) for some in (TEXTS, texts))
    for one, query in zip(found, queries, strict=True):
        cosines = {text: float(vector @ query) for text, vector in zip(TEXTS, vectors, strict=True) if text != one.text}
        order = sorted(cosines, key=lambda text: -cosines[text])[:4]
        assert [near.text for near in one.nearest] == order
        assert [near.label for near in one.nearest] == [LABELS[TEXTS.index(text)] for text in order]
        assert [near.row for near in one.nearest] == [TEXTS.index(text) + 1 for text in order]
        np.testing.assert_allclose(
            [near.similarity for near in one.nearest], [cosines[text] for text in order], atol=1e-5
        )
    assert found[0].remarks == ()
    assert found[1].remarks == (f"The text is a labelled example itself: {LABELS[3]}.",)
    assert explain(trained, texts) == trained.explain(texts)


def test_examples_are_counted_once_and_keep_their_rows(trained: TextClassifier) -> None:
    table = TextTable.from_lists(
        ["", "good", "good", "bad", "good"], ["a", "a", "a", "b", "b"], name="rows", empty_text="skip"
    )
    found = explain(trained, ["good film"], examples=table, neighbours=9)[0].nearest
    assert {(near.text, near.label, near.row) for near in found} == {
        ("good", "a", 2),
        ("bad", "b", 4),
        ("good", "b", 5),
    }


def test_of_many_examples_some_are_compared(trained: TextClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest_examples, "MAX_LOOKED_UP", 4)
    some = nearest_examples.NearestExamples.among(trained.encoder, TextTable.from_lists(TEXTS, LABELS, name="rows"))
    assert some.rows == (1, 5, 8, 12)
    assert some.remark() == "The nearest examples are sought among 4 of 12, taken at equal distances."
    assert len(some.nearest(["good"], 9)[0]) == 4


def test_the_strongest_word_matters_more_than_a_random_one(trained: TextClassifier) -> None:
    texts = small_reviews(40, start=200)[0]
    generator, drops = np.random.default_rng(0), {"strongest": [], "random": [], "weakest": []}
    for one in trained.explain(texts):
        weights = one.towards()
        chosen = {"strongest": int(np.argmax(weights)), "random": int(generator.integers(len(weights)))}
        chosen["weakest"] = int(np.argmin(weights))
        place = one.labels.index(one.label)
        for which, word in chosen.items():
            part = one.contributions[word]
            left = one.text[: part.start] + one.text[part.end :]
            drops[which].append(one.probability - trained.predict_proba([left])[0][place])
    means = {which: float(np.mean(found)) for which, found in drops.items()}
    assert means["strongest"] > means["random"] + 0.05
    assert means["weakest"] < means["random"]


def test_a_file_of_examples_is_read(trained: TextClassifier, tmp_path: Path) -> None:
    path = tmp_path / "examples.csv"
    path.write_text("text,label\ngood film,x\nbad film,y\n")
    assert explain(trained, ["good film!"], examples=path, neighbours=1)[0].nearest[0].label == "x"


def test_ngrams_are_compared_where_there_are_no_other_vectors() -> None:
    examples = (["good film", "bad film", "a good cat"], ["x", "y", "x"])
    data = TextData(labelled=examples)
    head = ClassificationHead().run(NgramVectors().run(data=data), data=data)
    words = FineTune(update={"method": "words"}).run(head, data=data)
    found = explain(words, ["good cat"], examples=examples)[0]
    assert found.how == "exact"
    assert [near.text for near in found.nearest] == ["a good cat", "good film"]
    assert 0.5 < found.nearest[0].similarity < 1


def test_examples_may_have_several_labels(trained: TextClassifier) -> None:
    examples = TextTable.from_lists(["good film", "bad film", "dull"], [["a", "b"], ["b"], []], name="rows")
    found = explain(trained, ["good", "dull"], examples=examples)
    labels = {"good film": ("a", "b"), "bad film": ("b",), "dull": ()}
    assert {near.text: near.labels for near in found[0].nearest} == labels
    assert {near.text: near.label for near in found[0].nearest} == {"good film": "a, b", "bad film": "b", "dull": ""}
    assert found[1].remarks == ("The text is a labelled example itself: no label.",)


def test_an_example_without_a_common_word_is_not_near(trained: TextClassifier) -> None:
    examples = (["good film", "bad film", "xqzvbn"], ["x", "y", "x"])
    alone = ("No labelled example is near: none shares a known word with the text.",)
    head = ClassificationHead().run(
        NgramVectors().run(data=TextData(labelled=examples)), data=TextData(labelled=examples)
    )
    words = FineTune(update={"method": "words"}).run(head, data=TextData(labelled=examples))
    for model, known in ((trained, ["good film", "bad film"]), (words, ["good film"])):
        for text in ("wqpxz qqqzz", ""):
            found = explain(model, [text], examples=examples)[0]
            assert (found.nearest, found.remarks) == ((), alone)
        found = explain(model, ["good"], examples=examples)[0]
        assert sorted(near.text for near in found.nearest) == sorted(known)
        assert found.remarks == ()
    assert explain(trained, ["good"], examples=(["good"], ["x"]))[0].remarks == (
        "The text is a labelled example itself: x.",
    )
