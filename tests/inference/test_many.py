"""Many series: each fit is that of `bm.fit`, failures are named, kept work is not done again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


@pytest.fixture(scope="module")
def panel():
    times = pd.date_range("2024-01-01", periods=300, freq="h", tz="UTC")
    truth = {"kappa": 0.2, "theta": 1.0, "sigma": 2.0}
    made = {f"venue/{i}": bm.simulate(bm.OU(), truth, times, rng=i) for i in range(4)}
    short = bm.BasisSeries.from_basis(times[:3], [1.0, 2.0, 1.5])
    return {**made, "venue/short": short}


def test_each_fit_is_that_of_one_series(panel, tmp_path):
    model = bm.OU() + bm.Noise()
    many = bm.fit_many(model, panel, checkpoint=tmp_path)
    assert list(many) == [f"venue/{i}" for i in range(4)]
    for unit, fit in many.items():
        one = bm.fit(model, panel[unit])
        assert fit.x.tobytes() == one.x.tobytes()
        np.testing.assert_array_equal(fit.cov, one.cov)
        assert fit.diagnostics == one.diagnostics
        pd.testing.assert_frame_equal(fit.optima, one.optima)
        assert fit.llf == one.llf
    assert "observations for" in many.failed["venue/short"]
    with pytest.raises(bm.DataError, match="not fitted"):
        many["venue/short"]
    assert "venue/short" not in many
    frame = many.frame()
    assert list(frame.index) == sorted(panel)
    assert frame.loc["venue/1", "half_life"] == pytest.approx(np.log(2) / many["venue/1"].params["kappa"])
    assert not frame.loc["venue/short", "ok"]
    assert "4 series" in repr(many)


def test_any_order_and_number_of_workers_gives_the_same(panel, tmp_path):
    model = bm.Switching(bm.OU())
    first = bm.fit_many(model, panel, starts=2, n_jobs=1, checkpoint=tmp_path)
    again = bm.fit_many(model, dict(reversed(panel.items())), starts=2, n_jobs=2)
    kept = bm.fit_many(model, panel, starts=2, checkpoint=tmp_path)
    for unit in first:
        assert first[unit].x.tobytes() == again[unit].x.tobytes() == kept[unit].x.tobytes()
    assert [d.name for d in tmp_path.iterdir()] == [next(tmp_path.iterdir()).name]


def test_an_empty_panel_is_refused():
    with pytest.raises(bm.DataError, match="no series"):
        bm.fit_many(bm.OU(), {})
