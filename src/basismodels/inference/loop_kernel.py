"""Walks the basis and its funding together: the premium sets the rate, the rate moves the basis."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from basismodels.funding.covariates import COVARIATES

Array = NDArray[np.float64]

NAMES = ("Intercept", *COVARIATES)
CURRENT, NEXT, CONTINUOUS = 0, 1, 2
LINEAR, EQUAL, LAST = 0, 1, 2


class Coefficients(NamedTuple):
    """Coefficients on the C columns `NAMES`.

    kappa, theta (or drift), log sigma and log tau (C, K); slow ones (C, 1); log rates (C, K, K); jump (C, 1) bps.
    """

    kappa: Array
    theta: Array
    sigma: Array
    tau: Array
    slow_kappa: Array
    slow_sigma: Array
    q: Array
    jump: Array


class Terms(NamedTuple):
    """The rule and the grid as numbers.

    per, phase: fine steps in an interval, and to the first settlement; bars: fine steps in a bar; dt: fine step
    in hours; interest (bps of premium), interest_8h (bps), damper (bps), cap (decimal), scale, hours of an interval;
    weights, timing: codes; band in bps; link: offset (bps), slope and sd (bps) of the venue's mean premium on
    that of the closes; with sd below zero the premium is the basis itself at every fine step.
    """

    per: int
    phase: int
    bars: int
    dt: float
    interest: float
    interest_8h: float
    damper: float
    cap: float
    scale: float
    hours: float
    weights: int
    timing: int
    band: float
    offset: float
    slope: float
    spread: float


@njit(cache=True, error_model="numpy", nogil=True)
def _rate(mean, t):  # type: ignore[no-untyped-def]
    """Rate, decimal per interval, at a mean premium in bps."""
    free = t.scale * (mean + min(max(t.interest - mean, -t.damper), t.damper)) / 1e4
    return min(max(free, -t.cap), t.cap)


@njit(cache=True, error_model="numpy", nogil=True)
def _dot(b, z, k):  # type: ignore[no-untyped-def]
    total = 0.0
    for j in range(z.shape[0]):
        if b[j, k] != 0.0:
            total += b[j, k] * z[j]
    return total


@njit(cache=True, error_model="numpy", nogil=True)
def _fill(z, t, last, due, premium, now, to_next, just, paid):  # type: ignore[no-untyped-def]
    """Covariates at a close: rates decimal per interval, premiums in bps, to_next in hours, paid in the bar in bps."""
    rate = last if t.timing == 0 else due
    per8 = 8e4 / t.hours
    z[0] = 1.0
    z[1], z[2], z[3] = last * per8, due * per8, rate * per8
    z[4] = z[3] - t.interest_8h
    z[5] = abs(z[4])
    z[6] = abs(rate) / t.cap
    z[7] = 1.0 if abs(rate) >= t.cap - 1e-9 else 0.0
    z[8] = 1.0 if abs(z[4]) * t.hours / 8e4 <= 6e-9 else 0.0
    z[9] = premium
    z[10] = abs(premium - t.interest)
    z[11], z[12] = to_next, just
    z[13] = 1.0 if abs(now - t.interest) > t.band + t.damper else 0.0
    z[14] = paid if t.timing != 2 else 0.0


@njit(cache=True, error_model="numpy", nogil=True)
def _chain(c, z, dt, p):  # type: ignore[no-untyped-def]
    """Transition matrix over a fine step, exp(Q dt) to third order by Horner's scheme."""
    K = p.shape[0]
    a, power = np.zeros((K, K)), np.zeros((K, K))
    for i in range(K):
        for j in range(K):
            if i != j:
                total = 0.0
                for r in range(z.shape[0]):
                    total += c.q[r, i, j] * z[r]
                a[i, j] = min(np.exp(total) * dt, 0.5)
                a[i, i] -= a[i, j]
    for i in range(K):
        for j in range(K):
            p[i, j] = 1.0 if i == j else 0.0
    for order in (3.0, 2.0, 1.0):
        for i in range(K):
            for j in range(K):
                total = 0.0
                for r in range(K):
                    total += a[i, r] * p[r, j]
                power[i, j] = total / order + (1.0 if i == j else 0.0)
        p[:] = power


