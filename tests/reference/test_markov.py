"""Published Markov-switching fits through the Hamilton kernel, to the digits printed in `markov.json`.

An estimate counts as the printed one within two units of its last digit, or within a
thousandth of its standard error where the source stopped a little before the maximum;
the log likelihood within half a unit. Data: the tests inside statsmodels' wheel, and
the folder `reference` beside the market data.
"""

from __future__ import annotations

import ast
import json
from decimal import Decimal
from functools import cache
from importlib.util import find_spec
from itertools import permutations
from os import environ
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basismodels.components.ou import OU
from basismodels.components.switching import Switching
from basismodels.inference.discrete_search import fit as search
from basismodels.inference.mle import fit
from basismodels.likelihood import discrete, hamilton
from basismodels.likelihood.discrete import Estimate, Regression
from basismodels.likelihood.transition import decay_ratio
from basismodels.problem import bind
from basismodels.series import BasisSeries

STORED = json.loads((Path(__file__).parent / "markov.json").read_text(encoding="utf-8"))


def wheel():
    """Folder of statsmodels' tests, which carry the Stata manual's data."""
    folder = Path(find_spec("statsmodels").origin).parent / "tsa" / "regime_switching" / "tests"
    if not (folder / "test_markov_regression.py").exists():
        pytest.skip("statsmodels is installed without its tests, which carry the data")
    return folder


@cache
def in_wheel(name):
    """A list assigned to `name` in those tests, read from the source, NaN for np.nan."""
    tree = ast.parse((wheel() / "test_markov_regression.py").read_text(encoding="utf-8"))
    found = next(n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == name)
    return np.array([float(ast.unparse(item).removeprefix("np.")) for item in found.elts])


def fed_funds(regressors):
    """Federal funds rate from the first row with a lag; output gap and inflation where asked for."""
    y = in_wheel("fedfunds")
    if not regressors:
        return y, np.ones((len(y), 1))
    z = np.column_stack([np.ones(len(y)), in_wheel("ogap"), in_wheel("inf")])[3:]
    z[0] = 0.0
    return y[3:], z


def beside_market_data(name, column):
    folder = Path(environ.get("BASISMODELS_DATA", Path(__file__).parents[3] / "shared" / "data")) / "reference"
    if not (folder / name).exists():
        pytest.skip(f"no reference/{name}: BASISMODELS_DATA (default ../shared/data) has no such file")
    return pd.read_csv(folder / name)[column].to_numpy(dtype=float)


def row_6():
    return Regression(*fed_funds(False))


def row_7():
    return Regression(*fed_funds(False), lag="switching")


def row_8(regimes=2):
    return Regression(*fed_funds(True), regimes, (True, True, True), lag="switching")


def row_10():
    y = in_wheel("areturns")
    return Regression(y, np.ones((len(y), 1)), lag="switching", variance_switches=True)


def row_11():
    y = in_wheel("mumpspc")
    return Regression(y, np.ones((len(y), 0)), 2, (), lag="switching", variance_switches=True)


def row_12():
    y = beside_market_data("ew_excess_returns.csv", "excess_return")
    return Regression(y - y.mean(), np.ones((len(y), 0)), 3, (), variance_switches=True)


def row_13(free_start=False):
    both = beside_market_data("mswm_example.csv", ["y", "x"])
    z = np.column_stack([np.ones(len(both)), both[:, 1]])
    return Regression(both[:, 0].copy(), z, 2, (True, True), "switching", True, free_start)


def row_15():
    y = beside_market_data("dax_log_returns.csv", "log_return")
    return Regression(y, np.ones((len(y), 1)), variance_switches=True)


MADE = {
    "6": row_6, "7": row_7, "8": row_8, "9": lambda: row_8(3), "10": row_10, "11": row_11,
    "12": row_12, "13": row_13, "13 free": lambda: row_13(True), "15": row_15,
}  # fmt: skip


@cache
def model_of(name):
    return MADE[name]()


@cache
def best_of(name):
    """Best of the default number of starts where local maxima abound, of fewer elsewhere."""
    return search(model_of(name), starts=20 if name in ("9", "12") else 6)


def unit_of(figure):
    return 10.0 ** int(Decimal(figure).as_tuple().exponent)


def reordered(found: Estimate, order) -> Estimate:
    order = list(order)
    return Estimate(
        found.beta[:, order], found.phi[order], found.v[order], found.p[np.ix_(order, order)], found.law[order]
    )


def parts_of(found: Estimate):
    """Figures under the names of the stored file."""
    return {
        "beta": found.beta, "phi": found.phi, "v": found.v, "p": found.p[:, 0],
        "sd": np.sqrt(found.v), "durations": 1.0 / (1.0 - np.diag(found.p)),
    }  # fmt: skip


def distance(found: Estimate, row):
    parts = parts_of(found)
    return sum(np.abs(parts[key] - np.array(row[key], dtype=float)).sum() for key in parts if key in row)


