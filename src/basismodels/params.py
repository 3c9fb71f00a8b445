"""Parameters, declared once and read by every estimator.

A `Param` is what a component declares; a `Coefficient` is one number of a bound
model; a `Spec` maps the free vector to named values and back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Link = Literal["log", "identity", "logit", "log above 2"]


@dataclass(frozen=True)
class Param:
    """One parameter of a component: its name, unit, link, symbol and meaning.

    `column`: what a number in place of a formula stands on, where that is not the intercept.
    """

    name: str
    unit: str
    link: Link
    symbol: str
    meaning: str
    by_regime: bool = True
    column: str = ""


KAPPA = Param("kappa", "1/h", "log", r"\kappa", "speed of mean reversion")
THETA = Param("theta", "bps", "identity", r"\theta", "level the basis reverts to")
SIGMA = Param("sigma", "bps/sqrt(h)", "log", r"\sigma", "volatility of the basis")
INNOVATION = Param("innovation", "bps", "log", r"\eta", "standard deviation of the basis one hour ahead")
TAU = Param("tau", "bps", "log", r"\tau", "standard deviation of the measurement noise")
NU = Param("nu", "", "log above 2", r"\nu", "degrees of freedom of Student's t shocks")
OUTLIER_SHARE = Param("outlier.share", "", "logit", r"\epsilon", "share of outliers in the noise", False)
OUTLIER_SCALE = Param("outlier.scale", "", "log", r"r", "outliers add this many tau in quadrature", False)
SLOW_KAPPA = Param("slow.kappa", "1/h", "log", r"\kappa_{slow}", "speed of the slow level", False)
SLOW_SIGMA = Param("slow.sigma", "bps/sqrt(h)", "log", r"\sigma_{slow}", "volatility of the slow level", False)
JUMP = Param("jump", "bps", "identity", "J", "jump of the basis as a step begins", False, "funding_paid")
RATE = Param("q", "1/h", "log", "q", "rate of leaving one regime for another")
CHAIN_START = Param("chain_start", "", "identity", r"\pi_0", "log odds of the first regime", False)

PARAMS = {
    p.name: p
    for p in (
        KAPPA, THETA, SIGMA, INNOVATION, NU, TAU, OUTLIER_SHARE, OUTLIER_SCALE, SLOW_KAPPA, SLOW_SIGMA, JUMP, RATE,
        CHAIN_START,
    )
}  # fmt: skip

INTERCEPT = "Intercept"


@dataclass(frozen=True)
class Size:
    """What default priors scale with: step and span h, level and spread bps, volatility bps/sqrt(h)."""

    step: float
    span: float
    centre: float
    spread: float
    volatility: float


@dataclass(frozen=True)
class Prior:
    """A distribution by its name in PyMC and its arguments, over the value as reported, in its unit."""

    family: str
    args: tuple[tuple[str, float], ...]

    def dist(self, **more: Any) -> Any:
        """The distribution as an unnamed PyMC variable."""
        import pymc

        return getattr(pymc, self.family).dist(**dict(self.args), **more)

    def named(self, name: str) -> Any:
        """The distribution as a variable of the PyMC model in context."""
        import pymc

        return getattr(pymc, self.family)(name, **dict(self.args))

    def __str__(self) -> str:
        return f"{self.family}({', '.join(f'{name}={value:.4g}' for name, value in self.args)})"


def _log_normal(median: float, sd: float) -> Prior:
    return Prior("LogNormal", (("mu", math.log(median)), ("sigma", sd)))


def _normal(mean: float, sd: float) -> Prior:
    return Prior("Normal", (("mu", mean), ("sigma", sd)))


def _between(low: float, high: float) -> Prior:
    """Lognormal with 95% of its mass between two values."""
    return _log_normal(math.sqrt(low * high), math.log(high / low) / 4.0)


PRIORS: dict[str, Callable[[Size], Prior]] = {
    "kappa": lambda s: _between(1.0 / s.span, 1.5 / s.step),
    "theta": lambda s: _normal(s.centre, 2.0 * s.spread),
    "sigma": lambda s: _log_normal(0.8 * s.volatility, 1.0),
    "innovation": lambda s: _log_normal(0.8 * s.volatility, 1.0),
    "tau": lambda s: _log_normal(0.3 * s.volatility * math.sqrt(s.step), 1.2),
    "nu": lambda s: Prior("Pareto", (("alpha", 1.0), ("m", 2.0))),
    "outlier.share": lambda s: Prior("Beta", (("alpha", 1.0), ("beta", 19.0))),
    "outlier.scale": lambda s: _log_normal(5.0, 0.7),
    "slow.kappa": lambda s: _between(0.5 / s.span, 0.05 / s.step),
    "slow.sigma": lambda s: _log_normal(0.2 * s.volatility, 1.0),
    "q": lambda s: _between(2.0 / s.span, 0.5 / s.step),
    "chain_start": lambda s: _normal(0.0, 1.5),
}
"""Default priors by parameter: wide over what a series of this span and spacing can tell."""


def default_prior(c: Coefficient, size: Size, column: float = 1.0) -> Prior:
    """Default prior of a coefficient; `column`: root mean square of a slope's column.

    A speed that may be negative has an exponential law with a short normal tail below zero; a covariate
    of its usual size moves a logarithm by about one, a level by the spread.
    """
    if c.column != INTERCEPT:
        speed = 1.0 if c.link == "log" else 0.2 / size.step
        slope = {"theta": size.spread, "jump": size.spread, "kappa": speed}.get(c.param, 1.0)
        return _normal(0.0, slope / column)
    if c.param == "kappa" and c.link == "identity":
        return Prior("ExGaussian", (("mu", 0.0), ("sigma", 0.01 / size.step), ("nu", 0.3 / size.step)))
    return PRIORS[c.param](size)


@dataclass(frozen=True)
class Coefficient:
    """One free number: its name, parameter, column, regime label, link and unit.

    An intercept is natural at zero covariates (kappa in 1/h); a slope stays on the link scale.
    `over`: place of the kappa by which a drift in bps/h is divided to give the level theta, or -1.
    """

    name: str
    param: str
    column: str
    regime: str
    link: Link
    unit: str
    over: int = -1

    def to_natural(self, value: float) -> float:
        """Free value to reported value."""
        if self.column != INTERCEPT or self.link == "identity":
            return value
        if self.link == "logit":
            return 1.0 / (1.0 + math.exp(-value))
        return math.exp(min(value, 700.0)) + (2.0 if self.link == "log above 2" else 0.0)

    def to_free(self, value: float) -> float:
        """Reported value to free value; minus infinity where log meets zero or less."""
        if self.column != INTERCEPT or self.link == "identity":
            return value
        if self.link == "logit":
            return math.log(value / (1.0 - value))
        above = value - (2.0 if self.link == "log above 2" else 0.0)
        return math.log(above) if above > 0 else -math.inf

    def slope(self, value: float) -> float:
        """Derivative of the reported value with respect to the free value."""
        if self.column != INTERCEPT or self.link == "identity":
            return 1.0
        natural = self.to_natural(value)
        if self.link == "logit":
            return natural * (1.0 - natural)
        return natural - (2.0 if self.link == "log above 2" else 0.0)


def coefficient_name(param: str, regime: str, column: str) -> str:
    """`kappa`, `kappa[1]`, `kappa:x`, `kappa[1]:x`, `q[0->1]:x`."""
    name = f"{param}[{regime}]" if regime else param
    return name if column == INTERCEPT else f"{name}:{column}"


@dataclass(frozen=True)
class Spec:
    """The free vector of a bound model, coefficient by coefficient."""

    coefficients: tuple[Coefficient, ...]

    @property
    def names(self) -> list[str]:
        return [c.name for c in self.coefficients]

    def __len__(self) -> int:
        return len(self.coefficients)

    def position(self, name: str) -> int:
        """Place of a coefficient in the free vector; KeyError lists what exists."""
        if name not in self.names:
            raise KeyError(f"no coefficient {name!r}; there are {', '.join(self.names)}")
        return self.names.index(name)

    def to_natural(self, x: Array) -> Array:
        """Free vector (p,) to reported values (p,); a level is NaN where its kappa is zero."""
        out = np.array([c.to_natural(float(v)) for c, v in zip(self.coefficients, x, strict=True)])
        for i, c in enumerate(self.coefficients):
            if c.over >= 0:
                out[i] = x[i] / x[c.over] if x[c.over] != 0 else math.nan
        return out

    def to_free(self, values: Array) -> Array:
        """Reported values (p,) to the free vector (p,)."""
        out = np.array([c.to_free(float(v)) for c, v in zip(self.coefficients, values, strict=True)])
        for i, c in enumerate(self.coefficients):
            if c.over >= 0:
                out[i] = values[i] * values[c.over]
        return out

    def jacobian(self, x: Array) -> Array:
        """Derivatives (p, p) of reported values with respect to free ones."""
        out = np.diag([c.slope(float(v)) for c, v in zip(self.coefficients, x, strict=True)])
        for i, c in enumerate(self.coefficients):
            if c.over >= 0:
                kappa = x[c.over] if x[c.over] != 0 else math.nan
                out[i, i], out[i, c.over] = 1.0 / kappa, -x[i] / kappa**2
        return out
