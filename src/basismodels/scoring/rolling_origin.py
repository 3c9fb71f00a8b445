"""Forecasts from a rolling origin: fit to the past, freeze, score what comes, move on."""

from __future__ import annotations

import time as clock
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.errors import BasismodelsError, DataError, ModelError
from basismodels.estimands.event import Event
from basismodels.estimands.mixture import Mixture
from basismodels.estimands.passage import check_band, no_return
from basismodels.estimands.state import of_moments
from basismodels.inference.intervals import checked_level
from basismodels.inference.mle import descend, fit_problem, is_plain_ou
from basismodels.inference.starts import bounds, scales, steps
from basismodels.model import Component, Model, as_model
from basismodels.presets import PRESETS, parse_model
from basismodels.problem import bind
from basismodels.results import Fit
from basismodels.scoring import baselines, markov
from basismodels.scoring.events import failures
from basismodels.scoring.forward import Ahead, continue_over, seen_values, several_steps, values_of
from basismodels.scoring.scores import Scores
from basismodels.series import BasisSeries

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
Named = Mapping[str, str | Component | Model] | Sequence[str]
MARKOV = "markov-regression"
HISTORY = "historical"


@dataclass(frozen=True)
class Plan:
    """How forecasts are made: rows ahead, level of intervals, failure event, starts, first law, seed."""

    horizon: int
    level: float
    event: Event
    starts: int
    initial: str
    rng: int | None


@dataclass(frozen=True, eq=False)
class Block:
    """The rows between two refits: everything up to the last of them, what precedes them, and which they are."""

    known: BasisSeries
    train: BasisSeries
    rows: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Said:
    """What one forecaster said of a block: laws of its rows, probability of failure at them, facts of the refit."""

    law: Mixture
    failing: Array
    facts: dict[str, object] = field(default_factory=dict)


