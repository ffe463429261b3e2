"""Settings of sentence-transformers beside weights: honoured as it honours them, or refused by `check` with file and key."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ArtifactError, ConfigError
from nlptl.evaluation.missed_text import cut_texts
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.models.packing import Batch
from nlptl.models.sentence_settings import sentence_settings
from nlptl.stages.bert import Bert
from nlptl.stages.sentence_vectors import SentenceVectors
from tests.models.test_weights import change, loaded, plain_vectors, sentence_transformers
from tests.models.tiny import DIM, POSITIONS, TEXTS, tiny_folder, tiny_tokenizer

LONG = "the story was great and the film is lovely and dull and bad. " * 6
MODULE = "sentence_transformers.models"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of tiny BERT weights with modules: mean pooling, without scaling."""
    path = tiny_folder(tmp_path / "weights", "bert")
    sentence_transformers(path, "mean", normalize=False)
    return path


def modules(folder: Path, *kinds: str) -> None:
    """Write modules.json with these kinds of modules, each in a folder of its own but the first."""
    listed = [
        {"idx": place, "name": str(place), "path": f"{place}_{kind}" if place else "", "type": f"{MODULE}.{kind}"}
        for place, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed), encoding="utf-8")


def dense(
    folder: Path, *, outputs: int = 6, inputs: int = DIM, bias: bool = True, **settings: Any
) -> dict[str, torch.Tensor]:
    """Write a Dense module and return its tensors."""
    generator = torch.Generator().manual_seed(outputs)
    tensors = {"linear.weight": torch.randn(outputs, inputs, generator=generator)}
    if bias:
        tensors["linear.bias"] = torch.randn(outputs, generator=generator)
    change(folder / "config.json", in_features=inputs, out_features=outputs, bias=bias, **settings)
    save_file(tensors, folder / "model.safetensors")
    return tensors


def refused(folder: Path) -> str:
    """Return the sentence with which `check` refuses weights, without the place and the folder's name."""
    with pytest.raises(ConfigError) as told:
        Bert(weights=str(folder)).check(where="stages.0")
    return str(told.value).removeprefix(f"stages.0.weights: {folder}/")


def with_prompt(prompt: str, texts: list[str]) -> list[str]:
    return [prompt + text for text in texts]


# Prompts


@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
def test_the_default_prompt_stands_before_every_text(mode: str, folder: Path) -> None:
    sentence_transformers(folder, mode, normalize=True)
    change(folder / "config_sentence_transformers.json", prompts={"query": "the good ", "passage": ""},
           default_prompt_name="query")  # fmt: skip
    encoder = loaded(folder)
    expected = plain_vectors(folder, with_prompt("the good ", TEXTS), mode, True, 20)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=2e-5)
    assert encoder.token_ids(["film"]) == tiny_tokenizer("bert")(["the good film"])["input_ids"]


@pytest.mark.parametrize(
    "settings",
    [
        {"prompts": {"query": "the good "}},
        {"prompts": {"query": "the good "}, "default_prompt_name": None},
        {"prompts": {"query": "the good ", "none": ""}, "default_prompt_name": "none"},
        {"prompts": {"query": None, "document": None}, "default_prompt_name": "document"},
        {"prompts": None, "similarity_fn_name": "cosine", "__version__": {"pytorch": "2"}},
    ],
)
def test_without_a_default_no_prompt_is_taken(settings: dict[str, Any], folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    change(folder / "config_sentence_transformers.json", **settings)
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)


def test_a_prompt_may_be_left_out_of_the_pooling(folder: Path) -> None:
    change(folder / "1_Pooling" / "config.json", include_prompt=False)
    change(folder / "config_sentence_transformers.json", prompts={"q": "the good "}, default_prompt_name="q")
    encoder = loaded(folder)
    ids = encoder.token_ids(["a dull film"])[0]
    batch = Batch(torch.tensor(ids), torch.tensor([len(ids)]))
    with torch.no_grad():
        token_vectors = encoder.token_model(batch)
    assert encoder.token_model.rule.skipped == 3  # [CLS] the good
    np.testing.assert_allclose(encoder.encode(["a dull film"])[0], token_vectors[3:].mean(dim=0).numpy(), atol=1e-5)