@pytest.mark.parametrize("name", list(MADE))
def test_from_default_starts(name):
    row, model, best = STORED[name], model_of(name), best_of(name)
    assert best.llf == pytest.approx(float(row["llf"]), abs=0.51 * unit_of(row["llf"]))
    orders = list(permutations(range(model.regimes)))
    order = min(orders, key=lambda o: distance(reordered(best.estimate, o), row))
    found = parts_of(reordered(best.estimate, order))
    errors = reordered(discrete.standard_errors(model, best.x), order)
    spread = {**parts_of(errors), "sd": errors.v / (2 * found["sd"]), "durations": np.zeros(model.regimes)}
    for key in found:
        for value, figure, se in zip(
            found[key].ravel(), np.array(row.get(key, []), dtype=str).ravel(), spread[key].ravel(), strict=False
        ):
            assert value == pytest.approx(float(figure), abs=max(2 * unit_of(figure), 1e-3 * se)), key
    for key, printed in row.get("bse", {}).items():
        for value, figure in zip(spread[key].ravel(), np.array(printed).ravel(), strict=True):
            assert value == pytest.approx(float(figure), abs=max(2 * unit_of(figure), 1e-4 * value)), key


def test_the_dax_likelihood_to_eight_decimals():
    """Row 15 at the point a quasi-Newton search reaches from any start."""
    best = best_of("15")
    assert best.llf == pytest.approx(17403.60526788, abs=3e-7)
    assert (best.optima > best.llf - 1e-3).all()


def test_probabilities_by_date():
    """Row 6: predicted, filtered and smoothed probabilities, date by date, as the manual's data file has them."""
    table = pd.read_csv(wheel() / "results" / "results_predict_fedfunds.csv")
    model, best = model_of("6"), best_of("6")
    low = int(np.argmin(best.estimate.beta[0]))
    z, row = model.rows
    steps, start = discrete.coefficients(model, best.estimate, z, row)
    filtered = hamilton.filter(model.y, row, steps, start).p
    smoothed, _ = hamilton.smooth(filtered, row, steps.p)
    predicted = np.vstack([start.p, filtered[:-1] @ best.estimate.p])
    for own, column in ((predicted, "const_p1"), (filtered, "const_f1"), (smoothed, "const_sm1")):
        np.testing.assert_allclose(own[:, low], table[column], atol=2e-6)


def hourly(y, columns=None):
    """The series with an hour a step; a contemporaneous covariate moves to the step's start."""
    time = pd.date_range("2000-01-01", periods=len(y), freq="h", tz="UTC")
    frame = None
    if columns is not None:
        frame = pd.DataFrame({k: np.append(v[1:], 0.0) for k, v in columns.items()}, index=time)
    return BasisSeries.from_basis(time, y, covariates=frame)


def as_ou(found: Estimate):
    """kappa, theta and sigma of hourly steps with these coefficients, and rates of the chain."""
    kappa = -np.log(found.phi)
    sigma = np.sqrt(found.v / decay_ratio(2 * kappa))
    theta = found.beta / (1 - found.phi)
    total = found.p[0, 1] + found.p[1, 0]
    return kappa, theta, sigma, -np.log1p(-total) / total * found.p


ROWS = {
    "7": (OU(innovation="1"), {}, ("kappa", "theta")),
    "8": (OU(theta="1 + gap + inflation", innovation="1"), {"gap": 1, "inflation": 2}, ("kappa", "theta")),
    "10": (OU(), {}, ("kappa", "theta", "sigma")),
    "11": (OU(theta=0), {}, ("kappa", "sigma")),
}


@pytest.mark.parametrize("name", list(ROWS))
def test_through_fit(name):
    """The printed likelihood and estimates as those of an Ornstein-Uhlenbeck model in hours.

    Rows 7 and 8 share one variance of the step: the regimes' innovation.
    """
    ou, columns, varies = ROWS[name]
    model, best = model_of(name), best_of(name)
    data = hourly(model.y, {key: model.z[:, at] for key, at in columns.items()} or None)
    switching = Switching(ou, 2, varies=varies)
    problem = bind(switching, data, initial="conditional")
    assert problem.engine.name == "hamilton"
    kappa, theta, sigma, q = as_ou(best.estimate)
    at = {f"q[{j}->{1 - j}]": q[j, 1 - j] for j in (0, 1)} | {"innovation": np.sqrt(best.estimate.v[0])}
    for k in (0, 1):
        at |= {f"kappa[{k}]": kappa[k], f"sigma[{k}]": sigma[k]}
        if name != "11":
            at |= {f"theta[{k}]": theta[0, k], **{f"theta[{k}]:{c}": theta[i, k] for c, i in columns.items()}}
    x = problem.spec.to_free(np.array([at[key] for key in problem.spec.names]))
    assert problem.engine.loglik(problem.layout, x) == pytest.approx(best.llf, abs=1e-8)
    made = fit(switching, data, initial="conditional", starts=20 if name == "10" else 6)
    assert made.llf == pytest.approx(float(STORED[name]["llf"]), abs=0.51 * unit_of(STORED[name]["llf"]))
    slopes = sorted(np.exp(-made.params[["kappa[0]", "kappa[1]"]]))
    np.testing.assert_allclose(slopes, sorted(best.estimate.phi), atol=2e-5)
    if "innovation" in made.names:
        assert made.params["innovation"] ** 2 == pytest.approx(float(STORED[name]["v"][0]), abs=2e-6)