@njit(cache=True, error_model="numpy", nogil=True)
def walk(n, c, t, logs, drifts, noisy, slow, x, l, s, rng, side, y, xs, ls, ss, rates, premiums):  # type: ignore[no-untyped-def]
    """n bars from state (x, l, s); fills y, xs, ls, ss (n,) and rates, premiums by settlement; returns how many.

    rng moves the basis, side what a settlement adds, so that rules that settle more often meet the same market;
    logs: kappa on the log scale; drifts: theta's coefficients are those of kappa theta.
    """
    K = c.kappa.shape[1]
    z = np.zeros(c.kappa.shape[0])
    phi, push, sd, tau = np.empty(K), np.empty(K), np.empty(K), np.zeros(K)
    p = np.eye(K)
    base = t.scale * t.interest / 1e4
    last, due, premium = base, base, t.interest
    fine_sum, fine_weight, bar_sum, bar_weight, fine, bar = 0.0, 0.0, 0.0, 0.0, 0, 0
    left, done = t.phase, 0
    _fill(z, t, last, due, premium, x + l, left * t.dt, 0.0, 0.0)
    for i in range(n):
        for k in range(K):
            eta = _dot(c.kappa, z, k)
            kappa = np.exp(eta) if logs else eta
            drift = _dot(c.theta, z, k) * (1.0 if drifts else kappa)
            phi[k] = np.exp(-kappa * t.dt)
            ratio = -np.expm1(-kappa * t.dt) / kappa if abs(kappa) > 1e-12 else t.dt
            half = -np.expm1(-2.0 * kappa * t.dt) / (2.0 * kappa) if abs(kappa) > 1e-12 else t.dt
            push[k] = drift * ratio
            sd[k] = np.exp(_dot(c.sigma, z, k)) * np.sqrt(half)
            tau[k] = np.exp(_dot(c.tau, z, k)) if noisy else 0.0
        rho, spread = 0.0, 0.0
        if slow:
            speed = np.exp(_dot(c.slow_kappa, z, 0))
            rho = np.exp(-speed * t.dt)
            spread = np.exp(_dot(c.slow_sigma, z, 0)) * np.sqrt(-np.expm1(-2.0 * speed * t.dt) / (2.0 * speed))
        if K > 1:
            _chain(c, z, t.dt, p)
        x += _dot(c.jump, z, 0)
        just, paid = 0.0, 0.0
        seen, shown = 0.0, 0.0
        for f in range(t.bars):
            if K > 1:
                u = rng.random()
                before = s
                for k in range(K):
                    u -= p[before, k]
                    s = k
                    if u < 0.0:
                        break
            x = phi[s] * x + push[s] + sd[s] * rng.standard_normal()
            if slow:
                l = rho * l + spread * rng.standard_normal()
            seen = x + l
            if noisy:
                seen += tau[s] * rng.standard_normal()
            shown = 1e4 * np.expm1(seen / 1e4)
            fine += 1
            w = float(fine) if t.weights == 0 else 1.0
            fine_sum += w * shown
            fine_weight += w
            if f == t.bars - 1:
                bar += 1
                w = float(bar) if t.weights == 0 else 1.0
                bar_sum += w * shown
                bar_weight += w
            left -= 1
            if left == 0:
                closes = bar_sum / bar_weight if bar_weight > 0 else shown
                mean = fine_sum / fine_weight
                if t.weights == 2:
                    closes, mean = shown, shown
                if t.spread >= 0.0:
                    mean = t.offset + t.slope * closes + t.spread * side.standard_normal()
                last, due = (due, _rate(mean, t)) if t.timing == 1 else (_rate(mean, t), 0.0)
                if t.timing == 0:
                    due = last
                premium = closes
                paid += 1e4 * last
                rates[done], premiums[done] = last, mean
                done += 1
                left, just = t.per, 1.0
                fine_sum, fine_weight, bar_sum, bar_weight, fine, bar = 0.0, 0.0, 0.0, 0.0, 0, 0
        if t.timing == 2:
            last = _rate(t.offset + t.slope * shown if t.spread >= 0.0 else shown, t)
            due, premium = last, shown
        _fill(z, t, last, due, premium, shown, left * t.dt, just, paid)
        y[i], xs[i], ls[i], ss[i] = seen, x, l, s
    return done
