"""Every gradient against extrapolated differences."""

from __future__ import annotations

import numpy as np
import pytest

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.slow import SlowOU
from basismodels.likelihood import discrete, hamilton, kalman, kim
from basismodels.problem import bind


def differences(f, x, unit=3e-4):
    """Central differences at two widths, extrapolated to zero width (Richardson 1911)."""
    out = np.empty(len(x))
    for i in range(len(x)):
        e = np.zeros(len(x))
        e[i] = unit * max(1.0, abs(x[i]))
        near, far = f(x + e) - f(x - e), f(x + 2 * e) - f(x - 2 * e)
        out[i] = (8 * near - far) / (12 * e[i])
    return out


def agree(analytic, numeric, rel=1e-7):
    scale = np.maximum(np.abs(numeric), 1e-2 * np.abs(numeric).max()) + 1e-300
    assert np.max(np.abs(analytic - numeric) / scale) < rel, (analytic, numeric)


def test_of_every_model(bound, point):
    """All components, formulas, links and starts, through the three stages."""
    x = point(bound, seed=len(bound.spec))
    _, gradient = bound.engine.loglik_grad(bound.layout, x)
    agree(gradient, differences(lambda at: bound.engine.loglik(bound.layout, at), x))


# kernels of their own, compiled for nothing else
LONG = pytest.mark.long


@pytest.mark.parametrize("kappa", [0.3, 1e-9, -0.01])
@pytest.mark.parametrize("model", [OU(), OU() + Noise(), OU() + SlowOU() + Noise()], ids=repr)
def test_across_zero_speed(model, kappa, series):
    """One regime with kappa itself as the coefficient, conditional start: nothing happens at zero."""
    made = bind(model, series(60), initial="conditional", kappa_link="identity")
    values = {"kappa": kappa, "theta": 2.0, "sigma": 1.0, "tau": 0.4, "slow.kappa": 0.02, "slow.sigma": 0.3}
    x = made.spec.to_free(np.array([values[name] for name in made.spec.names]))
    _, gradient = made.engine.loglik_grad(made.layout, x)
    agree(gradient, differences(lambda at: made.engine.loglik(made.layout, at), x))


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize(
    ("regimes", "depth", "parts"), [(2, 2, 1), pytest.param(2, 3, 2, marks=LONG), pytest.param(3, 2, 1, marks=LONG)]
)
def test_at_every_depth(case, regimes, depth, parts, diffuse):
    """Moments kept over histories: each table, gaps included."""
    y, row, steps, start = case(regimes, 12, 3, parts=parts, diffuse=diffuse, distinct=3)
    _, bars, _ = kim.loglik_grad(y, row, steps, start, depth)
    for name in ("phi", "c", "v", "tau2", "rho", "w", "p"):
        table = getattr(steps, name)
        skip = 1 if name == "p" else 0

        def value(flat, name=name, table=table, skip=skip):
            moved = table.copy()
            moved[skip:] = flat.reshape(table[skip:].shape)
            return kim.loglik(y, row, steps._replace(**{name: moved}), start, depth)

        agree(getattr(bars, name)[skip:].ravel(), differences(value, table[skip:].ravel(), 1e-4))


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize(
    ("kernel", "regimes", "parts"),
    [(kim, 1, 1), (kim, 2, 1), (kim, 2, 2), (kim, 3, 1), pytest.param(kim, 4, 1, marks=LONG), (kalman, 1, 1)]
    + [(hamilton, k, 1) for k in (1, 2, 3, 4)]
    + [pytest.param(hamilton, k, 1, marks=LONG) for k in (5, 6)],
)
def test_of_every_step_coefficient(case, kernel, regimes, parts, diffuse):
    """Each entry of each table, and the start; noise, slow level and gaps where the kernel takes them."""
    state = {} if kernel is kim else {"slow": False}
    if kernel is hamilton:
        state |= {"noise": 0.0, "missing": False}
    y, row, steps, start = case(regimes, 12, 3, parts=parts, diffuse=diffuse, distinct=3, **state)
    _, bars, back = kernel.loglik_grad(y, row, steps, start)
    names = {kim: ("phi", "c", "v", "tau2", "share", "rho", "w", "p"), kalman: ("phi", "c", "v", "tau2")}
    for name in names.get(kernel, ("phi", "c", "v", "p")):
        if name == "share" and parts == 1:
            continue
        table = getattr(steps, name)
        skip = 1 if name == "p" else 0

        def value(flat, name=name, table=table, skip=skip):
            moved = table.copy()
            moved[skip:] = flat.reshape(table[skip:].shape)
            return kernel.loglik(y, row, steps._replace(**{name: moved}), start)

        if kernel is hamilton and name != "p":
            skip = 1
        numeric = differences(lambda flat, f=value, s=skip: f(flat, skip=s), table[skip:].ravel(), 1e-4)
        agree(getattr(bars, name)[skip:].ravel(), numeric)
    if not diffuse:
        mean = differences(
            lambda at: kernel.loglik(y, row, steps, start._replace(mean=np.column_stack([at, start.mean[:, 1]]))),
            start.mean[:, 0],
        )
        agree(back.mean[:, 0], mean)
        var = differences(
            lambda at: kernel.loglik(
                y, row, steps, start._replace(var=np.column_stack([at, start.var[:, 1:]]))
            ),
            start.var[:, 0], 1e-4,
        )  # fmt: skip
        agree(back.var[:, 0], var)


@pytest.mark.parametrize("lag", ["no", "shared", "switching"])
@pytest.mark.parametrize("free_start", [False, True])
@pytest.mark.parametrize("regimes", [2, 3])
def test_of_the_discrete_form(lag, free_start, regimes):
    g = np.random.default_rng(regimes)
    y = np.cumsum(g.normal(size=60)) * 0.3
    z = np.column_stack([np.ones(60), g.normal(size=60)])
    model = discrete.Regression(
        y, z, regimes, (True, False), lag=lag, variance_switches=regimes == 2, free_start=free_start
    )
    x = 0.4 * g.normal(size=model.places.size)
    value, gradient = discrete.loglik_grad(model, x)
    assert np.isfinite(value)
    agree(gradient, differences(lambda at: discrete.loglik_grad(model, at)[0], x))
