"""Inner loops of skip-gram as LLVM vector instructions, compiled by numba for the processor at hand.

Written out as vectors they are as fast as C (two cores, AVX2, dim 100: 2.2 M kept words a second against 2.1 M). numba's own
loops reach 1.0 M, because LLVM does not keep a block of sums in registers across a loop that it vectorised itself. Vectors
are 16 floats wide with AVX-512, else 8. numba keys its cache by processor, so machines can share a home directory.

Addresses are plain integers. Rows are aligned to 64 bytes and have a multiple of 16 floats. Nothing is checked.

Shapes: M context rows of a window, K = 6 output rows that share them, D floats a row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

OUTPUTS = 6  # K: 12 sums of two context rows, and their operands, fill the 16 registers of AVX2
LANES = 8  # a row of coefficients: K numbers, then zeros
ROW_FLOATS = 16  # padding of rows: one cache line, one register of AVX-512
_WIDTH = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8
_ALIGNED = 32

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_WIDE, _EIGHT, _EIGHT_INTS = ir.VectorType(_FLOAT, _WIDTH), ir.VectorType(_FLOAT, LANES), ir.VectorType(_INT32, LANES)
Builder = Any
Value = Any


@intrinsic
def step(
    typing: Any, inputs: Any, outputs: Any, towards: Any, scale: Any, gradients: Any, rows: Any, floats: Any
) -> tuple[Any, Any]:
    """Take one gradient step of M input rows v against K output rows u, all from the values before it.

        g[m, k] = towards[k] - scale[k] * s(v[m] . u[k])      s the logistic function (Mikolov et al. 2013b, eq. 4)
        v[m] += sum over k of g[m, k] u[k];   u[k] += sum over m of g[m, k] v[m]

    (towards[k], scale[k]) is (rate, rate) for a positive, (0, rate) for a noise word, (0, 0) for none. `inputs` (M,) and
    `outputs` (6,) are addresses of int64 addresses of rows; an odd M is followed by one more that is only read.
    `gradients` (M + 1, 8) is a buffer for g. An output row may occur several times in `outputs`.
    """

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        inputs, outputs, towards, scale, gradients, rows, floats = arguments
        bytes_a_row = builder.mul(floats, _int(4))
        addresses = [_load(builder, outputs, _int(8 * k), _INT64, 8) for k in range(OUTPUTS)]
        coefficients = _load(builder, towards, _int(0), _EIGHT, 4), _load(builder, scale, _int(0), _EIGHT, 4)
        _gradients(builder, inputs, addresses, coefficients, gradients, rows, bytes_a_row)
        _updates(builder, inputs, addresses, gradients, rows, bytes_a_row)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), codegen


@intrinsic
def enter(typing: Any, source: Any, row: Any, copy: Any, floats: Any) -> tuple[Any, Any]:
    """Copy a row of D floats from `source` to `row` and to `copy`."""
    return _row_wise(3, reads=(0,), writes=(1, 2), combine=lambda _, value: value)


@intrinsic
def add_difference(typing: Any, target: Any, row: Any, copy: Any, floats: Any) -> tuple[Any, Any]:
    """Add `row` - `copy` to the row of D floats at `target`."""
    return _row_wise(3, reads=(1, 2, 0), writes=(0,), combine=lambda b, row, copy, old: b.fadd(old, b.fsub(row, copy)))


@intrinsic
def subtract(typing: Any, row: Any, copy: Any, floats: Any) -> tuple[Any, Any]:
    """Subtract the row of D floats at `copy` from `row`."""
    return _row_wise(2, reads=(0, 1), writes=(0,), combine=lambda b, row, copy: b.fsub(row, copy))


@intrinsic
def add(typing: Any, target: Any, source: Any, floats: Any) -> tuple[Any, Any]:
    """Add the row of D floats at `source` to the one at `target`."""
    return _row_wise(2, reads=(0, 1), writes=(0,), combine=lambda b, old, more: b.fadd(old, more))


@intrinsic
def scale_into(typing: Any, row: Any, copy: Any, factor: Any, floats: Any) -> tuple[Any, Any]:
    """Multiply the row of D floats at `row` by float32 `factor`, and copy it to `copy`."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        row, copy, factor, floats = arguments
        factors = _broadcast(builder, factor)
        with _along(builder, floats) as (place, _loop):
            value = builder.fmul(_load(builder, row, place, _WIDE), factors)
            _store(builder, value, row, place)
            _store(builder, value, copy, place)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32, types.int64), codegen


