"""What an estimator hands back: frozen records."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._limits import draw_limits
from basismodels.errors import ModelError
from basismodels.likelihood import assemble, predictors, stationary
from basismodels.likelihood.kim import Filtered
from basismodels.likelihood.smoother import Smoothed
from basismodels.model import Model
from basismodels.problem import Problem
from basismodels.series import BasisSeries

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """One number with its interval; `upper` may be infinite.

    unit "h" for a half-life; method: how the interval was made; component "reversion",
    "slow" or "total"; regime None where the model has one.
    """

    value: float
    lower: float
    upper: float
    unit: str
    level: float
    method: str
    component: str
    regime: int | None = None

    def __str__(self) -> str:
        where = f" regime {self.regime}" if self.regime is not None else ""
        return (
            f"{self.component}{where}: {self.value:.4g} {self.unit} "
            f"({self.level:.0%} {self.method} {self.lower:.4g} to {self.upper:.4g})"
        )


@dataclass(frozen=True)
class Diagnostic:
    """One thing to know about a fit; a `fatal` one means: not to be trusted."""

    code: str
    text: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{'!' if self.fatal else '-'} {self.code}: {self.text}"


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model.

    x (p,): free vector; cov (p, p): covariance of the free vector, NaN where a parameter is at
    its bound or the information is not positive definite; optima: one row per start;
    draws (m, p) free vectors or None; draws_kind "bootstrap", "posterior" or "".
    """

    problem: Problem
    x: Array
    cov: Array
    llf: float
    diagnostics: tuple[Diagnostic, ...]
    optima: pd.DataFrame
    seconds: float = 0.0
    draws: Array | None = None
    draws_kind: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.problem.model

    @property
    def data(self) -> BasisSeries:
        return self.problem.data

    @property
    def names(self) -> list[str]:
        return self.problem.spec.names

    @property
    def units(self) -> list[str]:
        return [c.unit for c in self.problem.spec.coefficients]

    @cached_property
    def params(self) -> pd.Series[float]:
        """Estimates by name: 1/h, bps, bps/sqrt(h); slopes on the link scale."""
        return pd.Series(self.problem.spec.to_natural(self.x), index=self.names, name="estimate")

    @cached_property
    def bse(self) -> pd.Series[float]:
        """Standard errors by the delta method; NaN where the information gives none."""
        with np.errstate(invalid="ignore"):
            jacobian = self.problem.spec.jacobian(self.x)
            reach = np.where(jacobian != 0, 1.0, 0.0) @ np.isnan(np.diag(self.cov))
            known = np.nan_to_num(self.cov, nan=0.0)
            se = np.sqrt(np.diag(jacobian @ known @ jacobian.T))
            se = np.where(reach > 0, np.nan, se)
        return pd.Series(se, index=self.names, name="se")

    @property
    def nobs(self) -> int:
        """Observations whose density enters the likelihood."""
        return self.problem.nobs

    @property
    def df_model(self) -> int:
        """Number of free parameters."""
        return len(self.x)

    @property
    def aic(self) -> float:
        """Akaike (1974)."""
        return 2.0 * self.df_model - 2.0 * self.llf

    @property
    def bic(self) -> float:
        """Schwarz (1978)."""
        return math.log(self.nobs) * self.df_model - 2.0 * self.llf

    @property
    def ok(self) -> bool:
        """False where a diagnostic says that the fit is not to be trusted."""
        return not any(d.fatal for d in self.diagnostics)

    @cached_property
    def filtered(self) -> Filtered:
        """Filter at the estimate, on internal rows."""
        return self.problem.engine.filter(self.problem.layout, self.x)

    @cached_property
    def smoothed(self) -> Smoothed:
        """Smoother at the estimate, on internal rows."""
        return self.problem.engine.smooth(self.problem.layout, self.x)

    @cached_property
    def log_density(self) -> pd.Series[float]:
        """One-step-ahead log density of each row in nats, NaN where missing or conditioned on."""
        density = self.filtered.log_density[self.problem.place].copy()
        if not self.problem.layout.stationary:
            density[0] = np.nan
        return pd.Series(density, index=self.problem.time, name="log_density")

    @cached_property
    def regimes(self) -> pd.DataFrame:
        """Probability of each regime by time: columns (kind, regime), kind filtered, smoothed, predicted."""
        place, k = self.problem.place, self.problem.layout.regimes
        steps, _ = assemble.coefficients(self.problem.layout, self.x)
        p = self.filtered.p
        predicted = np.empty_like(p)
        predicted[0] = p[0] if k == 1 else stationary.law_of(predictors.natural(self.problem.layout, self.x))
        predicted[1:] = np.einsum("ij,ijk->ik", p[:-1], steps.p[self.problem.layout.row[1:]])
        parts = {"filtered": p, "smoothed": self.smoothed.p, "predicted": predicted}
        frames = {kind: pd.DataFrame(part[place], index=self.problem.time) for kind, part in parts.items()}
        return pd.concat(frames, axis=1, names=["kind", "regime"])

    def conf_int(self, level: float = 0.95) -> pd.DataFrame:
        """Wald intervals, symmetric on the free scale (log for positive parameters)."""
        from scipy.stats import norm

        z = float(norm.ppf(0.5 + level / 2.0))
        with np.errstate(invalid="ignore"):
            half = z * np.sqrt(np.diag(self.cov))
        spec = self.problem.spec
        lower, upper = spec.to_natural(self.x - half), spec.to_natural(self.x + half)
        for i, c in enumerate(spec.coefficients):
            if c.over >= 0:
                lower[i], upper[i] = self.params.iloc[i] + z * self.bse.iloc[i] * np.array([-1.0, 1.0])
        return pd.DataFrame({"lower": lower, "upper": upper}, index=self.names)

    def summary(self) -> str:
        """The fit as text: a headline when it is not to be trusted, then estimates and diagnostics."""
        head = [] if self.ok else ["NOT TO BE TRUSTED: see the diagnostics marked ! below"]
        interval, made = self._shown_interval()
        table = pd.DataFrame(
            {
                "estimate": self.params,
                "se": self.bse,
                f"2.5% ({made})": interval["lower"],
                f"97.5% ({made})": interval["upper"],
                "unit": self.units,
            }
        )
        links = {c.param: c.link for c in self.problem.spec.coefficients}
        lines = [
            *head,
            f"{self.model!r}",
            f"{self.nobs:,} observations, {self.data.time[self.problem.first]} to {self.data.time[-1]}",
            f"log likelihood {self.llf:.3f} ({self.problem.engine.name}, {self.problem.initial} start)"
            f"   AIC {self.aic:.1f}   BIC {self.bic:.1f}",
            "",
            table.to_string(float_format=lambda v: f"{v:.5g}", na_rep="-"),
            "",
            "links: " + ", ".join(f"{name} {link}" for name, link in links.items()),
            *(str(d) for d in self.diagnostics),
        ]
        return "\n".join(lines)

    def _shown_interval(self) -> tuple[pd.DataFrame, str]:
        """Limits for the summary and what made them: those of posterior draws, else Wald's."""
        if self.draws is None or self.draws_kind != "posterior":
            return self.conf_int(), "Wald"
        values = np.array([self.problem.spec.to_natural(x) for x in self.draws])
        lower, upper = draw_limits(values, 0.95)
        return pd.DataFrame({"lower": lower, "upper": upper}, index=self.names), "posterior"

    def to_datatree(self, *, thin: int | None = None, rng: np.random.Generator | int | None = None) -> Any:
        """The draws as an `xarray.DataTree` in ArviZ's groups, with the data's own stamps in UTC.

        posterior (values as reported), sample_stats, log_likelihood (one-step densities, by default thinned to
        ten million numbers, else every `thin`-th draw), posterior_predictive (whole series, by `rng`), prior,
        observed_data, constant_data. Errors: ModelError without draws.
        """
        from basismodels._datatree import datatree_of

        return datatree_of(self, thin, rng)

    def to_inferencedata(self, *, thin: int | None = None, rng: np.random.Generator | int | None = None) -> Any:
        """As `to_datatree`, in the older form of ArviZ before version 1. Errors: ModelError where that is gone."""
        import arviz

        if int(arviz.__version__.split(".")[0]) >= 1:
            raise ModelError("this ArviZ has no InferenceData of its own", remedy="fit.to_datatree()")
        return arviz.InferenceData.from_datatree(self.to_datatree(thin=thin, rng=rng))

    def __repr__(self) -> str:
        state = "ok" if self.ok else "not to be trusted"
        return f"<Fit {self.model!r}: log likelihood {self.llf:.3f}, {self.nobs:,} observations, {state}>"

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(self.summary())}</pre>"


def checked_fit(fit: object) -> Fit:
    """A fit as it is; ModelError for anything else."""
    if isinstance(fit, Fit):
        return fit
    raise ModelError(f"expected a fit, got {type(fit).__name__}", remedy="bm.fit(model, data)")
