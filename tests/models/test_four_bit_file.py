"""A 4-bit file of weights: its numbers are those that its blocks state, under transformers' names."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from nlptl.models import four_bit_file
from nlptl.models.four_bit_file import read_four_bit_file

DIM, INNER, LAYERS, ROWS, POSITIONS = 32, 64, 2, 70, 16
LAYER = [("q", DIM, DIM), ("k", DIM, DIM), ("v", DIM, DIM), ("ao", DIM, DIM), ("aln", DIM, 0), ("fi", INNER, DIM),
         ("fo", DIM, INNER), ("oln", DIM, 0)]  # fmt: skip


def packed(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Return the bytes of Q4_0 blocks, one weight after the other, and the numbers that they stand for."""
    data, meant = bytearray(), []
    for block in values.reshape(-1, 32):
        scale = float(np.float16(np.abs(block).max() / 7))
        steps = [int(min(15, max(0, round(float(value) / scale) + 8))) for value in block]
        data += struct.pack("<e", scale) + bytes(steps[place] | steps[place + 16] << 4 for place in range(16))
        meant += [(step - 8) * scale for step in steps]
    return bytes(data), np.array(meant, np.float32).reshape(values.shape)


def arrays() -> dict[str, np.ndarray]:
    """Return random arrays in the order of the file."""
    draw = np.random.default_rng(5)
    found = {
        "emb.word": (ROWS, DIM),
        "emb.pos": (POSITIONS, DIM),
        "emb.type": (2, DIM),
        "emb.ln.w": DIM,
        "emb.ln.b": DIM,
    }
    for layer in range(LAYERS):
        for name, outputs, inputs in LAYER:
            found[f"l{layer}.{name}.w"] = (outputs, inputs) if inputs else outputs
            found[f"l{layer}.{name}.b"] = outputs
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in found.items()}


def write_file(
    path: Path, *, mark: bytes = b"E5S1", vocabulary: Sequence[str] = ("<s>", "▁a")
) -> dict[str, np.ndarray]:
    """Write a file and return the numbers that its arrays stand for."""
    texts = [text.encode() for text in vocabulary]
    ends = np.cumsum([0, *map(len, texts)]).astype("<u4").tobytes()
    head = struct.pack("<4sI7ifi", mark, 1, DIM, LAYERS, 4, INNER, ROWS, POSITIONS, 2, 1e-12, 32)
    head += (
        struct.pack("<5iQ", len(texts), 0, 2, 1, 3, sum(map(len, texts)))
        + ends
        + bytes(4 * len(texts))
        + b"".join(texts)
    )
    head += struct.pack("<iI", 1, 5) + b"table"
    body, table, meant, begin = b"", b"", {}, 4096
    for name, values in arrays().items():
        is_packed = values.ndim == 2 and name not in ("emb.pos", "emb.type")
        data, meant[name] = packed(values) if is_packed else (values.tobytes(), values)
        table += struct.pack("<H", len(name)) + name.encode()
        table += struct.pack("<BIQQ", is_packed, values.size, begin + len(body), len(data))
        body += data
    head += struct.pack("<i", len(meant)) + table
    path.write_bytes(head.ljust(begin, b"\0") + body)
    return meant


@pytest.mark.parametrize("at_once", [1, 7, 1 << 18])
def test_the_numbers_are_those_of_the_blocks(at_once: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(four_bit_file, "BLOCKS_AT_ONCE", at_once)
    meant = write_file(tmp_path / "weights.bin")
    found = list(read_four_bit_file(tmp_path / "weights.bin").arrays.values())
    assert len(found) == len(meant)
    for one, other in zip(found, meant.values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_names_and_shapes_are_those_of_transformers(tmp_path: Path) -> None:
    write_file(tmp_path / "weights.bin")
    found = read_four_bit_file(tmp_path / "weights.bin")
    model = BertModel(BertConfig(**found.settings), add_pooling_layer=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: array.shape for name, array in found.arrays.items()} == shapes
    assert (found.settings["pad_token_id"], found.settings["layer_norm_eps"]) == (1, 1e-12)
    query = torch.from_numpy(found.arrays["encoder.layer.1.attention.self.query.weight"])
    assert not torch.equal(query, torch.from_numpy(found.arrays["encoder.layer.0.attention.self.query.weight"]))


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    write_file(tmp_path / "weights.bin", mark=b"GGUF")
    with pytest.raises(ValueError, match="found the mark b'GGUF', version 1 and blocks of 32; expected b'E5S1', 1, 32"):
        read_four_bit_file(tmp_path / "weights.bin")
