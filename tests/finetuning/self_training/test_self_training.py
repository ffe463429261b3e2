"""Self-training through the stage: what the pile gives, when it is left out, and what is told."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.methods.self_training import SelfTraining
from nlptl.finetuning.self_training import fit
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import tiny_encoder

Table = tuple[list[str], list[str]]
WORDS: dict[str, Any] = {"view": "ngrams", "dim": 6, "words": [1, 1], "characters": None}
SELF_TRAINING: dict[str, Any] = {"method": "self_training", "views": [WORDS], "directions": 12}


def topics(count: int, *, seed: int, sport: float = 0.5, vocabulary: int = 60) -> Table:
    """Return texts of six words, four of them of the label's own sixty."""
    generator = np.random.default_rng(seed)
    texts, labels = [], []
    for number in range(count):
        label = "sport" if number < round(sport * count) else "trade"
        own = [f"{label}{word}" for word in generator.choice(vocabulary, 4)]
        texts.append(" ".join([*own, *(f"word{word}" for word in generator.choice(vocabulary, 2))]))
        labels.append(label)
    return texts, labels


def given_for(data: TextData, *, hidden: int = 0) -> TextClassifier:
    """Return a classifier over word vectors that know every word and nothing of it."""
    vectors = SkipGram(dim=16, epochs=0, min_count=1).run(data=data, context=RunContext(seed=5, device="cpu"))
    encoder = SentenceVectors(pooling="mean").run(vectors, data=data)
    return ClassificationHead(hidden=hidden).run(encoder, data=data)


def run(
    data: TextData, update: dict[str, Any], *, given: TextClassifier | None = None, **settings: Any
) -> tuple[TextClassifier, RunContext]:
    context = RunContext(seed=3, device="cpu")
    given = given or given_for(data)
    return FineTune(update=update, **settings).run(given, data=data, context=context), context


def accuracy(classifier: TextClassifier, table: Table) -> float:
    return float(np.mean([one == other for one, other in zip(classifier.predict(table[0]), table[1], strict=True)]))


@pytest.fixture(scope="module")
def even() -> TextData:
    return TextData(unlabelled=topics(600, seed=1)[0], labelled=topics(8, seed=2))


@pytest.fixture(scope="module")
def taught(even: TextData) -> tuple[TextClassifier, RunContext]:
    return run(even, SELF_TRAINING)


def test_the_pile_tells_what_the_labels_cannot(even: TextData, taught: tuple[TextClassifier, RunContext]) -> None:
    alone, _ = run(even, {"method": "head", "solver": "logistic"})
    test = topics(300, seed=4)
    assert accuracy(alone, test) < 0.65
    assert accuracy(taught[0], test) > 0.85
    record = taught[1].record
    shares = record.report["pile"]["shares"]
    found = ", ".join(f"{label} {100 * shares[label]:.0f} %" for label in sorted(shares, key=shares.get, reverse=True))
    assert record.warnings[-1] == (
        "The pile is used: a linear head learnt the classifier's answers to 600 of its texts, seen by the encoder and by 1 view "
        f"of its own words. Found in it: {found}."
    )
    assert {key: record.report["pile"][key] for key in ("used", "texts", "views")} == {
        "used": "self-training",
        "texts": 600,
        "views": 2,
    }


def test_the_student_is_as_confident_as_its_teacher(even: TextData, taught: tuple[TextClassifier, RunContext]) -> None:
    teacher, _ = run(even, {"method": "head", "solver": "logistic"})
    assert even.unlabelled is not None
    found = [one.predict_proba(even.unlabelled.texts()).max(axis=1).mean() for one in (teacher, taught[0])]
    assert found[1] == pytest.approx(found[0], abs=1e-3)


def test_it_reads_back_with_the_same_probabilities(taught: tuple[TextClassifier, RunContext], tmp_path: Path) -> None:
    texts = [*topics(20, seed=5)[0], "", "nothing known"]
    taught[0].save(tmp_path / "taught")
    again = TextClassifier.load(tmp_path / "taught").predict_proba(texts)
    np.testing.assert_array_equal(again, taught[0].predict_proba(texts))


