"""Long series brought down to what a picture can show, without losing an extreme."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BUCKETS = 900
_WIDE = 5.0


def with_gaps(x: Array, y: Array) -> tuple[Array, Array]:
    """The points with a NaN put into every step wider than five median steps, x rising, both (n,)."""
    steps = np.diff(x)
    if not len(steps):
        return x, y
    wide = np.flatnonzero(steps > _WIDE * np.median(steps)) + 1
    middle = 0.5 * (x[wide - 1] + x[wide]) if len(wide) else np.empty(0)
    return np.insert(x, wide, middle), np.insert(np.asarray(y, dtype=float), wide, np.nan)


def bucket_of(x: Array, buckets: int) -> NDArray[np.int64]:
    """Bucket of each point, 0 to buckets - 1, of equal width over the span of x, (n,)."""
    width = float(x[-1] - x[0]) or 1.0
    return np.asarray(np.minimum((x - x[0]) / width * buckets, buckets - 1), dtype=np.int64)


def thin(x: Array, y: Array, buckets: int = BUCKETS) -> tuple[Array, Array]:
    """First, lowest, highest and last point of each bucket, NaN where a bucket is empty.

    x rising, y with NaN where missing, both (n,). A series of at most four points a
    bucket comes back whole. The extremes of y are always among the points.
    """
    x, y = with_gaps(x, y)
    if len(x) <= 4 * buckets:
        return x, y
    bucket = bucket_of(x, buckets)
    seen = np.isfinite(y)
    kept = _corners(bucket[seen], y[seen])
    rows = np.flatnonzero(seen)[kept]
    empty = np.setdiff1d(np.arange(buckets), bucket[seen])
    centres = x[0] + (empty + 0.5) * (x[-1] - x[0]) / buckets
    order = np.argsort(np.r_[x[rows], centres], kind="stable")
    return np.r_[x[rows], centres][order], np.r_[y[rows], np.full(len(empty), np.nan)][order]


def _corners(bucket: NDArray[np.int64], y: Array) -> NDArray[np.int64]:
    """Positions of the first, lowest, highest and last point of each run of equal buckets, sorted."""
    if not len(y):
        return np.empty(0, dtype=np.int64)
    order = np.lexsort((y, bucket))
    starts = np.flatnonzero(np.r_[True, np.diff(bucket) > 0])
    ends = np.r_[starts[1:], len(bucket)] - 1
    return np.unique(np.r_[starts, ends, order[starts], order[ends]])


def envelope(x: Array, lower: Array, upper: Array, buckets: int = BUCKETS) -> tuple[Array, Array, Array]:
    """Least lower and greatest upper limit of each bucket, at its centre; NaN where there is none."""
    if len(x) <= 2 * buckets:
        gap_x, gap_lower = with_gaps(x, lower)
        return gap_x, gap_lower, with_gaps(x, upper)[1]
    bucket = bucket_of(x, buckets)
    centres = x[0] + (np.arange(buckets) + 0.5) * (x[-1] - x[0]) / buckets
    return centres, reduce(bucket, lower, buckets, np.fmin), reduce(bucket, upper, buckets, np.fmax)


def reduce(bucket: NDArray[np.int64], y: Array, buckets: int, how: np.ufunc) -> Array:
    """fmin or fmax of y by bucket, NaN where a bucket holds nothing, (buckets,)."""
    out = np.full(buckets, np.nan)
    how.at(out, bucket, y)
    return out


def mean_by(bucket: NDArray[np.int64], y: Array, buckets: int) -> Array:
    """Mean of y by bucket, NaN where a bucket holds nothing, (buckets,)."""
    seen = np.isfinite(y)
    total = np.bincount(bucket[seen], weights=y[seen], minlength=buckets)
    count = np.bincount(bucket[seen], minlength=buckets)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / count)


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last position of each unbroken run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flags, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
