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
# # What noise and a slow level do to a half-life
#
# The plain Ornstein-Uhlenbeck model is wrong twice over. Measurement noise (the bounce of last prices, thin
# hours) looks like fast reversion; a level that wanders looks like slow reversion. A right model gives the
# **same** half-life however often the basis is looked at; a wrong one moves with the spacing. This is the
# signature plot of volatility research, drawn for the speed of reversion.

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

# %% [markdown]
# ## First with the truth at hand
#
# A simulated basis with a half-life of 6 hours around a level that itself wanders with a half-life of two
# weeks, seen with noise of 3 bps. Half of a gap from the level should be gone in 6 hours.

# %%
truth = {"kappa": np.log(2) / 6, "theta": 0.0, "sigma": 2.0, "tau": 3.0}
truth |= {"slow.kappa": np.log(2) / 336, "slow.sigma": 0.25}
model = bm.OU() + bm.SlowOU() + bm.Noise()
hours = pd.date_range("2024-01-01", periods=6000, freq="h", tz="UTC")
simulated = bm.simulate(model, truth, hours, rng=1)
fits = {name: bm.fit(bm.preset(name), simulated) for name in ("ou", "ou-noise", "two-factor")}
found = {name: bm.half_life(fit, method="wald") for name, fit in fits.items()}
pd.DataFrame({name: {f"{e.component} (h)": e.value for e in parts} for name, parts in found.items()}).round(1)

# %% [markdown]
# The plain model answers faster than anything in the series is, for it takes noise for reversion. With noise in the
# model but no slow level the answer is a mixture of the two true half-lives and is neither. Only the model with
# both parts tells the 6 hours from the two weeks; `total` is when half of a typical gap is gone, both together.

# %%
names = ("ou", "ou-noise", "two-factor")
every = ("1h", "2h", "4h", "8h")
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), sharey=True, layout="constrained")
for ax, name in zip(axes, names, strict=True):
    table = bm.sampling_check(name, simulated, every)
    parts = ("reversion", "slow") if name == "two-factor" else ("total",)
    figures.signature(table, ax=ax, components=parts)
    ax.set_title(name, loc="left")
    ax.axhline(6, color="0.6", linestyle=":", linewidth=0.8)
    ax.axhline(336, color="0.6", linestyle=":", linewidth=0.8)
    ax.set_ylim(1, 2000)
axes[0].set_ylabel("half-life, hours")
plt.show()

# %% [markdown]
# Dotted: the two true half-lives. The first two panels climb with the spacing, since noise matters less when
# observations are far apart: what looks like a finding about convergence is one about sampling.
# The right model's lines are level; its interval widens as the fast part becomes too quick to be seen.
#
# ## Now data whose truth nobody gave us
#
# Five-minute bitcoin of 2025 where it is at hand, else the embedded example.

# %%
if real:
    data = bm.read(folder / "binance_btcusdt_5m.parquet", start="2025-01-01", end="2025-03-31")
    every = ("5min", "15min", "1h", "4h", "8h")
else:
    data, every = bm.load_example(end="2024-03-10"), ("1h", "2h", "4h", "8h")
print("real data" if real else "simulated data", "-", f"{data.n:,} rows")

# %%
tables = {name: bm.sampling_check(name, data, every) for name in names}
fig, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
for ax, (name, table) in zip(axes, tables.items(), strict=True):
    figures.signature(table, ax=ax, components=("reversion", "slow") if name == "two-factor" else ("total",))
    ax.set_title(name, loc="left")
plt.show()

# %%
pd.concat(tables, names=["model"]).query("component != 'total'")[
    ["every", "nobs", "component", "value", "lower", "upper", "ok"]
].round(2)

# %% [markdown]
# Read across: a line that is not level within its bars says that the model mixes noise, level and
# reversion. Where a fit is not `ok`, its numbers are not to be used: thinned to few rows, the parts can no
# longer be told apart; a bar through the whole panel stands for limits that cannot be given.

# %%
residuals = bm.residuals(bm.fit(bm.preset("ou"), data))
print(residuals.summary())
fig, axes = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
figures.pit(residuals, ax=axes[0])
figures.autocorrelation(residuals, ax=axes[1])
plt.show()

# %% [markdown]
# The residuals of the plain model show the same from the other side: a negative first autocorrelation is noise
# that the model took for reversion, positive ones after it a level that wanders. Red above the band, as on real
# data, is volatility that comes in clusters, the subject of the next notebook.
