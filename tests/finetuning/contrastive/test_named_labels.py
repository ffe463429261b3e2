"""Labels that have a name but no example: their texts are found, the others' are kept, and it is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from nlptl.context import RunContext
from nlptl.data import TextData, load_data
from nlptl.errors import ConfigError, DataError
from nlptl.finetuning.examples import LabelledExamples
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.ngrams import NgramVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import ExpectedModel

TOPICS = {
    "sport": "match goal team win player", "money": "bank loan price pay rate", "food": "bread soup cook taste salt",
    "sky": "star moon planet orbit sun",
}  # fmt: skip
NAMES = {topic: f"{topic} {words}" for topic, words in TOPICS.items()}


def texts_of(topic: str, count: int, seed: int) -> list[str]:
    generator = np.random.default_rng([seed, *topic.encode()])
    words = [*TOPICS[topic].split(), topic]
    fillers = ["the", "one", "that", "was", "there", "again", "now", "here", "some"]
    return [" ".join([*generator.choice(words, 3), *generator.choice(fillers, 4)]) for _ in range(count)]


def rows(topics: list[str], count: int, seed: int) -> tuple[list[str], list[str]]:
    return [text for topic in topics for text in texts_of(topic, count, seed)], np.repeat(topics, count).tolist()


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    pile, _ = rows(list(TOPICS), 100, 1)
    return SkipGram(dim=16, min_count=1, epochs=20, window=10).run(data=TextData(unlabelled=pile))


def trained(encoder: Encoder, topics: list[str], **update: Any) -> tuple[TextClassifier, RunContext]:
    data = TextData(labelled=rows(topics, 8, 2), label_names=NAMES)
    context = RunContext(seed=3, device="cpu")
    head = ClassificationHead().run(encoder, data=data)
    return FineTune(update=update or {"method": "head", "solver": "logistic"}).run(
        head, data=data, context=context
    ), context


def right(classifier: TextClassifier) -> dict[str, float]:
    return {topic: float(np.mean(np.array(classifier.predict(texts_of(topic, 50, 3))) == topic)) for topic in TOPICS}


def ranked_right(classifier: TextClassifier, topic: str) -> float:
    """Return the share of pairs in which the text of a topic has a higher probability of it than a text of others."""
    column = classifier.labels.index(topic)
    own = classifier.predict_proba(texts_of(topic, 50, 3))[:, column]
    others = classifier.predict_proba(rows([other for other in TOPICS if other != topic], 50, 3)[0])[:, column]
    return float((own[:, None] > others).mean())


@pytest.mark.parametrize("update", [{"method": "head", "solver": "logistic"}, {"method": "auto"}], ids=str)
@pytest.mark.parametrize("topics", [["food", "money", "sport"], ["money", "sport"]], ids=len)
def test_texts_of_labels_without_examples_are_found(
    encoder: Encoder, topics: list[str], update: dict[str, Any]
) -> None:
    classifier, context = trained(encoder, topics, **update)
    assert classifier.labels == ("food", "money", "sky", "sport")
    found = right(classifier)
    unseen = [topic for topic in classifier.labels if topic not in topics]
    assert min(found[topic] for topic in topics) > 0.9, found
    assert min(found[topic] for topic in unseen) > 0.1, found
    for topic in unseen:
        assert ranked_right(classifier, topic) > 0.7
    told = f"{len(unseen)} labels have" if len(unseen) > 1 else "1 label has"
    expected = f"{told} no example ({', '.join(unseen)}), so texts get them by their names."
    assert expected in context.record.sentences
    assert context.record.report["named_labels"]["labels"] == unseen


@pytest.mark.parametrize("topics", [["food", "money", "sport"], ["money", "sport"]], ids=len)
def test_so_they_are_over_ngrams_which_are_all_that_the_encoder_has(topics: list[str]) -> None:
    pile, _ = rows(list(TOPICS), 30, 1)
    classifier, context = trained(NgramVectors(dim=32).run(data=TextData(unlabelled=pile)), topics)
    assert min(right(classifier).values()) > 0.9
    by_names = (
        "The labels' names alone (zero-shot, nothing learnt) get 1.000 [0.806, 1.000] of the 16 labelled examples right"
    )
    assert any(told.startswith(by_names) for told in context.record.sentences) == (len(topics) == 2)


def test_the_labels_with_examples_keep_their_logits_and_probabilities_sum_to_one(encoder: Encoder) -> None:
    topics = ["food", "money", "sport"]
    classifier, _ = trained(encoder, topics)
    data = TextData(labelled=rows(topics, 8, 2), label_names={topic: NAMES[topic] for topic in topics})
    alone = FineTune(update={"method": "head", "solver": "logistic"}).run(
        ClassificationHead().run(encoder, data=data), data=data, context=RunContext(seed=3, device="cpu")
    )
    texts, _ = rows(list(TOPICS), 10, 5)
    given = _log(classifier.predict_proba(texts)[:, [0, 1, 3]])
    expected = _log(alone.predict_proba(texts))
    np.testing.assert_allclose(given - given[:, :1], expected - expected[:, :1], atol=1e-3)


def test_it_reads_back_and_learns_the_same_again(encoder: Encoder, tmp_path: Path) -> None:
    classifier, _ = trained(encoder, ["food", "money", "sport"])
    again, _ = trained(encoder, ["food", "money", "sport"])
    classifier.save(tmp_path / "classifier")
    texts = texts_of("sky", 5, 9)
    for other in (again, TextClassifier.load(tmp_path / "classifier")):
        np.testing.assert_array_equal(classifier.predict_proba(texts), other.predict_proba(texts))


def test_a_label_with_one_example_each(encoder: Encoder) -> None:
    data = TextData(labelled=rows(["food", "money", "sport"], 1, 2), label_names=NAMES)
    head = ClassificationHead().run(encoder, data=data)
    classifier = FineTune(update={"method": "head", "solver": "logistic"}).run(head, data=data)
    assert np.isfinite(classifier.predict_proba(texts_of("sky", 5, 9))).all()


def test_shares_and_validation_texts_of_such_labels() -> None:
    validation = rows(["food", "sky"], 2, 4)
    data = TextData(labelled=rows(["food", "money"], 6, 2), validation=validation, label_names=NAMES)
    examples = LabelledExamples.of(data, data.label_set.names)
    assert [examples.labels[label] for label in examples.unseen] == ["sky", "sport"]
    torch.testing.assert_close(examples.label_shares(), torch.full((4,), 0.25, dtype=torch.float64))
    seen = examples.of_seen_labels()
    assert (seen.labels, seen.unseen, seen.label_counts().tolist()) == (("food", "money"), (), [6, 6])
    assert seen.validation is not None
    assert (seen.validation.texts, seen.validation.label_ids.tolist()) == (validation[0][:2], [0, 0])
    assert examples.select([0, 6]).unseen == examples.unseen


def test_it_is_told_and_counted_and_a_test_may_have_such_labels(tmp_path: Path) -> None:
    for name, topics in (("labelled", ["food", "money"]), ("test", ["food", "sky"])):
        lines = [f"{text},{label}" for text, label in zip(*rows(topics, 4, len(name)), strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    settings: dict[str, Any] = {
        "labelled": str(tmp_path / "labelled.csv"),
        "test": str(tmp_path / "test.csv"),
        "shots": 2,
    }
    data, report = load_data({**settings, "label_names": {"sky": "stars", "sport": "games"}}, seed=1)
    assert data.label_set.names == ("food", "money", "sky", "sport")
    assert "label_names: 2 labels have no example; their names stand in: 'sky', 'sport'." in report.sentences()
    assert report.to_json()["labels_without_rows"] == ("sky", "sport")
    with pytest.raises(DataError, match="has no label 'sky'"):
        load_data({**settings, "label_names": {"sport": "games"}}, seed=1)


@pytest.mark.parametrize(
    ("update", "hidden", "names", "told"),
    [
        (
            {"method": "self_training"}, 0, NAMES,
            "finetune.update: found self_training, which gives each text of data.unlabelled a label with examples, and 2 labels "
            "without any ('sky', 'sport'); expected examples of every label. Add some, or set `update: {method: auto}`, which "
            "leaves the pile out then.",
        ),
        (
            {"method": "words"}, 0, NAMES,
            "finetune.update: found words, which learns from the words of labelled texts alone, and 2 labels have no example "
            "('sky', 'sport'); expected examples of every label. Add some, or set `update: {method: auto}`, under which a name "
            "stands in.",
        ),
        (
            {"method": "head"}, 4, NAMES,
            "finetune.update: 2 labels have no example (sky, sport), for which a name stands in under a linear head alone, but "
            "the classification head has a hidden layer of 4 units. Set hidden: 0 in classification_head, or add examples.",
        ),
        (
            {"method": "head"}, 0, {"3": "the sky"},
            "finetune.update: 1 label has no example (3), and none of the other 2 a name that says something; expected 2 at "
            "least, to compare with. Name all labels under data.label_names, or add examples.",
        ),
    ],
    ids=["pile", "words", "hidden", "no names"],
)  # fmt: skip
def test_what_cannot_use_names_is_refused(
    encoder: Encoder, update: dict[str, Any], hidden: int, names: dict[str, str], told: str
) -> None:
    texts, labels = rows(["food", "money"], 4, 2)
    labels = labels if "sky" in names else [str(int(label == "food")) for label in labels]
    data = TextData(labelled=(texts, labels), unlabelled=rows(list(TOPICS), 5, 8)[0], label_names=names)
    head = ClassificationHead(hidden=hidden).run(encoder, data=data)
    with pytest.raises(ConfigError) as caught:
        FineTune(update=update).run(head, data=data)
    assert str(caught.value) == told
    with pytest.raises(ConfigError, match=re.escape(told.removeprefix("finetune"))):
        _checked(FineTune(update=update), data, hidden)


def _checked(stage: FineTune, data: TextData, hidden: int) -> None:
    stage.check_data(data, where="stages.3")
    stage.check_chain(ExpectedModel(token_model="word_vectors", hidden=hidden), data, where="stages.3")


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(probabilities)
