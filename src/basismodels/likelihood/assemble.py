"""Free coefficients to step coefficients and start, and the adjoint of that map.

Three stages: formulas to predictors (`predictors`); predictors and step lengths to step coefficients; the
stationary or diffuse start (`stationary`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import transition
from basismodels.likelihood.kim import Start, Steps
from basismodels.likelihood.predictors import Layout, Natural, coefficient_bars, freedom, natural
from basismodels.likelihood.stationary import Moments, add_start_bars, start_of

Array = NDArray[np.float64]


def steps_of(layout: Layout, nat: Natural) -> Steps:
    """Step coefficients of every distinct step."""
    dt = layout.dt[:, None]
    phi, c, v = transition.ou_step(nat.kappa, nat.drift, nat.variance, dt)
    rates = nat.rates
    parts = nat.share.shape[1]
    tau2 = nat.tau2[:, :, None] * (
        np.ones(1) if parts == 1 else np.stack([np.ones_like(nat.widen), nat.widen], 1)[:, None, :]
    )
    has_slow = "slow.kappa" in layout.places
    u = nat.slow_kappa * layout.dt
    rho = np.exp(-u) if has_slow else np.zeros(len(u))
    w = nat.slow_variance * layout.dt * transition.decay_ratio(2.0 * u)
    moves = transition.chain_step(rates, layout.dt)
    return Steps(phi, c + phi * nat.jump, v, np.ascontiguousarray(tau2), nat.share, rho, w, moves)


def without_jump(layout: Layout) -> Layout:
    """The same steps where nothing is paid as they begin."""
    still = {name: np.zeros_like(part) if name == "jump" else part for name, part in layout.design.items()}
    return layout._replace(design=still)


class Bound(NamedTuple):
    """A layout at one free vector: predictors, start, and the moments the start came from."""

    nat: Natural
    steps: Steps
    start: Start
    found: Moments | None


def bound(layout: Layout, x: Array) -> Bound:
    """Everything a likelihood and its adjoint need at a free vector."""
    nat = natural(layout, x)
    start, found = start_of(layout, nat)
    return Bound(nat, steps_of(layout, nat), start, found)


def coefficients(layout: Layout, x: Array) -> tuple[Steps, Start]:
    """Step coefficients and start at a free vector."""
    at = bound(layout, x)
    return at.steps, at.start


def adjoint(
    layout: Layout, x: Array, at: Bound, bars: Steps, start_bars: Start, nu_bars: Array | None = None
) -> Array:
    """Derivative with respect to the free vector (p,) from those with respect to steps, start and nu (K,)."""
    eta = _step_bars(layout, at.nat, bars)
    add_start_bars(layout, at.nat, at.found, at.start, start_bars, eta)
    nu = freedom(layout, x)
    if nu is not None and nu_bars is not None:
        eta["nu"] = np.zeros((len(layout.dt), layout.regimes))
        eta["nu"][0] = nu_bars * (nu - 2.0)
    return coefficient_bars(layout, x, at.nat, eta)


def _step_bars(layout: Layout, nat: Natural, bars: Steps) -> dict[str, Array]:
    dt = layout.dt[:, None]
    kappa, drift, variance = transition.ou_step_adjoint(
        nat.kappa, nat.drift, nat.variance, dt, bars.phi + bars.c * nat.jump, bars.c, bars.v
    )
    u = nat.slow_kappa * layout.dt
    slope = 2.0 * layout.dt**2 * transition.decay_ratio_slope(2.0 * u)
    slow_kappa = -layout.dt * np.exp(-u) * bars.rho + nat.slow_variance * slope * bars.w
    slow_variance = layout.dt * transition.decay_ratio(2.0 * u) * bars.w
    eta = {
        "kappa": kappa, "theta": drift, "sigma": variance, "tau": bars.tau2[:, :, 0].copy(),
        "slow.kappa": slow_kappa[:, None], "slow.sigma": slow_variance[:, None],
        "q": transition.chain_step_adjoint(nat.rates, layout.dt, bars.p),
    }  # fmt: skip
    if "jump" in layout.places:
        paid = (bars.c * np.exp(-nat.kappa * dt)).sum(axis=1, keepdims=True)
        eta["jump"] = np.where(dt > 0.0, paid, 0.0)
    if "outlier.share" in layout.places:
        eta["tau"] += nat.widen[:, None] * bars.tau2[:, :, 1]
        wide = (nat.tau2 * bars.tau2[:, :, 1]).sum(axis=1)
        eta["outlier.scale"] = (wide * 2.0 * (nat.widen - 1.0))[:, None]
        slope_share = nat.share[:, 0] * nat.share[:, 1]
        eta["outlier.share"] = (slope_share * (bars.share[:, 1] - bars.share[:, 0]))[:, None]
    return eta
