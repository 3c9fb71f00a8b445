"""What `compare` shows: one row a model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from basismodels.errors import ModelError
from basismodels.estimands.convergence import half_life
from basismodels.results import Fit


def compare(fits: Mapping[str, Fit], level: float = 0.95) -> pd.DataFrame:
    """One frame of fits to the same data, best BIC first.

    Columns: llf, parameters, aic, aicc, bic, hqic, d_bic, log_score (mean one-step log density
    over the observations all fits score), half_life with lower and upper (h, combined), engine,
    exact, ok. Errors: ModelError where the fits are not to the same observations.
    """
    if not fits:
        raise ModelError("compare takes at least one fit", remedy='bm.compare({"ou": bm.fit(bm.OU(), data)})')
    _same_data(fits)
    common = pd.concat([fit.log_density for fit in fits.values()], axis=1).notna().all(axis=1)
    frame = pd.DataFrame(
        [_row(fit, common, level) for fit in fits.values()], index=pd.Index(fits, name="model")
    )
    frame = frame.sort_values("bic", kind="stable")
    frame.insert(list(frame.columns).index("bic") + 1, "d_bic", frame["bic"] - frame["bic"].min())
    return frame


def _same_data(fits: Mapping[str, Fit]) -> None:
    prints = {name: fit.data.fingerprint for name, fit in fits.items()}
    if len(set(prints.values())) > 1:
        raise ModelError(
            "the fits are not to the same data, so their likelihoods cannot be compared",
            rows=[f"{name}: {value[:8]}" for name, value in prints.items()],
            remedy="fit every model to one series, e.g. data.cut(start, end) first",
        )


def _row(fit: Fit, common: pd.Series[bool], level: float) -> dict[str, object]:
    k, n = fit.df_model, fit.nobs
    total = half_life(fit, level=level, method=None if fit.draws is not None else "wald")[0]
    density = fit.log_density.reindex(common.index)[common]
    return {
        "llf": fit.llf,
        "parameters": k,
        "aic": fit.aic,
        "aicc": fit.aic + 2.0 * k * (k + 1) / max(n - k - 1, 1),
        "bic": fit.bic,
        "hqic": 2.0 * k * float(np.log(np.log(n))) - 2.0 * fit.llf,
        "log_score": float(density.mean()),
        "half_life": total.value,
        "half_life_lower": total.lower,
        "half_life_upper": total.upper,
        "engine": fit.problem.engine.name,
        "exact": fit.problem.engine.exact,
        "ok": fit.ok,
    }
