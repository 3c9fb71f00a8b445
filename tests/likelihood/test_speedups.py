"""Fast paths against plain ones: equal values and gradients, and the same bits on any number of threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from basismodels.likelihood import hamilton, hamilton_fit, kim, ou
from basismodels.likelihood.kim import Start, Steps


def made(regimes, n, seed=0, *, slow=True, parts=1, noise=True, missing=0.0):
    """A switching series and step coefficients near those that drew it; row 0 has length zero."""
    rng = np.random.default_rng(seed)
    kappa, sigma, theta = np.geomspace(0.7, 0.1, regimes), np.geomspace(1, 5, regimes), np.linspace(0, 3, regimes)
    phi = np.exp(-kappa)
    v = sigma**2 * -np.expm1(-2 * kappa) / (2 * kappa)
    p = np.full((regimes, regimes), 0.02) + (1 - 0.02 * regimes) * np.eye(regimes)
    zero = np.zeros(regimes)
    tau2 = np.repeat(np.geomspace(0.5, 4, regimes)[:, None], parts, axis=1) * (25.0 ** np.arange(parts)) * noise
    share = np.array([[1.0], [0.97, 0.03]][parts - 1])
    steps = Steps(
        np.stack([np.ones(regimes), phi]), np.stack([zero, theta * (1 - phi)]), np.stack([zero, v]),
        np.stack([tau2, tau2]), np.stack([share, share]),
        np.array([1.0, 0.998]) * slow, np.array([0.0, 0.3]) * slow, np.stack([np.eye(regimes), p]),
    )  # fmt: skip
    x, level, state, y = 0.0, 0.0, 0, np.empty(n)
    for i, (u, a, b, c) in enumerate(zip(rng.random(n), *rng.normal(size=(3, n)), strict=True)):
        state = min(int((u > p[state].cumsum()).sum()), regimes - 1)
        x = phi[state] * x + theta[state] * (1 - phi[state]) + np.sqrt(v[state]) * a
        level = 0.998 * level + np.sqrt(0.3) * b
        y[i] = x + slow * level + np.sqrt(tau2[state, 0]) * c
    y[1:][rng.random(n - 1) < missing] = np.nan
    start = Start(
        np.full(regimes, 1 / regimes), np.zeros((regimes, 2)),
        np.tile([10.0, 0.0, 75.0 * slow], (regimes, 1)), np.zeros(regimes), 0.0,
    )  # fmt: skip
    return y, np.minimum(np.arange(n), 1), steps, start


def plain_kim(y, row, steps, start):
    """Log likelihood of the moment-matching filter written from its definition, in logarithms."""
    regimes, parts = steps.tau2.shape[1:]
    p, mean, var, value = start.p, start.mean, start.var, 0.0
    for i in range(len(y)):
        r, pieces = row[i], {k: [] for k in range(regimes)}
        for j in range(regimes):
            own = np.array([[var[j, 0], var[j, 1]], [var[j, 1], var[j, 2]]])
            for k in range(regimes):
                f = np.diag([steps.phi[r, k], steps.rho[r]])
                m = f @ mean[j] + [steps.c[r, k], 0.0]
                s = f @ own @ f + np.diag([steps.v[r, k], steps.w[r]])
                with np.errstate(divide="ignore"):
                    base = np.log(p[j] * steps.p[r, j, k])
                for n in range(parts):
                    weight = base + np.log(steps.share[r, n])
                    if np.isnan(y[i]):
                        pieces[k].append((weight, m, s))
                        continue
                    total = s.sum() + steps.tau2[r, k, n]
                    e, gain = y[i] - m.sum(), s.sum(axis=1) / total
                    density = -0.5 * (np.log(2 * np.pi * total) + e * e / total)
                    moments = m + gain * e, s - np.outer(gain, s.sum(axis=0))
                    if i == 0 and start.diffuse[j] > 0:
                        density, d = start.flat, var[j, 2]
                        noise = steps.tau2[r, k, n]
                        moments = np.array([y[i] - mean[j, 1], mean[j, 1]]), np.array([[d + noise, -d], [-d, d]])
                    pieces[k].append((weight + density, *moments))
        top = max(w for part in pieces.values() for w, _, _ in part)
        weights = {k: np.exp(np.array([w for w, _, _ in part]) - top) for k, part in pieces.items()}
        norm = sum(w.sum() for w in weights.values())
        value += 0.0 if np.isnan(y[i]) else top + np.log(norm)
        p = np.array([weights[k].sum() / norm for k in range(regimes)])
        mean, var = np.zeros((regimes, 2)), np.zeros((regimes, 3))
        for k in range(regimes):
            if weights[k].sum() == 0:
                continue
            q = weights[k] / weights[k].sum()
            mean[k] = sum(a * m for a, (_, m, _) in zip(q, pieces[k], strict=True))
            apart = [(a, s + np.outer(m - mean[k], m - mean[k])) for a, (_, m, s) in zip(q, pieces[k], strict=True)]
            both = sum(a * s for a, s in apart)
            var[k] = both[0, 0], both[0, 1], both[1, 1]
    return value


@pytest.mark.parametrize("regimes", [1, 2, *(pytest.param(k, marks=pytest.mark.long) for k in (3, 4))])
@pytest.mark.parametrize("slow", [True, False])
@pytest.mark.parametrize("parts", [1, 2])
def test_kim_is_its_definition(regimes, slow, parts):
    y, row, steps, start = made(regimes, 120, slow=slow, parts=parts, missing=0.1)
    y[60] = 4000.0  # every branch's density is below the least number there is
    for law in (start, start._replace(diffuse=np.eye(regimes)[0], flat=-2.0)):
        value = plain_kim(y, row, steps, law)
        assert kim.loglik(y, row, steps, law) == pytest.approx(value, rel=1e-11)
        assert np.nansum(kim.pointwise(y, row, steps, law)) == pytest.approx(value, rel=1e-11)
        assert kim.loglik_grad(y, row, steps, law)[0] == pytest.approx(value, rel=1e-11)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("name", ["phi", "c", "v", "tau2", "rho", "w", "p", "share"])
def test_kim_gradient(name, parts):
    """Adjoint against extrapolated differences, every coefficient on its own, missing values among the data."""
    y, row, steps, start = made(3, 150, parts=parts, missing=0.1)
    bars = kim.loglik_grad(y, row, steps, start)[1]
    part = getattr(steps, name)
    places = list(np.ndindex(part.shape[1:])) if part.ndim > 1 else [()]
    for place in places:
        at = (1, *place)

        def moved(h, at=at):
            new = part.copy()
            new[at] += h
            return kim.loglik(y, row, steps._replace(**{name: new}), start)

        h = 1e-4 * max(abs(part[at]), 1e-2)
        wide, narrow = ((moved(s) - moved(-s)) / (2 * s) for s in (2 * h, h))
        assert getattr(bars, name)[at] == pytest.approx((4 * narrow - wide) / 3, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("regimes", [2, 3, 4, 5])
@pytest.mark.parametrize("n", [511, 512, 527, 2000])
@pytest.mark.parametrize("widest", ["first", "last"])
def test_pieces_of_a_regular_grid(regimes, n, widest):
    """Cut in pieces or step by step: the same log likelihood and the same derivatives."""
    y, row, steps, start = made(regimes, n, slow=False, noise=False)
    if widest == "first":
        turned = (part[:, ::-1] for part in (steps.phi, steps.c, steps.v))
        steps = Steps(*map(np.ascontiguousarray, turned), *steps[3:])
    for law in (start, start._replace(diffuse=np.ones(regimes))):
        value, bars, back = hamilton.loglik_grad(y, row, steps, law)
        plain_value, plain_bars, plain_back, _ = hamilton.loglik_grad_student(y, row, steps, law, None)
        assert hamilton.loglik(y, row, steps, law) == pytest.approx(plain_value, rel=1e-13)
        assert value == pytest.approx(plain_value, rel=1e-13)
        for found, wanted in zip((*bars, *back[:3]), (*plain_bars, *plain_back[:3]), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("trouble", ["outlier", "forbidden", "apart"])
def test_pieces_step_aside(trouble):
    """Where products of densities would overflow or vanish the plain path serves, and nothing is lost."""
    y, row, steps, start = made(2, 1500, slow=False, noise=False)
    if trouble == "outlier":
        y[700:703] = 1e5
    elif trouble == "forbidden":
        steps = steps._replace(p=np.stack([np.eye(2), np.array([[0.98, 0.02], [0.0, 1.0]])]))
    else:
        steps = steps._replace(c=np.array([[0.0, 0.0], [0.0, 900.0]]))
    value = hamilton.loglik_grad_student(y, row, steps, start, None)[0]
    assert np.isfinite(value)
    assert hamilton.loglik(y, row, steps, start) == pytest.approx(value, rel=1e-12)
    assert hamilton.loglik_grad(y, row, steps, start)[0] == pytest.approx(value, rel=1e-12)


def test_student_shocks():
    """The density is scipy's, the slope in nu that of the likelihood, and the limit of many degrees Gaussian."""
    from scipy.stats import t

    y, row, steps, start = made(2, 600, slow=False, noise=False)
    nu = np.array([3.0, 8.0])
    alone = steps._replace(p=np.stack([np.eye(2), np.eye(2)]))
    law = start._replace(p=np.array([1.0, 0.0]))
    e = y[1:] - steps.phi[1, 0] * y[:-1] - steps.c[1, 0]
    for freedom in (nu, np.array([199.0, 1.0]), np.array([201.0, 1.0])):
        wanted = t.logpdf(e, freedom[0], scale=np.sqrt(steps.v[1, 0]))
        np.testing.assert_allclose(hamilton.pointwise(y, row, alone, law, freedom)[1:], wanted, rtol=1e-10)
    slope = hamilton.loglik_grad_student(y, row, steps, start, nu)[3]
    for k in range(2):
        h = 1e-4 * nu[k] * np.eye(2)[k]
        change = hamilton.loglik(y, row, steps, start, nu + h) - hamilton.loglik(y, row, steps, start, nu - h)
        assert slope[k] == pytest.approx(change / (2 * h[k]), rel=1e-6)
    many = hamilton.loglik(y, row, steps, start, np.full(2, 1e9))
    assert many == pytest.approx(hamilton.loglik(y, row, steps, start), rel=1e-7)


