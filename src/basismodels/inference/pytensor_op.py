"""The log likelihood as a PyTensor operation with its exact gradient.

One operation gives both numbers, so that a sampler pays for one pass; its pullback reuses the
second output. Everything but the free vector is an input too: a compiled model serves other data.
The numba backend calls the compiled likelihood itself; where compiled code lacks a parameter of the
model it calls back into Python, which holds the interpreter's lock and costs about 0.2 ms a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.gradient import DisconnectedType
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.link.numba.dispatch import numba_funcify

from basismodels.engine import HAMILTON, KALMAN, Engine
from basismodels.likelihood.compiled_entry import entry
from basismodels.likelihood.packed import packs, shape_of
from basismodels.problem import Problem

Array = NDArray[np.float64]
DATA = ("basis", "row", "dt", "design", "settings")
_KINDS = ("float64", "float64", "int64", "float64", "float64", "float64")


class LogLik(Op):  # type: ignore[misc]
    """(free vector, *Data) to (log likelihood, gradient in the free vector)."""

    __props__ = ("name", "key")

    def __init__(self, problem: Problem) -> None:
        self.name = problem.engine.name
        self.call = function_of(problem)
        shape = shape_of(problem.layout) if packs(problem.layout) else None
        # without compiled code the function holds the problem's own grid: no two are alike
        self.key = id(self.call) if shape is None else b"|".join(np.asarray(part).tobytes() for part in shape)

    def make_node(self, *inputs: Any) -> Any:
        """Inputs as in `Data`, after the free vector."""
        given = [pt.cast(one, kind) for one, kind in zip(inputs, _KINDS, strict=True)]
        return Apply(self, given, [pt.dscalar(), pt.dvector()])

    def perform(self, node: Any, inputs: Any, outputs: Any) -> None:
        """The value and the gradient as arrays."""
        value, gradient = self.call(*(np.ascontiguousarray(one) for one in inputs))
        outputs[0][0], outputs[1][0] = np.asarray(value), gradient

    def pullback(self, inputs: Any, outputs: Any, cotangents: Any) -> list[Any]:
        """The gradient is the second output; no derivative is taken in the data."""
        blind = [DisconnectedType()() for _ in inputs[1:]]
        return [cotangents[0] * outputs[1], *blind]

    L_op = pullback

    def connection_pattern(self, node: Any) -> list[list[bool]]:
        """Only the value depends differentiably on anything, and only on the free vector."""
        return [[True, False], *([False, False] for _ in node.inputs[1:])]

    def infer_shape(self, fgraph: Any, node: Any, shapes: Any) -> list[Any]:
        """A number, and a vector as long as the free vector."""
        return [(), shapes[0]]


@numba_funcify.register(LogLik)  # type: ignore[untyped-decorator]
def _(op: LogLik, **kwargs: Any) -> Any:
    return op.call


def function_of(problem: Problem) -> Any:
    """Compiled function of (x, *Data) to (value, gradient) for the model of a problem."""
    if not packs(problem.layout):
        return _through_python(problem)
    table, places, constants, flags, widths = shape_of(problem.layout)
    call = entry(kind_of(problem.engine), widths)[0]
    many, wide = len(constants), len(places)

    @numba.njit(nogil=True)
    def loglik(x, y, row, dt, design, settings):  # type: ignore[no-untyped-def]
        out = np.empty(x.shape[0])
        own, seen, steps = np.ascontiguousarray(x), np.ascontiguousarray(y), np.ascontiguousarray(row)
        hours, columns, rest = np.ascontiguousarray(dt), np.ascontiguousarray(design), np.ascontiguousarray(settings)
        value = call(
            own.ctypes, len(own), seen.ctypes, len(seen), steps.ctypes, hours.ctypes, len(hours), columns.ctypes,
            columns.shape[1], rest.ctypes, constants.ctypes, many, places.ctypes, wide, table.ctypes, flags.ctypes,
            out.ctypes,
        )  # fmt: skip
        return np.asarray(value), out

    return loglik


def kind_of(engine: Engine) -> str:
    """Which of the compiled likelihoods serves an engine."""
    if engine is KALMAN:
        return "kalman"
    return "hamilton" if engine is HAMILTON else "kim"


def _through_python(problem: Problem) -> Any:
    """The engine's own function, called from compiled code; serves the problem's own grid and covariates only."""
    layout, engine = problem.layout, problem.engine

    def evaluate(x: Array, y: Array) -> tuple[float, Array]:
        try:
            with np.errstate(all="ignore"):
                value, gradient = engine.loglik_grad(layout._replace(y=y), x)
        except np.linalg.LinAlgError:
            return -np.inf, np.zeros(len(x))
        if not (np.isfinite(value) and np.all(np.isfinite(gradient))):
            return -np.inf, np.zeros(len(x))
        return float(value), gradient

    @numba.njit
    def loglik(x, y, row, dt, design, settings):  # type: ignore[no-untyped-def]
        with numba.objmode(value="float64", out="float64[::1]"):
            value, out = evaluate(x, y)
        return np.asarray(value), out

    return loglik


def shared(data: Sequence[Any], names: Sequence[str] = DATA) -> list[Any]:
    """The data of an operation as shared variables of the PyMC model in context; their types are kept as they are."""
    import pymc

    model = pymc.modelcontext(None)
    made = [pytensor.shared(part, name=name) for name, part in zip(names, data, strict=True)]
    for variable in made:
        model.register_data_var(variable)
    return made
