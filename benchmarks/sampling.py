"""Posterior sampling: the compiled operation against the same likelihood written with `pytensor.scan`, and at length.

Writes benchmarks/results/sampling.csv, one row a measurement: `python benchmarks/sampling.py [gradient scan long
three numpyro]`, all by default; "numpyro" wants that package, which nothing here installs. Times of gradients are CPU
time of one thread, least of several; those of sampling are wall and CPU seconds of the process, compilation apart.
"ess" is the least bulk effective sample size over coefficients.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

import basismodels as bm  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import series  # noqa: E402

RESULT = HERE / "results" / "sampling.csv"
DATA = Path(os.environ.get("BASISMODELS_DATA", HERE.parent.parent / "shared" / "data"))
COLUMNS = ("what", "model", "n", "by", "value", "unit", "ratio", "aim", "note")
MODEL = bm.Switching(bm.OU(), regimes=2, varies=("kappa", "theta", "sigma"))


def least(call: Callable[[], Any], repeats: int) -> float:
    """Least CPU time of one call of several."""
    call()
    best = float("inf")
    for _ in range(repeats):
        began = time.thread_time()
        call()
        best = min(best, time.thread_time() - began)
    return best


def two_regimes(n: int) -> Any:
    """A bound two-regime model of n hourly rows."""
    from basismodels.problem import bind

    time_index = pd.date_range("2020-01-01", periods=n, freq="h", tz="UTC")
    return bind(MODEL, bm.BasisSeries.from_basis(time_index, series.switching_series(n, 3)), initial="conditional")


def at_truth(problem: Any) -> Any:
    """The free vector the series was simulated at."""
    half, level, sigma, p = series.TWO
    kappa = np.log(2.0) / half
    rates = -np.log1p(-(p[0, 1] + p[1, 0])) / (p[0, 1] + p[1, 0]) * np.array([p[0, 1], p[1, 0]])
    natural = {f"kappa[{k}]": kappa[k] for k in (0, 1)} | {f"theta[{k}]": level[k] for k in (0, 1)}
    natural |= {f"sigma[{k}]": sigma[k] for k in (0, 1)} | {"q[0->1]": rates[0], "q[1->0]": rates[1]}
    return problem.spec.to_free(np.array([natural[name] for name in problem.spec.names]))


def scan_graph(problem: Any, free: Any) -> Any:
    """The log likelihood by scan as a graph of the free vector."""
    import pytensor.tensor as pt

    spec = importlib.util.spec_from_file_location("scan_oracle", HERE.parent / "tests" / "inference" / "scan_oracle.py")
    assert spec is not None
    assert spec.loader is not None
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    at = {name: problem.spec.position(name) for name in problem.spec.names}
    kappa, drift = free[[at["kappa[0]"], at["kappa[1]"]]], free[[at["theta[0]"], at["theta[1]"]]]
    sigma, rates = pt.exp(free[[at["sigma[0]"], at["sigma[1]"]]]), pt.exp(free[[at["q[0->1]"], at["q[1->0]"]]])
    return oracle.log_likelihood(kappa, drift / kappa, sigma, rates, pt.constant(problem.layout.y))


def op_graph(problem: Any, free: Any) -> Any:
    """The log likelihood by the package's operation."""
    import pytensor.tensor as pt

    from basismodels.inference.pytensor_op import LogLik
    from basismodels.likelihood.packed import data_of

    return LogLik(problem)(free, *(pt.constant(part) for part in data_of(problem.layout)))[0]


def gradient(n: int = 2000) -> list[dict[str, Any]]:
    """One value with its gradient, by the operation and by scan."""
    import pytensor
    import pytensor.tensor as pt

    problem = two_regimes(n)
    x, free, rows, made = at_truth(problem), pt.dvector(), [], {}
    for by, graph, mode, repeats in (
        ("operation, numba", op_graph, "NUMBA", 300),
        ("pytensor.scan, numba", scan_graph, "NUMBA", 8),
        ("pytensor.scan, C", scan_graph, "FAST_RUN", 5),
    ):
        value = graph(problem, free)
        compiled = pytensor.function([free], [value, pytensor.grad(value, free)], mode=mode, trust_input=True)
        call = compiled.vm.jit_fn if mode == "NUMBA" else compiled
        made[by] = (least(lambda call=call: call(x), repeats), compiled(x))
    ours, (value, slope) = made["operation, numba"]
    for by, (took, (other, other_slope)) in made.items():
        gap = abs(float(other) - float(value)) / abs(float(value))
        slope_gap = np.abs(other_slope - slope).max() / np.abs(slope).max()
        rows.append(
            {"what": "log density and gradient", "model": "switching OU, K=2", "n": n, "by": by,
             "value": f"{took * 1e3:.4g}", "unit": "ms", "ratio": f"{took / ours:.4g}",
             "aim": "" if by.startswith("op") else 200,
             "note": f"relative gap {gap:.1e}, of the gradient {slope_gap:.1e}"}
        )  # fmt: skip
    return rows


