"""Vectors from a file, against the settings by which text becomes words."""

from __future__ import annotations

from pathlib import Path

import pytest

from nlptl.context import Record, RunContext
from nlptl.data import TextData
from nlptl.errors import DataError
from nlptl.pretraining.word2vec.given_vectors import given_vectors
from nlptl.pretraining.word2vec.tokenizer import TextSettings
from nlptl.stages.skipgram import SkipGram


def written(path: Path, *words: str) -> Path:
    path.write_text("".join(f"{word} {place} 1\n" for place, word in enumerate(words)), encoding="utf-8")
    return path


def fault(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        SkipGram(vectors=str(path)).run(data=TextData())
    return str(caught.value)


def test_words_that_no_text_can_have_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "v", "Soup", "Bread")
    assert fault(path) == (
        f"{path}: no text can have a word of this file; the settings of `text` change all 2 that were tried, for example "
        "'Soup' to 'soup'. These words have capitals: set text.lowercase to false."
    )
    assert given_vectors(path, TextSettings(lowercase=False), Record()).words == ["Soup", "Bread"]
    path = written(tmp_path / "v", "soup/NN", "bread/NN", "...")
    assert fault(path) == (
        f"{path}: no text can have a word of this file; the settings of `text` change all 3 that were tried, for example "
        "'soup/NN' to 'soup' and 'nn'. Expected words without blanks, tags and marks. Rename them in the file."
    )


def test_many_words_that_no_text_can_have_are_told(tmp_path: Path) -> None:
    path = written(tmp_path / "v", "soup", "!", "Bread")
    context = RunContext()
    SkipGram(vectors=str(path)).run(data=TextData(), context=context)
    assert context.record.warnings == [
        f"{path}: 67 % of the first 3 words are found in no text, since the settings of `text` change them, for example "
        "'!' to nothing."
    ]
    quiet = Record()
    given_vectors(written(tmp_path / "v", "soup", "Bread"), TextSettings(), quiet)
    assert quiet.warnings == []


def test_what_was_left_out_is_a_warning(tmp_path: Path) -> None:
    path = written(tmp_path / "v", *(f"w{place}" for place in range(200)), "w7")
    record = Record()
    given_vectors(path, TextSettings(), record)
    assert record.warnings == [f"{path}: 1 word that stood there before was left out; the first is vector 201."]
