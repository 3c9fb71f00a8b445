"""Everything the report says, worked out once: fits, half-lives, failure, spells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from basismodels.errors import BasismodelsError, DataError
from basismodels.estimands.convergence import half_life
from basismodels.estimands.event import Event, event_of
from basismodels.estimands.failure import failure_probability
from basismodels.funding.covariates import rule_of
from basismodels.inference.mle import fit as fit_model
from basismodels.inference.particle import ParticleLoglik, particle_loglik
from basismodels.model import Component, Model, as_model
from basismodels.presets import parse_model
from basismodels.problem import known_to_all
from basismodels.report import spells
from basismodels.report.event import NAME, no_return
from basismodels.report.fitness import Fitness, fitness
from basismodels.results import Estimate, Fit
from basismodels.series import BasisSeries

Progress = Callable[[int, int], None]
Rng = np.random.Generator | int | None

Made = TypeVar("Made")

LONG = 12_000
MOST_DRAWS, LEAST_DRAWS, DRAWN_ROWS = 200, 40, 3_000_000


@dataclass(frozen=True)
class Settings:
    """What was asked: horizon (h), band and target (bps, None: as the funding rule says), interval level, starts, law
    of the first state, seed."""

    horizon: float = 24.0
    band: float | None = None
    target: float | None = None
    level: float = 0.95
    starts: int = 20
    initial: str = "stationary"
    rng: Rng = None


@dataclass(frozen=True, eq=False)
class Entry:
    """One model: its fit, half-lives and best log likelihood, or why it could not be fitted."""

    label: str
    fit: Fit | None = None
    half_lives: tuple[Estimate, ...] = ()
    loglik: ParticleLoglik | None = None
    error: str = ""

    @property
    def ok(self) -> bool:
        return self.fit is not None and self.fit.ok

    @property
    def llf(self) -> float:
        """Log likelihood, by particles where the fit's own is approximate."""
        return self.loglik.value if self.loglik is not None else math.nan

    @property
    def aic(self) -> float:
        return 2.0 * self.fit.df_model - 2.0 * self.llf if self.fit else math.nan

    @property
    def bic(self) -> float:
        return math.log(self.fit.nobs) * self.fit.df_model - 2.0 * self.llf if self.fit else math.nan


@dataclass(frozen=True, eq=False)
class Failing:
    """Failure by one model with regimes: probabilities by time, a row a regime, draws behind the limits."""

    entry: Entry
    fit: Fit
    frame: pd.DataFrame
    regimes: pd.DataFrame
    draws: int
    spells: tuple[spells.Spell, ...]

    @property
    def failing(self) -> tuple[int, ...]:
        return tuple(int(k) for k in np.flatnonzero(self.regimes["fails"].to_numpy(dtype=bool)))

    @property
    def tells(self) -> bool:
        """Whether some regimes fail and others do not, so that regimes tell when."""
        return 0 < len(self.failing) < len(self.regimes)


@dataclass(frozen=True, eq=False)
class Analysis:
    """All of it: what counts as failure, one entry a model, the one chosen, failure with and without regimes."""

    data: BasisSeries
    settings: Settings
    event: Event
    entries: tuple[Entry, ...]
    chosen: Entry
    fit: Fit
    no_return: pd.DataFrame
    lost: tuple[spells.Spell, ...]
    outside: tuple[spells.Spell, ...]
    failing: Failing | None
    fitness: Fitness | None = None
    notes: tuple[str, ...] = ()

    @property
    def trusted(self) -> bool:
        return self.chosen.ok


def analyse(
    data: BasisSeries, models: Sequence[str | Component | Model], settings: Settings, progress: Progress | None = None
) -> Analysis:
    """Fits the models and works out every figure. Errors: DataError where none could be fitted, ModelError."""
    named = [(model if isinstance(model, str) else repr(as_model(model)), _as_model(model)) for model in models]
    whole, data = data, known_to_all([model for _, model in named], data, initial=settings.initial)
    steps = _Steps(len(named) + 3, progress)
    entries = tuple(steps.after(_entry(label, model, data, settings)) for label, model in named)
    chosen = best(entries)
    if chosen is None or chosen.fit is None:
        raise DataError("no model could be fitted: " + "; ".join(f"{e.label}: {e.error}" for e in entries))
    event = _event(data, entries, settings)
    lost = no_return(chosen.fit, event, level=settings.level, draws=draws_for(data.n), rng=settings.rng)
    steps.after(lost)
    failing = steps.after(_failing(entries, event, settings, data.n))
    return Analysis(
        data, settings, event, entries, chosen, chosen.fit, lost,
        spells.spells(chosen.fit, lost[NAME].to_numpy() > 0.5),
        spells.excursions(chosen.fit, event.band, event.target),
        failing, steps.after(fitness(chosen.fit, settings.level, settings.rng)),
        tuple(_notes(whole.n - data.n, data, entries)),
    )  # fmt: skip


