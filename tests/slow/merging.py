"""What else than the last d regimes could be kept: the likeliest histories, the nearest merged; writes merging.csv.

The two-regime two-factor model on hourly Binance BTC of 2024 (through BASISMODELS_DATA, default ../shared/data) at the
optimum of its likelihood at depth 1. "last d regimes": the package's filter, K^d Gaussians. "M merged": a mixture
of at most M Gaussians, each with its last regime; after every observation the two of one regime whose merging to
their first two moments loses least by Runnalls' bound (2007, IEEE Transactions on Aerospace and Electronic Systems
43(3)) are merged, until M are left. `off`: log likelihood less the particle one; `cost`: time of the likelihood over
that of depth 1, for the merged filters in plain compiled code without lanes.

    python tests/slow/merging.py
"""

from __future__ import annotations

import csv
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numba import njit

from basismodels.likelihood import assemble, kim, particles
from basismodels.problem import bind
from basismodels.sources.files import read

sys.path.insert(0, str(Path(__file__).resolve().parent))
import kim_error

OUT = Path(__file__).with_suffix(".csv")
COLUMNS = ("scheme", "gaussians", "llf", "off", "off_se", "seconds", "cost")
DEPTHS, SIZES = (1, 2, 3, 4), (2, 3, 4, 6, 8, 12, 16, 32)


@njit(cache=True)
def _two_moments(a, b):  # type: ignore[no-untyped-def]
    """Weight, mean (2), variance (3) of two Gaussians together, as rows of six numbers."""
    w = a[0] + b[0]
    s, t = a[0] / w, b[0] / w
    d, e = a[1] - b[1], a[2] - b[2]
    return (
        w, s * a[1] + t * b[1], s * a[2] + t * b[2],
        s * a[3] + t * b[3] + s * t * d * d, s * a[4] + t * b[4] + s * t * d * e, s * a[5] + t * b[5] + s * t * e * e,
    )  # fmt: skip


@njit(cache=True)
def _log_det(a):  # type: ignore[no-untyped-def]
    return math.log(max(a[3] * a[5] - a[4] * a[4], 1e-300))


@njit(cache=True)
def _loss(a, b):  # type: ignore[no-untyped-def]
    """Bound on the divergence that merging two Gaussians causes."""
    both = _two_moments(a, b)
    return 0.5 * (both[0] * _log_det(both) - a[0] * _log_det(a) - b[0] * _log_det(b))


@njit(cache=True)
def _reduced(mix, regime, count, size):  # type: ignore[no-untyped-def]
    """Merges rows of `mix` in place until `size` are left, pairs of one regime only; returns how many are left."""
    loss = np.full((count, count), np.inf)
    for i in range(count):
        for j in range(i):
            if regime[i] == regime[j]:
                loss[i, j] = _loss(mix[i], mix[j])
    left = count
    while left > size:
        best, at, to = np.inf, -1, -1
        for i in range(count):
            for j in range(i):
                if loss[i, j] < best:
                    best, at, to = loss[i, j], i, j
        if at < 0:
            break
        both = _two_moments(mix[to], mix[at])
        for k in range(6):
            mix[to, k] = both[k]
        loss[at, :], loss[:, at], regime[at] = np.inf, np.inf, -1
        for i in range(count):
            if i != to and regime[i] == regime[to]:
                loss[max(i, to), min(i, to)] = _loss(mix[i], mix[to])
        left -= 1
    kept = 0
    for i in range(count):
        if regime[i] >= 0:
            mix[kept], regime[kept] = mix[i], regime[i]
            kept += 1
    return kept


@njit(cache=True)
def merged_loglik(y, row, phi, c, v, tau2, rho, w, p, law, mean, var, size):  # type: ignore[no-untyped-def]
    """Log likelihood by a mixture of at most `size` Gaussians; K <= size."""
    K = len(law)
    mix, regime = np.empty((K * max(size, K), 6)), np.empty(K * max(size, K), dtype=np.int64)
    new, label = mix.copy(), regime.copy()
    count = K
    for k in range(K):
        mix[k] = np.array([law[k], mean[k, 0], mean[k, 1], var[k, 0], var[k, 1], var[k, 2]])
        regime[k] = k
    total = 0.0
    for i in range(len(y)):
        r, made = row[i], 0
        for j in range(count):
            for k in range(K):
                a = mix[j]
                if i == 0:
                    if k != regime[j]:
                        continue
                    new[made] = a
                else:
                    f, g = phi[r, k], rho[r]
                    new[made] = np.array([
                        a[0] * p[r, regime[j], k], f * a[1] + c[r, k], g * a[2],
                        f * f * a[3] + v[r, k], f * g * a[4], g * g * a[5] + w[r],
                    ])  # fmt: skip
                label[made] = k
                made += 1
        if not math.isnan(y[i]):
            norm = 0.0
            for j in range(made):
                b = new[j]
                s = b[3] + 2.0 * b[4] + b[5] + tau2[r, label[j], 0]
                e, gx, gl = y[i] - b[1] - b[2], (b[3] + b[4]) / s, (b[4] + b[5]) / s
                b[0] *= math.exp(-0.5 * e * e / s) / math.sqrt(2.0 * math.pi * s)
                b[1], b[2] = b[1] + gx * e, b[2] + gl * e
                b[3], b[4], b[5] = b[3] - gx * gx * s, b[4] - gx * gl * s, b[5] - gl * gl * s
                norm += b[0]
            total += math.log(norm)
            new[:made, 0] /= norm
        count = _reduced(new, label, made, size)
        mix, new, regime, label = new, mix, label, regime
    return total


def least(call: Callable[[], float]) -> tuple[float, float]:
    """What a call gives, and the least of five times."""
    value, best = call(), math.inf
    for _ in range(5):
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return value, best


def main() -> int:
    """Writes the table."""
    data = read(kim_error.BTC, start="2024-01-01", end="2024-12-31")
    setting = kim_error.Setting("btc 2024", 2, True, 1.0, 0.0, "observed")
    problem = bind(kim_error.MODEL, data)
    layout = problem.layout
    steps, start = assemble.coefficients(layout, setting.truth(problem))
    target = particles.run(layout.y, layout.row, steps, start, particles=4000, replicates=8, rng=1, threads=2)
    made = []
    for d in DEPTHS:
        made.append((f"last {d} regimes", 2**d, *least(lambda d=d: kim.loglik(layout.y, layout.row, steps, start, d))))
    own = (steps.phi, steps.c, steps.v, steps.tau2, steps.rho, steps.w, steps.p, start.p, start.mean, start.var)
    for m in SIZES:
        made.append((f"{m} merged", m, *least(lambda m=m: merged_loglik(layout.y, layout.row, *own, m))))
    with OUT.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for scheme, count, llf, took in made:
            cells = (llf, llf - target.value, target.se, took, took / made[0][3])
            rows.writerow([scheme, count, f"{cells[0]:.2f}", *(f"{v:.3g}" for v in cells[1:])])
            print(scheme, *(f"{v:.4g}" for v in cells))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
