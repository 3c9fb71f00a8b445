# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first fit
#
# How fast does a perpetual's price converge to spot, to what level, and how likely is
# it failing now? This notebook answers on the embedded example, which is **simulated**,
# with one planted failure, or on real hourly bitcoin data of 2024 where those are at
# hand (`BASISMODELS_DATA`).

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import basismodels as bm
from basismodels.report import figures

real = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data")) / "binance_btcusdt_1h.parquet"
use_real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and real.exists()
data = bm.read(real, start="2024-01-01", end="2024-12-31") if use_real else bm.load_example()
print("real data" if use_real else "simulated data", "-", data.n, "rows")

# %% [markdown]
# ## What is wrong with the data
#
# Look before fitting. The mask holds the rows a fit leaves out.

# %%
bm.check(data)

# %% [markdown]
# ## The plain model everybody fits, and what it misses
#
# Measurement noise makes the plain Ornstein-Uhlenbeck model look fast, a wandering level
# makes it look slow. The combined half-life of each model, side by side, with Wald limits:

# %%
models = ["random-walk", "ou", "ou-noise", "two-factor", "switching-ou"]
fits = {name: bm.fit(bm.preset(name), data, starts=8) for name in models}
bm.compare(fits)[["llf", "bic", "d_bic", "half_life", "half_life_lower", "half_life_upper", "ok"]].round(1)

# %%
print(fits["two-factor"].summary())

# %% [markdown]
# A fit that is not to be trusted says so in its first line, and its lines with `!` say
# why: on the example one volatility has to serve the calm and the failure, and the parts
# cannot be told apart.
#
# Each half-life has its interval, here by inverting a test. An upper end may be infinite:
# then the data do not exclude that the gap never closes.

# %%
for name in ("ou", "ou-noise", "two-factor"):
    for estimate in bm.half_life(fits[name]):
        print(f"{name:12s} {estimate}")

# %% [markdown]
# ## Is convergence failing?
#
# A regime fails when, at a typical moment of it, the basis is outside the band and not
# coming back in time. Regimes may have a level of their own here, so that a displaced
# basis, as in the example's planted failure, can be a regime.

# %%
level = bm.fit(bm.preset("switching-level"), data, starts=8)
failure = bm.failure_probability(level, horizon=24, band=10, target=0, draws=100)
failure.attrs["regimes"].round(3)

# %% [markdown]
# `phi` is the probability, at a typical moment of the regime, to be out of the band and not
# back in time; `probability_fails` the share of parameter draws in which it is one half or
# more. Beside the regimes stands an event that needs none: being out of the band and not
# back within the horizon, given the data to each hour.

# %%
no_return = bm.convergence_probability(level, horizon=24, band=10, target=0)
fails = [int(k) for k in np.flatnonzero(failure.attrs["regimes"]["fails"])]
fig, axes = plt.subplots(3, 1, figsize=(9, 6), sharex=True, layout="constrained", height_ratios=[2, 1, 1])
figures.basis(level, ax=axes[0], band=10, failing=fails)
figures.failure(level, failure, ax=axes[1])
figures.no_return(no_return, ax=axes[2])
plt.show()
hours = int((no_return["probability_no_return"] > 0.5).sum())
print(f"hours with P(no return within 24 h) above one half: {hours}")

# %% [markdown]
# Top: the basis, the band, and in red the regime in which convergence fails, seen with
# hindsight. Middle: the probability of that regime given the data up to each hour, with
# limits. Bottom: the event without regimes. On the example all three find the
# planted failure. On real bitcoin of 2024 no regime fails, for its storms pass; the event
# without regimes names the few hours at which a gap was not expected back in time.
