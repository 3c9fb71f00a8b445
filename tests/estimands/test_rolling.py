"""Rolling windows: each equals a fit of its own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.convergence import total_half_life
from basismodels.estimands.rolling import half_lives
from basismodels.inference.windows import windows_of
from basismodels.problem import bind

DAY = pd.Timedelta("1D")


@pytest.fixture(scope="module")
def data():
    """Forty days with a hole, missing and masked rows."""
    whole = bm.load_example(end="2024-02-09")
    keep = np.ones(whole.n, dtype=bool)
    keep[500:507] = False
    basis = np.where(np.arange(whole.n) % 131 == 7, np.nan, whole.basis)
    made = bm.BasisSeries.from_basis(whole.time[keep], basis[keep])
    return made.with_mask(np.arange(made.n) % 211 == 3)


@pytest.fixture(scope="module")
def regular():
    whole = bm.load_example(end="2024-02-09")
    return bm.BasisSeries.from_basis(whole.time, np.where(np.isfinite(whole.basis), whole.basis, 0.0))


def alone(model, data, end, days, **options):
    return bm.fit(model, data.cut(start=end - days * DAY + pd.Timedelta("1min"), end=end), **options)


@pytest.mark.parametrize("initial", ["stationary", "conditional"])
def test_windows_of_a_plain_ou_equal_single_fits(data, initial):
    frame = bm.rolling(bm.OU(), data, "10D", "3D", initial=initial)
    assert len(frame) == 10
    for end, row in frame.iterrows():
        fit = alone(bm.OU(), data, end, 10, initial=initial)
        assert row["llf"] == pytest.approx(fit.llf, abs=1e-7)
        assert row["nobs"] == np.isfinite(fit.problem.layout.y).sum()
        np.testing.assert_allclose(row[fit.names].astype(float), fit.params, rtol=1e-6, atol=1e-9)
        assert row["half_life"] == pytest.approx(np.log(2) / fit.params["kappa"], rel=1e-6)
        assert row["ok"] == fit.ok


def test_irregular_times_go_the_long_way_and_agree():
    rng = np.random.default_rng(0)
    hours = np.cumsum(rng.exponential(1.0, 700))
    time = pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(np.round(hours * 3600), unit="s")
    data = bm.simulate(bm.OU(), {"kappa": 0.1, "theta": 3.0, "sigma": 2.0}, time.unique(), rng=1)
    frame = bm.rolling(bm.OU(), data, "10D", "5D")
    for end, row in frame.iterrows():
        fit = bm.fit(bm.OU(), data.cut(start=end - 10 * DAY + pd.Timedelta("1s"), end=end))
        assert row["llf"] == pytest.approx(fit.llf, abs=1e-6)
        assert row["kappa"] == pytest.approx(fit.params["kappa"], rel=1e-4)


@pytest.mark.parametrize(
    "varies", [pytest.param(("kappa", "sigma"), marks=pytest.mark.long), ("kappa", "theta", "sigma")]
)
def test_windows_of_two_regimes_equal_single_fits(regular, varies):
    model = bm.Switching(bm.OU(), varies=varies)
    frame = bm.rolling(model, regular.cut(end="2024-01-23"), "20D", "4h")
    reached = []
    for end, row in frame.iloc[::6].iterrows():
        fit = alone(model, regular, end, 20, starts=12)
        reached.append(row["llf"] > fit.llf - 1e-3)
        if abs(row["llf"] - fit.llf) < 1e-6:
            assert row["half_life"] == pytest.approx(total_half_life(fit.problem, fit.x), rel=1e-3)
    assert np.mean(reached) > 0.7


def test_windows_where_the_discrete_form_overflows_begin_elsewhere(regular, monkeypatch):
    def refuse(*_):
        raise ValueError("every start ended where regimes are too far apart")

    monkeypatch.setattr("basismodels.inference.windows.hamilton_fit.fit", refuse)
    part = regular.cut(end="2024-01-23")
    frame = bm.rolling(bm.Switching(bm.OU()), part, "20D", "12h")
    fit = alone(bm.Switching(bm.OU()), part, frame.index[0], 20, starts=12)
    assert frame["llf"].iloc[0] > fit.llf - 10.0


@pytest.mark.parametrize("model", [bm.OU() + bm.Noise(), bm.Switching(bm.OU())], ids=["noise", "gaps"])
def test_other_models_are_climbed_window_by_window(data, model):
    frame = bm.rolling(model, data.cut(end="2024-01-31"), "15D", "5D")
    for end, row in frame.iterrows():
        fit = alone(model, data, end, 15, starts=5)
        assert row["llf"] > fit.llf - 1e-4
        assert row["half_life"] == pytest.approx(total_half_life(fit.problem, fit.x), rel=1e-3) or row["llf"] > fit.llf


def test_the_result_does_not_depend_on_workers_or_on_what_was_kept(regular, tmp_path):
    model = bm.Switching(bm.OU())
    first = bm.rolling(model, regular, "20D", "4h", n_jobs=1, checkpoint=tmp_path)
    files = sorted(tmp_path.rglob("*.task"))
    assert len(files) >= 2
    files[-1].unlink()
    pd.testing.assert_frame_equal(bm.rolling(model, regular, "20D", "4h", n_jobs=3, checkpoint=tmp_path), first)
    pd.testing.assert_frame_equal(bm.rolling(model, regular, "20D", "4h"), first)


def test_a_window_without_enough_observations_is_nan_and_not_ok(data):
    basis = np.where((data.hours > 200) & (data.hours < 400), np.nan, data.basis)
    part = bm.BasisSeries.from_basis(data.time, basis)
    for model in (bm.OU(), bm.OU() + bm.Noise()):
        frame = bm.rolling(model, part, "3D", "3D")
        empty = frame["nobs"] < 3
        assert empty.any()
        assert frame.loc[empty, "kappa"].isna().all()
        assert not frame.loc[empty, "ok"].any()
        assert frame.loc[~empty, "kappa"].notna().all()


def test_covariates_roll_too(data):
    z = pd.Series(np.random.default_rng(0).standard_normal(data.n), index=data.time, name="z")
    with_z = bm.BasisSeries.from_basis(data.time, data.basis, covariates=z.to_frame())
    frame = bm.rolling(bm.OU(theta="1 + z"), with_z, "15D", "10D")
    fit = alone(bm.OU(theta="1 + z"), with_z, frame.index[1], 15)
    assert frame["theta:z"].iloc[1] == pytest.approx(fit.params["theta:z"], rel=1e-3)


def test_half_lives_at_once_equal_those_one_by_one(regular):
    problem = bind(bm.Switching(bm.OU(), regimes=3, varies=("kappa", "theta", "sigma")), regular)
    fit = bm.fit(bm.Switching(bm.OU(), varies=("kappa", "theta", "sigma")), regular, starts=2)
    rng = np.random.default_rng(0)
    free = fit.x + 0.3 * rng.standard_normal((20, len(fit.x)))
    expected = [total_half_life(fit.problem, x) for x in free]
    np.testing.assert_allclose(half_lives(fit.problem, free), expected, rtol=1e-9)
    spec = problem.spec
    wide = np.array([[{"kappa": 0.2, "theta": 0.1, "sigma": 0.5, "q": -3.0}[c.param] for c in spec.coefficients]])
    wide = wide + 0.1 * rng.standard_normal((5, len(spec)))
    np.testing.assert_allclose(half_lives(problem, wide), [total_half_life(problem, x) for x in wide], rtol=1e-9)


def test_windows_hold_what_they_say(data):
    problem = bind(bm.OU(), data)
    made = windows_of(problem, pd.Timedelta("10D"), pd.Timedelta("1D"))
    for end, a, b in zip(made.ends, made.first, made.after, strict=True):
        inside = (problem.time > end - 10 * DAY) & (problem.time <= end)
        seen = inside & np.isfinite(problem.layout.y[problem.place])
        assert np.isfinite(problem.layout.y[a:b]).sum() == seen.sum()
        assert np.isfinite(problem.layout.y[a])


@pytest.mark.parametrize(("window", "step"), [("900D", "1D"), ("nonsense", "1D"), ("5D", "0h"), ("-1D", "1D"), (5, 1)])
def test_senseless_windows_are_refused(data, window, step):
    with pytest.raises(bm.ModelError):
        bm.rolling(bm.OU(), data, window, step)
