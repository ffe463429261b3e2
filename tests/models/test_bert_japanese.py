"""Tokenizers of Japanese BERT checkpoints: the tokens of transformers' own BertJapaneseTokenizer, or a sentence."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import time
import unicodedata
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference import bert_words
from nlptl.inference.bert_words import BertWords, normalized
from nlptl.models.encoder import Encoder
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.stages.bert import Bert
from tests.models.tiny import tiny_model

TEXTS = (
    "この映画は見ていて楽しかった。",
    "とても退屈で、途中で眠くなりました！",
    "ｶﾞｰﾃﾞﾝ　ＡＢＣ①② [MASK] が",
    "Hello World, it's 3.5!",
    "",
    "  ",
    " a\tb\nc\u3000d ",
    "㍻ﾊﾟ👍🏽が" + "x" * 150,
    "[CLS]映画[SEP]",
    "か゛か\u3099 ㌔",
    "外国人参政権について " * 30,
)
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAX_LENGTH = 32
needs_mecab = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("fugashi", "unidic_lite")), reason="MeCab is optional"
)
KINDS: dict[str, Any] = {
    "sudachi": {"word_tokenizer_type": "sudachi",
                "sudachi_kwargs": {"sudachi_dict_type": "small", "sudachi_split_mode": "C"}},
    "sudachi characters": {"word_tokenizer_type": "sudachi", "subword_tokenizer_type": "character",
                           "sudachi_kwargs": {"sudachi_dict_type": "small", "normalize_text": False}},
    "basic": {"word_tokenizer_type": "basic"},
    "basic in lower case": {"word_tokenizer_type": "basic", "do_lower_case": True},
    "mecab": {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": "unidic_lite"}},
    "mecab characters": {"word_tokenizer_type": "mecab", "subword_tokenizer_type": "character"},
    "mecab in lower case": {"word_tokenizer_type": "mecab", "do_lower_case": True, "mecab_kwargs": {"normalize_text": False}},
}  # fmt: skip
BESIDE = "its tokenizer adds the token '{}'; expected no tokens beside the five special ones ([UNK], [SEP], [PAD], [CLS], [MASK])."
KIND = [pytest.param(kind, marks=needs_mecab if "mecab" in kind else ()) for kind in KINDS]


def checkpoint(folder: Path, **settings: Any) -> Path:
    """Write a small checkpoint with the tokenizer files of cl-tohoku's: vocab.txt and tokenizer_config.json."""
    characters = sorted({character for text in TEXTS for character in text if not character.isspace()} | set("abhelo"))
    pairs = sorted({text[at : at + 2] for text in TEXTS[:2] for at in range(len(text) - 1)})
    by_character = settings.get("subword_tokenizer_type") == "character"
    vocabulary = [*SPECIAL, *characters, *([] if by_character else [*(f"##{one}" for one in characters), *pairs])]
    tiny_model("bert", vocab_size=len(vocabulary)).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    content = {"tokenizer_class": "BertJapaneseTokenizer", "model_max_length": MAX_LENGTH, **settings}
    (folder / "tokenizer_config.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def transformers_tokenizer(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # transformers calls SudachiPy by an old name
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def of_transformers(folder: Path) -> list[list[int]]:
    tokenizer = transformers_tokenizer(folder)
    return [tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"] for text in TEXTS]


def refusal(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        Bert(weights=str(folder)).check(where="bert")
    with pytest.raises(ArtifactError) as opened:
        pretrained_encoder(folder)
    told = str(caught.value)
    assert str(opened.value) == told.removeprefix("bert.weights: ")
    return told.removeprefix(f"bert.weights: {folder}: ")


@pytest.mark.parametrize("kind", KIND)
def test_the_tokens_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS[kind])
    expected = of_transformers(folder)
    encoder = pretrained_encoder(folder)
    assert encoder.token_model.read(encoder.tokenizer, TEXTS) == expected
    assert [found.ids for found in encoder.tokenizer.encode_batch(TEXTS)] == expected
    encoder.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    assert again.token_model.read(again.tokenizer, TEXTS) == expected
    np.testing.assert_allclose(encoder.encode(TEXTS), again.encode(TEXTS), atol=1e-6)
    assert of_transformers(tmp_path / "saved") == expected


@pytest.mark.parametrize("kind", ["sudachi", "sudachi characters"])
def test_a_vocabulary_with_a_line_twice_keeps_its_ids(kind: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS[kind])
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join([*lines[:5], lines[9], *lines[5:-1]]) + "\n", encoding="utf-8")
    expected = of_transformers(folder)
    encoder = pretrained_encoder(folder)
    assert encoder.token_model.read(encoder.tokenizer, TEXTS) == expected
    encoder.save(tmp_path / "saved")
    assert of_transformers(tmp_path / "saved") == expected
    both = [transformers_tokenizer(one).get_vocab() for one in (folder, tmp_path / "saved")]
    assert both[0] == both[1]
    again = Encoder.load(tmp_path / "saved")
    assert again.token_model.read(again.tokenizer, TEXTS) == expected


@pytest.mark.parametrize("kind", ["sudachi", "basic"])
def test_long_texts_lose_their_beginning_where_the_tokenizer_says_so(kind: str, tmp_path: Path) -> None:
    folder, text = checkpoint(tmp_path / "left", **KINDS[kind], truncation_side="left"), TEXTS[0] * 3 + TEXTS[1] * 3
    expected = transformers_tokenizer(folder)(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    assert expected != pretrained_encoder(checkpoint(tmp_path / "right", **KINDS[kind])).tokenizer.encode(text).ids
    encoder = pretrained_encoder(folder)
    assert encoder.token_model.read(encoder.tokenizer, [text]) == [expected]
    encoder.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    assert again.token_model.read(again.tokenizer, [text]) == [expected]
    saved = transformers_tokenizer(tmp_path / "saved")
    assert saved(text, truncation=True, max_length=MAX_LENGTH)["input_ids"] == expected


def test_a_folder_that_transformers_saved_is_read(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS["sudachi"])
    transformers_tokenizer(folder).save_pretrained(tmp_path / "again")
    (tmp_path / "again" / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "again" / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    encoder = pretrained_encoder(tmp_path / "again")
    assert encoder.token_model.read(encoder.tokenizer, TEXTS) == of_transformers(folder)


@pytest.mark.parametrize("kind", [KIND[0], KIND[1], KIND[4]])
def test_tokens_know_their_places(kind: str, tmp_path: Path) -> None:
    encoder = pretrained_encoder(checkpoint(tmp_path / "weights", **KINDS[kind]))
    text = "この映画は見ていて楽しかった。"
    found = encoder.tokenizer.encode(text, add_special_tokens=False)
    assert "".join(text[begin:end] for begin, end in found.offsets) == text
    for token, (begin, end) in zip(found.tokens, found.offsets, strict=True):
        assert token.removeprefix("##") in (text[begin:end], "[UNK]")


@pytest.mark.parametrize(("text", "clean"), [("ｶﾞｰ①x", "ガー1x"), ("か\u3099", "が"), ("abc", "abc"), ("", "")])
def test_places_before_nfkc(text: str, clean: str) -> None:
    found, places = normalized(text)
    assert found == clean
    if places is not None:
        assert [text[begin:end] for begin, end in places] == {"ガー1x": ["ｶﾞ", "ｰ", "①", "x"], "が": ["か\u3099"]}[clean]


def test_nfkc_of_a_flood_of_marks_takes_no_quadratic_time() -> None:
    """A text that a server takes has up to 100,000 characters; 40,000 took Python 1.2 seconds, four times as long as 20,000."""
    flood = "か" + "\u0301\u0316" * 50_000
    begin = time.process_time()
    clean, places = normalized(flood)
    words = BertWords(program="sudachi", dictionary="small", subwords="character")
    assert len([*words.parts(flood)]) == len(flood)
    assert time.process_time() - begin < 4.0
    assert places is not None
    assert len(places) == len(clean) == len(flood)
    some = "か" + "\u0301\u0316" * 90 + "ｶﾞ"
    assert normalized(some)[0] == unicodedata.normalize("NFKC", some)


def test_the_dictionary_is_in_the_identity_and_in_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS["sudachi"])
    found = importlib.metadata.version("sudachidict-small")
    assert Bert(weights=str(folder)).external_digests()["dictionary"] == f"sudachidict-small {found}"
    pretrained_encoder(folder).save(tmp_path / "saved")
    monkeypatch.setattr(BertWords, "installed_version", lambda self: "0.1")
    with pytest.warns(UserWarning, match="found the dictionary sudachidict-small 0.1, but the words were cut by"):
        Encoder.load(tmp_path / "saved")


@pytest.mark.parametrize(
    ("kind", "missing", "told"),
    [
        ("mecab", ("fugashi", "unidic_lite"), "found no fugashi and no unidic-lite, by which this tokenizer cuts Japanese into "
         "words; expected what its weights were trained with. Run pip install 'nlptl[mecab]'."),
        ("sudachi", ("sudachipy",), "found no SudachiPy, by which this tokenizer cuts Japanese into words; expected what its "
         "weights were trained with. Run pip install 'nlptl[ja]'."),
    ],
)  # fmt: skip
def test_a_package_is_missing(
    kind: str, missing: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(bert_words.importlib.util, "find_spec", lambda name: None if name in missing else find(name))
    version = "" if len(missing) > 1 else "1"
    monkeypatch.setattr(BertWords, "installed_version", lambda self: version)
    assert refusal(checkpoint(tmp_path / "weights", **KINDS[kind])) == told


@pytest.mark.parametrize("normalize", [True, False])
def test_texts_that_are_too_long_for_sudachi_are_cut_in_pieces(normalize: bool) -> None:
    cutter = BertWords(program="sudachi", dictionary="small", normalize=normalize)
    text, count = "この映画は面白かった。", 1_700
    found = list(cutter.words(text * count))
    assert [word for word, _ in found] == [word for word, _ in cutter.words(text)] * count
    assert "".join((text * count)[begin:end] for _, (begin, end) in found) == text * count


@pytest.mark.parametrize("sign", ["𠮷", "映", "İ", "㍿", "ﷺ"])
def test_no_text_without_an_end_is_too_long_for_sudachi(sign: str) -> None:
    assert list(BertWords(program="sudachi", dictionary="small").words(sign * 13_000))


def test_a_program_that_does_not_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mecab, sudachi = (checkpoint(tmp_path / kind, **KINDS[kind]) for kind in ("mecab", "sudachi"))
    seem_installed(monkeypatch, "fugashi", "sudachipy")
    monkeypatch.setitem(sys.modules, "fugashi", None)
    assert refusal(mecab) == (
        "found fugashi, which cannot be imported (import of fugashi halted; None in sys.modules); expected one that works. Run "
        "pip install --force-reinstall fugashi."
    )
    monkeypatch.setitem(sys.modules, "sudachipy", None)
    assert refusal(sudachi) == (
        "found SudachiPy, which cannot be imported (import of sudachipy halted; None in sys.modules); expected one that works. "
        "Run pip install --force-reinstall SudachiPy."
    )


def seem_installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: True if name in names else find(name, *rest))
    monkeypatch.setattr(BertWords, "installed_version", lambda self: "1")


@pytest.mark.parametrize(
    ("dictionary", "command"),
    [("unidic", "python -m unidic download"), ("unidic_lite", "pip install --force-reinstall unidic-lite")],
)
def test_a_dictionary_of_mecab_that_cannot_be_opened(
    dictionary: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tagger(options: str) -> Any:
        raise RuntimeError("\nFailed initializing MeCab. Please see the README.\nA second line.")

    settings = {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": dictionary}}
    folder = checkpoint(tmp_path / "weights", **settings)
    seem_installed(monkeypatch, "fugashi")
    monkeypatch.setattr(bert_words, "_OF_THREAD", bert_words._TaggersOfThread())
    monkeypatch.setitem(sys.modules, "fugashi", SimpleNamespace(GenericTagger=tagger))
    monkeypatch.setitem(sys.modules, dictionary, SimpleNamespace(DICDIR=str(tmp_path)))
    assert refusal(folder) == (
        f"found the dictionary {dictionary} of MeCab, which cannot be opened (Failed initializing MeCab. Please see the README); "
        f"expected one that works. Run {command}."
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"word_tokenizer_type": "jumanpp"}, "its word_tokenizer_type is 'jumanpp', and only mecab, sudachi and basic are read."),
        ({**KINDS["sudachi"], "subword_tokenizer_type": "sentencepiece"},
         "its subword_tokenizer_type is 'sentencepiece' over sudachi, which is not read."),
        ({**KINDS["sudachi"], "never_split": ["film"]}, "its tokenizer_config.json sets never_split, which is not read."),
        ({**KINDS["sudachi"], "sudachi_kwargs": {"sudachi_config_path": "/etc/x"}},
         "its sudachi_kwargs hold sudachi_config_path, which is not read."),
        ({"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_option": "-o /tmp/x"}},
         "its mecab_kwargs hold mecab_option, which is not read."),
        ({**KINDS["sudachi"], "unk_token": 7}, "its special tokens are no texts."),
        ({**KINDS["basic"], "truncation_side": "middle"},
         "its truncation_side is 'middle', and only left and right are read."),
        ({**KINDS["basic"], "additional_special_tokens": ["<film>"]}, BESIDE.format("<film>")),
        ({**KINDS["sudachi"], "extra_special_tokens": {"film_token": "<film>"}}, BESIDE.format("<film>")),
        ({**KINDS["sudachi"], "bos_token": "<s>"}, BESIDE.format("<s>")),
        ({**KINDS["sudachi"], "added_tokens_decoder": {"9": {"content": "<film>", "special": False}}},
         BESIDE.format("<film>")),
        ({**KINDS["sudachi"], "mask_token": {"content": "[MASK]", "lstrip": True}},
         "its special token '[MASK]' sets lstrip, which is not read."),
    ],
)  # fmt: skip
def test_settings_that_are_not_honoured(settings: dict[str, Any], told: str, tmp_path: Path) -> None:
    assert refusal(checkpoint(tmp_path / "weights", **settings)) == f"{told} Choose other weights."


