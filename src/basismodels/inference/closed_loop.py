"""Simulation in a closed loop: the premium drives funding, funding drives the basis."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._columns import designs_of
from basismodels._numbering import level_is_drift, numbering
from basismodels.errors import DataError, ModelError
from basismodels.funding.checks import checked_rule
from basismodels.funding.covariates import BAND, COVARIATES, attach
from basismodels.funding.mechanism import Rule
from basismodels.funding.settled import Settled, settled_of
from basismodels.inference.loop_checks import GRID, check_columns, even_closes, free_of, grid_of, said_of
from basismodels.inference.loop_kernel import NAMES, Coefficients, Terms, walk
from basismodels.model import Component, Design, Model, as_model
from basismodels.params import INTERCEPT, Link
from basismodels.problem import Problem
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
_BURN = 400
_TIMING = {"current": 0, "next": 1, "continuous": 2}
_WEIGHTS = {"linear": 0, "equal": 1, "last": 2}


class PremiumLink(NamedTuple):
    """The venue's mean premium given that of the closes: offset (bps), slope, and sd (bps) of what is left."""

    offset: float
    slope: float
    sd: float


@dataclass(frozen=True, eq=False)
class Machine:
    """A model and its coefficients, ready to be walked under any rule that gives the columns of its formulas."""

    model: Model
    coefficients: Coefficients
    kappa_log: bool
    drifts: bool
    columns: frozenset[str] = frozenset()


class Looped(NamedTuple):
    """Bars y, x, level (n,) in bps, regime (n,); settlements: rate (m,) decimal per interval, premium (m,) bps."""

    y: Array
    x: Array
    level: Array
    regime: NDArray[np.int64]
    rate: Array
    premium: Array


def simulate(
    model: Component | Model | Fit,
    rule: Rule,
    params: Mapping[str, float] | None = None,
    times: pd.DatetimeIndex | BasisSeries | None = None,
    *,
    link: PremiumLink | None = None,
    rng: np.random.Generator | int | None = None,
) -> BasisSeries:
    """Basis, settled rates and covariates of a market under a funding rule.

    `model`: a model with `params` by name, or a fit, whose estimates and times are the default. `times`:
    evenly spaced closes in UTC, or a series, put on an even grid where it is uneven, which the warnings say.
    Between closes the basis moves every minute (or every sample of the rule, if those are rarer); the rule turns
    these premiums into rates, and formulas take their covariates from them. `link`: what the venue's premium is,
    given the closes (`premium_link`); without it the premium is the basis. The truth comes back as true_regime,
    true_x and true_level. The interval stays that of the rule: a shorter one after a settlement at the cap
    (`Rule.dynamic`) is not simulated, which the warnings say.
    Errors: ModelError for formulas with columns that the rule cannot give, and for parameters that are not finite or
    impossible; DataError for times that are not evenly spaced.
    """
    checked_rule(rule)
    machine = machine_of(model, params)
    given = times if times is not None else model.data if isinstance(model, Fit) else None
    grid = even_grid(given)
    made = series_of(machine, rule, grid, loop(machine, rule, grid, np.random.default_rng(rng), link))
    if isinstance(given, BasisSeries) and not given.time.equals(grid):
        step = pd.Timedelta(grid[1] - grid[0])
        return made.with_warnings(f"the {given.n:,} closes were put on an even grid of {len(grid):,}, {step} apart")
    return made


def machine_of(model: Component | Model | Fit, params: Mapping[str, float] | None = None) -> Machine:
    """The machine of a fit at its estimates (or at `params`), or of a model at `params`."""
    if isinstance(model, Fit):
        refuse(model.problem.layout.places)
        x = model.x if params is None else free_of(model.problem.spec, params)
        return from_problem(model.problem, x)
    made = as_model(model)
    link: Link = "log" if made.regimes == 1 else "identity"
    designs = _designs(made)
    spec, places, constants = numbering(made, designs, link)
    refuse(places)
    extended = np.concatenate([free_of(spec, {} if params is None else params), constants])
    columns = {name: one.columns for name, one in designs.items()}
    own = _coefficients(made, columns, places, extended)
    return Machine(made, own, link == "log", level_is_drift(made, link), _named(columns))


def from_problem(problem: Problem, x: Array) -> Machine:
    """The machine of a bound model at a free vector."""
    columns = {name: one.columns for name, one in problem.designs.items()}
    extended = np.concatenate([x, problem.layout.constants])
    made = _coefficients(problem.model, columns, problem.layout.places, extended)
    return Machine(problem.model, made, problem.layout.kappa_log, problem.layout.level_is_drift, _named(columns))