def sampled(what: str, model: Any, data: Any, aim: str, **options: Any) -> dict[str, Any]:
    """One run of `bm.sample`."""
    from basismodels.inference.diagnose_draws import ess, rhat
    from basismodels.inference.mle import fit_problem
    from basismodels.inference.posterior import Run, _within
    from basismodels.inference.pymc_model import pymc_model
    from basismodels.inference.samplers import compiled_by_nutpie, mode_of, run_nutpie, started, unconstrainer
    from basismodels.problem import bind

    problem = bind(model, data)
    first = fit_problem(problem, starts=options.pop("starts", 8))
    made = pymc_model(problem)
    compiled = compiled_by_nutpie(made)
    ready = started(compiled, mode_of(compiled, unconstrainer(made, problem)(_within(first))))
    run = Run(cores=2, **options)
    wall, cpu = time.perf_counter(), time.process_time()
    chains = run_nutpie(ready, run, 1)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    worst, size = float(rhat(chains.free).max()), float(ess(chains.free).min())
    note = (
        f"{cpu:.1f} s of CPU, R-hat {worst:.3f}, ess {size:.0f}, {size / cpu:.0f} ess per CPU second, "
        f"{int(chains.stats['diverging'].sum())} divergences, load {os.getloadavg()[0]:.1f}"
    )
    return {
        "what": what, "model": repr(model), "n": problem.nobs, "by": f"nutpie, {run.chains} x {run.draws} + {run.tune}",
        "value": f"{wall:.4g}", "unit": "s", "ratio": "", "aim": aim, "note": note,
    }  # fmt: skip


def ess_a_second(n: int = 2000) -> list[dict[str, Any]]:
    """Effective draws a CPU second: the operation, and scan sampled in the same way for a few draws."""
    import pymc
    import pytensor.tensor as pt

    from basismodels.inference.diagnose_draws import ess
    from basismodels.inference.posterior import Run
    from basismodels.inference.samplers import Mode, compiled_by_nutpie, run_nutpie, started

    problem, rows = two_regimes(n), []
    x = at_truth(problem)
    for by, graph, draws, tune in (("operation", op_graph, 1000, 500), ("pytensor.scan", scan_graph, 60, 60)):
        with pymc.Model() as model:
            free = pymc.Normal("free", x, 1.0, shape=len(x))
            pymc.Potential("log_likelihood", graph(problem, pt.as_tensor(free)))
        compiled = started(compiled_by_nutpie(model), Mode(x, 0.01 * np.eye(len(x))))
        cpu = time.process_time()
        chains = run_nutpie(compiled, Run(draws=draws, tune=tune, chains=2, cores=1), 1)
        cpu = time.process_time() - cpu
        # a short chain's own effective size is noise: the two move alike, so count draws by the leapfrog step
        per_step = cpu / float(chains.stats["n_steps"].sum() * (draws + tune) / draws)
        rows.append((by, cpu, float(ess(chains.free).min()), per_step, float(chains.stats["n_steps"].mean())))
    out = []
    for by, cpu, size, step, leap in rows:
        note = f"{size:.0f} effective draws in {cpu:.1f} s of CPU, {leap:.1f} steps a draw, {step * 1e3:.4g} ms a step"
        out.append(
            {"what": "effective draws a CPU second", "model": "switching OU, K=2", "n": n, "by": by,
             "value": f"{size / cpu:.4g}", "unit": "1/s", "ratio": f"{step / rows[0][3]:.4g}",
             "aim": "" if by == "operation" else 200, "note": note + "; ratio: of the time a step"}
        )  # fmt: skip
    return out