def test_a_pooling_without_prompt_goes_segment_by_segment() -> None:
    ids = torch.arange(9)
    batch = Batch(ids, torch.tensor([5, 4]), torch.tensor([3, 2, 4]))
    left, kept = batch.without_first(2)
    assert kept.nonzero()[:, 0].tolist() == [2, 3, 4, 7, 8]  # the second segment has nothing else
    assert (left.input_ids.tolist(), left.lengths.tolist()) == ([2, 3, 4, 7, 8], [3, 2])
    assert left.segments is not None
    assert left.segments.tolist() == [1, 2, 2]
    whole, _ = Batch(ids, torch.tensor([5, 0, 4])).without_first(1)
    assert (whole.lengths.tolist(), whole.segments) == ([4, 0, 3], None)


def test_the_setting_prompt_is_stored_and_shown(folder: Path, tmp_path: Path) -> None:
    change(folder / "config_sentence_transformers.json", prompts={"q": "the bad "}, default_prompt_name="q")
    data, context = TextData(labelled=(["good", "bad"], ["a", "b"])), RunContext()
    encoder = Bert(weights=str(folder), prompt="the good ").run(data=data, context=context)
    assert "Prompt: 'the good ' stands before every text." in context.record.sentences
    assert context.record.warnings == []
    Bert(weights=str(folder)).run(data=data, context=context)
    assert context.record.warnings == ["Prompt: 'the bad ' stands before every text."]
    np.testing.assert_allclose(
        encoder.encode(TEXTS), plain_vectors(folder, with_prompt("the good ", TEXTS), "mean", longest=20), atol=2e-5
    )
    represented = SentenceVectors(pooling="cls", by_sentence=True).run(encoder, data=data)
    for number, made in enumerate((encoder, represented)):
        made.save(tmp_path / f"{number}")
        again = Encoder.load(tmp_path / f"{number}")
        assert again.token_model.rule == made.token_model.rule
        np.testing.assert_array_equal(again.encode(TEXTS), made.encode(TEXTS))
    assert Bert(weights=str(tmp_path / "0"), prompt="").run(data=data).token_model.rule.prompt == ""
    assert Bert(weights=str(tmp_path / "0")).run(data=data).token_model.rule.prompt == "the good "


def test_an_empty_prompt_is_none(folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    change(folder / "config_sentence_transformers.json", prompts={"q": "the bad "}, default_prompt_name="q")
    np.testing.assert_array_equal(pretrained_encoder(folder, prompt="").encode(TEXTS), before)


def test_prompts_of_which_none_is_the_default_are_told(folder: Path) -> None:
    change(folder / "config_sentence_transformers.json", prompts={"query": "q: ", "passage": "p: "})
    context = RunContext()
    Bert(weights=str(folder)).run(data=TextData(labelled=(["good"], ["a"])), context=context)
    assert (
        "The weights name the prompts 'query', 'passage', none of them by default; `prompt:` of bert sets one."
        in context.record.warnings
    )


def test_each_sentence_gets_the_prompt(folder: Path) -> None:
    encoder = pretrained_encoder(folder, max_length=POSITIONS, prompt="the good ")
    given = SentenceVectors(pooling="mean", by_sentence=True).run(encoder, data=TextData())
    text = ["the story was great and lovely.", "a dull film and quite a bad ending."]
    expected = encoder.encode(text).mean(axis=0)
    np.testing.assert_allclose(given.encode([" ".join(text)])[0], expected, atol=1e-5)


def test_the_prompt_counts_where_texts_are_cut(folder: Path) -> None:
    data = TextData(labelled=(["the film is good and bad and dull", "good"], ["a", "b"]))
    plain, prompted = (pretrained_encoder(folder, max_length=10, prompt=prompt) for prompt in ("", "the good "))
    assert [counts.cut for encoder in (plain, prompted) for counts in cut_texts(encoder, data)] == [0, 1]


def test_a_prompt_that_leaves_no_room_is_told(folder: Path) -> None:
    with pytest.raises(ConfigError) as told:
        pretrained_encoder(folder, max_length=5, prompt="the good film ")
    assert str(told.value) == (
        "prompt: found 5 tokens with the special ones; expected fewer than the 5 that the encoder reads of a text. Shorten the "
        "prompt, or raise max_length."
    )


# Dense modules and kept numbers


@pytest.mark.parametrize("normalize", [True, False])
def test_dense_modules_are_applied(normalize: bool, folder: Path, tmp_path: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense", "Dense", *(["Normalize"] if normalize else []))
    first = dense(folder / "2_Dense")
    second = dense(
        folder / "3_Dense", outputs=4, inputs=6, bias=False, activation_function="torch.nn.modules.linear.Identity"
    )
    change(folder / "config_sentence_transformers.json", truncate_dim=3)
    expected = torch.from_numpy(plain_vectors(folder, TEXTS, "mean", longest=20))
    expected = torch.tanh(expected @ first["linear.weight"].T + first["linear.bias"]) @ second["linear.weight"].T
    expected = (torch.nn.functional.normalize(expected, dim=1) if normalize else expected)[:, :3]
    encoder = loaded(folder)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected.numpy(), atol=2e-5)
    assert encoder.dim == 3
    encoder.save(tmp_path / "saved")
    np.testing.assert_array_equal(Encoder.load(tmp_path / "saved").encode(TEXTS), encoder.encode(TEXTS))


def test_vectors_keep_their_first_numbers(folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    change(folder / "config_sentence_transformers.json", truncate_dim=8)
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before[:, :8])
    change(folder / "config_sentence_transformers.json", truncate_dim=10_000)
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)