@intrinsic
def prefetch(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Prefetch the cache lines of a row for writing."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        row, floats = arguments
        pointer = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        with _along(builder, floats, step=64) as (place, _):
            address = builder.inttoptr(builder.add(row, place), pointer)
            builder.call(function, [address, _INT32(1), _INT32(3), _INT32(1)])  # to write, keep it near, data
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _gradients(
    builder: Builder, inputs: Value, addresses: list[Value], coefficients: tuple[Value, Value], gradients: Value,
    rows: Value, bytes_a_row: Value,
) -> None:  # fmt: skip
    """Write g for all rows, two input rows at a time."""
    towards, scale = coefficients
    with cgutils.for_range_slice(builder, _int(0), rows, _int(2), _INT64) as (row, _loop):
        first = builder.mul(row, _int(8))
        pair = [_load(builder, inputs, builder.add(first, _int(8 * i)), _INT64, 8) for i in range(2)]
        sums = [[_zeros(builder) for _ in range(OUTPUTS)] for _ in range(2)]
        with cgutils.for_range_slice(builder, _int(0), bytes_a_row, _int(4 * _WIDTH), _INT64) as (place, _loop2):
            left = [_load(builder, address, place, _WIDE) for address in pair]
            for k in range(OUTPUTS):
                right = _load(builder, addresses[k], place, _WIDE)
                for i in range(2):
                    builder.store(_fma(builder, left[i], right, builder.load(sums[i][k])), sums[i][k])
        for i in range(2):
            shares = _logistic(builder, _totals(builder, [builder.load(total) for total in sums[i]]))
            values = _fma(builder, builder.fneg(scale), shares, towards)
            _store(builder, values, gradients, builder.mul(builder.add(row, _int(i)), _int(4 * LANES)), 4)


def _updates(
    builder: Builder, inputs: Value, addresses: list[Value], gradients: Value, rows: Value, bytes_a_row: Value
) -> None:
    """Add all products of g and rows to the rows, one register's width at a time."""
    with cgutils.for_range_slice(builder, _int(0), bytes_a_row, _int(4 * _WIDTH), _INT64) as (place, _loop):
        before = [_load(builder, address, place, _WIDE) for address in addresses]
        moved = [_zeros(builder) for _ in range(OUTPUTS)]
        with cgutils.for_range_slice(builder, _int(0), rows, _int(1), _INT64) as (row, _loop2):
            address = _load(builder, inputs, builder.mul(row, _int(8)), _INT64, 8)
            old = new = _load(builder, address, place, _WIDE)
            first = builder.mul(row, _int(4 * LANES))
            for k in range(OUTPUTS):
                factors = _broadcast(builder, _load(builder, gradients, builder.add(first, _int(4 * k)), _FLOAT, 4))
                new = _fma(builder, factors, before[k], new)
                builder.store(_fma(builder, factors, old, builder.load(moved[k])), moved[k])
            _store(builder, new, address, place)
        for k in range(OUTPUTS):  # read again: a row may occur twice
            total = builder.fadd(_load(builder, addresses[k], place, _WIDE), builder.load(moved[k]))
            _store(builder, total, addresses[k], place)


def _totals(builder: Builder, vectors: list[Value]) -> Value:
    """Return the sums of six wide vectors as one vector of eight lanes, the last two zero."""
    none = ir.Constant(_EIGHT, [0.0] * LANES)
    if _WIDTH > LANES:
        low, high = list(range(LANES)), list(range(LANES, _WIDTH))
        vectors = [builder.fadd(_pick(builder, v, v, low), _pick(builder, v, v, high)) for v in vectors]

    def halved(pairs: list[Value], left: list[int], right: list[int]) -> list[Value]:
        return [
            builder.fadd(_pick(builder, x, y, left), _pick(builder, x, y, right))
            for x, y in zip(pairs[::2], pairs[1::2], strict=True)
        ]

    ones = halved([*vectors, none, none], [0, 8, 2, 10, 4, 12, 6, 14], [1, 9, 3, 11, 5, 13, 7, 15])
    twos = halved(ones, [0, 1, 8, 9, 4, 5, 12, 13], [2, 3, 10, 11, 6, 7, 14, 15])
    (total,) = halved(twos, [0, 1, 2, 3, 8, 9, 10, 11], [4, 5, 6, 7, 12, 13, 14, 15])
    return total


def _logistic(builder: Builder, x: Value) -> Value:
    """Return 1 / (1 + e^-x), x clipped to ±20, to 3e-6: 2^y = 2^n 2^f by the Taylor series of 2^f, |f| <= 1/2."""
    top, bottom = _eight(20.0), _eight(-20.0)
    x = builder.select(builder.fcmp_ordered("<", x, top), x, top)
    x = builder.select(builder.fcmp_ordered(">", x, bottom), x, bottom)
    y = builder.fmul(x, _eight(-1 / math.log(2)))
    to_integer = _eight(1.5 * 2**23)  # added, it leaves the nearest integer in the lowest bits
    shifted = builder.fadd(y, to_integer)
    rest = builder.fsub(y, builder.fsub(shifted, to_integer))
    power = _eight(math.log(2) ** 5 / math.factorial(5))
    for degree in (4, 3, 2, 1, 0):
        power = _fma(builder, power, rest, _eight(math.log(2) ** degree / math.factorial(degree)))
    exponent = builder.shl(builder.bitcast(shifted, _EIGHT_INTS), ir.Constant(_EIGHT_INTS, [23] * LANES))
    power = builder.bitcast(builder.add(builder.bitcast(power, _EIGHT_INTS), exponent), _EIGHT)
    return builder.fdiv(_eight(1.0), builder.fadd(power, _eight(1.0)))


def _row_wise(
    rows: int, *, reads: tuple[int, ...], writes: tuple[int, ...], combine: Callable[..., Value]
) -> tuple[Any, Any]:
    """Return an intrinsic of `rows` addresses and D: registers of rows `reads`, combined, go to rows `writes`."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        with _along(builder, arguments[-1]) as (place, _loop):
            value = combine(builder, *[_load(builder, arguments[row], place, _WIDE) for row in reads])
            for row in writes:
                _store(builder, value, arguments[row], place)
        return context.get_dummy_value()

    return types.void(*[types.int64] * (rows + 1)), codegen


def _along(builder: Builder, floats: Value, step: int = 4 * _WIDTH) -> Any:
    """Return a loop over the byte offsets of a row's registers."""
    return cgutils.for_range_slice(builder, _int(0), builder.mul(floats, _int(4)), _int(step), _INT64)


def _int(value: int) -> Value:
    return ir.Constant(_INT64, value)


def _eight(value: float) -> Value:
    return ir.Constant(_EIGHT, [value] * LANES)


def _zeros(builder: Builder) -> Value:
    place = cgutils.alloca_once(builder, _WIDE)
    builder.store(ir.Constant(_WIDE, [0.0] * _WIDTH), place)
    return place


def _load(builder: Builder, address: Value, offset: Value, kind: Any, align: int = _ALIGNED) -> Value:
    value = builder.load(builder.inttoptr(builder.add(address, offset), kind.as_pointer()))
    value.align = align
    return value


def _store(builder: Builder, value: Value, address: Value, offset: Value, align: int = _ALIGNED) -> None:
    place = builder.inttoptr(builder.add(address, offset), value.type.as_pointer())
    builder.store(value, place).align = align


def _broadcast(builder: Builder, number: Value) -> Value:
    none = ir.Constant(_WIDE, ir.Undefined)
    first = builder.insert_element(none, number, _INT32(0))
    return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(_INT32, _WIDTH), [0] * _WIDTH))


def _pick(builder: Builder, x: Value, y: Value, lanes: list[int]) -> Value:
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_INT32, len(lanes)), lanes))


def _fma(builder: Builder, x: Value, y: Value, z: Value) -> Value:
    kind = ir.FunctionType(x.type, [x.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{x.type.count}f32")
    return builder.call(function, [x, y, z])
