"""Free coefficients to predictors on their natural scale, and the adjoint of that map.

The first of three stages: formulas to predictors (m, K); predictors and step lengths to step coefficients
(`assemble`); the stationary or diffuse start (`stationary`). `Layout` holds the arrays that do not change during a fit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood.transition import decay_ratio, decay_ratio_slope

Array = NDArray[np.float64]
Index = NDArray[np.int64]


class Layout(NamedTuple):
    """What binds a free vector (p,) to step coefficients.

    y (n,) bps, NaN missing; row (n,): which distinct step leads to each observation;
    dt (m,) hours, dt[0] = 0; design[name] (m, q) columns of each formula at the step's
    start; places[name] (q, K), for rates (q, K, K): where each coefficient stands in the
    free vector followed by `constants`; kappa_log: link of kappa; level_is_drift: whether the
    coefficients of theta are those of the drift kappa theta (bps/h), which stays finite as kappa
    crosses zero; stationary: the start;
    centre, spread: level and scale of the data in bps, used only for the start; depth: over how
    many of the last regimes moments are kept where they are matched.
    """

    y: Array
    row: Index
    dt: Array
    design: dict[str, Array]
    places: dict[str, Index]
    constants: Array
    regimes: int
    kappa_log: bool
    level_is_drift: bool
    stationary: bool
    centre: float
    spread: float
    depth: int = 1


class Natural(NamedTuple):
    """Predictors on their natural scale for each distinct step.

    kappa 1/h, drift = kappa theta bps/h, variance = sigma^2 bps^2/h, tau2 bps^2, all (m, K); an innovation is that of
    one hour: its square is variance (1 - exp(-2 kappa)) / (2 kappa);
    slow_kappa 1/h, slow_variance bps^2/h (m,), zero without a slow level;
    rates (m, K, K) 1/h; share (m, R) of the noise's parts; widen: variance ratio of outliers;
    start_law (K,) or None for the chain's stationary law; jump (m, 1) bps: by how much the state moves as the step
    begins, zero without a settlement and in a step of no length.
    """

    kappa: Array
    drift: Array
    variance: Array
    tau2: Array
    slow_kappa: Array
    slow_variance: Array
    rates: Array
    share: Array
    widen: Array
    start_law: Array | None
    jump: Array

    @property
    def theta(self) -> Array:
        """Level drift / kappa in bps, (m, K); NaN where kappa is zero, a repeller where it is negative."""
        return np.divide(self.drift, self.kappa, out=np.full_like(self.drift, np.nan), where=self.kappa != 0)


def predictor(layout: Layout, name: str, extended: Array) -> Array:
    """Linear predictor of one parameter at each distinct step, (m, K) or (m, K, K)."""
    values = extended[layout.places[name]]
    design = layout.design[name]
    return np.asarray((design @ values.reshape(len(values), -1)).reshape(len(design), *values.shape[1:]))


def natural(layout: Layout, x: Array) -> Natural:
    """All predictors on their natural scale."""
    extended = np.concatenate([x, layout.constants])
    m, k = len(layout.dt), layout.regimes

    def log_of(name: str, power: float) -> Array:
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(power * predictor(layout, name, extended)))

    eta = predictor(layout, "kappa", extended)
    zero = np.zeros(m)
    has_outliers = "outlier.share" in layout.places
    if has_outliers:
        odds = log_of("outlier.share", 1.0)[:, 0]
        share = np.stack([1.0 / (1.0 + odds), odds / (1.0 + odds)], axis=1)
        widen = 1.0 + log_of("outlier.scale", 2.0)[:, 0]
    else:
        share, widen = np.ones((m, 1)), np.ones(m)
    law = None
    if "chain_start" in layout.places:
        weight = np.concatenate([[0.0], extended[layout.places["chain_start"]][0, 1:]])
        weight = np.exp(weight - weight.max())
        law = weight / weight.sum()
    kappa = np.exp(eta) if layout.kappa_log else eta
    jump = predictor(layout, "jump", extended) if "jump" in layout.places else np.zeros((m, 1))
    jump = np.where(layout.dt[:, None] > 0.0, jump, 0.0)
    drift = predictor(layout, "theta", extended) if "theta" in layout.places else np.zeros((m, k))
    ahead = "innovation" in layout.places
    return Natural(
        kappa=kappa,
        drift=drift if layout.level_is_drift else kappa * drift,
        variance=log_of("innovation", 2.0) / decay_ratio(2.0 * kappa) if ahead else log_of("sigma", 2.0),
        tau2=log_of("tau", 2.0) if "tau" in layout.places else np.zeros((m, k)),
        slow_kappa=log_of("slow.kappa", 1.0)[:, 0] if "slow.kappa" in layout.places else zero,
        slow_variance=log_of("slow.sigma", 2.0)[:, 0] if "slow.sigma" in layout.places else zero,
        rates=log_of("q", 1.0) if k > 1 else np.zeros((m, 1, 1)),
        share=share,
        widen=widen,
        start_law=law,
        jump=jump,
    )


def freedom(layout: Layout, x: Array) -> Array | None:
    """Degrees of freedom of the shocks by regime, (K,); None where they are Gaussian."""
    if "nu" not in layout.places:
        return None
    return np.asarray(2.0 + np.exp(np.concatenate([x, layout.constants])[layout.places["nu"][0]]))


def coefficient_bars(layout: Layout, x: Array, nat: Natural, eta: dict[str, Array]) -> Array:
    """Derivative (p,) with respect to the free vector from those in the natural scale, which are used up.

    `eta`: by parameter, (m, K); under theta that in the drift, under sigma that in the variance.
    """
    if "innovation" in layout.places:
        _innovation_from_variance(nat, eta)
    if not layout.level_is_drift:
        _level_from_drift(layout, x, nat, eta)
    if layout.kappa_log:
        eta["kappa"] *= nat.kappa
    eta["sigma"] *= 2.0 * nat.variance
    eta["tau"] *= 2.0 * nat.tau2
    eta["slow.kappa"] *= nat.slow_kappa[:, None]
    eta["slow.sigma"] *= 2.0 * nat.slow_variance[:, None]
    eta["q"] *= nat.rates
    return _scatter(layout, len(x), eta)


def _innovation_from_variance(nat: Natural, eta: dict[str, Array]) -> None:
    """variance = innovation^2 / decay_ratio(2 kappa): to derivatives in (kappa, log innovation)."""
    moved = 2.0 * nat.variance * eta["sigma"]
    eta["innovation"] = moved
    eta["kappa"] = eta["kappa"] - moved * decay_ratio_slope(2.0 * nat.kappa) / decay_ratio(2.0 * nat.kappa)


def _level_from_drift(layout: Layout, x: Array, nat: Natural, eta: dict[str, Array]) -> None:
    """drift = kappa theta: from derivatives in (kappa, drift) to those in (kappa, theta)."""
    if "theta" not in layout.places:
        return
    theta = predictor(layout, "theta", np.concatenate([x, layout.constants]))
    eta["kappa"] = eta["kappa"] + eta["theta"] * theta
    eta["theta"] = eta["theta"] * nat.kappa


def _scatter(layout: Layout, size: int, eta: dict[str, Array]) -> Array:
    out = np.zeros(size + len(layout.constants))
    for name, places in layout.places.items():
        bars = layout.design[name].T @ eta[name].reshape(len(layout.dt), -1)
        out += np.bincount(places.ravel(), weights=bars.ravel(), minlength=len(out))
    return out[:size]
