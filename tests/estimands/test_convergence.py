"""Half-lives: by their definition, by limits, and with an upper end that may be infinite."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.engine import objective
from basismodels.estimands.convergence import total_half_life
from basismodels.estimands.total_root import TotalRoot
from basismodels.inference.studentised import studentised_function
from basismodels.problem import bind


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


@pytest.fixture(scope="module")
def walk():
    """A random walk: no reversion to be found."""
    return bm.BasisSeries.from_basis(hours(400), np.cumsum(np.random.default_rng(4).standard_normal(400)))


def test_a_random_walk_has_an_infinite_upper_limit(walk):
    total, part = bm.half_life(bm.fit(bm.OU(), walk), method="profile")
    assert math.isinf(part.upper)
    assert math.isfinite(part.lower)
    assert total.component == "total"
    assert "inf" in str(part)


def test_one_component_is_its_own_total(walk):
    fit = bm.fit(bm.OU(), walk)
    total, part = bm.half_life(fit, method="wald")
    assert total.value == part.value == pytest.approx(math.log(2) / fit.params["kappa"])


def test_the_combined_half_life_is_where_half_the_autocovariance_is_gone():
    data = bm.BasisSeries.from_basis(hours(50), np.arange(50) % 2.0)
    problem = bind(bm.OU() + bm.SlowOU(), data)
    kappa, sigma, slow, vol = 0.6, 2.0, 0.01, 0.25
    x = problem.spec.to_free(
        np.array(
            [
                {"kappa": kappa, "theta": 0.0, "sigma": sigma, "slow.kappa": slow, "slow.sigma": vol}[n]
                for n in problem.spec.names
            ]
        )
    )
    h = total_half_life(problem, x)
    fast, wander = sigma**2 / (2 * kappa), vol**2 / (2 * slow)
    left = (fast * math.exp(-kappa * h) + wander * math.exp(-slow * h)) / (fast + wander)
    assert left == pytest.approx(0.5, abs=1e-9)


def test_twin_regimes_converge_as_one():
    data = bm.BasisSeries.from_basis(hours(50), np.arange(50) % 2.0)
    problem = bind(bm.Switching(bm.OU()), data)
    values = {
        "kappa[0]": 0.3,
        "kappa[1]": 0.3,
        "theta": 1.0,
        "sigma[0]": 1.0,
        "sigma[1]": 3.0,
        "q[0->1]": 0.1,
        "q[1->0]": 0.2,
    }
    x = problem.spec.to_free(np.array([values[n] for n in problem.spec.names]))
    assert total_half_life(problem, x) == pytest.approx(math.log(2) / 0.3, rel=1e-9)


def displaced(kappa, theta, sigma, q):
    """A bound model of two levels, and its parameters."""
    data = bm.BasisSeries.from_basis(hours(50), np.arange(50) % 2.0)
    problem = bind(bm.Switching(bm.OU(), varies=("kappa", "theta", "sigma")), data)
    pairs = {"kappa": kappa, "theta": theta, "sigma": sigma}
    values = {f"{name}[{k}]": pair[k] for name, pair in pairs.items() for k in (0, 1)}
    values |= {"q[0->1]": q[0], "q[1->0]": q[1]}
    return problem, problem.spec.to_free(np.array([values[n] for n in problem.spec.names]))


def test_levels_that_change_are_part_of_the_gap():
    """One speed: noise reverts with it, and a telegraph of two levels is smoothed by it: both known."""
    kappa, sigma, (up, down), step = 0.5, 0.7, (1 / 720, 1 / 72), -60.0
    h = total_half_life(*displaced((kappa, kappa), (0.0, step), (sigma, sigma), (up, down)))
    rate = up + down
    variance = up * down / rate**2 * step**2

    def covariance(h):
        level = variance * kappa * (kappa * math.exp(-rate * h) - rate * math.exp(-kappa * h)) / (kappa**2 - rate**2)
        return sigma**2 / (2.0 * kappa) * math.exp(-kappa * h) + level

    assert covariance(h) == pytest.approx(0.5 * covariance(0.0), rel=1e-8)
    assert 40.0 < h < 50.0


def test_speed_and_level_that_change_together_against_simulation():
    problem, x = displaced((0.3174, 0.0326), (0.0088, 22.77), (1.52, 3.92), (0.0117, 0.0517))
    h = total_half_life(problem, x)
    names = dict(zip(problem.spec.names, problem.spec.to_natural(x), strict=True))
    y = np.asarray(bm.simulate(problem.model, names, hours(400_000), rng=1).basis)
    centred = y - y.mean()
    acf = [float(centred[:-lag] @ centred[lag:]) / float(centred @ centred) for lag in (11, 12, 13)]
    assert np.interp(h, [11.0, 12.0, 13.0], acf) == pytest.approx(0.5, abs=0.02)


def test_speed_is_read_at_given_covariates():
    rng = np.random.default_rng(2)
    z = pd.DataFrame({"z": np.repeat([0.0, 1.0], 1000)}, index=hours(2000))
    shape = bm.BasisSeries.from_basis(hours(2000), np.arange(2000) % 2.0, covariates=z)
    truth = {"kappa": 0.1, "kappa:z": 1.5, "theta": 0.0, "sigma": 1.0}
    data = bm.simulate(bm.OU(kappa="1 + z"), truth, shape, rng=rng)
    fit = bm.fit(bm.OU(kappa="1 + z"), data)
    slow, fast = (bm.half_life(fit, at={"z": v})[0] for v in (0.0, 1.0))
    assert slow.value == pytest.approx(math.log(2) / fit.params["kappa"])
    assert fast.value == pytest.approx(math.log(2) / (fit.params["kappa"] * math.exp(fit.params["kappa:z"])))
    assert slow.lower < math.log(2) / 0.1 < slow.upper
    assert fast.lower < math.log(2) / (0.1 * math.exp(1.5)) < fast.upper
    with pytest.raises(bm.ModelError, match="nope"):
        bm.half_life(fit, at={"nope": 1.0})


def test_unknown_method_and_level_are_refused(walk):
    fit = bm.fit(bm.OU(), walk)
    with pytest.raises(bm.ModelError, match="there are"):
        bm.half_life(fit, method="magic")
    with pytest.raises(bm.ModelError, match="level"):
        bm.half_life(fit, level=1.0)


def test_stationary_sd_and_shares():
    from basismodels.estimands.convergence import shares, stationary_sd

    fit = bm.fit(bm.preset("two-factor"), bm.load_example(end="2024-03-10"))
    p = fit.params
    fast, slow = p["sigma"] ** 2 / (2 * p["kappa"]), p["slow.sigma"] ** 2 / (2 * p["slow.kappa"])
    assert stationary_sd(fit) == pytest.approx(math.sqrt(fast + slow))
    assert shares(fit)["slow"] == pytest.approx(slow / (fast + slow))


def test_limits_of_a_speed_of_covariates_do_without_the_other_estimates():
    z = pd.DataFrame({"z": np.sin(np.arange(1500) / 50.0)}, index=hours(1500))
    shape = bm.BasisSeries.from_basis(hours(1500), np.arange(1500) % 2.0, covariates=z)
    truth = {"kappa": 0.3, "kappa:z": 0.5, "theta": 0.0, "sigma": 1.0}
    data = bm.simulate(bm.OU(kappa="1 + z"), truth, shape, rng=3)
    fit = bm.fit(bm.OU(kappa="1 + z"), data)
    speed = fit.params["kappa"] * np.exp(fit.params["kappa:z"])
    one = bm.half_life(fit, at={"z": 1.0}, method="wald")[1]
    drawn = np.log(2.0) / np.array([np.exp(x[0] + x[1]) for x in bm.draws_of(fit, 4000, rng=1)])
    assert one.value == pytest.approx(np.log(2.0) / speed)
    assert (one.lower, one.upper) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=0.02)
    noisy = bm.fit(bm.OU(kappa="1 + z") + bm.Noise(), data)
    assert not np.isfinite(noisy.bse["tau"]), "the noise is at its bound"
    bound = bm.half_life(noisy, at={"z": 1.0})[1]
    assert bound.lower < np.log(2.0) / 0.49 < bound.upper


@pytest.fixture(scope="module")
def two_speeds():
    truth = {"kappa": 0.2, "theta": 0.0, "sigma": 1.0, "tau": 0.5, "slow.kappa": 0.006, "slow.sigma": 0.18}
    model = bm.OU() + bm.SlowOU() + bm.Noise()
    return bm.fit(model, bm.simulate(model, truth, hours(800), rng=2), starts=3)


def test_limits_of_the_combined_half_life_are_where_its_own_likelihood_has_fallen(two_speeds):
    fit = two_speeds
    total = bm.half_life(fit, method="profile")[0]
    assert total.method == "profile"
    root = TotalRoot(fit, lambda x: total_half_life(fit.problem, x))
    assert root.estimate == pytest.approx(math.log(2.0) / total.value)
    for limit, sign in ((total.lower, -1.0), (total.upper, 1.0)):
        signed, x = root.root(math.log(2.0) / limit)
        assert signed == pytest.approx(sign * 1.96, abs=0.05)
        assert total_half_life(fit.problem, x) == pytest.approx(limit, rel=1e-4)
        fallen = fit.llf + objective(fit.problem.engine, fit.problem.layout)(x)[0]
        assert 2.0 * fallen == pytest.approx(1.96**2, abs=0.2)


def test_the_combined_half_life_is_judged_by_the_law_of_a_slow_level(two_speeds):
    """A slow level's speed is estimated too high: the interval reaches further up than the profile's, as its own."""
    inverted, profiled = (bm.half_life(two_speeds, method=m) for m in ("inversion", "profile"))
    assert inverted[0].method == "inversion"
    assert inverted[0].lower < inverted[0].value < inverted[0].upper
    for part in (0, 2):
        assert inverted[part].upper > profiled[part].upper
        assert inverted[part].lower > profiled[part].lower


def test_the_combined_half_life_of_regimes_is_studentised():
    """One regime in effect: the limits of the total are those of its only speed, from the same refits."""
    truth = {"kappa": 0.2, "theta": 0.0, "sigma[0]": 0.5, "sigma[1]": 2.0, "q[0->1]": 0.02, "q[1->0]": 0.05}
    model = bm.Switching(bm.OU(), regimes=2, varies=("sigma",))
    fit = bm.fit(model, bm.simulate(model, truth, hours(600), rng=1), starts=3)
    low, high = studentised_function(fit, _own, draws=40, rng=1)
    limits = bm.conf_int(fit, "studentised", draws=40, rng=1).loc["kappa"]
    assert low == pytest.approx(math.log(2.0) / limits["upper"], rel=0.05)
    assert high == pytest.approx(math.log(2.0) / limits["lower"], rel=0.25)
    total = bm.half_life(fit, draws=40, rng=1)[0]
    assert total.method == "studentised"
    assert total.lower < total.value < total.upper


def _own(problem, x):
    return math.log(2.0) / problem.spec.to_natural(x)[problem.spec.position("kappa")]


def test_draws_that_overflow_leave_the_total_without_limits(two_speeds):
    """A slow level that the data do not show has a law of draws without meaning: no limits rather than an error."""
    wild = two_speeds.cov.copy()
    i = two_speeds.problem.spec.position("slow.sigma")
    wild[i, i] = 1e12
    total = bm.half_life(replace(two_speeds, cov=wild), method="wald")[0]
    assert math.isnan(total.lower)
    assert math.isnan(total.upper)
    assert total.value == pytest.approx(total_half_life(two_speeds.problem, two_speeds.x))