def test_a_dense_module_that_does_not_take_what_comes_before(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense", "Dense")
    dense(folder / "2_Dense", inputs=DIM - 1)
    dense(folder / "3_Dense", inputs=7)
    assert refused(folder) == (
        f"2_Dense/config.json: in_features: found {DIM - 1}; expected {DIM}, the width of what comes before. Choose other weights."
    )
    dense(folder / "2_Dense")
    assert refused(folder) == (
        "3_Dense/config.json: in_features: found 7; expected 6, the width of what comes before. Choose other weights."
    )


def test_a_dense_module_of_another_size(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense", inputs=DIM - 1)
    change(folder / "2_Dense" / "config.json", in_features=DIM)
    with pytest.raises(ArtifactError) as told:
        loaded(folder)
    assert str(told.value) == (
        f"{folder}/2_Dense/model.safetensors: holds a map of another size than its config.json and the encoder have; expected "
        f"6 outputs of {DIM} inputs. Get the weights again."
    )


def test_a_damaged_dense_module(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense")
    path = folder / "2_Dense" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(ArtifactError) as told:
        loaded(folder)
    assert str(told.value) == (
        f"{path}: is no whole safetensors file; expected the weights of a Dense module. Get the weights again."
    )


# Old layouts


@pytest.mark.parametrize("root_config", ['{"__version__": "1.0.0"}', None])
def test_the_transformer_may_lie_in_a_folder_of_its_own(root_config: str | None, folder: Path, tmp_path: Path) -> None:
    sentence_transformers(folder, "cls")
    expected = loaded(folder).encode(TEXTS)
    old = tmp_path / "old"
    shutil.copytree(folder, old / "0_Transformer", ignore=shutil.ignore_patterns("1_*", "2_*", "modules.json"))
    shutil.copytree(folder / "1_Pooling", old / "1_Pooling")
    modules(old, "Transformer", "Pooling", "Normalize")
    listed = json.loads((old / "modules.json").read_text("utf-8"))
    listed[0]["path"] = "0_Transformer"
    (old / "modules.json").write_text(json.dumps(listed), "utf-8")
    if root_config is not None:
        (old / "config.json").write_text(root_config, "utf-8")
    Bert(weights=str(old), max_length=20).check(where="stages.0")
    encoder = loaded(old)
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)
    assert (encoder.pooling.mode, encoder.normalized) == ("cls", True)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"])
def test_the_old_names_of_the_transformers_settings(kind: str, folder: Path) -> None:
    (folder / "sentence_bert_config.json").unlink(missing_ok=True)
    change(folder / f"sentence_{kind}_config.json", max_seq_length=9)
    assert loaded(folder).token_model.rule.max_length == 9


# Where texts are cut off


@pytest.mark.parametrize(
    ("settings", "length"),
    [({"max_seq_length": 20}, 20), ({"max_seq_length": 7}, 7), ({"max_seq_length": 10_000}, POSITIONS), ({}, 9),
     ({"max_seq_length": None}, 9), ({"max_seq_length": 20, "tokenizer_args": {"model_max_length": 12}}, 12),
     ({"tokenizer_args": {"model_max_length": 20}}, 20)],
)  # fmt: skip
def test_the_maximum_length_of_the_modules_stands_above_the_tokenizers(
    settings: dict[str, Any], length: int, folder: Path
) -> None:
    change(folder / "tokenizer_config.json", model_max_length=9)
    (folder / "sentence_bert_config.json").write_text(json.dumps(settings), "utf-8")
    encoder = loaded(folder)
    assert (encoder.token_model.rule.max_length, len(encoder.token_ids([LONG])[0])) == (length, length)


@pytest.mark.parametrize("place", ["tokenizer_config.json", "sentence_bert_config.json"])
def test_the_side_on_which_texts_are_cut(place: str, folder: Path, tmp_path: Path) -> None:
    if place == "tokenizer_config.json":
        change(folder / place, truncation_side="left")
    else:
        change(folder / place, tokenizer_args={"truncation_side": "left"})
    encoder = loaded(folder)
    whole = tiny_tokenizer("bert")([LONG], truncation=False)["input_ids"][0]
    assert encoder.token_ids([LONG])[0] == [whole[0], *whole[-19:]]
    encoder.save(tmp_path / "saved")
    assert Encoder.load(tmp_path / "saved").token_ids([LONG]) == encoder.token_ids([LONG])
    assert json.loads((tmp_path / "saved" / "tokenizer_config.json").read_text("utf-8"))["truncation_side"] == "left"
    assert pretrained_encoder(folder, max_length=10).token_ids([LONG])[0] == [whole[0], *whole[-9:]]
    by_sentence = SentenceVectors(pooling="mean", by_sentence=True).run(encoder, data=TextData())
    (ids,) = by_sentence.token_ids([LONG])
    assert len(ids) == 80
    assert ids[0] == whole[0]
    assert ids[-16:] == encoder.token_ids([LONG.split(". ", maxsplit=1)[0] + "."])[0]  # the last sentence is whole


# What `check` refuses


@pytest.mark.parametrize(
    ("file", "settings", "sentence"),
    [
        ("config_sentence_transformers.json", {"default_prompt_name": "web"},
         'default_prompt_name: found "web"; expected one of its prompts (no prompt). Choose other weights.'),
        ("config_sentence_transformers.json", {"prompts": {"a": "b"}, "default_prompt_name": "web"},
         'default_prompt_name: found "web"; expected one of its prompts (a). Choose other weights.'),
        ("config_sentence_transformers.json", {"prompts": {"a": 3}},
         'prompts: found {"a": 3}; expected texts of at most 10,000 characters by name. Choose other weights.'),
        ("config_sentence_transformers.json", {"prompts": ["a"]},
         'prompts: found ["a"]; expected texts of at most 10,000 characters by name. Choose other weights.'),
        ("config_sentence_transformers.json", {"truncate_dim": True},
         "truncate_dim: found true; expected a whole number from 1, or null. Choose other weights."),
        ("config_sentence_transformers.json", {"truncate_dim": 0},
         "truncate_dim: found 0; expected a whole number from 1, or null. Choose other weights."),
        ("sentence_bert_config.json", {"do_lower_case": "yes"},
         'do_lower_case: found "yes"; expected true or false. Choose other weights.'),
        ("sentence_bert_config.json", {"max_seq_length": "long"},
         'max_seq_length: found "long"; expected a whole number from 1, or null. Choose other weights.'),
        ("sentence_bert_config.json", {"transformer_task": "text-generation"},
         'transformer_task: found "text-generation"; expected feature-extraction. Choose other weights.'),
        ("sentence_bert_config.json", {"tokenizer_args": {"truncation_side": "middle"}},
         'tokenizer_args.truncation_side: found "middle"; expected left or right. Choose other weights.'),
        ("sentence_bert_config.json", {"model_args": [1]}, "model_kwargs: found [1]; expected a block. Choose other weights."),
        ("1_Pooling/config.json", {"pooling_mode": "lasttoken"},
         "pooling_mode: found the pooling lasttoken; expected one of cls, mean, max. Choose other weights."),
        ("1_Pooling/config.json", {"pooling_mode": ["cls", "mean"]},
         "pooling_mode: found the pooling cls, mean; expected one of cls, mean, max. Choose other weights."),
        ("1_Pooling/config.json", {"include_prompt": "no"},
         'include_prompt: found "no"; expected true or false. Choose other weights.'),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_check(
    file: str, settings: dict[str, Any], sentence: str, folder: Path
) -> None:
    change(folder / file, **settings)
    assert refused(folder) == f"{file}: {sentence}"


@pytest.mark.parametrize(
    ("flags", "key", "asked"),
    [
        (["mean_sqrt_len_tokens"], "pooling_mode_mean_sqrt_len_tokens", "mean_sqrt_len_tokens"),
        (["weightedmean_tokens"], "pooling_mode_weightedmean_tokens", "weightedmean_tokens"),
        (["lasttoken"], "pooling_mode_lasttoken", "lasttoken"),
        (["cls_token", "mean_tokens"], "pooling_mode_mean_tokens", "cls_token, mean_tokens"),
    ],
)
def test_poolings_in_old_words(flags: list[str], key: str, asked: str, folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{flag}": True for flag in flags}), "utf-8"
    )
    assert refused(folder) == (
        f"1_Pooling/config.json: {key}: found the pooling {asked}; expected one of cls, mean, max. Choose other weights."
    )


@pytest.mark.parametrize("old", [True, False])
def test_a_tokenizer_argument_that_may_change_the_tokens(old: bool, folder: Path) -> None:
    change(folder / "sentence_bert_config.json", **{"tokenizer_args" if old else "processor_kwargs": {"add_eos": True}})
    assert refused(folder) == (
        "sentence_bert_config.json: found the setting tokenizer_args.add_eos, which nlptl does not know and which may change "
        "vectors; expected no such setting. Remove it, or choose other weights."
    )


def test_settings_that_change_no_vector_are_left_alone(folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    change(
        folder / "sentence_bert_config.json", transformer_task="feature-extraction",
        modality_config={"text": {"method": "forward"}}, module_output_name="token_embeddings",
        model_args={"add_pooling_layer": False, "attn_implementation": "sdpa"}, config_args={},
        unpad_inputs=True, processing_kwargs={},
    )  # fmt: skip
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (["Transformer", "Pooling", "Normalize", "Dense"], "Transformer, Pooling, Normalize, Dense"),
        (["Transformer", "Dense", "Pooling"], "Transformer, Dense, Pooling"),
        (["Transformer", "Transformer", "Pooling"], "Transformer, Transformer, Pooling"),
        (["Pooling"], "Pooling"),
    ],
)
def test_modules_in_another_order(kinds: list[str], found: str, folder: Path) -> None:
    modules(folder, *kinds)
    for place, kind in enumerate(kinds):
        if kind == "Dense":
            dense(folder / f"{place}_Dense")
        elif kind == "Pooling":
            change(folder / (f"{place}_Pooling" if place else "") / "config.json", pooling_mode="mean")
    if kinds == ["Pooling"]:
        (folder / "config.json").write_text('{"pooling_mode": "mean"}', "utf-8")
    assert refused(folder) == (
        f"modules.json: found the modules {found}; expected Transformer, Pooling, any Dense and one Normalize, in this order. "
        "Choose other weights."
    )


@pytest.mark.parametrize("kind", ["LayerNorm", "WeightedLayerPooling", "CNN", "BoW", "WordWeights", "Router"])
def test_modules_that_are_not_honoured(kind: str, folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", kind)
    assert refused(folder) == (
        f"modules.json: found the module {kind}; expected only Transformer, Pooling, Dense and Normalize. Choose weights "
        "without it."
    )


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "evil.Pooling", "Transformer"])
def test_modules_with_code_of_their_own(kind: str, folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"type": kind, "path": ""}]), "utf-8")
    assert refused(folder) == (
        f"modules.json: found the module {kind}, whose code would come with the weights; expected only modules of "
        "sentence-transformers. Choose weights without it."
    )


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b", "..\\b", "\0", "\ud800"])
def test_modules_outside_the_folder(path: str, folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"type": f"{MODULE}.Transformer", "path": path}]), "utf-8")
    assert refused(folder) == (
        f"modules.json: found the path {path!r}; expected one inside the folder. Get the weights again."
    )


