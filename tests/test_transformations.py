"""Laws that hold for every series: what a change of units, labels, sampling or zone must and must not do."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import basismodels as bm
from basismodels.inference.labels import permute
from basismodels.problem import bind

MODELS = {
    "ou": bm.OU(),
    "noise": bm.OU() + bm.Noise(),
    "two-factor": bm.OU() + bm.SlowOU() + bm.Noise(),
    "switching": bm.Switching(bm.OU(), varies=("kappa", "theta", "sigma")),
    "switching-noise": bm.Switching(bm.OU() + bm.SlowOU() + bm.Noise()),
}
ONE = ("ou", "noise", "two-factor")
NATURAL = {"kappa": 0.3, "theta": 1.5, "sigma": 2.0, "tau": 0.7, "slow.kappa": 0.02, "slow.sigma": 0.4, "q": 0.05}
START = pd.Timestamp("2024-01-01", tz="UTC")

laws = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 2**32 - 1)
models = st.sampled_from(sorted(MODELS))
initials = st.sampled_from(["stationary", "conditional"])


def hours_of(rng, n=40):
    """Whole minutes, so that scaled stamps stay exact."""
    return np.cumsum(rng.integers(20, 180, n)) / 60.0


def series(hours, y):
    return bm.BasisSeries.from_basis(START + pd.to_timedelta(np.round(hours * 3600), unit="s"), y)


def point(problem, rng, change=lambda c, value: value):
    """A free vector near usual values; `change` maps natural values by coefficient."""
    values = []
    for c in problem.spec.coefficients:
        spread = 1.0 + 0.4 * (int(c.regime[0]) if c.regime else 0)
        values.append(NATURAL[c.param] * spread * math.exp(0.3 * rng.standard_normal()))
    return np.array(values), problem.spec.to_free(
        np.array([change(c, v) for c, v in zip(problem.spec.coefficients, values, strict=True)])
    )


def loglik(model, data, initial, seed, change=lambda c, value: value):
    problem = bind(model, data, initial=initial)
    return problem.engine.loglik(problem.layout, point(problem, np.random.default_rng(seed), change)[1])


@laws
@given(name=models, initial=initials, seed=seeds, factor=st.sampled_from([2, 3, 60]))
def test_time_in_other_units(name, initial, seed, factor):
    rng = np.random.default_rng(seed)
    hours, y = hours_of(rng), rng.normal(0, 3, 40)
    power = {"kappa": 1.0, "slow.kappa": 1.0, "q": 1.0, "sigma": 0.5, "slow.sigma": 0.5}
    model = MODELS[name]
    slower = loglik(model, series(hours * factor, y), initial, seed, lambda c, v: v / factor ** power.get(c.param, 0.0))
    assert slower == pytest.approx(loglik(model, series(hours, y), initial, seed), rel=1e-9)


@laws
@given(name=models, initial=initials, seed=seeds, a=st.sampled_from([1e-6, 0.5, 7.0, 1e8]),
       sign=st.sampled_from([-1, 1]), shift=st.floats(-20, 20))  # fmt: skip
def test_basis_in_other_units_shifted_and_turned(name, initial, seed, a, sign, shift):
    rng = np.random.default_rng(seed)
    hours, y = hours_of(rng), rng.normal(0, 3, 40)
    sized = {"sigma", "slow.sigma", "tau"}

    def change(c, value):
        if c.param == "theta":
            return sign * a * (value + shift)
        return a * value if c.param in sized else value

    moved = loglik(MODELS[name], series(hours, sign * a * (y + shift)), initial, seed, change)
    expected = loglik(MODELS[name], series(hours, y), initial, seed)
    n = 40 - (initial == "conditional")
    assert moved == pytest.approx(expected - n * math.log(a), rel=1e-8, abs=1e-7)


@laws
@given(name=st.sampled_from(["switching", "switching-noise"]), seed=seeds, initial=initials)
def test_names_of_regimes_do_not_matter(name, seed, initial):
    rng = np.random.default_rng(seed)
    problem = bind(MODELS[name], series(hours_of(rng), rng.normal(0, 3, 40)), initial=initial)
    x = point(problem, rng)[1]
    turned = permute(problem.spec, x, np.array([1, 0]))
    assert not np.array_equal(turned, x)
    engine, layout = problem.engine, problem.layout
    assert engine.loglik(layout, turned) == pytest.approx(engine.loglik(layout, x), rel=1e-10)
    np.testing.assert_allclose(engine.filter(layout, turned).p[:, ::-1], engine.filter(layout, x).p, atol=1e-9)


@laws
@given(seed=seeds, cut=st.integers(5, 35))
def test_a_series_split_where_the_state_is_seen_is_two_series(seed, cut):
    rng = np.random.default_rng(seed)
    hours, y = hours_of(rng), rng.normal(0, 3, 40)
    whole = loglik(MODELS["ou"], series(hours, y), "stationary", seed)
    first = loglik(MODELS["ou"], series(hours[: cut + 1], y[: cut + 1]), "stationary", seed)
    second = loglik(MODELS["ou"], series(hours[cut:], y[cut:]), "conditional", seed)
    assert whole == pytest.approx(first + second, rel=1e-10)


@laws
@given(name=st.sampled_from(ONE), initial=initials, seed=seeds)
def test_missing_bars_between_others_change_nothing(name, initial, seed):
    rng = np.random.default_rng(seed)
    hours, y = hours_of(rng), rng.normal(0, 3, 40)
    more = np.sort(np.concatenate([hours, (hours[:-1] + hours[1:])[rng.random(39) < 0.5] / 2.0]))
    holes = np.full(len(more), np.nan)
    holes[np.searchsorted(more, hours)] = y
    expected = loglik(MODELS[name], series(hours, y), initial, seed)
    assert loglik(MODELS[name], series(more, holes), initial, seed) == pytest.approx(expected, rel=1e-9)


@laws
@given(name=models, seed=seeds, zone=st.sampled_from(["Asia/Kolkata", "America/New_York", "Pacific/Chatham"]))
def test_stamps_in_another_zone_are_the_same_instants(name, seed, zone):
    rng = np.random.default_rng(seed)
    data = series(hours_of(rng), rng.normal(0, 3, 40))
    there = bm.BasisSeries.from_basis(data.time.tz_convert(zone), data.basis)
    assert there.fingerprint == data.fingerprint
    assert loglik(MODELS[name], there, "stationary", seed) == loglik(MODELS[name], data, "stationary", seed)


@laws
@given(seed=seeds, unit=st.sampled_from(["s", "ms", "us", "ns"]))
def test_the_resolution_of_stamps_does_not_matter(seed, unit):
    rng = np.random.default_rng(seed)
    data = series(hours_of(rng), rng.normal(0, 3, 40))
    there = bm.BasisSeries.from_basis(data.time.as_unit(unit), data.basis)
    np.testing.assert_array_equal(there.hours, data.hours)
    assert there.fingerprint == data.fingerprint


@pytest.mark.parametrize(("seed", "power", "name"), [(0, -10, "ou"), (1, 10, "noise"), (2, -9, "noise")])
def test_a_fit_follows_the_unit_of_the_basis(seed, power, name):
    hours = np.arange(200.0)
    truth = {"kappa": 0.2, "theta": 1.0, "sigma": 2.0, "tau": 1.0}
    y = bm.simulate(MODELS["noise"], truth, START + pd.to_timedelta(hours, unit="h"), rng=seed)
    plain, scaled = (bm.fit(MODELS[name], series(hours, y.basis * 10.0**k), starts=3) for k in (0, power))
    assert scaled.llf == pytest.approx(plain.llf - 200 * power * math.log(10.0), abs=1e-3)
    assert scaled.params["kappa"] == pytest.approx(plain.params["kappa"], rel=1e-2)


def test_masked_rows_are_missing_rows():
    rng = np.random.default_rng(0)
    data = series(hours_of(rng), rng.normal(0, 3, 40))
    mask = np.arange(40) % 7 == 3
    holes = replace(data, basis=np.where(mask, np.nan, data.basis))
    assert bm.fit(bm.OU(), data.with_mask(mask)).llf == bm.fit(bm.OU(), holes).llf
