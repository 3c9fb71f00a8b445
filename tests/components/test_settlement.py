"""The jump of the basis at payments: its law, its gradient, and every call that has to carry it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.ahead import steps_ahead
from basismodels.likelihood import brute
from basismodels.likelihood.assemble import bound as bound_at
from basismodels.likelihood.assemble import coefficients
from basismodels.likelihood.hamilton_layout import places
from basismodels.problem import bind

HOURS = pd.date_range("2024-01-01", periods=960, freq="h", tz="UTC")
PAID = bm.Settlement(jump="0 + paid")
TRUTH = {
    "kappa": 0.1, "theta": 2.0, "sigma": 1.0, "tau": 0.5, "slow.kappa": 0.01, "slow.sigma": 0.2, "jump:paid": 0.5,
    "kappa[0]": 0.1, "kappa[1]": 0.3, "sigma[0]": 0.8, "sigma[1]": 2.5, "tau[0]": 0.3, "tau[1]": 0.6,
    "q[0->1]": 0.02, "q[1->0]": 0.05, "theta:paid": 0.3,
}  # fmt: skip
MODELS = {
    "ou": bm.OU() + PAID,
    "ou-noise": bm.OU() + bm.Noise() + PAID,
    "two-factor": bm.OU() + bm.SlowOU() + PAID + bm.Noise(),
    "outliers": bm.OU(theta="1 + paid") + bm.Noise(outliers=True) + PAID,
    "switching": bm.Switching(bm.OU() + PAID),
    "switching-level": bm.Switching(bm.OU() + PAID, varies=("theta", "sigma")),
    "switching-two-factor": bm.Switching(bm.OU() + bm.SlowOU() + bm.Noise() + PAID),
}


def series(rows: int = 960, seed: int = 0, size: float = 4.0) -> bm.BasisSeries:
    """A random walk in its range beside payments of `size` bps every eighth hour."""
    rng = np.random.default_rng(seed)
    paid = np.where(np.arange(rows) % 8 == 0, size * rng.normal(size=rows), 0.0)
    frame = pd.DataFrame({"paid": paid}, index=HOURS[:rows])
    return bm.BasisSeries.from_basis(HOURS[:rows], rng.normal(size=rows).cumsum() % 11, covariates=frame)


def simulated(model: bm.Model, seed: int, **changed: float) -> bm.BasisSeries:
    names = bind(model, series()).spec.names
    return bm.simulate(model, {name: ({**TRUTH, **changed})[name] for name in names}, series(), rng=seed)


def point(problem, seed: int = 0):
    """A free vector near the truth."""
    known = {**TRUTH, "outlier.share": 0.05, "outlier.scale": 4.0, "theta[0]": 1.0, "theta[1]": 3.0}
    x = problem.spec.to_free(np.array([known[name] for name in problem.spec.names]))
    return x + 0.05 * np.random.default_rng(seed).normal(size=len(x))


@pytest.mark.parametrize("effect", [0.5, 0.0])
@pytest.mark.parametrize("name", ["ou", "two-factor"])
def test_the_coefficient_comes_back(name: str, effect: float) -> None:
    found = []
    for seed in range(3):
        fit = bm.fit(MODELS[name], simulated(MODELS[name], seed, **{"jump:paid": effect}), starts=4)
        found.append((fit.params["jump:paid"] - effect) / fit.bse["jump:paid"])
        assert fit.bse["jump:paid"] < 0.05
    assert max(map(abs, found)) < 4.0
    assert abs(np.mean(found)) < 4.0 / math.sqrt(3.0)


@pytest.mark.parametrize("initial", ["stationary", "conditional"])
@pytest.mark.parametrize("name", MODELS)
def test_gradient(name: str, initial: str) -> None:
    made = bind(MODELS[name], series(60), initial=initial)
    x = point(made)
    _, gradient = made.engine.loglik_grad(made.layout, x)
    numeric = np.empty(len(x))
    for i in range(len(x)):
        e = np.zeros(len(x))
        e[i] = 3e-4 * max(1.0, abs(x[i]))
        near = made.engine.loglik(made.layout, x + e) - made.engine.loglik(made.layout, x - e)
        far = made.engine.loglik(made.layout, x + 2 * e) - made.engine.loglik(made.layout, x - 2 * e)
        numeric[i] = (8 * near - far) / (12 * e[i])
    assert gradient == pytest.approx(numeric, rel=1e-7, abs=1e-8 * np.abs(numeric).max())
    assert abs(gradient[made.spec.position("jump:paid")]) > 1e-3


def test_without_noise_it_is_a_regression_on_the_basis_and_the_payment() -> None:
    data = simulated(MODELS["ou"], 5)
    fit = bm.fit(MODELS["ou"], data, initial="conditional")
    y, z = data.basis, data.covariates["paid"].to_numpy()
    rows = np.column_stack([np.ones(len(y) - 1), y[:-1], z[:-1]])
    (_, phi, paid), squares, *_ = np.linalg.lstsq(rows, y[1:], rcond=None)
    n, variance = len(y) - 1, squares[0] / (len(y) - 1)
    assert fit.params["kappa"] == pytest.approx(-math.log(phi), rel=1e-4)
    assert fit.params["jump:paid"] == pytest.approx(paid / phi, rel=1e-4)
    assert fit.llf == pytest.approx(-0.5 * n * (math.log(2 * math.pi * variance) + 1.0), abs=1e-6)


@pytest.mark.parametrize("model", [bm.OU() + bm.Noise(), bm.parse_model("ou")], ids=repr)
def test_a_number_fixes_the_coefficient_of_funding_paid(model: bm.Model) -> None:
    data = bm.funding.attach(bm.load_example(end="2024-02-10"), bm.funding.rule("binance", "BTCUSDT", at="2024-01-01"))
    free, plain = bm.fit(model + bm.Settlement(), data), bm.fit(model, data)
    at = float(free.params["jump:funding_paid"])
    assert bm.fit(model + bm.Settlement(jump=at), data).llf == pytest.approx(free.llf, abs=1e-6)
    assert bm.fit(model + bm.Settlement(jump=0), data).llf == pytest.approx(plain.llf, abs=1e-8)
    whole = bm.fit(model + bm.Settlement(jump=1.0), data)
    assert whole.names == plain.names
    assert abs(whole.llf - plain.llf) > 1e-3
    assert free.llf >= max(whole.llf, plain.llf) - 1e-6


def test_fast_paths_stand_aside() -> None:
    """Each would leave the jump out and give the same likelihood with and without it."""
    data = bm.funding.attach(simulated(bm.OU() + bm.Noise(), 1), bm.funding.rule("binance", "BTCUSDT", at="2024-01-01"))
    for model in (bm.OU(), bm.OU() + bm.Noise()):
        with_jump = bm.fit(model + bm.Settlement(jump=3.0), data)
        assert abs(with_jump.llf - bm.fit(model, data).llf) > 1.0
        frame = bm.conf_int(with_jump)
        assert ((frame["lower"] < with_jump.params) & (with_jump.params < frame["upper"])).all()
    bare, jumping = (bind(bm.Switching(model), data) for model in (bm.OU(), bm.OU() + bm.Settlement()))
    assert places(bare.layout) is not None
    assert places(jumping.layout) is None


def test_every_history_summed_up() -> None:
    longer = bind(MODELS["switching-two-factor"], simulated(MODELS["switching-two-factor"], 2))
    made = longer.layout._replace(y=longer.layout.y[:3], row=longer.layout.row[:3])
    steps, start = coefficients(made, point(longer))
    exact = brute.loglik(made.y, made.row, steps, start)
    assert longer.engine.kernel.loglik(made.y, made.row, steps, start, 3) == pytest.approx(exact, abs=1e-8)


def test_a_long_step_takes_the_jump_once() -> None:
    """Twin regimes are one regime, however finely their steps are split."""
    data = simulated(MODELS["ou-noise"], 3).cut(end="2024-01-08")
    one = bind(MODELS["ou-noise"], data)
    expected = one.engine.loglik(one.layout, one.spec.to_free(np.array([0.1, 2.0, 1.0, 0.5, 0.5])))
    for step in (1.0, 0.5, 0.25):
        two = bind(bm.Switching(MODELS["ou-noise"], varies="sigma", max_step=step), data)
        values = {**TRUTH, "sigma[0]": 1.0, "sigma[1]": 1.0}
        x = two.spec.to_free(np.array([values[name] for name in two.spec.names]))
        assert two.engine.loglik(two.layout, x) == pytest.approx(expected, abs=1e-7)


def test_a_missing_row_at_the_payment_puts_the_jump_in_its_place() -> None:
    """Closes at the half hour, payments at full hours: the mean of the next close by hand."""
    time = pd.DatetimeIndex(["2024-01-01 07:30", "2024-01-01 08:00", "2024-01-01 08:30"], tz="UTC")
    filler = pd.date_range("2024-01-01 09:30", periods=40, freq="h", tz="UTC")
    basis = np.r_[3.0, np.nan, 5.0, np.arange(40.0) % 3]
    paid = pd.DataFrame({"paid": np.r_[0.0, 4.0, np.zeros(41)]}, index=time.append(filler))
    data = bm.BasisSeries.from_basis(paid.index, basis, covariates=paid)
    made = bind(bm.OU() + PAID, data, initial="conditional")
    at = bm.fit(bm.OU() + PAID, data, initial="conditional")
    x = made.spec.to_free(np.array([TRUTH[name] for name in made.spec.names]))
    found = replace(at, problem=made, x=x).filtered
    half = math.exp(-0.05)
    mean = half * (half * 3.0 + (1 - half) * 2.0 + 0.5 * 4.0) + (1 - half) * 2.0
    variance = -math.expm1(-0.2) / 0.2
    expected = -0.5 * (math.log(2 * math.pi * variance) + (5.0 - mean) ** 2 / variance)
    assert found.log_density[2] == pytest.approx(expected, abs=1e-12)


def test_payments_between_closes_are_said() -> None:
    time = pd.date_range("2024-01-01 00:30", periods=400, freq="h", tz="UTC")
    rate = pd.Series(1e-4 * (1 + np.arange(50) % 3), index=pd.date_range("2024-01-01", periods=50, freq="8h", tz="UTC"))
    basis = np.random.default_rng(0).normal(size=400)
    late = bm.BasisSeries.from_basis(time, basis, funding=rate)
    notes = bm.fit(bm.OU() + bm.Settlement(), late).problem.notes
    assert any(note.startswith("49 of 49 payments fall between closes") for note in notes)
    met = bm.BasisSeries.from_basis(time + pd.Timedelta(minutes=30), basis, funding=rate)
    assert not any("between closes" in note for note in bm.fit(bm.OU() + bm.Settlement(), met).problem.notes)


def test_forecast_jumps_once() -> None:
    data = simulated(MODELS["two-factor"], 4).cut(end="2024-01-31 16:00")
    assert data.covariates["paid"].iloc[-1] != 0.0
    fit = bm.fit(MODELS["two-factor"], data, starts=4)
    first, later = (steps_ahead(fit.problem, fit.x, 1.0, later=later) for later in (False, True))
    jump = fit.params["jump:paid"] * data.covariates["paid"].iloc[-1]
    assert (first.c - later.c)[0, 0] == pytest.approx(first.phi[0, 0] * jump)
    x, level = fit.filtered.mean[-1, 0]
    expected = []
    for step in (first, later, later):
        x, level = step.phi[0, 0] * x + step.c[0, 0], step.rho[0] * level
        expected.append(x + level)
    assert bm.forecast(fit, horizon=3).law.moments()[0] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["ou", "two-factor", "switching"])
def test_update_equals_filtering_again(name: str) -> None:
    """Cut right after a payment, so that the jump is in the first new step; and split steps after a hole."""
    data = simulated(MODELS[name], 6)
    keep = np.ones(data.n, dtype=bool)
    keep[[722, 723, 801]] = False
    data = bm.BasisSeries.from_basis(data.time[keep], data.basis[keep], covariates=data.covariates[["paid"]][keep])
    old, new = data.cut(end="2024-01-31 00:00"), data.cut(start="2024-01-31 01:00")
    assert old.covariates["paid"].iloc[-1] != 0.0
    fit = bm.fit(MODELS[name], old, starts=2)
    again = replace(fit, problem=bind(MODELS[name], data))
    added = bm.update(fit, new)
    place = again.problem.place[-new.n :]
    assert np.asarray(added.log_density) == pytest.approx(again.filtered.log_density[place], abs=1e-9)


def test_windows_equal_fits_of_their_own() -> None:
    data = simulated(MODELS["ou"], 7)
    found = bm.rolling(MODELS["ou"], data, window="20D", step="10D", n_jobs=1)
    end = found.index[-1]
    own = bm.fit(MODELS["ou"], data.cut(start=end - pd.Timedelta("20D") + pd.Timedelta("1h"), end=end))
    assert found.iloc[-1][own.names].to_numpy(dtype=float) == pytest.approx(own.params.to_numpy(), rel=1e-3)
    assert found["llf"].iloc[-1] == pytest.approx(own.llf, abs=1e-5)


def test_bootstrap_draws_the_jump_too() -> None:
    fit = bm.fit(MODELS["ou"], simulated(MODELS["ou"], 8))
    draws = bm.bootstrap(fit, draws=20, rng=1, n_jobs=1).draws
    assert draws is not None
    at = fit.problem.spec.position("jump:paid")
    assert draws[:, at].std() == pytest.approx(fit.bse["jump:paid"], rel=0.6)
    assert abs(draws[:, at].mean() - fit.x[at]) < 4 * fit.bse["jump:paid"] / math.sqrt(20)


def test_it_is_saved_as_written(tmp_path) -> None:
    fit = bm.fit(MODELS["two-factor"], simulated(MODELS["two-factor"], 9), starts=2)
    again = bm.load(bm.save(fit, tmp_path / "fit.bm"))
    assert again.model == fit.model
    assert again.problem.engine.loglik(again.problem.layout, again.x) == fit.llf
    assert bm.parse_model("OU() + Settlement(jump=1)") == bm.OU() + bm.Settlement(jump=1)
    assert repr(bm.OU() + bm.Settlement()) == "OU() + Settlement()"
    assert "jump:paid" in str(fit.summary())


@pytest.mark.long
def test_posterior_uses_the_same_density() -> None:
    import pytensor

    made = bind(MODELS["ou-noise"], simulated(MODELS["ou-noise"], 10))
    model = bm.to_pymc(MODELS["ou-noise"], made.data)
    x = point(made)
    values = dict(zip(made.spec.names, made.spec.to_natural(x), strict=True))
    potential = next(one for one in model.potentials if one.name == "log_likelihood")
    inputs = [model[name] for name in made.spec.names]
    call = pytensor.function(inputs, potential, mode="FAST_COMPILE")
    found = call(*(values[name] for name in made.spec.names))
    assert float(found) == pytest.approx(made.engine.loglik(made.layout, x), abs=1e-8)


def test_closed_loop_jumps_by_what_it_pays() -> None:
    rule = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
    params = {"kappa": 0.2, "theta": 20.0, "sigma": 1e-6, "jump:funding_paid": 0.7}
    data = bm.funding.simulate(bm.OU() + bm.Settlement(), rule, params, HOURS, rng=1)
    paid = data.covariates["funding_paid"].to_numpy()[:-1]
    expected = math.exp(-0.2) * (data.basis[:-1] + 0.7 * paid) - math.expm1(-0.2) * 20.0
    assert data.basis[1:] == pytest.approx(expected, abs=1e-3)
    assert np.ptp(paid) > 5.0


def test_carry_nets_a_payment_against_the_jump_it_causes() -> None:
    """One for one and without noise: what a short receives it loses as the perpetual goes ex-funding."""
    rule = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
    params = {"kappa": 0.001, "theta": 20.0, "sigma": 0.05}
    made = bm.funding.simulate(bm.OU() + bm.Settlement(jump=1), rule, params, HOURS[:241], rng=1)
    fit = bm.fit(bm.OU() + bm.Settlement(jump=1), made)
    held = replace(fit, x=fit.problem.spec.to_free(np.array([0.001, 20.0, 0.05])))
    table = bm.carry(held, horizon=80, side="short", cost=0.0, rule=rule, paths=200, draws=2, rng=1).table["value"]
    plain = bm.carry(
        bm.fit(bm.OU(), made), horizon=80, side="short", cost=0.0, rule=rule, paths=200, draws=2, rng=1
    ).table["value"]
    assert table["funding"] > 50.0
    assert table["convergence"] < -40.0
    assert plain["convergence"] > -40.0


def test_what_is_refused() -> None:
    data = series()
    for formula in ("1", "paid"):
        with pytest.raises(bm.ModelError, match="has an intercept"):
            bm.fit(bm.OU() + bm.Settlement(jump=formula), data)
    still = pd.DataFrame({"paid": np.zeros(960)}, index=HOURS)
    with pytest.raises(bm.ModelError, match="does not move"):
        bm.fit(bm.OU() + PAID, bm.BasisSeries.from_basis(HOURS, data.basis, covariates=still))
    with pytest.raises(bm.ModelError, match="needs one OU"):
        bm.fit(bm.Settlement(), data)
    fit = bm.fit(MODELS["ou"], simulated(MODELS["ou"], 11))
    with pytest.raises(bm.ModelError, match="payments to come"):
        bm.carry(fit, horizon=8)


def test_a_step_of_no_length_has_no_jump() -> None:
    made = bind(MODELS["ou"], series(60))
    at = bound_at(made.layout, point(made))
    assert at.nat.jump[made.layout.row[0], 0] == 0.0
    assert at.nat.jump[made.layout.row[1], 0] != 0.0
