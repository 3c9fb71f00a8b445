"""The key figures of a report, by name, and the small sums behind them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from basismodels.estimands.convergence import shares
from basismodels.report.analysis import Analysis
from basismodels.report.event import NAME
from basismodels.report.spells import Spell, longest, share_of
from basismodels.results import Fit

Limits = tuple[float, float, float]


def last_row(fit: Fit) -> int:
    """Position of the last observed row among the fit's rows."""
    return int(np.flatnonzero(fit.problem.seen[fit.problem.first :])[-1])


def no_return_now(a: Analysis) -> Limits:
    """P(no return within the horizon) at the last observed row, with limits."""
    row = a.no_return.iloc[last_row(a.fit)]
    return float(row[NAME]), float(row[f"{NAME}_lower"]), float(row[f"{NAME}_upper"])


def failing_now(a: Analysis) -> Limits:
    """Filtered probability that a failure regime holds at the last observed row; NaN without regimes."""
    if a.failing is None:
        return math.nan, math.nan, math.nan
    row = a.failing.frame.iloc[last_row(a.failing.fit)]
    return float(row["filtered"]), float(row["filtered_lower"]), float(row["filtered_upper"])


def no_return_draws(a: Analysis) -> int:
    """Draws behind the limits of P(no return)."""
    return int(a.no_return.attrs.get("draws", 0))


def thetas(a: Analysis) -> list[tuple[str, float, float, float]]:
    """Name, estimate and Wald limits in bps of each level the chosen model reverts to."""
    limits = a.fit.conf_int(a.settings.level)
    rows = zip(a.fit.names, a.fit.params, limits["lower"], limits["upper"], strict=True)
    return [row for row in rows if row[0].split("[")[0] == "theta" and ":" not in row[0]]


def level_now(a: Analysis) -> Limits | None:
    """theta + l in bps at the last observed row, with the filter's normal limits; None without a slow level."""
    from scipy.stats import norm

    problem = a.fit.problem
    if "slow.kappa" not in a.fit.model.formulas() or [n for n, *_ in thetas(a)] != ["theta"]:
        return None
    row = int(problem.place[last_row(a.fit)])
    weight, mean, var = a.fit.filtered.p[row], a.fit.filtered.mean[row, :, 1], a.fit.filtered.var[row, :, 2]
    middle = float(weight @ mean)
    spread = math.sqrt(max(float(weight @ (var + mean**2)) - middle**2, 0.0))
    z, theta = float(norm.ppf(0.5 + a.settings.level / 2.0)), float(a.fit.params["theta"])
    return theta + middle, theta + middle - z * spread, theta + middle + z * spread


def masked(a: Analysis) -> tuple[int, tuple[str, ...]]:
    """How many rows are missing or left out of the fits, and the kinds of finding that leave rows out."""
    kinds = dict.fromkeys(f.kind for f in a.data.findings if f.masked and f.kind != "gap")
    return int((~a.data.observed).sum()), tuple(kinds)


def key_figures(a: Analysis) -> dict[str, Any]:
    """What the report says, as numbers: hours, bps, probabilities; stamps as pandas stamps; NaN and inf as they are."""
    total, weights = a.chosen.half_lives[0], shares(a.fit)
    return {
        "source": str(a.data.provenance.get("source", "frame")),
        "simulated": bool(a.data.provenance.get("simulated")),
        "start": a.fit.problem.time[0],
        "end": a.fit.problem.time[-1],
        "rows": a.data.n,
        "observations": a.fit.nobs,
        "masked_share": 1.0 - float(a.data.observed.mean()),
        "model": a.chosen.label,
        "trusted": a.trusted,
        "half_life": total.value,
        "half_life_lower": total.lower,
        "half_life_upper": total.upper,
        "half_life_method": total.method,
        "share_fast": next((v for k, v in weights.items() if k != "slow"), math.nan),
        "share_slow": weights.get("slow", math.nan),
        **_level(a),
        **_three("no_return", no_return_now(a)),
        **_three("failing", failing_now(a)),
        "failure_regimes": list(a.failing.failing) if a.failing else [],
        "regimes_tell": bool(a.failing and a.failing.tells),
        **_spells("no_return", a.fit, a.lost),
        **_spells("outside", a.fit, a.outside),
        **_spells("regime", *((a.failing.fit, a.failing.spells) if a.failing and a.failing.tells else (a.fit, ()))),
        "failure_found": bool(a.failing and a.failing.frame.attrs["found"]),
        "failure_upper_bound": float(a.failing.frame.attrs["upper_bound"]) if a.failing else math.nan,
        "horizon": a.event.horizon,
        "band": a.event.band,
        "target": a.event.target,
        "rule": a.event.rule,
        "level": a.settings.level,
    }


def _level(a: Analysis) -> dict[str, float]:
    found = thetas(a)
    return _three("theta", found[0][1:]) if len(found) == 1 else _three("theta", (math.nan, math.nan, math.nan))


def _three(name: str, limits: Limits) -> dict[str, float]:
    return dict(zip((name, f"{name}_lower", f"{name}_upper"), limits, strict=True))


def _spells(name: str, fit: Fit, found: tuple[Spell, ...]) -> dict[str, Any]:
    worst = longest(found)
    return {
        f"{name}_share": share_of(fit, found),
        f"{name}_spells": len(found),
        f"{name}_longest_hours": worst.hours if worst else 0.0,
        f"{name}_longest_start": worst.start if worst else pd.NaT,
        f"{name}_longest_end": worst.end if worst else pd.NaT,
    }
