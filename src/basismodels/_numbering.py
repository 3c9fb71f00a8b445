"""Which number of the free vector, or which constant after it, stands where in a model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from basismodels.errors import ModelError, real
from basismodels.model import Design, Model
from basismodels.params import (
    CHAIN_START,
    INTERCEPT,
    PARAMS,
    RATE,
    Coefficient,
    Link,
    Param,
    Spec,
    coefficient_name,
)

Array = NDArray[np.float64]


class _Numbering:
    """Hands out places in the free vector and, after it, among the constants."""

    def __init__(self) -> None:
        self.coefficients: list[Coefficient] = []
        self.constants: list[float] = []

    def free(self, param: Param, column: str, regime: str, link: Link, over: int = -1) -> int:
        unit = param.unit if column == INTERCEPT else ""
        name = coefficient_name(param.name, regime, column)
        self.coefficients.append(Coefficient(name, param.name, column, regime, link, unit, over))
        return len(self.coefficients) - 1

    def constant(self, value: float) -> int:
        self.constants.append(value)
        return -len(self.constants)


def numbering(
    model: Model, designs: dict[str, Design], link: Link
) -> tuple[Spec, dict[str, NDArray[np.int64]], Array]:
    """The free vector, and for each parameter where its coefficients stand."""
    numbers = _Numbering()
    index: dict[str, NDArray[np.int64]] = {}
    for name, formula in model.formulas().items():
        param = PARAMS[name]
        own: Link = link if name == "kappa" else param.link
        width = model.regimes if param.by_regime else 1
        if not isinstance(formula, str):
            free = _fixed(param, own, real(formula, name, remedy=f'a formula such as {name}="1", or a number'))
            index[name] = np.full((1, width), numbers.constant(free), dtype=np.int64)
        else:
            over = index["kappa"][0] if name == "theta" and level_is_drift(model, link) else None
            index[name] = _places(numbers, model, param, designs[name].columns, own, width, over)
    if model.regimes > 1:
        index["q"] = _rate_places(numbers, model.regimes, designs["q"].columns)
        if model.chain_start == "free":
            odds = [numbers.constant(0.0)]
            odds += [numbers.free(CHAIN_START, INTERCEPT, str(k), "identity") for k in range(1, model.regimes)]
            index["chain_start"] = np.array([odds], dtype=np.int64)
    size = len(numbers.coefficients)
    # constants were numbered -1, -2, ...; they stand after the free vector in order
    index = {name: np.where(at < 0, size - at - 1, at) for name, at in index.items()}
    return Spec(tuple(numbers.coefficients)), index, np.array(numbers.constants, dtype=float)


def _fixed(param: Param, link: Link, value: float) -> float:
    if link == "log" and value < 0:
        raise ModelError(f"{param.name} cannot be fixed at {value}: it is positive under its log link")
    if link == "log above 2":
        if value <= 2:
            raise ModelError(f"{param.name} cannot be fixed at {value}: it is above 2, or the shocks have no variance")
        return float(np.log(value - 2.0))
    with np.errstate(divide="ignore"):
        return float(np.log(value)) if link == "log" else value


def _places(
    numbers: _Numbering,
    model: Model,
    param: Param,
    columns: tuple[str, ...],
    link: Link,
    width: int,
    over: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    places = np.empty((len(columns), width), dtype=np.int64)
    for c, column in enumerate(columns):
        switches = width > 1 and (param.name in model.varies or f"{param.name}:{column}" in model.varies)
        if switches:
            places[c] = [
                numbers.free(param, column, str(k), link, -1 if over is None else int(over[k])) for k in range(width)
            ]
        else:
            places[c] = numbers.free(param, column, "", link, -1 if over is None else int(over[0]))
    return places


def level_is_drift(model: Model, link: Link) -> bool:
    """Whether theta is carried as the drift kappa theta: where kappa may cross zero and theta is its own."""
    formulas = model.formulas()
    plain = isinstance(formulas.get("theta"), str) and formulas["kappa"] == "1"
    return link == "identity" and plain and (model.regimes == 1 or "theta" in model.varies)


def _rate_places(numbers: _Numbering, regimes: int, columns: tuple[str, ...]) -> NDArray[np.int64]:
    places = np.empty((len(columns), regimes, regimes), dtype=np.int64)
    nowhere = numbers.constant(0.0)
    for c, column in enumerate(columns):
        for j in range(regimes):
            for k in range(regimes):
                places[c, j, k] = nowhere if j == k else numbers.free(RATE, column, f"{j}->{k}", "log")
    return places
