"""Limits over draws."""

from __future__ import annotations

import numpy as np
import pytest

from basismodels._limits import draw_limits


@pytest.mark.parametrize(("m", "ranks"), [(199, (5, 195)), (200, (5, 196)), (39, (1, 39)), (1000, (25, 976))])
def test_they_are_the_ranks_that_hold_one_more_draw_at_the_level(m: int, ranks: tuple[int, int]) -> None:
    assert draw_limits(np.arange(1.0, m + 1.0), 0.95) == ranks
    assert (ranks[1] - ranks[0]) / (m + 1) >= 0.95 - 1e-12


def test_a_draw_of_the_same_law_is_held_as_often_as_said() -> None:
    z = np.random.default_rng(1).standard_normal((100, 20_000))
    low, high = draw_limits(z[:-1], 0.9)
    held = np.mean((low <= z[-1]) & (z[-1] <= high))
    assert abs(held - 0.9) < 4.0 * np.sqrt(0.09 / 20_000)


def test_no_draw_leaves_no_limits() -> None:
    np.testing.assert_array_equal(draw_limits(np.empty((0, 3)), 0.95), np.full((2, 3), np.nan))


def test_nan_is_left_out_and_infinity_kept() -> None:
    values = np.column_stack([np.r_[np.nan, np.arange(1.0, 200.0)], np.full(200, np.nan), np.full(200, np.inf)])
    low, high = draw_limits(values, 0.95)
    np.testing.assert_array_equal(low, [5.0, np.nan, np.inf])
    np.testing.assert_array_equal(high, [195.0, np.nan, np.inf])
