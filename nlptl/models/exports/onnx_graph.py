"""A transformer as a graph of ONNX over packed texts: no token of padding is multiplied.

Shapes: N packed tokens, M segments, T tokens of the longest segment, H heads, E dimension of a head, D dimension.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from nlptl.inference.packed_inputs import INPUTS, OUTPUT
from nlptl.models.exports.layer_weights import EncoderWeights, Floats, LayerWeights, LinearWeights, NormWeights
from nlptl.models.exports.rounding import INT8_MAX, MIN_SIZE, int8_rows

if TYPE_CHECKING:
    from onnx import ModelProto

FLOAT, UINT8 = 1, 2  # of onnx.TensorProto
OPSET = 20  # the first with GELU
IR_VERSION = 10
ZERO = np.uint8(128)  # that stands for 0 where int8 is unsigned
CONTRIBUTED = "com.microsoft"  # operations that ONNX Runtime adds


def onnx_model(weights: EncoderWeights, graph: Graph | None = None) -> ModelProto:
    """Return a model with the inputs of `PackedInputs` and the output token_vectors (N, D), in float32 without `graph`."""
    from onnx import TensorProto, helper

    graph = graph or Graph()
    write_encoder(graph, weights)
    kinds = {"mask": TensorProto.FLOAT}
    inputs = [
        helper.make_tensor_value_info(name, kinds.get(name, TensorProto.INT64), shape) for name, shape in INPUTS.items()
    ]
    output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["tokens", weights.dim])
    made = helper.make_graph(graph.nodes, "encoder", inputs, [output], graph.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIBUTED, 1)], ir_version=IR_VERSION,
        producer_name="nlptl",
    )  # fmt: skip
    return model


class Graph:
    """Nodes and constants of a graph as it is written."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, operation: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node with one output, and return its name."""
        return self.add_many(operation, *inputs, outputs=[output or f"{operation}_{len(self.nodes)}"], **attributes)[0]

    def add_many(self, operation: str, *inputs: str, outputs: list[str], **attributes: Any) -> list[str]:
        """Add a node with several outputs, and return their names."""
        from onnx import helper

        self.nodes.append(helper.make_node(operation, [*inputs], outputs, **attributes))
        return outputs

    def constant(self, array: Any) -> str:
        """Add a constant, and return its name."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def norm(self, rows: str, norm: NormWeights, *, output: str = "") -> str:
        """Add a layer norm."""
        scale, shift = self.constant(norm.scale), self.constant(norm.shift)
        return self.add("LayerNormalization", rows, scale, shift, output=output, axis=-1, epsilon=norm.epsilon)

    def linear(self, rows: str, linear: LinearWeights) -> str:
        """Add a linear map of rows (N, inputs)."""
        product = self.add("MatMul", rows, self.constant(linear.weight))
        return self.add("Add", product, self.constant(linear.bias))

    def embedded(self, table: Floats, ids: str) -> str:
        """Add the rows of a table by ids (N,)."""
        return self.add("Gather", self.constant(table), ids, axis=0)


class Int8Graph(Graph):
    """Graph whose maps multiply int8, by operations of ONNX Runtime."""

    def linear(self, rows: str, linear: LinearWeights) -> str:
        """Add a linear map of rows (N, inputs): y = s t (round(x / s) @ W8) + b with a scale s a row and t a column."""
        weight, scale = int8_rows(linear.weight.T)
        highest, lowest = (
            self.add(kind, rows, self.constant(np.array([-1], np.int64)), keepdims=1)
            for kind in ("ReduceMax", "ReduceMin")
        )
        size = self.add("Max", highest, self.add("Neg", lowest), self.constant(np.float32(MIN_SIZE)))
        scales = self.add("Mul", size, self.constant(np.float32(1 / INT8_MAX)))  # (N, 1)
        flat = self.add("Reshape", scales, self.constant(np.array([-1], np.int64)))
        zeros = self.add(
            "Cast", self.add("Add", self.add("Sub", flat, flat), self.constant(ZERO.astype(np.float32))), to=UINT8
        )
        rounded = self.add("QuantizeLinear", rows, flat, zeros, axis=0)  # unsigned, which processors multiply faster
        product = self.add(
            "MatMulIntegerToFloat", rounded, self.constant(weight.T), self.constant(np.float32(1)), self.constant(scale),
            self.constant(ZERO), domain=CONTRIBUTED,
        )  # fmt: skip
        return self.add("Add", self.add("Mul", product, scales), self.constant(linear.bias))

    def embedded(self, table: Floats, ids: str) -> str:
        """Add the rows of a table by ids (N,), each with a scale of its own."""
        rounded, scale = int8_rows(table)
        found = self.add("Cast", self.add("Gather", self.constant(rounded), ids, axis=0), to=FLOAT)
        return self.add("Mul", found, self.add("Gather", self.constant(scale[:, None]), ids, axis=0))


class Int8WeightsGraph(Int8Graph):
    """Graph of standard operations whose weights are int8; what runs it finds the scales of what they multiply."""

    def linear(self, rows: str, linear: LinearWeights) -> str:
        """Add a linear map of rows (N, inputs): y = x (t W8) + b with a scale t a column."""
        weight, scale = int8_rows(linear.weight.T)
        widened = self.add("DequantizeLinear", self.constant(weight.T), self.constant(scale), axis=1)
        return self.add("Add", self.add("MatMul", rows, widened), self.constant(linear.bias))


def write_encoder(graph: Graph, weights: EncoderWeights) -> None:
    """Write embeddings and layers; the last node's output is token_vectors."""
    words = graph.embedded(weights.words, "input_ids")
    places = graph.add("Gather", graph.constant(weights.positions), "positions", axis=0)
    hidden = graph.norm(graph.add("Add", words, places), weights.norm)
    if weights.projection is not None:
        hidden = graph.linear(hidden, weights.projection)
    found = []
    for layer in weights.layers:
        hidden = _write_layer(graph, hidden, layer, weights)
        found.append(hidden)
    if weights.averaged:
        hidden = graph.add("Mean", *found)
    graph.add("Identity", hidden, output=OUTPUT)


