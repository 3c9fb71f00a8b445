"""The signed root of one speed in any model, by constrained refits of the whole likelihood."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from basismodels.engine import objective
from basismodels.inference.mle import Optimum, descend
from basismodels.inference.profile import refit_from
from basismodels.inference.simulate import walk
from basismodels.inference.starts import bounds, observed, scales, steps
from basismodels.likelihood import assemble, predictors
from basismodels.problem import Problem, bind
from basismodels.results import Fit

Array = NDArray[np.float64]


class PathRoot:
    """Roots of one speed; the nuisance is the whole free vector.

    One reversion without a slow level is conditional on its first state, so that kappa may cross
    zero; other models keep the fit's own start and link. The two speeds of a one-regime model keep
    their order.
    """

    def __init__(self, fit: Fit, name: str) -> None:
        used = _crossing_zero(fit) if name == "kappa" else fit
        self.problem, self.x, self.top = used.problem, used.x, used.llf
        self.i = self.problem.spec.position(name)
        self.coefficient = self.problem.spec.coefficients[self.i]
        self.box, self.unit = bounds(self.problem, scales(self.problem)), steps(self.problem, self.x)
        self.span = float(observed(self.problem)[1].sum()) * _share(fit, self.coefficient.regime)
        self.positive = self.coefficient.link == "log"
        self.highest = self.coefficient.to_natural(float(self.box[self.i, 1]))
        self.estimate = self.coefficient.to_natural(float(self.x[self.i]))

    def root(self, value: float) -> tuple[float, Array]:
        """Signed root at a speed in 1/h and the restricted estimate."""
        null = self._restricted(self.problem, value, self.x)
        if null.llf > self.top + 1e-3:
            best = self._free(self.problem, null.x)
            self.x, self.top = best.x, best.llf
            self.estimate = self._speed(self.x)
        return math.copysign(math.sqrt(max(2.0 * (self.top - null.llf), 0.0)), self.estimate - value), null.x

    def simulated(self, value: float, nuisance: Array, draws: int, rng: np.random.Generator) -> Array:
        """Roots (draws,) of series simulated at a speed, each fitted with and without the restriction."""
        from joblib import Parallel, delayed

        seeds = [int(s) for s in rng.integers(2**63, size=draws)]
        jobs = (delayed(self.simulated_once)(value, nuisance, np.random.default_rng(seed)) for seed in seeds)
        return np.array(Parallel(n_jobs=2, prefer="threads")(jobs))

    def simulated_once(self, value: float, x: Array, rng: np.random.Generator) -> float:
        """Root of one series simulated at a speed, from the restricted estimate x."""
        again = self._again(x, rng)
        null = self._restricted(again, value, x)
        best = self._free(again, null.x)
        return math.copysign(math.sqrt(max(2.0 * (best.llf - null.llf), 0.0)), self._speed(best.x) - value)

    def _again(self, x: Array, rng: np.random.Generator) -> Problem:
        """The problem with a series simulated at x; where the level is free it does not matter and stands at zero."""
        layout, at = self.problem.layout, x.copy()
        for j, c in enumerate(self.problem.spec.coefficients):
            if c.over >= 0:
                at[j] = 0.0
        law, start = assemble.coefficients(layout, at)
        y = walk(self.problem, law, start, self._first(at, rng), rng, predictors.freedom(layout, at)).y
        return replace(self.problem, layout=layout._replace(y=np.where(np.isfinite(layout.y), y, np.nan)))

    def _first(self, x: Array, rng: np.random.Generator) -> Array:
        """First state if conditional: stationary about a free level, at it where kappa <= 0, else the data's."""
        layout = self.problem.layout
        nat = predictors.natural(layout, x)
        if "theta" not in self.problem.spec.names:
            return np.full(layout.regimes, layout.y[0])
        kappa, variance = nat.kappa[0], nat.variance[0]
        spread = np.sqrt(np.divide(variance, 2.0 * kappa, out=np.zeros_like(kappa), where=kappa > 0))
        return np.asarray(np.nan_to_num(nat.theta[0]) + spread * rng.standard_normal())

    def _restricted(self, problem: Problem, value: float, near: Array) -> Optimum:
        box, x = self.box.copy(), near.copy()
        free = float(np.clip(self.coefficient.to_free(value), *self.box[self.i]))
        box[self.i], x[self.i] = free, free
        self._keep_order(box, free)
        return descend(objective(problem.engine, problem.layout), np.clip(x, box[:, 0], box[:, 1]), box, self.unit, 300)

    def _free(self, problem: Problem, near: Array) -> Optimum:
        x = np.clip(near, self.box[:, 0], self.box[:, 1])
        return descend(objective(problem.engine, problem.layout), x, self.box, self.unit, 400)

    def _keep_order(self, box: Array, free: float) -> None:
        """The slow level stays slower than the reversion."""
        other = self._other()
        if other is not None:
            side = 1 if self.coefficient.name == "kappa" else 0
            box[other, side] = np.clip(free, *box[other])

    def _other(self) -> int | None:
        names = self.problem.spec.names
        if not {"kappa", "slow.kappa"} <= set(names):
            return None
        return names.index("slow.kappa" if self.coefficient.name == "kappa" else "kappa")

    def _speed(self, x: Array) -> float:
        """The speed at a free vector; the faster of two is kappa, whichever way they came out."""
        other = self._other()
        if other is None:
            return self.coefficient.to_natural(float(x[self.i]))
        pick = max if self.coefficient.name == "kappa" else min
        return self.coefficient.to_natural(float(pick(x[self.i], x[other])))


def _share(fit: Fit, regime: str) -> float:
    """Share of the time spent in a regime, one where there is none."""
    return float(fit.smoothed.p[:, int(regime)].mean()) if regime else 1.0


def _crossing_zero(fit: Fit) -> Fit:
    """The fit with kappa on its own scale and a conditional start, where the model allows it."""
    problem = fit.problem
    if problem.layout.regimes > 1 or "slow.kappa" in problem.layout.places or fit.model.formulas()["kappa"] != "1":
        return fit
    bound = bind(fit.model, fit.data, initial="conditional", kappa_link="identity", mask=problem.mask)
    if not np.array_equal(bound.layout.y, problem.layout.y, equal_nan=True):
        bound = replace(bound, layout=bound.layout._replace(y=problem.layout.y))
    return refit_from(replace(fit, problem=bound, x=bound.spec.to_free(np.asarray(fit.params))))
