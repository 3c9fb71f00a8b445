"""Short vectors of doubles as values of compiled code, one lane a regime.

`Lanes(w)` is a numba type that lives in one vector register; a tuple `ww` of length
w passed along tells the functions below, at compile time, how wide it is. All
arithmetic is strict: no operation is reordered, and the same on every processor.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

_DOUBLE = ir.DoubleType()
_INT = ir.IntType(64)


class Lanes(types.Type):  # type: ignore[misc]
    """Numba type of a vector of `width` doubles."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__(name=f"Lanes({width})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, dmm: Any, fe_type: Lanes) -> None:
        super().__init__(dmm, fe_type, ir.VectorType(_DOUBLE, fe_type.width))


def constant_lanes(width: int, value: float) -> Any:
    """One number in every lane."""
    return ir.Constant(ir.VectorType(_DOUBLE, width), [ir.Constant(_DOUBLE, value)] * width)


def bit_mask(width: int, value: int) -> Any:
    """One integer in every lane."""
    return ir.Constant(ir.VectorType(_INT, width), [ir.Constant(_INT, value)] * width)


def call_vector(builder: Any, name: str, *args: Any) -> Any:
    """A call of an LLVM intrinsic on vectors."""
    kind = args[0].type
    full = f"llvm.{name}.v{kind.count}f64"
    function = builder.module.globals.get(full)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(kind, [kind] * len(args)), full)
    return builder.call(function, args)


def shuffle(builder: Any, a: Any, b: Any, order: list[int]) -> Any:
    """Lanes picked from two vectors."""
    index = ir.IntType(32)
    mask = ir.Constant(ir.VectorType(index, len(order)), [ir.Constant(index, o) for o in order])
    return builder.shuffle_vector(a, b, mask)


def spread_lanes(builder: Any, x: Any, width: int) -> Any:
    """A number in every lane."""
    none = ir.Constant(ir.VectorType(_DOUBLE, width), ir.Undefined)
    first = builder.insert_element(none, x, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, first, none, [0] * width)


def place(context: Any, builder: Any, kind: Any, array: Any, at: Any, width: int) -> Any:
    """Address of `width` doubles of a flat array, from `at` on."""
    data = context.make_array(kind)(context, builder, array).data
    pointer = builder.gep(data, [at])
    return builder.bitcast(pointer, ir.VectorType(_DOUBLE, width).as_pointer()) if width else pointer


@intrinsic
def load(typingctx: Any, ww: Any, array: Any, at: Any) -> Any:
    """The lanes that stand in a flat array from `at` on."""
    width = len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(place(context, builder, sig.args[1], args[1], args[2], width))
        value.align = 8
        return value

    return Lanes(width)(ww, array, types.int64), codegen


@intrinsic
def store(typingctx: Any, value: Any, array: Any, at: Any) -> Any:
    """Writes lanes into a flat array from `at` on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = place(context, builder, sig.args[1], args[1], args[2], sig.args[0].width)
        made = builder.store(args[0], pointer)
        made.align = 8
        return context.get_dummy_value()

    return types.none(value, array, types.int64), codegen


@intrinsic
def spread(typingctx: Any, ww: Any, array: Any, at: Any) -> Any:
    """One number of a flat array in every lane."""
    width = len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = place(context, builder, sig.args[1], args[1], args[2], 0)
        return spread_lanes(builder, builder.load(pointer), width)

    return Lanes(width)(ww, array, types.int64), codegen


@intrinsic
def reach(typingctx: Any, kk: Any, ww: Any, deep: Any, array: Any, at: Any, j: Any) -> Any:
    """Lane t: the number at place (t mod H) K + j from `at` on; for H = 1, one number in every lane.

    With K regimes and H = K^(d-1), lane t stands for the last d regimes, the newest its
    leading digit to base K: it is reached from the history that ends in j.
    """
    count, width, depth = len(kk), len(ww), len(deep)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array, at, j = args[3:]
        value = ir.Constant(ir.VectorType(_DOUBLE, width), ir.Undefined)
        for h in range(depth):
            here = builder.add(builder.add(at, j), ir.Constant(_INT, h * count))
            x = builder.load(place(context, builder, sig.args[3], array, here, 0))
            value = builder.insert_element(value, x, ir.Constant(ir.IntType(32), h))
        return shuffle(builder, value, value, [t % depth for t in range(width)])

    return Lanes(width)(kk, ww, deep, array, types.int64, types.int64), codegen


@intrinsic
def fill(typingctx: Any, ww: Any, x: Any) -> Any:
    """A number in every lane."""
    width = len(ww)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return spread_lanes(builder, args[1], width)

    return Lanes(width)(ww, types.float64), codegen


@intrinsic
def fma(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z in one rounding, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return call_vector(builder, "fma", *args)

    return x(x, x, x), codegen


@intrinsic
def root(typingctx: Any, x: Any) -> Any:
    """Square root, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return call_vector(builder, "sqrt", args[0])

    return x(x), codegen


@intrinsic
def greater(typingctx: Any, x: Any, y: Any) -> Any:
    """The greater of two numbers, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *args), *args)

    return x(x, x), codegen


@intrinsic
def where_positive(typingctx: Any, test: Any, x: Any, y: Any) -> Any:
    """x where `test` > 0, else y, lane by lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = constant_lanes(sig.return_type.width, 0.0)
        return builder.select(builder.fcmp_ordered(">", args[0], zero), args[1], args[2])

    return x(x, x, x), codegen


@intrinsic
def total(typingctx: Any, x: Any) -> Any:
    """Sum over the lanes, by halves."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _reduce(builder, args[0], builder.fadd)

    return types.float64(x), codegen


@intrinsic
def product(typingctx: Any, x: Any) -> Any:
    """Product over the lanes, by halves."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _reduce(builder, args[0], builder.fmul)

    return types.float64(x), codegen


@intrinsic
def greatest(typingctx: Any, x: Any) -> Any:
    """Greatest lane."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _reduce(builder, args[0], lambda a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))

    return types.float64(x), codegen


def _reduce(builder: Any, value: Any, join: Callable[[Any, Any], Any]) -> Any:
    half = value.type.count
    while half > 1:
        half //= 2
        low = shuffle(builder, value, value, list(range(half)))
        high = shuffle(builder, value, value, list(range(half, 2 * half)))
        value = join(low, high)
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def _register(symbol: Any, instruction: str) -> None:
    class Typing(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and isinstance(args[0], Lanes) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    infer_global(symbol)(Typing)

    @lower_builtin(symbol, Lanes, Lanes)
    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return getattr(builder, instruction)(*args)


for _symbol, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _register(_symbol, _instruction)
