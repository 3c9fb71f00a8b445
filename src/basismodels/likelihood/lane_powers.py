"""Exponentials of lanes: a power of two times a polynomial, without a branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.extending import intrinsic

from basismodels.likelihood.lanes import bit_mask, call_vector, constant_lanes

_INT = ir.IntType(64)
_MAGIC = 6755399441055744.0
_LOG2E = 1.4426950408889634
# best polynomial of degree 11 for 2^r on |r| <= 1/2, in relative error (Remez exchange)
_POWER = (
    1.0, 0.6931471805599453, 0.24022650695910155, 0.055504108664819925, 0.009618129107588335, 0.001333355814678995,
    0.00015403530462514614, 1.5252733489960805e-05, 1.321543308959463e-06, 1.0178198033328528e-07,
    7.074105626245659e-09, 4.4352809446103363e-10,
)  # fmt: skip


@intrinsic
def exp(typingctx: Any, x: Any) -> Any:
    """exp(x) for x <= 700, zero below -707; relative error |x| units in the last place at most."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        log2e = constant_lanes(sig.return_type.width, _LOG2E)
        return exp2_lanes(builder, builder.fmul(args[0], log2e))

    return x(x), codegen


def _split(builder: Any, x: Any) -> tuple[Any, Any]:
    """2^n and x - n for the nearest whole n."""
    # the last bits of x + magic are n and the exponent's bias
    magic = constant_lanes(x.type.count, _MAGIC + 1023.0)
    shifted = builder.fadd(x, magic)
    rest = builder.fsub(x, builder.fsub(shifted, magic))
    whole = ir.VectorType(_INT, x.type.count)
    scale = builder.shl(builder.bitcast(shifted, whole), bit_mask(x.type.count, 52))
    return builder.bitcast(scale, x.type), rest


def _polynomial(builder: Any, x: Any, coefficients: Sequence[float]) -> Any:
    """Polynomial by squares of x: pairs of terms, then pairs of pairs."""
    terms = [constant_lanes(x.type.count, part) for part in coefficients]
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        odd = terms[-1:] if len(terms) % 2 else []
        terms = [call_vector(builder, "fma", high, x, low) for low, high in pairs] + odd
        x = builder.fmul(x, x)
    return terms[0]


def exp2_lanes(builder: Any, x: Any) -> Any:
    """2^x, zero below -1021."""
    width = x.type.count
    scale, rest = _split(builder, x)
    value = builder.fmul(_polynomial(builder, rest, _POWER), scale)
    inside = builder.fcmp_ordered(">", x, constant_lanes(width, -1021.0))
    return builder.select(inside, value, constant_lanes(width, 0.0))


def exp2_many(builder: Any, values: list[Any]) -> list[Any]:
    """2^x of several vectors, zero below -1021; step by step over all of them (Horner)."""
    width = values[0].type.count
    scales, rests = zip(*(_split(builder, x) for x in values), strict=True)
    sums = [constant_lanes(width, _POWER[-1])] * len(values)
    for part in _POWER[-2::-1]:
        number = constant_lanes(width, part)
        sums = [call_vector(builder, "fma", s, r, number) for s, r in zip(sums, rests, strict=True)]
    out, zero = [], constant_lanes(width, 0.0)
    for x, scale, s in zip(values, scales, sums, strict=True):
        inside = builder.fcmp_ordered(">", x, constant_lanes(width, -1021.0))
        out.append(builder.select(inside, builder.fmul(s, scale), zero))
    return out


@intrinsic
def expm1(typingctx: Any, x: Any) -> Any:
    """exp(x) - 1 for |x| <= 700, relative error a few units in the last place however small x is."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        width = sig.return_type.width
        scale, rest = _split(builder, builder.fmul(args[0], constant_lanes(width, _LOG2E)))
        less_one = builder.fmul(rest, _polynomial(builder, rest, _POWER[1:]))
        return call_vector(builder, "fma", scale, less_one, builder.fsub(scale, constant_lanes(width, 1.0)))

    return x(x), codegen
