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
# # Regimes, and the probability that convergence is failing
#
# Failure is not "the slowest regime", nor "the most volatile one". A regime fails when, at a typical moment of
# it, the basis is outside the band within which arbitrage does not pay, and not back within a horizon. Which
# regime that is, if any, is decided draw by draw, so that the doubt about it is part of the answer.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import basismodels as bm
from basismodels.report import figures

folder = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data"))
real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and folder.exists()

if real:
    data = bm.read(folder / "binance_btcusdt_1h.parquet", start="2020-02-20", end="2020-05-31")
else:
    data = bm.load_example()
print("real data" if real else "simulated data", "-", f"{data.n:,} rows from {data.time[0]:%Y-%m-%d}")

# %% [markdown]
# ## Two regimes, and what tells them apart

# %%
fit = bm.fit(bm.preset("switching-failure"), data, starts=8)
print(fit.summary())

# %%
failing = bm.failure_probability(fit, horizon=24, band=10, target=0, draws=100, rng=1)
failing.attrs["regimes"].round(3)

# %% [markdown]
# `phi` is the failure measure, `probability_fails` the share of parameter draws in which it exceeds one half. A
# regime may be quick and volatile and yet not fail, since it comes back; the flags say why one does.

# %%
fig, axes = plt.subplots(3, 1, figsize=(9, 6.5), sharex=True, layout="constrained", height_ratios=[2, 1, 1])
figures.basis(fit, ax=axes[0], band=10, failing=[int(k) for k in np.flatnonzero(failing.attrs["regimes"]["fails"])])
figures.failure(fit, failing, ax=axes[1])
no_return = bm.convergence_probability(fit, horizon=24, band=10, target=0)
figures.no_return(no_return, ax=axes[2])
plt.show()

# %% [markdown]
# Top: the basis, its level, and in red the regime in which convergence fails (in grey the more volatile one, where none
# fails). Middle: the probability of that
# regime from the data up to each hour, with limits that carry the doubt about the parameters and about
# which regime fails. Bottom: an event that needs no regime at all, being out of the band and not back in a day.

# %%
hours = failing.index[failing["filtered_lower"] > 0.5]
print(f"{len(hours)} hours in which the lower limit of the filtered probability is above one half")
if len(hours):
    print(hours[0], "to", hours[-1])
if "true_failure" in data.covariates:
    truth = data.covariates["true_failure"] > 0
    said = failing["smoothed"].reindex(truth.index) > 0.5
    print(f"planted failure: {truth.sum()} h; found {(truth & said).sum()} of them, {(said & ~truth).sum()} h beside")

# %% [markdown]
# ## How the answer depends on what is called failure
#
# Band and horizon are the user's choice: a wide band makes failure rare. A table is more honest than one number.

# %%
share = {}
for band in (5, 10, 20, 40):
    for horizon in (8, 24):
        found = bm.convergence_probability(fit, horizon=horizon, band=band, target=0)["probability_no_return"]
        share[band, horizon] = (found > 0.5).sum()
pd.Series(share, name="hours").rename_axis(["band, bps", "horizon, h"]).unstack()

# %% [markdown]
# ## Ahead of now
#
# The forecast carries the regimes with it: its tails are as fat as the doubt about tomorrow's regime.

# %%
ahead = bm.forecast(fit, horizon=48)
frame = ahead.summary_frame()
fig, axes = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
axes[0].fill_between(frame.index, frame["lower"], frame["upper"], alpha=0.25, linewidth=0)
axes[0].plot(frame.index, frame["mean"])
axes[0].set(title="basis, bps, with 95% interval", xlabel="hours ahead")
axes[1].plot(ahead.regimes.index, ahead.regimes, label=[f"regime {k}" for k in ahead.regimes])
axes[1].set(title="probability of each regime", xlabel="hours ahead", ylim=(-0.02, 1.02))
axes[1].legend(frameon=False, loc="center right")
plt.show()

# %% [markdown]
# Left: where the basis is headed, and how widely it may miss. Right: the regimes drift from what is known now towards
# their long-run shares, which is what the interval on the left is made of.