def test_a_pile_of_unequal_labels_keeps_its_shares() -> None:
    pile = topics(800, seed=1, sport=0.9, vocabulary=20)[0]
    data = TextData(unlabelled=pile, labelled=topics(60, seed=2, vocabulary=20))
    given = given_for(data)
    teacher, _ = run(data, {"method": "head", "solver": "logistic"}, given=given)
    plain, context = run(data, SELF_TRAINING, given=given)
    of_teacher, of_student = (np.mean([label == "sport" for label in one.predict(pile)]) for one in (teacher, plain))
    assert of_teacher > 0.8
    assert of_student == pytest.approx(of_teacher, abs=0.05)
    shares = context.record.report["pile"]["shares"]
    assert list(shares.values()) == pytest.approx(plain.predict_proba(pile).mean(axis=0), abs=1e-4)
    uniform, _ = run(data, SELF_TRAINING, given=given, priors="uniform")
    moved = (uniform.head.last_linear.bias - plain.head.last_linear.bias).tolist()
    assert moved == pytest.approx([float(np.log(0.5 / shares[label])) for label in plain.labels], abs=1e-5)


def test_a_skew_of_the_examples_ends_with_the_shares_of_the_pile() -> None:
    sport, trade = topics(18, seed=2, sport=1.0), topics(2, seed=3, sport=0.0)
    examples = ([*sport[0], *trade[0]], [*sport[1], *trade[1]])
    told = (
        "18 of the 20 examples have the label sport, and 2 the label trade, so all labels weigh{} For probabilities at the shares "
        "of the examples set priors: {{sport: 0.90, trade: 0.10}}."
    )
    data = TextData(unlabelled=topics(400, seed=1)[0], labelled=examples)
    _, context = run(data, {**SELF_TRAINING, "teacher": "head", "gate": "always"})
    joined = "ed the same until the pile joined; the probabilities are at the shares found there."
    assert context.record.warnings[0].startswith("The pile is used: ")
    assert context.record.warnings[1:] == [told.format(joined)]
    _, context = run(data, {"method": "head", "solver": "logistic"})
    assert context.record.warnings == [told.format(" the same.")]


def test_a_pile_of_another_kind_is_left_out() -> None:
    generator = np.random.default_rng(0)
    other = [" ".join(f"rain{word}" for word in generator.choice(30, 6)) for _ in range(300)]
    data = TextData(unlabelled=other, labelled=topics(24, seed=2))
    given = given_for(TextData(unlabelled=[*other, *topics(200, seed=1)[0]], labelled=data.labelled))
    classifier, context = run(data, SELF_TRAINING, given=given)
    area = context.record.report["pile_separation"]
    assert context.record.warnings == [
        "The pile is left out: its texts are of another kind, since they can be told from the labelled ones (area under the ROC "
        f"curve {area:.2f}, allowed: 0.75); give texts of the same kind."
    ]
    assert context.record.report["pile"] == {"used": "nothing"}
    assert not classifier.encoder.views
    _, always = run(data, {**SELF_TRAINING, "gate": "always"}, given=given)
    assert always.record.report["pile"]["used"] == "self-training"


@pytest.mark.parametrize(
    ("pile", "told"),
    [
        (
            topics(150, seed=1)[0] * 2,
            "it has 150 different texts beside the labelled ones, and 200 are the fewest that help; add texts",
        ),
        (
            topics(8, seed=2)[0] * 40,
            "it has 0 different texts beside the labelled ones, and 200 are the fewest that help; add texts",
        ),
        ([f"unheard{number}" for number in range(200)], "the encoder gives all its texts the same vector"),
    ],
)
@pytest.mark.parametrize("gate", ["auto", "always"])
def test_a_pile_that_tells_nothing_is_left_out(even: TextData, pile: list[str], told: str, gate: str) -> None:
    data = TextData(unlabelled=pile, labelled=even.labelled)
    found, context = run(data, {**SELF_TRAINING, "gate": gate}, given=given_for(even))
    assert context.record.warnings == [f"The pile is left out: {told}."]
    alone, _ = run(data, {"method": "head", "solver": "logistic"}, given=given_for(even))
    assert torch.equal(found.head.last_linear.weight, alone.head.last_linear.weight)


def test_more_labels_than_a_pile_can_tell_are_told(even: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "MAX_LABELS", 1)
    _, context = run(even, SELF_TRAINING)
    assert context.record.warnings == ["The pile is left out: there are 2 labels, and with more than 1 it does harm."]


def test_texts_without_words_are_the_middle_of_the_pile(taught: tuple[TextClassifier, RunContext]) -> None:
    empty, unknown = taught[0].predict_proba(["", "unheard of"])
    np.testing.assert_array_equal(empty, unknown)


def test_auto_leaves_a_hidden_layer_alone(even: TextData) -> None:
    found, context = run(even, {"method": "auto"}, given=given_for(even, hidden=4))
    assert context.record.warnings == [
        "The pile is left out: it teaches a linear head, but the classification head has a hidden layer of 4 units."
    ]
    assert found.head.hidden == 4


