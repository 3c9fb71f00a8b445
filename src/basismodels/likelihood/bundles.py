"""Small vectors and matrices of `Lanes` as values of compiled code: K numbers, or K by K, in every lane.

Every operation is written out for its size when it is compiled, so that all numbers
stay in registers.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

from basismodels.likelihood.lane_powers import exp2_many
from basismodels.likelihood.lanes import (
    Lanes,
    call_vector,
    constant_lanes,
    place,
    spread_lanes,
)

_INT = ir.IntType(64)


class Bundle(types.Type):  # type: ignore[misc]
    """Numba type of `count` vectors of `width` doubles."""

    def __init__(self, count: int, width: int) -> None:
        self.count, self.width = count, width
        super().__init__(name=f"Bundle({count}, {width})")


@register_model(Bundle)
class _BundleModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Bundle) -> None:
        vector = ir.VectorType(ir.DoubleType(), fe_type.width)
        super().__init__(dmm, fe_type, ir.ArrayType(vector, fe_type.count))


def _open(builder: Any, value: Any) -> list[Any]:
    return [builder.extract_value(value, i) for i in range(value.type.count)]


def _close(builder: Any, parts: list[Any]) -> Any:
    made: Any = ir.Constant(ir.ArrayType(parts[0].type, len(parts)), ir.Undefined)
    for i, part in enumerate(parts):
        made = builder.insert_value(made, part, i)
    return made


def _dot(builder: Any, pairs: list[tuple[Any, Any]]) -> Any:
    made = builder.fmul(*pairs[0])
    for a, b in pairs[1:]:
        made = call_vector(builder, "fma", a, b, made)
    return made


@intrinsic
def square_of(typingctx: Any, kk: Any) -> Any:
    """A tuple of K times K zeros."""
    kind = types.UniTuple(types.int64, len(kk) ** 2)
    return kind(kk), _zeros


@intrinsic
def pieces_for(typingctx: Any, kk: Any) -> Any:
    """A tuple as long as there are pieces to run side by side: as many as registers hold."""
    kind = types.UniTuple(types.int64, 16 if len(kk) == 2 else 8)
    return kind(kk), _zeros


def _zeros(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    return context.get_constant_null(sig.return_type)


@intrinsic
def load_bundle(typingctx: Any, kk: Any, ww: Any, array: Any, at: Any) -> Any:
    """K rows of lanes that follow each other in a flat array."""
    count, width = len(kk), len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = []
        for i in range(count):
            at_i = builder.add(args[3], ir.Constant(_INT, i * width))
            part = builder.load(place(context, builder, sig.args[2], args[2], at_i, width))
            part.align = 8
            parts.append(part)
        return _close(builder, parts)

    return Bundle(count, width)(kk, ww, array, types.int64), codegen


@intrinsic
def store_bundle(typingctx: Any, value: Any, array: Any, at: Any) -> Any:
    """Writes a bundle into a flat array, row after row."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.args[0].width
        for i, part in enumerate(_open(builder, args[0])):
            at_i = builder.add(args[2], ir.Constant(_INT, i * width))
            made = builder.store(part, place(context, builder, sig.args[1], args[1], at_i, width))
            made.align = 8
        return context.get_dummy_value()

    return types.none(value, array, types.int64), codegen


