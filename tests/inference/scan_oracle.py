"""The two-regime likelihood written with `pytensor.scan`: slow, and written without the package's kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt


def chain(rates: Any, dt: float) -> tuple[Any, Any]:
    """Transition matrix over `dt` hours and stationary law of two regimes with rates (q01, q10)."""
    total = rates[0] + rates[1]
    moved = (1.0 - pt.exp(-total * dt)) / total
    up, down = rates[0] * moved, rates[1] * moved
    p = pt.stack([pt.stack([1.0 - up, up]), pt.stack([down, 1.0 - down])])
    return p, pt.stack([rates[1], rates[0]]) / total


def log_likelihood(kappa: Any, theta: Any, sigma: Any, rates: Any, y: Any, dt: float = 1.0) -> Any:
    """Log likelihood of y given its first value; kappa, theta, sigma (2,), rates (q01, q10); Hamilton (1989)."""
    p, law = chain(rates, dt)
    phi = pt.exp(-kappa * dt)
    sd = sigma * pt.sqrt((1.0 - phi**2) / (2.0 * kappa))

    def step(now: Any, before: Any, weights: Any, value: Any, p: Any, phi: Any, theta: Any, sd: Any) -> Any:
        e = (now - theta - phi * (before - theta)) / sd
        log_density = -0.5 * e**2 - pt.log(sd) - 0.5 * np.log(2.0 * np.pi)
        top = pt.max(log_density)
        joint = pt.dot(weights, p) * pt.exp(log_density - top)
        norm = pt.sum(joint)
        return joint / norm, value + top + pt.log(norm)

    made = pytensor.scan(
        step, sequences=[y[1:], y[:-1]], outputs_info=[law, pt.constant(0.0, dtype="float64")],
        non_sequences=[p, phi, theta, sd],
    )  # fmt: skip
    outputs = made[0] if isinstance(made[0], list | tuple) else made  # later versions hand back no updates
    return outputs[1][-1]
