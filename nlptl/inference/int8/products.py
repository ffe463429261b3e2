"""Products of a block of int8 rows and columns, by one instruction for 64 bytes where the processor has it.

Shapes: R = 6 rows of a block, W columns of a block, K bytes of a row in groups of four.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from nlptl.inference.int8.vector_code import (
    FOUR_BYTES,
    INT,
    INTS,
    LANES,
    Builder,
    Value,
    declared,
    ints,
    load,
    long,
    loop,
    spread,
    store,
)

ROWS = 6  # R: 6 by 4 sums of 16 numbers, four weights and one row's bytes fill the 32 registers of AVX-512
WIDE, NARROW = 64, 32  # columns of a block: of a weight, and of the keys or values of a head
_FEATURES = llvmlite.binding.get_host_cpu_features()
HAS_DOT = bool(_FEATURES.get("avx512vnni"))  # whether one instruction multiplies and adds 64 bytes
_TAKES_BYTES = llvmlite.binding.llvm_version_info[0] >= 22  # how LLVM declares that instruction


def _dot(width: int) -> Any:
    """Return an intrinsic of a block of `width` columns."""
    vectors = width // LANES

    @intrinsic
    def dot(typing: Any, rows: Any, stride: Any, weights: Any, groups: Any, start: Any, sums: Any) -> tuple[Any, Any]:
        """Write start[w] + the dot product of row r and column w into sums (R, W) int32.

        `rows` are R rows of unsigned bytes, `stride` bytes apart, in `groups` of four. `weights` (K / 4, W, 4) are signed bytes.
        """

        def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
            rows, stride, weights, groups, start, sums = arguments
            begins = [builder.add(rows, builder.mul(stride, long(row))) for row in range(ROWS)]
            first = [load(builder, start, long(64 * one), INTS, 4) for one in range(vectors)]

            def step(group: Value, totals: Sequence[Value]) -> list[Value]:
                place = builder.mul(group, long(4 * width))
                columns = [
                    load(builder, weights, builder.add(place, long(64 * one)), INTS, 4) for one in range(vectors)
                ]
                found = []
                for row, begin in enumerate(begins):
                    four = spread(builder, load(builder, begin, builder.mul(group, long(4)), INT, 1), INTS)
                    found += [
                        _add_dot(builder, totals[row * vectors + one], four, column)
                        for one, column in enumerate(columns)
                    ]
                return found

            for place, total in enumerate(loop(builder, groups, first * ROWS, step)):
                store(builder, total, sums, long(64 * place), 4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return dot


dot_wide, dot_narrow = _dot(WIDE), _dot(NARROW)


def _add_dot(builder: Builder, totals: Value, row: Value, column: Value) -> Value:
    """Return totals + the dot products of four unsigned bytes of a row and four signed ones of 16 columns, all int32."""
    if HAS_DOT:
        kind = FOUR_BYTES if _TAKES_BYTES else INTS
        function = declared(builder, "llvm.x86.avx512.vpdpbusd.512", ir.FunctionType(INTS, [INTS, kind, kind]))
        return builder.call(function, [totals, builder.bitcast(row, kind), builder.bitcast(column, kind)])
    for byte in range(4):
        left = builder.and_(builder.lshr(row, ints(8 * byte)), ints(255))
        right = builder.ashr(builder.shl(column, ints(24 - 8 * byte)), ints(24))
        totals = builder.add(totals, builder.mul(left, right))
    return totals
