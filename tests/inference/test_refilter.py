"""Parameters held on other data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.inference.profile import kappa_interval


@pytest.fixture(scope="module")
def example():
    return bm.load_example()


def test_the_same_data_give_the_same_filter(example):
    data = example.cut(end="2024-02-15")
    fit = bm.fit(bm.OU() + bm.Noise(), data)
    again = bm.refilter(fit, data)
    assert again.llf == pytest.approx(fit.llf, rel=1e-12)
    np.testing.assert_allclose(again.filtered.mean, fit.filtered.mean, rtol=1e-12)


def test_later_data_are_judged_by_the_old_parameters(example):
    fit = bm.fit(bm.Switching(bm.OU(), 2), example.cut(end="2024-03-01"), starts=3)
    later = bm.refilter(fit, example.cut(start="2024-03-01"))
    own = bm.fit(fit.model, later.data, starts=3)
    pd.testing.assert_series_equal(later.params, fit.params)
    assert later.llf < own.llf
    assert len(bm.failure_probability(later, draws=20)) == later.data.n


def test_a_column_that_is_not_there(example):
    shifted = pd.DataFrame({"z": np.arange(example.n) % 5.0}, index=example.time)
    data = bm.BasisSeries.from_basis(example.time, example.basis, covariates=shifted)
    fit = bm.fit(bm.OU(theta="1 + z"), data)
    with pytest.raises(bm.ModelError, match="z"):
        bm.refilter(fit, bm.BasisSeries.from_basis(example.time, example.basis))


def test_a_fit_that_saw_masked_rows_sees_them_again(example):
    bare = example.cut(end="2024-01-20")
    data = bare.with_mask(np.arange(bare.n) % 7 == 0)
    fit, same = bm.fit(bm.OU() + bm.Noise(), data, mask=False), bm.fit(bm.OU() + bm.Noise(), bare)
    assert bm.refilter(fit, data).llf == pytest.approx(fit.llf, rel=1e-12)
    assert kappa_interval(fit) == pytest.approx(kappa_interval(same), rel=1e-6)
    more = example.cut("2024-01-21", "2024-01-22")
    added = bm.update(fit, more.with_mask(np.ones(more.n, dtype=bool))).log_density
    np.testing.assert_allclose(added, bm.update(same, more).log_density)


def test_a_centred_column_keeps_the_centre_of_the_fit(example):
    z = pd.DataFrame({"z": 5.0 + np.sin(np.arange(example.n) / 50.0)}, index=example.time)
    data = bm.BasisSeries.from_basis(example.time, example.basis, covariates=z)
    before, after = data.cut(end="2024-01-10"), data.cut("2024-01-11", "2024-01-14")
    plain = bm.refilter(bm.fit(bm.OU(theta="1 + z"), before), after)
    for formula in ("1 + center(z)", "1 + scale(z)"):
        assert bm.refilter(bm.fit(bm.OU(theta=formula), before), after).llf == pytest.approx(plain.llf, abs=1e-3)
