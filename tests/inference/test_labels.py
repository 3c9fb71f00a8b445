"""Labels of regimes over many draws."""

from __future__ import annotations

import numpy as np
import pytest

import basismodels as bm
from basismodels.inference.labels import permute, settled
from basismodels.problem import bind


@pytest.mark.parametrize("start", ["stationary", "free"])
def test_draws_that_swapped_their_regimes_are_swapped_back(start):
    data = bm.load_example(end="2024-01-06")
    problem = bind(bm.Switching(bm.OU(), regimes=3, chain_start=start), data)
    rng = np.random.default_rng(1)
    centre = rng.normal(size=len(problem.spec)) * 2.0
    draws = centre + 0.05 * rng.normal(size=(60, len(centre)))
    order = np.array([2, 0, 1])
    mixed = np.array([permute(problem.spec, x, order) if i % 5 == 0 else x for i, x in enumerate(draws)])
    assert not np.allclose(mixed, draws)
    np.testing.assert_allclose(settled(problem, mixed), draws, atol=1e-12)


def test_one_regime_is_left_alone():
    problem = bind(bm.OU(), bm.load_example(end="2024-01-06"))
    draws = np.random.default_rng(1).normal(size=(5, 3))
    assert settled(problem, draws) is draws
