"""Pictures of posterior fits say what the numbers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.panel import PanelFit
from basismodels.report import figures
from basismodels.scoring.calibration import SBC


def test_ranks_that_leave_the_band_are_red_and_others_are_not() -> None:
    rng = np.random.default_rng(1)
    good, bad = rng.integers(0, 20, 200), np.minimum(rng.integers(0, 20, 200) + 6, 19)
    found = SBC(pd.DataFrame({"good": good, "bad": bad}), 19, "OU()", "prior", {})
    assert not found.ok
    ax = figures.ranks(found)
    colours = [line.get_color() for line in ax.lines]
    assert colours == [figures.canvas.LINE, figures.canvas.FAIL]
    band = found.ecdf()
    assert (band["bad"] < band["lower"]).any()
    assert not ((band["good"] < band["lower"]) | (band["good"] > band["upper"])).any()


def a_fit(kappa: float, seed: int) -> bm.Fit:
    """A fit that carries draws about a speed."""
    time = pd.date_range("2024-01-01", periods=120, freq="h", tz="UTC")
    data = bm.simulate(bm.OU(), {"kappa": kappa, "theta": 0.0, "sigma": 1.0}, time, rng=seed)
    fit = bm.fit(bm.OU(), data)
    draws = bm.draws_of(fit, 100, rng=seed)
    return replace(fit, draws=draws, draws_kind="posterior", facts={"prior_draws": draws})


def test_shrinkage_shows_every_unit_between_itself_and_the_centre() -> None:
    fits = {"a": a_fit(0.1, 1), "b": a_fit(0.5, 2)}
    pooled = pd.DataFrame({("kappa", "mu"): np.full(100, np.log(0.2)), ("kappa", "sd"): np.ones(100)})
    panel = PanelFit(fits, pooled, fits, 0.0)
    ax = figures.shrinkage(panel)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    assert list(ax.lines[-1].get_xdata()) == pytest.approx([0.2, 0.2])
    assert "kappa" in ax.get_title(loc="left")
    assert ax.get_xlabel() == "1/h"
    with pytest.raises(bm.ModelError, match="not pooled"):
        figures.shrinkage(panel, name="sigma")


def test_an_estimate_far_out_stands_at_the_edge() -> None:
    fits = {"a": a_fit(0.1, 1), "b": a_fit(0.5, 2)}
    pooled = pd.DataFrame({("kappa", "mu"): np.full(100, np.log(0.2)), ("kappa", "sd"): np.ones(100)})
    far = {"a": replace(fits["a"], x=np.array([-20.0, *fits["a"].x[1:]])), "b": fits["b"]}
    ax = figures.shrinkage(PanelFit(fits, pooled, far, 0.0))
    (edge,) = [line for line in ax.lines if line.get_marker() == "<"]
    assert edge.get_ydata() == pytest.approx([1.0])
    assert ax.get_xlim()[0] > 1e-3


def test_the_prior_is_drawn_about_the_data() -> None:
    fit = a_fit(0.2, 3)
    ax = figures.prior_predictive(fit, draws=30)
    low, high = ax.get_ylim()
    assert low < fit.data.basis.min()
    assert high > fit.data.basis.max()
    assert len(ax.collections) == 2
    with pytest.raises(bm.ModelError, match="no draws from a prior"):
        figures.prior_predictive(bm.fit(bm.OU(), fit.data))
