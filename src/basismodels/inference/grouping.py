"""Steps of a series put into groups, from which the search for regimes begins."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def levels_of(y: Array, groups: NDArray[np.int64], regimes: int) -> Array:
    """Median of each group in bps, (K,)."""
    own = [y[:-1][groups == k] for k in range(regimes)]
    return np.array([np.median(part) if len(part) else np.median(y) for part in own])


def level_groups(y: Array, dt: Array, regimes: int, window: int) -> NDArray[np.int64] | None:
    """Group of each step by the local median of the basis, ordered by volatility; None where too short."""
    from scipy.cluster.vq import ClusterError, kmeans2
    from scipy.ndimage import median_filter

    window = min(window, len(dt) // (2 * regimes))
    local = median_filter(y[:-1], size=max(window, 1), mode="nearest")
    if window < 2 or not _spread_out(local[:, None]):
        return None
    centres = np.linspace(float(local.min()), float(local.max()), regimes)[:, None]
    try:
        _, labels = kmeans2(local[:, None], centres, minit="matrix", missing="raise")
    except ClusterError:
        return None
    change = np.diff(y) ** 2 / dt
    order = np.argsort([change[labels == k].mean() if (labels == k).any() else np.inf for k in range(regimes)])
    rank = np.empty(regimes, dtype=np.int64)
    rank[order] = np.arange(regimes)
    return np.asarray(rank[labels])


def volatility_groups(y: Array, dt: Array, regimes: int, window: int) -> NDArray[np.int64] | None:
    """Group of each step by local volatility and slope, ordered by volatility; None where too short."""
    from scipy.cluster.vq import ClusterError, kmeans2

    change = np.diff(y) / np.sqrt(dt)
    window = min(window, len(change) // (2 * regimes))
    if window < 2:
        return None
    kernel = np.ones(window) / window
    power = np.convolve(change**2, kernel, mode="same")
    level = y[:-1] - np.convolve(y[:-1], kernel, mode="same")
    slope = np.convolve(change * level, kernel, mode="same") / (np.convolve(level**2, kernel, mode="same") + 1e-300)
    floor = 1e-6 * float(np.mean(power)) + 1e-300
    features = np.column_stack([np.log(power + floor), 0.3 * np.clip(slope / (np.std(slope) + 1e-300), -3, 3)])
    edges = np.quantile(features[:, 0], (np.arange(regimes) + 0.5) / regimes)
    centres = np.column_stack([edges, np.zeros(regimes)])
    if not _spread_out(features):
        return None
    try:
        _, labels = kmeans2(features, centres, minit="matrix", missing="raise")
    except ClusterError:
        return None
    order = np.argsort([power[labels == k].mean() if (labels == k).any() else np.inf for k in range(regimes)])
    rank = np.empty(regimes, dtype=np.int64)
    rank[order] = np.arange(regimes)
    return np.asarray(rank[labels])


def _spread_out(features: Array) -> bool:
    return bool(np.all(np.isfinite(features)) and np.std(features[:, 0]) > 1e-9)
