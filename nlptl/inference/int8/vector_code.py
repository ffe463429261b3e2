"""LLVM code of vectors of 16 numbers: loops, loads and stores, sums across, exponentials.

Addresses are plain integers. Nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16
BYTE, INT, LONG, FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
INTS, FLOATS = ir.VectorType(INT, LANES), ir.VectorType(FLOAT, LANES)
BYTES, FOUR_BYTES = ir.VectorType(BYTE, LANES), ir.VectorType(BYTE, 4 * LANES)
Builder = Any
Value = Any


def exponential(builder: Builder, x: Value) -> Value:
    """Return e to the x as 2^n 2^f with |f| ≤ 1/2 by a polynomial, off by 3e-7 at most; x beyond ±87 counts as that."""
    power = builder.fmul(
        larger(builder, smaller(builder, x, constant(87)), constant(-87)), constant(1.4426950408889634)
    )
    whole = unary(builder, "rint", power)
    part = builder.fsub(power, whole)
    series = [
        1,
        0.6931471805599453,
        0.24022650695910072,
        0.05550410866482158,
        0.009618129107628477,
        0.0013333558146428443,
    ]
    raised = builder.add(builder.fptosi(whole, INTS), ints(127))
    return builder.fmul(polynomial(builder, part, series), builder.bitcast(builder.shl(raised, ints(23)), FLOATS))


def polynomial(builder: Builder, x: Value, coefficients: Sequence[float]) -> Value:
    """Return the polynomial with these coefficients, the constant first, at x."""
    found = constant(coefficients[-1])
    for one in reversed(coefficients[:-1]):
        found = fused(builder, found, x, constant(one))
    return found


def loop(
    builder: Builder, count: Value, start: Sequence[Value], step: Callable[[Value, Sequence[Value]], list[Value]]
) -> list[Value]:
    """Run `step` for 0 to count - 1, at least once; it is given what it returned, first `start`, and the last is returned."""
    before, body = builder.block, builder.append_basic_block("body")
    builder.branch(body)
    builder.position_at_end(body)
    number, held = builder.phi(LONG), [builder.phi(value.type) for value in start]
    found = step(number, held)
    following = builder.add(number, long(1))
    for phi, first, last in zip([number, *held], [long(0), *start], [following, *found], strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(last, builder.block)
    after = builder.append_basic_block("after")
    builder.cbranch(builder.icmp_signed("<", following, count), body, after)
    builder.position_at_end(after)
    return found


def along(
    builder: Builder, floats: Value, start: Sequence[Value], step: Callable[[Value, Sequence[Value]], list[Value]]
) -> list[Value]:
    """Run `step` for each 16 numbers of a row, given the place of their first byte."""
    count = builder.udiv(floats, long(LANES))
    return loop(builder, count, start, lambda number, held: step(builder.mul(number, long(64)), held))


def across(builder: Builder, vector: Value, combine: Callable[[Value, Value], Value]) -> Value:
    """Return what becomes of all lanes of a vector."""
    nothing, width = ir.Constant(vector.type, ir.Undefined), LANES
    while width > 1:
        width //= 2
        lanes = ir.Constant(INTS, [(lane + width) % LANES for lane in range(LANES)])
        vector = combine(vector, builder.shuffle_vector(vector, nothing, lanes))
    return builder.extract_element(vector, ir.Constant(INT, 0))


def spread(builder: Builder, number: Value, kind: Any) -> Value:
    """Return a vector of `kind` whose lanes all hold a number."""
    nothing = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(nothing, number, ir.Constant(INT, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(INTS, [0] * LANES))


def load_row(builder: Builder, row: Value, place: Value) -> Value:
    """Return 16 floats of a row, `place` bytes behind its beginning."""
    return load(builder, row, place, FLOATS, 4)


def load(builder: Builder, address: Value, place: Value, kind: Any, align: int) -> Value:
    """Return what stands `place` bytes behind an address."""
    return builder.load(builder.inttoptr(builder.add(address, place), kind.as_pointer()), align=align)


def store(builder: Builder, value: Value, address: Value, place: Value, align: int) -> None:
    """Write a value `place` bytes behind an address."""
    builder.store(value, builder.inttoptr(builder.add(address, place), value.type.as_pointer()), align=align)


def larger(builder: Builder, a: Value, b: Value) -> Value:
    """Return the larger number of each lane."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def smaller(builder: Builder, a: Value, b: Value) -> Value:
    """Return the smaller number of each lane."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def absolute(builder: Builder, value: Value) -> Value:
    """Return the absolute value of each lane."""
    return unary(builder, "fabs", value)


def unary(builder: Builder, name: str, value: Value) -> Value:
    """Return LLVM's function of a name of each lane."""
    function = declared(builder, f"llvm.{name}.v{LANES}f32", ir.FunctionType(FLOATS, [FLOATS]))
    return builder.call(function, [value])


def fused(builder: Builder, a: Value, b: Value, c: Value) -> Value:
    """Return a * b + c."""
    kind = ir.FunctionType(FLOATS, [FLOATS] * 3)
    return builder.call(declared(builder, f"llvm.fmuladd.v{LANES}f32", kind), [a, b, c])


def declared(builder: Builder, name: str, kind: Any) -> Any:
    """Return a function of LLVM, declared in the module at its first use."""
    return cgutils.get_or_insert_function(builder.module, kind, name)


def constant(number: float) -> Any:
    """Return a vector of 16 equal floats."""
    return ir.Constant(FLOATS, [number] * LANES)


def zeros() -> Any:
    """Return a vector of 16 zeros."""
    return constant(0.0)


def ints(number: int) -> Any:
    """Return a vector of 16 equal int32."""
    return ir.Constant(INTS, [number] * LANES)


def long(number: int) -> Any:
    """Return an int64."""
    return ir.Constant(LONG, number)
