"""Exports of tiny encoders compute what torch computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nlptl import artifact
from nlptl.errors import ArtifactError, ConfigError
from nlptl.inference.export_settings import ArraySettings, ExportSettings, read_export
from nlptl.inference.exported import ExportedClassifier
from nlptl.models.bottlenecks import bottlenecks
from nlptl.models.classifier import TextClassifier
from nlptl.models.encoder import Encoder
from nlptl.models.exports.rounding import int8_rows
from nlptl.models.exports.writing import check_encoder, check_format, write_export
from nlptl.models.heads import Head
from nlptl.models.pooling import Pooling
from nlptl.models.projection import LinearMap, Projection
from tests.models.tiny import DIM, TEXTS, tiny_encoder

POST_NORM = ("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert")


def classifier_of(encoder: Encoder, *, thresholds: tuple[float, ...] | None = None, hidden: int = 0) -> TextClassifier:
    head = Head(encoder.dim, 3, trained=True, thresholds=thresholds, hidden=hidden)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return TextClassifier(encoder, head, ["a", "b", "c"]).eval()


def exported(classifier: TextClassifier, folder: Path, *, format: Any = "onnx", precision: Any = "fp32") -> Path:
    def write(draft: Path) -> None:
        write_export(classifier, draft, format=format, precision=precision)

    artifact.publish(folder, write, artifact.Manifest(kind="classifier"))
    return folder


@pytest.mark.parametrize("model_type", POST_NORM)
def test_a_graph_computes_what_torch_computes(model_type: str, tmp_path: Path) -> None:
    classifier = classifier_of(tiny_encoder(model_type))
    folder = exported(classifier, tmp_path / "export")
    wanted = classifier.encoder.encode(TEXTS)
    without_torch, with_torch = ExportedClassifier.load(folder), TextClassifier.load(folder)
    np.testing.assert_allclose(without_torch.encoder.encode(TEXTS), wanted, atol=2e-5)
    np.testing.assert_allclose(with_torch.encoder.encode(TEXTS), wanted, atol=2e-5)
    np.testing.assert_allclose(without_torch.probabilities(TEXTS), classifier.probabilities(TEXTS), atol=2e-5)
    assert without_torch.encoder.token_ids(TEXTS) == classifier.encoder.token_ids(TEXTS)
    assert without_torch.labels_of(classifier.probabilities(TEXTS)) == classifier.predict(TEXTS)


@pytest.mark.parametrize("pooling", ["cls", "max", "attention"])
def test_poolings_prompts_sentences_and_projections_are_those_of_torch(pooling: Any, tmp_path: Path) -> None:
    plain = tiny_encoder("bert")
    transformer = plain.transformer
    transformer.layer = "mean" if pooling == "max" else 2
    transformer.rule = dataclasses.replace(
        transformer.rule, prompt="the ", skipped=2, sentence_start=plain.tokenizer.token_to_id("[CLS]"), max_length=20
    )
    query = torch.randn(DIM, generator=torch.Generator().manual_seed(2)) if pooling == "attention" else None
    weight = torch.randn(8, DIM, generator=torch.Generator().manual_seed(3))
    encoder = Encoder(
        plain.tokenizer, transformer, Pooling(pooling, query=query), normalized=True,
        projection=Projection([LinearMap(weight, None, "tanh")]), kept_dim=5,
    ).eval()  # fmt: skip
    texts = [
        *TEXTS,
        "a good film is great and the story is dull! and is it? it was lovely and good to the great number. " * 4,
    ]
    classifier = classifier_of(encoder, thresholds=(0.2, 0.5, 0.6), hidden=4)
    folder = exported(classifier, tmp_path / "export")
    for found in (ExportedClassifier.load(folder), TextClassifier.load(folder)):
        np.testing.assert_allclose(found.encoder.encode(texts), encoder.encode(texts), atol=2e-5)
        np.testing.assert_allclose(found.probabilities(texts), classifier.probabilities(texts), atol=2e-5)
        assert found.labels_of(found.probabilities(texts)) == classifier.predict(texts)


@pytest.mark.parametrize(
    ("format", "precision"),
    [("onnx", "int8"), ("openvino", "int8"), ("openvino", "bf16"), ("openvino", "fp32"), ("safetensors", "int8")],
)
def test_other_precisions_are_close(format: str, precision: str, tmp_path: Path) -> None:
    classifier = classifier_of(tiny_encoder("bert"))
    found = ExportedClassifier.load(exported(classifier, tmp_path / "export", format=format, precision=precision))
    ours, wanted = (one.encoder.encode(TEXTS) for one in (found, classifier))
    cosines = (ours * wanted).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() > (0.99999 if precision == "fp32" else 0.99)
    arrays = ArraySettings(heads=4, layers=3) if format == "safetensors" else None
    assert read_export(tmp_path / "export") == ExportSettings(
        format=format, precision=precision, dim=DIM, arrays=arrays
    )


def test_rows_are_rounded_with_a_scale_each() -> None:
    table = np.array([[1.0, -2.0, 0.5], [100.0, 3.0, -50.0], [0.0, 0.0, 0.0]], np.float32)
    rounded, scales = int8_rows(table)
    assert rounded.dtype == np.int8
    assert rounded.tolist() == [[64, -127, 32], [127, 4, -64], [0, 0, 0]]  # halves to even
    np.testing.assert_allclose(scales[:2], [2 / 127, 100 / 127], rtol=1e-6)


def test_an_export_learns_nothing_and_is_no_source(tmp_path: Path) -> None:
    found = TextClassifier.load(exported(classifier_of(tiny_encoder("bert")), tmp_path / "export"))
    with pytest.raises(ConfigError) as error:
        found.save(tmp_path / "again")
    assert str(error.value) == (
        "save: found the encoder of an export; expected that of a run. Copy the folder of the export, or export the run once more."
    )
    with pytest.raises(ConfigError) as error:
        _ = found.encoder.trainable_kind
    assert str(error.value) == (
        "encoder: found that of an export, which computes in a fixed graph; expected one that learns. Use the run that it was "
        "exported from."
    )
    with pytest.raises(ConfigError, match="since an export computes its last layer alone"):
        found.encoder.encode(["a"], layer=1)


@pytest.mark.parametrize(("model_type", "layers", "message"), [
    ("mpnet", [], "export: found an encoder of type mpnet; expected layers that exports have. Begin with weights of the type bert, "
                  "roberta, xlm-roberta, camembert, electra or distilbert."),
    ("bert", [1], "export: found bottleneck adapters, which cannot be merged into the layers; expected layers that exports have. "
                  "Train with lora or full instead."),
])  # fmt: skip
def test_layers_without_an_exported_form_are_refused(model_type: str, layers: list[int], message: str) -> None:
    encoder = tiny_encoder(model_type)
    if layers:
        encoder.transformer.bottlenecks = bottlenecks(DIM, 4, layers)
    with pytest.raises(ConfigError) as error:
        check_encoder(encoder, "onnx", "fp32")
    assert str(error.value) == message


def test_formats_that_do_not_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as error:
        check_format("onnx", "bf16")
    assert str(error.value) == (
        "--precision: found bf16, in which ONNX Runtime multiplies nothing on a CPU; expected int8 or fp32 with --format onnx. "
        "Choose one, or --format openvino."
    )
    monkeypatch.setattr("nlptl.models.exports.writing.find_spec", lambda name: None if name == "openvino" else True)
    with pytest.raises(ConfigError) as error:
        check_format("openvino", "int8")
    assert str(error.value) == (
        "--format: found openvino, for which openvino is missing. Install what it needs with `pip install "
        "'nlptl[export,openvino]'`."
    )


def test_a_damaged_export_is_refused(tmp_path: Path) -> None:
    folder = exported(classifier_of(tiny_encoder("bert")), tmp_path / "export")
    (folder / "export.json").write_text('{"format": "onnx"}')
    with pytest.raises(ArtifactError) as error:
        read_export(folder)
    assert str(error.value) == (
        f"{folder}/export.json: is not what an export writes; the folder is damaged. Export the run again."
    )
    with pytest.raises(ArtifactError, match="differs from its digest in the manifest"):
        ExportedClassifier.load(folder)