def test_added_tokens_in_a_file_of_their_own(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS["basic"])
    (folder / "added_tokens.json").write_text('{"[MASK]": 4}')
    assert pretrained_encoder(folder).token_model.dim > 0
    (folder / "added_tokens.json").write_text('{"<film>": 99}')
    assert refusal(folder) == f"{BESIDE.format('<film>')} Choose other weights."
    (folder / "added_tokens.json").unlink()
    (folder / "special_tokens_map.json").write_text('{"additional_special_tokens": ["<film>"]}')
    assert refusal(folder) == f"{BESIDE.format('<film>')} Choose other weights."


def test_an_added_token_with_another_id(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS["basic"], added_tokens_decoder={"9": {"content": "[MASK]"}})
    with pytest.raises(ArtifactError) as caught:
        pretrained_encoder(folder)
    assert str(caught.value) == (
        f"{folder}: its tokenizer_config.json gives [MASK] the id 9; expected 4, its line in vocab.txt. Get the weights again."
    )


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"word_tokenizer_type": "sudachi", "sudachi_kwargs": "x"}, "sudachi_kwargs is 'x', but must be a block"),
        ({"word_tokenizer_type": "mecab", "mecab_kwargs": [1]}, "mecab_kwargs is [1], but must be a block"),
        ({"word_tokenizer_type": ["sudachi"]}, "word_tokenizer_type is ['sudachi'], but must be a name"),
        ({"subword_tokenizer_type": {}}, "subword_tokenizer_type is {}, but must be a name"),
        ({"do_lower_case": "yes"}, "do_lower_case is 'yes', but must be true or false"),
        ({"truncation_side": 1}, "truncation_side is 1, but must be left or right"),
        ({"added_tokens_decoder": ["a"]}, "added_tokens_decoder is ['a'], but must be a block"),
        ({"added_tokens_decoder": {"x": "a"}},
         "added_tokens_decoder holds 'a' at 'x', but must hold tokens by their ids"),
    ],
)  # fmt: skip
def test_settings_of_another_type(settings: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **settings)
    assert refusal(folder) == f"its tokenizer_config.json has a fault: {told}. Get the weights again."


@pytest.mark.parametrize(
    ("dictionary", "told"),
    [
        ("../../etc", "dictionary is '../../etc', but must be one of unidic_lite, unidic, ipadic, small, core, full."),
        ("small", "BertWords: found the dictionary small, which mecab does not read."),
    ],
)
def test_a_dictionary_that_mecab_does_not_read(dictionary: str, told: str, tmp_path: Path) -> None:
    settings = {"word_tokenizer_type": "mecab", "mecab_kwargs": {"mecab_dic": dictionary}}
    assert refusal(checkpoint(tmp_path / "weights", **settings)) == f"its tokenizer_config.json has a fault: {told}"


def test_a_vocabulary_without_a_special_token(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "weights", **KINDS["sudachi"])
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
    with pytest.raises(ArtifactError) as caught:
        pretrained_encoder(folder)
    assert str(caught.value) == f"{folder}: vocab.txt lacks [MASK]. Get the weights again."
