"""Int8 transformers against the same sums in NumPy, and against torch in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numba import njit
from safetensors.numpy import save_file

from nlptl.errors import ArtifactError
from nlptl.inference.export_settings import ArraySettings, ExportSettings
from nlptl.inference.int8 import layers, products
from nlptl.inference.int8.graph import Int8Transformer
from nlptl.inference.int8.weights import RAISED, PackedLinear, PackedWeights, Places, spread
from nlptl.models.exports.int8_arrays import array_settings, int8_arrays
from nlptl.models.exports.layer_weights import EncoderWeights
from tests.models.tiny import DIM, TEXTS, tiny_encoder

RNG = np.random.default_rng(0)


def rows_of(count: int, width: int) -> Any:
    return RNG.normal(size=(count, width)).astype(np.float32) * 3


def rounded(rows: Any) -> tuple[Any, Any]:
    out, scales = np.zeros(rows.shape, np.uint8), np.zeros(len(rows), np.float32)
    layers.round_rows(rows, out, scales)
    return out, scales


def test_rows_are_rounded_with_a_scale_each() -> None:
    rows = rows_of(5, 32)
    rows[3] = 0
    out, scales = rounded(rows)
    np.testing.assert_allclose(scales, np.abs(rows).max(axis=1) / 127, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose((out.astype(np.float32) - 128) * scales[:, None], rows, atol=float(scales.max()) * 0.51)
    assert (out[3] == 128).all()


def test_products_are_those_of_integers() -> None:
    weight = RNG.integers(-127, 128, (32, 96)).astype(np.int8)
    arrays = {
        "map.weight": weight, "map.scale": np.abs(rows_of(1, 96)[0]), "map.bias": rows_of(1, 96)[0],
    }  # fmt: skip
    packed = PackedLinear.of(arrays, "map", Places.whole(32), Places.whole(96))
    out, scales = rounded(rows_of(12, 32))
    found, sums = np.zeros((12, 128), np.float32), np.zeros((6, 64), np.int32)
    layers.linear(out, scales, packed.weights, packed.starts, packed.scales, packed.bias, found, sums, False)
    exact = (out.astype(np.int64) - 128) @ weight.astype(np.int64)
    wanted = exact * scales[:, None] * arrays["map.scale"] + arrays["map.bias"]
    np.testing.assert_allclose(found[:, :96], wanted, rtol=1e-5, atol=1e-4)
    assert not found[:, 96:].any()


def test_what_rounding_leaves_can_be_multiplied_too() -> None:
    arrays = {"map.weight": RNG.integers(-127, 128, (32, 64)).astype(np.int8), "map.scale": np.ones(64, np.float32)}
    packed = PackedLinear.of({**arrays, "map.bias": rows_of(1, 64)[0]}, "map", Places.whole(32), Places.whole(64))
    rows = rows_of(6, 32)
    out, scales = rounded(rows)
    rest, finer = np.zeros_like(out), np.zeros_like(scales)
    layers.round_rest(rows, scales, rest, finer)
    found, sums = np.zeros((6, 64), np.float32), np.zeros((6, 64), np.int32)
    for part, by, more in ((out, scales, False), (rest, finer, True)):
        layers.linear(part, by, packed.weights, packed.starts, packed.scales, packed.bias, found, sums, more)
    np.testing.assert_allclose(found, rows @ arrays["map.weight"].astype(np.float32) + packed.bias, atol=0.2)
    both = (out.astype(np.float32) - 128) * scales[:, None] + (rest.astype(np.float32) - 128) * finer[:, None]
    np.testing.assert_allclose(both, rows, atol=3e-4)


def test_products_do_without_the_instruction(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "HAS_DOT", False)
    dot = products._dot(32)

    @njit
    def run(rows: Any, weights: Any, start: Any, sums: Any) -> None:
        dot(rows.ctypes.data, rows.strides[0], weights.ctypes.data, 2, start.ctypes.data, sums.ctypes.data)

    rows, weights = RNG.integers(0, 256, (6, 8)).astype(np.uint8), RNG.integers(-128, 128, (2, 32, 4)).astype(np.int8)
    start, sums = RNG.integers(-9, 9, 32).astype(np.int32), np.zeros((6, 32), np.int32)
    run(rows, weights, start, sums)
    columns = weights.transpose(0, 2, 1).reshape(8, 32).astype(np.int64)
    np.testing.assert_array_equal(sums, rows.astype(np.int64) @ columns + start)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_activations_are_those_of_torch(kind: int) -> None:
    rows = np.linspace(-9, 9, 96, dtype=np.float32).reshape(3, 32)
    given = torch.from_numpy(rows.copy())
    wanted = [torch.nn.functional.gelu(given), torch.nn.functional.gelu(given, approximate="tanh"), torch.relu(given)][
        kind
    ]
    layers.activate_rows(rows, kind, np.zeros(rows.shape, np.uint8), np.zeros(3, np.float32))
    np.testing.assert_allclose(rows - (0 if kind == 2 else RAISED), wanted.numpy(), atol=2e-6)


def test_attention_stays_within_a_segment() -> None:
    heads, size, lengths = 2, 32, np.array([1, 7, 40, 33])
    mapped = rows_of(81, 3 * heads * size) / 3
    out = np.zeros((81, heads * size), np.float32)
    layers.attend(mapped, lengths, heads, size**-0.5, out)
    begin = 0
    for length in lengths:
        part = mapped[begin : begin + length].reshape(length, 3, heads, size)
        query, key, value = part.transpose(1, 2, 0, 3)
        scores = query @ key.transpose(0, 2, 1) * size**-0.5
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        wanted = (shares / shares.sum(axis=-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(length, -1)
        apart = np.abs(out[begin : begin + length] - wanted)
        assert apart.max() < 0.06
        assert apart.mean() < 0.01
        begin += length


def test_extreme_scores_of_one_segment_do_not_reach_the_next() -> None:
    heads, size = 1, 32
    mapped = np.full((42, 96), -50, np.float32)
    mapped[40:] = rows_of(2, 96) / 100
    alone, after = np.zeros((2, size), np.float32), np.zeros((42, size), np.float32)
    layers.attend(mapped[40:].copy(), np.array([2]), heads, 1.0, alone)
    layers.attend(mapped, np.array([40, 2]), heads, 1.0, after)
    np.testing.assert_array_equal(after[40:], alone)


@pytest.mark.parametrize("model_type", ["bert", "roberta", "electra", "distilbert"])
@pytest.mark.parametrize("layer", [3, "mean", 0])
def test_transformers_are_close_to_float32(model_type: str, layer: Any) -> None:
    encoder = tiny_encoder(model_type)
    encoder.transformer.layer = layer
    weights = EncoderWeights.of(encoder.transformer)
    made = Int8Transformer(PackedWeights.of(int8_arrays(weights), array_settings(weights), DIM), weights.first_position)
    ids = [np.array(text) for text in encoder.token_ids(TEXTS)]
    found = made.token_vectors(np.concatenate(ids), np.array([len(text) for text in ids]))
    wanted = np.concatenate(
        [encoder.token_model(encoder.tokenized([text]).batch(torch.tensor([0]))).detach().numpy() for text in TEXTS]
    )
    cosines = (found * wanted).sum(axis=1) / np.linalg.norm(found, axis=1) / np.linalg.norm(wanted, axis=1)
    assert cosines.min() > 0.98
    alone = made.token_vectors(ids[0], np.array([len(ids[0])]))
    np.testing.assert_allclose(alone, found[: len(ids[0])], rtol=1e-5, atol=1e-5)


def test_arrays_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    weights = EncoderWeights.of(tiny_encoder("bert").transformer)
    arrays = int8_arrays(weights)
    arrays["layers.1.up.weight"] = arrays["layers.1.up.weight"][:-1].copy()
    save_file(arrays, tmp_path / "encoder.safetensors")
    export = ExportSettings(format="safetensors", precision="int8", dim=DIM, arrays=array_settings(weights))
    with pytest.raises(ArtifactError) as error:
        Int8Transformer.read(tmp_path, export)
    assert str(error.value) == (
        f"{tmp_path}/encoder.safetensors: does not fit export.json; the folder is damaged. Export the run again."
    )
    with pytest.raises(ArtifactError, match=r"does not fit export\.json"):
        Int8Transformer.read(tmp_path, export.model_copy(update={"arrays": ArraySettings(heads=4, layers=9)}))


def test_numbers_are_spread() -> None:
    assert spread(np.array([1, 2], np.float32), np.array([3, 0]), 5).tolist() == [2, 0, 0, 1, 0]
