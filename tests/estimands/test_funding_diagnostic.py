"""The diagnostic where the answer is known: a proxy, a driver, and regressions by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2
from scipy.stats import t as student

import basismodels as bm
from basismodels.estimands import funding_verdict
from basismodels.estimands.funding_diagnostic import prepared
from basismodels.estimands.funding_kink import _intervals, kinks
from basismodels.estimands.funding_power import Behaviour, power_of_ratio
from basismodels.estimands.funding_regressions import _future, estimate, sample_of
from basismodels.estimands.funding_states import from_closes, models, ratio_test, start_of, with_false_clock
from basismodels.estimands.funding_verdict import STATES, Evidence, paragraph, verdict_of
from basismodels.funding.settled import settled_of

RULE = bm.funding.rule("binance", "BTCUSDT", at="2024-01-01")
HOURS = pd.date_range("2024-01-01 01:00", periods=2880, freq="h", tz="UTC")
NOISY = {"kappa": 0.0866, "theta": 0.0, "sigma": 4.0, "tau": 4.8}
TWO = {"kappa": 0.6, "theta": 0.0, "sigma": 2.5, "slow.kappa": 0.02, "slow.sigma": 1.2, "tau": 1.0}


def market(model: bm.Model, params: dict[str, float], seed: int) -> bm.BasisSeries:
    return prepared(bm.funding.simulate(model, RULE, params, HOURS, rng=seed), RULE)[0]


@pytest.fixture(scope="module")
def noisy() -> bm.BasisSeries:
    """OU behind noise: funding measures the state better than the last price, and drives nothing."""
    return market(bm.OU() + bm.Noise(), NOISY, 2)


@pytest.fixture(scope="module")
def driven() -> bm.BasisSeries:
    """The level moves by nine tenths of a bp against each bp of funding."""
    return market(bm.OU(theta="1 + funding_gap") + bm.SlowOU() + bm.Noise(), {**TWO, "theta:funding_gap": -0.9}, 2)


def test_with_noise_the_naive_regression_credits_funding_and_the_controlled_one_does_not(noisy: bm.BasisSeries) -> None:
    sample = sample_of(noisy, RULE)
    naive = estimate(sample, "level", sample.funding, controlled=False)
    held = estimate(sample, "level", sample.funding, controlled=True)
    assert naive.t > 6
    assert abs(held.t) < 3
    assert naive.p < 1e-6


def test_the_regression_is_least_squares(noisy: bm.BasisSeries) -> None:
    sample = sample_of(noisy, RULE)
    gap, premium = (part[sample.row] for part in sample.funding)
    design = np.column_stack([sample.basis, gap, premium, np.ones(len(gap))])
    by_hand = np.linalg.lstsq(design, sample.change, rcond=None)[0]
    assert estimate(sample, "level", sample.funding, True).estimate == pytest.approx(by_hand[1], rel=1e-9)
    design = np.column_stack([sample.basis, sample.basis * np.abs(gap), np.abs(gap), np.ones(len(gap))])
    by_hand = np.linalg.lstsq(design, sample.change, rcond=None)[0]
    assert estimate(sample, "speed", sample.funding, False).estimate == pytest.approx(by_hand[1], rel=1e-9)


def test_the_state_space_test_sees_an_effect_that_is_there(driven: bm.BasisSeries) -> None:
    start = start_of(driven, starts=2)
    for held in ((), ("premium_mean",), ("premium_mean", "false_clock_funding_gap")):
        found = ratio_test(with_false_clock(driven, RULE), "level", held, start)
        assert found.p < 1e-4
        assert found.slopes.iloc[0] == pytest.approx(-0.9, abs=4 * found.se[0])
        assert found.full.llf >= found.null.llf


def test_the_state_space_test_is_not_fooled_by_noise(noisy: bm.BasisSeries) -> None:
    found = ratio_test(from_closes(noisy, RULE), "level", (), start_of(noisy, starts=2))
    assert found.p > 0.01


def test_rates_from_the_closes_know_nothing_but_the_closes(noisy: bm.BasisSeries) -> None:
    made = from_closes(noisy, RULE)
    assert made.settlements is not None
    assert noisy.settlements is not None
    premium = 1e4 * np.expm1(noisy.basis / 1e4)
    day = noisy.time.get_loc(pd.Timestamp("2024-01-03 08:00", tz="UTC"))
    mean = RULE.premium_mean(premium[day - 7 : day + 1])
    rate = made.settlements["rate"].loc["2024-01-03 08:00"]
    inverse = rate + np.sign(rate - 1e-4) * 5e-4 if not RULE.at_interest(rate) else 1e-4
    assert abs(inverse * 1e4 - mean) < 6.5
    assert np.corrcoef(made.settlements["rate"], noisy.settlements["rate"].loc[made.settlements.index])[0, 1] > 0.8
    later = from_closes(noisy, RULE, shifted=True)
    assert later.settlements is not None
    assert {t.hour % 8 for t in later.settlements.index} == {4}


@pytest.mark.parametrize("effect", ["level", "speed", "transitions"])
def test_the_full_model_is_the_null_and_funding(effect: str) -> None:
    two = bm.OU() + bm.SlowOU() + bm.Noise()
    like = bm.Switching(two, 2) if effect == "transitions" else two
    for held in ((), ("premium_mean",)):
        small, large = models(effect, "funding_gap", held, like)
        formulas = {**small.formulas(), "q": small.transition}
        added = {k for k, f in {**large.formulas(), "q": large.transition}.items() if f != formulas[k]}
        assert added == {{"level": "theta", "speed": "kappa", "transitions": "q"}[effect]}


def test_a_bend_at_the_damper_is_found_where_it_is(driven: bm.BasisSeries) -> None:
    """Beyond the damper the pull sets in; in the middle nothing bends."""
    found = kinks(driven, RULE).set_index("place")
    assert found.loc["damper, lower edge", "at"] == pytest.approx(-4.0)
    assert found.loc["damper, upper edge", "at"] == pytest.approx(6.0)
    edges = found.loc[["damper, lower edge", "damper, upper edge"]]
    assert (edges["effect"] < 0).all()
    assert (edges["t"].iloc[0] - edges["t"].iloc[1]) / math.sqrt(2) > 2.5
    assert abs(found.loc["no kink: the interest", "t"]) < 2
    assert edges["bend_of_funding"].to_numpy() == pytest.approx([-1.0, 1.0], abs=0.15)
    assert found.loc["cap", "at"] == pytest.approx(35.0)


def test_size_and_calibrated_p_by_hand() -> None:
    null = np.linspace(-1.0, 4.0, 99)
    made = Behaviour({"x": null}, {"x": null - 6.0}, {})
    assert made.size("x") == pytest.approx(np.mean(np.abs(null) > 1.96))
    z = (-5.0 - 1.5) / (null.std(ddof=1) * math.sqrt(100 / 99))
    assert made.p("x", -5.0) == pytest.approx(2 * student.cdf(z, 98))
    assert made.p("x", 1.5) == pytest.approx(1.0)
    assert made.power("x") == pytest.approx(np.mean([made.p("x", t) < 0.05 for t in null - 6.0]))
    assert math.isnan(made.p("x", math.nan))
    assert math.isnan(made.power("y"))


def test_power_of_a_ratio_is_its_size_without_an_effect_and_one_far_out() -> None:
    one = np.eye(1)
    assert power_of_ratio(np.array([0.0]), one) == pytest.approx(0.05)
    assert power_of_ratio(np.array([1.96]), one) == pytest.approx(0.5, abs=0.01)
    assert power_of_ratio(np.array([10.0]), one) == pytest.approx(1.0)
    assert math.isnan(power_of_ratio(np.ones(1), one * math.nan))
    assert math.isnan(power_of_ratio(np.ones(2), np.array([[1.0, 2.0], [2.0, 1.0]])))


def test_power_of_two_slopes_is_that_of_the_wald_statistic() -> None:
    cov, slopes = np.array([[1.0, 0.6], [0.6, 2.0]]), np.array([2.0, -1.0])
    drawn = np.random.default_rng(0).multivariate_normal(slopes, cov, 40_000)
    wald = np.einsum("ij,jk,ik->i", drawn, np.linalg.inv(cov), drawn)
    assert power_of_ratio(slopes, cov) == pytest.approx(np.mean(wald > chi2.isf(0.05, 2)), abs=0.01)


def evidence(effect: str, p: dict[str, float], false: float = 0.0) -> Evidence:
    rows = [(effect, test, 0.1, 0.01, "u", 5.0, value, np.nan, np.nan, 0.5) for test, value in p.items()]
    from basismodels.estimands.funding_diagnostic import SLOPES, TABLE

    name = {"level": "theta:f", "speed": "kappa[0]:f", "transitions": "q[0->1]:f"}[effect]
    slopes = [(effect, test, name, 0.1, 0.01, "u") for test in STATES]

    fakes = pd.DataFrame(
        [
            {
                "effect": effect,
                "placebo": "state space, false clock with the true one held",
                "estimate": 0.1,
                "t": false,
                "p": 0.5,
            }
        ]
    )
    tests, added = pd.DataFrame(rows, columns=list(TABLE)), pd.DataFrame(slopes, columns=list(SLOPES))
    return Evidence(effect, tests, added, fakes, pd.DataFrame(), "")


TESTS = ("naive", "controlled", *STATES)


@pytest.mark.parametrize(
    ("p", "false", "verdict"),
    [
        ((0.001, 0.5, 0.5, 0.5, 0.5), 0.0, "proxy"),
        ((0.5, 0.5, 0.5, 0.5, 0.5), 0.0, "no relation"),
        ((0.001, 0.001, 0.001, 0.001, 0.001), 1.0, "driver"),
        ((0.001, 0.001, 0.001, 0.001, 0.001), 6.0, "undecided"),
        ((0.001, 0.001, 0.001, 0.001, 0.5), 1.0, "proxy"),
        ((0.001, 0.001, 0.5, 0.5, 0.5), 0.0, "undecided"),
    ],
)
def test_the_verdict(p: tuple[float, ...], false: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding_verdict, "study", lambda: counts(0.05, 0.03))
    given = evidence("level", dict(zip(TESTS, p, strict=True)), false)
    assert verdict_of(given) == verdict
    assert verdict.upper() in paragraph(given)[1]


def counts(share: float, low: float) -> pd.DataFrame:
    row = {
        "market": "bent",
        "kind": "size",
        "test": f"level {STATES[2]}",
        "series": 100,
        "share": share,
        "band_low": low,
    }
    return pd.DataFrame([row])


def test_a_test_that_rejects_too_often_without_an_effect_makes_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    given = evidence("level", dict.fromkeys(TESTS, 0.001), 1.0)
    monkeypatch.setattr(funding_verdict, "study", lambda: counts(0.6, 0.5))
    verdict, words = paragraph(given)
    assert verdict == "undecided"
    assert "at most 60% of 100 markets without an effect, in the market 'bent'" in words


def test_the_direction_is_said_where_the_test_rejects() -> None:
    given = evidence("speed", dict.fromkeys(TESTS, 0.001), 1.0)
    assert "regime 0 reverts faster" in paragraph(given)[1]
    given.slopes["estimate"] = -0.1
    assert "regime 0 reverts more slowly" in paragraph(given)[1]
    given.slopes["se"] = 0.1
    assert "reverts" not in paragraph(given)[1], "a slope within two standard errors of zero says nothing"
    assert "reverts" not in paragraph(evidence("speed", dict.fromkeys(TESTS, 0.5)))[1]


def test_a_driver_has_one_sign() -> None:
    given = evidence("level", dict.fromkeys(TESTS, 0.001), 1.0)
    given.slopes.loc[given.slopes["test"] == STATES[1], "estimate"] = -0.1
    assert verdict_of(given) == "undecided"


def test_a_driver_has_that_sign_in_every_regime_that_is_sure_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(funding_verdict, "study", lambda: counts(0.05, 0.03))
    given = evidence("speed", dict.fromkeys(TESTS, 0.001), 1.0)
    assert verdict_of(given) == "driver"
    wild = given.slopes.assign(coefficient="kappa[1]:f", estimate=-0.3)
    mixed = replace(given, slopes=pd.concat([given.slopes, wild]))
    assert verdict_of(mixed) == "undecided"
    assert "regime 0 reverts faster, and regime 1 reverts more slowly" in paragraph(mixed)[1]
    assert "kappa[0]:f 0.1, kappa[1]:f -0.3 u" in paragraph(mixed)[1]
    assert verdict_of(replace(given, slopes=pd.concat([given.slopes, wild.assign(se=0.3)]))) == "driver"
    assert verdict_of(replace(given, slopes=given.slopes.assign(se=0.1))) == "undecided", "no slope is sure"


@pytest.mark.parametrize(
    ("p", "verdict"),
    [
        ((0.01, 0.01, 0.01), "predictor beyond the premium"),
        ((0.01, 0.01, 0.5), "proxy"),
        ((0.01, 0.5, 0.5), "proxy"),
        ((0.5, 0.5, 0.5), "no relation"),
    ],
)
def test_the_verdict_on_transitions_never_claims_a_cause(p: tuple[float, ...], verdict: str) -> None:
    assert verdict_of(evidence("transitions", dict(zip(STATES, p, strict=True)))) == verdict


@pytest.mark.long
def test_all_of_it_on_noise(noisy: bm.BasisSeries) -> None:
    found = bm.funding_diagnostic(noisy, effects=("level",), replications=5, permutations=3, rng=1)
    assert found.verdicts["level"] in ("proxy", "undecided")
    assert found.verdicts["level"].upper() in found.text
    assert list(found.frame["test"]) == list(TESTS)
    assert found.frame["size"].iloc[0] == 1.0
    assert {"future funding", "intervals permuted"} <= set(found.placebos["placebo"])
    assert "rejects 100% of like markets" in str(found)
    again = bm.funding_diagnostic(noisy, effects=("level",), replications=5, permutations=3, rng=1)
    pd.testing.assert_frame_equal(found.frame, again.frame)


def test_a_rule_that_was_guessed_is_said() -> None:
    data = bm.load_example(end="2024-02-15")
    found = bm.funding_diagnostic(data, effects=("level",), replications=0, permutations=2)
    assert "taken because none was named" in found.text
    assert found.frame["p_calibrated"].isna().all()


def test_an_unknown_effect_is_refused(noisy: bm.BasisSeries) -> None:
    with pytest.raises(bm.ModelError, match="level, speed, transitions"):
        bm.funding_diagnostic(noisy, effects=("price",))


def test_where_rates_are_fixed_ahead_they_are_in_force_before_they_are_paid() -> None:
    """BitMEX: the kink looks at the eight hours up to the payment, and future funding is the one after the rate due."""
    rule = bm.funding.rule("bitmex", "XBTUSD")
    hours = pd.date_range("2024-01-01 01:00", periods=24 * 30, freq="h", tz="UTC")
    walk = np.cumsum(np.random.default_rng(0).standard_normal(len(hours)))
    made = bm.funding.attach(bm.BasisSeries.from_basis(hours, 10.0 + walk), rule)
    settled = settled_of(made, rule)
    premium, _, now, after = _intervals(made, rule)
    basis = pd.Series(np.asarray(made.basis), index=made.time)
    i = int(np.flatnonzero(np.isfinite(now) & np.isfinite(after))[3])
    assert now[i] == basis[settled.stamp[i] - pd.Timedelta(hours=8)]
    assert after[i] == basis[settled.stamp[i]]
    assert premium[i] == settled.premium[i]
    future, own = _future(made, rule, settled).gap, made.frame()["funding_gap"].to_numpy()
    both = np.isfinite(future[:-8]) & np.isfinite(own[8:]) & (np.arange(len(own) - 8) >= 24)
    assert both.sum() > 500
    assert future[:-8][both] == pytest.approx(own[8:][both])
