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
bm.check(data).table().head(10)

# %% [markdown]
# ## The plain model everybody fits, and what it misses
#
# Measurement noise makes the plain Ornstein-Uhlenbeck model look fast, a wandering level
# makes it look slow. The combined half-life of each model, side by side:

# %%
models = ["random-walk", "ou", "ou-noise", "two-factor", "switching-ou"]
fits = {name: bm.fit(bm.preset(name), data, starts=8) for name in models}
bm.compare(fits)[["llf", "bic", "d_bic", "half_life", "half_life_lower", "half_life_upper", "ok"]].round(1)

# %%
print(fits["two-factor"].summary())

# %% [markdown]
# Each half-life has its interval. An upper end may be infinite: then the data do not
# exclude that the gap never closes.

# %%
for name in ("ou", "ou-noise", "two-factor"):
    for estimate in bm.half_life(fits[name]):
        print(f"{name:12s} {estimate}")

# %% [markdown]
# ## Is convergence failing?
#
# A regime fails when, at a typical moment of it, the basis is outside the band and not
# coming back in time. Regimes with a level of their own find the planted episode.

# %%
level = bm.fit(bm.preset("switching-level"), data, starts=8)
failure = bm.failure_probability(level, horizon=24, band=10, draws=100)
failure.attrs["regimes"]

# %%
fig, axes = plt.subplots(2, 1, figsize=(9, 5), sharex=True, layout="constrained")
figures.basis(level, ax=axes[0])
figures.failure(level, failure, ax=axes[1])
plt.show()

# %% [markdown]
# Beside the regimes stands an event that needs none: the probability that the basis is
# out of the band and does not return within the horizon.

# %%
no_return = bm.convergence_probability(level, horizon=24, band=10)["probability_no_return"]
print(f"hours with P(no return within 24 h) above one half: {(no_return > 0.5).sum()}")
