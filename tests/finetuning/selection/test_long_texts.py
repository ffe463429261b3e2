"""Long texts under auto: tried sentence by sentence, taken unless held-out examples speak against it, and told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.methods.auto import Auto
from nlptl.finetuning.selection import long_texts
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.long_texts import ReadingChoice, choose_reading, read_by_sentence
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder, without_start

SENTENCES = 4


def long_reviews(count: int) -> TextData:
    """Return reviews of `SENTENCES` sentences each, all of one mind."""
    texts, labels = small_reviews(count * SENTENCES * 2)
    by_label = {label: [text for text, own in zip(texts, labels, strict=True) if own == label] for label in set(labels)}
    whole = [
        (". ".join(found[number : number + SENTENCES]) + ".", label)
        for label, found in sorted(by_label.items())
        for number in range(0, count // 2 * SENTENCES, SENTENCES)
    ]
    return TextData(labelled=([text for text, _ in whole], [label for _, label in whole]))


def with_head(data: TextData) -> TextClassifier:
    return ClassificationHead().run(tiny_encoder("bert"), data=data, context=RunContext(device="cpu"))


def stage_with(update: Any) -> FineTune:
    return FineTune(update=update)


def decided(
    data: TextData, *, given: TextClassifier | None = None, seconds: float = 60, speed: Any = None
) -> ReadingChoice:
    given = given or with_head(data)
    examples = LabelledExamples.of(data, given.labels)
    context = RunContext(seed=0, device="cpu")
    return choose_reading(given, examples, speed or EncodingSpeed(given, examples.texts), context, seconds=seconds)


def half_a_second_a_text(texts: int) -> Any:
    """Stand for an encoder that takes half a second for each of so many texts."""
    return SimpleNamespace(seconds_for=lambda _: 0.5 * texts)


def undecided(data: TextData, given: TextClassifier | None = None) -> bool:
    given = given or with_head(data)
    how = decided(data, given=given)
    return how.classifier is given and how.why == ""


@pytest.fixture(scope="module")
def long() -> TextData:
    return long_reviews(12)


def fake_losses(monkeypatch: pytest.MonkeyPatch, whole: list[float], apart: list[float]) -> None:
    found = [torch.tensor(whole), torch.tensor(apart)]
    monkeypatch.setattr(long_texts, "_held_out_losses", lambda *_: found)


def test_long_texts_are_tried_and_the_numbers_told(long: TextData) -> None:
    how = decided(long)
    assert how.why.startswith("The labelled texts are long (4 sentences in the middle one) and are read ")
    assert "held-out log-loss" in how.why


def test_what_is_told_are_the_losses_of_heads_on_either_reading(long: TextData) -> None:
    from nlptl.finetuning.linear import LabelledVectors, fit_logistic

    given = with_head(long)
    assert long.labelled is not None
    labels = given.label_ids(long.labelled.labels())
    losses = []
    for classifier in (read_by_sentence(given), given):
        vectors = torch.from_numpy(classifier.encoder.encode(long.labelled.texts()))
        losses.append(float(fit_logistic(LabelledVectors.of(vectors, labels, 2)).losses().mean()))
    how = decided(long, given=given)
    assert how.why.endswith(f"held-out log-loss {losses[0]:.3f} sentence by sentence, {losses[1]:.3f} whole.")


@pytest.mark.parametrize(
    ("apart", "by_sentence"),
    [
        ([0.1, 0.2, 0.1, 0.2], True),
        ([0.6, 0.4, 0.6, 0.5], True),  # worse by .025, which is less than two standard errors
        ([0.9, 0.8, 0.9, 1.0], False),
    ],
)
def test_held_out_examples_must_speak_against_it(
    long: TextData, monkeypatch: pytest.MonkeyPatch, apart: list[float], by_sentence: bool
) -> None:
    fake_losses(monkeypatch, [0.5, 0.5, 0.5, 0.5], apart)
    how = decided(long)
    assert how.by_sentence is by_sentence


def test_with_one_example_of_each_label_length_decides() -> None:
    how = decided(long_reviews(2))
    assert how.by_sentence
    assert how.why == (
        "The labelled texts are long (4 sentences in the middle one), so they are read sentence by sentence; nothing was held "
        "out to try it on: no label has a second example."
    )


def test_without_time_length_decides(long: TextData) -> None:
    how = decided(long, seconds=1e-9)
    assert how.by_sentence
    assert how.why.endswith("nothing was held out to try it on: 1e-09 seconds are too few.")
    assert how.seconds == 0


def test_there_is_nothing_to_decide_on_short_texts_word_vectors_and_sentences(long: TextData) -> None:
    assert undecided(TextData(labelled=small_reviews(12)))
    assert undecided(long, read_by_sentence(with_head(long)))
    assert long.labelled is not None
    words = SkipGram(dim=4, min_count=1, epochs=1, engine="gensim").run(data=TextData(unlabelled=long.labelled.texts()))
    assert undecided(long, ClassificationHead().run(words, data=long))


def test_what_was_fitted_to_whole_texts_keeps_reading_them(long: TextData) -> None:
    given = with_head(long)
    trained = stage_with({"method": "head", "solver": "ridge"}).run(given, data=long)
    assert undecided(long, trained)
    assert long.labelled is not None
    data = TextData(labelled=long.labelled, unlabelled=long.labelled.texts())
    encoder = SentenceVectors(pooling="sif").run(given.encoder, data=data, context=RunContext(device="cpu"))
    assert undecided(long, TextClassifier(encoder, given.head, given.labels))


def test_a_tokenizer_that_cannot_tell_sentences_apart_leaves_texts_whole(long: TextData) -> None:
    given = with_head(long)
    without_start(given.encoder)
    assert undecided(long, given)


def test_a_rare_label_is_tried_however_few_examples_are(long: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_texts, "TRIAL_EXAMPLES", (4,))
    assert long.labelled is not None
    texts, labels = long.labelled.texts(), long.labelled.labels()
    rare = [f"{texts[0]} And again, the story is {number}." for number in range(2)]
    data = TextData(labelled=([*texts, *rare], [*labels, "rare", "rare"]))
    assert "held-out log-loss" in decided(data).why


def test_two_of_each_label_are_tried_or_none(monkeypatch: pytest.MonkeyPatch) -> None:
    long = long_reviews(12)
    assert long.labelled is not None
    labels = [f"label {number % 6}" for number in range(len(long.labelled))]
    data = TextData(labelled=(long.labelled.texts(), labels))
    monkeypatch.setattr(long_texts, "TRIAL_EXAMPLES", (4,))
    enough = decided(data, seconds=12, speed=half_a_second_a_text(len(long.labelled)))
    assert enough.seconds == 12, "a second each, for two of six labels"
    assert "held-out log-loss" in enough.why
    assert decided(data, seconds=11.9, speed=half_a_second_a_text(len(long.labelled))).why.endswith(
        "12 seconds are too few."
    )


def test_auto_reads_as_was_decided_and_leaves_the_given_alone(long: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_losses(monkeypatch, [0.5, 0.5], [0.1, 0.1])
    given = with_head(long)
    assert long.labelled is not None
    text = long.labelled.texts()[0]
    before = given.encoder.encode([text])
    context = RunContext(seed=3, device="cpu")
    made = stage_with({"method": "auto"}).run(given, data=long, context=context)
    assert context.record.report["by_sentence"] is True
    assert made.encoder.transformer.rule.sentence_start is not None
    np.testing.assert_array_equal(given.encoder.encode([text]), before)
    never = stage_with({"method": "auto", "by_sentence": "never"}).run(given, data=long)
    assert never.encoder.transformer.rule.sentence_start is None


def test_always_is_told_and_equals_the_stage_before(long: TextData) -> None:
    given, context = with_head(long), RunContext(seed=3, device="cpu")
    update: Any = {"method": "auto", "by_sentence": "always"}
    made = FineTune(update=update).run(given, data=long, context=context)
    assert "Texts are read sentence by sentence, as the settings say." in context.record.sentences
    encoder = SentenceVectors(by_sentence=True).run(given.encoder, data=long, context=RunContext(device="cpu"))
    staged = TextClassifier(encoder, given.head, given.labels)
    same = stage_with({"method": "auto"}).run(staged, data=long, context=RunContext(seed=3, device="cpu"))
    assert long.labelled is not None
    texts = long.labelled.texts()
    np.testing.assert_allclose(made.predict_proba(texts), same.predict_proba(texts), atol=1e-5)


def test_the_time_of_trying_counts_towards_minutes(long: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    assert long.labelled is not None
    texts, left = len(long.labelled), []
    monkeypatch.setattr(
        "nlptl.finetuning.selection.encoding_speed.EncodingSpeed", lambda *_: half_a_second_a_text(texts)
    )
    choose = Auto._choose

    def watched(self: Auto, *arguments: Any) -> Any:
        left.append(arguments[-1])
        return choose(self, *arguments)

    monkeypatch.setattr(Auto, "_choose", watched)
    stage_with({"method": "auto", "minutes": 1}).run(with_head(long), data=long)
    assert left == [pytest.approx(60 - 2 * 0.5 * texts)]


def test_without_labels_always_counts_too() -> None:
    data = TextData(label_names={"negative": "bad, awful", "positive": "good, great"})
    update: Any = {"method": "auto", "by_sentence": "always"}
    context = RunContext(device="cpu")
    made = FineTune(update=update).run(with_head(data), data=data, context=context)
    assert made.encoder.transformer.rule.sentence_start is not None
    assert context.record.report["by_sentence"] is True


def test_word_vectors_know_no_sentences_under_auto() -> None:
    stage = stage_with({"method": "auto", "by_sentence": "always"})
    with pytest.raises(ConfigError) as caught:
        stage.check_model("word_vectors", where="stages.2")
    assert str(caught.value) == (
        "stages.2.update.by_sentence: found always over word vectors or n-grams, which know no sentences; expected auto or never, "
        "or a transformer. Choose one, or begin the chain with bert."
    )


def test_pooling_that_was_fitted_to_whole_texts_is_refused_under_always(long: TextData) -> None:
    given = with_head(long)
    assert long.labelled is not None
    data = TextData(labelled=long.labelled, unlabelled=long.labelled.texts())
    encoder = SentenceVectors(pooling="sif").run(given.encoder, data=data, context=RunContext(device="cpu"))
    stage = stage_with({"method": "auto", "by_sentence": "always"})
    with pytest.raises(ConfigError) as caught:
        stage.run(TextClassifier(encoder, given.head, given.labels), data=long)
    assert str(caught.value) == (
        "finetune.update.by_sentence: found sif pooling that was fitted to texts read whole; expected one fitted to sentences. "
        "Set by_sentence: true in sentence_vectors instead."
    )
