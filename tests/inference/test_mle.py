"""Maximum likelihood: recovers, refuses, says what is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.labels import change_sd, permute
from basismodels.problem import bind


def hours(n):
    return pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")


def series(y):
    return bm.BasisSeries.from_basis(hours(len(y)), y)


CASES = {
    "ou": (bm.OU(), {"kappa": 0.1, "theta": 3.0, "sigma": 1.5}),
    "noise": (bm.OU() + bm.Noise(), {"kappa": 0.1, "theta": 3.0, "sigma": 1.5, "tau": 1.0}),
    "two": (
        bm.OU() + bm.SlowOU() + bm.Noise(),
        {"kappa": 0.6, "theta": 0.0, "sigma": 2.0, "slow.kappa": 0.01, "slow.sigma": 0.4, "tau": 0.5},
    ),
    "switching": (
        bm.Switching(bm.OU(), varies=("kappa", "theta", "sigma")),
        {
            "kappa[0]": 0.5, "kappa[1]": 0.08, "theta[0]": 0.0, "theta[1]": -30.0, "sigma[0]": 0.8, "sigma[1]": 3.0,
            "q[0->1]": 0.01, "q[1->0]": 0.02,
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_truth_is_recovered_within_its_standard_errors_and_the_start_is_not_the_truth(case):
    model, truth = CASES[case]
    fit = bm.fit(model, bm.simulate(model, truth, hours(6000), rng=11), starts=6)
    assert fit.ok, fit.diagnostics
    z = (fit.params - pd.Series(truth)) / fit.bse
    assert z.abs().max() < 4.0, z
    from basismodels.inference.starts import candidates

    first = candidates(fit.problem, 1, np.random.default_rng(0))[0]
    away = np.abs(fit.problem.spec.to_natural(first) - pd.Series(truth)[fit.names].to_numpy())
    if case != "ou":
        assert (away / fit.bse.to_numpy()).max() > 4.0


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_vanishes_at_the_maximum(case):
    model, truth = CASES[case]
    fit = bm.fit(model, bm.simulate(model, truth, hours(2000), rng=3), starts=4)
    _, gradient = fit.problem.engine.loglik_grad(fit.problem.layout, fit.x)
    decrement = gradient @ fit.cov @ gradient
    assert decrement < 1e-4


def test_the_same_seed_gives_the_same_bytes():
    data = bm.load_example(end="2024-02-20")
    model = bm.Switching(bm.OU() + bm.Noise())
    a, b = (bm.fit(model, data, starts=5, rng=7) for _ in range(2))
    assert a.x.tobytes() == b.x.tobytes()


def test_regimes_come_out_in_order_of_the_eight_hour_change():
    model, truth = CASES["switching"]
    fit = bm.fit(model, bm.simulate(model, truth, hours(2000), rng=3), starts=4)
    sd = change_sd(fit.problem, fit.x)
    assert sd[0] < sd[1]
    turned = permute(fit.problem.spec, fit.x, np.array([1, 0]))
    assert fit.problem.engine.loglik(fit.problem.layout, turned) == pytest.approx(fit.llf, abs=1e-8)
    assert np.array_equal(permute(fit.problem.spec, turned, np.array([1, 0])), fit.x)


def test_the_slow_level_is_the_slower_one():
    model, truth = CASES["two"]
    fit = bm.fit(model, bm.simulate(model, truth, hours(3000), rng=5))
    assert fit.params["slow.kappa"] < fit.params["kappa"]


def test_white_noise_is_named_as_reversion_within_one_step():
    fit = bm.fit(bm.OU(), series(np.random.default_rng(0).standard_normal(500)))
    assert not fit.ok
    assert any(d.code == "boundary" and "one step" in d.text for d in fit.diagnostics)
    assert "NOT TO BE TRUSTED" in fit.summary()


def test_twin_regimes_are_named():
    from basismodels.inference.diagnose import _regimes
    from basismodels.problem import bind

    data = bm.load_example(end="2024-01-31")
    problem = bind(bm.Switching(bm.OU()), data)
    values = {
        "kappa[0]": 0.1,
        "kappa[1]": 0.1,
        "theta": 0.0,
        "sigma[0]": 1.0,
        "sigma[1]": 1.0,
        "q[0->1]": 0.1,
        "q[1->0]": 0.1,
    }
    x = problem.spec.to_free(np.array([values[n] for n in problem.spec.names]))
    assert any(d.code == "twins" and d.fatal for d in _regimes(problem, x))


def test_an_unidentified_level_is_named():
    y = np.cumsum(np.random.default_rng(4).standard_normal(400))
    fit = bm.fit(bm.OU(), series(y))
    if fit.params["kappa"] * 400 < 3:
        assert any(d.code == "theta" for d in fit.diagnostics)
    else:
        pytest.fail("the random walk of this seed was meant to look nearly integrated")


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_scale_and_shift_of_the_basis(scale):
    y = bm.load_example(end="2024-02-10").basis
    a, b = bm.fit(bm.OU() + bm.Noise(), series(y)), bm.fit(bm.OU() + bm.Noise(), series(scale * y + 7 * scale))
    assert b.params["kappa"] == pytest.approx(a.params["kappa"], rel=1e-4)
    assert b.params["sigma"] == pytest.approx(scale * a.params["sigma"], rel=1e-4)
    assert b.llf == pytest.approx(a.llf - len(y) * np.log(scale), abs=1e-4)


def test_masked_rows_are_left_out_unless_asked_for():
    data = bm.load_example(end="2024-01-31")
    mask = np.zeros(data.n, dtype=bool)
    mask[100:110] = True
    masked = data.with_mask(mask)
    assert bm.fit(bm.OU(), masked).nobs == data.n - 10
    assert bm.fit(bm.OU(), masked, mask=False).nobs == data.n


def test_conditional_start_loses_one_observation():
    data = bm.load_example(end="2024-01-31")
    fit = bm.fit(bm.OU(), data, initial="conditional")
    assert fit.nobs == data.n - 1
    assert np.isnan(fit.log_density.iloc[0])
    assert fit.log_density.sum() == pytest.approx(fit.llf)


def test_pointwise_densities_add_up_to_the_log_likelihood():
    data = bm.load_example(end="2024-01-31")
    for model in (bm.OU(), bm.preset("two-factor"), bm.Switching(bm.OU()), bm.Switching(bm.OU() + bm.Noise())):
        fit = bm.fit(model, data, starts=2)
        assert fit.log_density.sum() == pytest.approx(fit.llf, abs=1e-6)


def test_regime_frame_adds_to_one():
    fit = bm.fit(bm.Switching(bm.OU()), bm.load_example(end="2024-01-31"), starts=2)
    for kind in ("filtered", "smoothed", "predicted"):
        assert np.allclose(fit.regimes[kind].sum(axis=1), 1.0)
    assert np.allclose(fit.regimes["filtered"].iloc[-1], fit.regimes["smoothed"].iloc[-1])


@pytest.mark.parametrize(("argument", "word"), [({"starts": 0}, "starts"), ({"initial": "random"}, "initial")])
def test_bad_arguments_are_refused(argument, word):
    with pytest.raises(bm.ModelError, match=word):
        bm.fit(bm.OU(), bm.load_example(end="2024-01-10"), **argument)


@pytest.mark.parametrize(("slow", "said"), [(0.9, ["factors"]), (0.01, [])])
def test_a_slow_level_faster_than_the_usual_regime_is_said(slow, said):
    from basismodels.inference.diagnose import _regimes

    problem = bind(bm.preset("switching-two-factor"), bm.load_example(end="2024-01-20"))
    values = {"kappa[0]": 0.2, "kappa[1]": 0.4, "theta": 0.0, "sigma[0]": 1.0, "sigma[1]": 4.0, "slow.kappa": slow}
    values |= {"slow.sigma": 0.3, "tau[0]": 0.7, "tau[1]": 2.0, "q[0->1]": 0.01, "q[1->0]": 0.1}
    x = problem.spec.to_free(np.array([values[n] for n in problem.spec.names]))
    assert [d.code for d in _regimes(problem, x) if d.code == "factors"] == said

@pytest.mark.parametrize("formula", ["1 + three", "1 + y + I(2 * y)"])
def test_a_column_that_adds_nothing_is_named(formula):
    data = bm.load_example(start="2024-01-02", end="2024-01-11")
    y = np.sin(np.arange(len(data.time)))
    own = pd.DataFrame({"three": 3.0, "y": y}, index=data.time)
    data = bm.BasisSeries.from_basis(data.time, data.basis, covariates=own)
    fit = bm.fit(bm.OU(theta=formula), data)
    assert not fit.ok
    (found,) = [d for d in fit.diagnostics if d.code == "collinear"]
    assert found.text.startswith(formula.split(" + ")[-1])
    whole = bm.fit(bm.OU(theta="0 + three"), data)
    assert whole.ok, "alone it is a scale of the level"
    assert 3.0 * whole.params["theta:three"] == pytest.approx(bm.fit(bm.OU(), data).params["theta"], abs=1e-4)


def test_a_rate_that_is_the_same_but_for_its_last_digit_does_not_move():
    fit = bm.fit(bm.OU(kappa="1 + funding"), bm.load_example(start="2024-01-02", end="2024-01-11"))
    assert "kappa:funding" not in fit.params.index
    assert any("does not move" in d.text for d in fit.diagnostics)
