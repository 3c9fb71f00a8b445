"""Profile and Wald intervals, draws, bootstrap, simulation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.profile import kappa_interval, profile_interval


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


@pytest.fixture(scope="module")
def fit():
    return bm.fit(bm.OU() + bm.Noise(), bm.load_example(end="2024-03-10"))


def test_a_profile_limit_is_where_the_likelihood_has_fallen_by_half_the_quantile(fit):
    from basismodels.engine import objective
    from basismodels.inference.mle import descend
    from basismodels.inference.starts import bounds, scales, steps

    limits = bm.conf_int(fit, method="profile")
    box = bounds(fit.problem, scales(fit.problem))
    i = fit.names.index("tau")
    for end in ("lower", "upper"):
        held = box.copy()
        held[i] = np.log(limits.loc["tau", end])
        x = fit.x.copy()
        x[i] = held[i, 0]
        goal = objective(fit.problem.engine, fit.problem.layout)
        reached = descend(goal, x, held, steps(fit.problem, x), 300).llf
        assert 2 * (fit.llf - reached) == pytest.approx(3.841, abs=0.02)


def test_in_a_long_quiet_sample_profile_and_wald_agree(fit):
    profile, wald = bm.conf_int(fit, method="profile"), bm.conf_int(fit, method="wald")
    width = wald.loc["sigma", "upper"] - wald.loc["sigma", "lower"]
    assert profile.loc["sigma", "lower"] == pytest.approx(wald.loc["sigma", "lower"], abs=0.1 * width)
    assert set(profile["method"]) == {"profile"}


def test_the_profile_of_kappa_crosses_zero_on_a_random_walk():
    walk = bm.BasisSeries.from_basis(hours(400), np.cumsum(np.random.default_rng(4).standard_normal(400)))
    for model in (bm.OU(), bm.OU() + bm.Noise()):
        lower, upper = kappa_interval(bm.fit(model, walk))
        assert lower < 0 < upper


def test_plain_and_general_profile_of_kappa_agree():
    from dataclasses import replace

    from basismodels.inference.profile import refit_from
    from basismodels.problem import bind

    data = bm.load_example(end="2024-02-01")
    fit = bm.fit(bm.OU(), data)
    bound = bind(bm.OU(), data, initial="conditional", kappa_link="identity")
    start = bound.spec.to_free(fit.params.to_numpy())
    general = profile_interval(refit_from(replace(fit, problem=bound, x=start)), "kappa")
    assert general == pytest.approx(kappa_interval(fit), rel=2e-3)


def test_bootstrap_is_the_same_whatever_the_order_and_number_of_draws(fit):
    few, more = bm.bootstrap(fit, 4, rng=9), bm.bootstrap(fit, 8, rng=9)
    assert np.array_equal(few.draws, more.draws[:4])
    assert few.draws_kind == "bootstrap"
    assert not np.array_equal(few.draws, bm.bootstrap(fit, 4, rng=10).draws)


def test_bootstrap_spread_is_that_of_the_standard_errors():
    data = bm.simulate(bm.OU(), {"kappa": 0.2, "theta": 0.0, "sigma": 1.0}, hours(4000), rng=1)
    fit = bm.fit(bm.OU(), data)
    ratio = bm.bootstrap(fit, 300, rng=2).draws.std(axis=0) / np.sqrt(np.diag(fit.cov))
    assert ratio == pytest.approx(np.ones(3), abs=0.15)


def test_draws_are_refused_at_a_bound():
    fit = bm.fit(
        bm.OU() + bm.Noise(), bm.BasisSeries.from_basis(hours(300), np.random.default_rng(1).standard_normal(300))
    )
    with pytest.raises(bm.ModelError, match=r"no normal draws.*bm\.bootstrap"):
        bm.draws_of(fit)


def test_draws_have_the_fits_moments(fit):
    draws = bm.draws_of(fit, 20_000, rng=1)
    assert np.allclose(draws.mean(axis=0), fit.x, atol=4 * np.sqrt(np.diag(fit.cov) / 20_000))
    assert np.cov(draws.T) == pytest.approx(fit.cov, rel=0.1, abs=0.05 * np.diag(fit.cov).max())


def test_limits_come_of_every_draw_a_fit_carries(fit):
    """The outermost of 3,000 draws are the limits at a level that asks for them."""
    draws = bm.draws_of(fit, 3000, rng=1)
    carried = replace(fit, draws=draws, draws_kind="posterior")
    limits = bm.conf_int(carried, level=1 - 1.9 / 3001)
    values = np.array([fit.problem.spec.to_natural(x) for x in draws])
    np.testing.assert_allclose(limits["lower"], values.min(axis=0), rtol=1e-12)
    np.testing.assert_allclose(limits["upper"], values.max(axis=0), rtol=1e-12)


def test_simulation_is_reproducible_and_keeps_gaps_and_truth():
    data = bm.load_example(end="2024-01-31")
    basis = data.basis.copy()
    basis[30:40] = np.nan
    gappy = bm.BasisSeries.from_basis(data.time, basis)
    values = {
        "kappa[0]": 0.5,
        "kappa[1]": 0.1,
        "theta": 0.0,
        "sigma[0]": 1.0,
        "sigma[1]": 4.0,
        "q[0->1]": 0.02,
        "q[1->0]": 0.1,
    }
    a, b = (bm.simulate(bm.Switching(bm.OU()), values, gappy, rng=3) for _ in range(2))
    assert np.array_equal(a.basis, b.basis, equal_nan=True)
    assert np.isnan(a.basis[30:40]).all()
    assert np.isfinite(a.basis).sum() == np.isfinite(gappy.basis).sum()
    assert set(np.unique(a.covariates["true_regime"])) == {0.0, 1.0}
    assert a.provenance["simulated"] is True
    assert np.array_equal(a.basis[:30], a.covariates["true_x"].to_numpy()[:30])


def test_simulation_names_missing_and_unknown_parameters():
    with pytest.raises(bm.ModelError, match=r"kappa, theta, sigma.*first at sigma, speed"):
        bm.simulate(bm.OU(), {"kappa": 0.1, "theta": 0.0, "speed": 1.0}, hours(20))


def test_compare_puts_fits_on_equal_terms():
    data = bm.load_example(end="2024-02-10")
    a = bm.fit(bm.OU(), data)
    b = bm.fit(bm.OU() + bm.Noise(), data, initial="conditional")
    frame = bm.compare({"a": a, "b": b})
    assert frame.index[0] == "b"
    assert frame.loc["a", "log_score"] == pytest.approx(a.log_density.iloc[1:].mean())
    other = bm.fit(bm.OU(), bm.load_example(end="2024-02-09"))
    with pytest.raises(bm.ModelError, match="same data"):
        bm.compare({"a": a, "other": other})


def test_the_interval_of_kappa_holds_the_conditional_maximum():

    data = bm.load_example(end="2024-02-01")
    for model in (bm.OU() + bm.Noise(), bm.preset("two-factor")):
        fit = bm.fit(model, data)
        conditional = bm.fit(model, data, initial="conditional")
        lower, upper = kappa_interval(fit)
        assert lower < conditional.params["kappa"] < upper


def test_a_profile_does_not_end_in_a_lesser_maximum():
    """A fit whose other maxima lie near: a profile that falls into one of them puts a limit on the estimate itself."""
    fit = bm.fit(bm.preset("two-factor") + bm.Settlement(), bm.load_example(end="2024-03-31"), starts=6)
    lower, upper = profile_interval(fit, "jump:funding_paid")
    assert lower < 0.6 * fit.params["jump:funding_paid"]
    assert upper > 4.0 * fit.params["jump:funding_paid"]


@pytest.mark.parametrize("method", ["bootstrap", "studentised", "wald"])
@pytest.mark.parametrize("draws", [0, 1, -5, 2.5, "x", True])
def test_draws_that_make_no_interval_are_refused(fit, method, draws):
    with pytest.raises(bm.ModelError, match="draws must be a whole number of at least 2"):
        bm.conf_int(fit, method, draws=draws)


@pytest.mark.parametrize("rng", ["a", -1, 1.5])
def test_a_seed_that_is_none_is_refused(fit, rng):
    for call in (bm.conf_int, bm.bootstrap, bm.failure_probability):
        with pytest.raises(bm.ModelError, match="rng"):
            call(fit, rng=rng)


@pytest.mark.parametrize(
    ("at", "said"), [({"zz": 1.0}, "zz"), ({"funding_last": "x"}, "funding_last"), (3.0, "at must")]
)
def test_a_half_life_at_what_is_no_column_or_number_is_refused(fit, at, said):
    with pytest.raises(bm.ModelError, match=said):
        bm.half_life(fit, method="wald", at=at)
