"""Cases the kernels are tried on: step coefficients drawn at random, and bound models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from basismodels.components.noise import Noise
from basismodels.components.ou import OU
from basismodels.components.settlement import Settlement
from basismodels.components.slow import SlowOU
from basismodels.components.switching import Switching
from basismodels.likelihood.kim import Start, Steps
from basismodels.problem import Problem, bind
from basismodels.series import BasisSeries


class Case(NamedTuple):
    """What every kernel takes."""

    y: np.ndarray
    row: np.ndarray
    steps: Steps
    start: Start


def make_case(
    regimes: int = 2,
    n: int = 8,
    seed: int = 0,
    *,
    parts: int = 1,
    noise: float = 0.5,
    slow: bool = True,
    missing: bool = True,
    diffuse: bool = False,
    distinct: int = 5,
) -> Case:
    """Random step coefficients, one explosive regime among them, a different transition matrix each step."""
    g = np.random.default_rng(seed)
    m, k = distinct, regimes
    row = g.integers(1, m, n)
    row[0] = 0
    share = g.dirichlet(np.ones(parts) * 3, m)
    on = 1.0 if slow else 0.0
    steps = Steps(
        np.exp(-g.uniform(-0.1, 1.0, (m, k))), g.normal(size=(m, k)), g.uniform(0.2, 2.0, (m, k)),
        noise * g.uniform(0.2, 1.0, (m, k, parts)), share,
        on * g.uniform(0.8, 0.99, m), on * g.uniform(0.1, 0.3, m), g.dirichlet(np.ones(k) * 2, (m, k)),
    )  # fmt: skip
    for part, still in zip(steps, (1.0, 0.0, 0.0, None, None, on, 0.0, np.eye(k)), strict=True):
        if still is not None:
            part[0] = still
    y = 0.5 * np.cumsum(g.normal(size=n)) + 0.3
    if missing:
        y[1:][g.uniform(size=n - 1) < 0.25] = np.nan
    var = np.column_stack([g.uniform(1.0, 2.0, k), np.zeros(k), np.full(k, 0.7 * on)])
    mean = np.column_stack([g.normal(size=k), np.zeros(k)])
    flag = np.full(k, 1.0 if diffuse else 0.0)
    return Case(y, row, steps, Start(g.dirichlet(np.ones(k)), mean, var, flag, -3.0 if diffuse else 0.0))


@pytest.fixture
def case() -> Callable[..., Case]:
    """Factory of random cases."""
    return make_case


def make_series(n: int = 300, seed: int = 1, *, gaps: bool = True) -> BasisSeries:
    """A wandering basis with covariates z and w; hourly with dropped rows and missing values."""
    g = np.random.default_rng(seed)
    time = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")
    keep = np.ones(n, dtype=bool)
    y = 0.5 * np.cumsum(g.normal(size=n)) + 3.0
    if gaps:
        keep[1:-1] = g.uniform(size=n - 2) > 0.1
        y[n // 10 : n // 10 + 3] = np.nan
    extra = pd.DataFrame({"z": g.normal(size=n), "w": g.normal(size=n)}, index=time)
    return BasisSeries.from_basis(time[keep], y[keep], covariates=extra[keep])


@pytest.fixture
def series() -> Callable[..., BasisSeries]:
    """Factory of small irregular series."""
    return make_series


def at_point(problem: Problem, seed: int = 0, jitter: float = 0.2) -> np.ndarray:
    """A plausible free vector of a bound problem."""
    g = np.random.default_rng(seed)
    natural = {
        "kappa": 0.3, "theta": 2.0, "sigma": 1.1, "innovation": 0.9, "nu": 5.0, "tau": 0.4, "slow.kappa": 0.02,
        "slow.sigma": 0.4, "q": 0.05, "chain_start": 0.3, "outlier.share": 0.12, "outlier.scale": 2.7,
    }  # fmt: skip
    plain = [natural[c.param] if c.column == "Intercept" else 0.1 for c in problem.spec.coefficients]
    return problem.spec.to_free(np.array(plain)) + jitter * g.uniform(-1.0, 1.0, len(plain))


@pytest.fixture
def point() -> Callable[..., np.ndarray]:
    """Factory of free vectors."""
    return at_point


MODELS: dict[str, Callable[[], Any]] = {
    "ou": OU,
    "random walk": lambda: OU(kappa=0),
    "ou, formulas": lambda: OU(kappa="1 + z", theta="1 + w", sigma="1 + z"),
    "ou-noise": lambda: OU() + Noise(),
    "two-factor": lambda: OU() + SlowOU() + Noise(),
    "two-factor, formulas": lambda: OU(kappa="1 + z") + SlowOU(sigma="1 + w") + Noise(tau="1 + z"),
    "two-factor, fixed": lambda: OU(kappa=0.1) + SlowOU(kappa=0.01) + Noise(tau=0.2),
    "outliers": lambda: OU() + Noise(outliers=True),
    "ou, jump": lambda: OU(kappa="1 + z") + Settlement(jump="0 + w"),
    "switching-ou, jump": lambda: Switching(OU() + Settlement(jump="0 + w + z"), 2),
    "switching-two-factor, jump": lambda: Switching(OU() + SlowOU() + Noise() + Settlement(jump="0 + w"), 2),
    "innovation": lambda: OU(kappa="1 + z", innovation="1 + w") + Noise(),
    "switching-ou, innovation": lambda: Switching(OU(innovation="1"), 2, varies=("kappa", "theta")),
    "switching-two-factor, innovation": lambda: Switching(OU(innovation="1") + SlowOU() + Noise(), 2),
    "ou, student": lambda: OU(kappa="1 + z", nu="1"),
    "switching-ou, student": lambda: Switching(OU(theta="1 + w", nu="1"), 2, varies=("kappa", "sigma", "nu")),
    "three regimes, student": lambda: Switching(OU(innovation="1", nu=4), 3, varies=("kappa", "theta")),
    "switching-ou": lambda: Switching(OU(), 2),
    "switching-ou, all vary": lambda: Switching(OU(), 2, varies=("kappa", "theta", "sigma"), chain_start="free"),
    "switching-ou, rates": lambda: Switching(
        OU(kappa="1 + z"), 3, varies=("kappa:z", "theta", "sigma"), transition="1 + z"
    ),
    "switching-two-factor": lambda: Switching(OU() + SlowOU() + Noise(), 2),
    "switching-two-factor, rates": lambda: Switching(OU(theta="1 + w") + SlowOU() + Noise(), 2, transition="1 + z"),
    "three regimes": lambda: Switching(
        OU() + SlowOU() + Noise(), 3, varies=("kappa", "theta", "sigma", "tau"), chain_start="free"
    ),
    "switching outliers": lambda: Switching(
        OU(kappa="1 + z") + Noise(outliers=True, tau="1 + w"), 2, varies=("kappa:z", "sigma")
    ),
}


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest) -> Any:
    """Every component and every kind of formula."""
    return MODELS[request.param]()


@pytest.fixture(params=["stationary", "conditional"])
def initial(request: pytest.FixtureRequest) -> str:
    """Both starts."""
    return str(request.param)


@pytest.fixture
def bound(model: Any, initial: str) -> Problem:
    """Every model bound to an irregular series under both starts; no gaps where Hamilton's filter serves."""
    own = set(getattr(model, "formulas", dict)())
    gaps = bool({"tau", "slow.kappa"} & own) or (getattr(model, "regimes", 1) == 1 and "nu" not in own)
    return bind(model, make_series(gaps=gaps), initial=initial)
