"""Long texts under auto: tried sentence by sentence, taken unless held-out examples speak against it, and told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nlptl.data import TextData
from nlptl.few_shot import long_texts
from nlptl.few_shot.long_texts import HowToRead, how_to_read, read_by_sentence
from nlptl.models.classifier import TextClassifier
from nlptl.progress import SilentProgress
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from nlptl.stages.stage import RunContext
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder

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


def decided(data: TextData, wanted: Any = "auto", *, given: TextClassifier | None = None) -> HowToRead | None:
    given = given or with_head(data)
    assert data.labelled is not None
    labels = given.label_ids(data.labelled.labels())
    return how_to_read(given, data.labelled.texts(), labels, wanted, seed=0, progress=SilentProgress())


@pytest.fixture(scope="module")
def long() -> TextData:
    return long_reviews(12)


def fake_losses(monkeypatch: pytest.MonkeyPatch, whole: list[float], apart: list[float]) -> None:
    found = torch.tensor(whole), torch.tensor(apart)
    monkeypatch.setattr(long_texts, "_held_out_losses", lambda *_: found)


def test_long_texts_are_tried_and_the_numbers_told(long: TextData) -> None:
    how = decided(long)
    assert how is not None
    assert how.why.startswith("The labelled texts are long (4 sentences in the middle one) and are read ")
    assert "held-out log-loss" in how.why


def test_what_is_told_are_the_losses_of_heads_on_either_reading(long: TextData) -> None:
    from nlptl.closed_form import LabelledVectors, fit_logistic

    given = with_head(long)
    assert long.labelled is not None
    labels = given.label_ids(long.labelled.labels())
    losses = []
    for classifier in (read_by_sentence(given), given):
        vectors = torch.from_numpy(classifier.encoder.encode(long.labelled.texts()))
        losses.append(float(fit_logistic(LabelledVectors.of(vectors, labels, 2)).losses().mean()))
    how = decided(long, given=given)
    assert how is not None
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
    assert how is not None
    assert how.by_sentence is by_sentence


def test_with_one_example_of_each_label_length_decides() -> None:
    how = decided(long_reviews(2))
    assert how is not None
    assert how.by_sentence
    assert how.why.endswith("so they are read sentence by sentence; nothing could be held out to try it on.")


def test_there_is_nothing_to_decide_on_short_texts_word_vectors_and_sentences(long: TextData) -> None:
    assert decided(TextData(labelled=small_reviews(12))) is None
    assert decided(long, "never") is None
    assert decided(long, given=read_by_sentence(with_head(long))) is None
    assert long.labelled is not None
    words = SkipGram(dim=4, min_count=1, epochs=1, engine="gensim").run(data=TextData(unlabelled=long.labelled.texts()))
    assert decided(long, given=ClassificationHead().run(words, data=long)) is None


def test_a_tokenizer_that_cannot_tell_sentences_apart_leaves_texts_whole(long: TextData) -> None:
    given = with_head(long)
    given.encoder.tokenizer.post_processor = None  # type: ignore[assignment]
    assert decided(long, given=given) is None


def test_no_more_examples_are_tried_than_needed(long: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_texts, "MOST_TRIED", 8)
    counts = []

    def losses(given: Any, texts: list[str], labels: torch.Tensor, copies: torch.Tensor, progress: Any) -> None:
        counts.append((len(texts), len(labels), len(copies)))

    monkeypatch.setattr(long_texts, "_held_out_losses", losses)
    decided(long)
    assert counts == [(8, 8, 8)]


def test_auto_reads_as_was_decided_and_leaves_the_given_alone(long: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_losses(monkeypatch, [0.5, 0.5], [0.1, 0.1])
    given = with_head(long)
    assert long.labelled is not None
    text = long.labelled.texts()[0]
    before = given.encoder.encode([text])
    context = RunContext(seed=3, device="cpu")
    made = FineTune(update={"method": "auto"}).run(given, data=long, context=context)  # type: ignore[arg-type]
    assert context.record.report["by_sentence"] is True
    assert made.encoder.transformer.rule.sentence_start is not None
    np.testing.assert_array_equal(given.encoder.encode([text]), before)
    never = FineTune(update={"method": "auto", "by_sentence": "never"}).run(given, data=long)  # type: ignore[arg-type]
    assert never.encoder.transformer.rule.sentence_start is None


def test_always_is_told_and_equals_the_stage_before(long: TextData) -> None:
    given, context = with_head(long), RunContext(seed=3, device="cpu")
    update: Any = {"method": "auto", "by_sentence": "always"}
    made = FineTune(update=update).run(given, data=long, context=context)
    assert "Texts are read sentence by sentence, as the settings say." in context.record.sentences
    encoder = SentenceVectors(by_sentence=True).run(given.encoder, data=long, context=RunContext(device="cpu"))
    staged = TextClassifier(encoder, given.head, given.labels)
    same = FineTune(update={"method": "auto"}).run(staged, data=long, context=RunContext(seed=3, device="cpu"))  # type: ignore[arg-type]
    assert long.labelled is not None
    texts = long.labelled.texts()
    np.testing.assert_allclose(made.predict_proba(texts), same.predict_proba(texts), atol=1e-5)
