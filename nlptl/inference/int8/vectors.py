"""Inner loops of an int8 transformer as LLVM vector instructions, compiled by numba for the processor at hand.

Written out as vectors they are several times as fast as numba's own loops: LLVM vectorises no loop that finds a row's largest
number or rounds to bytes. Vectors have 16 numbers, which LLVM splits where registers are shorter.

Addresses are plain integers. Rows of floats have a multiple of 16 numbers, the last of which may be padding. Nothing is checked.

Shapes: R = 6 rows of a block, W columns of a block, K bytes of a row in groups of four.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from numba import types
from numba.extending import intrinsic

from nlptl.inference.int8.vector_code import (
    BYTES,
    FLOATS,
    INTS,
    Builder,
    Value,
    absolute,
    across,
    along,
    constant,
    exponential,
    fused,
    ints,
    larger,
    load,
    load_row,
    long,
    polynomial,
    spread,
    store,
    unary,
    zeros,
)
from nlptl.inference.int8.weights import RAISED

FINER = 254  # parts of a step of rounding, in which its rest is rounded again
ZERO = 128  # byte that stands for 0 in rows, which are unsigned, as the processor's instruction wants them


@intrinsic
def largest(typing: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Return the largest absolute number of a row."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, floats = arguments
        [most] = along(
            builder,
            floats,
            [zeros()],
            lambda place, held: [larger(builder, held[0], absolute(builder, load_row(builder, row, place)))],
        )
        return across(builder, most, lambda a, b: larger(builder, a, b))

    return types.float32(types.int64, types.int64), codegen


@intrinsic
def raise_to(typing: Any, most: Any, row: Any, floats: Any) -> tuple[Any, Any]:
    """Raise each number at `most` to the absolute one in the row."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        most, row, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = larger(builder, load_row(builder, most, place), absolute(builder, load_row(builder, row, place)))
            store(builder, found, most, place, 4)
            return []

        along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def rounded(typing: Any, row: Any, factor: Any, zero: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(factor * x) + zero of a row's numbers as bytes, and return the sum of round(factor * x)."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, factor, zero, out, floats = arguments
        factors, zeros = spread(builder, factor, FLOATS), spread(builder, zero, INTS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            scaled = builder.fmul(load_row(builder, row, place), factors)
            number = builder.fptosi(unary(builder, "rint", scaled), INTS)
            store(builder, builder.trunc(builder.add(number, zeros), BYTES), out, builder.udiv(place, long(4)), 1)
            return [builder.add(held[0], number)]

        [total] = along(builder, floats, [ints(0)], step)
        return across(builder, total, builder.add)

    return types.int32(types.int64, types.float32, types.int32, types.int64, types.int64), codegen


@intrinsic
def rounded_rest(typing: Any, row: Any, factor: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write what `rounded` leaves of factor * x, in units of 1 / FINER, as bytes with ZERO for 0."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        row, factor, out, floats = arguments
        factors = spread(builder, factor, FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            scaled = builder.fmul(load_row(builder, row, place), factors)
            left = builder.fmul(builder.fsub(scaled, unary(builder, "rint", scaled)), constant(FINER))
            number = builder.add(builder.fptosi(unary(builder, "rint", left), INTS), ints(ZERO))
            store(builder, builder.trunc(number, BYTES), out, builder.udiv(place, long(4)), 1)
            return []

        along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32, types.int64, types.int64), codegen


@intrinsic
def four_rounded(typing: Any, rows: Any, stride: Any, factors: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(f * x) of four rows, `stride` bytes apart, as bytes side by side: (floats, 4). Each column has its factor f."""

    def codegen(context: Any, builder: Builder, _: Any, arguments: list[Value]) -> Value:
        rows, stride, factors, out, floats = arguments
        begins = [builder.add(rows, builder.mul(stride, long(row))) for row in range(4)]

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            factor, joined = load_row(builder, factors, place), ints(0)
            for number, begin in enumerate(begins):
                scaled = builder.fmul(load_row(builder, begin, place), factor)
                byte = builder.and_(builder.fptosi(unary(builder, "rint", scaled), INTS), ints(255))
                joined = builder.or_(joined, builder.shl(byte, ints(8 * number)))
            store(builder, joined, out, place, 4)
            return []

        along(builder, floats, [], step)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


@intrinsic
def scaled_sums(typing: Any, sums: Any, scale: Any, scales: Any, shifts: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write sum * scale * scales + shifts of a row of int32 sums, and return the highest."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        sums, scale, scales, shifts, out, floats = arguments
        by = spread(builder, scale, FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            number = builder.sitofp(load(builder, sums, place, INTS, 4), FLOATS)
            factor = builder.fmul(by, load_row(builder, scales, place))
            found = fused(builder, number, factor, load_row(builder, shifts, place))
            store(builder, found, out, place, 4)
            return [larger(builder, held[0], found)]

        [most] = along(builder, floats, [constant(-1e30)], step)
        return across(builder, most, lambda a, b: larger(builder, a, b))

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
    return _activation(lambda builder, x: larger(builder, x, zeros()), 0.0)


@intrinsic
def add_into(typing: Any, row: Any, more: Any, floats: Any) -> tuple[Any, Any]:
    """Add the row at `more` to `row`, and return the sum of all."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, more, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = builder.fadd(load_row(builder, row, place), load_row(builder, more, place))
            store(builder, found, row, place, 4)
            return [builder.fadd(held[0], found)]

        [total] = along(builder, floats, [zeros()], step)
        return across(builder, total, builder.fadd)

    return types.float32(types.int64, types.int64, types.int64), codegen


@intrinsic
def squares(typing: Any, row: Any, mean: Any, floats: Any) -> tuple[Any, Any]:
    """Return the sum of (x - mean)² of a row."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, mean, floats = arguments
        means = spread(builder, mean, FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            apart = builder.fsub(load_row(builder, row, place), means)
            return [fused(builder, apart, apart, held[0])]

        [total] = along(builder, floats, [zeros()], step)
        return across(builder, total, builder.fadd)

    return types.float32(types.int64, types.float32, types.int64), codegen


@intrinsic
def normalised(typing: Any, row: Any, mean: Any, factor: Any, scales: Any, shifts: Any, floats: Any) -> tuple[Any, Any]:
    """Replace x by (x - mean) * factor * scales + shifts in a row, and return the largest absolute result."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, mean, factor, scales, shifts, floats = arguments
        means, factors = spread(builder, mean, FLOATS), spread(builder, factor, FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            unit = builder.fmul(builder.fsub(load_row(builder, row, place), means), factors)
            found = fused(builder, unit, load_row(builder, scales, place), load_row(builder, shifts, place))
            store(builder, found, row, place, 4)
            return [larger(builder, held[0], absolute(builder, found))]

        [most] = along(builder, floats, [zeros()], step)
        return across(builder, most, lambda a, b: larger(builder, a, b))

    return types.float32(types.int64, types.float32, types.float32, types.int64, types.int64, types.int64), codegen


@intrinsic
def exponentials(typing: Any, row: Any, most: Any, out: Any, floats: Any) -> tuple[Any, Any]:
    """Write round(255 exp(x - most)) of a row as bytes, and return their sum."""

    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, most, out, floats = arguments
        mosts = spread(builder, most, FLOATS)

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = exponential(builder, builder.fsub(load_row(builder, row, place), mosts))
            number = builder.fptosi(fused(builder, found, constant(255), constant(0.5)), INTS)
            store(builder, builder.trunc(number, BYTES), out, builder.udiv(place, long(4)), 1)
            return [builder.add(held[0], number)]

        [total] = along(builder, floats, [ints(0)], step)
        return across(builder, total, builder.add)

    return types.int32(types.int64, types.float32, types.int64, types.int64), codegen


def _activation(function: Callable[[Builder, Value], Value], raised: float) -> tuple[Any, Any]:
    def codegen(_: Any, builder: Builder, __: Any, arguments: list[Value]) -> Value:
        row, floats = arguments

        def step(place: Value, held: Sequence[Value]) -> list[Value]:
            found = builder.fadd(function(builder, load_row(builder, row, place)), constant(raised))
            store(builder, found, row, place, 4)
            return [larger(builder, held[0], found)]

        [most] = along(builder, floats, [zeros()], step)
        return across(builder, most, lambda a, b: larger(builder, a, b))

    return types.float32(types.int64, types.int64), codegen


def _exact_gelu(builder: Builder, x: Value) -> Value:
    size = builder.fmul(absolute(builder, x), constant(0.5**0.5))
    t = builder.fdiv(constant(1), fused(builder, size, constant(0.3275911), constant(1)))
    series = polynomial(builder, t, [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429])
    tail = builder.fmul(series, exponential(builder, builder.fneg(builder.fmul(size, size))))
    half = builder.fmul(constant(0.5), absolute(builder, x))  # x Φ(x) = (x + |x| erf(|x| / √2)) / 2
    return fused(builder, half, builder.fsub(constant(1), tail), builder.fmul(constant(0.5), x))


def _tanh_gelu(builder: Builder, x: Value) -> Value:
    cubic = builder.fmul(x, fused(builder, builder.fmul(x, x), constant(0.044715), constant(1)))
    raised = exponential(builder, builder.fmul(cubic, constant(-2 * (2 / 3.141592653589793) ** 0.5)))
    return builder.fdiv(x, builder.fadd(constant(1), raised))  # x sigmoid(2 z) = x (1 + tanh z) / 2
