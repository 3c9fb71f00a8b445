"""Point estimates of the speed of one Ornstein-Uhlenbeck process, each by its name.

The estimate of kappa is biased upwards by about 4 / T hours over a span of T where the level is
estimated too, 2 / T where it is known. With h = T / n the corrections below are functions of kappa.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels.errors import ModelError
from basismodels.inference.inversion import invert
from basismodels.inference.mle import is_plain_ou
from basismodels.inference.starts import observed
from basismodels.likelihood import ou
from basismodels.results import Fit, checked_fit

Array = NDArray[np.float64]


def tang_chen_bias(kappa: float, span: float, n: int) -> float:
    """Bias of kappa in 1/h, level estimated: (5 + 2 exp(kappa h) + exp(2 kappa h)) / (2 T) (Tang & Chen 2009)."""
    u = kappa * span / n
    return (5.0 + 2.0 * math.exp(u) + math.exp(2.0 * u)) / (2.0 * span)


def yu_bias(kappa: float, span: float, n: int) -> float:
    """Bias of kappa in 1/h, level known, with its nonlinear term (Yu 2012).

    (3 + exp(2 kappa h)) / (2 T) - 2 (1 - exp(-2 n kappa h)) / (T n (1 - exp(-2 kappa h))).
    """
    u = kappa * span / n
    ratio = math.expm1(-2.0 * n * u) / math.expm1(-2.0 * u) if u != 0.0 else float(n)
    return (3.0 + math.exp(2.0 * u)) / (2.0 * span) - 2.0 * ratio / (span * n)


def jackknifed(y: Array, dt: Array, blocks: int = 2) -> float:
    """Jackknife estimate of kappa in 1/h from consecutive blocks (Phillips & Yu 2005).

    m / (m - 1) kappa - sum of the blocks' estimates / (m^2 - m), each conditional on its first observation.
    """
    edges = np.linspace(0, len(dt), blocks + 1).astype(int)
    parts = [_conditional(y[a : b + 1], dt[a:b]) for a, b in pairwise(edges)]
    return (blocks * _conditional(y, dt) - sum(parts) / blocks) / (blocks - 1)


def _conditional(y: Array, dt: Array) -> float:
    return ou.maximise(y, dt, stationary=False, positive=False).kappa


class _Row(NamedTuple):
    kappa: float
    bias: float
    source: str


def point_estimates(fit: Fit) -> pd.DataFrame:
    """Estimates of kappa by name: columns kappa (1/h), half_life (h), bias (1/h, removed), source.

    "maximum likelihood": the fit's own; "conditional": given the first observation, from which the
    corrections start; "median-unbiased": where the median of the likelihood root's null distribution
    is zero; "Tang & Chen (2009)"; "Yu (2012)", made for a known level; "jackknife (2 blocks)". On
    uneven steps h is their mean. Other models than plain OU have the first and, for a speed of its
    own, the median-unbiased. A corrected kappa may be negative: the half-life is then infinite.
    Errors: ModelError for several regimes or a model without a speed.
    """
    if checked_fit(fit).problem.layout.regimes > 1 or "kappa" not in fit.names:
        raise ModelError(
            "point estimates are those of one regime with a free kappa",
            rows=fit.names[:3],
            remedy="bm.fit(bm.OU(), data)",
        )
    rows = {"maximum likelihood": _Row(float(fit.params["kappa"]), 0.0, "")}
    if is_plain_ou(fit.problem):
        rows |= _plain(fit)
    rows["median-unbiased"] = _Row(invert(fit, "kappa").median, math.nan, "Andrews (1993)")
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=list(_Row._fields))
    life = [math.log(2.0) / k if k > 0 else math.inf for k in frame["kappa"]]
    frame.insert(1, "half_life", life)
    return frame.rename_axis("estimate")


def _plain(fit: Fit) -> dict[str, _Row]:
    y, dt = observed(fit.problem)
    span, n, kappa = float(dt.sum()), len(dt), _conditional(y, dt)
    tang_chen, yu = tang_chen_bias(kappa, span, n), yu_bias(kappa, span, n)
    halved = jackknifed(y, dt)
    return {
        "conditional": _Row(kappa, 0.0, ""),
        "Tang & Chen (2009)": _Row(kappa - tang_chen, tang_chen, "J. Econometrics 149, 65-81"),
        "Yu (2012)": _Row(kappa - yu, yu, "J. Econometrics 169, 114-122; known level"),
        "jackknife (2 blocks)": _Row(halved, kappa - halved, "Phillips & Yu (2005), Rev. Financ. Stud. 18, 707-742"),
    }