def by_numpyro(n: int = 2000) -> list[dict[str, Any]]:
    """The same posterior by numpyro's sampler, the likelihood a scan, beside the operation under nutpie."""
    import jax
    import jax.numpy as jnp
    import numpyro
    from jax.scipy.linalg import expm
    from jax.scipy.special import logsumexp

    from basismodels.inference.diagnose_draws import ess

    jax.config.update("jax_enable_x64", True)
    problem = two_regimes(n)
    x, y = at_truth(problem), jnp.asarray(problem.layout.y)
    at = {name: problem.spec.position(name) for name in problem.spec.names}

    def log_likelihood(free: Any) -> Any:
        pick = lambda name: jnp.stack([free[at[f"{name}[0]"]], free[at[f"{name}[1]"]]])  # noqa: E731
        kappa, drift, sigma = pick("kappa"), pick("theta"), jnp.exp(pick("sigma"))
        out, back = jnp.exp(free[at["q[0->1]"]]), jnp.exp(free[at["q[1->0]"]])
        q = jnp.array([[-out, out], [back, -back]])
        log_p, law = jnp.log(expm(q)), jnp.array([back, out]) / (out + back)
        phi, variance = jnp.exp(-kappa), sigma**2 * -jnp.expm1(-2.0 * kappa) / (2.0 * kappa)
        push = drift / kappa * -jnp.expm1(-kappa)

        def step(carry: Any, pair: Any) -> Any:
            before, now = pair
            dens = -0.5 * ((now - phi * before - push) ** 2 / variance + jnp.log(2.0 * jnp.pi * variance))
            made = logsumexp(carry[:, None] + log_p, axis=0) + dens
            total = logsumexp(made)
            return made - total, total

        _, terms = jax.lax.scan(step, jnp.log(law), (y[:-1], y[1:]))
        return terms.sum()

    def model() -> None:
        free = numpyro.sample("free", numpyro.distributions.Normal(jnp.asarray(x), 1.0).to_event(1))
        numpyro.factor("log_likelihood", log_likelihood(free))

    value = float(problem.engine.loglik(problem.layout, x))
    gap = abs(float(log_likelihood(jnp.asarray(x))) - value) / abs(value)
    mcmc = numpyro.infer.MCMC(
        numpyro.infer.NUTS(model, init_strategy=numpyro.infer.init_to_value(values={"free": jnp.asarray(x)})),
        num_warmup=300, num_samples=300, num_chains=1, progress_bar=False,
    )  # fmt: skip
    mcmc.warmup(jax.random.PRNGKey(1), extra_fields=("num_steps",))
    cpu = time.process_time()
    mcmc.run(jax.random.PRNGKey(2), extra_fields=("num_steps",))
    cpu = time.process_time() - cpu
    draws = np.asarray(mcmc.get_samples(group_by_chain=True)["free"])
    steps = float(np.asarray(mcmc.get_extra_fields()["num_steps"]).sum())
    theirs = float(ess(draws).min()) / cpu
    ours = next(float(row["value"]) for row in _rows() if row["part"] == "scan" and row["by"] == "operation")
    versions = f"numpyro {numpyro.__version__}, jax {jax.__version__}"
    note = f"{versions}: {cpu:.1f} s of CPU for 300 draws after warm-up, {steps / 300:.1f} steps a draw, gap {gap:.1e}"
    return [
        {"what": "effective draws a CPU second", "model": "switching OU, K=2", "n": n, "by": "numpyro, lax.scan",
         "value": f"{theirs:.4g}", "unit": "1/s", "ratio": f"{ours / theirs:.4g}", "aim": 40, "note": note}
    ]  # fmt: skip


def long(n: int = 525_600) -> list[dict[str, Any]]:
    """A year of minutes."""
    time_index = pd.date_range("2024-01-01", periods=n, freq="min", tz="UTC")
    data = bm.BasisSeries.from_basis(time_index, series.switching_series(n, 3))
    return [sampled("posterior", MODEL, data, "60", draws=500, tune=500, starts=3, target_accept=0.8)]


def three() -> list[dict[str, Any]]:
    """Three regimes with noise on a year of real hours."""
    data = bm.read(DATA / "binance_btcusdt_1h.parquet", start="2024-01-01", end="2024-12-31")
    model = bm.Switching(bm.OU() + bm.Noise(), regimes=3)
    return [sampled("posterior", model, data, "600", draws=1000, tune=600, starts=8, target_accept=0.8)]


PARTS: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "gradient": gradient, "scan": ess_a_second, "long": long, "three": three, "numpyro": by_numpyro,
}  # fmt: skip


def main() -> int:
    """Runs what is asked for and keeps the other rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    for part in parser.parse_args().parts:
        if part == "numpyro" and importlib.util.find_spec("numpyro") is None:
            print("numpyro is not installed: its row is left as it stands")
            continue
        made = [{"part": part, **row} for row in PARTS[part]()]
        kept = [row for row in _rows() if row["part"] != part]
        with RESULT.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["part", *COLUMNS], lineterminator="\n")
            writer.writeheader()
            writer.writerows([*kept, *made])
        for row in made:
            print(row, flush=True)
    return 0


def _rows() -> list[dict[str, str]]:
    if not RESULT.exists():
        return []
    with RESULT.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
