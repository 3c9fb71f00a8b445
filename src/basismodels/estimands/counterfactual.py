"""What another funding rule would do to the basis, by the model: simulated in a closed loop.

Caution comes with every table: in the frictionless benchmark the speed of the basis is that of the demand for
leverage, and the rule sets only how far the premium goes (Ackerer, Hugonnier & Jermann 2025). A counterfactual
holds the estimated response to funding fixed, and traders need not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.estimands.event import event_of
from basismodels.funding.checks import checked_rule
from basismodels.funding.covariates import COVARIATES
from basismodels.funding.mechanism import Rule
from basismodels.inference.closed_loop import Looped, PremiumLink, even_grid, from_problem, loop
from basismodels.inference.draws import draws_of
from basismodels.inference.intervals import checked_level
from basismodels.inference.loop_checks import check_columns, said_of
from basismodels.inference.tasks import generator_of
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]
CAUTION = (
    "The estimated response to funding is held fixed under every rule. Theory does not make it so: without frictions "
    "the speed of the basis is that of the demand for leverage, and the rule sets only the size of the premium."
)
QUANTITIES = ("half_life", "outside", "failing")


def counterfactual(
    fit: Fit,
    rules: Mapping[str, Rule],
    *,
    draws: int = 40,
    horizon: float = 24.0,
    band: float | None = None,
    target: float | None = None,
    level: float = 0.95,
    link: PremiumLink | None = None,
    rng: np.random.Generator | int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Half-life, time outside the band and failure under several rules, the first being what they are held against.

    For each of `draws` parameter draws a market of the data's span is walked under every rule on the same
    random numbers. Per rule: half_life (h; where the autocorrelation of the basis without noise crosses one
    half), outside (share of closes further than `band` bps from `target`), failing (share outside and not back
    within `horizon` hours), each as median, _lower and _upper at `level`, and _change, _change_lower,
    _change_upper against the first rule. Band and target are the same under every rule, by default those of
    the rule attached to the fit's data, as in `bm.failure_probability`; attrs hold them. attrs["caution"] belongs
    beside the table, and attrs["warnings"], which say where a rule would have changed its interval at the cap
    (`Rule.dynamic`): that is not simulated. Errors: ModelError for a model in which nothing depends on funding, a
    column that a rule cannot give, or a fit without draws.
    """
    _checked(fit, rules, draws)
    event = event_of(fit.data, horizon, band, target)
    checked_level(level)
    driven = {c for made in fit.problem.designs.values() for c in made.columns if c in COVARIATES}
    if not driven:
        raise ModelError("nothing in the model depends on funding: no rule changes anything", rows=[repr(fit.model)])
    for rule in rules.values():
        check_columns(driven, rule)
    generator, said = generator_of(rng), dict[str, None]()
    points, seeds = draws_of(fit, draws, generator), generator.integers(2**63, size=draws)
    grid, found = even_grid(fit.data), np.empty((len(points), len(rules), len(QUANTITIES)))
    bar = float((grid[1] - grid[0]) / np.timedelta64(1, "h"))
    for i, x in enumerate(points):
        machine = from_problem(fit.problem, x)
        for j, rule in enumerate(rules.values()):
            walked = loop(machine, rule, grid, np.random.default_rng(seeds[i % draws]), link)
            found[i, j] = quantities(walked, bar, horizon, event.band, event.target)
            said |= dict.fromkeys(said_of(rule, walked.rate))
        if progress is not None:
            progress(i + 1, len(points))
    frame = _summary(found, list(rules), level)
    frame.attrs |= event.facts()
    frame.attrs |= {"caution": CAUTION, "draws": len(points), "follows": sorted(driven), "warnings": list(said)}
    return frame


def _checked(fit: object, rules: object, draws: object) -> None:
    """ModelError for what is no fit, no rules by name or no number of draws."""
    checked_fit(fit)
    if not isinstance(rules, Mapping) or not rules:
        raise ModelError("rules go by name, one or more", remedy='{"as it is": rule, "hourly": rule.with_interval(1)}')
    for name, rule in rules.items():
        checked_rule(rule, f"rules[{name!r}]")
    if isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1:
        raise ModelError(f"draws must be a whole number of one or more, got {draws!r}", remedy="draws=40")


def quantities(walked: Looped, bar: float, horizon: float, band: float, target: float) -> tuple[float, float, float]:
    """Half-life in hours, share of closes outside the band, share outside and not back within the horizon."""
    state = walked.x + walked.level
    out = np.abs(state - target) > band
    ahead = max(1, round(horizon / bar))
    stays = pd.Series(out[::-1].astype(float)).rolling(ahead + 1, min_periods=1).min().to_numpy()[::-1]
    return half_life_of(state, bar), float(out.mean()), float(stays[: len(out) - ahead].mean())


def half_life_of(state: Array, bar: float) -> float:
    """Where the sample autocorrelation crosses one half, h, linear between closes; infinite within a quarter of it."""
    centred = state - state.mean()
    size = 2 ** math.ceil(math.log2(2 * len(centred)))
    power = np.abs(np.fft.rfft(centred, size)) ** 2
    acf = np.fft.irfft(power, size)[: max(len(centred) // 4, 2)]
    acf = acf / acf[0]
    below = np.flatnonzero(acf < 0.5)
    if not len(below):
        return math.inf
    k = int(below[0])
    return float(bar * (k - 1 + (acf[k - 1] - 0.5) / (acf[k - 1] - acf[k])))


def _summary(found: Array, names: list[str], level: float) -> pd.DataFrame:
    """Medians and limits over draws, (draws, rules, quantities) to a frame by rule."""
    columns: dict[str, Array] = {}
    with np.errstate(invalid="ignore"):
        change = np.where(found == found[:, :1], 0.0, found - found[:, :1])
    for q, name in enumerate(QUANTITIES):
        for label, values in ((name, found[:, :, q]), (f"{name}_change", change[:, :, q])):
            low, middle, high = np.array([_quantiles(values[:, j], level) for j in range(len(names))]).T
            columns |= {label: middle, f"{label}_lower": low, f"{label}_upper": high}
    return pd.DataFrame(columns, index=pd.Index(names, name="rule"))


def _quantiles(values: Array, level: float) -> tuple[float, float, float]:
    """Order statistics, so that an infinite value stays one."""
    order, tail = np.sort(values), 0.5 * (1.0 - level)
    at = [math.floor(tail * (len(order) - 1)), round(0.5 * (len(order) - 1)), math.ceil((1 - tail) * (len(order) - 1))]
    low, middle, high = (float(order[k]) for k in at)
    return low, middle, high
