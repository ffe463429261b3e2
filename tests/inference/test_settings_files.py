"""Settings files from outside: whatever stands in them, they load or are refused in one sentence, at once."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from nlptl.data import TextData
from nlptl.errors import ConfigError, NlptlError
from nlptl.finetuning.gradient.lora_adapters import LoraAdapters, add_adapters
from nlptl.inference.settings_files import UNUSED_LORA, AdapterSettings, read_settings, transformers_settings
from nlptl.inference.tokenizer_files import check_patterns
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.models.heads import Head
from nlptl.models.weights import find_weights
from nlptl.stages.skipgram import SkipGram
from tests.models.tiny import MODEL_TYPES, TEXTS, tiny_encoder, tiny_folder

SECONDS = 20.0  # that a refusal may take on a busy machine; hangs and floods of memory take far longer
OWN = ("encoder.json", "classifier.json", "config.json", "adapter/adapter_config.json", "tokenizer.json")
WHOLE_FILES = ["{}", "[]", '"text"', "3", "null", "NaN", "1e400", "", "{", "[" * 200_000, "\x00", "{}" + " " * 2**20]


@pytest.fixture(scope="module")
def classifier() -> TextClassifier:
    encoder = tiny_encoder("bert")
    adapters = LoraAdapters(rank=2, alpha=4, dropout=0.0, targets=("query", "value"), variant="lora", merge=False)
    add_adapters(encoder.transformer, adapters, [0, 2], seed=3)
    head = Head(encoder.dim, 3)
    head.initialise(torch.Generator().manual_seed(1))
    with torch.no_grad():
        head.last_linear.weight.normal_(generator=torch.Generator().manual_seed(2))
    return TextClassifier(encoder, head, ["a", "b", "c"]).eval()


@pytest.fixture(scope="module")
def saved(classifier: TextClassifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "classifier"
    classifier.save(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    shutil.copytree(saved, tmp_path / "copy")
    return tmp_path / "copy"


def change(path: Path, changes: dict[str, Any]) -> None:
    """Set values by their path, such as "head.dim"; the value `...` removes a key."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for names, value in changes.items():
        *outer, last = names.split("/")
        block = content
        for name in outer:
            block = block[name]
        if value is ...:
            del block[last]
        else:
            block[last] = value
    path.write_text(json.dumps(content), encoding="utf-8")


def refusal(load: Callable[[], object]) -> str:
    begin = time.monotonic()
    with pytest.raises(NlptlError) as caught:
        load()
    assert time.monotonic() - begin < SECONDS
    told = str(caught.value)
    assert "\n" not in told
    assert told.endswith(".")
    return told


def test_an_artifact_reads_back_equal(classifier: TextClassifier, saved: Path) -> None:
    again = TextClassifier.load(saved)
    np.testing.assert_allclose(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS), atol=1e-6)


def test_an_adapter_on_all_maps_reads_back_equal(tmp_path: Path) -> None:
    """PEFT writes many names as their common ends."""
    encoder = tiny_encoder("bert", num_hidden_layers=4)
    targets = ("query", "key", "value", "dense")
    adapters = LoraAdapters(rank=2, alpha=3.5, dropout=0.1, targets=targets, variant="rslora", merge=False)
    add_adapters(encoder.transformer, adapters, [0, 1, 2, 3], seed=3)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "lora_B" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(5))
    encoder.eval()
    encoder.save(tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "adapter" / "adapter_config.json").read_text(encoding="utf-8"))
    assert written["target_modules"] == sorted(targets)
    np.testing.assert_allclose(Encoder.load(tmp_path / "saved").encode(TEXTS), encoder.encode(TEXTS), atol=1e-5)


