"""Saved folders in other tools: the same vectors, or a note that says why not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nlptl.data import TextData
from nlptl.finetuning.gradient.lora_adapters import LoraAdapters, add_adapters
from nlptl.models.bottlenecks import bottlenecks
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import set_prompt
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling, PoolingMode
from nlptl.models.pretrained import quiet
from nlptl.models.projection import LinearMap, Projection
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.test_weights import loaded
from tests.models.test_word_vectors import encoder as word_encoder
from tests.models.tiny import DIM, MODEL_TYPES, POSITIONS, TEXTS, tiny_encoder

LONG = "the story was great and the film is lovely and dull and bad. " * 9
OPENED = "sentence-transformers gives the same vectors: SentenceTransformer(folder).\n"
REFUSED = "No other tool gives the vectors of this folder, because {why}. Load it with nlptl: Encoder.load(folder).\n"


def content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def projected(encoder: Encoder, *, normalized: bool = True) -> Encoder:
    """Return the encoder with two linear maps after the pooling, of whose result 5 numbers are kept."""
    generator = torch.Generator().manual_seed(2)
    first = LinearMap(torch.randn(9, DIM, generator=generator), torch.randn(9, generator=generator), "tanh")
    second = LinearMap(torch.randn(7, 9, generator=generator), None, "identity")
    projection = Projection([first, second])
    parts = (encoder.tokenizer, encoder.token_model, encoder.pooling)
    return Encoder(*parts, normalized=normalized, projection=projection, kept_dim=5).eval()


# What is written


@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
@pytest.mark.parametrize("normalized", [True, False])
def test_modules_say_what_the_encoder_does(mode: PoolingMode, normalized: bool, tmp_path: Path) -> None:
    encoder = tiny_encoder("bert", pooling=mode)
    encoder.normalized = normalized
    set_prompt(encoder, "the good ")
    encoder.save(tmp_path / "saved")
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalized else [])]
    paths = ["", "1_Pooling", "2_Normalize"]
    assert content(tmp_path / "saved" / "modules.json") == [
        {"idx": place, "name": str(place), "path": paths[place], "type": f"sentence_transformers.models.{kind}"}
        for place, kind in enumerate(kinds)
    ]
    assert content(tmp_path / "saved" / "1_Pooling" / "config.json") == {
        "word_embedding_dimension": DIM, "pooling_mode_cls_token": mode == "cls",
        "pooling_mode_mean_tokens": mode == "mean", "pooling_mode_max_tokens": mode == "max", "include_prompt": True,
    }  # fmt: skip
    assert content(tmp_path / "saved" / "config_sentence_transformers.json") == {
        "default_prompt_name": "default", "prompts": {"default": "the good "}, "similarity_fn_name": "cosine",
    }  # fmt: skip
    assert content(tmp_path / "saved" / "sentence_bert_config.json") == {
        "max_seq_length": POSITIONS, "do_lower_case": False, "model_args": {"add_pooling_layer": False},
    }  # fmt: skip
    assert (tmp_path / "saved" / "other-tools.txt").read_text("utf-8") == OPENED


@pytest.mark.parametrize("skipped", [True, False])
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_what_is_written_is_what_is_read(model_type: str, skipped: bool, tmp_path: Path) -> None:
    encoder = projected(tiny_encoder(model_type, pooling="max"))
    set_prompt(encoder, "the good ", pooled=not skipped)
    encoder.tokenizer.enable_truncation(POSITIONS, direction="left")
    encoder.save(tmp_path / "saved")
    folder = tmp_path / "saved"
    dense = [folder / f"{place}_Dense" for place in (2, 3, 5)]
    assert torch.equal(load_file(dense[2] / "model.safetensors")["linear.weight"], torch.eye(7)[:5])
    assert [content(one / "config.json")["out_features"] for one in dense] == [9, 7, 5]
    (folder / "encoder.json").unlink()  # now it is a folder of others
    modules = content(folder / "modules.json")
    (folder / "modules.json").write_text(json.dumps(modules[:-1]), encoding="utf-8")  # vectors are cut after scaling
    again = loaded(folder)
    texts = [*TEXTS, LONG]
    np.testing.assert_allclose(again.encode(texts)[:, :5], encoder.encode(texts), atol=2e-5)
    assert (again.normalized, again.pooling.mode, again.token_model.rule) == (True, "max", encoder.token_model.rule)


def test_a_folder_of_before_loads_without_modules(tmp_path: Path) -> None:
    encoder = tiny_encoder("bert")
    (tmp_path / "old").mkdir()
    encoder.write_parts(tmp_path / "old")
    for name in ("modules.json", "other-tools.txt", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (tmp_path / "old" / name).unlink()
    np.testing.assert_array_equal(Encoder.read_files(tmp_path / "old").encode(TEXTS), encoder.encode(TEXTS))


# Where no other tool gives the vectors


def by_sentence(encoder: Encoder) -> Encoder:
    return SentenceVectors(pooling="mean", by_sentence=True).run(encoder, data=TextData())


def of_layer(layer: int | str) -> Callable[[Encoder], Encoder]:
    return lambda encoder: SentenceVectors(layer=layer).run(encoder, data=TextData())  # type: ignore[arg-type]


def with_adapter(encoder: Encoder) -> Encoder:
    add_adapters(encoder.transformer, LoraAdapters(2, 4, 0.0, ("query",), "lora", merge=False), [0], seed=1)
    return encoder


def with_bottlenecks(encoder: Encoder) -> Encoder:
    encoder.transformer.bottlenecks = bottlenecks(DIM, 4, range(1, 3))
    return encoder


def without_padding(encoder: Encoder) -> Encoder:
    encoder.transformer.special_tokens.pop("pad_token")
    return encoder


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (by_sentence, "texts are read sentence by sentence"),
        (of_layer(1), "it reads the layer 1 of 3"),
        (of_layer("mean"), "it reads the layer mean of 3"),
        (
            lambda encoder: encoder.with_parts(pooling=Pooling("attention", query=torch.ones(DIM))),
            "its pooling is attention",
        ),
        (
            lambda encoder: encoder.with_parts(pooling=Pooling("sif", token_weights=torch.ones(99))),
            "its pooling is sif",
        ),
        (with_adapter, "its adapter is not merged"),
        (with_bottlenecks, "it has bottleneck adapters"),
        (without_padding, "its tokenizer has no padding"),
        (lambda _: word_encoder(), "it holds word vectors, read with a vocabulary of whole words"),
    ],
)
def test_the_note_says_why_not(change: Callable[[Encoder], Encoder], why: str, tmp_path: Path) -> None:
    change(tiny_encoder("bert")).eval().save(tmp_path / "saved")
    adapter = (
        "The folder `adapter` holds a LoRA adapter over the encoder of this folder; with PEFT: "
        "PeftModel.from_pretrained(AutoModel.from_pretrained(folder), folder + '/adapter').\n"
    )
    expected = REFUSED.format(why=why) + (adapter if "adapter is" in why else "")
    assert (tmp_path / "saved" / "other-tools.txt").read_text("utf-8") == expected
    assert not (tmp_path / "saved" / "modules.json").exists()


def test_the_note_of_an_adapter_can_be_followed(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModel

    encoder = with_adapter(tiny_encoder("bert")).eval()
    with torch.no_grad():
        for name, parameter in encoder.token_model.named_parameters():
            if ".lora_B" in name:
                parameter.fill_(0.1)
    encoder.save(tmp_path / "saved")
    folder = str(tmp_path / "saved")
    with quiet():
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(folder), folder + "/adapter").eval()
    ids = torch.tensor(encoder.token_ids(TEXTS[:1]))
    with torch.no_grad():
        vectors = model(input_ids=ids).last_hidden_state.mean(dim=1).numpy()
    np.testing.assert_allclose(vectors, encoder.encode(TEXTS[:1]), atol=2e-5)


@pytest.mark.parametrize("carried", [["BertForMaskedLM"], None])
def test_the_class_of_what_is_saved_is_named(carried: list[str] | None, tmp_path: Path) -> None:
    """A head of the weights is not among what is saved."""
    encoder = tiny_encoder("bert")
    encoder.transformer.model.config.architectures = carried
    encoder.save(tmp_path / "saved")
    assert content(tmp_path / "saved" / "config.json")["architectures"] == ["BertModel"]
    assert encoder.transformer.model.config.architectures == carried


def test_the_folder_of_a_classifier_names_its_labels_and_who_reads_its_head(tmp_path: Path) -> None:
    from transformers import AutoConfig

    encoder = tiny_encoder("bert")
    encoder.transformer.model.config.id2label = {0: "negative", 1: "neutral", 2: "positive"}
    TextClassifier(encoder, Head(DIM, 2), ["good", "悪い"]).eval().save(tmp_path / "saved")
    config = AutoConfig.from_pretrained(tmp_path / "saved")
    assert (config.id2label, config.label2id, config.num_labels) == (
        {0: "good", 1: "悪い"},
        {"good": 0, "悪い": 1},
        2,
    )
    assert TextClassifier.load(tmp_path / "saved").labels == ("good", "悪い")
    assert (tmp_path / "saved" / "other-tools.txt").read_text("utf-8") == OPENED + (
        "The head is read by nlptl alone: TextClassifier.load(folder). transformers.pipeline('text-classification') would draw "
        "another head at random.\n"
    )


# Judged by sentence-transformers, where it is installed


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="the judge is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_sentence_transformers_opens_saved_folders(
    model_type: str, mode: PoolingMode, normalized: bool, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = tiny_encoder(model_type, pooling=mode)
    encoder.normalized = normalized
    encoder = projected(encoder, normalized=normalized) if mode == "max" else encoder
    if mode != "mean":
        set_prompt(encoder, "the good ", pooled=mode == "cls")
        encoder.tokenizer.enable_truncation(POSITIONS, direction="left")
    encoder.save(tmp_path / "saved")
    texts = [text for text in TEXTS if text] + [LONG]
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True).encode(texts)
    np.testing.assert_allclose(encoder.encode(texts), theirs, atol=5e-5)
