"""What is usual around a row: medians of the rows nearby, computed only where they are asked for."""

from __future__ import annotations

import numpy as np

WINDOW = 49  # rows, centred: two days of hours
_FEWEST = 5  # known values, else nothing is usual
_CHUNK = 1 << 15
_SCALE = 1.4826  # median absolute value to standard deviation, for a normal
_FLOOR = 0.5  # of what is typical of the whole series


def around(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Median of the values nearby, missing ones skipped, at the positions `rows`, (k,)."""
    parts = [_medians(values, rows[i : i + _CHUNK]) for i in range(0, len(rows), _CHUNK)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _medians(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    at = rows[:, None] + np.arange(WINDOW) - WINDOW // 2
    window = np.where((at >= 0) & (at < len(values)), values[at.clip(0, len(values) - 1)], np.nan)
    window.sort(axis=1)  # missing values last
    known = np.sum(~np.isnan(window), axis=1)
    each = np.arange(len(rows))
    middle = 0.5 * (window[each, (known - 1).clip(0) // 2] + window[each, known // 2])
    return np.asarray(np.where(known >= _FEWEST, middle, np.nan))


def typical(changes: np.ndarray) -> float:
    """Robust sd of changes over the whole series, zeros apart; inf where nothing changes."""
    size = np.abs(changes)
    size = size[size > 0]
    return _SCALE * float(np.median(size, overwrite_input=True)) if len(size) else np.inf


def usual(changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Robust sd of the changes nearby, at least half the typical one, at the positions `rows`, (k,)."""
    return np.fmax(_SCALE * around(np.abs(changes), rows), _FLOOR * typical(changes))


def beyond(changes: np.ndarray, times: float) -> np.ndarray:
    """Positions where a change is more than so many usual ones."""
    rows = np.flatnonzero(np.abs(changes) > times * _FLOOR * typical(changes))
    return np.asarray(rows[np.abs(changes[rows]) > times * usual(changes, rows)])


def change(values: np.ndarray) -> np.ndarray:
    """Change from the row before, (n,), NaN at the first."""
    out = np.full(len(values), np.nan)
    np.subtract(values[1:], values[:-1], out=out[1:])
    return out


def undone(changes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """True where a change is taken back in the next row, but for a quarter, at the positions `rows`, (k,)."""
    return np.asarray(np.abs(changes[rows] + after(changes, rows)) < 0.25 * np.abs(changes[rows]))


def after(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The value of the row that follows, at the positions `rows`, (k,), NaN past the last."""
    return np.asarray(np.where(rows + 1 < len(values), values[(rows + 1).clip(max=len(values) - 1)], np.nan))


def flags(rows: np.ndarray, n: int) -> np.ndarray:
    """True at the positions `rows`, (n,)."""
    out = np.zeros(n, dtype=bool)
    out[rows] = True
    return out


def runs(flagged: np.ndarray) -> list[tuple[int, int]]:
    """First and last position of each contiguous run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, flagged, False].astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]
