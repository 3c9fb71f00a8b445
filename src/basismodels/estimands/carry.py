"""Profit of a carry trade: short the perpetual and long spot, or the reverse, over a horizon."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError, real
from basismodels.estimands.ahead import count_ahead, rule_ahead
from basismodels.estimands.carry_paths import Payments, Walks, funding_paid, payments, walks
from basismodels.estimands.carry_spot import Spot, past_spot, spot_moves
from basismodels.estimands.event import event_of
from basismodels.funding.checks import checked_rule
from basismodels.funding.mechanism import Rule
from basismodels.inference.draws import draws_of
from basismodels.inference.intervals import checked_level
from basismodels.problem import spacing_of
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
Side = Literal["short", "long"]


@dataclass(frozen=True, eq=False)
class Carry:
    """A trade from the last row of a fit.

    table: one row a quantity, columns value, lower, upper, unit; side "short" or "long" the perpetual; profit (m,)
    in bps of notional at the estimate; rule: the funding rule in use; notes: what was assumed.
    """

    table: pd.DataFrame
    side: Side
    profit: Array
    rule: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.side} the perpetual, funding by {self.rule}\n{self.table.to_string()}"


class _Plan(NamedTuple):
    """What is walked: so many steps of `spacing` hours on so many paths, payments to come, past returns of spot."""

    steps: int
    spacing: float
    paths: int
    due: Payments
    spot: Spot | None


@dataclass(frozen=True)
class _Terms:
    side: Side
    cost: float
    band: float
    target: float
    margin: float
    maintenance: float
    close: bool
    risk: float


def carry(
    fit: Fit,
    horizon: float = 72.0,
    *,
    side: Side | None = None,
    cost: float = 10.0,
    band: float | None = None,
    target: float | None = None,
    until: Literal["horizon", "convergence"] = "horizon",
    margin: float | None = None,
    maintenance: float = 50.0,
    rule: Rule | None = None,
    risk: float = 0.95,
    level: float = 0.95,
    paths: int = 5000,
    draws: int = 50,
    rng: np.random.Generator | int | None = None,
) -> Carry:
    """Profit in bps of notional over `horizon` hours of short perpetual and long spot, or the reverse.

    The profit is the fall of the basis (without its noise) plus funding received less `cost`, bps for the round
    trip. `side`: default short where the basis stands above `target` now; `until="convergence"` closes at the first row
    within `band` of `target` (defaults as in `failure_probability`) and forfeits later funding. `margin`,
    `maintenance`: bps of notional behind the perpetual and the level at which it is closed, and the spot leg with it:
    profit, value at risk and shortfall are then those of a path that ends there. P(margin gone) counts while the
    position is open, P(margin gone before convergence) only rows before the first one in the band. The margin sees
    spot and basis together, funding paid out of it; within a regime a spot return follows the shock of its step by
    their past rank correlation (a Gaussian copula: no dependence in the tails beyond it), the rest of it by
    blocks of past returns (`carry_spot`). A model with `Settlement` jumps at the
    payments of its own paths; the trade is entered and closed after what is paid at those rows. `rule`: default the
    one attached to the data, else a guess that is said, settling as often as the data do in the end. `risk`: level
    of value at risk and expected shortfall (losses positive). Limits carry parameter uncertainty: quantiles over
    `draws`, `paths` paths each. Between rows nothing is monitored.
    Source of the decomposition: He, Manela, Ross & von Wachter (2022). Errors: ModelError, DataError.
    """
    event = event_of(checked_fit(fit).data, horizon, band, target)
    checked_level(level)
    _check(until, risk, paths, draws)
    for name, given in {"cost": cost, "margin": margin, "maintenance": maintenance}.items():
        if given is not None:
            real(given, name)
    if margin is not None and not 0.0 <= maintenance < margin:
        raise ModelError(
            f"margin must be above maintenance, and that not below zero, got {margin:g} and {maintenance:g} bps",
            remedy="margin=500, maintenance=50, in bps of notional",
        )
    generator = np.random.default_rng(0 if rng is None else rng)
    spacing = spacing_of(fit.problem)
    count = count_ahead(horizon, spacing)
    found, said = (checked_rule(rule), "") if rule is not None else rule_ahead(fit)
    now = float(fit.filtered.p[-1] @ fit.filtered.mean[-1].sum(axis=1))
    way: Side = side or ("short" if now > event.target else "long")
    if way not in ("short", "long"):
        raise ModelError(f'side must be "short" or "long", got {side!r}')
    terms = _Terms(way, cost, event.band, event.target, math.nan if margin is None else margin, maintenance,
                   until == "convergence", risk)  # fmt: skip
    spot = None if margin is None else past_spot(fit)
    plan = _Plan(count, spacing, paths, payments(fit, found, count), spot)
    values, profit = _one(fit, fit.x, plan, terms, generator)
    notes = [said] if said else []
    if "nu" in fit.problem.layout.places:
        notes.append("shocks of the same variance taken as Gaussian")
    try:
        points = draws_of(fit, draws, generator)
    except ModelError as error:
        points, notes = np.empty((0, len(fit.x))), [*notes, str(error)]
    seed = int(generator.integers(2**63))
    each = [_one(fit, x, plan, terms, np.random.default_rng(seed))[0] for x in points]
    return Carry(_table(values, each, level), way, profit, f"{found.venue} {found.symbol}".strip(), tuple(notes))


def _check(until: object, risk: object, paths: object, draws: object) -> None:
    if until not in ("horizon", "convergence"):
        raise ModelError(f'until must be "horizon" or "convergence", got {until!r}')
    if not 0.0 < real(risk, "risk", remedy="risk=0.95") < 1.0:
        raise ModelError(f"risk must lie between 0 and 1, got {risk!r}", remedy="risk=0.95")
    for name, given in {"paths": paths, "draws": draws}.items():
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise ModelError(f"{name} must be a positive whole number, got {given!r}")


def _table(values: dict[str, float], each: list[dict[str, float]], level: float) -> pd.DataFrame:
    frame = pd.DataFrame({"value": values})
    found = np.reshape([[one[name] for name in values] for one in each], (-1, len(values)))
    frame["lower"], frame["upper"] = draw_limits(found, level)
    frame["unit"] = ["probability" if name.startswith("P(") else "bps" for name in values]
    frame.index.name = "quantity"
    return frame


def _one(
    fit: Fit, x: Array, plan: _Plan, terms: _Terms, rng: np.random.Generator
) -> tuple[dict[str, float], Array]:
    """Every quantity under one free vector, and the profits (m,)."""
    # spot has a stream of its own: the basis and the draws are the same with a margin and without
    other = np.random.default_rng([1, int(deepcopy(rng).integers(2**63))])
    count, every = plan.steps, np.arange(plan.paths)
    made = walks(fit.problem, x, count, plan.paths, rng, plan.due)
    sign = 1.0 if terms.side == "short" else -1.0
    paid = sign * funding_paid(made.basis, plan.due)
    back = _first(np.abs(made.basis[:, 1:] - terms.target) <= terms.band)
    gone = np.full(plan.paths, count)
    if plan.spot is not None:
        moves = spot_moves(plan.spot, made, plan.spacing, other)
        gone = _first(_left(made, moves, paid, sign, terms) <= terms.maintenance)
    open_to = back if terms.close else np.full(plan.paths, count)
    last = np.minimum(np.minimum(open_to, gone), count - 1)
    held = np.arange(count) <= last[:, None]
    closed = made.basis[every, last + 1] + made.jump[every, last]
    convergence = -sign * (closed - made.basis[:, 0])
    funding = (paid * held).sum(axis=1)
    profit = convergence + funding - terms.cost
    edge = float(np.quantile(profit, 1.0 - terms.risk))
    out = {
        "profit": float(profit.mean()), "convergence": float(convergence.mean()), "funding": float(funding.mean()),
        "cost": -terms.cost, "sd of profit": float(profit.std()), "value at risk": -edge,
        "expected shortfall": -float(profit[profit <= edge].mean()), "P(loss)": float((profit < 0).mean()),
        "P(back in the band)": float((back < count).mean()),
    }  # fmt: skip
    if plan.spot is not None:
        out["P(margin gone)"] = float((gone < open_to).mean())
        out["P(margin gone before convergence)"] = float((gone < back).mean())
    return out, profit


def _first(true: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The first step of each path (m, h) at which something holds, h where it never does, (m,)."""
    return np.asarray(np.where(true.any(axis=1), true.argmax(axis=1), true.shape[1]))


def _left(made: Walks, moves: Array, paid: Array, sign: float, terms: _Terms) -> Array:
    """Margin left at the end of each step were the position held to there, bps of notional (m, h)."""
    price = np.cumsum(moves, axis=1) + made.basis[:, 1:] + made.jump - made.basis[:, :1]
    return np.asarray(terms.margin - sign * price + np.cumsum(paid, axis=1))