HOSTILE: list[tuple[str, dict[str, Any], str]] = [
    ("adapter/adapter_config.json", {"megatron_core": "evil"}, "found megatron_core: 'evil'; expected 'megatron.core'"),
    ("adapter/adapter_config.json", {"megatron_config": {"a": 1}}, "found megatron_config: {'a': 1}; expected None"),
    ("adapter/adapter_config.json", {"peft_type": "XLORA"}, "peft_type is 'XLORA', but must be one of LORA"),
    ("adapter/adapter_config.json", {"layer_replication": [[0, 9]]}, "found layer_replication: [[0, 9]]; expected None"),
    ("adapter/adapter_config.json", {"auto_mapping": {"base_model_class": "X", "parent_library": "evil"}}, "found auto_mapping"),
    ("adapter/adapter_config.json", {"modules_to_save": ["x"]}, "found modules_to_save"),
    ("adapter/adapter_config.json", {"init_lora_weights": "pissa"}, "found init_lora_weights: 'pissa'; expected True"),
    ("adapter/adapter_config.json", {"rank_pattern": {"q": 10**9}}, "found rank_pattern"),
    ("adapter/adapter_config.json", {"r": 10**9}, "r is 1000000000, but must be at most 1024"),
    ("adapter/adapter_config.json", {"r": 512}, "its tensors hold no adapter of rank 512 for encoder.layer.0.attention"),
    ("adapter/adapter_config.json", {"r": 0}, "r is 0, but must be at least 1"),
    ("adapter/adapter_config.json", {"r": True}, "r is True, but must be a whole number"),
    ("adapter/adapter_config.json", {"lora_alpha": float("nan")}, "lora_alpha is nan"),
    ("adapter/adapter_config.json", {"target_modules": "(a+)+$"}, "target_modules is '(a+)+$', but must be a list"),
    ("adapter/adapter_config.json", {"target_modules": ["x.y"]}, "its tensors hold no adapter of rank 2 for x.y"),
    ("adapter/adapter_config.json", {"target_modules": ["(a|aa)*b"]}, "target_modules.0 is '(a|aa)*b'"),
    ("adapter/adapter_config.json", {"new_setting": 1}, "new_setting is not a setting"),
    ("classifier.json", {"head/dim": 10**13}, "head.dim is 10000000000000, but must be at most 65536"),
    ("classifier.json", {"head/dim": 40_000}, "does not fit the head that classifier.json describes"),
    ("classifier.json", {"head/hidden": 60_000}, "does not fit the head that classifier.json describes"),
    ("classifier.json", {"labels": ["a", "b"]}, "found 2 labels for 3 outputs; expected one label each"),
    ("classifier.json", {"labels": ["a", "b"], "head/labels": 2}, "does not fit the head that classifier.json describes"),
    ("classifier.json", {"labels": ["a", "b", "b"]}, "found a label twice; expected distinct ones"),
    ("classifier.json", {"labels": [1, 2, 3]}, "labels.0 is 1, but must be a text"),
    ("classifier.json", {"head/activation": "os.system"}, "head.activation is 'os.system', but must be one of sigmoid, gelu"),
    ("classifier.json", {"head/dropout": 10**400}, "head.dropout is 1000"),
    ("classifier.json", {"head": ...}, "head is missing"),
    ("encoder.json", {"pooling": "sum"}, "pooling is 'sum', but must be one of mean, max, tfidf, sif, cls, attention"),
    ("encoder.json", {"pooling": "tfidf"}, "does not fit the pooling that encoder.json describes"),
    ("encoder.json", {"layer": 10**9}, "layer is 1000000000, but must be at most 512"),
    ("encoder.json", {"layer": 77}, "layer: found 77; expected 'mean' or a number from -4 to 3"),
    ("encoder.json", {"rule/longest": 10**13}, "rule.longest is 10000000000000, but must be at most 1000000"),
    ("encoder.json", {"rule/evil": 1}, "rule.evil is not a setting"),
    ("encoder.json", {"rule": ...}, "found a transformer without layer and rule; expected both"),
    ("encoder.json", {"special_tokens": {"__class__": "x"}}, "special_tokens"),
    ("encoder.json", {"bottlenecks": {"width": 4000, "layers": [1]}}, "is missing"),
    ("encoder.json", {"normalized": "yes"}, "normalized is 'yes', but must be true or false"),
    ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000, but must be a whole number from 0 to 512"),
    ("config.json", {"num_hidden_layers": 400}, "config.json asks for 400 layers where the weights have 3"),
    ("config.json", {"num_attention_heads": 0}, "num_attention_heads is 0, but must be a whole number from 1 to 1,024"),
    ("config.json", {"num_attention_heads": 5}, "num_attention_heads is 5, but must divide hidden_size, which is 32"),
    ("config.json", {"dtype": "float99"}, "dtype is 'float99', but must be float32, float16, bfloat16, float64, null"),
    ("config.json", {"vocab_size": 10**13}, "vocab_size is 10000000000000"),
    ("config.json", {"vocab_size": 9_000_000}, "embeddings.word_embeddings.weight is (107, 32) where config.json asks for"),
    ("config.json", {"hidden_size": 16_384}, "where config.json asks for"),
    ("config.json", {"max_position_embeddings": 900_000}, "where config.json asks for (900000, 32)"),
    ("config.json", {"attn_implementation": "me/kernels"}, "attn_implementation is 'me/kernels', but must be eager, sdpa"),
    ("config.json", {"_attn_implementation_internal": "me/kernels"}, "_attn_implementation_internal is 'me/kernels'"),
    ("config.json", {"quantization_config": {"quant_method": "evil"}}, "quantization_config is {'quant_method': 'evil'}"),
    ("config.json", {"num_labels": 10**9}, "num_labels is 1000000000"),
    ("config.json", {"model_type": "evil"}, "a model of type 'evil' is not read here"),
    ("config.json", {"model_type": ["bert"]}, "a model of type ['bert'] is not read here"),
    ("config.json", {"layer_norm_eps": float("nan")}, "layer_norm_eps is nan"),
    ("config.json", {"hidden_act": "os.system"}, "holds no encoder that transformers reads"),
    ("config.json", {"is_decoder": True}, "is_decoder is True, but must be False, null"),
    ("config.json", {"pad_token_id": 5000}, "pad_token_id is 5000, but must be below vocab_size, which is 107"),
    ("tokenizer.json", {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}},
     "may take exponential time"),
    ("tokenizer.json", {"normalizer": {"type": "Sequence", "normalizers": [
        {"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40}}, "which lengthen a text 1.1e+12 times"),
    ("tokenizer.json", {"padding": {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                                    "pad_type_id": 0, "pad_token": "[PAD]"}}, "it pads texts to more than a million tokens"),
    ("tokenizer.json", {"truncation/max_length": 10**12}, "it cuts texts off after 1000000000000 tokens"),
    ("tokenizer.json", {"model/max_input_chars_per_word": 10**9}, "it splits words of more than 10,000 characters"),
    ("tokenizer.json", {"model/vocab/[PAD]": 10**6}, "gives ids up to 1000000; expected ids below 107"),
    ("tokenizer.json", {"post_processor/special_tokens/[CLS]/ids": [10**6]}, "gives ids up to 1000000; expected ids below 107"),
    ("tokenizer.json", {"model/type": "Evil"}, "is missing or damaged"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "changes", "reason"), HOSTILE, ids=[f"{f}-{list(c)}-{n}" for n, (f, c, _) in enumerate(HOSTILE)]
)
def test_hostile_settings_are_refused(
    file: str, changes: dict[str, Any], reason: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "evil.py").write_text("raise SystemExit('it ran')\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    change(folder / file, changes)
    assert reason in refusal(lambda: TextClassifier.read_files(folder))
    assert "evil" not in sys.modules


@pytest.mark.parametrize("content", WHOLE_FILES, ids=range(len(WHOLE_FILES)))
@pytest.mark.parametrize("file", OWN)
def test_a_file_of_anything_else_is_refused(file: str, content: str, folder: Path) -> None:
    (folder / file).write_text(content, encoding="utf-8")
    refusal(lambda: TextClassifier.read_files(folder))


@pytest.mark.parametrize("file", OWN)
def test_a_file_without_bounds_is_refused_unread(file: str, folder: Path) -> None:
    with (folder / file).open("ab") as opened:
        opened.truncate(2**30)  # takes no place on the disk
    begin = time.monotonic()
    assert "has 1,073,741,824 bytes, more than" in refusal(lambda: TextClassifier.read_files(folder))
    assert time.monotonic() - begin < SECONDS


def test_the_sentence_names_file_place_and_remedy(folder: Path) -> None:
    change(folder / "classifier.json", {"head/dim": 10**13})
    assert refusal(lambda: TextClassifier.read_files(folder)) == (
        f"{folder / 'classifier.json'}: head.dim is 10000000000000, but must be at most 65536. The folder is damaged or of "
        "another version. Run the stage again."
    )


# Neighbours of what is written: drop a key, change a type, leave the range, add a key


def places(content: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for name, value in list(items)[:8]:
        yield from places(value, (*path, name))


VALUES = st.sampled_from([
    None, True, False, 0, 1, -1, 3, 10**9, 10**400, 0.5, 1e308, float("nan"), float("inf"), "", "x", "evil.Class", "a" * 5000,
    [], {}, [[]], [1, 2], {"a": {}}, ["x"] * 100,
])  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_neighbours_of_what_is_written_load_or_are_refused(data: st.DataObject, saved: Path, tmp_path: Path) -> None:
    """A change either leaves a classifier whose probabilities are some, or is told in one sentence, at once."""
    copy = tmp_path / f"copy-{time.monotonic_ns()}"
    shutil.copytree(saved, copy)
    path = copy / data.draw(st.sampled_from(OWN))
    content = json.loads(path.read_text(encoding="utf-8"))
    place = data.draw(st.sampled_from(list(places(content))[1:]))
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    match data.draw(st.sampled_from(["drop", "change", "add"])):
        case "drop":
            del holder[place[-1]]
        case "change":
            holder[place[-1]] = data.draw(VALUES)
        case "add" if isinstance(holder, dict):
            holder[data.draw(st.sampled_from(["extra", "auto_map", "__class__", "trust_remote_code"]))] = data.draw(
                VALUES
            )
    path.write_text(json.dumps(content), encoding="utf-8")
    begin = time.monotonic()
    try:
        found = TextClassifier.read_files(copy).predict_proba(TEXTS)
        told = "It loads."
    except NlptlError as error:
        found, told = np.zeros((len(TEXTS), 3)), str(error)
    assert "\n" not in told
    assert told.endswith(".")
    assert found.shape == (len(TEXTS), 3)
    assert np.isfinite(found).all()
    assert time.monotonic() - begin < SECONDS
    shutil.rmtree(copy)


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
def test_a_tokenizer_that_cannot_spell(part: str, tmp_path: Path) -> None:
    data = TextData(unlabelled=["a good film", "a bad film", "a film of films"])
    spelt = SkipGram(dim=4, epochs=1, min_count=1, subwords={"min": 2, "max": 3, "buckets": 50}).run(data=data)
    spelt.save(tmp_path / "saved")
    change(tmp_path / "saved" / "tokenizer.json", {part: None})
    assert refusal(lambda: Encoder.read_files(tmp_path / "saved")) == (
        f"{tmp_path / 'saved' / 'tokenizer.json'}: neither cleans nor splits a text; expected both, since words are spelt by "
        "n-grams. The folder is damaged. Run the stage again."
    )


# Settings of transformers


def test_the_kind_of_positions_is_free_where_nothing_reads_it(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "modernbert", "modernbert")
    before = pretrained_encoder(folder).encode(TEXTS)
    change(folder / "config.json", {"position_embedding_type": "sans_pos"})
    np.testing.assert_array_equal(pretrained_encoder(folder).encode(TEXTS), before)
    change(folder / "config.json", {"position_embedding_type": "relative_key"})
    told = "position_embedding_type is 'relative_key', but must be absolute, sans_pos, null, since nothing else is read or run"
    assert told in refusal(lambda: pretrained_encoder(folder))
    folder = tiny_folder(tmp_path / "bert", "bert", position_embedding_type="sans_pos")
    told = "position_embedding_type is 'sans_pos', but must be absolute, null, since nothing else is read or run"
    assert told in refusal(lambda: pretrained_encoder(folder))


REAL: dict[str, dict[str, Any]] = {  # what configurations of real weights hold besides sizes
    "bert": {"_name_or_path": "x/y", "gradient_checkpointing": False, "position_embedding_type": "absolute",
             "id2label": {"0": "a", "1": "b"},
             "label2id": {"a": 0, "b": 1}, "finetuning_task": None, "directionality": "bidi", "pooler_fc_size": 768,
             "classifiers_size": [3, 2], "sentence_transformers": {"version": "4.0"}, "torch_dtype": "float32",
             "problem_type": "single_label_classification"},
    "roberta": {"adapters": {"adapters": {}}, "output_past": True, "torch_dtype": "float16", "_attn_implementation_autoset": True},
    "distilbert": {"sinusoidal_pos_embds": False, "tie_weights_": True, "output_hidden_states": False},
    "modernbert": {"reference_compile": None, "global_rope_theta": 160000.0, "local_rope_theta": 10000.0, "layer_norm_eps": 1e-5,
                   "position_embedding_type": "absolute", "repad_logits_with_grad": False, "attn_implementation": None},
    "electra": {"summary_activation": "gelu", "generator_size": 0.25, "task_specific_params": {"a": {"max_length": 3}}},
    "mpnet": {"relative_attention_num_buckets": 32, "_name_or_path": "microsoft/mpnet-base"},
    "camembert": {"max_length": 20, "num_beams": 1},
    "xlm-roberta": {"output_past": True, "auto_map": {"AutoModel": "evil.Model"}},
}  # fmt: skip


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_settings_of_real_weights_are_accepted(model_type: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", model_type)
    before = pretrained_encoder(folder).encode(TEXTS)
    change(folder / "config.json", REAL[model_type])
    np.testing.assert_array_equal(pretrained_encoder(folder).encode(TEXTS), before)


def test_nothing_but_known_or_plain_settings_reaches_transformers() -> None:
    class Architecture:
        vocab_size: int = 3

        def save(self) -> None: ...

    raw = {"vocab_size": 7, "plain": 1, "save": 2, "__class__": "x", "_private": 1, "auto_map": {}, "block": {"a": 1},
           "list": [1], "attn_implementation": "sdpa", "id2label": {"0": "a"}, "not a name": 1}  # fmt: skip
    assert transformers_settings(raw, architecture=Architecture) == {
        "vocab_size": 7,
        "plain": 1,
        "id2label": {"0": "a"},
    }


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("tokenizer_config.json", {"tokenizer_class": "\x1b[31m" * 20_000}),
        ("tokenizer_config.json", {"model_max_length": "\x1b[31m" * 20_000}),
        ("tokenizer_config.json", {"unk_token": {"\x1b[31m" * 20_000: 3}}),
        ("config.json", {"model_type": "\x1b[31m" * 20_000}),
        ("config.json", {"hidden_act": "\x1b[31m" * 20_000}),
        ("config.json", {"hidden_size": "\x1b[31m" * 20_000}),
        ("config.json", {"\x1b[31m" * 20_000: 1e300}),
        ("config.json", {"id2label": {"\x1b[31m" * 20_000: "a"}}),
        ("config.json", {"dtype": "\x1b[31m" * 20_000}),
        ("adapter/adapter_config.json", {"target_modules": "\x1b[31m" * 20_000}),
        ("adapter/adapter_config.json", {"target_modules": ["a" * 100_000]}),
        ("adapter/adapter_config.json", {"\x1b[31m" * 20_000: 1}),
        ("adapter/adapter_config.json", {"base_model_name_or_path": "\x1b[31m" * 20_000}),
        ("classifier.json", {"labels": "\x1b[31m" * 20_000}),
        ("encoder.json", {"pooling": "\x1b[31m" * 20_000}),
        ("encoder.json", {"special_tokens": {"\x1b[31m" * 20_000: "x"}}),
    ],
)  # fmt: skip
def test_a_quoted_value_is_cut_and_printable(file: str, changes: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    (folder / "manifest.json").unlink()
    if file == "tokenizer_config.json":
        folder = tiny_folder(tmp_path / "weights", "bert")
    change(folder / file, changes)
    load = pretrained_encoder if file == "tokenizer_config.json" else TextClassifier.read_files
    told = refusal(lambda: load(folder)).replace(str(folder), "")
    assert told.isprintable()
    assert len(told) < 700


def test_all_of_config_json_is_kept_from_transformers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Transformers prints the settings that it cannot take."""
    folder = tiny_folder(tmp_path / "weights", "bert")
    expected = pretrained_encoder(folder).encode(TEXTS)
    change(folder / "config.json", {"use_return_dict": True, "name_or_path": "x", "torchscript": True, "auto_map": {}})
    capfd.readouterr()
    np.testing.assert_array_equal(pretrained_encoder(folder).encode(TEXTS), expected)
    assert "".join(capfd.readouterr()) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokenizer_class": "AutoModel"}, "names the tokenizer_class 'AutoModel'"),
        ({"tokenizer_class": "AutoTokenizer"}, "names the tokenizer_class 'AutoTokenizer'"),
        ({"tokenizer_class": ["x"]}, "names the tokenizer_class"),
        ({"fast_tokenizer_files": ["../../x.json"]}, "names fast_tokenizer_files elsewhere"),
        ({"vocab_file": "/etc/passwd"}, "names vocab_file '/etc/passwd' outside of the folder"),
        ({"model_max_length": "long"}, "holds model_max_length long"),
        ({"model_max_length": -3}, "holds model_max_length -3"),
    ],
)
def test_settings_of_a_tokenizer(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    change(folder / "tokenizer_config.json", changes)
    assert reason in refusal(lambda: pretrained_encoder(folder))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"Regex": "(a+)+"}', "the pattern '(a+)+' may take exponential time"),
        (r'{"Rege\u0078" : "(a+)+"}', "the pattern '(a+)+' may take exponential time"),
        (json.dumps({"Regex": "a" * 20_001}), f"the pattern '{'a' * 56}... may take exponential time"),
        ('{"Regex": "a"}' * 65, "it has more than 64 patterns"),
        ('{"type": "Regex", "x": "(a+)+"}' + '{"Regex": "a"}' * 64, None),
        (r"\"" * 500_000, None),
        ('"' + r"\"" * 500_000, None),
    ],
)
def test_patterns_are_found_in_one_pass(content: str, reason: str | None, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(content, "utf-8")
    begin = time.process_time()
    if reason is None:
        check_patterns(tmp_path / "tokenizer.json")
    else:
        with pytest.raises(ValueError, match=re.escape(reason)):
            check_patterns(tmp_path / "tokenizer.json")
    assert time.process_time() - begin < 1.0


# Indexes of weights in several files


def sharded(folder: Path, names: dict[str, str]) -> None:
    state = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file(state, folder / "all.safetensors")
    places = {name: names.get(name, "all.safetensors") for name in state}
    index = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


WORDS = "embeddings.word_embeddings.weight"


@pytest.mark.parametrize(
    "name",
    ["evil.bin", "pytorch_model.bin", "../evil.safetensors", "/tmp/evil.safetensors", "sub/evil.safetensors", "evil.pt",
     ".safetensors",
     "evil.npy", "evil.h5", "model.safetensors.pkl", "..", ""],
)  # fmt: skip
def test_an_index_names_safetensors_beside_it_alone(name: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    sharded(folder, {WORDS: name})
    (folder / "sub").mkdir()
    for place in (folder / "evil.bin", folder / "sub" / "evil.safetensors", tmp_path / "evil.safetensors"):
        torch.save({WORDS: torch.zeros(2)}, place)
    sentence = f"model.safetensors.index.json names {name!r} where only .safetensors beside it are read"
    told = refusal(lambda: find_weights(str(folder), None, where="bert"))
    assert told == f"bert.weights: {folder}: {sentence}; expected model.safetensors, whole or in parts. Get them again."
    assert sentence in refusal(lambda: pretrained_encoder(folder))


@pytest.mark.parametrize("places", [{}, [], None, "x", {"a": 3}, {"a": None}])
def test_an_index_that_names_nothing(places: object, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    refusal(lambda: find_weights(str(folder), None, where="bert"))
    refusal(lambda: pretrained_encoder(folder))


def test_a_shard_that_is_missing(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    sharded(folder, {WORDS: "gone.safetensors"})
    assert "gone.safetensors is missing, which model.safetensors.index.json names" in refusal(
        lambda: pretrained_encoder(folder)
    )


def test_the_bytes_of_every_shard_enter_the_digest(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    sharded(folder, {})
    before = find_weights(str(folder), None, where="bert").digest()
    state = load_file(folder / "all.safetensors")
    save_file({**state, WORDS: state[WORDS] + 1}, folder / "all.safetensors")
    assert find_weights(str(folder), None, where="bert").digest() != before


def test_an_adapter_beside_the_encoder_of_an_artifact_is_not_applied(folder: Path) -> None:
    shutil.copy(folder / "adapter" / "adapter_config.json", folder)
    assert "adapter_config.json stands beside the weights" in refusal(lambda: TextClassifier.read_files(folder))


# The list is that of the installed library


def test_every_setting_of_peft_is_known() -> None:
    import dataclasses

    from peft import LoraConfig

    fields = {field.name for field in dataclasses.fields(LoraConfig)} - {"runtime_config"}
    assert fields == UNUSED_LORA.keys() | AdapterSettings.model_fields.keys()


def test_an_adapter_is_what_peft_would_read(folder: Path) -> None:
    from peft import PeftConfig

    theirs = PeftConfig.from_pretrained(str(folder / "adapter"))
    ours = read_settings(folder / "adapter" / "adapter_config.json", AdapterSettings)
    for name in AdapterSettings.model_fields:
        value = getattr(theirs, name)
        assert (sorted(value) if isinstance(value, set) else value) == (
            sorted(getattr(ours, name)) if isinstance(value, set) else getattr(ours, name)
        )


def test_no_setting_is_asked_for_where_the_folder_is_missing() -> None:
    with pytest.raises(ConfigError):
        find_weights("/no/such/folder", None, where="bert")