@pytest.mark.parametrize("path", ["a" * 100_000, "a" * 201, "悪" * 100, "a/" * 5000, "\x1b[31m" * 100])
def test_modules_with_a_path_that_is_none(path: str, folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps([{"type": f"{MODULE}.Transformer", "path": path}]), "utf-8")
    assert refused(folder) == (
        f"modules.json: found the path {repr(path)[:57]}...; expected one inside the folder. Get the weights again."
    )


@pytest.mark.parametrize(
    "content",
    ["[{broken", "[1]", '[{"path": ""}]', '[{"type": 3, "path": ""}]',
     '[{"type": "sentence_transformers.models.Transformer", "path": null}]', json.dumps([{"type": "x", "path": ""}] * 101)],
)  # fmt: skip
def test_modules_that_cannot_be_read(content: str, folder: Path) -> None:
    (folder / "modules.json").write_text(content, encoding="utf-8")
    assert refused(folder) == (
        "modules.json: cannot be read; expected a list of modules with type and path, as sentence-transformers writes it. "
        "Get the weights again."
    )


def test_a_module_without_settings(folder: Path) -> None:
    (folder / "1_Pooling" / "config.json").unlink()
    assert refused(folder) == (
        "1_Pooling/config.json: is missing; expected settings as a JSON object. Get the weights again."
    )


