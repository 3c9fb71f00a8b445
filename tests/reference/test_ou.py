"""Ornstein-Uhlenbeck figures on public data, to the digits printed in `ou.json`, and other packages' likelihoods."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq
from scipy.stats import chi2

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.inference.mle import fit
from basismodels.inference.profile import kappa_interval
from basismodels.likelihood import ou
from basismodels.problem import bind
from basismodels.series import BasisSeries

STORED = json.loads((Path(__file__).parent / "ou.json").read_text(encoding="utf-8"))
REGULAR = {row["data"]: row for row in STORED["regular"]}
LIMITS = [name for name, row in REGULAR.items() if "profile" in row]
DROP = float(chi2.ppf(0.95, 1))


def hourly(y):
    """The series with an hour for each of its steps."""
    return BasisSeries.from_basis(pd.date_range("2000-01-01", periods=len(y), freq="h", tz="UTC"), y)


def as_printed(best, row, printed):
    """All four figures, with the corrections stored beside them."""
    row = {**row, **row.get("corrected", {})}
    printed(best.value, row["llf"])
    printed(best.kappa, row["kappa"])
    printed(best.drift / best.kappa, row["theta"])
    printed(np.sqrt(best.variance), row["sigma"])


def extended(kappa, y, dt, stationary):
    """Profile log likelihood in extended precision, written from the definition."""
    wide = np.longdouble
    k, y, dt = wide(kappa), y.astype(wide), dt.astype(wide)
    shrink = np.exp(-k * dt)
    h, g, d = -np.expm1(-k * dt) / k, -np.expm1(-2 * k * dt) / (2 * k), y[1:] - shrink * y[:-1]
    if stationary:
        h, g, d = np.append(h, 1 / k), np.append(g, 1 / (2 * k)), np.append(d, y[0])
    drift = (h * d / g).sum() / (h * h / g).sum()
    variance = ((d - drift * h) ** 2 / g).mean()
    return -0.5 * (len(d) * (np.log(2 * wide(np.pi) * variance) + 1) + np.log(g).sum())


@pytest.mark.parametrize("name", list(REGULAR))
def test_regular(name, regular, printed):
    row, y = REGULAR[name], regular(name)
    dt = np.full(len(y) - 1, float(Fraction(row["h"])))
    best = ou.maximise(y, dt, stationary=False, positive=False)
    assert len(dt) == row["n"]
    as_printed(best, row, printed)
    printed(np.log(2) / best.kappa, row["half_life"])


@pytest.mark.parametrize("name", LIMITS)
def test_profile_limits(name, regular, printed):
    """All kappa whose profile lies within half the chi-squared quantile of the maximum; some limits are negative."""
    row, y = REGULAR[name], regular(name)
    h = float(Fraction(row["h"]))
    dt = np.full(len(y) - 1, h)
    best = ou.maximise(y, dt, stationary=False, positive=False)

    def above(kappa):
        return 2 * (best.value - ou.profile(kappa, y, dt, False).value) - DROP

    reach = 12.0 / (h * len(dt)) + best.kappa
    printed(brentq(above, best.kappa - reach, best.kappa, xtol=1e-12), row["profile"][0])
    printed(brentq(above, best.kappa, best.kappa + reach, xtol=1e-12), row["profile"][1])


@pytest.mark.parametrize("name", list(REGULAR))
def test_regular_through_fit(name, regular, printed):
    """A step is an hour there: kappa times h, sigma times the root of h."""
    row, y = REGULAR[name], regular(name)
    h = float(Fraction(row["h"]))
    made = fit(OU(), hourly(y), initial="conditional")
    printed(made.llf, row["llf"])
    assert made.nobs == row["n"]
    assert made.params["kappa"] / h == pytest.approx(float(row["kappa"]), rel=1e-5)
    assert made.params["theta"] == pytest.approx(float(row["theta"]), rel=1e-5)
    assert made.params["sigma"] / np.sqrt(h) == pytest.approx(float(row["sigma"]), rel=1e-5)
    if "profile" in row:
        for found, figure in zip(kappa_interval(made), row["profile"], strict=True):
            printed(found / h, figure)


@pytest.mark.parametrize("row", STORED["irregular"], ids=lambda row: f"{row['data']} {row['stationary']}")
def test_irregular(row, irregular, printed):
    t, y = irregular(row["data"])
    best = ou.maximise(y, np.diff(t), row["stationary"], positive=row["stationary"])
    assert len(t) - 1 == row["n"]
    as_printed(best, row, printed)


@pytest.mark.parametrize("row", STORED["irregular"], ids=lambda row: f"{row['data']} {row['stationary']}")
def test_corrected_figures_are_the_better_ones(row, irregular):
    """Where the printed kappa is not the maximum's, its profile is lower in extended precision."""
    t, y = irregular(row["data"])
    wide = [extended(kappa, y, np.diff(t), row["stationary"]) for kappa in (row["kappa"], row["corrected"]["kappa"])]
    assert wide[1] > wide[0]


