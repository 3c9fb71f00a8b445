"""Lanes taken apart: powers of two, comparison of whole numbers, transposed copies and sums."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from basismodels.likelihood.lanes import Lanes, bit_mask, constant_lanes, place, shuffle

_INT = ir.IntType(64)
# bits of 2^52: a double whose last bits are a whole number
_FIRST_BITS = 0x4330000000000000


@intrinsic
def apart(typingctx: Any) -> Any:
    """Keeps the function it is called in whole: copied into every caller it would take minutes to compile."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def exponent(typingctx: Any, x: Any) -> Any:
    """The k of x = f 2^k, 1 <= f < 2, as a double; x normal and positive."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.args[0].width
        whole = ir.VectorType(_INT, width)
        bits = builder.lshr(builder.bitcast(args[0], whole), bit_mask(width, 52))
        held = builder.bitcast(builder.or_(bits, bit_mask(width, _FIRST_BITS)), args[0].type)
        return builder.fsub(held, constant_lanes(width, 2.0**52 + 1023.0))

    return x(x), codegen


@intrinsic
def inverse_power(typingctx: Any, x: Any) -> Any:
    """2^-k for x = f 2^k, 1 <= f < 2; x normal and positive."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.args[0].width
        whole = ir.VectorType(_INT, width)
        bits = builder.and_(builder.bitcast(args[0], whole), bit_mask(width, 0x7FF << 52))
        return builder.bitcast(builder.sub(bit_mask(width, 2046 << 52), bits), args[0].type)

    return x(x), codegen


@intrinsic
def unlike(typingctx: Any, held: Any, array: Any, at: Any, value: Any) -> Any:
    """`held` with every bit set in which one of W whole numbers of a flat array, from `at` on, differs from a value."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.args[0].width
        whole = ir.VectorType(_INT, width)
        pointer = place(context, builder, sig.args[1], args[1], args[2], 0)
        found = builder.load(builder.bitcast(pointer, whole.as_pointer()))
        found.align = 8
        first = builder.insert_element(found, args[3], ir.Constant(ir.IntType(32), 0))
        wanted = shuffle(builder, first, found, [0] * width)
        bits = builder.or_(builder.bitcast(args[0], whole), builder.xor(found, wanted))
        return builder.bitcast(bits, args[0].type)

    return held(held, array, types.int64, types.int64), codegen


@intrinsic
def any_bit(typingctx: Any, x: Any) -> Any:
    """Whether a bit is set in any lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole = ir.IntType(64 * sig.args[0].width)
        return builder.icmp_unsigned("!=", builder.bitcast(args[0], whole), ir.Constant(whole, 0))

    return types.boolean(x), codegen


@intrinsic
def transpose_block(
    typingctx: Any, ww: Any, source: Any, at: Any, stride: Any, target: Any, to: Any, apart: Any
) -> Any:
    """Copies a square of W rows `stride` apart, transposed, into rows `apart` of a flat array."""
    width = len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = []
        for i in range(width):
            at_i = builder.add(args[2], builder.mul(args[3], ir.Constant(_INT, i)))
            row = builder.load(place(context, builder, sig.args[1], args[1], at_i, width))
            row.align = 8
            rows.append(row)
        for i, row in enumerate(_transposed(builder, rows)):
            to_i = builder.add(args[5], builder.mul(args[6], ir.Constant(_INT, i)))
            made = builder.store(row, place(context, builder, sig.args[4], args[4], to_i, width))
            made.align = 8
        return context.get_dummy_value()

    return types.none(ww, source, types.int64, types.int64, target, types.int64, types.int64), codegen


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """Exchanges off-diagonal squares, of half the size each time."""
    width = len(rows)
    size = width // 2
    while size:
        upper = [lane if not lane & size else width + lane - size for lane in range(width)]
        lower = [lane + size if not lane & size else width + lane for lane in range(width)]
        for i in (i for i in range(width) if not i & size):
            a, b = rows[i], rows[i + size]
            rows[i], rows[i + size] = shuffle(builder, a, b, upper), shuffle(builder, a, b, lower)
        size //= 2
    return rows


@intrinsic
def totals(typingctx: Any, kk: Any, ww: Any, array: Any, at: Any, stride: Any) -> Any:
    """Lane j: the sum over the lanes of the j-th of K vectors that stand `stride` apart."""
    count, width = len(kk), len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = []
        for j in range(width):
            at_j = builder.add(args[3], builder.mul(args[4], ir.Constant(_INT, min(j, count - 1))))
            row = builder.load(place(context, builder, sig.args[2], args[2], at_j, width))
            row.align = 8
            rows.append(row if j < count else constant_lanes(width, 0.0))
        return _transposed_sum(builder, rows)

    return Lanes(width)(kk, ww, array, types.int64, types.int64), codegen


def _transposed_sum(builder: Any, rows: list[Any]) -> Any:
    """Sums of the rows as one row, by pairs of rows and then pairs of sums."""
    width, size = len(rows), 1
    while len(rows) > 1:
        low: list[int] = []
        for group in range(0, width, 2 * size):
            low += [*range(group, group + size), *range(width + group, width + group + size)]
        high = [lane + size for lane in low]
        rows = [
            builder.fadd(shuffle(builder, a, b, low), shuffle(builder, a, b, high))
            for a, b in zip(rows[::2], rows[1::2], strict=True)
        ]
        size *= 2
    return rows[0]
