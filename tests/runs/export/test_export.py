"""Exports of runs: compared with their source before they are published."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.export_settings import AccuracyParity, Parity, read_export
from nlptl.inference.static import StaticClassifier
from nlptl.interfaces.exporting import export_lines
from nlptl.models.classifier import TextClassifier
from nlptl.runs.export import export as module
from nlptl.runs.export.export import export_run
from nlptl.runs.export.parity import RealTexts, check_parity, parity_of, parity_sentences
from nlptl.runs.pipeline import Pipeline
from tests.conftest import small_reviews
from tests.models.exports.test_exports import classifier_of
from tests.models.tiny import tiny_encoder


def parity(texts: int, flips: int, difference: float | None) -> Parity:
    accuracy = None
    if difference is not None:
        accuracy = AccuracyParity(source=0.9, export=0.9 + difference, difference=difference, low=-0.02, high=0.01)
    return Parity(texts=texts, told="of the run's test texts", flips=flips, largest_difference=0.25, accuracy=accuracy)


@pytest.mark.parametrize("found", [
    parity(1000, 50, -0.003), parity(1000, 0, 0.0), parity(100, 2, -0.02), parity(20, 1, None), parity(1000, 20, None),
])  # fmt: skip
def test_what_predicts_alike_passes(found: Parity) -> None:
    check_parity(found)


def test_what_predicts_worse_is_refused_with_the_figures() -> None:
    with pytest.raises(ArtifactError) as error:
        check_parity(parity(1000, 5, -0.0031))
    assert str(error.value) == (
        "export: is too little like the run, since its accuracy is more than 0.3 points worse; nothing was published. On 1,000 of "
        "the run's test texts 5 labels differ (0.5%), and probabilities by 0.2500 at most. Accuracy 0.897, that of the run 0.900: "
        "-0.3 points [-2.0 to +1.0]. Choose a higher --precision, or another --format."
    )
    with pytest.raises(ArtifactError) as error:
        check_parity(parity(100, 3, 0.01))
    assert str(error.value).startswith(
        "export: is too little like the run, since more than 2 % of its labels differ; nothing was published. On 100 of the run's "
        "test texts 3 labels differ (3.0%)"
    )
    with pytest.raises(ArtifactError, match="more than 2 % of its labels differ"):
        check_parity(parity(1000, 21, None))


def test_parity_counts_labels_and_probabilities() -> None:
    classifier = classifier_of(tiny_encoder("bert"))  # a, b, c
    source = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
    export = np.array([[0.5, 0.4, 0.1], [0.2, 0.3, 0.5], [0.1, 0.1, 0.8]])
    given = RealTexts("of the run's test texts", ["1", "2", "3"], [("a",), ("b",), ("a",)])
    found = parity_of(source, export, given, classifier)
    assert (found.texts, found.flips) == (3, 1)
    assert found.largest_difference == pytest.approx(0.2)
    assert found.accuracy is not None
    assert found.accuracy.source == pytest.approx(2 / 3)
    assert found.accuracy.export == pytest.approx(1 / 3)
    assert found.accuracy.low <= found.accuracy.difference <= found.accuracy.high
    assert parity_sentences(found.model_copy(update={"accuracy": None})) == [
        "On 3 of the run's test texts 1 label differs (33.3%), and probabilities by 0.2000 at most."
    ]
    assert parity_of(source, source, RealTexts("", ["1"] * 3, None), classifier).accuracy is None


@pytest.fixture
def run(review_files: Path) -> Path:
    Pipeline.from_yaml(review_files / "small.yaml").run(review_files / "run")
    return review_files / "run"


def test_word_vectors_are_exported_as_arrays(run: Path, tmp_path: Path) -> None:
    done = export_run(run, tmp_path / "out")
    settings = read_export(tmp_path / "out")
    assert (settings.format, settings.precision) == ("safetensors", "fp32")
    assert settings.parity is not None
    assert (settings.parity.texts, settings.parity.flips) == (20, 0)
    assert settings.parity.told == "of the run's test texts"
    assert json.loads((run / "4-finetune" / "manifest.json").read_text())["digest"] == settings.source
    assert 0 < done.megabytes < 1
    assert re.fullmatch(
        r"\S+: written, safetensors fp32\. [\d.]+ kB, the run [\d.]+ kB\.",
        export_lines(done)[0].replace(str(tmp_path), ""),
    )
    texts = small_reviews(6, start=900)[0]
    ours, wanted = StaticClassifier.load(tmp_path / "out"), TextClassifier.load(run)
    np.testing.assert_allclose(ours.probabilities(texts), wanted.probabilities(texts), atol=1e-5)
    np.testing.assert_allclose(
        TextClassifier.load(tmp_path / "out").probabilities(texts), wanted.probabilities(texts), atol=1e-6
    )

    with pytest.raises(ConfigError) as error:
        export_run(run, tmp_path / "out")
    assert str(error.value) == (
        f"--out: {tmp_path}/out exists; nothing was overwritten. Name another folder, or add --force to replace it."
    )
    export_run(run, tmp_path / "out", force=True)
    with pytest.raises(ConfigError) as error:
        export_run(run, tmp_path / "graph", format="onnx", precision="int8")
    assert str(error.value) == (
        "--format: found onnx in int8, but word vectors and n-grams have no graph and no products; expected safetensors in fp32. "
        "Add --format safetensors."
    )
    with pytest.raises(ConfigError) as error:
        export_run(run, tmp_path / "small", precision="int8")
    assert str(error.value) == (
        "--precision: found int8, but word vectors and n-grams have no products to round; expected fp32. Drop it."
    )
    with pytest.raises(ConfigError) as error:
        export_run(tmp_path / "out", tmp_path / "again")
    assert str(error.value) == (
        f"RUN: {tmp_path}/out is an export already; expected a run or a stage of one. Export the run that it is of."
    )
    assert {path.name for path in tmp_path.iterdir()} & {"small", "again"} == set()


def test_an_export_that_predicts_otherwise_is_not_published(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other(StaticClassifier):
        def probabilities(self, *given: Any, **more: Any) -> np.ndarray:
            return super().probabilities(*given, **more)[:, ::-1]

    monkeypatch.setattr(module, "reader_of", lambda _: Other.read_files)
    with pytest.raises(ArtifactError, match="more than 2 % of its labels differ; nothing was published"):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_classifier_outside_a_run_has_no_texts_to_compare_on(tmp_path: Path) -> None:
    classifier_of(tiny_encoder("bert")).save(tmp_path / "alone")
    with pytest.raises(ConfigError) as caught:
        export_run(tmp_path / "alone", tmp_path / "out", format="onnx")
    assert str(caught.value) == (
        f"RUN: {tmp_path / 'alone'} lies in no run; expected a classifier of one, on whose texts it is compared before it is "
        "written. Give the run that trained it."
    )
    assert not (tmp_path / "out").exists()
