"""Few labels through the stage: names alone, contrastive, auto, heads in one go, priors; and what is refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.config import parse
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.evaluation.duplicates import duplicate_groups
from nlptl.finetuning.contrastive.contrastive_fit import _names_help, _says_more
from nlptl.finetuning.contrastive.pseudo_labels import WAYS, HeldOutTrial, PseudoLabelling, _gate, texts_to_pass
from nlptl.finetuning.examples import LabelledExamples
from nlptl.finetuning.linear import (
    LabelledVectors,
    choose_head,
    corrected_temperature,
    fit_lda,
    fit_logistic,
    fit_ridge,
)
from nlptl.finetuning.method import Fitted
from nlptl.finetuning.methods.contrastive import Contrastive
from nlptl.finetuning.probabilities import Calibration
from nlptl.finetuning.selection import method_choice as choice
from nlptl.finetuning.selection.encoding_speed import EncodingSpeed
from nlptl.finetuning.selection.method_choice import (
    Candidate,
    ExampleStatistics,
    by_rule,
    by_trial,
    selection_rows,
    trial_on_examples,
    trial_on_validation,
)
from nlptl.finetuning.selection.method_comparison import _some, fitted_by, texts_per_name
from nlptl.models.classifier import TextClassifier
from nlptl.stages.classification_head import ClassificationHead
from nlptl.stages.finetune import FineTune
from nlptl.stages.sentence_vectors import SentenceVectors
from nlptl.stages.skipgram import SkipGram
from tests.conftest import small_reviews
from tests.models.tiny import tiny_encoder

COMPARISON = "nlptl.finetuning.selection.method_comparison"
NAMES = {"negative": "bad, awful", "positive": "good, great"}
CONTRASTIVE: dict[str, Any] = {"method": "contrastive", "steps": 6, "batch_size": 8, "top_layers": 1}


def with_head(data: TextData, *, hidden: int = 0) -> TextClassifier:
    return ClassificationHead(hidden=hidden).run(tiny_encoder("bert"), data=data, context=RunContext(device="cpu"))


def run(data: TextData, **settings: Any) -> tuple[TextClassifier, RunContext]:
    context = RunContext(seed=3, device="cpu")
    return FineTune(**settings).run(with_head(data), data=data, context=context), context


def with_validation(validation: tuple[list[str], list[str]]) -> TextData:
    return TextData(labelled=small_reviews(24), validation=validation, label_names=NAMES)


@pytest.fixture(scope="module")
def labelled() -> TextData:
    return TextData(labelled=small_reviews(24), test=small_reviews(40, start=400), label_names=NAMES)


def numbered(texts: list[str], ids: list[int]) -> LabelledExamples:
    """Return labelled examples of labels that are numbers."""
    names = tuple(str(label) for label in range(max(ids) + 1))
    return LabelledExamples(texts, torch.tensor(ids), names, duplicate_groups(texts, ids))


class Slow:
    """Stands for an encoder that takes so many seconds a text."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def seconds_for(self, texts: Sequence[str]) -> float:
        return self._seconds * len(texts)


def speed(seconds: float) -> Any:
    """Stand for an encoder that takes so long for whatever texts."""
    return SimpleNamespace(seconds_for=lambda texts: seconds)


def test_without_labels_the_nearest_name_wins() -> None:
    data = TextData(label_names=NAMES)
    classifier, context = run(data)
    assert classifier.labels == ("negative", "positive")
    texts = ["This is good, great.", "This is bad, awful."]
    assert classifier.predict(texts) == ["positive", "negative"]
    assert "zero-shot" in context.record.sentences[0]


