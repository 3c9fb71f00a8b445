"""Pictures: what they draw, that gaps and arrows show, that their SVG is small and always the same."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from basismodels._finding import Finding
from basismodels.inference.mle import fit
from basismodels.presets import preset
from basismodels.report import canvas, figures
from basismodels.report.analysis import Analysis
from basismodels.results import Estimate
from basismodels.series import BasisSeries


def estimate(value: float, lower: float, upper: float, component: str = "total", regime: int | None = None) -> Estimate:
    return Estimate(value, lower, upper, "h", 0.95, "profile", component, regime)


def gids(ax: Axes) -> list[str]:
    return [str(line.get_gid()) for line in ax.lines if line.get_gid()]


def texts(ax: Axes) -> str:
    return " | ".join(text.get_text() for text in ax.texts)


def shades(ax: Axes) -> set[str]:
    return {to_hex(c.get_facecolor()[0]) for c in ax.collections}


def test_an_infinite_upper_limit_is_an_arrow_and_a_finite_one_is_not() -> None:
    open_ended = figures.forest({"ou": [estimate(17.0, 12.0, math.inf)]})
    closed = figures.forest({"ou": [estimate(17.0, 12.0, 30.0)]})
    assert gids(open_ended) == ["beyond-upper"]
    assert gids(closed) == []
    assert "17.0 h (12.0 to ∞)" in texts(open_ended)


def test_an_infinite_half_life_and_a_missing_interval_are_shown_as_such() -> None:
    ax = figures.forest({"a": [estimate(math.inf, 9.0, math.inf)], "b": [estimate(4.0, math.nan, math.nan)]})
    assert "∞ (9.00 to ∞)" in texts(ax)
    assert "4.00 h (no interval)" in texts(ax)
    assert gids(ax).count("beyond-upper") == 2


def test_a_limit_far_beyond_the_rest_does_not_stretch_the_axis() -> None:
    ax = figures.forest({"a": [estimate(10.0, 1e-300, 20.0)]})
    assert ax.get_xlim()[0] > 1.0
    assert gids(ax) == ["beyond-lower"]


def test_each_component_and_regime_has_its_line() -> None:
    parts = [
        estimate(300.0, 1.0, 900.0),
        estimate(1.2, 1.0, 1.5, "reversion", 0),
        estimate(362.0, 209.0, 1075.0, "slow"),
    ]
    said = texts(figures.forest({"two-factor": parts}))
    assert all(part in said for part in ("two-factor", "combined", "reversion, regime 0", "slow level"))


def test_the_basis_shades_the_failing_regime_apart_from_a_volatile_one(analysis: Analysis) -> None:
    assert analysis.failing is not None
    fitted = analysis.failing.fit
    neutral, alarmed = figures.basis(fitted), figures.basis(fitted, failing=(1,))
    assert to_hex(canvas.CALM) in shades(neutral)
    assert to_hex(canvas.FAIL) not in shades(neutral)
    assert to_hex(canvas.FAIL) in shades(alarmed)
    assert "failing" in alarmed.get_title(loc="left")


def test_missing_and_masked_rows_are_gaps(series: BasisSeries) -> None:
    rows = np.arange(series.n)
    holed = replace(series, basis=np.where(rows == 100, np.nan, series.basis)).with_mask((rows >= 200) & (rows < 205))
    ax = figures.basis(fit(preset("ou"), holed))
    line = max(ax.lines, key=lambda one: len(one.get_xdata()))
    assert np.flatnonzero(np.isnan(np.asarray(line.get_ydata(), dtype=float))).tolist() == [
        100,
        200,
        201,
        202,
        203,
        204,
    ]


def test_failure_and_no_return_draw_their_limits(analysis: Analysis) -> None:
    assert analysis.failing is not None
    ax = figures.failure(analysis.failing.fit, analysis.failing.frame)
    assert len(ax.collections) == 1
    line = np.asarray(ax.lines[0].get_ydata(), dtype=float)
    np.testing.assert_array_equal(line, analysis.failing.frame["filtered"])
    bare = analysis.no_return[["probability_no_return"]]
    assert len(figures.no_return(analysis.no_return).collections) == 1
    assert len(figures.no_return(bare).collections) == 0


def test_absent_limits_are_said(analysis: Analysis) -> None:
    frame = analysis.no_return.assign(probability_no_return_lower=np.nan, probability_no_return_upper=np.nan)
    assert figures.no_return(frame).get_title(loc="left").endswith("no limits")


def test_funding_shows_settlements_and_says_when_there_are_none(new_market: Any, series: BasisSeries) -> None:
    frame = new_market()
    data = BasisSeries.from_prices(frame["spot"], frame["perp"], funding=frame["funding_rate"])
    assert data.settlements is not None
    np.testing.assert_array_equal(figures.funding(data).lines[0].get_ydata(), data.settlements["bps_8h"])
    assert "no funding" in texts(figures.funding(series))


def test_the_quality_strip_has_a_row_a_kind_and_marks_what_is_left_out(series: BasisSeries) -> None:
    at = series.time
    found = (Finding("outage", at[10], at[12], 3, True), Finding("jump", at[50], at[50], 1, False))
    ax = figures.quality_strip(replace(series, findings=found))
    assert [label.get_text() for label in ax.get_yticklabels()] == ["outage", "jump"]
    assert shades(ax) == {to_hex(canvas.FAIL), to_hex(canvas.CALM)}
    assert "nothing found" in texts(figures.quality_strip(series))


def test_axes_given_are_drawn_into_and_pyplot_is_left_alone(analysis: Analysis) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    with canvas.look():
        axes = canvas.stack([1.0, 1.0])
    assert figures.basis(analysis.fit, axes[0]) is axes[0]
    canvas.svg(axes[0], "two", "two")
    assert dict(matplotlib.rcParams) == before


def wide_series(rows: int) -> BasisSeries:
    rng = np.random.default_rng(0)
    time = pd.date_range("2019-01-01", periods=rows, freq="1h", tz="UTC")
    gap = np.zeros(rows)
    for i in range(1, rows):
        gap[i] = 0.9 * gap[i - 1] + rng.normal()
    gap[rows // 3] = -257.0
    return BasisSeries.from_basis(time, gap)


@pytest.mark.parametrize("rows", [8784, 50_000])
def test_a_long_series_makes_a_small_picture_with_its_extreme(rows: int) -> None:
    fitted = fit(preset("ou"), wide_series(rows))
    with canvas.look():
        ax = figures.basis(fitted)
    made = canvas.svg(ax, "basis", "basis")
    assert len(made) < 400_000
    assert min(np.nanmin(np.asarray(line.get_ydata(), dtype=float)) for line in ax.lines) == -257.0


def test_svg_is_the_same_every_time_and_refers_to_nothing_outside(analysis: Analysis) -> None:
    def draw() -> str:
        with canvas.look("one"):
            return canvas.svg(figures.basis(analysis.fit), "the <basis>", "one")

    first = draw()
    assert first == draw()
    assert "<title>the &lt;basis&gt;</title>" in first
    assert all(target.startswith("#") for target in re.findall(r'href="([^"]*)"', first))
    assert set(re.findall(r"url\(([^)]{2})", first)) <= {"#p"}
