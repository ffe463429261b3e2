"""Round trips through tiny models, and folders that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation import Augmenter, BackTranslation
from nlptl.finetuning.augmentation.back_translation import RoundTrip
from nlptl.models.seq2seq import Seq2Seq
from tests.finetuning.augmentation.translators import translator_folder
from tests.models.tiny import tiny_folder

CPU = torch.device("cpu")
TEXT = "the film is good"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return translator_folder(tmp_path_factory.mktemp("marian"))


class Scripted(Seq2Seq):
    """Writes what it is told to, and remembers what it read."""

    def __init__(self, answer: str) -> None:
        self.answer, self.read = answer, list[tuple[str, float]]()

    def write(self, text: str, *, seed: int, temperature: float) -> str:
        self.read.append((text, temperature))
        return self.answer


@pytest.mark.parametrize("kind", ["marian", "t5"])
def test_models_write_by_seed_and_leave_the_random_state_alone(kind: str, tmp_path: Path) -> None:
    model = Seq2Seq.open(translator_folder(tmp_path, kind), device=CPU, where="here")
    state = torch.get_rng_state()
    first, again, other = (model.write(TEXT, seed=seed, temperature=1.0) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert first == again != other
    assert first


def test_a_low_temperature_writes_the_likeliest_words(folder: Path) -> None:
    model = Seq2Seq.open(folder, device=CPU, where="here")
    ids = model._tokenizer(TEXT, return_tensors="pt").input_ids
    greedy = model._model.generate(ids, do_sample=False, num_beams=1, max_new_tokens=2 * ids.shape[1] + 16)
    expected = model._tokenizer.decode(greedy[0], skip_special_tokens=True).strip()
    assert model.write(TEXT, seed=1, temperature=1e-4) == expected


def test_texts_longer_than_the_model_reads_are_not_cut(folder: Path) -> None:
    model = Seq2Seq.open(folder, device=CPU, where="here")
    assert model.write("film " * 39, seed=1, temperature=1.0) == ""
    assert model.write("film " * 38, seed=1, temperature=1.0)
    new = Augmenter([BackTranslation(forward=str(folder), backward=str(folder), forward_prefix="a ")])(
        ["film " * 39], seed=0
    )
    assert len(new) == 0


def test_prefixes_go_before_the_texts() -> None:
    forward, backward = Scripted("ein Film"), Scripted("a movie")
    settings = BackTranslation(
        forward="a", backward="b", forward_prefix="de: ", backward_prefix="en: ", temperature=0.6
    )
    trip = RoundTrip(forward, backward, settings)
    assert trip("a film", [np.random.default_rng(0)]) == ["a movie"]
    assert forward.read == [("de: a film", 0.6)]
    assert backward.read == [("en: ein Film", 0.6)]
    for one, two in ((Scripted(""), backward), (forward, Scripted(""))):
        assert RoundTrip(one, two, settings)("a film", [np.random.default_rng(0)]) == ["a film"]


def test_folders_without_such_a_model_are_refused(folder: Path, tmp_path: Path) -> None:
    def told(broken: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            Augmenter([BackTranslation(forward=str(folder), backward=str(broken))])
        return str(caught.value)

    def sentence(broken: Path, reason: str) -> str:
        return (
            f"augment.0.backward: {broken}: holds no sequence-to-sequence model that transformers reads ({reason}); "
            "expected config.json, model.safetensors and a tokenizer, such as of a Marian or T5 model. Check the folder."
        )

    missing = tmp_path / "missing"
    assert told(missing) == sentence(missing, "there is no such folder")
    reader = tiny_folder(tmp_path / "bert", "bert")
    assert told(reader) == sentence(reader, "a model of type 'bert' is not read here")
    broken = translator_folder(tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    name = next(name for name in tensors if name.endswith("fc1.weight"))
    save_file(
        {key: value for key, value in tensors.items() if key != name}, broken / "model.safetensors", {"format": "pt"}
    )
    assert told(broken) == sentence(broken, f"{name} is missing")
    pickled = translator_folder(tmp_path / "pickled")
    torch.save({}, pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    assert told(pickled).startswith(f"augment.0.backward: {pickled}: holds no sequence-to-sequence model")
    code = translator_folder(tmp_path / "code")
    config = json.loads((code / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own"}}
    (code / "config.json").write_text(json.dumps(config))
    (code / "own.py").write_text("raise SystemExit('code of a folder was run')")
    assert told(code).startswith(f"augment.0.backward: {code}: holds no sequence-to-sequence model")


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (
            "adapter_config.json",
            "{}",
            "adapter_config.json stands beside the weights, which transformers would apply to them",
        ),
        (
            "generation_config.json",
            '{"cache_implementation": "evil"}',
            "generation_config.json: cache_implementation is 'evil', but must be a number or a list of token ids",
        ),
        (
            "generation_config.json",
            '{"watermarking_config": {"a": 1}}',
            "generation_config.json: watermarking_config is {'a': 1}, but must be a number or a list of token ids",
        ),
        (
            "generation_config.json",
            '{"num_beams": 1e400}',
            "num_beams is inf, but must be a number from -16,777,216 to 16,777,216",
        ),
        (
            "tokenizer_config.json",
            '{"tokenizer_class": "AutoModel"}',
            "tokenizer_config.json names the tokenizer_class 'AutoModel'",
        ),
        ("config.json", "[]", "config.json: is []"),
    ],
)
def test_settings_that_would_need_other_code_are_refused(
    file: str, content: str, reason: str, folder: Path, tmp_path: Path
) -> None:
    broken = translator_folder(tmp_path / "broken")
    (broken / file).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Augmenter([BackTranslation(forward=str(broken), backward=str(folder))])
    assert str(caught.value) == (
        f"augment.0.forward: {broken}: holds no sequence-to-sequence model that transformers reads ({reason}); expected "
        "config.json, model.safetensors and a tokenizer, such as of a Marian or T5 model. Check the folder."
    )
