"""Layers of an int8 transformer over packed rows, compiled by numba; each call computes on one thread.

Rows are rounded to bytes with a scale each, weights with a scale a column; products are summed in int32, exactly.

Shapes: N rows, padded to a multiple of 6; K inputs, padded to a multiple of 16; P panels of 64 columns; T tokens of a segment;
H heads, E numbers of a head, padded to a multiple of 32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nlptl.inference.int8.products import NARROW, ROWS, WIDE, dot_narrow, dot_wide
from nlptl.inference.int8.vectors import (
    FINER,
    ZERO,
    add_into,
    exponentials,
    four_rounded,
    gelu,
    gelu_tanh,
    largest,
    normalised,
    raise_to,
    relu,
    rounded,
    rounded_rest,
    scaled_sums,
    squares,
)
from nlptl.training.compiled import kept_njit

LEAST = np.float32(1e-12)  # largest number of a row, at least
MOST, MOST_UNSIGNED = np.float32(127), np.float32(255)  # of a byte
FAR = np.float32(-1e30)  # score of a place without a token
Array = Any


@kept_njit(nogil=True)
def round_rows(rows: Array, out: Array, scales: Array) -> None:
    """Round rows (N, K) to bytes, each with a scale (N,)."""
    floats = rows.shape[1]
    for row in range(rows.shape[0]):
        place = rows.ctypes.data + row * rows.strides[0]
        _round_row(place, largest(place, floats), out.ctypes.data + row * out.strides[0], scales, row, floats)


@kept_njit(nogil=True)
def round_rest(rows: Array, scales: Array, out: Array, finer: Array) -> None:
    """Round what `round_rows` with these scales (N,) has left of rows (N, K) to bytes, whose scales are `finer` (N,)."""
    floats = rows.shape[1]
    for row in range(rows.shape[0]):
        size: Any = max(scales[row], LEAST)
        finer[row] = size / np.float32(FINER)
        place = rows.ctypes.data + row * rows.strides[0]
        rounded_rest(place, np.float32(1) / size, out.ctypes.data + row * out.strides[0], floats)


@kept_njit(nogil=True)
def activate_rows(rows: Array, kind: int, out: Array, scales: Array) -> None:
    """Apply an activation, 0 for GELU, 1 for its form with tanh, 2 for ReLU, to rows (N, K), and round them to bytes.

    Results are raised so that none is negative, and 0 stands for the lowest.
    """
    floats = rows.shape[1]
    for row in range(rows.shape[0]):
        place = rows.ctypes.data + row * rows.strides[0]
        if kind == 0:
            most = gelu(place, floats)
        elif kind == 1:
            most = gelu_tanh(place, floats)
        else:
            most = relu(place, floats)
        size: Any = max(most, LEAST)
        scales[row] = size / MOST_UNSIGNED
        rounded(place, MOST_UNSIGNED / size, 0, out.ctypes.data + row * out.strides[0], floats)


@kept_njit(nogil=True)
def norm_rows(
    hidden: Array, more: Array, dim: int, scale: Array, shift: Array, epsilon: float, out: Array, scales: Array
) -> None:
    """Replace hidden (N, K) by norm(hidden + more) over its first `dim` numbers, and round it to bytes; the others are zero."""
    floats = hidden.shape[1]
    for row in range(hidden.shape[0]):
        place = hidden.ctypes.data + row * hidden.strides[0]
        mean = np.float32(add_into(place, more.ctypes.data + row * more.strides[0], floats) / dim)
        # What is beyond `dim` is zero, and thus counted as mean² each.
        apart = squares(place, mean, floats) - np.float32(floats - dim) * mean * mean
        factor = np.float32(1 / np.sqrt(apart / dim + epsilon))
        most = normalised(place, mean, factor, scale.ctypes.data, shift.ctypes.data, floats)
        _round_row(place, most, out.ctypes.data + row * out.strides[0], scales, row, floats)


@kept_njit(nogil=True)
def linear(
    rows: Array,
    scales: Array,
    weights: Array,
    start: Array,
    columns: Array,
    bias: Array,
    out: Array,
    sums: Array,
    more: bool,
) -> None:
    """Write x W + b into out (N, 64 P) of rows (N, K) with `scales` (N,) and weights (P, K / 4, 64, 4) with scales `columns`.

    With `more`, add x W to what stands in out.
    """
    for panel in range(weights.shape[0]):
        place = panel * 4 * WIDE
        for row in range(0, rows.shape[0], ROWS):
            dot_wide(
                rows.ctypes.data + row * rows.strides[0], rows.strides[0], weights.ctypes.data + panel * weights.strides[0],
                weights.shape[1], start.ctypes.data + place, sums.ctypes.data,
            )  # fmt: skip
            for one in range(ROWS):
                into = out.ctypes.data + (row + one) * out.strides[0] + place
                scaled_sums(
                    sums.ctypes.data + one * 4 * WIDE, scales[row + one], columns.ctypes.data + place,
                    into if more else bias.ctypes.data + place, into, WIDE,
                )  # fmt: skip


@kept_njit(nogil=True)
def attend(mapped: Array, lengths: Array, heads: int, root: float, out: Array) -> None:
    """Write softmax(root Q K^T) V within each segment into out (N, H E), of mapped (N, 3 H E): Q, K and V side by side.

    Queries, keys and shares have a scale a token, values one a number over the tokens of a segment.
    """
    size, longest = out.shape[1] // heads, 0
    for length in lengths:
        longest = max(longest, length)
    tokens = (longest + NARROW - 1) // NARROW * NARROW
    queries, query_scales = np.zeros((longest + ROWS, size), np.uint8), np.zeros(longest + ROWS, np.float32)
    keys, key_scales = np.zeros((tokens // NARROW, size // 4, NARROW), np.int32), np.zeros(tokens, np.float32)
    key_starts, values = np.zeros(tokens, np.int32), np.zeros((size // NARROW, tokens // 4, NARROW), np.int32)
    value_scales, factors = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for_scores, for_shares = np.zeros((ROWS, tokens), np.float32), np.zeros((ROWS, tokens), np.uint8)
    sums, four, last = (
        np.zeros((ROWS, NARROW), np.int32),
        np.zeros(size // 4, np.int32),
        np.zeros((4, size), np.float32),
    )
    nothing, masks = np.zeros(NARROW, np.int32), np.zeros(tokens, np.float32)
    begin = 0
    for length in lengths:
        for column in range(tokens):
            masks[column] = np.float32(0) if column < length else FAR
        key_scales[length:] = 0
        for head in range(heads):
            place = mapped.ctypes.data + begin * mapped.strides[0] + 4 * head * size
            _pack_keys(
                place, mapped.strides[0], 4 * heads * size, length, np.float32(root), queries, query_scales, keys, key_scales,
                key_starts, four,
            )  # fmt: skip
            _pack_values(place + 8 * heads * size, mapped.strides[0], length, values, value_scales, factors, last)
            _mix(
                length, queries, query_scales, keys, key_scales, key_starts, values, value_scales, masks, for_scores, for_shares,
                sums, nothing, out.ctypes.data + begin * out.strides[0] + 4 * head * size, out.strides[0],
            )  # fmt: skip
        begin += length


@kept_njit(nogil=True)
def _pack_keys(
    place: int, stride: int, apart: int, length: int, root: float, queries: Array, query_scales: Array, keys: Array,
    key_scales: Array, key_starts: Array, four: Array,
) -> None:  # fmt: skip
    """Round queries and keys of a head, and bring keys into the order in which products read them."""
    size = queries.shape[1]
    for token in range(length):
        row = place + token * stride
        most = largest(row, size)
        query_scales[token] = most / MOST * root
        rounded(row, MOST / max(most, LEAST), ZERO, queries.ctypes.data + token * size, size)
        most = largest(row + apart, size)
        key_scales[token] = most / MOST
        key_starts[token] = -ZERO * rounded(row + apart, MOST / max(most, LEAST), 0, four.ctypes.data, size)
        panel, column = token // NARROW, token % NARROW
        for group in range(size // 4):
            keys[panel, group, column] = four[group]


@kept_njit(nogil=True)
def _pack_values(
    place: int, stride: int, length: int, values: Array, value_scales: Array, factors: Array, last: Array
) -> None:
    """Round the values of a head with a scale a number, four tokens side by side."""
    size = len(factors)
    for number in range(size):
        value_scales[number] = LEAST
    for token in range(length):
        raise_to(value_scales.ctypes.data, place + token * stride, size)
    for number in range(size):
        factors[number] = MOST / value_scales[number]
        value_scales[number] /= MOST
    for group in range((length + 3) // 4):
        row, apart = place + 4 * group * stride, stride
        if 4 * group + 4 > length:
            _copy_last(row, stride, length - 4 * group, last)
            row, apart = last.ctypes.data, last.strides[0]
        for panel in range(size // NARROW):
            first = 4 * panel * NARROW
            four_rounded(
                row + first, apart, factors.ctypes.data + first,
                values.ctypes.data + panel * values.strides[0] + group * values.strides[1], NARROW,
            )  # fmt: skip


@kept_njit(nogil=True)
def _mix(
    length: int, queries: Array, query_scales: Array, keys: Array, key_scales: Array, key_starts: Array, values: Array,
    value_scales: Array, masks: Array, scores: Array, shares: Array, sums: Array, nothing: Array, out: int, stride: int,
) -> None:  # fmt: skip
    """Write the mixed values of one head and segment, whose queries, keys and values are rounded."""
    size, panels, groups = queries.shape[1], (length + NARROW - 1) // NARROW, (length + 3) // 4
    most = np.zeros(ROWS, np.float32)
    for row in range(0, length, ROWS):
        count = min(ROWS, length - row)
        most[:] = FAR
        for panel in range(panels):
            column = 4 * panel * NARROW
            dot_narrow(
                queries.ctypes.data + row * size, size, keys.ctypes.data + panel * keys.strides[0], size // 4,
                key_starts.ctypes.data + column, sums.ctypes.data,
            )  # fmt: skip
            for one in range(count):
                found = scaled_sums(
                    sums.ctypes.data + one * 4 * NARROW, query_scales[row + one], key_scales.ctypes.data + column,
                    masks.ctypes.data + column, scores.ctypes.data + one * scores.strides[0] + column, NARROW,
                )  # fmt: skip
                most[one] = max(most[one], found)
        for one in range(count):
            place = scores.ctypes.data + one * scores.strides[0]
            total = exponentials(place, most[one], shares.ctypes.data + one * shares.strides[0], panels * NARROW)
            most[one] = np.float32(1) / np.float32(total)
        for panel in range(size // NARROW):
            dot_narrow(
                shares.ctypes.data, shares.strides[0], values.ctypes.data + panel * values.strides[0], groups,
                nothing.ctypes.data, sums.ctypes.data,
            )  # fmt: skip
            for one in range(count):
                column = 4 * panel * NARROW
                scaled_sums(
                    sums.ctypes.data + one * 4 * NARROW, most[one], value_scales.ctypes.data + column, nothing.ctypes.data,
                    out + (row + one) * stride + column, NARROW,
                )  # fmt: skip


@kept_njit(nogil=True)
def _copy_last(place: int, stride: int, count: int, last: Array) -> None:
    """Copy the last tokens of a segment into four rows, the others of which are zero."""
    for row in range(4):
        for number in range(last.shape[1]):
            last[row, number] = 0
        if row < count:
            add_into(last.ctypes.data + row * last.strides[0], place + row * stride, last.shape[1])


@kept_njit(nogil=True)
def _round_row(place: int, most: float, out: int, scales: Array, row: int, floats: int) -> None:
    size: Any = max(most, LEAST)
    scales[row] = size / MOST
    rounded(place, MOST / size, ZERO, out, floats)
