"""The comparison of fits, and leave-future-out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import basismodels as bm


def test_criteria_are_their_definitions(fits):
    frame = bm.compare(fits)
    row, fit = frame.loc["two-factor"], fits["two-factor"]
    k, n = fit.df_model, fit.nobs
    assert row["aicc"] == pytest.approx(fit.aic + 2 * k * (k + 1) / (n - k - 1))
    assert row["hqic"] == pytest.approx(2 * k * np.log(np.log(n)) - 2 * fit.llf)
    assert row["bic"] == pytest.approx(fit.bic)
    assert frame["weight"].sum() == pytest.approx(1.0)


def test_particles_replace_the_approximate_likelihood_and_leave_the_exact(fits):
    frame = bm.compare(fits, particles=50, rng=1)
    assert frame.loc["ou", "llf_particles"] == pytest.approx(frame.loc["ou", "llf"])
    row = frame.loc["switching"]
    assert row["llf_particles_se"] > 0
    assert row["aic"] == pytest.approx(2 * row["parameters"] - 2 * row["llf_particles"])


def test_fits_that_see_other_rows_are_refused_with_the_call_that_mends_it(short):
    z = pd.DataFrame({"z": np.where(np.arange(short.n) < 300, np.nan, np.arange(short.n) % 5)}, index=short.time)
    data = bm.BasisSeries.from_basis(short.time, short.basis, covariates=z)
    plain, moved = bm.fit(bm.OU(), data), bm.fit(bm.OU(theta="1 + z"), data)
    with pytest.raises(bm.ModelError, match=r"same observations.*plain: 1,1.*moved: [78].*cut\(start=") as error:
        bm.compare({"plain": plain, "moved": moved})
    fits = {"plain": plain, "moved": moved}
    mended = eval(error.value.remedy.split(" = ")[1].split(", and")[0], {"fits": fits})
    frame = bm.compare({"plain": bm.fit(bm.OU(), mended), "moved": bm.fit(bm.OU(theta="1 + z"), mended)})
    assert frame.loc["moved", "llf"] == pytest.approx(moved.llf)
    masked = short.with_mask(np.arange(short.n) % 7 == 0)
    with pytest.raises(bm.ModelError, match="mask="):
        bm.compare({"a": bm.fit(bm.OU(), masked), "b": bm.fit(bm.OU(), masked, mask=False)})


class TestLeaveFutureOut:
    def test_with_tight_draws_it_is_the_filters_score(self, fits):
        fit = fits["ou"]

        def again(data):
            made = replace(fit, problem=bm.fit(bm.OU(), data).problem)
            return replace(made, draws=np.tile(fit.x, (50, 1)), draws_kind="tight")

        found = bm.leave_future_out(fit, 0.7, refit=again)
        np.testing.assert_allclose(found.pointwise["elpd"], fit.log_density.loc[found.pointwise.index], atol=1e-9)
        assert found.refits == 1

    def test_reweighting_agrees_with_refitting_often(self, fits):
        seldom = bm.leave_future_out(fits["ou"], 0.9, draws=400)
        often = bm.leave_future_out(fits["ou"], 0.9, draws=400, k=-1.0) if len(seldom.pointwise) <= 50 else None
        assert seldom.pointwise["khat"].max() <= 0.7
        if often is not None:
            assert seldom.elpd == pytest.approx(often.elpd, abs=1.0)

    def test_bad_weights_lead_to_a_refit(self, fits):
        found = bm.leave_future_out(fits["ou"], 0.8, draws=200, k=0.3)
        assert found.refits == found.pointwise["refitted"].sum() > 1
        assert found.elpd == pytest.approx(found.pointwise["elpd"].sum())
        assert "leave-future-out" in str(found)

    def test_the_comparison_ranks_by_it(self, fits):
        pair = {name: fits[name] for name in ("ou", "two-factor")}
        frame = bm.compare(pair, leave_future_out_from=0.8, rng=1)
        assert {"elpd_lfo", "elpd_lfo_se", "refits"} <= set(frame.columns)
        assert (frame["refits"] >= 1).all()

    def test_a_start_without_past_or_future_is_refused(self, fits):
        with pytest.raises(bm.DataError, match="start"):
            bm.leave_future_out(fits["ou"], 1.0)

    def test_a_posterior_is_sampled_again_as_it_was_unless_its_priors_were_its_owners(self, fits, monkeypatch):
        from basismodels.inference import posterior

        asked = []

        def sampled(model, data, **options):
            asked.append(options)
            return replace(bm.fit(model, data), draws=np.tile(fits["ou"].x, (60, 1)), draws_kind="posterior")

        monkeypatch.setattr(posterior, "sample", sampled)
        facts = {"chains": 3, "tune": 250, "sampler": "pymc", "seed": 9}
        one = replace(fits["ou"], draws=np.tile(fits["ou"].x, (60, 1)), draws_kind="posterior", facts=facts)
        assert bm.leave_future_out(one, 0.95).kind == "posterior"
        expected = {"rng": 9, "draws": 20, "chains": 3, "tune": 250, "sampler": "pymc", "initial": "stationary"}
        expected |= {"mask": True, "depth": 1}
        assert asked == [expected]
        with pytest.raises(bm.ModelError, match="refit="):
            bm.leave_future_out(replace(one, facts={**facts, "own_priors": True}), 0.95)

    def test_what_a_fit_saw_is_what_its_refits_see(self, short):
        data = short.with_mask(np.arange(short.n) % 7 == 0)
        seen, bare = bm.fit(bm.OU(), data, mask=False), bm.fit(bm.OU(), short)
        found, wanted = (bm.leave_future_out(fit, 0.9, rng=1) for fit in (seen, bare))
        assert found.elpd == pytest.approx(wanted.elpd, abs=1e-9)

    def test_a_centred_column_keeps_the_centre_of_the_fit(self, short):
        z = pd.DataFrame({"z": 5.0 + np.sin(np.arange(short.n) / 50.0)}, index=short.time)
        data = bm.BasisSeries.from_basis(short.time, short.basis, covariates=z)

        def elpd(theta):
            def again(part):
                fit = bm.fit(bm.OU(theta=theta), part)
                return replace(fit, draws=np.tile(fit.x, (25, 1)), draws_kind="tight")

            return bm.leave_future_out(bm.fit(bm.OU(theta=theta), data), 0.9, refit=again).elpd

        assert elpd("1 + center(z)") == pytest.approx(elpd("1 + z"), abs=1e-3)
