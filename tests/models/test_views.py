"""Views beside an encoder's own vectors: joined, carried, saved; never moved, never trained."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from nlptl.errors import ArtifactError
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.heads import Head
from nlptl.models.packing import pack
from nlptl.models.view_terms import Ngrams, NgramTerms, WordTerms
from nlptl.models.views import View
from nlptl.pretraining.word2vec.tokenizer import TextSettings, set_vocabulary, untrained_tokenizer
from tests.models.test_word_vectors import encoder as word_encoder
from tests.models.tiny import TEXTS, tiny_encoder

NGRAMS = ["film", "good", "good film", "é"]


def word_view() -> View:
    tokenizer = untrained_tokenizer(TextSettings())
    set_vocabulary(tokenizer, ["[UNK]", "film", "good", "the"])
    return View(WordTerms(tokenizer), torch.arange(8.0).reshape(4, 2), torch.tensor([0.5, -1.0]))


def ngram_view() -> View:
    words = Ngrams("words", (1, 2), NGRAMS[:3], np.array([1.0, 2.0, 3.0], np.float32))
    characters = Ngrams("characters", (1, 1), NGRAMS[3:], np.array([1.5], np.float32))
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    return View(NgramTerms((words, characters)), table, torch.full((3,), 0.1))


@pytest.fixture(params=["transformer", "words"])
def given(request: pytest.FixtureRequest) -> Encoder:
    return tiny_encoder("bert") if request.param == "transformer" else word_encoder()


@pytest.fixture
def joined(given: Encoder) -> Encoder:
    return given.with_views([word_view(), ngram_view()]).eval()


def test_a_view_is_its_terms_times_its_table() -> None:
    view = word_view()
    found = view.vectors(["Good good film, unseen", "the", "unseen", ""])
    np.testing.assert_allclose(found, [[2.5, 5.0], [5.5, 8.0], [0, 0], [0, 0]], atol=1e-6)
    assert found.dtype == torch.float32
    wider = view.with_columns(torch.ones(4, 1), torch.zeros(1))
    np.testing.assert_allclose(wider.vectors(["the film", "x"]), [[3.5, 6.0, 1.0], [0, 0, 0]], atol=1e-6)
    assert (view.dim, wider.dim) == (2, 3)


def test_the_vectors_of_views_follow_the_encoders_own(given: Encoder, joined: Encoder) -> None:
    texts = [*TEXTS, "good film", ""]
    found = joined.encode(texts)
    assert (joined.dim, joined.own_dim, given.own_dim) == (given.dim + 5, given.dim, given.dim)
    np.testing.assert_array_equal(found[:, : given.dim], given.encode(texts))
    np.testing.assert_array_equal(found[:, given.dim : given.dim + 2], word_view().vectors(texts))
    np.testing.assert_array_equal(found[:, given.dim + 2 :], ngram_view().vectors(texts))
    rows = torch.tensor([2, 0])
    np.testing.assert_allclose(joined(joined.tokenized(texts).batch(rows)).detach(), found[rows], atol=1e-5)
    np.testing.assert_array_equal(joined.with_views(()).encode(texts), given.encode(texts))


def test_a_batch_without_views_is_refused(joined: Encoder) -> None:
    with pytest.raises(ValueError, match="carries no vectors of the encoder's views; make it with `tokenized`"):
        joined(pack(joined.token_ids(["good film"])))


def test_views_stay_on_the_cpu_in_float32(joined: Encoder) -> None:
    texts = ["good film", "the"]
    views = joined.encode(texts)[:, joined.own_dim :]
    np.testing.assert_array_equal(joined.encode(texts, precision="bfloat16")[:, joined.own_dim :], views)
    moved = copy.deepcopy(joined).to("meta").to(torch.bfloat16)
    assert moved.device.type == "meta"
    np.testing.assert_array_equal(moved.view_vectors(texts), views)
    assert not any(parameter.shape == (4, 2) for parameter in joined.parameters()), "they never learn"


def test_threads_get_the_vectors_of_one(joined: Encoder) -> None:
    expected, found = joined.encode(TEXTS), {}

    def encode(number: int) -> None:
        found[number] = joined.encode(TEXTS)

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    for vectors in found.values():
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_one_folder_holds_encoder_views_and_head(joined: Encoder, tmp_path: Path) -> None:
    classifier = TextClassifier(joined, Head(joined.dim, 2), ["a", "b"])
    classifier.save(tmp_path / "saved")
    again = Encoder.load(tmp_path / "saved")
    texts = [*TEXTS, "good film", "unseen", ""]
    np.testing.assert_array_equal(again.encode(texts), joined.encode(texts))
    settings = json.loads((tmp_path / "saved" / "encoder.json").read_text(encoding="utf-8"))
    assert settings["views"] == [{"terms": "words"}, {"terms": "ngrams", "words": [1, 2], "characters": [1, 1]}]
    note = (tmp_path / "saved" / "other-tools.txt").read_text(encoding="utf-8").splitlines()
    assert note[0] == (
        "No other tool gives the vectors of this folder, because it joins views of other terms to them. Load it with nlptl: "
        "Encoder.load(folder)."
    )
    assert not (tmp_path / "saved" / "modules.json").exists()


def test_a_folder_without_views_says_nothing_of_them(given: Encoder, tmp_path: Path) -> None:
    given.save(tmp_path / "saved")
    assert "views" not in json.loads((tmp_path / "saved" / "encoder.json").read_text(encoding="utf-8"))
    assert Encoder.load(tmp_path / "saved").views == ()


def in_tensors(name: str, change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / name)
        change(tensors)
        save_file(tensors, folder / name)

    return changed


def in_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        before = (folder / name).read_text(encoding="utf-8")
        assert old in before
        (folder / name).write_text(before.replace(old, new), encoding="utf-8")

    return changed


UNFIT = (
    "{folder}/view_{number}.safetensors: does not fit the view that encoder.json describes ({why}); the folder is damaged. "
    "Run the stage again."
)
DAMAGED = {
    "fewer rows": (
        in_tensors("view_0.safetensors", lambda tensors: tensors.update(table=torch.zeros(3, 2))),
        UNFIT.format(folder="{folder}", number=0, why="table (3, 2) and centre (2,) of 4 terms"),
    ),
    "no numbers": (
        in_tensors("view_0.safetensors", lambda tensors: tensors.update(centre=torch.full((2,), torch.nan))),
        UNFIT.format(folder="{folder}", number=0, why="numbers that are not finite"),
    ),
    "no table": (
        in_tensors("view_1.safetensors", lambda tensors: tensors.pop("table")),
        UNFIT.format(folder="{folder}", number=1, why="'table'"),
    ),
    "an n-gram twice": (
        in_text("view_1.json", '"good film"', '"good"'),
        UNFIT.format(folder="{folder}", number=1, why="n-grams of words that repeat, or fit no frequencies"),
    ),
    "n-grams that are numbers": (
        in_text("view_1.json", '"good film"', "7"),
        "{folder}/view_1.json: words.2 is 7, but must be a text; put it in quotes. The folder is damaged or of another "
        "version. Run the stage again.",
    ),
    "other terms": (
        in_text("encoder.json", '"terms": "words"', '"terms": "stars"'),
        "{folder}/encoder.json: views.0.terms is 'stars', but must be one of words, ngrams. The folder is damaged or of another "
        "version. Run the stage again.",
    ),
    "lengths in another order": (
        in_text("encoder.json", '"words": [\n        1,\n        2', '"words": [\n        2,\n        1'),
        "{folder}/encoder.json: views.1: found n-grams without lengths in ascending order; expected the least and the "
        "most. The folder is damaged or of another version. Run the stage again.",
    ),
    "no tokenizer": (
        lambda folder: (folder / "view_0.json").unlink(),
        "{folder}/view_0.json: is missing or damaged; expected a tokenizers file. Run the stage again.",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_views_are_told(name: str, tmp_path: Path) -> None:
    damage, sentence = DAMAGED[name]
    word_encoder().with_views([word_view(), ngram_view()]).save(tmp_path / "saved")
    damage(tmp_path / "saved")
    with pytest.raises(ArtifactError) as caught:
        Encoder.read_files(tmp_path / "saved")
    assert str(caught.value) == sentence.format(folder=tmp_path / "saved")