def test_a_transformer_that_is_not_there(folder: Path) -> None:
    (folder / "modules.json").write_text(
        json.dumps([{"type": f"{MODULE}.Transformer", "path": "0_Transformer"}]), "utf-8"
    )
    (folder / "config.json").unlink()
    assert refused(folder) == (
        "modules.json: names the folder 0_Transformer, which is not there; expected the transformer in it. Get the weights again."
    )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"activation_function": "evil.Activation"},
         'config.json: activation_function: found "evil.Activation"; expected Tanh or Identity. Choose other weights.'),
        ({"use_residual": True}, "config.json: use_residual: found true; expected false. Choose other weights."),
        ({"module_input_name": "token_embeddings"},
         'config.json: module_input_name: found "token_embeddings"; expected sentence_embedding. Choose other weights.'),
        ({"out_features": 0}, "config.json: out_features: found 0; expected a whole number from 1. Choose other weights."),
        ({"in_features": True}, "config.json: in_features: found true; expected a whole number from 1. Choose other weights."),
    ],
)  # fmt: skip
def test_dense_modules_that_are_not_honoured(settings: dict[str, Any], sentence: str, folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense")
    change(folder / "2_Dense" / "config.json", **settings)
    assert refused(folder) == f"2_Dense/{sentence}"


def test_a_dense_module_as_a_pickle(folder: Path) -> None:
    modules(folder, "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense")
    (folder / "2_Dense" / "model.safetensors").rename(folder / "2_Dense" / "pytorch_model.bin")
    assert refused(folder) == (
        "2_Dense/model.safetensors: is missing; expected the weights of this Dense module, for a pickle is never read. Load the "
        "folder with sentence-transformers where you trust it and save it again."
    )


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["mean", "\ud800", "\x1b[31m", "../x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
PLACES = [
    ("config_sentence_transformers.json", name) for name in ("prompts", "default_prompt_name", "truncate_dim")
] + [
    ("sentence_bert_config.json", name)
    for name in ("max_seq_length", "do_lower_case", "tokenizer_args", "model_args", "transformer_task", "other")
] + [
    ("1_Pooling/config.json", name) for name in ("pooling_mode", "include_prompt", "pooling_mode_cls_token", "other")
] + [
    ("2_Dense/config.json", name) for name in ("in_features", "bias", "activation_function", "use_residual", "other")
]  # fmt: skip


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.sampled_from(PLACES), value=VALUES)
def test_any_value_is_honoured_or_refused_in_one_printable_sentence(
    place: tuple[str, str], value: Any, folder: Path
) -> None:
    modules(folder, "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense")
    file, name = place
    before = (folder / file).read_text("utf-8") if (folder / file).is_file() else "{}"
    change(folder / file, **{name: value})
    told = ""
    try:
        sentence_settings(folder)
    except ArtifactError as error:
        told = str(error)
    finally:
        (folder / file).write_text(before, "utf-8")
    assert not told or told.isprintable()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(listed=st.lists(st.fixed_dictionaries({"type": VALUES, "path": VALUES}) | VALUES, max_size=3) | VALUES)
def test_any_list_of_modules_is_honoured_or_refused(listed: Any, folder: Path) -> None:
    (folder / "modules.json").write_text(json.dumps(listed), "utf-8")
    with contextlib.suppress(ArtifactError):
        assert sentence_settings(folder).transformer == folder


# Judged by sentence-transformers, where it is installed


@pytest.mark.skipif(importlib.util.find_spec("sentence_transformers") is None, reason="the judge is not installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("pooled", [True, False])
def test_sentence_transformers_gives_the_same_vectors(pooled: bool, folder: Path) -> None:
    from sentence_transformers import SentenceTransformer

    sentence_transformers(folder, "mean", normalize=False)
    modules(folder, "Transformer", "Pooling", "Dense", "Normalize")
    change(folder / "1_Pooling" / "config.json", word_embedding_dimension=DIM, include_prompt=pooled)
    dense(folder / "2_Dense")
    change(folder / "tokenizer_config.json", truncation_side="left")
    change(folder / "config_sentence_transformers.json", prompts={"q": "the good "}, default_prompt_name="q")
    texts = [text for text in TEXTS if text] + [LONG]
    theirs = SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(texts)
    np.testing.assert_allclose(loaded(folder).encode(texts), theirs, atol=2e-5)
