"""Test inversion against its own definition, laws of scale, and independent likelihoods."""

from __future__ import annotations

import gc
import math
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, ks_2samp

import basismodels as bm
from basismodels.inference import inversion, inversion_ou
from basismodels.inference.inversion import invert
from basismodels.inference.inversion_noise import NoiseRoot
from basismodels.inference.inversion_ou import few_kinds, invert_ou, table_of, thinned
from basismodels.inference.inversion_path import PathRoot
from basismodels.inference.profile import kappa_interval, profile_interval
from basismodels.inference.profile_ou import plain_limits
from basismodels.inference.studentised import studentised_interval
from basismodels.likelihood import ou, ou_noise
from basismodels.likelihood.ou_table import signed_roots


def series(reach: float, dt: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """OU with kappa = reach over the span, level 3 and volatility 2, stationary where it can be; by exact steps."""
    kappa = reach / dt.sum()
    y = np.empty(len(dt) + 1)
    y[0] = rng.normal() * math.sqrt(0.5 / kappa) if kappa > 0 else 0.0
    for i, step in enumerate(dt):
        variance = step if kappa == 0 else (1.0 - math.exp(-2.0 * kappa * step)) / (2.0 * kappa)
        y[i + 1] = math.exp(-kappa * step) * y[i] + math.sqrt(variance) * rng.normal()
    return 3.0 + 2.0 * y


def uneven(n: int) -> np.ndarray:
    return np.random.default_rng(11).exponential(size=n) + 0.05


def record(y: np.ndarray) -> bm.BasisSeries:
    return bm.BasisSeries.from_basis(pd.date_range("2024-01-01", periods=len(y), freq="h", tz="UTC"), y)


def likely(hits: int, trials: int, chance: float) -> bool:
    """Whether so many hits lie within the central 99.9% of a binomial law."""
    low, high = binom.ppf([0.0005, 0.9995], trials, chance)
    return bool(low <= hits <= high)


@pytest.mark.parametrize("reach", [-1.0, 0.0, 2.0, 20.0])
@pytest.mark.parametrize("steps", ["even", "uneven"])
def test_interval_covers_the_truth_as_often_as_it_says(reach: float, steps: str) -> None:
    dt = np.ones(120) if steps == "even" else uneven(120)
    rng, hits, below = np.random.default_rng(int(reach) + 5), 0, 0
    truth = reach / dt.sum()
    for _ in range(300):
        found = invert_ou(series(reach, dt, rng), dt, 0.95)
        hits += found.lower <= truth <= found.upper
        below += found.median < truth
    assert likely(hits, 300, 0.95)
    assert likely(below, 300, 0.5)


def test_normal_quantiles_would_fail_the_same_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    from scipy.stats import norm

    dt, rng = np.ones(120), np.random.default_rng(7)
    monkeypatch.setattr(inversion_ou.Table, "quantile", lambda _, p: lambda k: np.full(np.shape(k), norm.ppf(p)))
    hits = 0
    for _ in range(300):
        found = invert_ou(series(2.0, dt, rng), dt, 0.95)
        hits += found.lower <= 2.0 / 120.0 <= found.upper
    assert not likely(hits, 300, 0.95)


@pytest.mark.parametrize("reach", [-2.0, 0.0, 5.0, 60.0])
@pytest.mark.parametrize("steps", ["even", "uneven"])
def test_simulated_roots_are_those_of_the_likelihood(reach: float, steps: str) -> None:
    dt = np.full(80, 1.0) if steps == "even" else few_kinds(uneven(80))
    kappa, rng = reach / dt.sum(), np.random.default_rng(3)
    drawn = []
    for _ in range(700):
        y = series(reach, dt, rng)
        best = ou.maximise(y, dt, stationary=False, positive=False)
        drop = 2.0 * (best.value - ou.profile(kappa, y, dt, False).value)
        drawn.append(math.copysign(math.sqrt(max(drop, 0.0)), best.kappa - kappa))
    assert ks_2samp(drawn, signed_roots(np.array([kappa]), dt, 20000, 1)[0]).pvalue > 1e-3


def test_profile_grid_agrees_with_the_closed_form() -> None:
    even = np.full(200, 1.0 / 200)
    nearly = even * np.where(np.arange(200) % 2, 1.0, 1.0 + 1e-9)
    reaches = np.array([-3.0, 0.0, 1.0, 20.0, 100.0])
    gap = np.abs(signed_roots(reaches, even, 1000, 2) - signed_roots(reaches, nearly, 1000, 2))
    assert gap.mean(axis=1).max() < 2e-3


def test_stationary_start_runs_into_the_start_at_the_level() -> None:
    dt = np.full(200, 1.0 / 200)
    just_above, at_zero = signed_roots(np.array([1e-5, 0.0]), dt, 4000, 4)
    assert np.abs(just_above - at_zero).mean() < 0.02
    assert np.corrcoef(*signed_roots(np.array([1.0, 0.0]), dt, 4000, 4))[0, 1] < 0.99


def test_a_thinned_grid_has_the_same_null_distribution() -> None:
    fine = signed_roots(np.array([2.0, 30.0]), np.full(3000, 1.0 / 3000), 8000, 5)
    table = table_of(np.ones(3000))
    for reach, roots in zip((2.0, 30.0), fine, strict=True):
        low, high = (float(table.quantile(p)(np.array(reach))) for p in (0.025, 0.975))
        assert abs(np.mean((roots >= low) & (roots <= high)) - 0.95) < 0.008


def test_beyond_the_fine_range_the_distance_from_normality_shrinks_as_it_should() -> None:
    roots = signed_roots(np.array([900.0]), np.full(3000, 1.0 / 3000), 8000, 6)[0]
    table = table_of(np.ones(3000))
    for p in (0.025, 0.5, 0.975):
        share = np.mean(roots <= float(table.quantile(p)(np.array(900.0))))
        assert abs(share - p) < 0.02 * math.sqrt(p * (1 - p)) + 4e-3


def test_thinning_keeps_span_and_gaps() -> None:
    dt = np.ones(5000)
    dt[2500] = 700.0
    thin = thinned(dt)
    assert thin.sum() == pytest.approx(dt.sum())
    assert thin.max() >= 700.0
    assert 350 < len(thin) <= 520
    grouped = few_kinds(uneven(500))
    assert grouped.sum() == pytest.approx(uneven(500).sum())
    assert len(np.unique(grouped)) == 8


def test_laws_of_time_shift_and_scale() -> None:
    dt = uneven(150)
    y = series(6.0, dt, np.random.default_rng(0))
    base, slow, moved = invert_ou(y, dt, 0.9), invert_ou(y, 24.0 * dt, 0.9), invert_ou(1e3 - 40.0 * y, dt, 0.9)
    for name in ("lower", "upper", "median"):
        assert getattr(slow, name) == pytest.approx(getattr(base, name) / 24.0, rel=1e-6)
        assert getattr(moved, name) == pytest.approx(getattr(base, name), rel=1e-6)


def test_intervals_are_nested_in_the_level() -> None:
    y = series(8.0, np.ones(300), np.random.default_rng(1))
    found = [invert_ou(y, np.ones(300), level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    lower, upper = [f.lower for f in found], [f.upper for f in found]
    assert all(np.diff(lower) < 0)
    assert all(np.diff(upper) > 0)


def test_a_random_walk_has_an_infinite_upper_half_life() -> None:
    fit = bm.fit(bm.OU(), record(np.cumsum(np.random.default_rng(5).normal(size=300))))
    total = bm.half_life(fit)[0]
    assert total.method == "inversion"
    assert total.upper == math.inf
    assert 0.0 < total.lower < total.value


def test_conf_int_says_how_each_limit_was_made() -> None:
    fit = bm.fit(bm.OU(), record(series(10.0, np.ones(250), np.random.default_rng(2))))
    frame = bm.conf_int(fit)
    assert list(frame["method"]) == ["inversion", "profile", "profile"]
    assert frame.attrs["monte_carlo"]["kappa"]["lower"] > 0.0
    made = invert(fit, "kappa")
    assert tuple(frame.loc["kappa", ["lower", "upper"]]) == (made.lower, made.upper)
    assert made.lower < kappa_interval(fit)[0]


def test_plain_limits_are_those_of_the_whole_likelihood() -> None:
    fit = bm.fit(bm.OU(), record(series(25.0, np.ones(250), np.random.default_rng(2))))
    for name in ("theta", "sigma"):
        assert plain_limits(fit, name, 0.95) == pytest.approx(profile_interval(fit, name, 0.95), rel=5e-3)


def test_the_level_of_a_random_walk_has_no_limits() -> None:
    fit = bm.fit(bm.OU(), record(np.cumsum(np.random.default_rng(5).normal(size=300))))
    assert plain_limits(fit, "theta", 0.99)[1] - plain_limits(fit, "theta", 0.99)[0] > 20.0 * fit.data.basis.std()


@pytest.mark.parametrize("level", [0.0, 1.0, 1.2, -0.5, math.nan])
def test_a_level_outside_the_unit_interval_is_refused(level: float) -> None:
    fit = bm.fit(bm.OU(), record(series(10.0, np.ones(60), np.random.default_rng(2))))
    with pytest.raises(bm.ModelError, match="level must lie between 0 and 1"):
        bm.conf_int(fit, level=level)
    with pytest.raises(bm.ModelError, match="level must lie between 0 and 1"):
        bm.half_life(fit, level=level)


def test_only_speeds_are_inverted() -> None:
    fit = bm.fit(bm.OU(), record(series(10.0, np.ones(60), np.random.default_rng(2))))
    with pytest.raises(bm.ModelError, match="'theta' is not a speed"):
        invert(fit, "theta")
    with pytest.raises(bm.ModelError, match="no interval method 'invert'"):
        bm.conf_int(fit, "invert")


def test_too_few_draws_are_refused() -> None:
    fit = bm.fit(bm.OU() + bm.Noise(), record(noisy(2, 60)), starts=1)
    with pytest.raises(bm.ModelError, match="draws must be 0 or at least 10"):
        invert(fit, draws=3)


def test_nothing_of_a_fit_is_kept_once_it_is_gone() -> None:
    fit = bm.fit(bm.OU() + bm.SlowOU() + bm.Noise(), record(noisy(6, 200)), starts=1)
    invert(fit, "kappa")
    gone = weakref.ref(fit)
    del fit
    gc.collect()
    assert gone() is None


def noisy(seed: int, n: int = 400) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return series(15.0, np.ones(n), rng) + rng.normal(size=n + 1)


def test_without_noise_the_compiled_profile_is_that_of_plain_ou() -> None:
    dt = few_kinds(uneven(120))
    y = series(5.0, dt, np.random.default_rng(8))
    kinds, row = np.unique(dt, return_inverse=True)
    speeds = [-0.01, 0.0, 0.03, 0.2]
    mine = [ou_noise.value(k, 1e-10, y, row.astype(np.int64), kinds, True) for k in speeds]
    known = [ou.profile(k, y, dt, False).value for k in speeds]
    assert np.diff(mine) == pytest.approx(np.diff(known), abs=1e-5)


def test_noise_roots_agree_with_constrained_fits_of_the_whole_likelihood() -> None:
    y = noisy(1)
    y[50:60] = np.nan
    fit = bm.fit(bm.OU() + bm.Noise(), record(y), starts=3)
    general = PathRoot(fit, "kappa")
    quick = inversion._statistic(fit, "kappa")[0]
    assert isinstance(quick, NoiseRoot)
    for kappa in (-0.002, 0.0, 0.02, 0.1, 0.3):
        assert quick.root(kappa)[0] == pytest.approx(general.root(kappa)[0], abs=0.02)


def test_noise_inversion_reports_its_monte_carlo_error_and_repeats_itself() -> None:
    data = record(noisy(2))
    fit = bm.fit(bm.OU() + bm.Noise(), data, starts=3)
    told: list[tuple[int, int]] = []
    made = invert(fit, draws=60, rng=4, progress=lambda done, total: told.append((done, total)))
    plain = invert(fit, draws=0)
    again = invert(bm.fit(bm.OU() + bm.Noise(), data, starts=3), draws=60, rng=4)
    assert (made.lower, made.upper) == (again.lower, again.upper)
    assert told[0] == (0, told[-1][1])
    assert told[-1] == (told[-1][1], told[-1][1])
    assert 0.0 < made.error_upper < 0.2 * (made.upper - made.lower)
    assert abs(made.upper - plain.upper) < 5.0 * made.error_upper
    assert made.lower < fit.params["kappa"] < made.upper


def test_two_speeds_keep_their_order() -> None:
    rng = np.random.default_rng(3)
    y = series(90.0, np.ones(300), rng) + 3.0 * series(6.0, np.ones(300), rng) + 0.3 * rng.normal(size=301)
    fit = bm.fit(bm.OU() + bm.SlowOU() + bm.Noise(), record(y), starts=3)
    fast, slow = invert(fit, "kappa"), invert(fit, "slow.kappa")
    assert fast.lower <= fit.params["kappa"] <= fast.upper
    assert slow.lower <= fit.params["slow.kappa"] <= slow.upper
    assert slow.lower >= 0.0
    drawn = PathRoot(fit, "kappa").simulated(fit.params["kappa"], fit.x, 8, np.random.default_rng(1))
    assert np.isfinite(drawn).all()
    assert drawn.min() < 0.0 < drawn.max()


def test_a_known_level_starts_where_the_data_do() -> None:
    y = series(3.0, np.ones(200), np.random.default_rng(4))
    fit = bm.fit(bm.OU(theta=3.0), record(y))
    found = invert(fit, draws=15, rng=1)
    assert found.lower < fit.params["kappa"] < found.upper
    start = PathRoot(fit, "kappa")._again(fit.x, np.random.default_rng(0)).layout.y[0]
    assert abs(start - y[0]) < 1e-9


@pytest.fixture(scope="module")
def switching() -> bm.Fit:
    model = bm.Switching(bm.OU(), 2)
    params = {
        "kappa[0]": 0.1, "kappa[1]": 0.3, "theta": 1.0, "sigma[0]": 1.0, "sigma[1]": 4.0,
        "q[0->1]": 0.02, "q[1->0]": 0.06,
    }  # fmt: skip
    times = pd.date_range("2024-01-01", periods=450, freq="h", tz="UTC")
    return bm.fit(model, bm.simulate(model, params, times, rng=1), starts=4)


def test_studentised_limits_repeat_nest_and_hold_the_estimate(switching: bm.Fit) -> None:
    wide, narrow = (studentised_interval(switching, level, draws=24, rng=2) for level in (0.95, 0.6))
    again = bm.conf_int(replace(switching), "studentised", draws=24, rng=2)
    pd.testing.assert_frame_equal(again[["lower", "upper"]], wide[["lower", "upper"]])
    assert (wide["lower"] <= narrow["lower"]).all()
    assert (wide["upper"] >= narrow["upper"]).all()
    assert (wide["lower"] < switching.params).all()
    assert (wide["upper"] > switching.params).all()
    assert wide["usable"].min() > 0.8


def test_studentised_limits_are_the_same_bytes_in_other_processes(switching: bm.Fit) -> None:
    from joblib import parallel_config

    here = studentised_interval(switching, draws=6, rng=2)
    with parallel_config(backend="loky", n_jobs=2):
        there = studentised_interval(replace(switching), draws=6, rng=2)
    pd.testing.assert_frame_equal(here, there, check_exact=True)


def test_studentised_limits_need_standard_errors(switching: bm.Fit) -> None:
    blind = replace(switching, cov=np.full_like(switching.cov, np.nan))
    with pytest.raises(bm.ModelError, match="no standard errors"):
        bm.conf_int(blind, "studentised", draws=10)


def test_half_life_takes_every_method(switching: bm.Fit) -> None:
    for method, label in (("studentised", "studentised"), ("bootstrap", "bootstrap"), ("inversion", "inversion")):
        parts = bm.half_life(switching, method=method, draws=16 if method != "inversion" else 0, rng=1)
        assert [p.method for p in parts[1:]] == [label, label]
        assert all(p.lower < p.value < p.upper for p in parts[1:])
