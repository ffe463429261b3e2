"""Words filled in by a masked LM: places, candidates, and the model's own logits."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from nlptl.errors import ConfigError
from nlptl.finetuning.augmentation import Augmenter, MaskedLMReplacement
from nlptl.finetuning.augmentation.word_filler import WordFiller, weights_of
from tests.models.tiny import MODEL_TYPES, WORDS, tiny_folder, tiny_tokenizer
from tests.pretraining.piles import masked_lm_folder

CPU = torch.device("cpu")


def filler(folder: Path, **settings: Any) -> WordFiller:
    return WordFiller.open(MaskedLMReplacement(weights=str(folder), **settings), device=CPU, where="augment.0")


def rngs(count: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(count)]


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return masked_lm_folder(tmp_path_factory.mktemp("bert"), "bert")


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_the_likeliest_word_is_transformers_own(model_type: str, tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path, model_type)
    text = "was the film good"
    version = filler(folder, share=0.01, top_k=1)(text, rngs(1))[0]
    places = [i for i, (old, new) in enumerate(zip(text.split(), version.split(), strict=True)) if old != new]
    assert len(places) == 1

    model = transformers.AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = tiny_tokenizer(model_type)
    encoding = tokenizer(text, return_offsets_mapping=True)
    words = [text[begin:end].strip() for begin, end in encoding["offset_mapping"]]
    place = words.index(text.split()[places[0]])
    ids = torch.tensor([encoding["input_ids"]])
    old = int(ids[0, place])
    ids[0, place] = tokenizer.mask_token_id
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0, place]
    mark = tokenizer.convert_ids_to_tokens(old)[0]
    mark = mark if mark in "Ġ▁" else ""
    for number in logits.argsort(descending=True).tolist():
        token = tokenizer.convert_ids_to_tokens(number)
        if number != old and token.startswith(mark) and token[len(mark) :].isascii() and token[len(mark) :].isalpha():
            break
    assert version.split()[places[0]] == token[len(mark) :]


def test_words_are_drawn_as_likely_as_the_model_has_them(bert: Path) -> None:
    text = "film 1"
    ids = tiny_tokenizer("bert")(text, return_tensors="pt").input_ids
    old = int(ids[0, 1])
    ids[0, 1] = 4
    with torch.no_grad():
        logits = transformers.AutoModelForMaskedLM.from_pretrained(bert).eval()(input_ids=ids).logits[0, 1].double()
    tokens = tiny_tokenizer("bert").convert_ids_to_tokens(range(len(logits)))
    possible = [i for i, token in enumerate(tokens) if token.isalpha() and i != old]
    chances = dict(zip((tokens[i] for i in possible), torch.softmax(logits[possible] / 0.5, 0).tolist(), strict=True))
    versions = filler(bert, temperature=0.5, top_k=1000)(text, rngs(3000))
    drawn = Counter(version.split()[0] for version in versions)
    assert set(drawn) <= set(chances)
    assert max(abs(drawn[word] / 3000 - chance) for word, chance in chances.items()) < 0.035


def test_only_whole_words_are_replaced(bert: Path) -> None:
    text = "@film the Xylophone, #good 12 film https://t.co/film GREAT!"
    changed: Counter[str] = Counter()
    for version in filler(bert, share=0.3)(text, rngs(60)):
        new = version.split()
        assert len(new) == len(text.split())
        changed.update(old for old, word in zip(text.split(), new, strict=True) if old != word)
        assert new[-1] == new[-1].upper()
        assert new[-1].endswith("!")
        assert not any("#" in word and word != "#good" for word in new)
    assert set(changed) == {"the", "film", "GREAT!"}


def test_the_share_counts_words_and_one_stays(bert: Path) -> None:
    text = " ".join(WORDS)
    for version in filler(bert, share=0.5)(text, rngs(10)):
        assert sum(old != new for old, new in zip(text.split(), version.split(), strict=True)) == 6
    for version in filler(bert, share=0.99)(text, rngs(5)):
        assert sum(old != new for old, new in zip(text.split(), version.split(), strict=True)) == 11
    for text in ("film", "", "12 !", "xq zv"):
        assert filler(bert)(text, rngs(2)) == [text, text]


def test_what_lies_behind_the_longest_text_stays(bert: Path) -> None:
    text = "film " * 100
    version = filler(bert, share=0.99)(text, rngs(1))[0].split()
    assert version[:62].count("film") == 1
    assert set(version[62:]) == {"film"}


def test_weights_without_a_head_are_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "plain", "bert")
    with pytest.raises(ConfigError) as caught:
        Augmenter([MaskedLMReplacement(weights=str(folder))])
    assert str(caught.value) == (
        f"augment.0.weights: {folder}: found no masked-LM head; expected weights that carry one, which sentence encoders "
        "do not. Give those of a masked LM, such as google-bert/bert-base-uncased, or choose another kind."
    )


def test_a_missing_folder_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^augment\.0\.weights: \./nowhere: no such folder"):
        Augmenter([MaskedLMReplacement(weights="./nowhere")])


def test_a_tokenizer_without_a_mask_is_refused(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "bert", "bert")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tiny_tokenizer("bert").backend_tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    )
    tokenizer.save_pretrained(folder)
    with pytest.raises(ConfigError) as caught:
        Augmenter([MaskedLMReplacement(weights=str(folder))])
    assert str(caught.value) == (
        f"augment.0.weights: {folder}: found a tokenizer without a mask token; expected one such as [MASK]. Give weights "
        "with their own tokenizer, or choose another kind."
    )


def test_weights_may_lie_in_a_folder_below(tmp_path: Path) -> None:
    inner = masked_lm_folder(tmp_path / "old" / "0_Transformer", "bert")
    module = [{"idx": 0, "name": "0", "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]
    (tmp_path / "old" / "modules.json").write_text(json.dumps(module))
    generators = [[np.random.default_rng(seed) for seed in range(3)] for _ in range(2)]
    text = "the film is good and the story is great"
    assert filler(tmp_path / "old")(text, generators[0]) == filler(inner)(text, generators[1])


def test_damaged_weights_are_told(tmp_path: Path) -> None:
    folder = masked_lm_folder(tmp_path / "w", "bert")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:100])
    with pytest.raises(ConfigError) as caught:
        weights_of(MaskedLMReplacement(weights=str(folder)), where="augment.0")
    assert str(caught.value).startswith(f"weights: {folder}: cannot be read (")
    assert str(caught.value).endswith("; expected config.json and a whole model.safetensors. Get the weights again.")
