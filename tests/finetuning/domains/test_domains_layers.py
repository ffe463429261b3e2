"""Methods over the top layers: what moves, what stays, and that what is saved predicts the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptl.context import RunContext
from nlptl.errors import ConfigError
from nlptl.finetuning.domains.adapt_settings import Adversarial, BottleneckAdapters, LayerMethod
from nlptl.finetuning.domains.adversarial import DomainClassifier
from nlptl.finetuning.domains.bottleneck_adapters import Discrepancy
from nlptl.finetuning.domains.moving_layers import MovingLayers, _plan
from nlptl.finetuning.domains.task import Domains, DomainTask
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling
from tests.conftest import small_reviews
from tests.finetuning.domains.tasks import TRAINING, given
from tests.models.tiny import DIM, tiny_encoder

METHODS = {"adversarial": Adversarial(strength=0.5), "adapters": BottleneckAdapters(width=4, weight=1.0)}


def layer_settings(name: str, **changes: Any) -> LayerMethod:
    return METHODS[name].model_copy(update={"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, **changes})


def moving_layers(classifier: TextClassifier, texts: list[str], settings: LayerMethod) -> MovingLayers:
    vectors = torch.from_numpy(classifier.encoder.encode(texts))
    return MovingLayers(
        classifier, texts, vectors, TRAINING, settings, precision="float32", where="domain_adaptation",
        context=RunContext(device="cpu"),
    )  # fmt: skip


def method(name: str, **changes: Any) -> tuple[MovingLayers, Domains, TextClassifier]:
    texts, labels = small_reviews(24)
    domains = Domains(texts, torch.tensor([int(label == "positive") for label in labels[:14]]), 14)
    classifier = given()
    return moving_layers(classifier, texts, layer_settings(name, **changes)), domains, classifier


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("top_layers", [1, 2, None])
def test_saved_predictions_are_those_of_the_fit(name: str, top_layers: int | None, tmp_path: Path) -> None:
    made, domains, classifier = method(name, top_layers=top_layers)
    before = {key: tensor.clone() for key, tensor in classifier.state_dict().items()}
    fitted = made.fit(domains.task(domains.examples), seed=3)
    assert all(torch.equal(tensor, classifier.state_dict()[key]) for key, tensor in before.items())
    expected = fitted.classifier.predict_proba(domains.texts)
    rows = torch.arange(len(domains.texts))
    np.testing.assert_allclose(fitted.probabilities(rows), expected, atol=1e-5)
    fitted.classifier.save(tmp_path / "saved")
    np.testing.assert_array_equal(TextClassifier.load(tmp_path / "saved").predict_proba(domains.texts), expected)
    again = made.fit(domains.task(domains.examples), seed=3)
    np.testing.assert_array_equal(again.classifier.predict_proba(domains.texts), expected)


def test_the_right_parts_move() -> None:
    made, domains, classifier = method("adversarial", top_layers=1)
    old = classifier.encoder.transformer.model.state_dict()
    new = made.fit(domains.task(domains.examples), seed=0).classifier.encoder.transformer.model.state_dict()
    moved = {name.split(".layer.")[1].split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert moved == {"2"}

    made, domains, classifier = method("adapters", top_layers=2)
    fitted = made.fit(domains.task(domains.examples), seed=0)
    new_model = fitted.classifier.encoder.transformer
    assert all(torch.equal(old[name], tensor) for name, tensor in new_model.model.state_dict().items())
    assert list(new_model.bottlenecks) == ["2", "3"]
    assert all(parameter.any() for name, parameter in new_model.bottlenecks.named_parameters() if "up_weight" in name)
    head = sum(parameter.numel() for parameter in fitted.classifier.head.parameters())
    assert fitted.trainable == head + sum(parameter.numel() for parameter in new_model.bottlenecks.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_the_query_of_attention_pooling_counts_as_trained(name: str) -> None:
    texts, labels = small_reviews(24)
    domains = Domains(texts, torch.tensor([int(label == "positive") for label in labels[:14]]), 14)
    plain = tiny_encoder("bert")
    encoder = Encoder(plain.tokenizer, plain.token_model, Pooling("attention", query=torch.zeros(DIM))).eval()
    classifier = TextClassifier(encoder, Head(DIM, 2), ["no", "yes"]).eval()
    made = moving_layers(classifier, texts, layer_settings(name, top_layers=1))
    fitted = made.fit(domains.task(domains.examples), seed=0)
    before = dict(classifier.named_parameters())
    moved = {
        key: parameter.numel()
        for key, parameter in fitted.classifier.named_parameters()
        if key not in before or not torch.equal(parameter, before[key])
    }
    assert moved["encoder.pooling.query"] == DIM
    assert fitted.trainable == sum(moved.values())


def test_a_step_has_as_many_texts_of_either_domain() -> None:
    task = DomainTask(torch.arange(10, 20), torch.arange(10) % 2, torch.arange(10, 16), torch.arange(20, 23))
    plan = _plan(task, layer_settings("adapters", epochs=3), 0)
    assert [len(epoch) for epoch in plan] == [3, 3, 3]
    assert [sorted(row for step in epoch for row in step.rows.tolist()) for epoch in plan] == [list(range(10, 20))] * 3
    steps = [step for epoch in plan for step in epoch]
    assert all(len(step.there) == 4 and (step.there >= 20).all() for step in steps)
    assert all(step.here.tolist() == [row < 16 for row in step.rows.tolist()] for step in steps)
    assert all(step.labels.tolist() == [(row - 10) % 2 for row in step.rows.tolist()] for step in steps)
    progress = [step.progress for step in steps]
    assert (progress[0], progress[-1]) == (0.0, 1.0)
    assert progress == sorted(progress)


def test_the_discrepancy_pulls_domains_together() -> None:
    generator = torch.Generator().manual_seed(0)
    here, there = torch.randn(16, 4, generator=generator), torch.randn(16, 4, generator=generator) + 2
    here.requires_grad_(True)
    discrepancy = Discrepancy(weight=2.0)
    loss = discrepancy(here, there, 0.0)
    loss.backward()
    closer = here.detach() - 5.0 * here.grad
    assert float(discrepancy(closer, there, 0.0)) < float(loss.detach())
    assert float(Discrepancy(weight=1.0)(closer, there, 0.0)) == pytest.approx(
        float(discrepancy(closer, there, 0.0)) / 2
    )


@pytest.mark.parametrize(("name", "force"), [("adversarial", "strength"), ("adapters", "weight")])
def test_a_loss_that_breaks_down_is_told(name: str, force: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made, domains, _ = method(name)
    monkeypatch.setattr(DomainClassifier, "forward", lambda *_: torch.tensor(math.nan))
    monkeypatch.setattr(Discrepancy, "forward", lambda *_: torch.tensor(math.nan))
    with pytest.raises(ConfigError) as caught:
        made.fit(domains.task(domains.examples), seed=0)
    assert str(caught.value) == (
        f"domain_adaptation: {name}: the loss was nan at step 1 with a learning rate of 0.001; expected finite numbers. Lower "
        f"learning_rate or {force}."
    )


def test_weights_that_break_down_in_the_last_step_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made, domains, _ = method("adapters", epochs=1, batch_size=64)

    def loss(self: Discrepancy, here: torch.Tensor, there: torch.Tensor, progress: float) -> torch.Tensor:
        return (here.sum() * 0).sqrt()  # 0, whose slope is infinite

    monkeypatch.setattr(Discrepancy, "forward", loss)
    with pytest.raises(ConfigError, match="the weights were not finite after step 1 with a learning rate"):
        made.fit(domains.task(domains.examples), seed=0)