@intrinsic
def store_rows(typingctx: Any, value: Any, array: Any, at: Any, stride: Any) -> Any:
    """Writes the entries of a bundle `stride` numbers apart."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        at_i = args[2]
        for part in _open(builder, args[0]):
            made = builder.store(part, place(context, builder, sig.args[1], args[1], at_i, sig.args[0].width))
            made.align = 8
            at_i = builder.add(at_i, args[3])
        return context.get_dummy_value()

    return types.none(value, array, types.int64, types.int64), codegen


@intrinsic
def spread_bundle(typingctx: Any, kk: Any, ww: Any, array: Any, at: Any) -> Any:
    """K numbers that follow each other in a flat array, each in every lane."""
    count, width = len(kk), len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        parts = []
        for i in range(count):
            at_i = builder.add(args[3], ir.Constant(_INT, i))
            pointer = place(context, builder, sig.args[2], args[2], at_i, 0)
            parts.append(spread_lanes(builder, builder.load(pointer), width))
        return _close(builder, parts)

    return Bundle(count, width)(kk, ww, array, types.int64), codegen


@njit(error_model="numpy")
def one_first(square, ww, array, at):  # type: ignore[no-untyped-def]
    """As `spread_bundle`, the first entry known to be one."""
    return after_one(spread_bundle(square[1:], ww, array, at + 1))


@intrinsic
def repeat(typingctx: Any, kk: Any, value: Any) -> Any:
    """The same lanes K times."""
    count = len(kk)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _close(builder, [args[1]] * count)

    return Bundle(count, value.width)(kk, value), codegen


@intrinsic
def times(typingctx: Any, rows: Any, matrix: Any) -> Any:
    """Row vectors of length K, one after the other, times a K by K matrix."""
    size = round(matrix.count**0.5)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        a, m = _open(builder, args[0]), _open(builder, args[1])
        out = []
        for first in range(0, len(a), size):
            for k in range(size):
                out.append(_dot(builder, [(a[first + j], m[j * size + k]) for j in range(size)]))
        return _close(builder, out)

    return rows(rows, matrix), codegen


@intrinsic
def applied(typingctx: Any, matrix: Any, column: Any) -> Any:
    """A K by K matrix times a column vector."""
    size = column.count

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        m, b = _open(builder, args[0]), _open(builder, args[1])
        out = [_dot(builder, [(m[j * size + k], b[k]) for k in range(size)]) for j in range(size)]
        return _close(builder, out)

    return column(matrix, column), codegen


@intrinsic
def columns(typingctx: Any, matrix: Any, factor: Any) -> Any:
    """A K by K matrix with column k times the k-th factor."""
    size = factor.count

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        m, f = _open(builder, args[0]), _open(builder, args[1])
        return _close(builder, [builder.fmul(part, f[i % size]) for i, part in enumerate(m)])

    return matrix(matrix, factor), codegen


@intrinsic
def add_outer(typingctx: Any, matrix: Any, left: Any, right: Any) -> Any:
    """A K by K matrix plus left times right transposed."""
    size = left.count

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        m, a, b = (_open(builder, arg) for arg in args)
        out = [call_vector(builder, "fma", a[i // size], b[i % size], part) for i, part in enumerate(m)]
        return _close(builder, out)

    return matrix(matrix, left, right), codegen


@intrinsic
def add_product(typingctx: Any, total: Any, left: Any, right: Any) -> Any:
    """total + left * right in one rounding, entry by entry."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        triples = zip(*(_open(builder, arg) for arg in args), strict=True)
        return _close(builder, [call_vector(builder, "fma", a, b, t) for t, a, b in triples])

    return total(total, left, right), codegen


@intrinsic
def summed(typingctx: Any, value: Any) -> Any:
    """Sum of the K entries, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        made, *rest = _open(builder, args[0])
        for part in rest:
            made = builder.fadd(made, part)
        return made

    return Lanes(value.width)(value), codegen


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@intrinsic
def largest(typingctx: Any, value: Any) -> Any:
    """Greatest of the K entries, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        made, *rest = _open(builder, args[0])
        for part in rest:
            made = _larger(builder, made, part)
        return made

    return Lanes(value.width)(value), codegen


@intrinsic
def powers(typingctx: Any, value: Any) -> Any:
    """2^x of each entry, zero below 2^-1021; the entries' steps alternate, so that none waits for the one before."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _close(builder, exp2_many(builder, _open(builder, args[0])))

    return value(value), codegen


@intrinsic
def after_one(typingctx: Any, value: Any) -> Any:
    """A one and then the entries, K of them."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _close(builder, [constant_lanes(sig.args[0].width, 1.0), *_open(builder, args[0])])

    return Bundle(value.count + 1, value.width)(value), codegen


def _register(symbol: Any, instruction: str) -> None:
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Bundle) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(symbol)(Typing)

    @lower_builtin(symbol, Bundle, Bundle)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pairs = zip(*(_open(builder, arg) for arg in args), strict=True)
        return _close(builder, [getattr(builder, instruction)(a, b) for a, b in pairs])


for _symbol, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _register(_symbol, _instruction)
