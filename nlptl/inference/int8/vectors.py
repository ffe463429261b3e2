"""Inner loops of an int8 transformer as LLVM vector instructions, compiled by numba for the processor at hand.

Written out as vectors they are several times as fast as numba's own loops: LLVM vectorises no loop that finds a row's largest
number or rounds to bytes. Vectors have 16 numbers, which LLVM splits where registers are shorter.

Addresses are plain integers. Rows of floats have a multiple of 16 numbers, the last of which may be padding. Nothing is checked.

Shapes: R = 6 rows of a block, W columns of a block, K bytes of a row in groups of four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from nlptl.inference.int8.weights import RAISED

ROWS = 6  # R: 6 by 4 sums of 16 numbers, four weights and one row's bytes fill the 32 registers of AVX-512
WIDE, NARROW = 64, 32  # columns of a block: of a weight, and of the keys or values of a head
LANES = 16
FINER = 254  # parts of a step of rounding, in which its rest is rounded again
ZERO = 128  # byte that stands for 0 in rows, which are unsigned, as the processor's instruction wants them
_FEATURES = llvmlite.binding.get_host_cpu_features()
HAS_DOT = bool(_FEATURES.get("avx512vnni"))  # whether one instruction multiplies and adds 64 bytes
_TAKES_BYTES = llvmlite.binding.llvm_version_info[0] >= 22  # how LLVM declares that instruction

_BYTE, _INT, _LONG, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_INTS, _FLOATS = ir.VectorType(_INT, LANES), ir.VectorType(_FLOAT, LANES)
_BYTES, _FOUR_BYTES = ir.VectorType(_BYTE, LANES), ir.VectorType(_BYTE, 4 * LANES)
Builder = Any
Value = Any


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
            begins = [builder.add(rows, builder.mul(stride, _long(row))) for row in range(ROWS)]
            first = [_load(builder, start, _long(64 * one), _INTS, 4) for one in range(vectors)]

            def step(group: Value, totals: Sequence[Value]) -> list[Value]:
                place = builder.mul(group, _long(4 * width))
                columns = [
                    _load(builder, weights, builder.add(place, _long(64 * one)), _INTS, 4) for one in range(vectors)
                ]
                found = []
                for row, begin in enumerate(begins):
                    four = _spread(builder, _load(builder, begin, builder.mul(group, _long(4)), _INT, 1), _INTS)
                    found += [
                        _add_dot(builder, totals[row * vectors + one], four, column)
                        for one, column in enumerate(columns)
                    ]
                return found

            for place, total in enumerate(_loop(builder, groups, first * ROWS, step)):
                _store(builder, total, sums, _long(64 * place), 4)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6), codegen

    return dot


dot_wide, dot_narrow = _dot(WIDE), _dot(NARROW)


@intrinsic
def largest(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Return the largest absolute number of a row."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, floats = arguments
        [most] = _along(
            builder,
            floats,
            [_zeros()],
            lambda place, held: [_most(builder, held[0], _abs(builder, _row(builder, row, place)))],
        )
        return _across(builder, most, lambda a, b: _most(builder, a, b))

    return types.float32(types.int64, types.int64), codegen


@intrinsic
def raise_to(typing: Any, most: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Raise each number at `most` to the absolute one in the row."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        most, row, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = _most(builder, _row(builder, most, place), _abs(builder, _row(builder, row, place)))
            _store(builder, found, most, place, 4)
            return []

        _along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def rounded(typing: Any, row: Any, factor: Any, zero: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(factor * x) + zero of a row's numbers as bytes, and return the sum of round(factor * x)."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, factor, zero, out, floats = arguments
        factors, zeros = _spread(builder, factor, _FLOATS), _spread(builder, zero, _INTS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            scaled = builder.fmul(_row(builder, row, place), factors)
            number = builder.fptosi(_unary(builder, "rint", scaled), _INTS)
            _store(builder, builder.trunc(builder.add(number, zeros), _BYTES), out, builder.udiv(place, _long(4)), 1)
            return [builder.add(held[0], number)]

        [total] = _along(builder, floats, [_ints(0)], step)
        return _across(builder, total, builder.add)

    return types.int32(types.int64, types.float32, types.int32, types.int64, types.int64), codegen


@intrinsic
def rounded_rest(typing: Any, row: Any, factor: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write what `rounded` leaves of factor * x, in units of 1 / FINER, as bytes with ZERO for 0."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        row, factor, out, floats = arguments
        factors = _spread(builder, factor, _FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            scaled = builder.fmul(_row(builder, row, place), factors)
            left = builder.fmul(builder.fsub(scaled, _unary(builder, "rint", scaled)), _constant(FINER))
            number = builder.add(builder.fptosi(_unary(builder, "rint", left), _INTS), _ints(ZERO))
            _store(builder, builder.trunc(number, _BYTES), out, builder.udiv(place, _long(4)), 1)
            return []

        _along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int64, types.int64), codegen


@intrinsic
def four_rounded(typing: Any, rows: Any, stride: Any, factors: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(f * x) of four rows, `stride` bytes apart, as bytes side by side: (floats, 4). Each column has its factor f."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        rows, stride, factors, out, floats = arguments
        begins = [builder.add(rows, builder.mul(stride, _long(row))) for row in range(4)]

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            factor, joined = _row(builder, factors, place), _ints(0)
            for number, begin in enumerate(begins):
                scaled = builder.fmul(_row(builder, begin, place), factor)
                byte = builder.and_(builder.fptosi(_unary(builder, "rint", scaled), _INTS), _ints(255))
                joined = builder.or_(joined, builder.shl(byte, _ints(8 * number)))
            _store(builder, joined, out, place, 4)
            return []

        _along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def scaled_sums(typing: Any, sums: Any, scale: Any, scales: Any, shifts: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write sum * scale * scales + shifts of a row of int32 sums, and return the highest."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        sums, scale, scales, shifts, out, floats = arguments
        by = _spread(builder, scale, _FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            number = builder.sitofp(_load(builder, sums, place, _INTS, 4), _FLOATS)
            factor = builder.fmul(by, _row(builder, scales, place))
            found = _fused(builder, number, factor, _row(builder, shifts, place))
            _store(builder, found, out, place, 4)
            return [_most(builder, held[0], found)]

        [most] = _along(builder, floats, [_constant(-1e30)], step)
        return _across(builder, most, lambda a, b: _most(builder, a, b))

    return types.float32(types.int64, types.float32, *[types.int64] * 4), codegen


@intrinsic
def gelu(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Replace each x of a row by x Φ(x) + RAISED, and return the largest result.

    The error function is that of Abramowitz & Stegun (1964), 7.1.26, off by 1.5e-7 at most.
    """
    return _activation(_exact_gelu, RAISED)