def test_auto_over_word_vectors_learns_from_the_pile(even: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.finetuning.methods.auto.SelfTraining", lambda: SelfTraining(**SELF_TRAINING))
    data = TextData(unlabelled=even.unlabelled, labelled=topics(80, seed=2))
    found, context = run(data, {"method": "auto"})
    assert context.record.report["pile"]["used"] == "self-training"
    assert accuracy(found, topics(300, seed=4)) > 0.95


def test_the_views_of_the_encoder_are_taken_where_it_has_some(even: TextData) -> None:
    vectors = SkipGram(dim=16, epochs=0, min_count=1).run(data=even, context=RunContext(seed=5, device="cpu"))
    encoder = SentenceVectors(pooling="mean", views=[WORDS]).run(vectors, data=even)
    given = ClassificationHead().run(encoder, data=even)
    found, _ = run(even, SELF_TRAINING, given=given)
    assert len(found.encoder.views) == 1
    assert torch.equal(found.encoder.views[0].table, encoder.views[0].table)
    assert accuracy(found, topics(300, seed=4)) > 0.9


def test_a_teacher_with_views_of_its_own_is_asked_with_them(even: TextData) -> None:
    """Words that a comparison has put beside the classifier speak in its answers, and the head replaces them."""
    from nlptl.finetuning.examples import LabelledExamples
    from nlptl.finetuning.methods.head import HeadOnly
    from nlptl.finetuning.selection.deciding_words import with_chosen_words

    given, context = given_for(even), RunContext(seed=3, device="cpu")
    examples = LabelledExamples.of(even, given.labels)
    alone = HeadOnly(solver="logistic").fit(given, examples, context)
    teacher = with_chosen_words(2.0, alone, examples, context)
    assert even.unlabelled is not None
    found = fit.with_pile(teacher, given, examples, SelfTraining(**SELF_TRAINING).use(), context).classifier
    assert found.encoder.dim == given.encoder.dim + 6
    texts = even.unlabelled.texts()
    confidence = [one.predict_proba(texts).max(axis=1).mean() for one in (teacher.classifier, found)]
    assert confidence[1] == pytest.approx(confidence[0], abs=1e-3)


def test_settings_that_cannot_be_are_refused(even: TextData) -> None:
    with pytest.raises(ConfigError) as caught:
        run(even, {"method": "self_training", "teacher": "contrastive"})
    assert str(caught.value) == (
        "finetune.update.teacher: found contrastive over word vectors or n-grams, which have no layers; expected head or "
        "auto, or a transformer. Choose one, or begin the chain with bert."
    )
    with pytest.raises(ConfigError) as caught:
        run(TextData(labelled=even.labelled), SELF_TRAINING, given=given_for(even))
    assert str(caught.value) == (
        "finetune.update: found self_training but no data.unlabelled; expected unlabelled texts. Add data.unlabelled, or "
        "choose another update."
    )
    for given in (given_for(even, hidden=4), ClassificationHead(hidden=4).run(tiny_encoder("bert"), data=even)):
        with pytest.raises(ConfigError) as caught:
            run(even, SELF_TRAINING, given=given)
        assert str(caught.value) == (
            "finetune.update: self_training needs a linear head, but the classification head has a hidden layer of 4 units. Set "
            "hidden: 0 in classification_head, or choose another update."
        )


def test_names_alone_teach_on_the_pile_too() -> None:
    pile = topics(400, seed=1)[0]
    names = {label: " ".join(f"{label}{word}" for word in range(20)) for label in ("sport", "trade")}
    data = TextData(unlabelled=pile, label_names=names)
    given = given_for(data)
    alone, _ = run(data, {"method": "head"}, given=given)
    taught, context = run(data, SELF_TRAINING, given=given)
    assert context.record.report["choice"] == "zero-shot"
    assert context.record.report["pile"]["texts"] == len(set(pile))
    test = topics(300, seed=4)
    assert accuracy(taught, test) > accuracy(alone, test) + 0.1
    assert run(data, {"method": "auto"}, given=given)[1].record.report["pile"]["used"] == "self-training"


def test_a_classifier_that_knows_one_answer_teaches_nothing() -> None:
    data = TextData(unlabelled=topics(400, seed=1)[0], labelled=topics(24, seed=2))
    given = given_for(data)
    biased = copy.deepcopy(given)
    with torch.no_grad():
        biased.head.last_linear.bias.copy_(torch.tensor([9.0, 0.0]))
    context = RunContext(seed=3, device="cpu")
    examples = LabelledExamples.of(data, given.labels)
    found = fit.with_pile(Fitted(biased, 0), given, examples, SelfTraining().use(), context)
    assert found.classifier is biased
    told = f"The pile is left out: the classifier gives all its texts the label {given.labels[0]!r}."
    assert context.record.warnings == [told]
