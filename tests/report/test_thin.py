"""Thinning keeps every extreme and shows every gap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basismodels.report.thin import bucket_of, envelope, mean_by, runs, thin, with_gaps


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(200, 3000), st.integers(5, 40))
def test_every_bucket_keeps_its_extremes(seed: int, n: int, buckets: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.uniform(0.9, 1.1, n))
    y = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n))
    at, kept = thin(x, y, buckets)
    assert np.all(np.diff(at) >= 0)
    assert len(at) <= max(4 * buckets, 4 * buckets + 1)
    bucket, seen = bucket_of(x, buckets), np.isfinite(y)
    if n <= 4 * buckets:
        return
    inside = np.isfinite(kept)
    where = np.minimum((at - x[0]) / (x[-1] - x[0]) * buckets, buckets - 1).astype(int)
    for b in np.unique(bucket[seen]):
        here, there = y[seen & (bucket == b)], kept[inside & (where == b)]
        assert (here.min(), here.max()) == (there.min(), there.max())


def test_a_short_series_comes_back_whole() -> None:
    x, y = np.arange(50.0), np.r_[np.nan, np.arange(49.0)]
    at, kept = thin(x, y, 20)
    np.testing.assert_array_equal(at, x)
    np.testing.assert_array_equal(kept, y)


def test_a_wide_step_and_an_empty_bucket_become_gaps() -> None:
    x = np.r_[np.arange(10.0), np.arange(40.0, 50.0)]
    at, y = with_gaps(x, np.ones(20))
    assert np.isnan(y).sum() == 1
    assert 9.0 < at[np.isnan(y)][0] < 40.0
    long = np.r_[np.arange(1000.0), np.arange(2000.0, 3000.0)]
    at, y = thin(long, np.ones(2000), 30)
    assert np.isnan(y[(at > 1000) & (at < 2000)]).all()
    assert np.isfinite(y[(at < 999) | (at > 2000)]).all()


def test_an_envelope_covers_the_limits_of_each_stretch() -> None:
    rng = np.random.default_rng(0)
    x, lower = np.arange(5000.0), rng.normal(size=5000)
    at, low, high = envelope(x, lower, lower + 1.0, 50)
    bucket = bucket_of(x, 50)
    assert low[7] == lower[bucket == 7].min()
    assert high[7] == lower[bucket == 7].max() + 1.0
    assert len(at) == 50


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], []), ([True], [(0, 0)]), ([False, True, True, False, True], [(1, 2), (4, 4)]), ([False], [])],
)
def test_runs(flags: list[bool], expected: list[tuple[int, int]]) -> None:
    assert runs(np.array(flags, dtype=bool)) == expected


def test_means_by_bucket_leave_missing_points_out() -> None:
    found = mean_by(np.array([0, 0, 2]), np.array([1.0, np.nan, 4.0]), 3)
    np.testing.assert_array_equal(found, [1.0, np.nan, 4.0])
