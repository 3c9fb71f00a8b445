"""What a change of units, names or bookkeeping may not change."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.inference.labels import change_sd, permute
from basismodels.problem import bind
from basismodels.series import BasisSeries

QUIET = settings(max_examples=25, deadline=None)
ONE = {"ou": OU(), "ou-noise": OU() + Noise(), "two-factor": OU() + SlowOU() + Noise()}
MANY = {
    "switching-ou": Switching(OU(), 2, varies=("kappa", "theta", "sigma")),
    "switching-noise": Switching(OU() + Noise(), 3, varies=("kappa", "theta", "sigma", "tau")),
    "switching-two-factor": Switching(OU() + SlowOU() + Noise(), 2, chain_start="free"),
}
ALL = {**ONE, **MANY}
FREE_OF_TIME = {"theta", "tau", "chain_start"}


def data_of(minutes=60, shift=0.0, scale=1.0, n=80, zone="UTC"):
    g = np.random.default_rng(4)
    y = 0.5 * np.cumsum(g.normal(size=n)) + 1.0
    y[5] = np.nan
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * minutes, unit="min")
    return BasisSeries.from_basis(pd.DatetimeIndex(time).tz_convert(zone), scale * y + shift)


def values_of(problem, time=1.0, shift=0.0, scale=1.0):
    """Parameter values in units stretched by `time`, `scale` and moved by `shift`."""
    base = {
        "kappa": 0.2, "theta": 0.7, "sigma": 0.8, "tau": 0.3, "slow.kappa": 0.02, "slow.sigma": 0.3,
        "q": 0.04, "chain_start": 0.4,
    }  # fmt: skip
    out = []
    for i, c in enumerate(problem.spec.coefficients):
        value = base[c.param] * (1.0 + 0.1 * i)
        if c.param in ("theta", "tau", "sigma", "slow.sigma"):
            value *= scale
        if c.param == "theta":
            value += shift
        if c.param in ("sigma", "slow.sigma"):
            value /= np.sqrt(time)
        elif c.param not in FREE_OF_TIME:
            value /= time
        out.append(value)
    return problem.spec.to_free(np.array(out))


def value(model, initial="stationary", time=1.0, shift=0.0, scale=1.0, **kwargs):
    problem = bind(model, data_of(60 * time, shift, scale, **kwargs), initial=initial)
    return problem.engine.loglik(problem.layout, values_of(problem, time, shift, scale)), problem


@pytest.mark.parametrize("name", list(ALL))
@QUIET
@given(minutes=st.integers(1, 6000))
def test_time_has_no_unit(name, minutes):
    """Stretching the clock is undone by rates per hour."""
    for initial in ("stationary", "conditional"):
        assert value(ALL[name], initial, minutes / 60)[0] == pytest.approx(value(ALL[name], initial)[0], rel=1e-8)


@pytest.mark.parametrize("name", list(ALL))
@QUIET
@given(shift=st.floats(-500.0, 500.0), scale=st.floats(0.01, 100.0))
def test_level_and_unit_of_the_basis(name, shift, scale):
    """A density in other units differs by the logarithm of the unit, once an observation."""
    for initial in ("stationary", "conditional"):
        base, problem = value(ALL[name], initial)
        found = value(ALL[name], initial, shift=shift, scale=scale)[0]
        assert found == pytest.approx(base - problem.nobs * np.log(scale), rel=1e-7)


@pytest.mark.parametrize("name", list(ALL))
def test_sign_of_the_basis(name):
    """Perp against spot, or spot against perp."""
    base, problem = value(ALL[name])
    mirrored = bind(ALL[name], data_of(scale=-1.0))
    x = values_of(problem)
    flip = np.array([c.param == "theta" for c in problem.spec.coefficients])
    assert mirrored.engine.loglik(mirrored.layout, np.where(flip, -x, x)) == pytest.approx(base, rel=1e-11)


@pytest.mark.parametrize("name", list(MANY))
def test_names_of_the_regimes(name):
    """Any renaming leaves likelihood and gradient, up to the same renaming."""
    base, problem = value(MANY[name])
    x = values_of(problem)
    gradient = problem.engine.loglik_grad(problem.layout, x)[1]
    for order in ([1, 0], [0, 1]) if problem.layout.regimes == 2 else ([2, 0, 1], [1, 0, 2]):
        renamed = permute(problem.spec, x, np.array(order))
        assert problem.engine.loglik(problem.layout, renamed) == pytest.approx(base, rel=1e-12)
        np.testing.assert_allclose(change_sd(problem, renamed), change_sd(problem, x)[order], rtol=1e-12)
        moved = problem.engine.loglik_grad(problem.layout, renamed)[1]
        names = problem.spec.names
        same = [i for i, n in enumerate(names) if "[" not in n and "chain_start" not in n]
        np.testing.assert_allclose(moved[same], gradient[same], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", list(ONE))
@QUIET
@given(st.lists(st.integers(0, 78), min_size=1, max_size=20, unique=True), st.floats(0.01, 0.99))
def test_unseen_bars_of_one_regime(name, where, share):
    """A bar without an observation, put anywhere between two others, tells nothing."""
    data = data_of()
    hours = np.insert(data.hours, np.array(where) + 1, data.hours[where] + share)
    y = np.insert(data.basis, np.array(where) + 1, np.nan)
    order = np.argsort(hours, kind="stable")
    time = data.time[0] + pd.to_timedelta(np.round(hours[order] * 3600), unit="s")
    more = BasisSeries.from_basis(pd.DatetimeIndex(time), y[order])
    base, problem = value(ONE[name])
    again = bind(ONE[name], more)
    assert again.engine.loglik(again.layout, values_of(problem)) == pytest.approx(base, rel=1e-9)


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize("name", ["two-factor", "switching-ou"])
def test_time_zone(name, zone):
    """The clock on the wall changes nothing, daylight saving included."""
    assert value(ALL[name], zone=zone)[0] == value(ALL[name])[0]


def test_a_second_part_of_the_noise_with_no_share_is_not_there():
    """Outliers of probability zero, and outliers no wider than the rest."""
    base, plain = value(OU() + Noise())
    problem = bind(OU() + Noise(outliers=True), data_of())
    x = values_of(plain)
    assert problem.spec.names[: len(x)] == plain.spec.names
    for share, scale in ((-800.0, 2.0), (0.3, -400.0)):
        free = np.concatenate([x, [share, scale]])
        assert problem.engine.loglik(problem.layout, free) == pytest.approx(base, rel=1e-9)