def _named(columns: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(c for own in columns.values() for c in own)


def _designs(model: Model) -> dict[str, Design]:
    """Columns of every formula, read off a frame that holds each covariate of funding."""
    frame = pd.DataFrame(np.random.default_rng(0).random((8, len(COVARIATES))), columns=list(COVARIATES))
    return designs_of(model, frame)


def refuse(places: Mapping[str, object]) -> None:
    """ModelError for what the walk does not know."""
    if "outlier.share" in places or "chain_start" in places:
        raise ModelError("the closed loop knows neither outliers nor a free start of the chain")
    if "innovation" in places or "nu" in places:
        raise ModelError("the closed loop takes Gaussian shocks and their volatility as sigma", remedy='OU(sigma="1")')


def _coefficients(
    model: Model, columns: Mapping[str, tuple[str, ...]], places: Mapping[str, NDArray[np.int64]], extended: Array
) -> Coefficients:
    refuse(places)

    def own(name: str, shape: tuple[int, ...]) -> Array:
        out = np.zeros((len(NAMES), *shape))
        if name in places:
            for column, at in zip(columns.get(name, (INTERCEPT,)), places[name], strict=True):
                if column not in NAMES:
                    raise ModelError(f"the closed loop cannot make the column {column!r} of {name}",
                                     remedy=f"it makes {', '.join(COVARIATES)}")  # fmt: skip
                out[NAMES.index(column)] = extended[at]
        return out

    k = model.regimes
    return Coefficients(
        own("kappa", (k,)), own("theta", (k,)), own("sigma", (k,)), own("tau", (k,)),
        own("slow.kappa", (1,)), own("slow.sigma", (1,)), own("q", (k, k)),
        own("jump", (1,)),
    )  # fmt: skip


def even_grid(times: pd.DatetimeIndex | BasisSeries | None) -> pd.DatetimeIndex:
    """Evenly spaced closes: those given, or from the first of a series to its last at the median step."""
    if times is None:
        raise ModelError("times are needed", remedy=GRID)
    return grid_of(times) if isinstance(times, BasisSeries) else even_closes(times)


def terms_of(rule: Rule, grid: pd.DatetimeIndex, link: PremiumLink | None, band: float = BAND) -> Terms:
    """The rule and an even grid of closes as numbers for the kernel."""
    bar = float((grid[1] - grid[0]) / np.timedelta64(1, "h"))
    fine = max(1, round(60.0 * bar / max(rule.sample_seconds / 60.0, 1.0)))
    dt = bar / fine
    per = rule.settled_every / dt
    begin = grid[0] - (grid[1] - grid[0])
    first = rule.settlements(begin + pd.Timedelta(seconds=1), begin + pd.Timedelta(hours=2 * rule.settled_every))[0]
    phase = float((first - begin) / np.timedelta64(1, "h")) / dt
    if abs(per - round(per)) > 1e-6 or abs(phase - round(phase)) > 1e-6:
        raise ModelError(f"settlements every {rule.settled_every:g} h do not fall on steps of {60 * dt:g} minutes")
    offset, slope, sd = map(float, link or (0.0, 1.0, -1.0))
    if link and not (math.isfinite(offset) and math.isfinite(slope) and 0.0 <= sd < math.inf):
        raise ModelError("a link takes a finite offset and slope and an sd not below zero", rows=[link])
    return Terms(
        per=round(per), phase=round(phase), bars=fine, dt=dt, interest=1e4 * rule.interest,
        interest_8h=1e4 * rule.interest_8h, damper=1e4 * rule.damper,
        cap=math.inf if math.isnan(rule.cap) else float(rule.cap), scale=rule.scale, hours=float(rule.interval_hours),
        weights=_WEIGHTS[rule.weighting], timing=_TIMING[rule.timing], band=band, offset=offset, slope=slope, spread=sd,
    )  # fmt: skip


def loop(
    machine: Machine, rule: Rule, grid: pd.DatetimeIndex, rng: np.random.Generator, link: PremiumLink | None = None
) -> Looped:
    """One walk over an even grid of closes, after a stretch that is forgotten."""
    check_columns(machine.columns, rule)
    terms = terms_of(rule, grid, link)
    per_bars = max(terms.per // terms.bars, 1)
    burn = math.ceil(_BURN / per_bars) * per_bars
    n = len(grid) + burn
    settled = n * terms.bars // terms.per + 2
    out = (np.empty(n), np.empty(n), np.empty(n), np.empty(n, dtype=np.int64), np.empty(settled), np.empty(settled))
    parts = machine.model.formulas()
    x, l, s = _start(machine, terms, rng)
    side = np.random.default_rng(rng.integers(2**63))
    done = walk(
        n, machine.coefficients, terms, machine.kappa_log, machine.drifts, "tau" in parts, "slow.kappa" in parts,
        x, l, s, rng, side, *out,
    )  # fmt: skip
    y, xs, ls, ss, rate, premium = out
    dropped = (burn * terms.bars - terms.phase) // terms.per + 1 if burn * terms.bars >= terms.phase else 0
    return Looped(y[burn:], xs[burn:], ls[burn:], ss[burn:], rate[dropped:done], premium[dropped:done])


def _start(machine: Machine, terms: Terms, rng: np.random.Generator) -> tuple[float, float, int]:
    """A state to begin the forgotten stretch with: the level at no covariates, a draw of the slow level."""
    c = machine.coefficients
    s = int(rng.integers(c.kappa.shape[1]))
    kappa = math.exp(c.kappa[0, s]) if machine.kappa_log else float(c.kappa[0, s])
    theta = float(c.theta[0, s])
    if machine.drifts:
        theta = theta / kappa if kappa > 0 else 0.0
    level = 0.0
    if "slow.kappa" in machine.model.formulas():
        speed, sigma = math.exp(c.slow_kappa[0, 0]), math.exp(c.slow_sigma[0, 0])
        level = sigma / math.sqrt(2.0 * speed) * rng.standard_normal()
    return theta, level, s


def series_of(machine: Machine, rule: Rule, grid: pd.DatetimeIndex, found: Looped) -> BasisSeries:
    """The walk as a series under its rule, settlements at their stamps, the truth beside it."""
    truth = pd.DataFrame({"true_regime": found.regime.astype(float), "true_x": found.x, "true_level": found.level})
    stamps = rule.settlements(grid[0] - (grid[1] - grid[0]) + pd.Timedelta(seconds=1), grid[-1])
    funding = pd.DataFrame({"rate": found.rate[: len(stamps)], "interval_hours": rule.interval_hours}, index=stamps)
    made = BasisSeries.from_basis(
        grid,
        found.y,
        funding=funding if len(stamps) and rule.timing != "continuous" else None,
        covariates=truth.set_axis(grid, axis=0),
    )
    facts = {**made.provenance, "source": "simulated", "simulated": True, "model": repr(machine.model)}
    return attach(replace(made, provenance=facts), rule).with_warnings(*said_of(rule, found.rate))


def premium_link(data: BasisSeries, rule: Rule) -> PremiumLink:
    """The venue's mean premium given that of the closes, by maximum likelihood from settled rates.

    Between damper and cap a rate tells the mean premium exactly; inside the damper and at the cap it tells an
    interval (Tobin 1958). Errors: DataError without settled rates or with too few beyond the damper.
    """
    from scipy.optimize import minimize
    from scipy.stats import norm

    found = settled_pairs(data, rule)
    rate, mean = found.rate, found.premium
    at_cap, inside = (found.each(f) > 0 for f in (lambda r: r.at_cap(rate), lambda r: r.at_interest(rate)))
    scale, interest, damper = (found.each(f) for f in (lambda r: r.scale, lambda r: r.interest, lambda r: r.damper))
    told = ~(inside | at_cap)
    if told.sum() < 10:
        raise DataError(f"{int(told.sum())} rates lie between damper and cap: too few to tell the premium")
    implied = 1e4 * (rate / scale + np.sign(rate / scale - interest) * damper)
    low, high = 1e4 * (interest - damper), 1e4 * (interest + damper)
    edge = 1e4 * (np.abs(rate) / scale + damper)  # that of the cap where it binds, whichever it was
    up, down = at_cap & (rate > 0), at_cap & (rate < 0)

    def negative(p: Array) -> float:
        fitted, sd = p[0] + p[1] * mean, math.exp(p[2])
        with np.errstate(divide="ignore"):
            parts = np.where(told, norm.logpdf(implied, fitted, sd), 0.0)
            parts = np.where(inside, np.log(norm.cdf(high, fitted, sd) - norm.cdf(low, fitted, sd) + 1e-300), parts)
            parts = np.where(up, norm.logsf(edge, fitted, sd), parts)
            parts = np.where(down, norm.logcdf(-edge, fitted, sd), parts)
        return -float(parts.sum())

    slope, offset = np.polyfit(mean[told], implied[told], 1)
    begin = np.array([offset, slope, math.log(np.std(implied[told] - offset - slope * mean[told]) + 0.1)])
    best: Any = minimize(negative, begin, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-6, "maxiter": 2000})
    return PremiumLink(float(best.x[0]), float(best.x[1]), math.exp(float(best.x[2])))


def settled_pairs(data: BasisSeries, rule: Rule) -> Settled:
    """Settlements of the rule's interval that closes tell a mean premium of."""
    if data.settlements is None:
        raise DataError("no settled rates in the data", remedy="bm.BasisSeries.from_prices(spot, perp, funding=rates)")
    found = settled_of(data, rule)
    use = np.isfinite(found.premium) & (found.hours == rule.interval_hours)
    arrays = (found.stamp[use], found.rate[use], found.hours[use], found.premium[use])
    return replace(found, **dict(zip(("stamp", "rate", "hours", "premium"), arrays, strict=True)), era=found.era[use])
