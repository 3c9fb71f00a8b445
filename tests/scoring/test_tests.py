"""Tests of equal accuracy against their definitions, their size and statsmodels' own standard error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


def moving(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    out, x = np.empty(n), 0.0
    for i, shock in enumerate(rng.standard_normal(n)):
        out[i] = x = phi * x + shock
    return out


def test_the_difference_and_its_error_are_those_of_a_hac_regression():
    sm = pytest.importorskip("statsmodels.api")
    rng = np.random.default_rng(1)
    a, b = moving(rng, 500, 0.5) + 0.3, rng.standard_normal(500)
    found = bm.dm_test(a, b)
    fitted = sm.OLS(a - b, np.ones(500)).fit(cov_type="HAC", cov_kwds={"maxlags": found.lags, "use_correction": False})
    assert found.difference == pytest.approx((a - b).mean())
    assert found.se == pytest.approx(float(fitted.bse[0]), rel=1e-10)
    assert "Diebold" in str(found)


def test_size_holds_for_correlated_differences_where_the_plain_error_fails():
    rng = np.random.default_rng(2)
    rejected, plain = 0, 0
    for _ in range(400):
        d = moving(rng, 400, 0.6)
        rejected += bm.dm_test(d, np.zeros(400)).p < 0.05
        plain += abs(d.mean()) / (d.std() / 20.0) > 1.96
    assert 0.02 < rejected / 400 < 0.10
    assert plain / 400 > 0.2


def test_a_predictable_difference_without_mean_is_found_by_the_conditional_test_alone():
    rng = np.random.default_rng(3)
    d = moving(rng, 800, 0.4)
    d -= d.mean()
    assert bm.dm_test(d, np.zeros(800)).p > 0.9
    assert bm.gw_test(d, np.zeros(800)).p < 1e-6


def test_size_of_the_conditional_test():
    rng = np.random.default_rng(4)
    share = np.mean([bm.gw_test(rng.standard_normal(300), np.zeros(300)).p < 0.05 for _ in range(400)])
    assert 0.025 < share < 0.08


def test_series_are_aligned_by_time_and_too_few_rows_are_refused():
    time = pd.date_range("2024-01-01", periods=60, freq="h", tz="UTC")
    a = pd.Series(np.arange(60.0) + np.random.default_rng(0).normal(size=60), time)
    b = pd.Series(np.arange(60.0), time).iloc[10:].iloc[::-1]
    assert bm.dm_test(a, b).n == 50
    with pytest.raises(bm.DataError, match="20"):
        bm.dm_test(a.iloc[:10], b)


class TestConfidenceSet:
    def scores(self, rng: np.random.Generator, n: int = 600) -> pd.DataFrame:
        common = moving(rng, n, 0.7)
        own = rng.standard_normal((n, 4))
        return pd.DataFrame(common[:, None] + own - np.array([0.0, 0.0, 0.4, 1.0]), columns=list("abcd"))

    def test_the_worst_go_first_and_the_best_stay(self):
        found = bm.confidence_set(self.scores(np.random.default_rng(11)))
        assert list(found.index[:2]) == ["d", "c"]
        assert not found.loc[["c", "d"], "kept"].any()
        assert found.loc[["a", "b"], "kept"].all()
        assert (np.diff(found["p"]) >= 0).all()
        assert found["p"].iloc[-1] == 1.0

    def test_the_best_model_is_kept_as_often_as_promised(self):
        kept = 0
        for seed in range(60):
            rng = np.random.default_rng(100 + seed)
            scores = pd.DataFrame(rng.standard_normal((300, 4)), columns=list("abcd"))
            kept += bool(bm.confidence_set(scores, 0.9, draws=300, rng=seed).loc["a", "kept"])
        assert kept >= 48

    def test_the_same_seed_gives_the_same_set(self):
        scores = self.scores(np.random.default_rng(6))
        pd.testing.assert_frame_equal(bm.confidence_set(scores, rng=3), bm.confidence_set(scores, rng=3))

    def test_agrees_with_another_program(self):
        arch = pytest.importorskip("arch.bootstrap")
        scores = self.scores(np.random.default_rng(7))
        other = arch.MCS(-scores, size=0.1, reps=2000, block_size=32, method="max", bootstrap="stationary", seed=1)
        other.compute()
        ours = bm.confidence_set(scores, 0.9, draws=2000, block=32)
        theirs = other.pvalues["Pvalue"].reindex(ours.index)
        np.testing.assert_allclose(ours["p"], theirs, atol=0.05)

    def test_one_model_is_refused(self):
        with pytest.raises(bm.DataError, match="two models"):
            bm.confidence_set(pd.DataFrame({"a": np.zeros(50)}))


class TestStacking:
    def test_weights_of_a_true_mixture_are_recovered(self):
        from scipy.stats import norm

        rng = np.random.default_rng(8)
        y = np.where(rng.random(20_000) < 0.3, rng.normal(3, 1, 20_000), rng.normal(-1, 2, 20_000))
        density = pd.DataFrame({"up": norm.logpdf(y, 3, 1), "down": norm.logpdf(y, -1, 2)})
        weights = bm.stacking_weights(density)
        assert weights.sum() == pytest.approx(1.0)
        assert weights["up"] == pytest.approx(0.3, abs=0.02)

    def test_no_other_weights_score_higher(self):
        rng = np.random.default_rng(9)
        density = pd.DataFrame(rng.normal(size=(300, 3)))
        best = bm.stacking_weights(density).to_numpy()

        def score(w):
            return np.log(np.exp(density.to_numpy()) @ w).mean()

        others = rng.dirichlet(np.ones(3), size=500)
        assert score(best) >= max(score(w) for w in others) - 1e-9