def _write_layer(graph: Graph, hidden: str, layer: LayerWeights, weights: EncoderWeights) -> str:
    attended = graph.linear(_write_attention(graph, graph.linear(hidden, layer.attention), weights), layer.output)
    attended = graph.norm(graph.add("Add", attended, hidden), layer.attention_norm)
    wide = graph.linear(attended, layer.up)
    wide = graph.add("Relu", wide) if weights.activation == "relu" else graph.add(
        "Gelu", wide, approximate="tanh" if weights.activation == "gelu_tanh" else "none"
    )  # fmt: skip
    return graph.norm(graph.add("Add", graph.linear(wide, layer.down), attended), layer.output_norm)


def _write_attention(graph: Graph, mapped: str, weights: EncoderWeights) -> str:
    """Write softmax(Q K^T / sqrt(E)) V within each segment: (N, D) of query, key and value side by side (N, 3 D).

    Only here are segments padded: to the longest one of the batch, whose texts are of similar length.
    """
    dim, heads = weights.dim, weights.heads
    padded = graph.add("Gather", mapped, "places", axis=0)  # (M, T, 3 D)
    split = graph.constant(np.array([0, 0, 3, heads, dim // heads], np.int64))
    by_head = graph.add("Transpose", graph.add("Reshape", padded, split), perm=[2, 0, 3, 1, 4])  # (3, M, H, T, E)
    query, key, value = (
        graph.add("Gather", by_head, graph.constant(np.array(part, np.int64)), axis=0) for part in range(3)
    )
    scaled = graph.add("Mul", query, graph.constant(np.float32((dim // heads) ** -0.5)))
    scores = graph.add("MatMul", scaled, graph.add("Transpose", key, perm=[0, 1, 3, 2]))
    shares = graph.add("Softmax", graph.add("Add", scores, "mask"), axis=-1)
    attended = graph.add("Transpose", graph.add("MatMul", shares, value), perm=[0, 2, 1, 3])  # (M, T, H, E)
    rows = graph.add("Reshape", attended, graph.constant(np.array([-1, dim], np.int64)))
    return graph.add("Gather", rows, "taken", axis=0)
