"""What the package is timed against: other packages, and textbook code written for the purpose.

Each function takes data and gives a log likelihood, an estimate or a callable to time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]


def ou_numpy_fit(y: Array, dt: Array) -> float:
    """Log likelihood of a stationary OU process, L-BFGS-B on a vectorised density; level and scale divided out."""
    from scipy.optimize import minimize

    centre, spread = y.mean(), y.std()
    z = (y - centre) / spread

    def negative(x: Array) -> float:
        mu, kappa, sigma2 = x[0], math.exp(x[1]), math.exp(x[2])
        phi = np.exp(-kappa * dt)
        var = sigma2 * -np.expm1(-2.0 * kappa * dt) / (2.0 * kappa)
        e = z[1:] - mu - phi * (z[:-1] - mu)
        first = sigma2 / (2.0 * kappa)
        inner = np.sum(np.log(var) + e * e / var) + math.log(first) + (z[0] - mu) ** 2 / first
        return float(0.5 * (inner + len(z) * math.log(2.0 * math.pi)))

    kappa = -math.log(float(z[1:] @ z[:-1] / (z @ z))) / float(dt.mean())
    found = minimize(negative, [0.0, math.log(kappa), math.log(2.0 * kappa)], method="L-BFGS-B")
    return float(-found.fun - len(y) * math.log(spread))


def celerite_fit(y: Array, dt: Array) -> float:
    """The same maximum by celerite2's Gaussian process with a real term."""
    import celerite2
    from celerite2 import terms
    from scipy.optimize import minimize

    centre, spread = y.mean(), y.std()
    z, t = (y - centre) / spread, np.concatenate([[0.0], np.cumsum(dt)])

    def negative(x: Array) -> float:
        gp = celerite2.GaussianProcess(terms.RealTerm(a=math.exp(x[2]), c=math.exp(x[1])), mean=x[0])
        gp.compute(t, diag=np.full(len(t), 1e-12), check_sorted=False)
        return float(-gp.log_likelihood(z))

    kappa = -math.log(float(z[1:] @ z[:-1] / (z @ z))) / float(dt.mean())
    found = minimize(negative, [0.0, math.log(kappa), 0.0], method="L-BFGS-B")
    return float(-found.fun - len(y) * math.log(spread))


def sarimax(y: Array) -> object:
    """statsmodels' state space model of a first-order autoregression seen through noise."""
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    return SARIMAX(y, order=(1, 0, 0), measurement_error=True, trend="c")


def markov_regression(y: Array, regimes: int = 2) -> object:
    """statsmodels' switching regression on the lag: the likelihood of a switching OU on a regular grid."""
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    return MarkovRegression(y[1:], k_regimes=regimes, exog=y[:-1], switching_variance=True)


def quiet_fit(model: object) -> object:
    """A statsmodels fit with its default settings, warnings aside."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(disp=False)  # type: ignore[attr-defined]


def hmmlearn_iterations(y: Array, count: int) -> Callable[[], object]:
    """`count` EM iterations of hmmlearn's Gaussian model with two states, scaled implementation."""
    import logging

    from hmmlearn.hmm import GaussianHMM

    logging.getLogger("hmmlearn").setLevel(logging.CRITICAL)

    def run() -> object:
        model = GaussianHMM(2, "diag", n_iter=count, tol=-np.inf, implementation="scaling", random_state=0)
        return model.fit(y[:, None])

    return run


@njit(cache=True)
def textbook_filter(y, phi, c, sd, p, law):  # type: ignore[no-untyped-def]
    """Scaled forward recursion for K regimes as textbooks print it."""
    k = len(phi)
    now, ahead = law.copy(), np.empty(k)
    value = 0.0
    for t in range(1, len(y)):
        norm = 0.0
        for j in range(k):
            mass = 0.0
            for i in range(k):
                mass += now[i] * p[i, j]
            z = (y[t] - c[j] - phi[j] * y[t - 1]) / sd[j]
            ahead[j] = mass * math.exp(-0.5 * z * z) / (sd[j] * math.sqrt(2.0 * math.pi))
            norm += ahead[j]
        for j in range(k):
            now[j] = ahead[j] / norm
        value += math.log(norm)
    return value


@njit(cache=True)
def textbook_smoother(y, phi, c, sd, p, law):  # type: ignore[no-untyped-def]
    """Forward and backward recursions and the sums a gradient needs; returns the log likelihood and the sums."""
    n, k = len(y), len(phi)
    alpha, norms, dens = np.empty((n, k)), np.empty(n), np.empty((n, k))
    alpha[0] = law
    value = 0.0
    for t in range(1, n):
        norm = 0.0
        for j in range(k):
            mass = 0.0
            for i in range(k):
                mass += alpha[t - 1, i] * p[i, j]
            z = (y[t] - c[j] - phi[j] * y[t - 1]) / sd[j]
            dens[t, j] = math.exp(-0.5 * z * z) / (sd[j] * math.sqrt(2.0 * math.pi))
            alpha[t, j] = mass * dens[t, j]
            norm += alpha[t, j]
        for j in range(k):
            alpha[t, j] /= norm
        norms[t] = norm
        value += math.log(norm)
    beta, before = np.ones(k), np.empty(k)
    sums, pairs = np.zeros((4, k)), np.zeros((k, k))
    for t in range(n - 1, 0, -1):
        for j in range(k):
            weight = alpha[t, j] * beta[j]
            e = y[t] - c[j] - phi[j] * y[t - 1]
            sums[0, j] += weight
            sums[1, j] += weight * e
            sums[2, j] += weight * e * y[t - 1]
            sums[3, j] += weight * e * e
        for i in range(k):
            before[i] = 0.0
            for j in range(k):
                flow = p[i, j] * dens[t, j] * beta[j] / norms[t]
                pairs[i, j] += alpha[t - 1, i] * flow
                before[i] += flow
        for i in range(k):
            beta[i] = before[i]
    return value, sums, pairs
