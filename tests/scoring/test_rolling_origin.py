"""Rolling-origin forecasts against the filter, against a batch filter over everything, and against chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import basismodels as bm
from basismodels.estimands.failure import Event
from basismodels.estimands.mixture import Mixture
from basismodels.problem import bind
from basismodels.scoring import baselines
from basismodels.scoring.events import failures
from basismodels.scoring.forward import continue_over, one_step, several_steps


def hours(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


class TestPredictiveLaws:
    @pytest.mark.parametrize("name", ["ou", "two-factor", "switching"])
    def test_the_law_of_a_row_has_the_filters_density(self, fits, name):
        fit = fits[name]
        y = fit.data.basis[fit.problem.first :][1:]
        np.testing.assert_allclose(one_step(fit).log_density(y), fit.log_density.iloc[1:], atol=1e-9)

    def test_gaps_are_crossed(self, short):
        keep = np.ones(short.n, dtype=bool)
        keep[300:306] = keep[500:502] = False
        data = bm.BasisSeries.from_basis(short.time[keep], short.basis[keep])
        fit = bm.fit(bm.Switching(bm.OU() + bm.Noise()), data, starts=2)
        assert len(fit.problem.layout.row) > data.n
        np.testing.assert_allclose(one_step(fit).log_density(data.basis[1:]), fit.log_density.iloc[1:], atol=1e-9)

    @pytest.mark.parametrize("name", ["ou", "two-factor", "switching"])
    def test_continuing_equals_a_filter_over_everything(self, fits, short, name):
        fit, cut = fits[name], short.n - 200
        early = replace(fit, problem=bind(fit.model, short.cut(None, short.time[cut - 1])))
        ahead = continue_over(early, short.cut(short.time[cut], None))
        np.testing.assert_allclose(ahead.law.log_density(short.basis[cut:]), fit.log_density.iloc[cut:], atol=1e-8)

    def test_several_steps_ahead_are_the_forecast_from_there(self, fits, short):
        fit, cut = fits["switching"], short.n - 60
        early = replace(fit, problem=bind(fit.model, short.cut(None, short.time[cut - 1])))
        ahead = continue_over(early, short.cut(short.time[cut], None))
        law = several_steps(early, ahead, 6)
        last = bm.forecast(replace(fit, problem=bind(fit.model, short)), horizon=6.0)
        assert law.cdf(3.0)[-1] == pytest.approx(last.cdf(3.0)[-1], abs=1e-9)

    def test_crps_of_one_gaussian_is_the_known_formula(self):
        y = np.array([-1.0, 0.3, 4.0])
        law = Mixture(np.ones((3, 1)), np.array([[0.0], [0.5], [1.0]]), np.array([[1.0], [2.0], [0.5]]))
        z = (y - law.mean[:, 0]) / law.sd[:, 0]
        known = law.sd[:, 0] * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
        np.testing.assert_allclose(law.crps(y), known, rtol=1e-12)


class TestEvents:
    def test_out_and_not_back_in_time_is_a_failure(self):
        y = pd.Series([0.0, 20, 20, 20, 5, 20, 20, np.nan, 20, 20, 20, 0, 0, 0], index=hours(14))
        found = failures(y, Event(horizon=3, band=10))
        assert found.iloc[:7].tolist() == [0, 0, 0, 0, 0, 1, 1]
        assert np.isnan(found.iloc[7])
        assert found.iloc[8:11].tolist() == [0, 0, 0]
        assert found.iloc[-3:].isna().all()


class TestBaselines:
    def test_autoregression_recovers_its_law_several_rows_ahead(self):
        rng = np.random.default_rng(0)
        y = np.zeros(20_000)
        for i in range(1, len(y)):
            y[i] = 0.2 + 0.9 * y[i - 1] + rng.normal()
        law = baselines.autoregression(y, 3).predict(y, np.array([500]))
        assert law.mean[0, 0] == pytest.approx(0.2 * (1 + 0.9 + 0.81) + 0.729 * y[497], abs=0.15)
        assert law.sd[0, 0] == pytest.approx(np.sqrt(1 + 0.81 + 0.81**2), rel=0.02)

    @pytest.mark.parametrize("name", list(baselines.BASELINES))
    def test_nothing_later_than_the_horizon_allows_is_used(self, name, short):
        y = short.basis.copy()
        made = baselines.BASELINES[name](y[:600], 2)
        rows = np.arange(600, 640)
        before = made.predict(y[:640], rows)
        altered = y[:640].copy()
        altered[629:] += 1000.0
        after = made.predict(altered, rows)
        np.testing.assert_array_equal(before.mean[:31], after.mean[:31])
        assert not np.allclose(before.mean[31:], after.mean[31:])

    def test_the_historical_law_is_that_of_past_changes(self):
        rng = np.random.default_rng(1)
        y = np.cumsum(rng.standard_t(4, 50_000))
        law = baselines.historical(y, 1).predict(y, np.array([1000]))
        changes = np.diff(y)
        for p in (0.05, 0.3, 0.9):
            assert law.quantile(p)[0] - y[999] == pytest.approx(np.quantile(changes, p), abs=0.15)

    def test_a_missing_row_widens_what_follows(self, short):
        y = short.basis.copy()
        y[620:623] = np.nan
        law = baselines.historical(y[:600], 1).predict(y[:640], np.array([620, 623]))
        assert law.moments()[1][1] == pytest.approx(2.0 * law.moments()[1][0], rel=0.05)


class TestRollingOrigin:
    @pytest.fixture(scope="class")
    def scores(self):
        return bm.rolling_origin(
            ["random-walk", "ou", "ou-noise", "ar1", "har", "historical", "markov-regression"],
            bm.load_example(end="2024-03-05"), train_end="2024-01-31", refit="2W-SUN", starts=2,
        )  # fmt: skip

    def test_every_model_scores_every_observed_row(self, scores):
        data = bm.load_example(end="2024-03-05")
        seen = int(data.observed[data.time > "2024-01-31 23:59"].sum())
        assert scores.log_score.notna().sum().tolist() == [seen] * 7
        assert scores.refits.groupby("model").size().eq(4).all()

    def test_a_score_is_the_filters_density_with_frozen_parameters(self, scores):
        data = bm.load_example(end="2024-03-05")
        row = scores.refits.query("model == 'ou'").iloc[0]
        frozen = bm.fit(bm.OU(), data.cut(None, row["origin"] - pd.Timedelta("1h")))
        both = replace(frozen, problem=bind(frozen.model, data))
        first = scores.log_score["ou"].iloc[:48]
        np.testing.assert_allclose(first, both.log_density.loc[first.index], atol=1e-9)

    def test_the_table_names_a_winner_and_a_reference(self, scores):
        table = scores.table()
        assert table.attrs["reference"] == "ou"
        assert table.loc["ou", "difference"] == 0.0
        assert table["log_score"].is_monotonic_decreasing
        assert table["weight"].sum() == pytest.approx(1.0)
        assert table["in_set"].iloc[0]
        assert table["coverage"].between(0.8, 1.0).all()
        assert table.loc["ou-noise", "dm_t"] == pytest.approx(
            bm.dm_test(scores.log_score["ou-noise"], scores.log_score["ou"]).statistic
        )
        assert "tabular" in table.to_latex()

    def test_the_switching_regression_filters_as_statsmodels_does(self, short):
        from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

        from basismodels.scoring.markov import markov_regression

        y = short.basis
        made, params = markov_regression(y[:700])
        model = MarkovRegression(y[1:], k_regimes=2, exog=y[:-1], switching_variance=True)
        known = np.asarray(model.filter(params).llf_obs)
        rows = np.arange(700, 760)
        np.testing.assert_allclose(made.predict(y, rows).log_density(y[rows]), known[rows - 1], atol=1e-8)

    def test_further_ahead_the_interval_is_wider(self):
        data = bm.load_example(end="2024-02-10")
        near, far = (
            bm.rolling_origin(["ou", "ar1"], data, train_end="2024-01-31", refit=None, horizon=h) for h in (1, 12)
        )
        assert (far.width.mean() > 1.4 * near.width.mean()).all()
        assert far.log_score["ou"].iloc[:12].isna().all()
        assert far.table().loc["ou", "log_score"] == pytest.approx(far.table().loc["ar1", "log_score"], abs=0.05)

    def test_bad_arguments_are_refused(self, short):
        with pytest.raises(bm.DataError, match="train_end"):
            bm.rolling_origin(["ou"], short, train_end="2025-01-01")
        with pytest.raises(bm.ModelError, match="horizon"):
            bm.rolling_origin(["ou"], short, train_end="2024-01-31", horizon=0)
        with pytest.raises(bm.ModelError, match="no model"):
            bm.rolling_origin(["ou", "ar1"], short, train_end="2024-02-10").table("har")

    def test_presets_take_part_where_the_data_have_their_columns(self, short, monkeypatch):
        from basismodels.presets import PRESETS
        from basismodels.scoring.rolling_origin import _named

        monkeypatch.setitem(PRESETS, "heavy", lambda: bm.OU(theta="1 + weight") + bm.Noise())
        weight = pd.DataFrame({"weight": np.arange(short.n) / short.n}, index=short.time)
        plain = set(_named(None, bm.BasisSeries.from_basis(short.time, short.basis)))
        weighed = set(_named(None, bm.BasisSeries.from_basis(short.time, short.basis, covariates=weight)))
        assert {"ou", "switching-two-factor", "ar1", "markov-regression"} <= plain
        assert weighed - plain == {"heavy"}


@pytest.mark.parametrize("model", [bm.OU(), bm.Switching(bm.OU(), 2, varies=("sigma",))], ids=["ou", "switching"])
def test_a_gap_between_rows_lengthens_the_horizon(short, model):
    old, new = short.cut(end="2024-02-10"), short.cut(start="2024-02-11")
    keep = np.ones(new.n, dtype=bool)
    keep[20:44] = keep[60:65] = False
    fit = bm.fit(model, old, starts=2)
    gaps = bm.BasisSeries.from_basis(new.time[keep], new.basis[keep])
    ahead = continue_over(fit, gaps)
    law = several_steps(fit, ahead, 2)
    elapsed = (gaps.time[2:] - gaps.time[:-2]) / np.timedelta64(1, "h")
    theta = fit.params["theta"]
    wanted = theta + (gaps.basis[:-2] - theta) * np.exp(-fit.params["kappa"] * elapsed)
    mean = (law.weights * law.mean).sum(axis=1)[:-2]
    np.testing.assert_allclose(mean, wanted, rtol=1e-6)
    assert elapsed.max() == 26.0
