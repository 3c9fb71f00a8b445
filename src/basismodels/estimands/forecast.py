"""Density forecast of the basis and of the regimes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import DataError, ModelError
from basismodels.estimands.ahead import closes_ahead, count_ahead, rule_ahead, steps_ahead
from basismodels.estimands.forecast_paths import (
    FLOWS,
    Ahead,
    Columns,
    rows_like_last,
    running,
    steps_of_columns,
    walked,
)
from basismodels.estimands.mixture import Law, Mixture, branches, merged, observed
from basismodels.funding.covariates import rule_of
from basismodels.inference.funding_onward import named
from basismodels.inference.tasks import generator_of
from basismodels.likelihood.kim import Steps
from basismodels.problem import pieces_of, spacing_of
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """A Gaussian mixture per step ahead, parameters held at the estimate.

    hours (h,); weights (h, M), mean (h, M) and sd (h, M) bps of the observed basis;
    regimes: frame of regime probabilities by hours ahead; note: where the covariates come from.
    """

    hours: Array
    weights: Array
    mean: Array
    sd: Array
    regimes: pd.DataFrame
    note: str = ""

    def __repr__(self) -> str:
        said = f"\n{self.note}" if self.note else ""
        return f"{self.summary_frame().to_string(float_format=lambda v: f'{v:.4g}')}{said}"

    @property
    def law(self) -> Mixture:
        """The mixtures, one a step ahead."""
        return Mixture(self.weights, self.mean, self.sd)

    def quantile(self, probabilities: tuple[float, ...] = (0.025, 0.25, 0.5, 0.75, 0.975)) -> pd.DataFrame:
        """Quantiles of the basis in bps, one row an hour ahead."""
        columns = {p: self.law.quantile(p) for p in probabilities}
        return pd.DataFrame(columns, index=pd.Index(self.hours, name="hours_ahead"))

    def cdf(self, value: float | Array) -> Array:
        """P(basis <= value) at each step ahead, (h,); one value in bps, or one a step."""
        return self.law.cdf(value)

    def log_density(self, values: Array) -> Array:
        """Log density in nats of one value (bps) per step ahead, (h,)."""
        return self.law.log_density(values)

    def summary_frame(self) -> pd.DataFrame:
        """Mean, standard deviation and central 95% interval in bps by hours ahead."""
        mean, sd = self.law.moments()
        limits = self.quantile((0.025, 0.975))
        return pd.DataFrame(
            {"mean": mean, "sd": sd, "lower": limits.iloc[:, 0], "upper": limits.iloc[:, 1]},
            index=limits.index,
        )


def forecast(
    fit: Fit,
    horizon: float = 24.0,
    *,
    covariates: pd.DataFrame | None = None,
    funding: Literal["simulated", "held"] | None = None,
    paths: int = 2000,
    rng: np.random.Generator | int | None = None,
) -> Forecast:
    """Density of the observed basis and of the regimes from the last row, step by step to `horizon` hours.

    Steps have the data's median spacing, parameters stay at the estimate. `covariates`: columns of the data at
    times after the last row (UTC), each known from its stamp until the next; columns that are not given stay as at the
    last row, and then of the jumps of `Settlement` only the one at the last row is known. `funding="simulated"`:
    funding's columns follow from `paths` simulated bases under the rule of the data, whose premium is the basis at its
    rows; the default where a formula names such a column, a rule is attached and no covariates are given, else
    "held". Without paths the mixture keeps one Gaussian a regime, with the moments of all ways into it (exact for
    one regime); with them 256 Gaussians a step, with the moments of all paths. Errors: ModelError, DataError.
    """
    spacing = spacing_of(checked_fit(fit).problem)
    count = count_ahead(horizon, spacing)
    if _simulated(fit, covariates, funding):
        if isinstance(paths, bool) or not isinstance(paths, int) or paths < 1:
            raise ModelError(f"paths must be a positive whole number, got {paths!r}")
        return _by_paths(fit, count, spacing, paths, rng)
    if covariates is not None:
        return _by_columns(fit, count, spacing, _given(fit, covariates, count, spacing))
    return _held(fit, count, spacing)


def _simulated(fit: Fit, covariates: pd.DataFrame | None, funding: str | None) -> bool:
    """Whether funding is walked along with the basis; ModelError where that is asked for and cannot be."""
    if funding not in (None, "simulated", "held"):
        raise ModelError(f'funding must be "simulated" or "held", got {funding!r}')
    if funding == "simulated" and covariates is not None:
        raise ModelError("covariates are given and simulated at once", remedy="drop one of them")
    if funding == "simulated" and rule_of(fit.data) is None:
        raise ModelError(
            "no funding rule is attached to the data of this fit",
            remedy="bm.funding.attach(data, bm.funding.rule(venue, symbol, at=...)), then fit",
        )
    known = rule_of(fit.data) is not None and covariates is None
    return funding == "simulated" or (funding is None and known and bool(named(fit.model)))


def _held(fit: Fit, count: int, spacing: float) -> Forecast:
    """Covariates as at the last row."""
    pieces = pieces_of(fit.problem, spacing)
    first, later = (steps_ahead(fit.problem, fit.x, spacing / pieces, later=which) for which in (False, True))
    note = "covariates held as at the last row" if _moves(fit) else ""
    return _made(fit, spacing, _merging(fit, [(first, later), *[(later, later)] * (count - 1)], pieces), note)


def _by_columns(fit: Fit, count: int, spacing: float, given: Columns) -> Forecast:
    """Covariates as given at the start of each step."""
    pieces = pieces_of(fit.problem, spacing)
    row = rows_like_last(fit.problem, 1)
    steps = [steps_of_columns(fit.problem, fit.x, row, given(i), spacing / pieces, last=i == 0) for i in range(count)]
    return _made(fit, spacing, _merging(fit, steps, pieces), "covariates as given, else as at the last row")


def _by_paths(fit: Fit, count: int, spacing: float, paths: int, rng: np.random.Generator | int | None) -> Forecast:
    """Funding as simulated under the rule."""
    rule, _ = rule_ahead(fit)
    found = walked(fit, count, paths, generator_of(rng), running(fit, rule, paths))
    note = f"funding simulated under the rule of {rule.venue} {rule.symbol} on {paths:,} paths"
    return _made(fit, spacing, found, note)


def _merging(fit: Fit, steps: list[tuple[Steps, Steps]], pieces: int) -> Iterator[Ahead]:
    """One mixture a step, the regimes merged as each of its pieces ends."""
    law = Law(fit.filtered.p[-1:], fit.filtered.mean[-1:], fit.filtered.var[-1:])
    for first, later in steps:
        for piece in range(pieces):
            own = later if piece else first
            parts = branches(law, own)
            law = merged(parts)
        yield Ahead(observed(parts, own), law.p[0])


def _made(fit: Fit, spacing: float, steps: Iterator[Ahead], note: str) -> Forecast:
    found = list(steps)
    hours = spacing * np.arange(1, len(found) + 1, dtype=np.float64)
    frame = pd.DataFrame([one.regimes for one in found], index=pd.Index(hours, name="hours_ahead"))
    weights, mean, sd = (
        np.concatenate([getattr(one.law, name) for one in found]) for name in ("weights", "mean", "sd")
    )
    gaussian = "shocks of the same variance taken as Gaussian" if "nu" in fit.problem.layout.places else ""
    return Forecast(hours, weights, mean, sd, frame, "; ".join(filter(None, (note, gaussian))))


def _moves(fit: Fit) -> bool:
    return any(len(made.columns) > 1 or made.spec is not None for made in fit.problem.designs.values())


def _given(fit: Fit, covariates: pd.DataFrame, count: int, spacing: float) -> Columns:
    """Given columns at the start of step i: the newest value by then, before the first that of the last row."""
    if not isinstance(covariates, pd.DataFrame) or not isinstance(covariates.index, pd.DatetimeIndex):
        raise DataError("covariates must be a frame by time", remedy='df.set_index("time")')
    now, known = fit.data.time[-1], fit.data.frame()
    index = covariates.index
    unknown = [str(name) for name in covariates if name not in known.columns]
    if unknown:
        raise DataError(f"covariates the data lack; they have {', '.join(map(str, known.columns))}", rows=unknown)
    if index.tz is None or not index.is_monotonic_increasing or index.has_duplicates or not (index > now).all():
        raise DataError(
            f"covariates need rising UTC stamps after the last row, {now}", rows=[str(t) for t in index[:3]],
            remedy='df.tz_localize("UTC").sort_index()',
        )  # fmt: skip
    values = covariates.to_numpy(dtype=float)
    holes = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(holes):
        raise DataError("covariates are missing", rows=[str(t) for t in index[holes]], remedy="df.ffill()")
    idle = [str(name) for name in covariates if str(name) not in fit.model.words()]
    if idle:
        raise DataError(
            "covariates that no formula of the model names", rows=idle, remedy="covariates.drop(columns=...)"
        )
    # what is known by the start of each step; payments only where they fall in the bar that ends there
    at = np.asarray(index.searchsorted([now, *closes_ahead(now, spacing, count - 1)], side="right"))

    def columns(i: int) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for j, name in enumerate(map(str, covariates)):
            if name in FLOWS:
                found[name] = values[at[i - 1] : at[i], j].sum(keepdims=True) if i else np.empty(0)
            elif at[i] > 0:
                found[name] = values[[at[i] - 1], j]
        return {name: value for name, value in found.items() if len(value)}

    return columns
