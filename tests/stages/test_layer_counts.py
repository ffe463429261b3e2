"""Layers that the encoder does not have: refused by the first check that knows how many there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nlptl.config import parse
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.faults import shown
from nlptl.models.weights import layers_of
from nlptl.runs.pipeline import Pipeline
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.tiny import MODEL_TYPES, tiny_encoder, tiny_folder


def chain(weights: Path, *stages: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"labelled": "train.csv"}, "stages": [{"stage": "bert", "weights": str(weights)}, *stages]}


def refusal(raw: object) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(Pipeline, raw, where="p.yaml")
    (told,) = caught.value.faults
    return told


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_layers_of_a_folder_are_known(model_type: str, tmp_path: Path) -> None:
    assert layers_of(str(tiny_folder(tmp_path / "weights", model_type))) == 3


def test_the_layers_of_other_weights_are_not(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{broken", encoding="utf-8")
    assert [layers_of(name) for name in (str(tmp_path), "google-bert/bert-base-uncased", "", "~nobody/x", None)] == [
        None
    ] * 5


def test_what_nlptl_saved_may_use_fewer_layers_than_it_has(tmp_path: Path) -> None:
    encoder = SentenceVectors(layer=2).run(tiny_encoder("bert"), data=TextData(unlabelled=["a text"]))
    encoder.save(tmp_path / "saved")
    assert layers_of(str(tmp_path / "saved")) == 2


@pytest.mark.parametrize("method", ["partial", "lora", "contrastive"])
def test_more_top_layers_than_there_are(method: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    finetune = {"stage": "finetune", "update": {"method": method, "top_layers": 99}}
    assert refusal(chain(folder, {"stage": "classification_head"}, finetune)) == (
        "p.yaml: stages.2.update.top_layers: found 99; expected at most 3, since the encoder has 3 layers. Lower it."
    )
    lower = {"stage": "sentence_vectors", "layer": 2}
    finetune = {"stage": "finetune", "update": {"method": method, "top_layers": 3}}
    assert refusal(chain(folder, lower, {"stage": "classification_head"}, finetune)) == (
        "p.yaml: stages.3.update.top_layers: found 3; expected at most 2, since the encoder has 2 layers. Lower it."
    )


def test_more_top_layers_than_a_fresh_encoder_gets() -> None:
    bert = {"stage": "bert", "scratch": {"layers": 4}}
    finetune = {"stage": "finetune", "update": {"method": "partial", "top_layers": 5}}
    raw = {
        "data": {"labelled": "train.csv", "unlabelled": "pile.txt"},
        "stages": [bert, {"stage": "classification_head"}, finetune],
    }
    assert "top_layers: found 5; expected at most 4" in refusal(raw)


@pytest.mark.parametrize("method", ["adversarial", "adapters"])
def test_more_top_layers_of_a_domain_adaptation(method: str, tmp_path: Path) -> None:
    adapt = {"stage": "domain_adaptation", "adapt": {"method": method, "top_layers": 4}}
    raw = chain(tiny_folder(tmp_path / "weights", "bert"), {"stage": "classification_head"}, adapt)
    raw["data"] |= {"source": "source.csv", "unlabelled": "pile.txt"}
    assert refusal(raw) == (
        "p.yaml: stages.2.adapt.top_layers: found 4; expected at most 3, since the encoder has 3 layers. Lower it."
    )


@pytest.mark.parametrize("layer", [4, 99, -5])
def test_a_layer_of_sentence_vectors_that_there_is_not(layer: int, tmp_path: Path) -> None:
    raw = chain(tiny_folder(tmp_path / "weights", "bert"), {"stage": "sentence_vectors", "layer": layer})
    assert refusal(raw) == (
        f"p.yaml: stages.1.layer: found {layer}; expected mean, last or a number from -4 to 3, since this encoder has 3 layers. "
        "Choose one of them."
    )


def test_the_default_of_two_layers_is_taken_over_one(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert", num_hidden_layers=1)
    finetune = {"stage": "finetune", "update": {"method": "partial"}}
    parse(Pipeline, chain(folder, {"stage": "classification_head"}, finetune), where="p.yaml")


@pytest.mark.parametrize("layers", [-1, 10**9, True, "3"])
def test_an_absurd_number_of_layers_is_told(layers: object, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers}))
    assert layers_of(str(folder)) is None
    pipeline = parse(Pipeline, chain(folder, {"stage": "sentence_vectors", "layer": 1}), where="p.yaml")
    with pytest.raises(ConfigError) as caught:
        pipeline.stages[0].check(where="p.yaml: stages.0")
    assert str(caught.value) == (
        f"p.yaml: stages.0.weights: {folder}: config.json: num_hidden_layers is {shown(layers)}, but must be a whole number from "
        "0 to 512. Get the weights again, or choose others."
    )
