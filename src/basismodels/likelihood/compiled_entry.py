"""Addresses of the compiled likelihoods, to be called from other compiled code without being copied into it.

Copied into a sampler's own functions, each of which is optimised anew, a filter would take minutes to compile.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
from numba import types

from basismodels.likelihood.compiled import hamilton_gradient, kalman_gradient, kim_gradient
from basismodels.likelihood.kim_table import lanes_for

_DOUBLES, _INTS, _LONG = types.CPointer(types.float64), types.CPointer(types.int64), types.int64
# x p y n row dt m design columns settings constants many places wide table flags out
_SIGNATURE = types.float64(
    _DOUBLES, _LONG, _DOUBLES, _LONG, _INTS, _DOUBLES, _LONG, _DOUBLES, _LONG, _DOUBLES, _DOUBLES, _LONG,
    _INTS, _LONG, _INTS, _INTS, _DOUBLES,
)  # fmt: skip
_SOURCES = ("compiled*.py", "hamilton_[hlps]*.py", "kalman.py", "kim_*.py", "lane*.py", "bundles.py")
_CALL = ctypes.CFUNCTYPE(
    ctypes.c_double,
    *(ctypes.c_int64 if kind == _LONG else ctypes.c_void_p for kind in _SIGNATURE.args),
)


@lru_cache
def _stamp() -> int:
    """Digest of the kernels' sources: numba's cache on disk looks at this file alone, not at what it calls."""
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for file in sorted(Path(__file__).parent.glob(pattern)):
            digest.update(file.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


def _kalman(stamp: int, kk: tuple[int, ...]) -> Callable[..., Any]:
    def entry(x, p, y, n, row, dt, m, design, q, settings, constants, nc, places, np, table, flags, out):  # type: ignore[no-untyped-def]
        _ = stamp
        return kalman_gradient(
            kk, numba.carray(x, (p,)), numba.carray(y, (n,)), numba.carray(row, (n,)), numba.carray(dt, (m,)),
            numba.carray(design, (m, q)), numba.carray(settings, (3,)), numba.carray(constants, (nc,)),
            numba.carray(places, (np,)), numba.carray(table, (11, 4)), numba.carray(flags, (2,)),
            numba.carray(out, (p,)),
        )  # fmt: skip

    return entry


def _hamilton(stamp: int, kk: tuple[int, ...]) -> Callable[..., Any]:
    def entry(x, p, y, n, row, dt, m, design, q, settings, constants, nc, places, np, table, flags, out):  # type: ignore[no-untyped-def]
        _ = stamp
        return hamilton_gradient(
            kk, numba.carray(x, (p,)), numba.carray(y, (n,)), numba.carray(row, (n,)), numba.carray(dt, (m,)),
            numba.carray(design, (m, q)), numba.carray(settings, (3,)), numba.carray(constants, (nc,)),
            numba.carray(places, (np,)), numba.carray(table, (11, 4)), numba.carray(flags, (2,)),
            numba.carray(out, (p,)),
        )  # fmt: skip

    return entry


def _kim(stamp: int, kk: Any, ww: Any, deep: Any, parts: Any, slow: Any) -> Callable[..., Any]:
    def entry(x, p, y, n, row, dt, m, design, q, settings, constants, nc, places, np, table, flags, out):  # type: ignore[no-untyped-def]
        _ = stamp
        return kim_gradient(
            kk, ww, deep, parts, slow,
            numba.carray(x, (p,)), numba.carray(y, (n,)), numba.carray(row, (n,)), numba.carray(dt, (m,)),
            numba.carray(design, (m, q)), numba.carray(settings, (3,)), numba.carray(constants, (nc,)),
            numba.carray(places, (np,)), numba.carray(table, (11, 4)), numba.carray(flags, (2,)),
            numba.carray(out, (p,)),
        )  # fmt: skip

    return entry


@lru_cache
def entry(kind: str, widths: tuple[int, int, int, int]) -> Any:
    """C function of a likelihood; kind "kalman", "hamilton" or "kim"; `widths` as in `packed.Shape`.

    It holds what it was compiled from, and lives as long as the process.
    """
    regimes, parts, slow, depth = widths
    kk = (0,) * regimes
    if kind == "kim":
        deep = regimes ** (depth - 1)
        sizes = (lanes_for(regimes * deep), deep, parts, slow)
        made = _kim(_stamp(), kk, *((0,) * size for size in sizes))
    else:
        made = (_kalman if kind == "kalman" else _hamilton)(_stamp(), kk)
    compiled = numba.cfunc(_SIGNATURE, cache=True, error_model="numpy")(made)
    return _CALL(compiled.address), compiled