def rolling_origin(
    models: Named | None,
    data: BasisSeries,
    *,
    train_end: str | pd.Timestamp,
    refit: str | None = "MS",
    horizon: int = 1,
    window: str | None = None,
    level: float = 0.95,
    failure: tuple[float, float] = (24.0, 10.0),
    starts: int = 8,
    initial: str = "stationary",
    rng: int | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Score forecasts of the rows after `train_end`, parameters frozen from one refit to the next.

    `models`: registered names, baselines ("ar1", "har", "historical", "markov-regression"), or models by
    name; None takes every preset whose columns the data have, and every baseline. `refit`: how often (a pandas
    frequency), None never; `horizon`: rows ahead, beyond one the first rows after a refit are not scored;
    `window`: train on the last such span only, e.g. "730D", default all of the past; `failure`: horizon (h)
    and band (bps), around 0, of the failure event. The first fit takes `starts` starting points, later ones start from
    the last optimum. Errors: ModelError, DataError.
    """
    check_band(*failure)
    checked_level(level)
    if not isinstance(horizon, int) or horizon < 1:
        raise ModelError(f"horizon must be a positive whole number of rows, got {horizon!r}")
    plan = Plan(horizon, level, Event(*failure), starts, initial, rng)
    blocks = _blocks(data, _stamp(train_end, end=True), refit, window)
    made = {name: _forecaster(model, plan) for name, model in _named(models, data).items()}
    said: dict[str, list[Said]] = {name: [] for name in made}
    for i, block in enumerate(blocks):
        for j, (name, forecaster) in enumerate(made.items()):
            said[name].append(forecaster(block))
            if progress is not None:
                progress(i * len(made) + j + 1, len(blocks) * len(made))
    return _scores(said, blocks, data, plan)


def _stamp(stamp: str | pd.Timestamp, end: bool) -> pd.Timestamp:
    """A stamp in UTC; a date alone means its end."""
    made = pd.Timestamp(stamp)
    made = made.tz_localize("UTC") if made.tzinfo is None else made.tz_convert("UTC")
    whole = isinstance(stamp, str) and len(stamp) <= 10
    return made + pd.Timedelta("1D") if end and whole else made


def _served(name: str, data: BasisSeries) -> bool:
    """Whether the data have the columns of a preset."""
    try:
        bind(parse_model(name), data)
    except BasismodelsError:
        return False
    return True


def _named(models: Named | None, data: BasisSeries) -> dict[str, str | Model]:
    if models is None:
        models = [*(name for name in PRESETS if _served(name, data)), *baselines.BASELINES, MARKOV]
    pairs = models.items() if isinstance(models, Mapping) else ((name, name) for name in models)
    made: dict[str, str | Model] = {}
    for name, model in pairs:
        if isinstance(model, str):
            made[name] = model if model in baselines.BASELINES or model == MARKOV else parse_model(model)
        else:
            made[name] = as_model(model)
    if not made:
        raise ModelError("rolling_origin takes at least one model", remedy='models=["ou", "ar1"]')
    return made


def _blocks(data: BasisSeries, first: pd.Timestamp, refit: str | None, window: str | None) -> list[Block]:
    """One block a refit; the last ends with the data."""
    if not data.time[0] < first <= data.time[-1]:
        raise DataError(f"train_end {first} leaves nothing on one side; the data run {data.time[0]} to {data.time[-1]}")
    later = pd.date_range(first, data.time[-1], freq=refit) if refit else pd.DatetimeIndex([])
    origins = [first, *(stamp for stamp in later if stamp > first)]
    blocks = []
    for start, end in zip(origins, [*origins[1:], data.time[-1] + pd.Timedelta("1us")], strict=True):
        low, high = (int(data.time.searchsorted(stamp)) for stamp in (start, end))
        since = start - pd.Timedelta(window) if window else data.time[0]
        if high > low:
            train = data.cut(since, data.time[low - 1])
            known = data.cut(data.time[0], data.time[high - 1])
            blocks.append(Block(known, train, np.arange(low, high)))
    return blocks


def _forecaster(model: str | Model, plan: Plan) -> Callable[[Block], Said]:
    return _by_model(model, plan) if isinstance(model, Model) else _by_baseline(model, plan)


def _by_baseline(name: str, plan: Plan) -> Callable[[Block], Said]:
    """A baseline refitted at each block; the switching regression starts from where it ended."""
    kept: list[Array | None] = [None]

    def forecast(block: Block) -> Said:
        began = clock.perf_counter()
        past, all_values = seen_values(block.train), seen_values(block.known)
        if name == MARKOV:
            made, kept[0] = markov.markov_regression(past, plan.horizon, kept[0])
        else:
            made = baselines.BASELINES[name](past, plan.horizon)
        law = made.predict(all_values, block.rows)
        failing = np.full(len(block.rows), np.nan)
        if name == HISTORY:
            shares = baselines.failure_shares(block.train, plan.event)
            failing = baselines.failure_by_share(shares, all_values[block.rows], plan.event)
        return Said(law, failing, {"seconds": clock.perf_counter() - began})

    return forecast


def _by_model(model: Model, plan: Plan) -> Callable[[Block], Said]:
    """A model refitted at each block from its last optimum, its filter carried on over the block."""
    kept: list[Array | None] = [None]

    def forecast(block: Block) -> Said:
        began = clock.perf_counter()
        fit = refitted(model, block.train, kept[0], plan)
        kept[0] = fit.x
        new = block.known.cut(block.known.time[block.rows[0]], None)
        ahead = continue_over(fit, new)
        facts: dict[str, object] = {"llf": fit.llf, "nobs": fit.nobs, "seconds": clock.perf_counter() - began}
        facts.update((str(key), value) for key, value in fit.params.items())
        return Said(_law(fit, ahead, plan.horizon), _failing(fit, ahead, plan.event), facts)

    return forecast


def refitted(model: Model, train: BasisSeries, before: Array | None, plan: Plan) -> Fit:
    """Maximum likelihood from the last optimum, or from several starts where there is none; no standard errors."""
    problem = bind(model, train, initial=plan.initial)
    if before is None or is_plain_ou(problem):
        return fit_problem(problem, starts=plan.starts, rng=plan.rng)
    box = bounds(problem, scales(problem))
    x = np.clip(before, box[:, 0], box[:, 1])
    found = descend(objective(problem.engine, problem.layout), x, box, steps(problem, x), 200)
    return Fit(problem, found.x, np.full((len(x), len(x)), np.nan), found.llf, (), pd.DataFrame())


def _law(fit: Fit, ahead: Ahead, horizon: int) -> Mixture:
    """Laws of the new rows: one row ahead, or `horizon` rows ahead of a row of the block so many before."""
    if horizon == 1:
        return ahead.law
    from_rows = several_steps(fit, ahead, horizon)
    made = Mixture(*(np.full_like(part, np.nan) for part in (from_rows.weights, from_rows.mean, from_rows.sd)))
    for name in ("weights", "mean", "sd"):
        getattr(made, name)[horizon:] = getattr(from_rows, name)[:-horizon]
    return made


def _failing(fit: Fit, ahead: Ahead, event: Event) -> Array:
    """P(outside the band and no return within the horizon) at the new rows, from the filter."""
    state = of_moments(ahead.filtered.p, ahead.filtered.mean, ahead.filtered.var)
    return no_return(fit.problem, fit.x, state, event)


def _scores(said: Mapping[str, list[Said]], blocks: Sequence[Block], data: BasisSeries, plan: Plan) -> Scores:
    rows = np.concatenate([block.rows for block in blocks])
    time, truth, y = data.time[rows], values_of(data), seen_values(data)
    event = failures(truth, plan.event).iloc[rows]
    columns: dict[str, dict[str, Array]] = {}
    for name, parts in said.items():
        pairs = zip(parts, blocks, strict=True)
        pieces = [_scored(part, y[block.rows], plan.level) for part, block in pairs]
        columns[name] = {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
    frames = {
        key: pd.DataFrame({name: column[key] for name, column in columns.items()}, index=time)
        for key in ("log_score", "crps", "pit", "inside", "width", "failing")
    }
    facts = [
        {"model": name, "origin": data.time[block.rows[0]], **part.facts}
        for name, parts in said.items() for part, block in zip(parts, blocks, strict=True)
    ]  # fmt: skip
    return Scores(**frames, failed=event, refits=pd.DataFrame(facts), horizon=plan.horizon, level=plan.level)


def _scored(said: Said, y: Array, level: float) -> dict[str, Array]:
    """Scores of one block; NaN where the row was not seen or nothing was said of it."""
    law, tail = said.law, 0.5 * (1.0 - level)
    known = np.isfinite(y) & np.isfinite(law.mean).all(axis=1)
    law = Mixture(law.weights[known], law.mean[known], law.sd[known])
    seen = y[known]
    lower, upper = law.quantile(tail), law.quantile(1.0 - tail)
    parts = {
        "log_score": law.log_density(seen),
        "crps": law.crps(seen),
        "pit": law.cdf(seen),
        "inside": ((lower <= seen) & (seen <= upper)).astype(float),
        "width": upper - lower,
    }
    out = {name: _spread(part, known) for name, part in parts.items()}
    return {**out, "failing": said.failing}


def _spread(values: Array, known: NDArray[np.bool_]) -> Array:
    out = np.full(len(known), np.nan)
    out[known] = values
    return out