def _event(data: BasisSeries, entries: Sequence[Entry], settings: Settings) -> Event:
    """One event for every model: by the rule of the data, else by the one that a model's formulas asked for."""
    series = [data, *(e.fit.data for e in entries if e.fit is not None)]
    known = next((one for one in series if rule_of(one) is not None), data)
    return event_of(known, settings.horizon, settings.band, settings.target)


class _Steps:
    """Counts finished steps, telling whoever listens."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def after(self, made: Made) -> Made:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)
        return made


def _as_model(model: str | Component | Model) -> Model:
    return parse_model(model) if isinstance(model, str) else as_model(model)


def draws_for(n: int) -> int:
    """Draws behind the limits of probabilities: 200, fewer on a long series, never under 40."""
    return int(min(MOST_DRAWS, max(LEAST_DRAWS, DRAWN_ROWS // max(n, 1))))


def _entry(label: str, model: Model, data: BasisSeries, settings: Settings) -> Entry:
    try:
        made = fit_model(model, data, starts=settings.starts, initial=settings.initial, rng=settings.rng)
        method = "profile" if model.regimes == 1 else "wald"
        found = half_life(made, level=settings.level, method=method)
        exactly = _loglik(made, settings.rng)
    except (BasismodelsError, np.linalg.LinAlgError) as error:
        return Entry(label, error=str(error))
    return Entry(label, made, found, exactly)


def _loglik(made: Fit, rng: Rng) -> ParticleLoglik:
    """Log likelihood by particles where the engine is approximate; of a fit not to be trusted its own, se NaN."""
    if not made.ok:
        return ParticleLoglik(made.llf, 0.0 if made.problem.engine.exact else math.nan, made.llf)
    return particle_loglik(made, particles=100 if made.data.n > LONG else 300, replicates=4, rng=rng)


def best(entries: Sequence[Entry]) -> Entry | None:
    """Lowest BIC among the fits to be trusted; among all fits where none is; None without a fit."""
    fitted = [e for e in entries if e.fit is not None and math.isfinite(e.bic)]
    pool = [e for e in fitted if e.ok] or fitted
    return min(pool, key=lambda e: e.bic, default=None)


def _failing(entries: Sequence[Entry], event: Event, settings: Settings, n: int) -> Failing | None:
    """Failure by the best trusted model with regimes; None where there is none."""
    entry = best([e for e in entries if e.ok and e.fit is not None and e.fit.problem.layout.regimes > 1])
    if entry is None or entry.fit is None:
        return None
    s, fit = settings, entry.fit
    frame = failure_probability(
        fit, event.horizon, event.band, s.level, target=event.target, draws=draws_for(n), rng=s.rng
    )
    held = spells.spells(fit, frame["smoothed"].to_numpy() > 0.5)
    return Failing(entry, fit, frame, frame.attrs["regimes"], int(frame.attrs["draws"]), held)


def _notes(left_out: int, data: BasisSeries, entries: Sequence[Entry]) -> list[str]:
    """Economies and inequalities a reader has to know of."""
    notes = []
    if left_out:
        rows = "row is" if left_out == 1 else f"{left_out:,} rows are"
        notes.append(f"the first {rows} left out, in which not every model knows its covariates")
    draws = draws_for(data.n)
    if draws < MOST_DRAWS:
        notes.append(f"the series is long, so limits of probabilities rest on {draws} draws, not {MOST_DRAWS}")
    counts = {e.fit.nobs for e in entries if e.fit is not None}
    if len(counts) > 1:
        notes.append("the models see different numbers of observations, so their AIC and BIC do not compare")
    return notes