@pytest.mark.parametrize("kernel", ["kim", "hamilton", "ou", "fit"])
def test_bits_do_not_depend_on_threads(kernel):
    y, row, steps, start = made(2, 3000, slow=kernel == "kim", noise=kernel == "kim")
    dt = np.random.default_rng(1).uniform(0.2, 3.0, len(y) - 1)

    def run(_):
        if kernel == "ou":
            return np.array(ou.maximise(y, dt, True))
        if kernel == "fit":
            found = hamilton_fit.fit(y, 2, 4)
            return np.concatenate([found.phi, found.c, found.v, found.p.ravel(), [found.value]])
        value, bars, back = {"kim": kim, "hamilton": hamilton}[kernel].loglik_grad(y, row, steps, start)
        return np.concatenate([[value], *(part.ravel() for part in (*bars, *back[:3]))])

    alone = run(0)
    with ThreadPoolExecutor(2) as pool:
        for found in pool.map(run, range(8)):
            np.testing.assert_array_equal(found, alone)


def test_array_fit_is_a_maximum():
    """No coefficient moved leads up, and the value is the kernel's own."""
    y = made(2, 3000, slow=False, noise=False)[0]
    found = hamilton_fit.fit(y, 2, 10)
    assert hamilton_fit.loglik(y, found) == pytest.approx(found.value, rel=1e-12)
    assert np.all(np.diff(found.v) > 0)
    for name in ("phi", "c", "v"):
        for k in range(2):
            for h in (-1e-3, 1e-3):
                moved = getattr(found, name).copy()
                moved[k] *= 1 + h
                assert hamilton_fit.loglik(y, found._replace(**{name: moved})) < found.value
    for j in range(2):
        for h in (-1e-3, 1e-3):
            p = found.p.copy()
            p[j] += h * (1 - p[j, j]) * np.where(np.arange(2) == j, 1, -1)
            assert hamilton_fit.loglik(y, found._replace(p=p)) < found.value


