"""Simulated series for the benchmarks."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@njit(cache=True)
def _walk(phi, c, sd, z):  # type: ignore[no-untyped-def]
    y = np.empty(len(z) + 1)
    y[0] = c[0] / (1.0 - phi[0])
    for i in range(len(z)):
        y[i + 1] = c[i] + phi[i] * y[i] + sd[i] * z[i]
    return y


def ou_series(n: int, seed: int, kappa: float = 0.05, theta: float = 5.0, sigma: float = 2.0) -> tuple[Array, Array]:
    """OU at irregular times: y (n,) bps and steps dt (n - 1,) hours, exponential with mean one and a floor."""
    rng = np.random.default_rng(seed)
    dt = 0.05 + rng.exponential(0.95, n - 1)
    phi = np.exp(-kappa * dt)
    sd = sigma * np.sqrt(-np.expm1(-2.0 * kappa * dt) / (2.0 * kappa))
    return _walk(phi, theta * (1.0 - phi), sd, rng.normal(size=n - 1)), dt


def noisy_series(n: int, seed: int, kappa: float = 0.05, tau: float = 1.5) -> Array:
    """OU every hour seen through noise, (n,) bps."""
    rng = np.random.default_rng(seed)
    phi = np.full(n - 1, np.exp(-kappa))
    sd = np.full(n - 1, 2.0 * np.sqrt(-np.expm1(-2.0 * kappa) / (2.0 * kappa)))
    return _walk(phi, 5.0 * (1.0 - phi), sd, rng.normal(size=n - 1)) + tau * rng.normal(size=n)


TWO = (
    np.array([3.0, 60.0]), np.array([0.0, 5.0]), np.array([1.0, 4.0]), np.array([[0.995, 0.005], [0.03, 0.97]]),
)  # fmt: skip
THREE = (
    np.array([3.0, 20.0, 60.0]), np.array([0.0, 5.0, -5.0]), np.array([1.0, 2.5, 6.0]),
    np.array([[0.99, 0.007, 0.003], [0.02, 0.97, 0.01], [0.02, 0.03, 0.95]]),
)  # fmt: skip


def coefficients(setting: tuple[Array, ...]) -> tuple[Array, Array, Array, Array]:
    """phi, c, v and P of an hourly step from half-lives, levels, volatilities and P."""
    half_life, level, sigma, p = setting
    kappa = np.log(2.0) / half_life
    phi = np.exp(-kappa)
    return phi, level * (1.0 - phi), sigma**2 * -np.expm1(-2.0 * kappa) / (2.0 * kappa), p


def switching_series(n: int, seed: int, setting: tuple[Array, ...] = TWO) -> Array:
    """Switching OU every hour, (n,) bps."""
    rng = np.random.default_rng(seed)
    phi, c, v, p = coefficients(setting)
    regime, cumulative = np.zeros(n - 1, dtype=np.int64), p.cumsum(axis=1)
    state = 0
    for i, u in enumerate(rng.random(n - 1)):
        state = min(int((u > cumulative[state]).sum()), len(p) - 1)
        regime[i] = state
    return _walk(phi[regime], c[regime], np.sqrt(v)[regime], rng.normal(size=n - 1))
