"""The screen for switching: its sums by hand, its size, its power, what it refuses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.switching_screen import _CORRELATIONS, _directions, _path
from basismodels.likelihood import screen

HOURS = pd.date_range("2024-01-01", periods=800, freq="h", tz="UTC")


def path(n: int, phi: float, seed: int) -> np.ndarray:
    return _path(0.0, phi, 1.0, 0.0, np.zeros(n), np.random.default_rng(seed))


@pytest.mark.parametrize("rho", [0.0, 0.6, -0.4])
def test_sums_are_those_of_the_definition(rho: float) -> None:
    """Score and Hessian of each density by differences, the double sum over pairs of rows by hand."""
    y = path(40, 0.7, 1)
    z, w = np.empty(39), np.empty(39)
    c, phi, v, middle = screen.fitted(y, z, w)
    scale = np.std(y[:-1])

    def densities(at: np.ndarray) -> np.ndarray:
        sd = np.sqrt(v) * np.exp(at[2] / np.sqrt(2.0))
        mean = c + at[0] * np.sqrt(v) + (phi + at[1] * np.sqrt(v) / scale) * (y[:-1] - middle)
        return -np.log(sd) - 0.5 * ((y[1:] - mean) / sd) ** 2

    h, still = 1e-3, np.zeros(3)
    e = h * np.eye(3)
    score = np.array([(densities(e[k]) - densities(-e[k])) / (2 * h) for k in range(3)]).T
    a = np.empty((39, 6))
    for p, (j, k) in enumerate(screen.PAIRS):
        near = densities(e[j] + e[k]) - densities(e[j] - e[k]) - densities(e[k] - e[j]) + densities(-e[j] - e[k])
        a[:, p] = near / (4 * h * h)
    assert densities(still) == pytest.approx(-0.5 * np.log(v) - 0.5 * z**2)
    for t in range(39):
        for p, (j, k) in enumerate(screen.PAIRS):
            a[t, p] += score[t, j] * score[t, k]
            a[t, p] += sum(rho ** (t - s) * (score[t, j] * score[s, k] + score[t, k] * score[s, j]) for s in range(t))
    a *= 0.5
    total, cross, square, own = np.empty(6), np.empty((3, 6)), np.empty((6, 6)), np.empty((3, 3))
    screen.sums(z, w, rho, total, cross, square, own)
    assert total == pytest.approx(a.sum(axis=0), abs=1e-4)
    assert cross == pytest.approx(score.T @ a, abs=1e-3)
    assert square == pytest.approx(a.T @ a, abs=1e-2)
    assert own == pytest.approx(score.T @ score, abs=1e-4)


def test_its_value_is_the_definition_at_its_best_direction() -> None:
    y, (weight, _) = path(200, 0.9, 2), _directions(("kappa", "sigma"))
    value, rho = screen.greatest(y, _CORRELATIONS, weight)
    z, w = np.empty(199), np.empty(199)
    screen.fitted(y, z, w)
    total, cross, square, own = np.empty(6), np.empty((3, 6)), np.empty((6, 6)), np.empty((3, 3))
    screen.sums(z, w, rho, total, cross, square, own)
    rest = square - cross.T @ np.linalg.inv(own) @ cross
    best = max(0.5 * max(d @ total, 0.0) ** 2 / (d @ rest @ d) for d in weight)
    assert value == pytest.approx(best)
    assert weight.shape == (24, 6)
    assert np.all(weight[:, [0, 3, 4]] == 0.0)


def test_the_scale_of_the_data_does_not_matter() -> None:
    y, (weight, _) = path(300, 0.95, 3), _directions(("theta", "kappa", "sigma"))
    one = screen.greatest(y, _CORRELATIONS, weight)
    assert screen.greatest(40.0 + 7.0 * y, _CORRELATIONS, weight) == pytest.approx(one)


@pytest.mark.long
def test_size() -> None:
    """300 series of one regime, each against 99 of its own: 5% rejected, within 3 standard errors."""
    weight, _ = _directions(("kappa", "sigma"))
    rejected = 0
    for seed in range(300):
        y = path(150, 0.85, seed)
        made = bm.BasisSeries.from_basis(HOURS[:150], y)
        found = bm.switching_screen(bm.fit(bm.OU(), made), draws=99, rng=seed, n_jobs=1)
        rejected += found.p <= 0.05
    assert len(weight) == 24
    assert 0.05 - 0.038 < rejected / 300 < 0.05 + 0.038


def test_power() -> None:
    """Two regimes that differ in volatility or in speed and volatility: found in most series."""
    model = bm.Switching(bm.OU(), regimes=2)
    params = {"kappa[0]": 0.05, "kappa[1]": 0.5, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 2.5,
              "q[0->1]": 0.03, "q[1->0]": 0.1}  # fmt: skip
    found = []
    for seed in range(10):
        plain = bm.fit(bm.OU(), bm.simulate(model, params, HOURS, rng=seed))
        found.append(bm.switching_screen(plain, draws=99, rng=seed, n_jobs=1))
    assert sum(one.p <= 0.05 for one in found) >= 9
    assert "one regime is not enough" in str(found[0])
    assert found[0].correlation > 0.0


def test_what_is_refused() -> None:
    made = bm.BasisSeries.from_basis(HOURS, path(800, 0.9, 4))
    with pytest.raises(bm.ModelError, match=r"serves OU\(\) alone") as caught:
        bm.switching_screen(bm.fit(bm.OU() + bm.Noise(), made))
    assert "likelihood_ratio_test" in str(caught.value)
    holes = bm.BasisSeries.from_basis(HOURS, np.where(np.arange(800) == 7, np.nan, made.basis))
    with pytest.raises(bm.ModelError, match="evenly spaced rows"):
        bm.switching_screen(bm.fit(bm.OU(), holes))
    plain = bm.fit(bm.OU(), made)
    for varies in ("tau", (), ("kappa", "kappa")):
        with pytest.raises(bm.ModelError, match="varies must be"):
            bm.switching_screen(plain, varies)
    with pytest.raises(bm.ModelError, match="draws must be"):
        bm.switching_screen(plain, draws=0)
