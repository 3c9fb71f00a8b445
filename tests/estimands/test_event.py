"""What counts as failure: from the funding rule where one is known, as asked where numbers are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import basismodels as bm
from basismodels.estimands.event import event_of
from basismodels.estimands.failure import failing
from basismodels.estimands.live import Live

RULE = bm.funding.custom("X", interest_8h=2e-4, damper=7e-4, cap=0.003)
MODEL = bm.Switching(bm.OU())
VALUES = {
    "kappa[0]": 0.5, "kappa[1]": 0.2, "theta": 0.0, "sigma[0]": 0.6, "sigma[1]": 2.5, "q[0->1]": 0.01, "q[1->0]": 0.1,
}  # fmt: skip


@pytest.fixture(scope="module")
def plain() -> bm.Fit:
    """A fit to data without a rule."""
    hours = pd.date_range("2024-01-01", periods=600, freq="h", tz="UTC")
    return bm.fit(MODEL, bm.simulate(MODEL, VALUES, hours, rng=4), starts=2)


@pytest.fixture(scope="module")
def ruled(plain: bm.Fit) -> bm.Fit:
    """The same fit, its data under a rule with an interest of 2 bps and a damper of 7."""
    return bm.refilter(plain, bm.funding.attach(plain.data, RULE))


def used(made: pd.DataFrame) -> tuple[float, float, str]:
    return made.attrs["target"], made.attrs["band"], made.attrs["rule"]


CALLS = {
    "failure_probability": lambda fit, **asked: bm.failure_probability(fit, draws=2, **asked),
    "failure_regimes": lambda fit, **asked: bm.failure_regimes(fit, draws=2, **asked),
    "failure_outlook": lambda fit, **asked: bm.failure_outlook(fit, draws=2, **asked),
    "convergence_probability": bm.convergence_probability,
    "expected_return_time": bm.expected_return_time,
}


@pytest.mark.parametrize("name", CALLS)
def test_level_and_band_follow_from_the_rule_and_numbers_win(name: str, plain: bm.Fit, ruled: bm.Fit) -> None:
    call = CALLS[name]
    found, own = call(ruled), call(ruled, band=17.0, target=2.0)
    assert used(call(plain)) == (0.0, 10.0, "")
    assert used(found) == (pytest.approx(2.0), pytest.approx(17.0), "custom X")
    assert used(own) == (2.0, 17.0, "")
    assert used(call(ruled, band=5.0)) == (pytest.approx(2.0), 5.0, "custom X")
    pd.testing.assert_frame_equal(found, own, check_exact=False, rtol=1e-9)
    if name != "expected_return_time":
        assert found.attrs["horizon"] == (8.0 if name == "convergence_probability" else 24.0)


def test_phi_and_the_flags_take_the_level_of_the_rule(plain: bm.Fit) -> None:
    far = bm.refilter(plain, bm.funding.attach(plain.data, bm.funding.custom("X", interest_8h=8e-3, damper=0.0)))
    assert bm.failure_regimes(far, draws=2)["flags"].str.contains("displaced").all()
    assert bm.failure_regimes(far, draws=2)["fails"].all()
    assert not bm.failure_regimes(plain, draws=2)["flags"].str.contains("displaced").any()


def test_the_monitor_takes_the_same_event(ruled: bm.Fit) -> None:
    live = Live.of(ruled)
    assert (live.event.target, live.event.band) == (pytest.approx(2.0), pytest.approx(17.0))
    assert (live.chosen == failing(ruled.problem, ruled.x, event_of(ruled.data)).failing).all()
    assert "17 bps within 24 h" in str(live.event)
    time = pd.date_range(ruled.data.time[-1], periods=4, freq="h")[1:]
    new = bm.BasisSeries.from_basis(time, np.array([1.0, np.nan, 60.0]))
    made = list(live.add(new))
    assert [row["operational"] for row in made] == [False, True, False]
    assert np.isnan([made[1]["failure"], made[1]["no_return"]]).all()
    assert made[2]["no_return"] > 0.0


def test_a_rule_guessed_for_a_formula_counts_as_attached() -> None:
    fit = bm.fit(bm.OU(theta="1 + premium_mean"), bm.load_example(end="2024-01-31"))
    rule = bm.funding.rule_of(fit.data)
    assert rule is not None
    asked = 1e4 * rule.interest, 10.0 + 1e4 * rule.damper, f"{rule.venue} {rule.symbol}"
    assert used(bm.convergence_probability(fit)) == asked
    assert asked[0] > 0.0


BAD = [
    {"target": float("nan")}, {"target": "x"}, {"target": float("inf")}, {"band": 0}, {"band": -1}, {"band": "x"},
]  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_numbers_that_make_no_sense_are_refused(name: str, plain: bm.Fit) -> None:
    bad: list[dict[str, object]] = list(BAD)
    if name.startswith("failure"):
        bad += [{"threshold": t} for t in (0.0, -0.1, 1.5, float("nan"), "x", None)]
        bad += [{"rng": "a"}, {"rng": -1}, {"horizon": float("nan")}, {"horizon": 0}]
    for one in bad:
        with pytest.raises(bm.ModelError, match=next(iter(one))):
            CALLS[name](plain, **one)


@pytest.mark.parametrize("draws", [0, 1, -3, 2.5, "x", True])
def test_draws_that_give_no_limits_are_refused(draws: object, plain: bm.Fit) -> None:
    for call in (bm.failure_probability, bm.failure_regimes, bm.failure_outlook):
        with pytest.raises(bm.ModelError, match="draws"):
            call(plain, draws=draws)


WITH_FIT = {
    **CALLS,
    "inside_probability": bm.inside_probability,
    "conf_int": bm.conf_int,
    "half_life": bm.half_life,
    "forecast": bm.forecast,
    "likelihood_ratio_test": lambda fit: bm.likelihood_ratio_test(fit, fit),
    "speed_curve": lambda fit: bm.speed_curve(fit, "z"),
    "counterfactual": lambda fit: bm.funding.counterfactual(fit, {"x": RULE}),
    "joint_failure": lambda fit: bm.joint_failure({"a": fit, "b": fit}),
    "monitor": Live.of,
}


@pytest.mark.parametrize("name", WITH_FIT)
@pytest.mark.parametrize("thing", [None, pd.DataFrame(), "fit"])
def test_what_is_no_fit_is_refused_with_the_remedy(name: str, thing: object) -> None:
    with pytest.raises(bm.ModelError, match=r"expected a fit, got .*bm\.fit"):
        WITH_FIT[name](thing)
