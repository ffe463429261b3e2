"""Tokenizers from anybody: refused before use if they fail on a text, and one sentence if a text makes them fail later."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from nlptl.data import TextData
from nlptl.errors import ArtifactError
from nlptl.evaluation.missed_text import cut_texts, language_fit
from nlptl.evaluation.scores import unknown_share
from nlptl.inference.tokenizer_files import check_tokenizer, read_tokenizer
from nlptl.inference.tokenizing import TokenRule, tokenize
from nlptl.models.encoder import Encoder
from nlptl.pretraining.word2vec.tokenizer import TextSettings, untrained_tokenizer
from tests.models.test_weights import loaded
from tests.models.tiny import tiny_encoder, tiny_folder

MARKS = list(string.printable)
IDS = {mark: number for number, mark in enumerate([*MARKS, "A", "text,", "1", "+", "2."])}
PIECES = IDS | {f"##{mark}": len(IDS) + number for number, mark in enumerate(MARKS)}
WITHOUT_UNKNOWN = {
    "unigram": models.Unigram([(mark, -1.0) for mark in MARKS]),
    "word level": models.WordLevel(IDS, unk_token="[UNK]"),
    "word piece": models.WordPiece(PIECES, unk_token="[UNK]"),
    "pairs": models.BPE(IDS, [], unk_token="[UNK]"),
}
EXPLODING = "(?:a|aa)+(?=q|z)"


def split(model: Any, *, by: Any = None) -> Tokenizer:
    """Return a tokenizer with a model that gets single words, or what a pattern splits."""
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = by or pre_tokenizers.WhitespaceSplit()
    return tokenizer


@pytest.mark.parametrize("normalizer", [None, normalizers.BertNormalizer(lowercase=False)])
@pytest.mark.parametrize("model", list(WITHOUT_UNKNOWN.values()), ids=list(WITHOUT_UNKNOWN))
def test_a_tokenizer_without_unknown_token_is_refused(model: Any, normalizer: Any) -> None:
    tokenizer = split(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    with pytest.raises(ValueError, match=r"^it fails on a character that its vocabulary lacks: .*(unk|UNK)"):
        check_tokenizer(tokenizer)


def test_a_tokenizer_that_leaves_unknown_characters_out_is_none_of_them() -> None:
    check_tokenizer(split(models.BPE(IDS, [])))
    check_tokenizer(split(models.Unigram([("x", 0.0), *((mark, -1.0) for mark in MARKS)], unk_id=0)))


def change_tokenizer(folder: Path, **parts: Any) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**content, **parts}), "utf-8")


def test_weights_without_unknown_token_are_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "modernbert")
    change_tokenizer(
        folder, model=json.loads(split(WITHOUT_UNKNOWN["pairs"]).to_str())["model"], pre_tokenizer=None, post_processor=None
    )  # fmt: skip
    with pytest.raises(ArtifactError) as told:
        loaded(folder)
    assert str(told.value) == (
        f"{folder}: holds no tokenizer that transformers reads (it fails on a character that its vocabulary lacks: Unk token "
        "`[UNK]` not found in the vocabulary); expected tokenizer.json, or the vocabulary that it is made from. Get the weights "
        "again, or save it with a fast tokenizer."
    )


@pytest.mark.parametrize("part", ["normalizer", "pre_tokenizer"])
@pytest.mark.parametrize("own", [True, False])
def test_a_pattern_that_backtracks_for_ever_is_refused(own: bool, part: str, tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "weights", "bert")
    if own:
        loaded(folder).save(tmp_path / "saved")
        (tmp_path / "saved" / "manifest.json").unlink()
        folder = tmp_path / "saved"
    pattern = {"Regex": EXPLODING}
    parts = {
        "normalizer": {"type": "Replace", "pattern": pattern, "content": ""},
        "pre_tokenizer": {"type": "Split", "pattern": pattern, "behavior": "Removed", "invert": False},
    }
    change_tokenizer(folder, **{part: parts[part]})
    with pytest.raises(ArtifactError, match=r"the pattern '\(\?:a\|aa\)\+\(\?=q\|z\)' may take exponential time"):
        Encoder.read_files(folder) if own else loaded(folder)


@pytest.mark.filterwarnings("ignore:text.keep_negations")
def test_the_longest_pattern_of_word_vectors_is_accepted(tmp_path: Path) -> None:
    """It holds all stop words, in more than 2,000 characters."""
    untrained_tokenizer(TextSettings(stop_words=True, keep_negations=False)).save(str(tmp_path / "tokenizer.json"))
    read_tokenizer(tmp_path / "tokenizer.json")


def failing(encoder: Encoder) -> Encoder:
    """Return an encoder whose tokenizer fails on characters outside its vocabulary."""
    encoder.tokenizer = split(WITHOUT_UNKNOWN["unigram"])
    return encoder


def test_a_text_on_which_a_tokenizer_fails_is_named() -> None:
    encoder, text = failing(tiny_encoder("bert")), "a film " + "悪" * 100
    sentence = (
        f"The encoder's tokenizer fails on the text 'a film {'悪' * 49}... (Encountered an unknown token but `unk_id` is "
        "missing); expected one that reads every text. Use other weights, or leave the text out."
    )
    texts, data = ["good", text, "bad"], TextData(labelled=(["good", text], ["a", "b"]))
    for read in (
        lambda: encoder.encode(texts),
        lambda: language_fit(encoder, texts),
        lambda: cut_texts(encoder, data),
        lambda: unknown_share(encoder, data.labelled),  # type: ignore[arg-type]
    ):
        with pytest.raises(ArtifactError) as told:
            read()
        assert str(told.value) == sentence


def test_a_panic_of_the_tokenizer_is_told() -> None:
    by = pre_tokenizers.Split(Regex(EXPLODING), behavior="removed")
    tokenizer = split(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"), by=by)
    with pytest.raises(ArtifactError, match=r"^The encoder's tokenizer fails on the text 'a{56}\.\.\. \("):
        tokenize(tokenizer, ["good", "a" * 60], TokenRule())


def test_other_errors_are_not_taken_for_the_tokenizers() -> None:
    texts: Any = ["good", 3]
    with pytest.raises(TypeError):
        tokenize(tiny_encoder("bert").tokenizer, texts, TokenRule())
