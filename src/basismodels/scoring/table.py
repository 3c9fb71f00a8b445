"""What `compare` shows: one row a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from basismodels.errors import ModelError
from basismodels.estimands.convergence import half_life
from basismodels.inference.particle import ParticleLoglik, particle_loglik
from basismodels.results import Fit
from basismodels.scoring.leave_future_out import leave_future_out
from basismodels.scoring.stacking import stacking_weights


def compare(
    fits: Mapping[str, Fit],
    level: float = 0.95,
    *,
    particles: int = 0,
    leave_future_out_from: str | pd.Timestamp | float | None = None,
    rng: np.random.Generator | int | None = None,
) -> pd.DataFrame:
    """One frame of fits to the same data, best BIC first.

    Columns: llf, parameters, aic, aicc (Hurvich & Tsai 1989), bic, hqic (Hannan & Quinn 1979), d_bic,
    log_score (mean one-step log density over the observations all fits score), weight in the best pool of
    these densities, half_life with lower and upper (h, combined), engine, exact, ok.
    `particles`: so many a replicate give llf_particles and its se, on which the criteria then rest where the
    engine's own value is approximate; costs a particle filter a model. `leave_future_out_from`: a stamp or a
    share of the rows from which elpd_lfo, elpd_lfo_se and refits are made, and the weights rest on these
    densities; costs refits. Errors: ModelError where the fits are not to the same observations.
    """
    if isinstance(fits, Mapping) and not fits:
        raise ModelError("compare takes at least one fit", remedy='bm.compare({"ou": bm.fit(bm.OU(), data)})')
    _same_data(fits)
    densities = pd.DataFrame({name: fit.log_density for name, fit in fits.items()})
    common = densities.notna().all(axis=1)
    exact = {name: _particles(fit, particles, rng) for name, fit in fits.items()}
    rows = [_row(fit, exact[name], common, level) for name, fit in fits.items()]
    frame = pd.DataFrame(rows, index=pd.Index(fits, name="model"))
    if leave_future_out_from is not None:
        densities = _with_future(frame, fits, leave_future_out_from, rng)
    if len(fits) > 1:
        frame.insert(list(frame.columns).index("half_life"), "weight", stacking_weights(densities))
    frame = frame.sort_values("bic", kind="stable")
    frame.insert(list(frame.columns).index("bic") + 1, "d_bic", frame["bic"] - frame["bic"].min())
    return frame


def _same_data(fits: Mapping[str, Fit]) -> None:
    if not isinstance(fits, Mapping) or not all(isinstance(fit, Fit) for fit in fits.values()):
        raise ModelError("fits must be fits by name", remedy='bm.compare({"ou": fit})')
    prints = {name: fit.data.fingerprint for name, fit in fits.items()}
    if len(set(prints.values())) > 1:
        raise ModelError(
            "the fits are not to the same data, so their likelihoods cannot be compared",
            rows=[f"{name}: {value[:8]}" for name, value in prints.items()],
            remedy="fit every model to one series, e.g. data.cut(start, end) first",
        )
    _same_rows(fits)


def _same_rows(fits: Mapping[str, Fit]) -> None:
    """ModelError unless all see the same rows; the first of them may be conditioned on by some."""
    late = max(fits, key=lambda name: fits[name].problem.first)
    rows = {name: _rows(fit) for name, fit in fits.items()}
    odd = next((name for name in fits if not rows[name].equals(rows[late])), None)
    if odd is None:
        return
    start = fits[late].problem.time[0].tz_localize(None)
    alike = fits[odd].problem.mask == fits[late].problem.mask
    raise ModelError(
        "the fits are not to the same observations, so their likelihoods cannot be compared",
        rows=[f"{name}: {len(rows[name]):,} rows from {rows[name][0]:%Y-%m-%d %H:%M}" for name in (odd, late)],
        remedy=f'data = fits[{late!r}].data.cut(start="{start}"), and fit every model to it'
        if alike
        else "fit every model with the same mask=",
    )


def _rows(fit: Fit) -> pd.DatetimeIndex:
    """Stamps of the rows whose basis a fit sees."""
    problem = fit.problem
    return problem.time[np.isfinite(problem.layout.y[problem.place])]


def _particles(fit: Fit, count: int, rng: np.random.Generator | int | None) -> ParticleLoglik | None:
    return particle_loglik(fit, particles=count, rng=rng) if count else None


def _with_future(
    frame: pd.DataFrame,
    fits: Mapping[str, Fit],
    start: str | pd.Timestamp | float,
    rng: np.random.Generator | int | None,
) -> pd.DataFrame:
    """Adds the leave-future-out columns to the frame; returns the densities by time and model."""
    found = {name: leave_future_out(fit, start, rng=rng) for name, fit in fits.items()}
    frame["elpd_lfo"] = [one.elpd for one in found.values()]
    frame["elpd_lfo_se"] = [one.se for one in found.values()]
    frame["refits"] = [one.refits for one in found.values()]
    return pd.DataFrame({name: one.pointwise["elpd"] for name, one in found.items()})


def _row(fit: Fit, exact: ParticleLoglik | None, common: pd.Series[bool], level: float) -> dict[str, object]:
    k, n = fit.df_model, fit.nobs
    total = half_life(fit, level=level, method=None if fit.draws is not None else "wald")[0]
    density = fit.log_density.reindex(common.index)[common]
    llf = fit.llf if exact is None else exact.value
    aic = 2.0 * k - 2.0 * llf
    return {
        "llf": fit.llf,
        **({} if exact is None else {"llf_particles": exact.value, "llf_particles_se": exact.se}),
        "parameters": k,
        "aic": aic,
        "aicc": aic + 2.0 * k * (k + 1) / max(n - k - 1, 1),
        "bic": float(np.log(n)) * k - 2.0 * llf,
        "hqic": 2.0 * k * float(np.log(np.log(n))) - 2.0 * llf,
        "log_score": float(density.mean()),
        "half_life": total.value,
        "half_life_lower": total.lower,
        "half_life_upper": total.upper,
        "engine": fit.problem.engine.name,
        "exact": fit.problem.engine.exact,
        "ok": fit.ok,
    }
