"""Model algebra, formulas, registered models and expressions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.stats

import basismodels as bm
from basismodels.inference.diagnose import _regimes
from basismodels.inference.labels import ordered
from basismodels.inference.priors import draws_from, priors_of
from basismodels.presets import PRESETS, split_models
from basismodels.problem import bind


@pytest.fixture(scope="module")
def data():
    return bm.load_example(start="2024-03-10", end="2024-03-29")  # where funding moves


def names(model, data, **how):
    return bind(model, data, **how).spec.names


def test_parameter_names_and_units(data):
    spec = bind(bm.OU() + bm.SlowOU() + bm.Noise(), data).spec
    assert spec.names == ["kappa", "theta", "sigma", "slow.kappa", "slow.sigma", "tau"]
    units = ["1/h", "bps", "bps/sqrt(h)", "1/h", "bps/sqrt(h)", "bps"]
    assert [c.unit for c in spec.coefficients] == units


def test_regimes_put_the_label_in_brackets_and_slopes_after_a_colon(data):
    model = bm.Switching(
        bm.OU(kappa="1 + funding"), regimes=2, varies=("kappa:funding", "sigma"), transition="1 + funding"
    )
    found = names(model, data)
    assert found == [
        "kappa", "kappa[0]:funding", "kappa[1]:funding", "theta", "sigma[0]", "sigma[1]",
        "q[0->1]", "q[1->0]", "q[0->1]:funding", "q[1->0]:funding",
    ]  # fmt: skip


def test_a_number_fixes_a_parameter_and_kappa_zero_drops_the_level(data):
    assert names(bm.OU(kappa=0), data) == ["sigma"]
    assert names(bm.OU(theta=0.0) + bm.Noise(tau=0.5), data) == ["kappa", "sigma"]


def test_the_innovation_is_the_volatility_one_hour_ahead(data):
    """The same process by either, at the mapped parameters and at both maxima; "sigma" varies what the model has."""
    assert names(bm.OU(innovation="1") + bm.Noise(), data) == ["kappa", "theta", "innovation", "tau"]
    assert bm.Switching(bm.OU(innovation="1"), varies=("kappa", "sigma")).varies == ("kappa", "innovation")
    plain, ahead = bm.fit(bm.OU(), data), bm.fit(bm.OU(innovation="1"), data)
    assert ahead.llf == pytest.approx(plain.llf, abs=1e-6)
    kappa, sigma = plain.params["kappa"], plain.params["sigma"]
    assert ahead.params["kappa"] == pytest.approx(kappa, rel=1e-4)
    hour = np.sqrt(-np.expm1(-2 * kappa) / (2 * kappa))
    assert ahead.params["innovation"] == pytest.approx(sigma * hour, rel=1e-4)
    assert ahead.problem.spec.coefficients[2].unit == "bps"
    mapped = {"kappa": kappa, "theta": plain.params["theta"], "innovation": sigma * hour}
    made = bm.simulate(bm.OU(innovation="1"), mapped, data.time, rng=1)
    np.testing.assert_allclose(made.basis, bm.simulate(bm.OU(), dict(plain.params), data.time, rng=1).basis, rtol=1e-9)


def test_student_shocks_have_the_volatility_and_tails_of_their_own(data):
    """Simulated steps have the variance that sigma gives and the tails that nu does, and both are found again."""
    time = pd.date_range("2024-01-01", periods=4000, freq="h", tz="UTC")
    truth = {"kappa": 0.5, "theta": 0.0, "sigma": 2.0, "nu": 5.0}
    made = bm.simulate(bm.OU(nu="1"), truth, time, rng=3)
    shock = (made.basis[1:] - np.exp(-0.5) * made.basis[:-1]) / (2.0 * np.sqrt(-np.expm1(-1.0)))
    assert shock.std() == pytest.approx(1.0, abs=0.06)
    assert scipy.stats.kstest(shock * np.sqrt(5 / 3), scipy.stats.t(5).cdf).pvalue > 0.01
    assert scipy.stats.kstest(shock, scipy.stats.norm.cdf).pvalue < 0.01
    fit = bm.fit(bm.OU(nu="1"), made)
    assert np.all(np.abs(fit.params - pd.Series(truth)) < 4 * fit.bse)
    assert fit.llf > bm.fit(bm.OU(), made).llf + 50
    law = scipy.stats.t(fit.params["nu"], scale=np.sqrt((fit.params["nu"] - 2) / fit.params["nu"]))
    kappa, sigma = fit.params["kappa"], fit.params["sigma"] * np.sqrt(
        -np.expm1(-2 * fit.params["kappa"]) / (2 * fit.params["kappa"])
    )
    z = (made.basis[1:] - fit.params["theta"] - np.exp(-kappa) * (made.basis[:-1] - fit.params["theta"])) / sigma
    np.testing.assert_allclose(fit.log_density.iloc[1:], law.logpdf(z) - np.log(sigma), rtol=1e-8)
    assert bm.residuals(fit).tests.loc[:, "p"].iloc[0] > 0.01
    assert "Gaussian" in bm.forecast(fit, 3).note


def test_regimes_that_differ_in_their_tails_alone_are_two_and_in_order(data):
    time = pd.date_range("2024-01-01", periods=1500, freq="h", tz="UTC")
    model = bm.Switching(bm.OU(nu="1"), 2, varies="nu")
    truth = {"kappa": 0.3, "theta": 0.0, "sigma": 2.0, "nu[0]": 30.0, "nu[1]": 2.3, "q[0->1]": 0.01, "q[1->0]": 0.01}
    problem = bind(model, bm.simulate(model, truth, time, rng=1))
    x = problem.spec.to_free(np.array([truth[name] for name in problem.spec.names]))
    assert not [d for d in _regimes(problem, x) if d.code == "twins"]
    swapped = {**truth, "nu[0]": 2.3, "nu[1]": 30.0}
    turned = problem.spec.to_free(np.array([swapped[name] for name in problem.spec.names]))
    np.testing.assert_allclose(ordered(problem, turned), x, rtol=1e-12)


def test_the_two_factors_of_one_regime_are_in_order_whatever_gives_the_volatility(data):
    """The faster one is the reversion, with its own volatility, though it is given as an innovation."""
    ahead, plain = (bind(bm.OU(**how) + bm.SlowOU(), data) for how in ({"innovation": "1"}, {}))

    def hour(kappa):
        return np.sqrt(-np.expm1(-2 * kappa) / (2 * kappa))

    values = {"kappa": 0.01, "theta": 5.0, "sigma": 0.5, "innovation": 0.5 * hour(0.01), "slow.kappa": 0.3,
              "slow.sigma": 2.0}  # fmt: skip
    both = [p.spec.to_natural(ordered(p, p.spec.to_free(np.array([values[n] for n in p.spec.names]))))
            for p in (ahead, plain)]  # fmt: skip
    np.testing.assert_allclose(both[1], [0.3, 5.0, 2.0, 0.01, 0.5], rtol=1e-12)
    np.testing.assert_allclose(both[0], [0.3, 5.0, 2.0 * hour(0.3), 0.01, 0.5], rtol=1e-12)


def test_draws_of_the_default_prior_of_the_tails_have_a_variance(data):
    problem = bind(bm.OU(nu="1"), data)
    assert np.isfinite(draws_from(problem, priors_of(problem), 1000, np.random.default_rng(1))).all()


def test_tau_switches_only_where_there_is_noise(data):
    assert "tau[1]" in names(bm.Switching(bm.OU() + bm.Noise()), data)
    assert bm.Switching(bm.OU()).varies == ("kappa", "sigma")


@pytest.mark.parametrize("name", PRESETS)
def test_every_registered_model_reads_back_from_its_own_repr(name):
    model = bm.preset(name)
    assert bm.parse_model(repr(model)) == model


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "OU().__class__", "[OU() for _ in 'a']", "lambda: OU()", "OU() * 2",
        "OU(kappa=open('x'))", "Nope()", "OU(", "", "1", "'ou'", "OU(banana='1')", "Switching(OU(), regimes=9)",
    ],
)  # fmt: skip
def test_an_expression_outside_the_white_list_is_refused(text):
    with pytest.raises(bm.ModelError):
        bm.parse_model(text)


def test_models_are_split_at_commas_outside_brackets():
    text = "ou, Switching(OU() + Noise(), regimes=2, varies=('kappa', 'sigma')),two-factor"
    assert split_models(text) == ["ou", "Switching(OU() + Noise(), regimes=2, varies=('kappa', 'sigma'))", "two-factor"]


@pytest.mark.parametrize(
    ("build", "word"),
    [
        (lambda: bm.OU() + bm.OU(), "once"),
        (lambda: bm.fit(bm.OU(sigma="1 + funding", innovation="1"), bm.load_example()), "given twice"),
        (lambda: bm.fit(bm.OU(nu="1") + bm.Noise(), bm.load_example()), "without noise"),
        (lambda: bm.fit(bm.OU(nu=2), bm.load_example()), "above 2"),
        (lambda: bm.fit(bm.OU(nu="1 + funding"), bm.load_example()), "no covariate"),
        (lambda: bm.Switching(bm.Noise()), "OU component"),
        (lambda: bm.Switching(bm.Switching(bm.OU())), "again"),
        (lambda: bm.Switching(bm.OU(), regimes=1), "from 2 to"),
        (lambda: bm.Switching(bm.OU(), varies="lambda"), "varies"),
        (lambda: bm.Switching(bm.OU(), chain_start="random"), "chain_start"),
        (lambda: bm.Switching(bm.OU(), max_step=-1.0), "max_step"),
        (lambda: bm.Switching(bm.OU()) + bm.Noise(), "inside"),
    ],
)
def test_models_that_make_no_sense_are_refused_with_a_reason(build, word):
    with pytest.raises(bm.ModelError, match=word):
        build()


def test_an_absent_column_is_named_with_what_there_is(data):
    with pytest.raises(bm.ModelError, match=r"open_interest.*covariates=") as caught:
        bm.fit(bm.OU(kappa="1 + open_interest"), data)
    assert caught.value.rows == ("open_interest",)
    assert "funding" in str(caught.value)


def test_a_broken_formula_is_refused(data):
    with pytest.raises(bm.ModelError, match="does not work"):
        bm.fit(bm.OU(kappa="1 + + * ("), data)


@pytest.mark.parametrize(
    "formula",
    [
        "1 + __import__('os').getpid()", "1 + open('x')", "1 + funding.__class__", "1 + eval('1')",
        "1 + funding[0]", "1 + I((lambda: 1)())", "1 + np.exp(funding)", "1 + I((np . show_config)() or funding)",
    ],
)  # fmt: skip
def test_a_formula_that_would_run_as_code_is_refused(data, formula):
    with pytest.raises(bm.ModelError, match=r"compute it as a column|does not work|names a column"):
        bm.fit(bm.OU(kappa=formula), data)


def test_an_empty_formula_is_refused(data):
    with pytest.raises(bm.ModelError, match="no column"):
        bm.fit(bm.OU(theta="0"), data)


def test_transforms_and_powers_work(data):
    assert names(bm.OU(kappa="1 + center(funding) + I(funding**2)"), data)[1:3] == [
        "kappa:center(funding)", "kappa:I(funding ** 2)",
    ]  # fmt: skip


def test_fewer_points_than_parameters(data):
    few = bm.BasisSeries.from_basis(data.time[:5], data.basis[:5])
    with pytest.raises(bm.DataError, match="5 observations for 6 parameters"):
        bm.fit(bm.preset("two-factor"), few)


def test_covariates_are_those_known_at_the_steps_start(data):
    problem = bind(bm.OU(kappa="1 + funding"), data)
    values = problem.layout.design["kappa"][problem.layout.row, 1]
    funding = data.frame()["funding"].to_numpy()[problem.first :]
    assert (values[1:] == funding[:-1]).all()


def test_long_steps_of_a_switching_model_are_split_and_said(data):
    keep = [i for i in range(data.n) if not 50 <= i < 55]
    gappy = bm.BasisSeries.from_basis(data.time[keep], data.basis[keep])
    problem = bind(bm.Switching(bm.OU()), gappy)
    assert len(problem.layout.y) == data.n
    assert "5 missing rows inserted" in problem.notes[0]
    whole = bind(bm.Switching(bm.OU(), max_step=100.0), gappy)
    assert len(whole.layout.y) == len(keep)
    assert whole.engine.name == "hamilton"


def test_equal_steps_of_minutes_are_one_step() -> None:
    time = pd.date_range("2024-01-01", periods=2000, freq="min", tz="UTC")
    data = bm.BasisSeries.from_basis(time, np.cumsum(np.random.default_rng(1).normal(size=2000)))
    assert len(bind(bm.OU(), data).layout.dt) == 2
