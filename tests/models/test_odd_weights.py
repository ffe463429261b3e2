"""Weights as other tools left them: with odd settings they give the usual vectors, or `check` refuses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.pretraining.encoders.pile import token_pile
from nlptl.stages.bert import Bert
from tests.models.test_weights import change, loaded
from tests.models.tiny import MODEL_TYPES, POSITIONS, TEXTS, tiny_config, tiny_folder, tiny_tokenizer

AFTER_PADDING = ("roberta", "xlm-roberta", "camembert")


def checked(folder: Path, **settings: Any) -> None:
    Bert(weights=str(folder), **settings).check(where="stages.0")


def without(file: Path, *names: str) -> None:
    """Remove settings from a JSON file."""
    settings = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({name: value for name, value in settings.items() if name not in names}), "utf-8")


@pytest.mark.parametrize("left_out", [True, False])
@pytest.mark.parametrize("model_type", AFTER_PADDING)
def test_a_missing_padding_id_is_the_usual_one(model_type: str, left_out: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", model_type)
    expected = loaded(folder).encode(TEXTS)
    if left_out:
        without(folder / "config.json", "pad_token_id")
    else:
        change(folder / "config.json", pad_token_id=None)
    checked(folder, max_length=POSITIONS)
    with pytest.raises(ConfigError, match=f"expected at most {POSITIONS}, since"):
        checked(folder, max_length=POSITIONS + 1)
    encoder = Bert(weights=str(folder), max_length=POSITIONS).run(data=TextData(labelled=(["good"], ["a"])))
    np.testing.assert_array_equal(encoder.encode(TEXTS), expected)
    encoder.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text("utf-8"))["pad_token_id"] == 1


def test_a_bert_needs_no_padding_id(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    expected = loaded(folder).encode(TEXTS)
    change(folder / "config.json", pad_token_id=None)
    checked(folder, max_length=POSITIONS)
    np.testing.assert_array_equal(loaded(folder).encode(TEXTS), expected)


@pytest.mark.parametrize("task", ["SequenceClassification", "TokenClassification", "QuestionAnswering"])
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_weights_of_a_task_are_read_without_its_head(model_type: str, task: str, tmp_path: Path) -> None:
    model = getattr(transformers, f"AutoModelFor{task}").from_config(tiny_config(model_type)).eval()
    model.save_pretrained(tmp_path / "weights")
    tiny_tokenizer(model_type).save_pretrained(tmp_path / "weights")
    checked(tmp_path / "weights")
    encoder, theirs = loaded(tmp_path / "weights"), dict(model.base_model.named_parameters())
    for name, parameter in encoder.token_model.model.named_parameters():
        assert torch.equal(parameter, theirs[name])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halved_weights_in_parts_are_read(dtype: torch.dtype, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "xlm-roberta")
    expected = loaded(folder).encode(TEXTS)
    model = loaded(folder).token_model.model.to(dtype)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    checked(folder)
    cosines = torch.cosine_similarity(torch.from_numpy(loaded(folder).encode(TEXTS)), torch.from_numpy(expected))
    assert cosines.min() > 0.999


@pytest.mark.parametrize("length", [1e30, int(1e30), None])
def test_the_positions_bound_texts_where_the_tokenizer_does_not(length: float | None, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    if length is None:
        without(folder / "tokenizer_config.json", "model_max_length")
    else:
        change(folder / "tokenizer_config.json", model_max_length=length)
    checked(folder)
    assert loaded(folder).token_model.rule.max_length == POSITIONS
    assert len(loaded(folder).token_ids(["the story " * 99])[0]) == POSITIONS


def test_a_tokenizer_without_special_tokens_is_read(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    settings = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps({**settings, "post_processor": None}), "utf-8")
    names = [f"{name}_token" for name in ("unk", "pad", "mask", "cls", "sep")]
    without(folder / "tokenizer_config.json", *names)
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    checked(folder)
    encoder = loaded(folder)
    assert (encoder.token_model.rule.unknown, encoder.token_model.special_tokens) == (None, {})
    assert len(encoder.token_ids(["the film"])[0]) == 2
    encoder.save(tmp_path / "saved")
    assert "its tokenizer has no padding" in (tmp_path / "saved" / "other-tools.txt").read_text("utf-8")


def test_a_vocabulary_file_is_enough_for_check(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    entries = sorted(tiny_tokenizer("bert").get_vocab().items(), key=lambda item: item[1])
    ids = loaded(folder).token_ids(TEXTS[:4])
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("".join(f"{entry}\n" for entry, _ in entries), "utf-8")
    checked(folder)
    assert loaded(folder).token_ids(TEXTS[:4]) == ids


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_no_tokenizer_is_refused_by_check(model_type: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", model_type)
    (folder / "tokenizer.json").unlink()
    if model_type == "roberta":
        (folder / "vocab.json").write_text("{}", "utf-8")  # its merges are missing
    with pytest.raises(ConfigError) as told:
        checked(folder)
    assert str(told.value) == (
        f"stages.0.weights: {folder}: found no tokenizer; expected tokenizer.json, or the vocabulary that it is made from. Get "
        "the weights again, or save it with a fast tokenizer."
    )


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta", "roberta"])
@pytest.mark.parametrize("added", [True, False])
def test_more_entries_than_embeddings_are_refused_by_check(model_type: str, added: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", model_type)
    settings = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    rows = json.loads((folder / "config.json").read_text("utf-8"))["vocab_size"]
    entries = settings["model"]["vocab"]
    if added:
        settings["added_tokens"].append({**settings["added_tokens"][0], "id": rows, "content": "[NEW]"})
    elif isinstance(entries, dict):
        entries["new"] = rows
    else:
        entries += [["new", -9.0]] * (rows + 1 - len(entries))
    (folder / "tokenizer.json").write_text(json.dumps(settings), "utf-8")
    with pytest.raises(ConfigError) as told:
        checked(folder)
    assert str(told.value) == (
        f"stages.0.weights: {folder}: tokenizer.json gives ids up to {rows}; expected ids below {rows}, since the encoder has no "
        "more embeddings. Use the tokenizer that it was trained with."
    )


def test_fewer_entries_than_embeddings_are_usual(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert", vocab_size=500)
    checked(folder)
    assert loaded(folder).encode(TEXTS).shape[0] == len(TEXTS)


@pytest.mark.parametrize("kind", ["albert", "deberta-v2", "xlnet", "t5", "gpt2", "nomic_bert", "qwen3", "longformer"])
def test_other_architectures_are_refused_by_check(kind: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    change(folder / "config.json", model_type=kind)
    with pytest.raises(ConfigError) as told:
        checked(folder)
    assert str(told.value) == (
        f"stages.0.weights: {folder}: found an encoder of type {kind!r}; expected one of {', '.join(MODEL_TYPES)}. Choose weights "
        "of one of them."
    )


def test_weights_under_other_names_are_told(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    state = load_file(folder / "model.safetensors")
    save_file({f"module.{name}": tensor for name, tensor in state.items()}, folder / "model.safetensors")
    with pytest.raises(Exception, match="is missing, and "):
        loaded(folder)


# What the pile is read with


@pytest.mark.parametrize("whole", [True, False])
def test_sentence_objectives_read_the_prompt_and_masked_lm_does_not(whole: bool, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    encoder = pretrained_encoder(folder, prompt="the good ")
    pile = token_pile(
        encoder, [["a dull film", *(f"film {number}" for number in range(12))]], whole=whole, name="data.unlabelled"
    )
    expected = encoder.token_ids(["a dull film"])[0] if not whole else loaded(folder).token_ids(["a dull film"])[0]
    assert pile.ids[: pile.lengths[0]].tolist() == expected
