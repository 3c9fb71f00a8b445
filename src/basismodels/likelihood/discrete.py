"""Markov-switching regression in discrete time on the Hamilton kernel, for comparison with published fits.

    y_i = z_i' beta_k + phi_k y_{i-1} + Normal(0, v_k),   P(s_i = k | s_{i-1} = j) = P_jk,

that is the kernel's own step with c = z' beta and free phi, v and P, whether or not a
process in continuous time has such coefficients. With a lag the first observation is
conditioned on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from basismodels.likelihood import hamilton
from basismodels.likelihood.kim import Start, Steps

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Regression:
    """Data and form of a switching regression.

    y (n,); z (n, q) regressors, the constant among them; switches (q,): which coefficients differ
    between regimes; lag: "no", "shared" or "switching"; free_start: law of the chain at the first
    row estimated rather than stationary.
    """

    y: Array
    z: Array
    regimes: int = 2
    switches: tuple[bool, ...] = (True,)
    lag: str = "no"
    variance_switches: bool = False
    free_start: bool = False

    @cached_property
    def places(self) -> Places:
        """Where each coefficient stands in the free vector."""
        return _places(self)

    @cached_property
    def rows(self) -> tuple[Array, Index]:
        """Regressors of each distinct step (m, q), and which step leads to each observation (n,)."""
        return _rows(self)


class Places(NamedTuple):
    """Where each coefficient stands in the free vector (followed by one zero), and the vector's length."""

    beta: Index
    phi: Index
    log_v: Index
    logit: Index
    law: Index
    size: int


class Estimate(NamedTuple):
    """Coefficients by regime: beta (q, K), phi (K,), v (K,), p (K, K), law (K,) of the first regime."""

    beta: Array
    phi: Array
    v: Array
    p: Array
    law: Array


def _places(model: Regression) -> Places:
    """Numbers the free vector: beta, phi, log v, logits of P against staying, logits of the initial law."""
    k, count = model.regimes, 0

    def take(switching: bool) -> list[int]:
        nonlocal count
        made = [count + i for i in range(k)] if switching else [count] * k
        count = made[-1] + 1
        return made

    beta = [take(switching) for switching in model.switches]
    phi = take(model.lag == "switching") if model.lag != "no" else [-1] * k
    log_v = take(model.variance_switches)
    logit = np.full((k, k), -1)
    logit[~np.eye(k, dtype=bool)] = count + np.arange(k * (k - 1))
    count += k * (k - 1)
    law = np.full(k, -1)
    if model.free_start:
        law[1:] = count + np.arange(k - 1)
        count += k - 1
    return Places(
        np.array(beta, dtype=np.int64).reshape(-1, k), np.array(phi), np.array(log_v), logit, law, count
    )


def _softmax(eta: Array) -> Array:
    weight = np.exp(eta - eta.max(axis=-1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=-1, keepdims=True))


def _law_system(p: Array) -> Array:
    """The matrix A with A pi = (0, ..., 0, 1) for the stationary law pi of P."""
    system = (np.eye(len(p)) - p).T
    system[-1] = 1.0
    return np.asarray(system)


def estimate(model: Regression, x: Array) -> Estimate:
    """Coefficients at a free vector."""
    at = model.places
    extended = np.append(x, 0.0)
    p = _softmax(extended[at.logit])
    last = np.zeros(model.regimes)
    last[-1] = 1.0
    law = _softmax(extended[at.law]) if model.free_start else np.linalg.solve(_law_system(p), last)
    law = np.asarray(np.maximum(law, 0.0), dtype=np.float64)
    return Estimate(extended[at.beta], extended[at.phi], np.exp(extended[at.log_v]), p, law)


def _rows(model: Regression) -> tuple[Array, Index]:
    """Regressors of each distinct step (m, q) and which of them leads to each observation (n,)."""
    marked = np.column_stack([np.arange(len(model.y)) > 0, model.z])
    distinct, row = np.unique(marked, axis=0, return_inverse=True)
    return np.ascontiguousarray(distinct[:, 1:]), row.ravel().astype(np.int64)


