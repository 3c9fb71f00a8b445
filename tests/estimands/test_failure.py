"""The failure probability: its definition, its doubt, its refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.failure import upper_bound


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


@pytest.fixture(scope="module")
def calm():
    """Two regimes that both converge."""
    values = {
        "kappa[0]": 0.5,
        "kappa[1]": 0.2,
        "theta": 0.0,
        "sigma[0]": 0.6,
        "sigma[1]": 2.5,
        "q[0->1]": 0.01,
        "q[1->0]": 0.1,
    }
    data = bm.simulate(bm.Switching(bm.OU()), values, hours(1500), rng=4)
    return bm.fit(bm.Switching(bm.OU()), data, starts=4)


@pytest.fixture(scope="module")
def failing():
    fit = bm.fit(bm.Switching(bm.OU()), bm.load_example(), starts=4)
    return fit, bm.failure_probability(fit, draws=40, rng=1)


def test_no_failure_regime_is_a_valid_answer_with_a_bound(calm):
    frame = bm.failure_probability(calm, draws=40, rng=1)
    assert (frame["filtered"] == 0).all()
    assert frame["filtered_upper"].max() < 0.2
    table = bm.failure_regimes(calm, draws=40)
    assert not table["fails"].any()
    for made in (frame, table):
        assert made.attrs["found"] is False
        assert made.attrs["draws"] == 40
    assert table.attrs["share_of_draws"] == 0.0
    assert table.attrs["upper_bound"] == pytest.approx(1 - 0.05 ** (1 / 40), rel=1e-12)


def test_the_bound_is_that_of_a_binomial_share():
    """With probability 5% a bound would see so few or fewer; the rule of three at none."""
    from scipy.stats import binom

    for count, draws in ((0, 200), (7, 40), (39, 40)):
        assert binom.cdf(count, draws, upper_bound(count, draws)) == pytest.approx(0.05, rel=1e-9)
    assert upper_bound(0, 200) == pytest.approx(3 / 200, rel=0.01)
    assert upper_bound(40, 40) == 1.0
    assert np.isnan(upper_bound(0, 0))


def test_a_failure_regime_that_is_found_is_said(failing):
    fit, frame = failing
    assert frame.attrs["found"] is True
    assert frame.attrs["share_of_draws"] > 0.9
    made = bm.failure_outlook(fit, draws=5)
    assert made.attrs["found"] is True


def test_a_masked_outage_is_operational_and_never_converging(failing):
    """A week out of order inside the planted failure: without it the filter forgets, and said that all was well."""
    fit, whole = failing
    rows = np.zeros(fit.data.n, dtype=bool)
    rows[1000:1168] = True
    data = fit.data.with_mask(rows)
    masked = bm.refilter(fit, data)
    for frame in (
        bm.failure_probability(masked, draws=3), bm.convergence_probability(masked),
        bm.inside_probability(bm.fit(bm.OU(), data)), bm.expected_return_time(masked),
    ):  # fmt: skip
        assert frame.attrs["operational"] == 168
        if len(frame.columns) > 1:
            assert (frame["operational"].to_numpy() == rows).all()
        told = frame.drop(columns="operational", errors="ignore")
        assert told[rows].isna().all().all()
        assert told[~rows].notna().all().all()
    assert whole.attrs["operational"] == int((~fit.data.observed).sum())


def test_a_regime_that_lives_in_outages_is_flagged_operational(failing):
    fit, _ = failing
    alone = fit.smoothed.p[fit.problem.place][:, 1] > 0.5
    masked = bm.refilter(fit, fit.data.with_mask(alone & (np.arange(len(alone)) % 10 > 0)))
    flags = bm.failure_regimes(masked, draws=2)["flags"]
    assert "operational" in flags[1]
    assert "operational" not in flags[0]


def test_a_failing_regime_with_funding_at_its_cap_is_flagged_saturated(failing):
    fit, _ = failing
    held = (fit.smoothed.p[fit.problem.place][:, 1] > 0.5).astype(float)

    def flags(capped, target=0.0):
        data = replace(fit.data, covariates=fit.data.covariates.assign(funding_saturated=capped))
        return bm.failure_regimes(bm.refilter(fit, data), band=10.0, target=target, draws=2)["flags"]

    assert "saturated" in flags(held)[1]
    assert "saturated" not in flags(held)[0]
    assert "saturated" not in flags(1.0 - held)[0], "at the cap, but not failing"
    assert not flags(np.where(np.arange(len(held)) % 3 == 0, held, 0.0)).str.contains("saturated").any()
    assert not flags(np.full(len(held), np.nan)).str.contains("saturated").any()


def test_the_frame_has_the_promised_columns_and_ordered_limits(failing):
    _, frame = failing
    assert list(frame.columns) == [
        "filtered", "filtered_lower", "filtered_upper", "smoothed", "smoothed_lower", "smoothed_upper",
        "operational",
    ]  # fmt: skip
    assert (frame["filtered_lower"] <= frame["filtered_upper"]).all()
    told = frame.loc[~frame["operational"]].drop(columns="operational")
    assert told.to_numpy().min() >= 0.0
    assert told.to_numpy().max() <= 1.0 + 1e-12


def test_doubt_about_which_regime_fails_is_shown(failing):
    table = bm.failure_regimes(failing[0], draws=40, rng=1)
    assert list(table.columns) == ["phi", "fails", "probability_fails", "share_of_time", "flags"]
    assert table["fails"].tolist() == [False, True]
    assert table.loc[1, "probability_fails"] > 0.9


def test_the_same_seed_gives_the_same_band(failing):
    fit, frame = failing
    again = bm.failure_probability(fit, draws=40, rng=1)
    pd.testing.assert_frame_equal(frame, again)


def test_labels_do_not_depend_on_the_criterion(failing):
    fit, _ = failing
    before = fit.params.copy()
    bm.failure_probability(fit, horizon=1.0, band=200.0, draws=5)
    pd.testing.assert_series_equal(fit.params, before)
    assert fit.params["sigma[0]"] < fit.params["sigma[1]"]


def test_a_displaced_target_turns_a_calm_regime_into_failure(calm):
    table = bm.failure_regimes(calm, target=80.0, draws=5)
    assert table["fails"].all()
    assert table["flags"].str.contains("displaced").all()


def test_without_draws_the_limits_are_missing_and_the_reason_is_given():
    y = np.random.default_rng(1).standard_normal(300)
    data = bm.BasisSeries.from_basis(hours(300), y)
    fit = bm.fit(bm.OU() + bm.Noise(), data)
    assert not np.all(np.isfinite(fit.cov))
    frame = bm.failure_probability(fit, draws=5)
    assert frame["filtered_lower"].isna().all()
    assert "bm.bootstrap" in frame.attrs["note"]


def test_a_bootstrap_serves_where_normal_draws_do_not():
    y = np.random.default_rng(1).standard_normal(300)
    fit = bm.fit(bm.OU() + bm.Noise(), bm.BasisSeries.from_basis(hours(300), y))
    frame = bm.failure_probability(bm.bootstrap(fit, 10, rng=1), draws=10)
    assert frame["filtered_upper"].notna().all()


def test_a_regime_whose_weight_underflows_leaves_the_moments_finite():
    from basismodels.likelihood.kim import Filtered, Steps
    from basismodels.likelihood.smoother import smooth

    n = 4
    p = np.array([[0.5, 0.5], [1.0, 1e-309], [1.0, 0.0], [1.0, 0.0]])
    zero = np.zeros((2, 2))
    steps = Steps(
        np.full((2, 2), 0.9), zero, np.ones((2, 2)), np.zeros((2, 2, 1)), np.ones((2, 1)), np.zeros(2), np.zeros(2),
        np.array([np.eye(2), [[1.0, 0.0], [1e-300, 1.0]]]),
    )  # fmt: skip
    found = smooth(Filtered(p, np.zeros((n, 2, 2)), np.ones((n, 2, 3)), np.zeros(n)), np.array([0, 1, 1, 1]), steps)
    assert np.isfinite(found.p).all()
    assert np.isfinite(found.mean).all()
    assert np.isfinite(found.var).all()
