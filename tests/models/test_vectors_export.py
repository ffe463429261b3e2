"""Export of a run's word vectors, with gensim as the judge."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from gensim.models import KeyedVectors
from gensim.models.fasttext import load_facebook_model

from nlptl.errors import ArtifactError, ConfigError, StorageError
from nlptl.models.encoder import Encoder
from nlptl.models.word_vector_files.export import export_vectors
from nlptl.models.word_vector_files.reading import read_counts, read_vectors
from nlptl.models.word_vectors import WordVectors
from nlptl.pretraining.word2vec.tokenizer import set_vocabulary
from tests.models.test_word_vectors import WORDS, encoder, table

TEXTS = {"word2vec": {}, "word2vec-binary": {"binary": True}, "keyedvectors": {"binary": True},
         "glove": {"no_header": True}}  # fmt: skip


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Encoder]:
    given = encoder()
    given.save(tmp_path / "run")
    return tmp_path / "run", given


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # gensim leaves a file open (GloVe)
@pytest.mark.parametrize("form", TEXTS)
@pytest.mark.parametrize("name", ["vectors.out", "vectors.gz"])
def test_files_of_vectors(form: str, name: str, saved: tuple[Path, Encoder], tmp_path: Path) -> None:
    folder, given = saved
    out = tmp_path / name
    first, second = export_vectors(folder, out, format=form)
    assert first == f"{out}: 9 words of 8 numbers."
    keyed = eval(second.removeprefix("In Python: from gensim.models import KeyedVectors; "))
    assert keyed.index_to_key == WORDS[1:]
    np.testing.assert_array_equal(keyed.vectors, given.token_model.vectors.detach().numpy()[1:])
    words, vectors = read_vectors(out)
    assert words == WORDS[1:]
    np.testing.assert_array_equal(vectors, keyed.vectors)
    counts = given.token_model.counts[1:].tolist()
    assert read_counts(out) == (dict(zip(words, counts, strict=True)) if form == "keyedvectors" else None)
    if form == "keyedvectors":
        assert [keyed.get_vecattr(word, "count") for word in words] == counts
    assert {path.name for path in tmp_path.iterdir()} <= {"run", name, f"{name}.vocab"}


def test_fasttext_knows_unseen_words_too(saved: tuple[Path, Encoder], tmp_path: Path) -> None:
    folder, given = saved
    name = "model.bin"
    with pytest.raises(ConfigError) as caught:
        export_vectors(folder, tmp_path / "model.gz", format="fasttext")
    assert str(caught.value) == (
        f"--out: found {tmp_path / 'model.gz'} for fastText's model, which its readers do not unpack; "
        "expected another name. Remove .gz."
    )
    _, second = export_vectors(folder, tmp_path / name, format="fasttext")
    assert second == (
        f"In Python: from gensim.models import fasttext; fasttext.load_facebook_model('{tmp_path / name}')"
    )
    model = load_facebook_model(str(tmp_path / name))
    texts = ["film", "filmm", "goood", "tokyo", "東京", "the"]
    np.testing.assert_allclose(np.stack([model.wv[word] for word in texts if word != "東京"]),
                               given.encode([word for word in texts if word != "東京"]), atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(model.wv["new_york"], given.encode(["New York"])[0], atol=1e-5)
    np.testing.assert_allclose((model.wv["東"] + model.wv["京"]) / 2, given.encode(["東京"])[0], atol=1e-5)


def test_fasttext_without_ngrams_is_text(tmp_path: Path) -> None:
    given = encoder(table(spelling=None))
    given.save(tmp_path / "run")
    told = export_vectors(tmp_path / "run", tmp_path / "v.vec", format="fasttext")
    assert told[2] == "The run has no n-grams, so this is fastText's text (.vec); its model would hold nothing more."
    assert KeyedVectors.load_word2vec_format(str(tmp_path / "v.vec")).index_to_key == WORDS[1:]


def test_words_with_spaces_are_left_out(tmp_path: Path) -> None:
    given = encoder(table(spelling=None, phrases=None))
    words = list(WORDS)
    words[2], words[4] = "at name", "a\u3000b"
    set_vocabulary(given.tokenizer, words)
    given.save(tmp_path / "run")
    told = export_vectors(tmp_path / "run", tmp_path / "v", format="keyedvectors")
    assert told[0] == f"{tmp_path / 'v'}: 7 words of 8 numbers."
    assert told[2] == "2 words that hold a space were left out; they are found in no text."
    path = str(tmp_path / "v")
    keyed = KeyedVectors.load_word2vec_format(path, fvocab=f"{path}.vocab", binary=True)
    assert keyed.index_to_key == [word for word in words[1:] if " " not in word and "\u3000" not in word]
    np.testing.assert_array_equal(keyed["bad"], given.token_model.vectors.detach().numpy()[3])


def test_a_file_that_exists_is_kept(saved: tuple[Path, Encoder], tmp_path: Path) -> None:
    for name in ("v", "v.vocab"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(ConfigError) as caught:
            export_vectors(saved[0], tmp_path / "v", format="keyedvectors")
        assert str(caught.value) == (
            f"--out: {tmp_path / name} exists; nothing was overwritten. "
            "Name another file, or add --force to replace it."
        )
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "v").write_text("mine")
    export_vectors(saved[0], tmp_path / "v", format="word2vec", force=True)
    assert read_vectors(tmp_path / "v")[0] == WORDS[1:]


def test_an_unknown_format_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        export_vectors(tmp_path, tmp_path / "v", format="fastext")
    assert str(caught.value) == (
        "--format: found 'fastext'; expected one of word2vec, word2vec-binary, keyedvectors, glove, fasttext. "
        "Did you mean 'fasttext'?"
    )


@pytest.mark.parametrize("form", [*TEXTS, "fasttext"])
def test_a_full_disk_leaves_nothing(
    form: str, saved: tuple[Path, Encoder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "v").write_text("mine")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"v(\.vocab)?: cannot be written \(No space left on device\)"):
        export_vectors(saved[0], tmp_path / "v", format=form, force=True)
    assert (tmp_path / "v").read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"run", "v"}


def test_a_transformer_has_none(tmp_path: Path) -> None:
    from nlptl.data import TextData
    from nlptl.stages.bert import Bert
    from tests.models.tiny import tiny_folder

    folder = tiny_folder(tmp_path / "tiny", "bert")
    Bert(weights=str(folder)).run(data=TextData()).save(tmp_path / "run")
    with pytest.raises(ConfigError) as caught:
        export_vectors(tmp_path / "run", tmp_path / "v", format="word2vec")
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: holds a transformer, whose words have no vector of their own; expected a run that begins "
        "with skipgram. Choose one."
    )


def test_a_changed_folder_is_told(saved: tuple[Path, Encoder], tmp_path: Path) -> None:
    (saved[0] / "encoder.json").write_text("{}")
    with pytest.raises(ArtifactError, match="differs from its digest"):
        export_vectors(saved[0], tmp_path / "v", format="word2vec")


def test_moved_vectors_are_exported(tmp_path: Path) -> None:
    given = encoder()
    assert isinstance(given.token_model, WordVectors)
    with torch.no_grad():
        given.token_model.vectors[1] += 1.0
    given.save(tmp_path / "run")
    export_vectors(tmp_path / "run", tmp_path / "m.bin", format="fasttext")
    model = load_facebook_model(str(tmp_path / "m.bin"))
    np.testing.assert_allclose(np.stack([model.wv["film"], model.wv["zzz"]]), given.encode(["film", "zzz"]), atol=1e-5)