def test_array_fit_and_general_search_agree():
    """Against the general optimiser on the same likelihood, and after a change of unit and level."""
    from basismodels.inference import discrete_search
    from basismodels.likelihood.discrete import Regression

    y = made(2, 1200, 5, slow=False, noise=False)[0]
    found = hamilton_fit.fit(y, 2, 10)
    model = Regression(y, np.ones((len(y), 1)), lag="switching", variance_switches=True)
    assert found.value == pytest.approx(discrete_search.fit(model, starts=10).llf, rel=1e-8)
    moved = hamilton_fit.fit(1e-4 * y + 50.0, 2, 10)
    assert moved.value == pytest.approx(found.value + (len(y) - 1) * np.log(1e4), rel=1e-9)
    np.testing.assert_allclose(moved.v, 1e-8 * found.v, rtol=1e-4)


@pytest.mark.parametrize("n", [2, 9, 300])
@pytest.mark.parametrize("kappa", [3.0, 0.2, 1e-4, 1e-9])
def test_ou_sums_are_the_definition(n, kappa):
    """Profile likelihood from plain numpy, on steps that are not a whole number of vectors."""
    rng = np.random.default_rng(n)
    y, dt = np.cumsum(rng.normal(size=n + 1)), rng.uniform(0.05, 5.0, n)
    h, g = -np.expm1(-kappa * dt) / kappa, -np.expm1(-2 * kappa * dt) / (2 * kappa)
    d = y[1:] - np.exp(-kappa * dt) * y[:-1]
    h, g, d = np.append(h, 1 / kappa), np.append(g, 1 / (2 * kappa)), np.append(d, y[0])
    drift = (h * d / g).sum() / (h * h / g).sum()
    variance = ((d - drift * h) ** 2 / g).mean()
    found = ou.profile(kappa, y, dt, True)
    value = -0.5 * ((n + 1) * (np.log(2 * np.pi * variance) + 1) + np.log(g).sum())
    assert found.value == pytest.approx(value, rel=1e-10)
    assert found.drift == pytest.approx(drift, rel=1e-9)
    assert found.variance == pytest.approx(variance, rel=1e-9)


def test_too_short_a_series_is_refused():
    with pytest.raises(ValueError, match="at least"):
        hamilton_fit.fit(np.arange(20.0))
