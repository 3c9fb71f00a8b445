"""Free coefficients to step coefficients and start, and the adjoint of that map.

Three stages: formulas to predictors (m, K); predictors and step lengths to step
coefficients; the stationary or diffuse start. `Layout` holds the arrays that do not
change during a fit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import transition
from basismodels.likelihood.kim import Start, Steps

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

    kappa 1/h, drift = kappa theta bps/h, variance = sigma^2 bps^2/h, tau2 bps^2, all (m, K);
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
    return Natural(
        kappa=kappa,
        drift=drift if layout.level_is_drift else kappa * drift,
        variance=log_of("sigma", 2.0),
        tau2=log_of("tau", 2.0) if "tau" in layout.places else np.zeros((m, k)),
        slow_kappa=log_of("slow.kappa", 1.0)[:, 0] if "slow.kappa" in layout.places else zero,
        slow_variance=log_of("slow.sigma", 2.0)[:, 0] if "slow.sigma" in layout.places else zero,
        rates=log_of("q", 1.0) if k > 1 else np.zeros((m, 1, 1)),
        share=share,
        widen=widen,
        start_law=law,
        jump=jump,
    )


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


class Moments(NamedTuple):
    """Stationary moments of x by regime: law (K,), first (K,) and second (K,) moments times the law."""

    law: Array
    first: Array
    second: Array


def moments(layout: Layout, nat: Natural) -> Moments | None:
    """Joint stationary moments of (x - centre, regime) at the first step; None without a positive solution.

    With b = a - kappa centre, solves Q'u - kappa u + b pi = 0 and Q'm - 2 kappa m + 2 b u + sigma^2 pi = 0.
    """
    kappa, push = nat.kappa[0], nat.drift[0] - nat.kappa[0] * layout.centre
    law = still_law(nat)
    if layout.regimes == 1 and kappa[0] <= 0:
        return None
    q = transition.generator(nat.rates[:1])[0].T
    try:
        noise = np.linalg.solve(q - 2.0 * np.diag(kappa), -nat.variance[0] * law)
        first = np.linalg.solve(q - np.diag(kappa), -push * law)
        second = np.linalg.solve(q - 2.0 * np.diag(kappa), -(2.0 * push * first + nat.variance[0] * law))
    except np.linalg.LinAlgError:
        return None
    if not (np.all(noise > 0) and np.all(np.isfinite(second)) and np.all(second * law > first**2)):
        return None
    return Moments(law, first, second)


def still_law(nat: Natural) -> Array:
    """Stationary law of the chain at the first step's rates, (K,)."""
    return np.ones(1) if nat.rates.shape[1] == 1 else transition.stationary_law(nat.rates[0])


def law_of(nat: Natural) -> Array:
    """Law of the chain at the first observation, (K,); x given the regime has its stationary law all the same."""
    return nat.start_law if nat.start_law is not None else still_law(nat)


def start_of(layout: Layout, nat: Natural) -> tuple[Start, Moments | None]:
    """Law of the state before the first observation, and the moments it came from."""
    k = layout.regimes
    found = moments(layout, nat) if layout.stationary else None
    mean, var = np.zeros((k, 2)), np.zeros((k, 3))
    if "slow.kappa" in layout.places:
        var[:, 2] = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
    if found is None:
        flat = -math.log(10.0 * layout.spread * math.sqrt(2.0 * math.pi)) if layout.stationary else 0.0
        return Start(law_of(nat), mean, var, np.ones(k), flat), None
    ratio = found.first / found.law
    mean[:, 0] = layout.centre + ratio
    var[:, 0] = found.second / found.law - ratio**2
    return Start(law_of(nat), mean, var, np.zeros(k), 0.0), found


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


def adjoint(layout: Layout, x: Array, at: Bound, bars: Steps, start_bars: Start) -> Array:
    """Derivative with respect to the free vector (p,) from those with respect to steps and start."""
    nat = at.nat
    eta = _step_bars(layout, nat, bars)
    _add_start_bars(layout, at, start_bars, eta)
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


def _add_start_bars(layout: Layout, at: Bound, bars: Start, eta: dict[str, Array]) -> None:
    """Adds what the start contributes at the first step."""
    nat, still_bar = at.nat, np.zeros(layout.regimes)
    if "slow.kappa" in layout.places:
        g = float(bars.var[:, 2].sum())
        level = nat.slow_variance[0] / (2.0 * nat.slow_kappa[0])
        eta["slow.kappa"][0, 0] -= g * level / nat.slow_kappa[0]
        eta["slow.sigma"][0, 0] += g / (2.0 * nat.slow_kappa[0])
    if at.found is not None:
        still_bar += _moment_bars(layout, nat, at.found, bars, eta)
    law = at.start.p
    if "chain_start" in layout.places:
        eta["chain_start"] = np.zeros((len(layout.dt), layout.regimes))
        eta["chain_start"][0] = law * (bars.p - law @ bars.p)
    else:
        still_bar += bars.p
    if layout.regimes > 1:
        _law_bars(nat, still_law(nat), still_bar, eta)


def _moment_bars(layout: Layout, nat: Natural, found: Moments, bars: Start, eta: dict[str, Array]) -> Array:
    """Implicit derivatives of the stationary moments; returns the part due to the chain's law."""
    kappa, variance = nat.kappa[0], nat.variance[0]
    push = nat.drift[0] - kappa * layout.centre
    law, first, second = found
    q = transition.generator(nat.rates[:1])[0].T
    ratio = first / law
    second_bar = bars.var[:, 0] / law
    first_bar = (bars.mean[:, 0] - 2.0 * ratio * bars.var[:, 0]) / law
    law_bar = -(bars.var[:, 0] * second / law**2) - (bars.mean[:, 0] - 2.0 * ratio * bars.var[:, 0]) * ratio / law
    lam2 = -np.linalg.solve((q - 2.0 * np.diag(kappa)).T, second_bar)
    kappa_bar = -2.0 * lam2 * second
    push_bar = 2.0 * lam2 * first
    first_bar = first_bar + 2.0 * lam2 * push
    lam1 = -np.linalg.solve((q - np.diag(kappa)).T, first_bar)
    kappa_bar -= lam1 * first
    push_bar += lam1 * law
    law_bar += lam2 * variance + lam1 * push
    eta["kappa"][0] += kappa_bar - layout.centre * push_bar
    eta["theta"][0] += push_bar
    eta["sigma"][0] += lam2 * law
    if layout.regimes > 1:
        # the systems hold Q transposed: entry (k, j) of Q' is q[j -> k]
        qt_bar = np.outer(lam2, second) + np.outer(lam1, first)
        eta["q"][0] += _off_diagonal(qt_bar.T)
    return law_bar


def _off_diagonal(q_bar: Array) -> Array:
    """Derivative with respect to the rates: the diagonal of Q is minus the row sum."""
    return np.asarray(q_bar - np.diag(q_bar)[:, None])


def _law_bars(nat: Natural, law: Array, law_bar: Array, eta: dict[str, Array]) -> None:
    """Derivative of the chain's stationary law with respect to the rates."""
    system = transition.generator(nat.rates[:1])[0].T.copy()
    system[-1] = 1.0
    lam = np.linalg.solve(system.T, law_bar)
    qt_bar = -np.outer(lam, law)
    qt_bar[-1] = 0.0
    eta["q"][0] += _off_diagonal(qt_bar.T)
