"""The speed as a function of a covariate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import basismodels as bm
from basismodels.report import figures
from basismodels.series import BasisSeries

HOURS = pd.date_range("2024-01-01", periods=1500, freq="h", tz="UTC")


@pytest.fixture(scope="module")
def fit() -> bm.Fit:
    rng = np.random.default_rng(4)
    covariates = pd.DataFrame({"x": rng.normal(size=1500), "z": rng.normal(size=1500)}, index=HOURS)
    shaped = BasisSeries.from_basis(HOURS, np.arange(1500) % 2.0, covariates=covariates)
    params = {"kappa": 0.3, "kappa:x": 0.5, "kappa:z": -0.2, "theta": 0.0, "sigma": 2.0}
    return bm.fit(bm.OU(kappa="1 + x + z"), bm.simulate(bm.OU(kappa="1 + x + z"), params, shaped, rng=1))


def test_it_is_the_formula_at_each_value(fit: bm.Fit) -> None:
    curve = bm.speed_curve(fit, "x", [-1.0, 0.0, 2.0], at={"z": 1.0})
    p = fit.params
    expected = p["kappa"] * np.exp(p["kappa:x"] * np.array([-1.0, 0.0, 2.0]) + p["kappa:z"])
    assert curve["kappa"].to_numpy() == pytest.approx(expected)
    assert curve["half_life"].to_numpy() == pytest.approx(np.log(2) / expected)
    assert curve["half_life_upper"].to_numpy() == pytest.approx(np.log(2) / curve["lower"].to_numpy())


def test_limits_are_those_of_the_delta_method_on_the_link(fit: bm.Fit) -> None:
    curve = bm.speed_curve(fit, "x", [1.5], at={"z": 0.5}, level=0.9)
    row = np.array([1.0, 1.5, 0.5])
    se = np.sqrt(row @ fit.cov[:3, :3] @ row)
    assert np.log(curve["upper"] / curve["kappa"]).iloc[0] == pytest.approx(norm.ppf(0.95) * se)


def test_the_band_holds_the_truth_along_the_curve(fit: bm.Fit) -> None:
    curve = bm.speed_curve(fit, "x", at={"z": 0.0}, level=0.999)
    truth = 0.3 * np.exp(0.5 * curve.index.to_numpy(dtype=float))
    assert ((curve["lower"] < truth) & (truth < curve["upper"])).all()


def test_draws_take_the_place_of_the_normal_law(fit: bm.Fit) -> None:
    drawn = np.random.default_rng(0).multivariate_normal(fit.x, fit.cov, size=4000)
    curve = bm.speed_curve(replace(fit, draws=drawn), "x", [1.0])
    wald = bm.speed_curve(fit, "x", [1.0])
    assert curve["lower"].iloc[0] == pytest.approx(wald["lower"].iloc[0], rel=0.03)


def test_limits_of_draws_are_those_of_conf_int(fit: bm.Fit) -> None:
    drawn = np.random.default_rng(0).multivariate_normal(fit.x, fit.cov, size=200)
    posterior = replace(fit, draws=drawn, draws_kind="posterior")
    limits = bm.conf_int(posterior).loc["kappa", ["lower", "upper"]].to_numpy(dtype=float)
    curve = bm.speed_curve(posterior, "x", [0.0], at={"z": 0.0})
    assert curve[["lower", "upper"]].iloc[0].to_numpy() == pytest.approx(limits)
    shown, made = posterior._shown_interval()
    assert made == "posterior"
    assert shown.loc["kappa"].to_numpy() == pytest.approx(limits)


def test_one_curve_a_regime_where_the_speed_switches() -> None:
    rng = np.random.default_rng(5)
    covariates = pd.DataFrame({"x": rng.normal(size=600)}, index=HOURS[:600])
    data = BasisSeries.from_basis(HOURS[:600], rng.normal(size=600).cumsum() * 0.3, covariates=covariates)
    fit = bm.fit(bm.Switching(bm.OU(kappa="1 + x"), regimes=2, varies=("kappa", "sigma")), data, starts=2)
    if not np.isfinite(fit.cov).all():
        fit = replace(fit, draws=fit.x + 0.01 * rng.normal(size=(50, len(fit.x))))
    curve = bm.speed_curve(fit, "x", [0.0, 1.0])
    assert curve.index.names == ["regime", "x"]
    assert curve.loc[(1, 0.0), "kappa"] == pytest.approx(fit.params["kappa[1]"])
    assert len(figures.speed_curve(curve).lines) == 2


def test_a_column_the_speed_lacks_is_refused(fit: bm.Fit) -> None:
    with pytest.raises(bm.ModelError, match="does not depend on 'y'"):
        bm.speed_curve(fit, "y")
    with pytest.raises(bm.ModelError, match="no such column"):
        bm.speed_curve(fit, "x", at={"w": 1.0})


def test_the_picture_shows_the_numbers(fit: bm.Fit) -> None:
    curve = bm.speed_curve(fit, "x")
    ax = figures.speed_curve({"one": curve, "two": curve * 2.0}, unit="sd")
    drawn = [line.get_ydata() for line in ax.lines]
    assert drawn[0] == pytest.approx(curve["kappa"].to_numpy())
    assert [text.get_text() for text in ax.texts] == ["one", "two"]
    assert ax.get_yscale() == "log"
    assert ax.get_xlabel() == "x, sd"
