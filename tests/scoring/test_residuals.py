"""Residuals of a right model are clean, of a wrong one each fault is found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.scoring.sampling import thinned


def hours(n: int) -> pd.DatetimeIndex:
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


def simulated(n: int = 3000, seed: int = 0) -> bm.BasisSeries:
    params = {"kappa": 0.2, "theta": 1.0, "sigma": 2.0, "tau": 1.0}
    return bm.simulate(bm.OU() + bm.Noise(), params, hours(n), rng=seed)


def test_a_right_model_passes():
    found = bm.residuals(bm.fit(bm.OU() + bm.Noise(), simulated()))
    assert found.ok, found.summary()
    assert found.frame["quantile"].std() == pytest.approx(1.0, abs=0.05)
    assert found.frame["pit"].between(0, 1).all()


def test_quantile_residuals_of_one_gaussian_are_the_standardised_innovations():
    data = simulated(400)
    fit = bm.fit(bm.OU(), data)
    k, theta, sigma = fit.params
    phi = np.exp(-k)
    sd = sigma * np.sqrt((1 - phi**2) / (2 * k))
    z = (data.basis[1:] - theta - phi * (data.basis[:-1] - theta)) / sd
    np.testing.assert_allclose(bm.residuals(fit).frame["quantile"], z, atol=1e-8)


def test_ignored_noise_shows_as_autocorrelation():
    tests = bm.residuals(bm.fit(bm.OU(), simulated())).tests
    assert tests.loc["autocorrelation (Ljung-Box)", "p"] < 1e-6


def test_ignored_regimes_show_in_tails_and_squares():
    params = {"kappa[0]": 0.3, "kappa[1]": 0.3, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 6.0,
              "q[0->1]": 0.02, "q[1->0]": 0.05}  # fmt: skip
    data = bm.simulate(bm.Switching(bm.OU()), params, hours(3000), rng=1)
    tests = bm.residuals(bm.fit(bm.OU(), data)).tests
    assert tests.loc["PIT uniform (Kolmogorov)", "p"] < 1e-6
    assert tests.loc["autocorrelation of squares (Ljung-Box)", "p"] < 1e-6
    right = bm.residuals(bm.fit(bm.Switching(bm.OU()), data, starts=3))
    assert right.ok, right.summary()


def test_seasons_by_hour_and_by_settlement_are_found():
    data = simulated()
    hour = np.asarray(data.time.hour)
    funding = pd.Series(1e-4, index=data.time[::8])
    busy = np.where(hour % 8 == 0, 4.0, 0.0) * np.random.default_rng(2).normal(size=data.n)
    made = bm.BasisSeries.from_basis(data.time, data.basis + np.where(hour == 12, 5.0, 0.0) + busy, funding=funding)
    found = bm.residuals(bm.fit(bm.OU() + bm.Noise(), made))
    assert found.by_hour["mean"].idxmax() == 12
    assert found.tests.loc["hour of day: level", "p"] < 1e-6
    assert found.by_settlement["sd"].idxmax() == 0
    assert found.tests.loc["hours since settlement: size", "p"] < 1e-6


def test_missing_rows_leave_no_residual_and_few_are_refused(short):
    y = short.basis.copy()
    y[100:130] = np.nan
    data = bm.BasisSeries.from_basis(short.time, y)
    assert len(bm.residuals(bm.fit(bm.OU() + bm.Noise(), data)).frame) == np.isfinite(y).sum() - 1
    with pytest.raises(bm.DataError, match="residuals"):
        bm.residuals(bm.fit(bm.OU(), short.cut(None, short.time[40])))


class TestSamplingCheck:
    def test_a_right_model_gives_the_same_half_life_at_every_spacing_and_a_wrong_one_does_not(self):
        params = {"kappa": 0.05, "theta": 0.0, "sigma": 1.0, "tau": 2.0}
        data = bm.simulate(bm.OU() + bm.Noise(), params, hours(8000), rng=3)
        wrong = bm.sampling_check("ou", data).query("component == 'total'").set_index("every")
        right = bm.sampling_check("ou-noise", data).query("component == 'total'").set_index("every")
        assert wrong.loc["8h", "value"] > 2.5 * wrong.loc["1h", "value"]
        truth = np.log(2) / 0.05
        assert ((right["lower"] < truth) & (truth < right["upper"])).all()

    def test_closes_off_the_hour_are_taken_as_they_stand(self, short):
        late = bm.BasisSeries.from_basis(short.time + pd.Timedelta("30min"), short.basis)
        found = bm.sampling_check("ou", late, every=("1h", "4h"), starts=1).query("component == 'total'")
        assert found["nobs"].to_list() == [late.n - 1, late.n // 4]
        for every in ("1h", "4h"):
            kept = thinned(late, every)
            assert ((kept.time.ceil(every) - kept.time) == pd.Timedelta("30min")).all()

    def test_a_grid_stamp_without_a_row_takes_the_price_before_it(self, short):
        gone = short.time[[4 * 8 - 1, *range(4 * 16, 4 * 16 + 4)]]
        data = bm.BasisSeries.from_basis(short.time.drop(gone), short.basis[~short.time.isin(gone)])
        whole, kept = thinned(short, "4h"), thinned(data, "4h")
        assert gone[0] - pd.Timedelta("1h") in kept.time
        assert len(kept.time) == len(whole.time) - 1

    def test_spacings_finer_than_the_data_are_left_out(self, short):
        found = bm.sampling_check("ou", short, every=("5min", "2h"))
        assert set(found["every"]) == {"2h"}
        with pytest.raises(bm.ModelError, match="finer"):
            bm.sampling_check("ou", short, every=("5min",))
