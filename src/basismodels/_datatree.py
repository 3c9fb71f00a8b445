"""A fit with draws as an ArviZ data tree: the same groups for either generation of ArviZ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from basismodels._paths import simulate_path
from basismodels.errors import ModelError

if TYPE_CHECKING:
    from basismodels.results import Fit

Array = NDArray[np.float64]
_MOST = 10_000_000
_PREDICTIVE = 200


def datatree_of(fit: Fit, thin: int | None = None, rng: np.random.Generator | int | None = None) -> Any:
    """Groups posterior, sample_stats, log_likelihood, posterior_predictive, prior, observed_data and constant_data.

    Bootstrap draws stand in a group of that name, without the rest. ModelError without draws.
    """
    import xarray

    if fit.draws is None:
        raise ModelError("the fit carries no draws", remedy="bm.sample(model, data) or bm.bootstrap(fit)")
    chains = int(fit.facts.get("chains", 1))
    free = fit.draws.reshape(chains, -1, fit.draws.shape[1])
    groups = {fit.draws_kind or "draws": _named(fit, free), "observed_data": _observed(fit)}
    if fit.draws_kind == "posterior":
        groups["log_likelihood"] = _pointwise(fit, free, thin)
        groups["posterior_predictive"] = _predicted(fit, free, np.random.default_rng(0 if rng is None else rng))
        groups["constant_data"] = _constant(fit)
    if "stats" in fit.facts:
        groups["sample_stats"] = _sampled(fit.facts["stats"])
    if "prior_draws" in fit.facts:
        groups["prior"] = _named(fit, fit.facts["prior_draws"][None])
    tree = xarray.DataTree.from_dict({f"/{name}": group for name, group in groups.items()})
    tree.attrs = _attributes(fit)
    return tree


def _named(fit: Fit, free: Array) -> Any:
    """Values as reported, one variable a coefficient, dims chain and draw."""
    spec = fit.problem.spec
    flat = np.array([spec.to_natural(x) for x in free.reshape(-1, free.shape[2])]).reshape(free.shape)
    made = _sampled({name: flat[:, :, i] for i, name in enumerate(spec.names)})
    for name, unit in zip(spec.names, fit.units, strict=True):
        made[name].attrs["units"] = unit
    return made


def _sampled(values: dict[str, Array], draws: NDArray[np.int64] | None = None, **time: Any) -> Any:
    """Arrays (chains, draws, ...) as a dataset; `time`: coordinates of a third dimension."""
    import xarray

    first = next(iter(values.values()))
    chosen = np.arange(first.shape[1]) if draws is None else draws
    coords = {"chain": np.arange(first.shape[0]), "draw": chosen, **time}
    dims = ("chain", "draw", *time)
    return xarray.Dataset({name: (dims, value) for name, value in values.items()}, coords=coords)


def _scored(fit: Fit) -> NDArray[np.bool_]:
    """Which rows enter the likelihood."""
    seen = np.isfinite(fit.problem.layout.y[fit.problem.place])
    if not fit.problem.layout.stationary:
        seen[0] = False
    return np.asarray(seen)


def _stamps(fit: Fit, rows: NDArray[np.bool_]) -> Any:
    """Stamps of rows in UTC, in the form that knows no zone."""
    return fit.problem.time[rows].tz_localize(None).to_numpy(dtype="datetime64[ns]")


def _pointwise(fit: Fit, free: Array, thin: int | None) -> Any:
    """One-step-ahead log density of each observation under each draw kept, all of them where they fit in memory."""
    rows = _scored(fit)
    sparing = max(1, int(np.ceil(free.shape[0] * free.shape[1] * rows.sum() / _MOST)))
    kept = np.arange(0, free.shape[1], thin or sparing)
    problem = fit.problem
    found = [
        [problem.engine.filter(problem.layout, x).log_density[problem.place][rows] for x in chain[kept]]
        for chain in free
    ]
    return _sampled({"basis": np.array(found)}, kept, time=_stamps(fit, rows))


def _predicted(fit: Fit, free: Array, rng: np.random.Generator) -> Any:
    """Whole series simulated under some draws, at the rows observed."""
    rows = _scored(fit)
    each = max(1, min(free.shape[1], _PREDICTIVE // len(free)))
    kept = np.linspace(0, free.shape[1] - 1, each).astype(np.int64)
    place = fit.problem.place
    found = [[simulate_path(fit.problem, x, rng).y[place][rows] for x in chain[kept]] for chain in free]
    return _sampled({"basis": np.array(found)}, kept, time=_stamps(fit, rows))


def _observed(fit: Fit) -> Any:
    import xarray

    rows = _scored(fit)
    values = fit.problem.layout.y[fit.problem.place][rows]
    made = xarray.Dataset({"basis": (("time",), values)}, coords={"time": _stamps(fit, rows)})
    made["basis"].attrs["units"] = "bps"
    return made


def _constant(fit: Fit) -> Any:
    """Columns the formulas name, and hours since the first row, at every row in use."""
    import xarray

    frame, first = fit.data.frame(), fit.problem.first
    words = {column for made in fit.problem.designs.values() for column in made.columns}
    used = [str(column) for column in frame.columns if any(str(column) in word for word in words)]
    values = {"hours": fit.data.hours[first:], **{name: frame[name].to_numpy(dtype=float)[first:] for name in used}}
    every = np.ones(len(fit.problem.time), dtype=bool)
    return xarray.Dataset(
        {name: (("row",), value) for name, value in values.items()}, coords={"row": _stamps(fit, every)}
    )


def _attributes(fit: Fit) -> dict[str, str]:
    from basismodels import __version__

    kept = [name for name in ("sampler", "seed", "tune") if name in fit.facts]
    facts: dict[str, str] = {name: str(fit.facts[name]) for name in kept}
    priors = {f"prior {name}": text for name, text in fit.facts.get("priors", {}).items()}
    return {
        "inference_library": "basismodels", "inference_library_version": __version__, "model": repr(fit.model),
        "fingerprint": fit.data.fingerprint, "time_zone": "UTC", **facts, **priors,
    }  # fmt: skip
