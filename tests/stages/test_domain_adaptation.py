"""The stage domain_adaptation: every method from data to classifier, what it tells, what it refuses."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nlptl.finetuning.domains.adaptation
import nlptl.finetuning.domains.domain_heads
import nlptl.finetuning.domains.moving_layers
import nlptl.pretraining.encoders.tsdae
from nlptl.config import parse
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError, DataError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.stages.bert import Bert
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.domain_adaptation import DomainAdaptation
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.models.tiny import tiny_folder

QUICK: dict[str, Any] = {"l2": 0.1, "folds": 3}
WORDS = {"film": "kettle", "story": "spade", "plot": "pan", "cast": "mower", "music": "bucket", "ending": "hose"}


def goods(count: int, *, start: int = 0) -> tuple[list[str], list[str]]:
    """Return the film reviews about other things."""
    texts, labels = small_reviews(count, start=start)
    for film, thing in WORDS.items():
        texts = [text.replace(film, thing) for text in texts]
    return [f"At home {text}" for text in texts], labels


@pytest.fixture(scope="module")
def data() -> TextData:
    return TextData(source=small_reviews(40), unlabelled=goods(40, start=100)[0], test=goods(20, start=300))


@pytest.fixture(scope="module")
def static(data: TextData) -> TextClassifier:
    """Return a classifier over word vectors with a fresh head, the labels taken from the source."""
    pile = TextData(unlabelled=[*small_reviews(100)[0], *goods(100, start=100)[0]])
    words = SkipGram(dim=16, min_count=1, epochs=60, window=10)
    vectors = words.run(data=pile, context=RunContext(seed=7, device="cpu"))
    pooled = SentenceVectors(pooling="mean").run(vectors, data=pile)
    return ClassificationHead().run(pooled, data=data)


@pytest.fixture(scope="module")
def contextual(data: TextData, tmp_path_factory: pytest.TempPathFactory) -> TextClassifier:
    """Return the same over a tiny transformer."""
    folder = tiny_folder(tmp_path_factory.mktemp("tiny") / "bert", "bert")
    return ClassificationHead().run(Bert(weights=str(folder)).run(data=TextData()), data=data)


def test_a_classifier_comes_over_from_the_source(static: TextClassifier, data: TextData, context: RunContext) -> None:
    found = DomainAdaptation(adapt={"method": "none"}, **QUICK).run(static, data=data, context=context)
    right = [p == label for p, label in zip(found.predict(data.test.texts()), data.test.labels(), strict=True)]
    assert np.mean(right) > 0.8
    report = context.record.report
    assert report["shift"]["is_shown"] is True
    assert report["accuracy"]["counts"] == (40, 0)
    assert context.record.trainable_parameters == 2 * 16 + 2
    assert context.record.sentences[0].startswith("Shift: ")
    assert "target unknown, since it has no labelled examples" in context.record.sentences[-1]


@pytest.mark.parametrize(("method", "taken"), [("coral", "coral"), ("auto", "none")])
def test_methods_over_word_vectors(
    method: str, taken: str, static: TextClassifier, data: TextData, context: RunContext
) -> None:
    """The source alone is next to perfect here, so that CORAL has nothing to gain and auto leaves it."""
    found = DomainAdaptation(adapt={"method": method}, **QUICK).run(static, data=data, context=context)
    assert found.encoder is static.encoder, "the encoder does not move"
    assert context.record.report["accuracy"]["method"] == taken
    alone = DomainAdaptation(adapt={"method": taken}, **QUICK).run(
        static, data=data, context=RunContext(seed=7, device="cpu")
    )
    np.testing.assert_array_equal(found.predict_proba(data.test.texts()), alone.predict_proba(data.test.texts()))
    if method == "auto":
        (tried,) = context.record.report["choice"]["tried"]
        assert context.record.report["choice"]["method"] == "none"
        assert tried["name"] == "coral"
        assert tried["gain"]["high"] < 0


def test_without_a_shift_nothing_is_adapted(static: TextClassifier, context: RunContext) -> None:
    same = TextData(source=small_reviews(60), unlabelled=small_reviews(60)[0])
    DomainAdaptation(adapt={"method": "auto"}, **QUICK).run(static, data=same, context=context)
    assert context.record.report["shift"]["is_shown"] is False
    assert "auto: nothing is adapted (none), since no shift is shown." in context.record.sentences
    assert context.record.report["accuracy"]["method"] == "none"


def test_labelled_target_examples_join_and_are_held_out(static: TextClassifier, context: RunContext) -> None:
    both = TextData(source=small_reviews(30), labelled=goods(12, start=50), unlabelled=goods(30, start=100)[0])
    stage = DomainAdaptation(adapt={"method": "coral"}, **QUICK)
    assert stage.reads(both) == {"source", "unlabelled", "labelled"}
    stage.run(static, data=both, context=context)
    accuracy = context.record.report["accuracy"]
    assert accuracy["counts"] == (30, 12)
    assert accuracy["target_gain"]["difference"]["level"] == 0.95
    assert "; target " in context.record.sentences[-1]


@pytest.mark.parametrize("update", [{"method": "head"}, {"method": "full"}])
@pytest.mark.parametrize("hidden", [0, 4])
def test_what_was_trained_already_has_nothing_to_hold_out(
    update: dict[str, Any], hidden: int, static: TextClassifier, context: RunContext
) -> None:
    both = TextData(source=small_reviews(30), labelled=goods(12, start=50), unlabelled=goods(30, start=100)[0])
    fresh = ClassificationHead(hidden=hidden).run(static.encoder, data=both)
    tuned = FineTune(update={**update, "epochs": 2, "l2": 0.1}).run(fresh, data=both, context=context)
    told = RunContext(seed=7, device="cpu")
    DomainAdaptation(adapt={"method": "auto"}, **QUICK).run(tuned, data=both, context=told)
    assert "accuracy" not in told.record.report
    assert told.record.report["held_out"] is False
    assert told.record.report["choice"] == {"method": "none"}
    why = "the given classifier was trained on labels, perhaps on these examples, so none of them can be held out"
    remedy = "put domain_adaptation right behind classification_head"
    assert told.record.sentences[-2:] == [
        f"auto: nothing is adapted (none), since {why}: {remedy}.",
        f"Held-out accuracy: unknown, since {why}. Test the classifier before trusting it, or {remedy}.",
    ]
    fair = RunContext(seed=7, device="cpu")
    DomainAdaptation(adapt={"method": "none"}, **QUICK).run(fresh, data=both, context=fair)
    assert fair.record.report["accuracy"]["counts"] == (30, 12)


def test_no_test_text_is_looked_at(static: TextClassifier, data: TextData) -> None:
    stage = DomainAdaptation(adapt={"method": "auto"}, **QUICK)
    blind = TextData(source=data.source, unlabelled=data.unlabelled)
    one, two = (stage.run(static, data=part, context=RunContext(seed=7, device="cpu")) for part in (data, blind))
    texts = data.test.texts()
    np.testing.assert_array_equal(one.predict_proba(texts), two.predict_proba(texts))


def test_continued_on_the_target(contextual: TextClassifier, data: TextData, context: RunContext) -> None:
    adapt = {"method": "continue", "objective": "simcse", "steps": 3, "batch_size": 8}
    found = DomainAdaptation(adapt=adapt, **QUICK).run(contextual, data=data, context=context)
    assert context.record.report["continue"]["steps"] == 3
    moved = [
        old.numel()
        for old, new in zip(contextual.encoder.parameters(), found.encoder.parameters(), strict=True)
        if not torch.equal(old, new)
    ]
    head = sum(parameter.numel() for parameter in found.head.parameters())
    assert context.record.trainable_parameters == context.record.report["continue"]["trainable"] + head
    assert context.record.trainable_parameters >= sum(moved) + head > head
    texts = data.test.texts()
    assert not np.allclose(found.encoder.encode(texts), contextual.encoder.encode(texts), atol=1e-4)


def test_auto_tries_what_it_is_told(contextual: TextClassifier, data: TextData, context: RunContext) -> None:
    candidates = [{"method": "coral"}, {"method": "adversarial", "epochs": 1}, {"method": "adapters", "epochs": 1}]
    stage = DomainAdaptation(adapt={"method": "auto", "candidates": candidates}, **QUICK)
    stage.run(contextual, data=data, context=context)
    tried = context.record.report["choice"]["tried"]
    assert [one["name"] for one in tried] == ["coral", "adversarial", "adapters"]
    assert all(one["gain"]["level"] == pytest.approx(1 - 0.05 / 3) for one in tried)


def test_most_target_texts_are_drawn(static: TextClassifier, data: TextData, context: RunContext) -> None:
    DomainAdaptation(adapt={"method": "none"}, target_texts=12, **QUICK).run(static, data=data, context=context)
    assert context.record.report["shift"]["texts"] == 12


def test_dropout_in_the_head_is_trained_too(static: TextClassifier, context: RunContext) -> None:
    few = TextData(source=small_reviews(16), unlabelled=goods(16, start=100)[0])
    given = ClassificationHead(hidden=4, dropout=0.2).run(static.encoder, data=few)
    stage = DomainAdaptation(adapt={"method": "coral"}, l2=0.1, folds=2)
    found = stage.run(given, data=few, context=context)
    assert context.record.report["head"]["epochs"] > 0
    texts, labels = few.source.texts(), few.source.labels()
    ids = [model.probabilities(texts).argmax(axis=1) for model in (given, found)]
    right = [[found.labels[row] for row in rows] for rows in ids]
    hits = [sum(one == label for one, label in zip(guess, labels, strict=True)) for guess in right]
    assert hits[1] > hits[0]


def test_missing_domains_are_told(static: TextClassifier) -> None:
    source, texts = small_reviews(20), goods(20)[0]
    for data, sentence in (
        (
            TextData(unlabelled=texts),
            "domain_adaptation: found no examples of the source domain; it learns from them. Give data.source.",
        ),
        (
            TextData(source=source),
            "domain_adaptation: found no texts of the target domain; it adapts to them. Give data.unlabelled.",
        ),
        (
            TextData(source=(list("abcdefghijk"), [*"xxxxxxxxxx", "y"]), unlabelled=texts),
            "domain_adaptation: found 1 example of label 'y' in data.source; expected at least 2 different ones, one of them "
            "to be held out. Add examples.",
        ),
        (
            TextData(source=([f"text {i}" for i in range(16)], ["x", "y"] * 8), unlabelled=texts),
            "domain_adaptation: the head knows the labels negative, positive, the examples have x, y; both must be equal. "
            "Attach a fresh classification_head.",
        ),
    ):
        with pytest.raises(DataError) as caught:
            DomainAdaptation(**QUICK).run(static, data=data)
        assert str(caught.value) == sentence


def test_too_few_texts_are_told_before_anything_trains() -> None:
    continued = {"method": "auto", "candidates": [{"method": "coral"}, {"method": "continue"}]}
    for adapt, source, texts, sentence in (
        (
            {"method": "none"},
            small_reviews(9),
            goods(20)[0],
            "p.yaml: stages.3: data.source has 9 texts, but a comparison of domains needs at least 10. Add texts.",
        ),
        (
            {"method": "none"},
            small_reviews(20),
            goods(9)[0],
            "p.yaml: stages.3: data.unlabelled has 9 texts, but a comparison of domains needs at least 10. Add texts.",
        ),
        (
            continued,
            small_reviews(20),
            goods(9)[0] * 3,
            "p.yaml: stages.3: adapt.candidates.1: found 9 distinct texts in data.unlabelled; expected at least 10 to continue "
            "training on. Add texts, or choose another method.",
        ),
    ):
        data = TextData(source=source, unlabelled=texts)
        with pytest.raises(DataError) as caught:
            DomainAdaptation(adapt=adapt, **QUICK).check_data(data, where="p.yaml: stages.3")
        assert str(caught.value) == sentence


def test_word_vectors_have_no_layers_to_adapt(static: TextClassifier, data: TextData) -> None:
    for adapt, path in (
        ({"method": "adversarial"}, "adapt"),
        ({"method": "auto", "candidates": [{"method": "coral"}, {"method": "adversarial"}]}, "adapt.candidates.1"),
    ):
        with pytest.raises(ConfigError) as caught:
            DomainAdaptation(adapt=adapt, **QUICK).run(static, data=data)
        assert str(caught.value) == (
            f"domain_adaptation.{path}.method: found adversarial over word vectors or n-grams, which have no layers; expected "
            "none or coral, or a transformer. Choose one, or begin the chain with bert."
        )


def test_wrong_settings_are_told() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(DomainAdaptation, {"adapt": {"method": "coral", "shrinkage": 1.5}}, where="p.yaml")
    assert str(caught.value) == (
        "p.yaml: adapt.shrinkage: found 1.5; expected auto or a number from 0 to 1. Correct the value."
    )
    with pytest.raises(ConfigError) as caught:
        parse(DomainAdaptation, {"adapt": {"method": "dann"}}, where="p.yaml")
    assert "must be one of none, continue, coral, adversarial, adapters, auto." in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        parse(DomainAdaptation, {"adapt": {"method": "coral", "epochs": 3}}, where="p.yaml")
    assert str(caught.value) == (
        "p.yaml: adapt.epochs is not a setting of coral, but of adversarial, adapters. Known here: method, shrinkage."
    )


def test_adapters_stand_once(contextual: TextClassifier, data: TextData, context: RunContext) -> None:
    stage = DomainAdaptation(adapt={"method": "adapters", "epochs": 1, "width": 4}, **QUICK)
    adapted = stage.run(contextual, data=data, context=context)
    for adapt, sentence in (
        (
            {"method": "adapters"},
            "domain_adaptation: adapt: found an encoder that has bottleneck adapters already; expected one without. Choose another "
            "method, or begin with plain weights.",
        ),
        (
            {"method": "continue"},
            "domain_adaptation: adapt: found an encoder with bottleneck adapters, which training on texts would leave behind; "
            "expected a plain one. Choose another method, or begin with plain weights.",
        ),
    ):
        with pytest.raises(ConfigError) as caught:
            DomainAdaptation(adapt=adapt, **QUICK).run(adapted, data=data, context=context)
        assert str(caught.value) == sentence


def test_simcse_needs_dropout(data: TextData, context: RunContext, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny_folder(
        tmp_path_factory.mktemp("still") / "bert", "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0
    )
    given = ClassificationHead().run(Bert(weights=str(folder)).run(data=TextData()), data=data)
    plain = {"method": "continue", "objective": "simcse"}
    for path, adapt in (
        ("adapt", plain),
        ("adapt.candidates.1", {"method": "auto", "candidates": [{"method": "coral"}, plain]}),
    ):
        with pytest.raises(ConfigError) as caught:
            DomainAdaptation(adapt=adapt, **QUICK).run(given, data=data, context=context)
        assert str(caught.value) == (
            f"domain_adaptation: {path}.objective: found simcse, but these weights are set to no dropout, without which a text has "
            "only one view; expected an encoder with dropout. Choose objective: tsdae."
        )


def test_a_continued_training_that_breaks_down_names_this_stage(
    contextual: TextClassifier, data: TextData, context: RunContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = nlptl.pretraining.encoders.tsdae.TSDAETraining.loss
    monkeypatch.setattr(
        nlptl.pretraining.encoders.tsdae.TSDAETraining, "loss", lambda self, draw: plain(self, draw) * math.nan
    )
    adapt = {"method": "continue", "objective": "tsdae", "steps": 2, "batch_size": 8, "learning_rate": 1e-3}
    with pytest.raises(ConfigError) as caught:
        DomainAdaptation(adapt=adapt, **QUICK).run(contextual, data=data, context=context)
    assert str(caught.value) == (
        "domain_adaptation: adapt: the loss of continue was nan at step 1 with a learning rate of 0.001; expected a finite number. "
        "Lower learning_rate."
    )


def test_vectors_that_are_no_numbers_are_told(contextual: TextClassifier, data: TextData, context: RunContext) -> None:
    broken = copy.deepcopy(contextual)
    with torch.no_grad():
        broken.encoder.transformer.word_embeddings.weight.fill_(math.nan)
    with pytest.raises(ArtifactError) as caught:
        DomainAdaptation(adapt={"method": "coral"}, **QUICK).run(broken, data=data, context=context)
    assert str(caught.value) == (
        f"domain_adaptation: found vectors with NaN or infinite numbers for 80 of 80 texts, the first "
        f"{data.source.texts()[0][:40]!r}; expected finite ones. Give an encoder whose weights are finite, or train it again "
        "with a lower learning_rate."
    )


def test_source_texts_join_the_pile_once() -> None:
    data = TextData(
        unlabelled=["red plum"],
        source=(["red apple", "green pear", "red plum"], ["a", "b", "a"]),
        labelled=(["green pear", "blue fig"], ["b", "a"]),
    )
    encoder = SkipGram(min_count=1, epochs=0).run(data=data)
    counts = dict(zip(encoder.words()[1:], encoder.token_model.counts.tolist()[1:], strict=True))
    assert counts == {"red": 2, "plum": 1, "apple": 1, "green": 1, "pear": 1, "blue": 1, "fig": 1}


def test_candidates_keep_checkpoints_of_their_own(contextual: TextClassifier, data: TextData, tmp_path: Path) -> None:
    candidates = [{"method": "continue", "objective": "simcse", "steps": steps, "batch_size": 8} for steps in (2, 3)]
    stage = DomainAdaptation(adapt={"method": "auto", "candidates": candidates}, **QUICK)
    keeping = RunContext(
        seed=7, device="cpu", checkpoint_folder=tmp_path / "kept", run_identity="x", checkpoint_every_steps=1
    )
    first = stage.run(contextual, data=data, context=keeping)
    report = keeping.record.report
    assert [report[f"adapt.candidates.{n}: continue"]["steps"] for n in (0, 1)] == [2, 3]
    assert [one["settings"]["steps"] for one in report["choice"]["tried"]] == [2, 3]
    taken = report["choice"]["candidate"]
    assert report["choice"]["settings"] == (None if taken is None else report["choice"]["tried"][taken]["settings"])
    assert len(list((tmp_path / "kept").iterdir())) == 2
    again = stage.run(contextual, data=data, context=keeping)
    plain = stage.run(contextual, data=data, context=RunContext(seed=7, device="cpu"))
    texts = data.test.texts()
    np.testing.assert_array_equal(first.predict_proba(texts), plain.predict_proba(texts))
    np.testing.assert_array_equal(first.predict_proba(texts), again.predict_proba(texts))


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_heads_are_fitted_on_one_thread_and_layers_on_the_callers(
    contextual: TextClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[int]] = {}

    def watch(where: Any, name: str, told: str) -> None:
        plain = getattr(where, name)

        def watched(*given: Any, **more: Any) -> Any:
            seen.setdefault(told, set()).add(torch.get_num_threads())
            return plain(*given, **more)

        monkeypatch.setattr(where, name, watched)

    watch(nlptl.finetuning.domains.adaptation, "shift_between", "shift")
    watch(nlptl.finetuning.domains.domain_heads, "choose", "head choice")
    watch(nlptl.finetuning.domains.domain_heads, "fit_rows", "head")
    watch(nlptl.finetuning.domains.adaptation, "aligned", "coral")
    watch(nlptl.finetuning.domains.moving_layers, "train", "layers")
    watch(Encoder, "encode", "encoding")
    few = TextData(source=small_reviews(12), unlabelled=goods(12, start=100)[0])
    for adapt in ({"method": "coral"}, {"method": "adversarial", "epochs": 1}):
        stage = DomainAdaptation(adapt=adapt, l2=0.1, folds=2)
        stage.run(contextual, data=few, context=RunContext(seed=7, device="cpu"))
    small = {key: {1} for key in ("shift", "head choice", "head", "coral")}
    assert seen == {**small, "layers": {2}, "encoding": {2}}
    assert torch.get_num_threads() == 2