@intrinsic
def gelu_tanh(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Replace each x of a row by its GELU in the form with tanh (Hendrycks & Gimpel 2016) + RAISED; return the largest one."""
    return _activation(_tanh_gelu, RAISED)


@intrinsic
def relu(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Replace each x of a row by max(0, x), and return the largest one."""
    return _activation(lambda builder, x: _most(builder, x, _zeros()), 0.0)


@intrinsic
def add_into(typing: Any, row: Any, more: Any, floats: Any) -> tuple[Any, Any]:
    """Add the row at `more` to `row`, and return the sum of all."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, more, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = builder.fadd(_row(builder, row, place), _row(builder, more, place))
            _store(builder, found, row, place, 4)
            return [builder.fadd(held[0], found)]

        [total] = _along(builder, floats, [_zeros()], step)
        return _across(builder, total, builder.fadd)

    return types.float32(types.int64, types.int64, types.int64), codegen


@intrinsic
def squares(typing: Any, row: Any, mean: Any, floats: Any) -> tuple[Any, Any]:
    """Return the sum of (x - mean)² of a row."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, mean, floats = arguments
        means = _spread(builder, mean, _FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            apart = builder.fsub(_row(builder, row, place), means)
            return [_fused(builder, apart, apart, held[0])]

        [total] = _along(builder, floats, [_zeros()], step)
        return _across(builder, total, builder.fadd)

    return types.float32(types.int64, types.float32, types.int64), codegen


@intrinsic
def normalised(typing: Any, row: Any, mean: Any, factor: Any, scales: Any, shifts: Any, floats: Any) -> tuple[Any, Any]:
    """Replace x by (x - mean) * factor * scales + shifts in a row, and return the largest absolute result."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, mean, factor, scales, shifts, floats = arguments
        means, factors = _spread(builder, mean, _FLOATS), _spread(builder, factor, _FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            unit = builder.fmul(builder.fsub(_row(builder, row, place), means), factors)
            found = _fused(builder, unit, _row(builder, scales, place), _row(builder, shifts, place))
            _store(builder, found, row, place, 4)
            return [_most(builder, held[0], _abs(builder, found))]

        [most] = _along(builder, floats, [_zeros()], step)
        return _across(builder, most, lambda a, b: _most(builder, a, b))

    return types.float32(types.int64, types.float32, types.float32, types.int64, types.int64, types.int64), codegen


@intrinsic
def exponentials(typing: Any, row: Any, most: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(255 exp(x - most)) of a row as bytes, and return their sum."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, most, out, floats = arguments
        mosts = _spread(builder, most, _FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = _exp(builder, builder.fsub(_row(builder, row, place), mosts))
            number = builder.fptosi(_fused(builder, found, _constant(255), _constant(0.5)), _INTS)
            _store(builder, builder.trunc(number, _BYTES), out, builder.udiv(place, _long(4)), 1)
            return [builder.add(held[0], number)]

        [total] = _along(builder, floats, [_ints(0)], step)
        return _across(builder, total, builder.add)

    return types.int32(types.int64, types.float32, types.int64, types.int64), codegen


def _add_dot(builder: Builder, totals: Value, row: Value, column: Value) -> Value:
    """Return totals + the dot products of four unsigned bytes of a row and four signed ones of 16 columns, all int32."""
    if HAS_DOT:
        kind = _FOUR_BYTES if _TAKES_BYTES else _INTS
        function = _function(builder, "llvm.x86.avx512.vpdpbusd.512", ir.FunctionType(_INTS, [_INTS, kind, kind]))
        return builder.call(function, [totals, builder.bitcast(row, kind), builder.bitcast(column, kind)])
    for byte in range(4):
        left = builder.and_(builder.lshr(row, _ints(8 * byte)), _ints(255))
        right = builder.ashr(builder.shl(column, _ints(24 - 8 * byte)), _ints(24))
        totals = builder.add(totals, builder.mul(left, right))
    return totals


def _activation(function: Callable[[Builder, Value], Value], raised: float) -> tuple[Any, Any]:
    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = builder.fadd(function(builder, _row(builder, row, place)), _constant(raised))
            _store(builder, found, row, place, 4)
            return [_most(builder, held[0], found)]

        [most] = _along(builder, floats, [_zeros()], step)
        return _across(builder, most, lambda a, b: _most(builder, a, b))

    return types.float32(types.int64, types.int64), codegen


def _exact_gelu(builder: Builder, x: Value) -> Value:
    size = builder.fmul(_abs(builder, x), _constant(0.5**0.5))
    t = builder.fdiv(_constant(1), _fused(builder, size, _constant(0.3275911), _constant(1)))
    series = _polynomial(builder, t, [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429])
    tail = builder.fmul(series, _exp(builder, builder.fneg(builder.fmul(size, size))))
    half = builder.fmul(_constant(0.5), _abs(builder, x))  # x Φ(x) = (x + |x| erf(|x| / √2)) / 2
    return _fused(builder, half, builder.fsub(_constant(1), tail), builder.fmul(_constant(0.5), x))


def _tanh_gelu(builder: Builder, x: Value) -> Value:
    cubic = builder.fmul(x, _fused(builder, builder.fmul(x, x), _constant(0.044715), _constant(1)))
    raised = _exp(builder, builder.fmul(cubic, _constant(-2 * (2 / 3.141592653589793) ** 0.5)))
    return builder.fdiv(x, builder.fadd(_constant(1), raised))  # x sigmoid(2 z) = x (1 + tanh z) / 2


def _exp(builder: Builder, x: Value) -> Value:
    """Return e to the x as 2^n 2^f with |f| ≤ 1/2 by a polynomial, off by 3e-7 at most; x beyond ±87 counts as that."""
    power = builder.fmul(
        _most(builder, _least(builder, x, _constant(87)), _constant(-87)), _constant(1.4426950408889634)
    )
    whole = _unary(builder, "rint", power)
    part = builder.fsub(power, whole)
    series = [
        1,
        0.6931471805599453,
        0.24022650695910072,
        0.05550410866482158,
        0.009618129107628477,
        0.0013333558146428443,
    ]
    raised = builder.add(builder.fptosi(whole, _INTS), _ints(127))
    return builder.fmul(_polynomial(builder, part, series), builder.bitcast(builder.shl(raised, _ints(23)), _FLOATS))


def _polynomial(builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    found = _constant(coefficients[-1])
    for one in reversed(coefficients[:-1]):
        found = _fused(builder, found, x, _constant(one))
    return found


def _loop(
    builder: Builder, count: Value, start: Sequence[Value], step: Callable[[Value, Sequence[Value]], list[Value]]
) -> list[Value]:
    """Run `step` for 0 to count - 1, at least once; it is given what it returned, first `start`, and the last is returned."""
    before, body = builder.block, builder.append_basic_block("body")
    builder.branch(body)
    builder.position_at_end(body)
    number, held = builder.phi(_LONG), [builder.phi(value.type) for value in start]
    found = step(number, held)
    following = builder.add(number, _long(1))
    for phi, first, last in zip([number, *held], [_long(0), *start], [following, *found], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, builder.block)
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    return found


def _along(
    builder: Builder, floats: Value, start: Sequence[Value], step: Callable[[Value, Sequence[Value]], list[Value]]
) -> list[Value]:
    """Run `step` for each 16 numbers of a row, given the place of their first byte."""
    count = builder.udiv(floats, _long(LANES))
    return _loop(builder, count, start, lambda number, held: step(builder.mul(number, _long(64)), held))


def _across(builder: Builder, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """Return what becomes of all lanes of a vector."""
    nothing, width = ir.Constant(vector.type, ir.Undefined), LANES
    while width > 1:
        width //= 2
        lanes = ir.Constant(_INTS, [(lane + width) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, nothing, lanes))
    return builder.extract_element(vector, ir.Constant(_INT, 0))


def _spread(builder: Builder, number: Value, kind: Any) -> Value:
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_INTS, [0] * LANES))


def _row(builder: Builder, row: Value, place: Value) -> Value:
    return _load(builder, row, place, _FLOATS, 4)


def _load(builder: Builder, address: Value, place: Value, kind: Any, align: int) -> Value:
    return builder.load(builder.inttoptr(builder.add(address, place), kind.as_pointer()), align=align)


def _store(builder: Builder, value: Value, address: Value, place: Value, align: int) -> None:
    builder.store(value, builder.inttoptr(builder.add(address, place), value.type.as_pointer()), align=align)


def _most(builder: Builder, a: Value, b: Value) -> Value:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _least(builder: Builder, a: Value, b: Value) -> Value:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _abs(builder: Builder, value: Value) -> Value:
    return _unary(builder, "fabs", value)


def _unary(builder: Builder, name: str, value: Value) -> Value:
    function = _function(builder, f"llvm.{name}.v{LANES}f32", ir.FunctionType(_FLOATS, [_FLOATS]))
    return builder.call(function, [value])


def _fused(builder: Builder, a: Value, b: Value, c: Value) -> Value:
    """Return a * b + c."""
    kind = ir.FunctionType(_FLOATS, [_FLOATS] * 3)
    return builder.call(_function(builder, f"llvm.fmuladd.v{LANES}f32", kind), [a, b, c])


def _function(builder: Builder, name: str, kind: Any) -> Any:
    return cgutils.get_or_insert_function(builder.module, kind, name)


def _constant(number: float) -> Any:
    return ir.Constant(_FLOATS, [number] * LANES)


def _zeros() -> Any:
    return _constant(0.0)


def _ints(number: int) -> Any:
    return ir.Constant(_INTS, [number] * LANES)


def _long(number: int) -> Any:
    return ir.Constant(_LONG, number)
