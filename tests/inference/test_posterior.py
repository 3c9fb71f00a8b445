"""Posterior draws: what they agree with, what they carry, how they are kept."""

from __future__ import annotations

import numpy as np
import pytest

import basismodels as bm
from basismodels.inference.posterior import Run
from basismodels.inference.priors import draws_from, order_weight, priors_of
from basismodels.problem import bind

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def data():
    return bm.load_example(end="2024-01-12")


@pytest.fixture(scope="module")
def post(data):
    return bm.sample(bm.OU(), data, rng=3, draws=600, tune=400)


def grid_moments(problem, priors, fit):
    """Posterior means and sds of the free vector (kappa, theta, sigma) by sums over a grid."""
    sd = np.sqrt(np.diag(fit.cov))
    axes = [np.linspace(c - 6.0 * s, c + 6.0 * s, 41) for c, s in zip(fit.x, sd, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    logs = np.array([problem.engine.loglik(problem.layout, x) for x in points])
    for i, name in enumerate(problem.spec.names):
        args = dict(priors[name].args)
        logs -= 0.5 * ((points[:, i] - args["mu"]) / args["sigma"]) ** 2
    weight = np.exp(logs - logs.max())
    weight /= weight.sum()
    mean = weight @ points
    return mean, np.sqrt(weight @ (points - mean) ** 2)


def test_means_and_sds_are_those_of_a_grid(data, post):
    problem = post.problem
    mean, sd = grid_moments(problem, priors_of(problem), post)
    from basismodels.inference.diagnose_draws import ess

    draws = post.draws.reshape(4, -1, 3)
    error = sd / np.sqrt(ess(draws))
    assert np.all(np.abs(post.draws.mean(axis=0) - mean) < 4.0 * error)
    assert np.all(np.abs(post.draws.std(axis=0) / sd - 1.0) < 4.0 / np.sqrt(2.0 * ess(draws, "tail")))


def test_a_posterior_is_a_fit(post):
    assert post.ok, post.summary()
    assert post.draws_kind == "posterior"
    assert post.draws.shape == (2400, 3)
    limits = bm.conf_int(post)
    assert set(limits["method"]) == {"posterior"}
    assert np.all((limits["lower"] < post.params) & (post.params < limits["upper"]))
    total = bm.half_life(post)[0]
    assert total.method == "posterior"
    assert total.lower < total.value < total.upper
    failing = bm.failure_probability(post, draws=20)
    assert failing.attrs["draws"] == 20
    assert {"rhat", "ess"} <= {d.code for d in post.diagnostics}


def test_the_same_seed_gives_the_same_draws_and_another_others(data):
    a, b, c = (bm.sample(bm.OU(), data, rng=seed, draws=50, tune=100, chains=2).draws for seed in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_data_tree_has_the_groups_of_arviz(post):
    tree = post.to_datatree()
    groups = {"posterior", "sample_stats", "log_likelihood", "posterior_predictive", "prior", "observed_data"}
    assert groups | {"constant_data"} == set(tree.children)
    assert list(tree["posterior"].data_vars) == post.names
    scored = tree["log_likelihood"]["basis"]
    assert scored.dims == ("chain", "draw", "time")
    assert scored.sizes["time"] == post.nobs
    assert scored.time.values[0] == post.data.time[0].tz_localize(None).to_datetime64()
    problem = post.problem
    total = problem.engine.loglik(problem.layout, post.draws.reshape(4, -1, 3)[2, 5])
    assert float(scored.values[2, 5].sum()) == pytest.approx(total)
    assert tree["posterior"]["kappa"].values[2, 5] == pytest.approx(np.exp(post.draws.reshape(4, -1, 3)[2, 5, 0]))
    assert tree["posterior_predictive"]["basis"].shape[2] == post.nobs


def test_a_data_tree_is_what_arviz_reads(post, tmp_path):
    import xarray
    from arviz_stats import loo, summary

    tree = post.to_datatree()
    table = summary(tree, ci_prob=0.95)
    assert list(table.index) == post.names
    assert np.isfinite(loo(tree).elpd)
    tree.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    again = xarray.open_datatree(tmp_path / "x.nc", engine="h5netcdf")
    assert np.array_equal(again["posterior"]["sigma"].values, tree["posterior"]["sigma"].values)
    again.close()


def test_the_old_form_where_arviz_has_it(post):
    import arviz

    if int(arviz.__version__.split(".")[0]) >= 1:
        with pytest.raises(bm.ModelError, match="InferenceData"):
            post.to_inferencedata()
    else:
        made = post.to_inferencedata()
        assert np.array_equal(made.posterior["kappa"].values, post.to_datatree()["posterior"]["kappa"].values)


def test_it_is_stored_whole(post, tmp_path):
    again = bm.load(bm.save(post, tmp_path / "post.fit"))
    assert np.array_equal(again.draws, post.draws)
    assert again.summary() == post.summary()
    assert again.facts["priors"] == post.facts["priors"]
    assert again.to_datatree().identical(post.to_datatree())


def test_a_prior_moves_the_posterior(data):
    import pymc

    tight = {"kappa": pymc.LogNormal.dist(np.log(5.0), 0.01)}
    held = bm.sample(bm.OU(), data, priors=tight, rng=1, draws=100, tune=200, chains=2)
    assert held.params["kappa"] == pytest.approx(5.0, rel=0.05)
    named = bm.sample(
        bm.OU(), data, priors={"kappa": bm.Prior("LogNormal", (("mu", np.log(5.0)), ("sigma", 0.01)))},
        rng=1, draws=100, tune=200, chains=2,
    )  # fmt: skip
    assert named.params["kappa"] == pytest.approx(5.0, rel=0.05)


def test_a_prior_for_nothing_is_refused(data):
    with pytest.raises(bm.ModelError, match=r"names what the model lacks.*speed"):
        bm.sample(bm.OU(), data, priors={"speed": bm.Prior("Normal", (("mu", 0.0), ("sigma", 1.0)))})
    with pytest.raises(bm.ModelError, match="must be a distribution, got float"):
        bm.sample(bm.OU(), data, priors={"kappa": 0.3})


@pytest.mark.parametrize("wrong", [{"sampler": "gibbs"}, {"draws": 0}, {"chains": 1.5}, {"target_accept": 1.0}])
def test_a_wrong_argument_is_refused(wrong):
    with pytest.raises(bm.ModelError):
        Run(**wrong)


def test_prior_draws_keep_the_slow_level_slow(data):
    problem = bind(bm.OU() + bm.SlowOU() + bm.Noise(), data)
    draws = draws_from(problem, priors_of(problem), 500, np.random.default_rng(1))
    at = [problem.spec.position(name) for name in ("slow.kappa", "kappa")]
    assert (draws[:, at[0]] < draws[:, at[1]]).mean() > 0.97
    assert np.all(order_weight(problem, draws) > 0.0)


def test_the_model_for_those_who_extend_it(data):
    import pymc

    model = bm.to_pymc(bm.Switching(bm.OU()), data)
    problem = bind(bm.Switching(bm.OU()), data)
    assert [rv.name for rv in model.free_RVs] == problem.spec.names
    with model:
        pymc.Potential("mine", -model["theta"] ** 2)
    fit = bm.fit(bm.Switching(bm.OU()), data, starts=2)
    own = {name: float(value) for name, value in fit.params.items()}
    potential = next(one for one in model.potentials if one.name == "log_likelihood")
    value = potential.eval({model[name]: own[name] for name in problem.spec.names})
    assert float(value) == pytest.approx(fit.llf, rel=1e-9)


@pytest.mark.slow
def test_pymc_itself_samples_the_same(data, post):
    own = bm.sample(bm.OU(), data, rng=5, draws=400, tune=400, sampler="pymc")
    assert own.facts["sampler"] == "pymc"
    assert {"diverging", "energy", "tree_depth", "lp"} <= set(own.facts["stats"])
    sd = post.draws.std(axis=0)
    assert np.all(np.abs(own.draws.mean(axis=0) - post.draws.mean(axis=0)) < 0.2 * sd)


@pytest.mark.slow
def test_a_regime_model_is_judged():
    """Too short a run is said to be too short, and labels are spoken of."""
    data = bm.load_example(end="2024-01-20")
    short = bm.sample(bm.Switching(bm.OU()), data, rng=1, draws=30, tune=60, chains=2, starts=3)
    codes = {d.code: d for d in short.diagnostics}
    assert codes["ess"].fatal
    assert not short.ok
    assert "overlap" in codes["labels"].text
    assert "(posterior)" in short.summary()
