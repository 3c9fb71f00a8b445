"""How the regressions behave on a market like the one at hand: without an effect of funding, and with a stated one.

The market is the fitted null (reversion, slow level, noise, in one regime or two) walked every minute under
the rule, so that its rates average the premium as real ones do; nothing in it moves with funding. What a
nominal 5% regression rejects there is its size; the t at hand against the mean and spread of those t is its
calibrated p. With the stated effect put in, the share with a calibrated p under 5% is its power.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.estimands.funding_kink import kinks
from basismodels.estimands.funding_regressions import EFFECTS, estimate, sample_of
from basismodels.estimands.funding_states import link_of
from basismodels.funding.mechanism import Rule
from basismodels.inference.closed_loop import Machine, even_grid, loop, machine_of, series_of
from basismodels.inference.loop_kernel import NAMES
from basismodels.results import Fit
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
PULL = -0.05
TESTS = ("naive", "controlled")


class Behaviour(NamedTuple):
    """t by test, (draws,), without an effect (`null`) and with the stated one of each kind (`effect`)."""

    null: dict[str, Array]
    effect: dict[str, Array]
    stated: dict[str, str]

    def size(self, test: str) -> float:
        """Share of markets without an effect in which the nominal 5% test rejects."""
        return _share(np.abs(_finite(self.null[test])) > 1.96)

    def p(self, test: str, t: float) -> float:
        """Two-sided p of t as one more draw of a normal law with the mean and variance of those without an effect."""
        from scipy.stats import t as student

        null = _finite(self.null[test])
        n = len(null)
        if n < 3 or not math.isfinite(t) or not null.std() > 0:
            return math.nan
        z = (t - null.mean()) / (null.std(ddof=1) * math.sqrt(1.0 + 1.0 / n))
        return float(2.0 * student.sf(abs(z), n - 1))

    def power(self, test: str) -> float:
        """Share of markets with the stated effect whose calibrated p is under 5%."""
        effect = _finite(self.effect.get(test, np.array([])))
        return _share(np.array([self.p(test, float(t)) < 0.05 for t in effect]))


def _finite(values: Array) -> Array:
    return np.asarray(values[np.isfinite(values)])


def _share(found: NDArray[np.bool_]) -> float:
    return float(np.mean(found)) if len(found) else math.nan


def statistics(data: BasisSeries, rule: Rule, which: tuple[str, ...] = EFFECTS) -> dict[str, float]:
    """t of every regression and kink, by name such as "level naive"."""
    sample = sample_of(data, rule)
    found = {
        f"{effect} {test}": estimate(sample, effect, sample.funding, test == "controlled").t
        for effect in which
        for test in TESTS
    }
    bends = kinks(data, rule)
    return found | {f"kink {place}": t for place, t in zip(bends["place"], bends["t"].astype(float), strict=True)}


def with_effect(machine: Machine, effect: str, data: BasisSeries) -> tuple[Machine, str]:
    """The machine with the stated effect, and the effect in words."""
    c = machine.coefficients
    kappa = np.exp(c.kappa[0]) if machine.kappa_log else c.kappa[0]
    if effect == "level":
        theta = c.theta.copy()
        theta[NAMES.index("funding_gap")] = np.where(kappa > 0, PULL / np.maximum(kappa, 1e-6), 0.0)
        changed, said = c._replace(theta=theta), f"a pull of {-PULL:g} bp an hour per bp of funding per 8 h"
    else:
        spread = float(np.nanstd(data.frame()["funding_pressure"])) or 1.0
        faster = c.kappa.copy()
        row = math.log(2.0) if machine.kappa_log else kappa
        faster[NAMES.index("funding_pressure")] = row / (2.0 * spread)
        changed, said = c._replace(kappa=faster), f"a speed that doubles over {2 * spread:.3g} bps of funding pressure"
    return Machine(machine.model, changed, machine.kappa_log, machine.drifts), said


def behaviour(
    data: BasisSeries, rule: Rule, null: Fit, replications: int, rng: np.random.Generator, progress: Progress | None
) -> Behaviour:
    """t of every regression over so many simulated markets, without an effect and with each stated one."""
    grid = even_grid(data)
    link, machine = link_of(data, rule), machine_of(null)
    total, done = 3 * replications, 0

    def draws(at: Machine, which: tuple[str, ...]) -> list[dict[str, float]]:
        nonlocal done
        out = []
        for _ in range(replications):
            made = series_of(at, rule, grid, loop(at, rule, grid, rng, link))
            out.append(statistics(made, rule, which))
            done += 1
            if progress is not None:
                progress(done, total)
        return out

    found, stated = _columns(draws(machine, EFFECTS)), {}
    effects: dict[str, Array] = {}
    for effect in EFFECTS:
        moved, stated[effect] = with_effect(machine, effect, data)
        own = _columns(draws(moved, (effect,)))
        effects |= {name: t for name, t in own.items() if name.startswith(effect) or effect == "level"}
    return Behaviour(found, effects, stated)


def _columns(rows: list[dict[str, float]]) -> dict[str, Array]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]} if rows else {}


def power_of_ratio(slopes: Array, cov: Array, level: float = 0.05) -> float:
    """Power of the likelihood-ratio test of k slopes, (k,), where these are true, by their covariance (Wald 1943)."""
    from scipy.stats import chi2, ncx2

    if not (np.isfinite(cov).all() and np.linalg.eigvalsh(cov)[0] > 0):
        return math.nan
    k = len(slopes)
    return float(ncx2.sf(chi2.isf(level, k), k, float(slopes @ np.linalg.solve(cov, slopes))))