def celerite(t, y, v):
    """The same Gaussian process by celerite2's own factorisation."""
    celerite2 = pytest.importorskip("celerite2", reason="no celerite2: pip install celerite2")
    terms = celerite2.terms
    kernel = terms.RealTerm(a=v["sigma"] ** 2 / (2 * v["kappa"]), c=v["kappa"])
    if "slow.kappa" in v:
        kernel += terms.RealTerm(a=v["slow.sigma"] ** 2 / (2 * v["slow.kappa"]), c=v["slow.kappa"])
    process = celerite2.GaussianProcess(kernel, mean=v["theta"])
    process.compute(t, diag=np.full(len(t), v.get("tau", 0.0) ** 2))
    return process.log_likelihood(y)


@pytest.mark.parametrize("model", [OU(), OU() + Noise(), OU() + SlowOU() + Noise()], ids=repr)
@pytest.mark.parametrize("name", ["co2", "thinned sunspots"])
def test_celerite(model, name, irregular):
    """On two irregular series, at plausible and at odd points."""
    t, y = irregular(name)
    weeks = np.round(t * 52.17857142857143 if name == "co2" else t)
    time = pd.Timestamp("1950-01-01", tz="UTC") + pd.to_timedelta(weeks, unit="h")
    problem = bind(model, BasisSeries.from_basis(pd.DatetimeIndex(time), y))
    g = np.random.default_rng(0)
    base = {"kappa": 0.05, "theta": 1.0, "sigma": 2.0, "tau": 0.5, "slow.kappa": 0.003, "slow.sigma": 0.5}
    hours = problem.data.hours
    for _ in range(5):
        v = {key: base[key] * float(np.exp(g.normal(0.0, 0.7))) for key in problem.spec.names}
        x = problem.spec.to_free(np.array([v[key] for key in problem.spec.names]))
        assert problem.engine.loglik(problem.layout, x) == pytest.approx(celerite(hours, y, v), abs=1e-6)


def test_celerite_at_the_stored_maximum(irregular):
    """The stored stationary maximum of the co2 record is the same number there."""
    row = next(r for r in STORED["irregular"] if r["data"] == "co2" and r["stationary"])
    t, y = irregular("co2")
    v = {key: float(row[key]) for key in ("kappa", "theta", "sigma")}
    assert celerite(t, y, v) == pytest.approx(float(row["llf"]), abs=1e-6)


@pytest.mark.parametrize("missing", [False, True])
def test_state_space_with_measurement_error(missing):
    """statsmodels' SARIMAX (1, 0, 0) with measurement error, at five points."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    g = np.random.default_rng(1)
    y = 3.0 + 0.3 * np.cumsum(g.normal(size=500)) + g.normal(size=500)
    if missing:
        y[g.uniform(size=500) < 0.2] = np.nan
        y[0] = 3.0
    problem = bind(OU() + Noise(), hourly(y))
    for _ in range(5):
        kappa, theta, sigma, tau = np.exp(g.normal([-2.0, 1.0, -0.5, 0.0], 0.5))
        names = dict(kappa=kappa, theta=theta, sigma=sigma, tau=tau)
        x = problem.spec.to_free(np.array([names[key] for key in problem.spec.names]))
        peer = SARIMAX(y - theta, order=(1, 0, 0), measurement_error=True)
        peer.tolerance = 0.0  # by default it settles the gain early, at a cost of 2e-6 in log likelihood here
        variance = sigma**2 * -np.expm1(-2 * kappa) / (2 * kappa)
        other = peer.loglike([np.exp(-kappa), tau**2, variance])
        assert problem.engine.loglik(problem.layout, x) == pytest.approx(other, abs=1e-6)
