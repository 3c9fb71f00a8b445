"""The continued filter equals filtering everything again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.problem import bind

MODELS = {
    "ou": bm.OU(),
    "two-factor": bm.preset("two-factor"),
    "funding": bm.OU(kappa="1 + funding") + bm.Noise(),
    "settlement": bm.OU() + bm.Noise() + bm.Settlement(),
    "pressure": bm.preset("funding"),
    "utilisation": bm.Switching(bm.OU() + bm.Noise(), transition="1 + funding_utilisation"),
    "switching": bm.Switching(bm.OU()),
    "switching-noise": bm.Switching(bm.OU(theta="1 + funding") + bm.Noise(), transition="1 + funding"),
}


@pytest.fixture(scope="module")
def data():
    whole = bm.load_example(end="2024-02-20")
    keep = np.ones(whole.n, dtype=bool)
    keep[1000:1003] = False
    keep[900] = False
    basis = np.where(np.arange(whole.n) % 97 == 5, np.nan, whole.basis)
    rate = whole.settlements["rate"]
    return bm.BasisSeries.from_basis(whole.time[keep], basis[keep], funding=rate)


@pytest.mark.parametrize("name", MODELS)
def test_update_equals_refiltering(name, data):
    old, new = data.cut(end="2024-02-09"), data.cut(start="2024-02-10")
    fit = bm.fit(MODELS[name], old, starts=2)
    again = replace(fit, problem=bind(fit.model, data))
    first = bm.update(fit, new.cut(end="2024-02-13"))
    second = bm.update(first, new.cut(start="2024-02-14"))
    p = np.vstack([first.filtered.p, second.filtered.p])
    whole = again.filtered
    place = again.problem.place[-len(p) :]
    np.testing.assert_allclose(p, whole.p[place], atol=1e-12)
    density = np.concatenate([first.log_density, second.log_density])
    np.testing.assert_allclose(density, whole.log_density[place], atol=1e-10)


@pytest.mark.parametrize("name", ["switching", "settlement", "pressure"])
def test_one_row_at_a_time_is_the_same(name, data):
    old, new = data.cut(end="2024-02-17"), data.cut(start="2024-02-18", end="2024-02-18")
    fit = bm.fit(MODELS[name], old, starts=2)
    at_once = bm.update(fit, new)
    now = fit
    for stamp in new.time:
        now = bm.update(now, new.cut(start=stamp, end=stamp))
    np.testing.assert_allclose(now.filtered.p[-1], at_once.filtered.p[-1], atol=1e-12)
    np.testing.assert_allclose(now.filtered.mean[-1], at_once.filtered.mean[-1], atol=1e-10)


def test_rows_that_do_not_follow_are_refused(data):
    fit = bm.fit(bm.OU(), data.cut(end="2024-02-09"))
    with pytest.raises(bm.DataError, match="must follow"):
        bm.update(fit, data.cut(start="2024-02-05"))


def test_a_centred_covariate_keeps_the_centre_of_the_fit(data):
    z = pd.DataFrame({"z": 3.0 + np.random.default_rng(1).standard_normal(data.n)}, index=data.time)
    whole = bm.BasisSeries.from_basis(data.time, data.basis, covariates=z)
    old, new = whole.cut(end="2024-02-09"), whole.cut(start="2024-02-10")
    plain, centred = bm.fit(bm.OU(theta="1 + z"), old), bm.fit(bm.OU(theta="1 + center(z)"), old)
    assert centred.llf == pytest.approx(plain.llf, abs=1e-4)
    a, b = (bm.update(fit, new).log_density.to_numpy() for fit in (plain, centred))
    np.testing.assert_allclose(a, b, atol=1e-3)


@pytest.fixture(scope="module")
def eight_then_four():
    """Basis and rates at their stamps; the interval goes from 8 h to 4 h in the last week of a month."""
    time = pd.date_range("2024-01-01 01:00", periods=30 * 24, freq="h", tz="UTC")
    rng = np.random.default_rng(3)
    stamps = time[(time.hour % 8 == 0) | ((time.hour % 4 == 0) & (time >= "2024-01-24 04:00"))]
    rates = pd.Series(1e-4 * (1.0 + rng.standard_normal(len(stamps))), index=stamps)
    return pd.Series(3.0 * rng.standard_normal(len(time)), index=time), rates


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("formula", ["1 + funding", "1 + funding + hours_to_settlement"])
def test_a_change_of_the_funding_interval_is_followed(eight_then_four, rows, formula):
    basis, rates = eight_then_four
    whole = bm.BasisSeries.from_basis(basis.index, basis, funding=rates)
    if "hours" in formula:
        whole = bm.funding.attach(whole, bm.funding.rule("binance", "BTCUSDT"))
    fit = bm.fit(bm.OU(theta=formula), whole.cut(end="2024-01-23"), starts=1)
    again = replace(fit, problem=bind(fit.model, whole)).log_density
    now, said = fit, []
    for at in range(23 * 24 - 1, 25 * 24 + 11, rows):
        part = basis.iloc[at : at + rows]
        new = rates[rates.index.isin(part.index)]
        now = bm.update(now, bm.BasisSeries.from_basis(part.index, part, funding=new, part=True))
        said.append(now.log_density)
    joint = pd.concat(said)
    np.testing.assert_allclose(joint, again[joint.index], atol=1e-10)


def test_an_interval_that_is_given_stays(eight_then_four):
    basis, rates = eight_then_four
    whole = bm.BasisSeries.from_basis(basis.index, basis, funding=rates)
    fit = bm.fit(bm.OU(theta="1 + funding"), whole.cut(end="2024-01-23"), starts=1)
    part = basis["2024-01-24 00:00":"2024-01-24 04:00"]
    given = pd.DataFrame({"rate": rates[part.index[[4]]], "interval_hours": 2.0})
    added = bm.update(fit, bm.BasisSeries.from_basis(part.index, part, funding=given))
    assert added.recent.settlements["interval_hours"].iloc[-1] == 2.0


@pytest.mark.parametrize("made_by", ["prices", "frame"])
def test_one_live_row_goes_in_through_the_public_door(made_by):
    whole = bm.load_example(end="2024-01-20")
    old, new = whole.cut(end="2024-01-19"), whole.cut(start="2024-01-20")
    prices = pd.DataFrame({"spot": whole.covariates["reference"], "perp": whole.covariates["perp"]})
    prices["funding_rate"] = whole.settlements["rate"].reindex(prices.index)
    fit = bm.fit(bm.OU(theta="1 + funding"), old, starts=1)
    now = fit
    for stamp in new.time:
        row = prices.loc[[stamp]]
        if made_by == "frame":
            added = bm.from_frame(row, part=True)
        else:
            added = bm.BasisSeries.from_prices(row["spot"], row["perp"], funding=row["funding_rate"], part=True)
        now = bm.update(now, added)
    np.testing.assert_allclose(now.filtered.mean[-1], bm.update(fit, new).filtered.mean[-1], atol=1e-10)
    with pytest.raises(bm.DataError, match=r"1 of 1.*part=True"):
        bm.from_frame(prices.iloc[[5]].drop(columns="funding_rate"))