def test_without_labels_priors_and_templates_count() -> None:
    data = TextData(label_names=NAMES)
    texts = small_reviews(4)[0]
    plain = run(data)[0].predict_proba(texts)
    moved = run(data, priors={"negative": 0.8, "positive": 0.2})[0].predict_proba(texts)
    assert moved[:, 0] / moved[:, 1] / (plain[:, 0] / plain[:, 1]) == pytest.approx(4.0, rel=1e-3)
    other = run(data, update={**CONTRASTIVE, "templates": ["a {} film"]})[0].predict_proba(texts)
    assert not np.allclose(other, plain)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"update": {**CONTRASTIVE, "pseudo_labels": {}}},
            "p.yaml: stages.2.update.pseudo_labels: found settings for the pile but no data.unlabelled; expected unlabelled "
            "texts. Add data.unlabelled, or set pseudo_labels: null.",
        ),
        (
            {"priors": {"negative": 0.5, "positiv": 0.5}},
            "p.yaml: stages.2.priors: found the label 'positiv'; expected negative, positive. Did you mean 'positive'? Correct "
            "the label.",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused_before_anything_trains(
    labelled: TextData, settings: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        FineTune(**settings).check_data(labelled, where="p.yaml: stages.2")
    assert str(caught.value) == sentence


def test_without_labels_and_names_that_speak_there_is_nothing_to_go_by() -> None:
    data = TextData(label_names={"0": "7", "1": "8"})
    named = FineTune().run(with_head(data), data=data)
    assert named.predict(["7", "8"]) == ["0", "1"]  # a name that is given counts, whatever it is
    labels = TextData(labelled=(["a text", "b text"], ["0", "1"]))
    with pytest.raises(DataError, match=r"found no labelled examples; it learns from them\. Give data\.labelled"):
        FineTune().run(with_head(labels), data=TextData(unlabelled=["a text"]))


def test_contrastive_learns_tells_its_plan_and_gives_chances(labelled: TextData) -> None:
    classifier, context = run(labelled, update=CONTRASTIVE)
    assert labelled.test is not None
    chances = classifier.predict_proba(labelled.test.texts())
    assert np.allclose(chances.sum(axis=1), 1)
    assert context.record.report["plan"]["steps"] == 6
    told = " ".join(context.record.sentences)
    assert "The labels' names alone (zero-shot, nothing learnt) get" in told
    assert "leaving one example out" in told


@pytest.mark.parametrize(("names", "used"), [("always", "used"), ("never", "left out")])
def test_label_names_join_as_the_settings_say(labelled: TextData, names: str, used: str) -> None:
    _, context = run(labelled, update={**CONTRASTIVE, "label_names": names})
    assert context.record.report["label_names"] == used


def test_labels_that_say_nothing_take_no_part() -> None:
    texts, labels = small_reviews(12)
    data = TextData(labelled=(texts, [int(label == "positive") for label in labels]))
    classifier, context = run(data, update={**CONTRASTIVE, "rank": 2})
    assert context.record.report["label_names"] == "none"
    assert classifier.encoder.transformer.adapters


def test_one_example_a_label_is_enough() -> None:
    data = TextData(labelled=(["a good film", "a bad film"], ["positive", "negative"]))
    classifier, _ = run(data, update=CONTRASTIVE)
    assert classifier.predict(["a good film", "a bad film"]) == ["positive", "negative"]


def test_auto_explains_its_choice(labelled: TextData) -> None:
    _, context = run(labelled, update={"method": "auto"})
    assert context.record.report["update"] == "contrastive"
    assert context.record.sentences[0].startswith("With 24 examples of 2 labels")


def test_auto_over_the_embeddings_of_a_transformer_trains_the_head(labelled: TextData) -> None:
    encoder = SentenceVectors(layer=0).run(tiny_encoder("bert"), data=labelled)
    context = RunContext(seed=3, device="cpu")
    given = ClassificationHead().run(encoder, data=labelled, context=context)
    FineTune(update={"method": "auto"}).run(given, data=labelled, context=context)
    assert context.record.report["update"] == "head"


def test_the_query_of_attention_pooling_learns_too(labelled: TextData) -> None:
    encoder = SentenceVectors(pooling="attention").run(tiny_encoder("bert"), data=labelled)
    context = RunContext(seed=3, device="cpu")
    given = ClassificationHead().run(encoder, data=labelled, context=context)
    query = FineTune(update=CONTRASTIVE).run(given, data=labelled, context=context).encoder.pooling.query
    assert query is not None
    assert bool(query.abs().max() > 0)


def test_auto_over_word_vectors_trains_the_head(reviews: TextData) -> None:
    vectors = SkipGram(dim=8, epochs=1, min_count=1).run(data=reviews)
    given = ClassificationHead().run(SentenceVectors().run(vectors, data=reviews), data=reviews)
    context = RunContext(seed=3, device="cpu")
    FineTune(update={"method": "auto"}).run(given, data=reviews, context=context)
    assert context.record.report["update"] == "head"


def test_auto_leaves_the_pile_to_the_views_of_word_vectors(reviews: TextData) -> None:
    vectors = SkipGram(dim=8, epochs=1, min_count=1).run(data=reviews)
    encoder = SentenceVectors(views=[{"view": "ngrams", "dim": 4}]).run(vectors, data=reviews)
    context = RunContext(seed=3, device="cpu")
    given = ClassificationHead().run(encoder, data=reviews)
    found = FineTune(update={"method": "auto"}).run(given, data=reviews, context=context)
    assert context.record.report["pile"] == {"used": "views"}
    assert (
        "The pile is used by the views of the encoder, which learnt from it; self-training adds nothing."
        in context.record.sentences
    )
    assert len(found.encoder.joined_views) == 1


def test_few_examples_are_decided_by_rule_and_many_by_trial() -> None:
    ruled = [by_rule(ExampleStatistics(n, 2, n // 2, word_vectors=False, has_label_words=False)) for n in (16, 2)]
    assert [chosen and chosen.method for chosen in ruled] == ["contrastive", "head"]
    assert ruled[0] is not None
    assert "only where they differ by 22 points or more" in ruled[0].why
    assert by_rule(ExampleStatistics(4928, 77, 64, word_vectors=False, has_label_words=True)) is None
    assert by_rule(ExampleStatistics(128, 2, 64, word_vectors=False, has_label_words=True)) is None
    assert by_rule(ExampleStatistics(1000, 77, 8, word_vectors=False, has_label_words=True)) is not None
    assert by_rule(ExampleStatistics(16, 2, 8, word_vectors=False, has_label_words=True, validation=99)) is not None
    assert by_rule(ExampleStatistics(16, 2, 8, word_vectors=False, has_label_words=True, validation=100)) is None


@pytest.mark.parametrize(
    ("examples", "validation", "judged"),
    [(16, 100, True), (128, 100, False), (128, 128, True), (2000, 399, False), (2000, 400, True), (9000, 1000, True)],
)
def test_validation_judges_where_it_tells_more_than_what_could_be_held_out(
    examples: int, validation: int, judged: bool
) -> None:
    found = ExampleStatistics(examples, 2, 8, word_vectors=False, has_label_words=True, validation=validation)
    assert found.selects_by_validation == judged


def test_validation_texts_judge_with_all_labels_among_them_and_no_more_than_needed() -> None:
    assert selection_rows([0] * 300 + [1] * 4, 2, seed=0) == []
    assert selection_rows([0] * 300, 2, seed=0) == []
    assert selection_rows([0] * 6 + [1] * 5, 2, seed=0) == list(range(11))
    many = [0] * 9000 + [1] * 1000
    rows = selection_rows(many, 2, seed=0)
    assert len(rows) == 1000
    assert sum(many[row] for row in rows) == 100


class Fixed:
    """Fit that predicts one label for everything, or the truth."""

    def __init__(self, truth: dict[str, int] | None) -> None:
        self._truth = truth

    @property
    def classifier(self) -> Fixed:
        return self

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        return np.eye(2)[[0 if self._truth is None else self._truth[text] for text in texts]]


def test_a_trial_takes_the_better_update_and_leaves_out_what_takes_too_long() -> None:
    texts = [f"text {i}" for i in range(100)]
    truth = {text: i % 2 for i, text in enumerate(texts)}
    ids = list(truth.values())

    def right(rows: Sequence[int]) -> Any:
        return Fixed(truth)

    def wrong(rows: Sequence[int]) -> Any:
        return Fixed(None)

    both = [Candidate("contrastive", 1, 0.0, wrong), Candidate("full", 5, 0.0, right)]
    trial = trial_on_examples(numbered(texts, ids), seed=0)
    halves = by_trial(both, trial, examples=100, seconds=100)
    assert halves.method == "full"
    assert halves.why.startswith(
        "On 100 of the 100 examples, held out in two halves, contrastive got 0.500, full got 1.000"
    )
    many = [*texts, *(f"more {i}" for i in range(400))]
    truth.update({text: i % 2 for i, text in enumerate(many)})
    one = by_trial(both, trial_on_examples(numbered(many, list(truth.values())), seed=0), examples=500, seconds=100)
    assert one.why.startswith("On 100 of the 500 examples, held out, contrastive got")
    short = by_trial(both, trial, examples=100, seconds=3)
    assert short.method == "contrastive"
    assert "full was not tried" in short.why
    assert (short.not_tried, halves.not_tried) == (["full"], [])
    asked: list[int] = []
    costly = [Candidate("contrastive", 9, 0.0, wrong), Candidate("head", 1, 0.0, lambda rows: asked.append(1))]
    assert by_trial(costly, trial, examples=100, seconds=10).method == "contrastive"
    assert asked == []  # with nothing to compare it with, the other is not trained
    unseen = by_trial(both, trial, examples=100, seconds=1)
    assert (unseen.method, unseen.temperature, unseen.scored) == ("contrastive", 1.0, 0)
    assert unseen.why.endswith("contrastive was taken unseen, as the first choice.")
    slow = [Candidate("contrastive", 1, 0.1, right)]  # a second for training twice on a half, ten for 100 predictions
    assert "about 0.18 minutes" in by_trial(slow, trial, examples=100, seconds=9).why
    equal = by_trial(
        [Candidate("contrastive", 1, 0.0, right), Candidate("full", 1, 0.0, right)], trial, examples=100, seconds=9
    )
    assert equal.method == "contrastive"


def fit_of(predict_proba: Any) -> Any:
    """Return a fit whose classifier predicts so."""
    return SimpleNamespace(classifier=SimpleNamespace(predict_proba=predict_proba))


def test_a_trial_on_validation_texts_trains_on_all_examples() -> None:
    seen: list[Sequence[int]] = []
    chances = np.array([[0.99, 0.01]] * 60 + [[0.01, 0.99]] * 60)

    def train(rows: Sequence[int]) -> Any:
        seen.append(rows)
        return fit_of(lambda asked: chances[: len(asked)])

    labels = [0] * 45 + [1] * 60 + [0] * 15  # three in four are right, so .99 claims too much
    trial = trial_on_validation(8, [f"text {i}" for i in range(120)], labels)
    chosen = by_trial([Candidate("contrastive", 1, 0.0, train)], trial, examples=8, seconds=9)
    assert [list(rows) for rows in seen] == [list(range(8))]
    assert chosen.why.startswith(
        "On 120 validation texts, contrastive got 0.750; contrastive was taken and trained again"
    )
    expected = (120 * 0.75 + 20 * 0.99) / 140  # what the texts say, and 20 texts' worth of what it believed
    assert 1 / (1 + np.exp(-np.log(99) / chosen.temperature)) == pytest.approx(expected)
    assert chosen.scored == 120


def test_what_is_kept_from_a_trial_keeps_what_its_probabilities_assume(labelled: TextData) -> None:
    trial = trial_on_validation(24, [f"text {i}" for i in range(120)], [i % 2 for i in range(120)])
    classifier, stopped = with_head(labelled), Calibration(by_validation=False)
    kept = Fitted(classifier, 7, balanced=True, shares=(0.3, 0.7), calibration=stopped)
    chosen = by_trial([Candidate("contrastive", 1, 0.0, lambda _: kept, again=False)], trial, examples=24, seconds=9)
    assert chosen.why.endswith("contrastive was taken as it stands.")
    task: Any = SimpleNamespace()
    found = fitted_by(Contrastive(), chosen, task)
    assert (found.balanced, found.shares, found.trainable_parameters) == (True, (0.3, 0.7), 7)
    assert found.calibration.by_validation  # the trial has not shown it the validation texts of the user


def test_what_takes_too_long_is_not_tried(labelled: TextData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.finetuning.selection.encoding_speed.EncodingSpeed", lambda *_: speed(7.0))
    monkeypatch.setattr(choice, "MIN_EXAMPLES", 20)
    monkeypatch.setattr(choice, "MIN_EXAMPLES_PER_LABEL", 2)
    monkeypatch.setattr(f"{COMPARISON}.texts_per_name", lambda _: 0.0)
    _, context = run(labelled, update={"method": "auto", "minutes": 0.15})  # 7 s for a pass over all examples
    plan, told = context.record.sentences[:2]
    assert plan == (
        "Plan for 0.15 minutes: the head alone learns from all examples and nothing is compared, since the time is short; about "
        "0.12 minutes in all."
    )
    assert told == "head was taken unseen, for the time allows no comparison."
    assert context.record.report["cuts"] == ["contrastive was not tried", "nothing was compared"]
    assert context.record.warnings == []


@pytest.mark.parametrize(
    ("minutes", "method", "told"),
    [
        (10, "contrastive", ""),
        (2, "contrastive", " It takes 10 of its 20 steps, about 1.5 minutes; all would take 2.9, and 2 are left."),
        (1, "contrastive", " It takes 5 of its 20 steps, about 0.8 minutes; all would take 2.9, and 1 are left."),
        (0.5, "head", "Contrastive training would take about 2.9 minutes and 0.5 are left, so the head alone learns."),
    ],
)
def test_what_a_rule_chooses_fits_into_the_time(
    minutes: float, method: str, told: str, labelled: TextData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlptl.finetuning.selection.encoding_speed.EncodingSpeed", lambda *_: speed(6.26))
    monkeypatch.setattr("nlptl.finetuning.selection.ruled_time.texts_per_name", lambda _: 0.0)
    _, context = run(labelled, update={"method": "auto", "minutes": minutes})
    why = next(sentence for sentence in context.record.sentences if "ontrastive training w" in sentence)
    assert context.record.report["update"] == method
    assert why.endswith(told or "run to run on so few examples.")
    steps = context.record.report.get("plan", {}).get("steps")
    assert steps == {10: 20, 2: 10, 1: 5}.get(int(minutes))
    cut = {10: [], 2: ["contrastive took 10 of 20 steps"], 1: ["contrastive took 5 of 20 steps"]}
    assert context.record.report.get("cuts", []) == cut.get(int(minutes), ["contrastive was not tried"])


@pytest.mark.parametrize(("usual", "rare", "minutes"), [(300, 3, 0.01), (300, 3, 0.9), (598, 2, 0.3)])
def test_the_head_learns_each_label_however_short_the_time_is(
    usual: int, rare: int, minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlptl.finetuning.selection.encoding_speed.EncodingSpeed", lambda *_: Slow(0.1))
    texts = [f"sun {i}" for i in range(usual)] + [f"rust {i}" for i in range(rare)]
    data = TextData(labelled=(texts, ["0"] * usual + ["1"] * rare))
    _, context = run(data, update={"method": "auto", "minutes": minutes})
    learnt = context.record.report["examples_learnt"]
    assert 7 <= learnt < usual
    assert f"the head learnt from {learnt} of {usual + rare} examples" in context.record.report["cuts"]
    count = f"{learnt} of the {usual + rare} examples"
    told = f"The classifier learns from {count}, for {minutes} minutes allow no more. Raise minutes."
    assert told in context.record.warnings
    plan = context.record.sentences[0]
    assert plan.startswith(f"Plan for {minutes} minutes: the head alone learns from ")
    compared = minutes > 0.01
    assert ("nothing is compared" in plan) != compared
    assert any("trained again on " + count in sentence for sentence in context.record.sentences) == compared
    assert float(re.findall(r"about (\S+) minutes", plan)[0]) <= max(minutes, 0.014)  # eight texts take 0.8 seconds
    assert context.record.report["skew"]  # is that of all examples, though few are drawn evenly


@pytest.mark.parametrize("counts", [(300, 3, 2), (500, 5, 1), (40, 40, 40)])
def test_few_of_many_examples_are_drawn_evenly(counts: tuple[int, ...]) -> None:
    ids = [label for label, count in enumerate(counts) for _ in range(count)]
    examples = numbered([f"text {row}" for row in range(len(ids))], ids)
    for seed in range(5):
        trial = trial_on_examples(examples, seed=seed)
        drawn = _some(examples, trial, 12, seed)
        found = np.bincount([ids[row] for row in drawn], minlength=3)
        assert (found >= np.minimum(counts, 2)).all()
        assert 9 <= len(drawn) <= 15
        for part in trial.splits:
            assert {ids[row] for row in part.training if row in drawn} == {0, 1, 2}


def test_a_trial_leaves_each_label_a_text_to_train_on() -> None:
    texts = [f"text {i}" for i in range(30)]
    ids = [i % 2 for i in range(28)] + [2, 3]
    seen: list[set[int]] = []

    def train(rows: Sequence[int]) -> Any:
        seen.append({ids[row] for row in rows})
        return fit_of(lambda asked: np.eye(4)[[0] * len(asked)])

    for seed in range(10):
        trial = trial_on_examples(numbered(texts, ids), seed=seed)
        told = by_trial([Candidate("contrastive", 1, 0.0, train)], trial, examples=30, seconds=9).why
        assert told.startswith("On 15 of the 30 examples, held out, ")
    assert seen == [{0, 1, 2, 3}] * 10


@pytest.mark.parametrize("solver", ["auto", "logistic", "ridge", "lda"])
def test_heads_in_one_go_are_those_that_the_solver_fits_to_the_vectors(labelled: TextData, solver: str) -> None:
    classifier, context = run(labelled, update={"method": "head", "solver": solver})
    assert labelled.labelled is not None
    assert labelled.test is not None
    vectors = torch.from_numpy(classifier.encoder.encode(labelled.labelled.texts()))
    rows = LabelledVectors.of(vectors, classifier.label_ids(labelled.labelled.labels()), 2)
    fits = {"logistic": fit_logistic, "ridge": fit_ridge, "lda": fit_lda, "auto": lambda rows: choose_head(rows).fitted}
    expected = fits[solver](rows)
    assert context.record.report["choice"] == {"solver": expected.method, "strength": expected.strength}
    assert solver in (expected.method, "auto")
    texts = labelled.test.texts()
    probabilities = expected.calibrated().probabilities(torch.from_numpy(classifier.encoder.encode(texts)))
    np.testing.assert_allclose(classifier.predict_proba(texts), probabilities.numpy(), atol=1e-5)
    predicted = zip(classifier.predict(texts), labelled.test.labels(), strict=True)
    assert np.mean([one == other for one, other in predicted]) > 0.6


@pytest.mark.parametrize("update", [{"method": "head", "solver": "ridge"}, CONTRASTIVE])
def test_priors_move_probabilities_as_bayes_says(labelled: TextData, update: dict[str, Any]) -> None:
    plain, _ = run(labelled, update=update)
    moved, _ = run(labelled, update=update, priors={"negative": 0.8, "positive": 0.2})
    texts = small_reviews(6, start=50)[0]
    odds = [chances[:, 0] / chances[:, 1] for chances in (plain.predict_proba(texts), moved.predict_proba(texts))]
    assert odds[1] / odds[0] == pytest.approx(4.0, rel=1e-3)  # 12 examples of each label
    uniform, _ = run(labelled, update=update, priors="uniform")
    assert torch.allclose(uniform.head.last_linear.bias, plain.head.last_linear.bias)


def test_priors_start_from_the_shares_that_balanced_labels_were_learnt_at() -> None:
    texts, labels = small_reviews(40)
    rows = [i for i in range(40) if labels[i] == "positive"][:4] + [i for i in range(40) if labels[i] == "negative"][
        :12
    ]
    data = TextData(labelled=([texts[i] for i in rows], [labels[i] for i in rows]))
    settings: dict[str, Any] = {"update": {"method": "head", "label_weights": "balanced", "epochs": 30, "l2": 1.0}}
    plain, uniform, moved = (
        run(data, priors=priors, **settings)[0]
        for priors in ("observed", "uniform", {"negative": 0.8, "positive": 0.2})
    )
    assert torch.allclose(uniform.head.last_linear.bias, plain.head.last_linear.bias)
    odds = [chances[:, 0] / chances[:, 1] for chances in (plain.predict_proba(texts), moved.predict_proba(texts))]
    assert odds[1] / odds[0] == pytest.approx(4.0, rel=1e-3)


@pytest.mark.parametrize("solver", ["logistic", "ridge", "lda"])
def test_copies_of_an_example_are_held_out_together(solver: str) -> None:
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(["good", "bad", "film", "plot", "great", "awful"], 5)) for _ in range(24)]
    labels = [str(label) for label in generator.permutation([0, 1] * 12)]  # nothing to be learnt
    once, alone = run(TextData(labelled=(texts, labels)), update={"method": "head", "solver": solver})
    twice, context = run(TextData(labelled=(texts * 2, labels * 2)), update={"method": "head", "solver": solver})
    assert context.record.report["choice"] == alone.record.report["choice"]
    assert np.allclose(once.predict_proba(texts), twice.predict_proba(texts), atol=1e-5)


def test_a_trial_holds_out_copies_together_and_scores_them_once() -> None:
    texts = [f"text {i % 20}" for i in range(50)]  # ten of them three times, ten twice
    labels = [i % 2 for i in range(50)]
    for split in trial_on_examples(numbered(texts, labels), seed=1).splits:
        assert not {texts[row] for row in split.training} & set(split.texts)
        assert len(set(split.texts)) == len(split.texts) == 10
        assert len(split.training) == sum(texts.count(text) for text in {texts[row] for row in split.training})


def test_the_time_of_the_trial_is_taken_off_the_time_for_the_pile(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = trial_on_examples(numbered([f"text {i}" for i in range(120)], [i % 2 for i in range(120)]), seed=0)

    def train(rows: Sequence[int]) -> Any:
        return fit_of(lambda asked: np.full((len(asked), 2), 0.5))

    methods = [Candidate(name, 3.0, 0.0, train) for name in ("contrastive", "head")]
    assert by_trial(methods, trial, examples=120, seconds=60).seconds == pytest.approx(2 * 3.0)
    seen: list[float] = []
    found = Contrastive(), choice.MethodChoice("contrastive", "why", seconds=90.0)
    monkeypatch.setattr("nlptl.finetuning.selection.pile_time.pile_within", lambda left, *_: seen.append(left))
    monkeypatch.setattr(f"{COMPARISON}.compared", lambda *_, **__: found)
    monkeypatch.setattr(f"{COMPARISON}.seconds_of_fit", lambda *_: 30.0)
    monkeypatch.setattr(choice, "by_rule", lambda _: None)
    run(TextData(labelled=small_reviews(24), unlabelled=["a text"]), update={"method": "auto", "minutes": 4})
    assert seen == [120]


def test_names_are_judged_by_examples_that_could_be_left_out_with_and_without_them() -> None:
    generator = torch.Generator().manual_seed(0)
    counts, dim = [8, 8, 1, 1, 1, 1], 16
    centres = torch.randn(6, dim, generator=generator)
    labels = torch.arange(6).repeat_interleave(torch.tensor(counts))
    rows = LabelledVectors.of(centres[labels] + torch.randn(20, dim, generator=generator), labels, 6)
    names = centres + torch.randn(6, dim, generator=generator)  # each tells as much as an example
    without, within = fit_logistic(rows), fit_logistic(rows.with_prototypes(names, torch.arange(6), weight=1.0))
    assert within.loss is not None
    assert without.loss is not None
    assert within.loss > without.loss + 0.02  # the hard examples, which only heads with names are tried on
    used, why = _names_help(without, within, "auto")
    assert used
    assert "leaving one example out of the 16 that are not the only one of their label" in why


@pytest.mark.parametrize("tell", [True, False])
def test_all_sentences_join_where_held_out_examples_speak_for_them(tell: bool) -> None:
    """With names as good as examples all four count; with misleading ones the first alone, which weighs less."""
    generator = torch.Generator().manual_seed(1)
    centres = 2 * torch.randn(3, 16, generator=generator)
    labels = torch.arange(3).repeat_interleave(8)
    vectors = centres[labels] + 2 * torch.randn(24, 16, generator=generator)
    names = (centres if tell else centres.roll(1, dims=0)).repeat(4, 1)
    rows = LabelledVectors.of(vectors, labels, 3)
    first, every = (
        fit_logistic(rows.with_prototypes(names[:count], torch.arange(3).repeat(count // 3), weight=1.0))
        for count in (3, 12)
    )
    assert _says_more(first, every) is tell


def test_it_is_told_in_how_many_sentences_names_are_used(labelled: TextData) -> None:
    _, context = run(labelled, update={**CONTRASTIVE, "label_names": "always"})
    (told,) = [sentence for sentence in context.record.sentences if sentence.startswith("Label names")]
    assert told == "Label names are used in 4 of 4 sentences each, as the settings say."
    _, context = run(labelled, update={**CONTRASTIVE, "label_names": "always", "templates": ["This is {}."]})
    assert "Label names are used, as the settings say." in context.record.sentences


def test_names_stand_in_all_sentences_where_nothing_could_be_held_out() -> None:
    data = TextData(labelled=(["one text", "another text"], ["positive", "negative"]), label_names=NAMES)
    _, context = run(data, update=CONTRASTIVE)
    assert (
        "Label names are used in 4 of 4 sentences each: with one example of each label nothing could be left out to try them on."
        in context.record.sentences
    )


def test_one_example_a_label_without_names_has_nothing_to_bring_together() -> None:
    data = TextData(labelled=(["one text", "another text"], ["0", "1"]))
    with pytest.raises(DataError, match=r"found one example of each of the 2 labels .* or choose update head\."):
        run(data, update=CONTRASTIVE)


def test_auto_says_that_too_few_of_a_label_could_be_held_out() -> None:
    chosen = by_rule(ExampleStatistics(616, 77, 8, False, True))
    assert chosen is not None
    assert "fewer than 16 a label" in chosen.why
    assert "points or more" not in chosen.why


@pytest.mark.parametrize("update", [{"method": "head", "solver": "ridge"}, CONTRASTIVE])
def test_validation_texts_correct_probabilities(update: dict[str, Any]) -> None:
    texts, labels = small_reviews(40, start=300)
    wrong = ["positive" if label == "negative" else "negative" for label in labels]
    confidence = []
    for names in (labels, wrong):
        classifier, context = run(with_validation((texts, names)), update=update)
        told = "The probabilities are corrected on 40 validation texts (temperature"
        assert any(sentence.startswith(told) for sentence in context.record.sentences)
        confidence.append(classifier.predict_proba(texts).max(axis=1).mean())
    assert confidence[0] > confidence[1] + 0.05
    assert confidence[1] < 0.6


@pytest.mark.parametrize(
    ("count", "label", "found"),
    [
        (19, "negative", "found 19 texts, too few to correct probabilities by; expected 20 at least. Add some"),
        (
            30,
            "positive",
            "found no text of the label 'negative'; expected some of each label to correct probabilities by. Add them",
        ),
    ],
)
def test_validation_texts_that_say_too_little_correct_nothing(count: int, label: str, found: str) -> None:
    validation = (small_reviews(count, start=300)[0], [label] * count)
    plain, _ = run(TextData(labelled=small_reviews(24), label_names=NAMES), update=CONTRASTIVE)
    classifier, context = run(with_validation(validation), update=CONTRASTIVE)
    assert f"data.validation: {found}, or leave them as they are." in context.record.sentences
    assert torch.equal(plain.head.last_linear.weight, classifier.head.last_linear.weight)


def test_validation_texts_count_as_their_labels_do_among_the_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = small_reviews(60, start=300)
    rows = [row for row, label in enumerate(labels) if label == "negative"][:10]
    rows += [row for row, label in enumerate(labels) if label == "positive"][:30]
    seen = []

    def spy(logits: torch.Tensor, ids: torch.Tensor, *, weights: torch.Tensor, prior_strength: float) -> float:
        seen.append([float(weights[ids == label].sum()) for label in (0, 1)])
        return 1.0

    monkeypatch.setattr("nlptl.evaluation.calibration.corrected_temperature", spy)
    run(with_validation(([texts[row] for row in rows], [labels[row] for row in rows])), update=CONTRASTIVE)
    assert seen[0] == pytest.approx([20, 20])  # 12 examples of each label


def test_no_validation_text_counts_more_than_five_times(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = small_reviews(80, start=300)
    rows = [row for row, label in enumerate(labels) if label == "positive"][:39]
    rows.append(labels.index("negative"))
    seen = []

    def spy(logits: torch.Tensor, ids: torch.Tensor, *, weights: torch.Tensor, prior_strength: float) -> float:
        seen.append(float(weights.max()))
        return 1.0

    monkeypatch.setattr("nlptl.evaluation.calibration.corrected_temperature", spy)
    run(with_validation(([texts[row] for row in rows], [labels[row] for row in rows])), update=CONTRASTIVE)
    assert seen == [5.0]  # one in 40, where half of the examples have its label


def test_names_alone_are_as_sure_as_validation_texts_show() -> None:
    texts = small_reviews(200, start=300)[0]
    one: Any = {**CONTRASTIVE, "templates": ["This is {}."]}  # under which the tiny encoder guesses both labels
    guessed = run(TextData(label_names=NAMES), update=one)[0].predict(texts)
    other = {"positive": "negative", "negative": "positive"}
    sure = []
    for wrong in (10, 3):  # every tenth, every third
        labels = [other[guess] if number % wrong == 0 else guess for number, guess in enumerate(guessed)]
        classifier, context = run(TextData(validation=(texts, labels), label_names=NAMES), update=one)
        assert "not calibrated" not in " ".join(context.record.sentences)
        chances = torch.from_numpy(classifier.predict_proba(texts)).log()
        ids = torch.tensor([classifier.labels.index(label) for label in labels])
        counts = torch.bincount(ids)[ids]
        assert corrected_temperature(chances, ids, weights=1 / counts, prior_strength=0.0) == pytest.approx(1, abs=0.1)
        sure.append(chances.exp().max(dim=1).values.mean())
    assert sure[0] > sure[1] + 0.05


def test_auto_judges_by_validation_texts_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MIN_SELECTION_TEXTS", 30)
    texts, labels = small_reviews(30, start=300)
    _, context = run(with_validation((texts, labels)), update={"method": "auto"})
    told = context.record.sentences[1]
    assert re.fullmatch(
        r"On 30 validation texts, contrastive got \S+( with the words \(\S+ without\))?, head got \S+( with the words \(\S+ "
        r"without\))?; (contrastive|head) was taken and trained again on all examples\.",
        told,
    )
    assert context.record.report["update"] in told
    assert context.record.sentences[-1].startswith("The probabilities are corrected on 30 validation texts")


@pytest.mark.parametrize("used", [True, False])
def test_what_auto_holds_out_says_nothing_of_a_training_with_the_pile(
    used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Contrastive(), choice.MethodChoice("contrastive", "why", temperature=2.0, scored=24)
    monkeypatch.setattr(f"{COMPARISON}.compared", lambda *_, **__: found)
    monkeypatch.setattr(choice, "by_rule", lambda _: None)
    monkeypatch.setattr("nlptl.finetuning.selection.pile_time.pile_within", lambda *_: object())

    def with_pile(fitted: Fitted, *_: object) -> Fitted:
        return dataclasses.replace(fitted, used_unlabelled=used)

    monkeypatch.setattr("nlptl.finetuning.self_training.fit.with_pile", with_pile)
    data = TextData(labelled=small_reviews(24), unlabelled=["a text"], label_names=NAMES)
    _, context = run(data, update={"method": "auto"})
    assert ("temperature" in context.record.report) != used


def test_auto_does_not_correct_by_texts_that_have_stopped_the_training(reviews: TextData) -> None:
    vectors = SkipGram(dim=8, epochs=1, min_count=1).run(data=reviews)
    data = TextData(labelled=small_reviews(24), validation=small_reviews(40, start=300))
    given = ClassificationHead().run(SentenceVectors().run(vectors, data=reviews), data=data)
    found = []
    for method in ("auto", "head"):
        context = RunContext(seed=3, device="cpu")
        found.append(FineTune(update={"method": method}).run(given, data=data, context=context))
        assert "temperature" not in context.record.report
    assert torch.equal(found[0].head.last_linear.weight, found[1].head.last_linear.weight)


@pytest.mark.parametrize("count", [1000, 1001, 1002])
def test_auto_takes_validation_texts_that_are_hardly_more_than_it_needs(count: int) -> None:
    assert len(selection_rows([row % 2 for row in range(count)], 2, seed=0)) in (1000, 1001)


def test_processes_take_the_choice_and_the_temperature_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"text {i}" for i in range(100)]
    truth = {text: i % 2 for i, text in enumerate(texts)}
    trial = trial_on_examples(numbered(texts, list(truth.values())), seed=0)
    both: Any = [
        Candidate("contrastive", 1, 0.0, lambda rows: Fixed(truth)),
        Candidate("head", 1, 0.0, lambda rows: Fixed(None)),
    ]
    monkeypatch.setattr(choice, "broadcast", lambda value: 1.0)
    assert by_trial(both, trial, examples=100, seconds=9).method == "head"
    monkeypatch.setattr("nlptl.finetuning.contrastive.pseudo_labels.broadcast", lambda value: 0.0)
    losses = torch.tensor([0.5, 0.6])
    trials = [HeldOutTrial(name, losses, 1.0) for name in WAYS]
    monkeypatch.setattr("nlptl.finetuning.contrastive.pseudo_labels._trials", lambda *_: trials)
    task = SimpleNamespace(examples=numbered(["a", "b", "c", "d"], [0, 0, 1, 1]))
    stand_in: Any = SimpleNamespace(task=task, label_count=2, settings=SimpleNamespace(seed=0))
    assert _gate(stand_in, PseudoLabelling())[0] == "nothing"


@pytest.mark.parametrize("validation", [None, 10])
def test_what_auto_holds_out_corrects_what_it_takes(validation: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MIN_EXAMPLES", 20)
    monkeypatch.setattr(choice, "MIN_EXAMPLES_PER_LABEL", 2)
    data = TextData(labelled=small_reviews(24), label_names=NAMES)
    if validation:
        data = with_validation(small_reviews(validation, start=300))
    found = []
    for temperature in (1.0, 3.0):
        monkeypatch.setattr(
            "nlptl.finetuning.selection.stacking.corrected_temperature", lambda *_, told=temperature: told
        )
        classifier, context = run(data, update={"method": "auto"})
        told = f"The probabilities are corrected on 24 held-out examples (temperature {temperature:.2f})."
        assert context.record.sentences[-1] == told
        chances = classifier.predict_proba(small_reviews(6, start=50)[0])
        found.append(np.log(chances[:, 0] / chances[:, 1]))
    assert found[0] == pytest.approx(3 * found[1], rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"priors": {"negative": 0.5, "positiv": 0.5}},
            "finetune.priors: found the label 'positiv'; expected negative, positive. Did you mean 'positive'? Correct the label.",
        ),
        (
            {"priors": {"negative": 0.5}},
            "finetune.priors: found no share for 'positive'; expected a share for each label, 1 in all. Correct the shares, "
            "or write observed or uniform.",
        ),
        (
            {"priors": {"negative": 0.5, "positive": 0.6}},
            "finetune.priors: found shares that sum to 1.1; expected a share for each label, 1 in all. Correct the shares, "
            "or write observed or uniform.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(labelled: TextData, settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(labelled, **settings)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"update": {"method": "head", "solver": "lda", "label_smoothing": 0.1}},
            "p.yaml: update: label_smoothing: found 0.1 with solver lda, which fits the head exactly; expected this setting only "
            "with solver iterative. Drop it, or set solver: iterative.",
        ),
        (
            {"update": {**CONTRASTIVE, "epochs": 5}},
            "p.yaml: update.epochs is not a setting of contrastive, but of head, partial, full, lora. Known here: method, "
            "top_layers, rank, steps, batch_size, temperature, encoder_learning_rate, layer_decay, label_names, templates, "
            "dropout, augment, pseudo_labels, precision.",
        ),
        (
            {"update": {"method": "auto", "l2": 1.0}},
            "p.yaml: update.l2 is not a setting of auto, but of head, partial, full, lora. Known here: method, minutes, "
            "pseudo_labels, by_sentence, precision.",
        ),
    ],
)
def test_a_setting_of_another_method_is_refused_by_the_type(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(FineTune, settings, where="p.yaml")
    assert str(caught.value) == sentence


def test_priors_of_labels_that_are_numbers() -> None:
    stage = parse(FineTune, {"priors": {0: 0.25, 1: 0.75}}, where="p.yaml")
    assert stage.priors == {"0": 0.25, "1": 0.75}


def test_a_hidden_layer_is_refused_where_the_head_is_fitted_in_one_go(labelled: TextData) -> None:
    for update, name in (
        (CONTRASTIVE, "contrastive"),
        ({"method": "auto"}, "auto"),
        ({"method": "head", "solver": "lda"}, "head with solver lda"),
    ):
        with pytest.raises(ConfigError) as caught:
            FineTune(update=update).run(with_head(labelled, hidden=4), data=labelled)
        assert str(caught.value) == (
            f"finetune.update: {name} needs a linear head, but the classification head has a hidden layer of 4 units. Set "
            "hidden: 0 in classification_head, or choose another update."
        )


def test_auto_over_a_hidden_layer_is_no_matter_where_the_head_alone_learns() -> None:
    data = TextData(labelled=(["a good film", "a bad film"], ["1", "0"]))
    context = RunContext(seed=3, device="cpu")
    found = FineTune(update={"method": "auto"}).run(with_head(data, hidden=4), data=data, context=context)
    assert context.record.report["update"] == "head"
    assert found.head.hidden == 4
    assert found.predict(["a good film", "a bad film"]) == ["1", "0"]


def test_a_template_without_a_place_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(FineTune, {"update": {"method": "contrastive", "templates": ["This is"]}}, where="p.yaml")
    assert "found the template 'This is'; expected {} where the label's name goes. Add it." in str(caught.value)


def test_the_pile_is_tried_on_held_out_examples_and_what_came_of_it_is_told(labelled: TextData) -> None:
    texts, _ = small_reviews(60, start=100)
    data = TextData(labelled=labelled.labelled, unlabelled=[*texts, *small_reviews(3)[0]])
    pile = {"texts": 40, "steps": 6}
    augment = [{"kind": "word_dropout"}]
    classifier, context = run(data, update={**CONTRASTIVE, "pseudo_labels": pile, "augment": augment})
    unseen, _ = run(data, update={**CONTRASTIVE, "pseudo_labels": {**pile, "gate": "always"}, "augment": augment})
    (told,) = [
        sentence for sentence in context.record.sentences if sentence.startswith("The pile is used in training: ")
    ]
    assert "held-out log-loss of the 24 labelled texts in 2 parts" in told  # a quarter of an error worse with the pile
    assert context.record.report["pile"]["used"] == "student"
    np.testing.assert_array_equal(classifier.predict_proba(texts), unseen.predict_proba(texts))
    assert context.record.report["augmentation"]["texts"] > 0
    assert "With the head on frozen vectors: Augmentation" in " ".join(context.record.sentences)


def test_the_pile_is_used_unseen_where_the_settings_say_so(labelled: TextData) -> None:
    data = TextData(labelled=labelled.labelled, unlabelled=small_reviews(60, start=100)[0])
    pile = {"texts": 40, "steps": 6, "gate": "always"}
    classifier, context = run(data, update={**CONTRASTIVE, "pseudo_labels": pile})
    assert context.record.report["pile"]["used"] == "student"
    assert set(classifier.predict(small_reviews(20, start=400)[0])) == {"negative", "positive"}


def test_the_gate_learns_nothing_from_the_checkpoints_of_the_training_on_all_examples(
    labelled: TextData, tmp_path: Path
) -> None:
    data = TextData(labelled=labelled.labelled, unlabelled=small_reviews(60, start=100)[0])
    stage = FineTune(update={**CONTRASTIVE, "pseudo_labels": {"texts": 40, "steps": 6}})
    told, plans = [], []
    for keep in (None, tmp_path, tmp_path):  # the third takes up what the second left
        context = RunContext(seed=3, device="cpu", checkpoint_folder=keep, run_identity="one")
        stage.run(with_head(data), data=data, context=context)
        told.append(context.record.sentences)
        plans.append(context.record.report["plan"])
    assert told[1:] == told[:1] * 2
    _, alone = run(TextData(labelled=data.labelled), update=CONTRASTIVE)
    assert plans == [alone.record.report["plan"]] * 3  # the plan that is told is not that of a trial


def test_a_pile_of_labelled_texts_alone_is_told_to_be_left_out(labelled: TextData) -> None:
    data = TextData(labelled=labelled.labelled, unlabelled=small_reviews(24)[0])
    _, context = run(data, update={**CONTRASTIVE, "pseudo_labels": {"gate": "always"}})
    assert context.record.report["pile"] == {"used": "nothing"}
    assert context.record.sentences[-1] == (
        "The pile is left out: data.unlabelled holds no text beside the labelled ones."
    )


def test_a_pile_that_is_not_there_is_asked_for(labelled: TextData) -> None:
    with pytest.raises(ConfigError) as caught:
        run(labelled, update={**CONTRASTIVE, "pseudo_labels": {}})
    assert str(caught.value) == (
        "finetune.update.pseudo_labels: found settings for the pile but no data.unlabelled; expected unlabelled texts. Add "
        "data.unlabelled, or set pseudo_labels: null."
    )


def test_auto_learns_from_the_pile_unless_told_not_to(reviews: TextData) -> None:
    updates = ({"method": "auto"}, {"method": "auto", "pseudo_labels": "never"}, CONTRASTIVE)
    stages = [FineTune(update=update) for update in updates]
    assert [stage.update.reads_unlabelled for stage in stages] == [True, False, False]
    # Every method shows the pile to the classifier as texts of known kinds.
    assert all("unlabelled" in stage.reads(reviews) for stage in stages)


def test_auto_lets_the_words_join_where_examples_can_tell_them_apart() -> None:
    data = TextData(labelled=small_reviews(100))
    context = RunContext(seed=0, device="cpu")
    classifier = FineTune(update={"method": "auto", "pseudo_labels": "never"}).run(
        with_head(data), data=data, context=context
    )
    told = context.record.sentences[1]
    assert told.startswith("On 100 of the 100 examples, held out in two halves, contrastive got ")
    assert " with the words (" in told  # single words decide what small_reviews says
    assert context.record.report["words"]["weight"] > 0
    assert classifier.head.dim == classifier.encoder.own_dim + 2
    texts, labels = small_reviews(40, start=400)
    assert np.mean([found == label for found, label in zip(classifier.predict(texts), labels, strict=True)]) > 0.9


def test_sentences_with_names_cost_what_their_training_shows(labelled: TextData) -> None:
    tokens = [
        run(labelled, update={"method": "contrastive", "label_names": names})[1].record.report["plan"]["tokens"]
        for names in ("never", "always")
    ]
    a_name = texts_per_name(LabelledExamples.of(labelled, labelled.label_set.names))
    trained = [
        choice.passes_of("contrastive", 24, 2, names=names) - 1 for names in (0.0, a_name)
    ]  # but for the frozen pass
    assert trained[1] / trained[0] == pytest.approx(tokens[1] / tokens[0], rel=0.1)
    with_a_pile = [texts_to_pass(600, 24, 2, PseudoLabelling(), names=names) for names in (0.0, a_name)]
    assert 1 < with_a_pile[1] / with_a_pile[0] < trained[1] / trained[0]  # reading the pile costs the same


def test_all_processes_reckon_with_the_speed_of_process_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlptl.finetuning.selection.encoding_speed.broadcast", lambda value: 0.5)
    given: Any = SimpleNamespace(encoder=SimpleNamespace(encode=lambda texts: None))
    assert EncodingSpeed(given, ["a text", "another text"]).seconds_for(["four", "more"]) == 4


def test_the_speed_is_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[int] = []
    given: Any = SimpleNamespace(encoder=SimpleNamespace(encode=lambda texts: encoded.append(len(texts))))
    found = EncodingSpeed(given, [f"text {i}" for i in range(200)])
    assert encoded == []
    assert found.seconds_for(["a"]) < found.seconds_for(["a" * 1000])
    assert encoded == [4, 64]


def test_a_resumed_fine_tuning_reckons_with_the_speed_that_was_measured_first(tmp_path: Path) -> None:
    context = RunContext(checkpoint_folder=tmp_path, run_identity="this one")
    encoded: list[int] = []
    given: Any = SimpleNamespace(encoder=SimpleNamespace(encode=lambda texts: encoded.append(len(texts))))
    first = EncodingSpeed(given, ["a text"] * 80, context.checkpoints("speed")).seconds_for(["some text"])
    assert encoded == [4, 64]
    assert EncodingSpeed(given, ["a text"] * 80, context.checkpoints("speed")).seconds_for(["some text"]) == first
    assert encoded == [4, 64]
    other = dataclasses.replace(context, run_identity="another one")
    EncodingSpeed(given, ["a text"] * 80, other.checkpoints("speed")).seconds_for(["some text"])
    assert encoded == [4, 64, 4, 64]