def coefficients(model: Regression, found: Estimate, z: Array, row: Index) -> tuple[Steps, Start]:
    """Step coefficients and start of the kernel."""
    m, k = len(z), model.regimes
    c, v = z @ found.beta, np.tile(found.v, (m, 1))
    p = np.tile(found.p, (m, 1, 1))
    p[row[0]] = np.eye(k)
    zero = np.zeros(m)
    steps = Steps(np.tile(found.phi, (m, 1)), c, v, np.zeros((m, k, 1)), np.ones((m, 1)), zero, zero, p)
    mean, var = np.zeros((k, 2)), np.zeros((k, 3))
    mean[:, 0], var[:, 0] = c[row[0]], found.v
    return steps, Start(found.law, mean, var, np.full(k, float(model.lag != "no")), 0.0)


def loglik_grad(model: Regression, x: Array) -> tuple[float, Array]:
    """Log likelihood and its gradient (p,) at a free vector (p,)."""
    at, (z, row), found = model.places, model.rows, estimate(model, x)
    steps, start = coefficients(model, found, z, row)
    value, bars, back = hamilton.loglik_grad(model.y, row, steps, start)
    c_bar, v_bar = bars.c.copy(), bars.v.sum(axis=0)
    if model.lag == "no":
        c_bar[row[0]] += back.mean[:, 0]
        v_bar = v_bar + back.var[:, 0]
    p_bar = bars.p.copy()
    p_bar[row[0]] = 0.0
    out = np.zeros(at.size + 1)
    np.add.at(out, at.beta, z.T @ c_bar)
    if model.lag != "no":
        np.add.at(out, at.phi, bars.phi.sum(axis=0))
    np.add.at(out, at.log_v, found.v * v_bar)
    _add_chain(model, at, found, p_bar.sum(axis=0), back.p, out)
    return value, out[:-1]


def _add_chain(
    model: Regression, at: Places, found: Estimate, p_bar: Array, law_bar: Array, out: Array
) -> None:
    if model.free_start:
        np.add.at(out, at.law, found.law * (law_bar - found.law @ law_bar))
    else:
        lam = np.linalg.solve(_law_system(found.p).T, law_bar)
        lam[-1] = 0.0
        p_bar = p_bar + np.outer(found.law, lam)
    np.add.at(out, at.logit, found.p * (p_bar - (found.p * p_bar).sum(axis=1, keepdims=True)))


def unit(model: Regression) -> Array:
    """Natural size of each free coefficient (p,)."""
    at = model.places
    size = np.ones(at.size + 1)
    size[at.beta] = (float(np.std(model.y)) / np.sqrt(np.mean(model.z**2, axis=0)))[:, None]
    return size[:-1]


def natural(model: Regression, x: Array) -> Array:
    """All coefficients in one vector: beta, phi, v, P row by row, each shared one repeated by regime."""
    found = estimate(model, x)
    return np.concatenate([part.ravel() for part in (found.beta, found.phi, found.v, found.p)])


def _slopes(f: Callable[[Array], Array], x: Array, width: Array) -> Array:
    """Central differences of a vector function, one row per argument."""
    steps = zip(np.diag(width), width, strict=True)
    return np.array([(f(x + e) - f(x - e)) / (2.0 * h) for e, h in steps])


def information(model: Regression, x: Array) -> Array:
    """Minus the Hessian of the log likelihood (p, p), by differences of the exact gradient."""
    hessian = _slopes(lambda point: loglik_grad(model, point)[1], x, 1e-5 * unit(model))
    return np.asarray(-0.5 * (hessian + hessian.T))


def standard_errors(model: Regression, x: Array) -> Estimate:
    """Standard errors from the observed information, by the delta method; `law` is left at zero.

    A coefficient without information (a probability of zero) is held where it is.
    """
    slope = _slopes(lambda point: natural(model, point), x, 1e-5 * unit(model))
    cov = slope.T @ np.linalg.pinv(information(model, x), rcond=1e-12, hermitian=True) @ slope
    se, k, q = np.sqrt(np.maximum(np.diag(cov), 0.0)), model.regimes, model.z.shape[1]
    beta, phi, v, p = np.split(se, np.cumsum([q * k, k, k]))
    return Estimate(beta.reshape(q, k), phi, v, p.reshape(k, k), np.zeros(k))
