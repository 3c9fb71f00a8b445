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
# # Is funding a driver of convergence, or a better-measured copy of the basis?
#
# A funding rate is a clipped average of past premiums. An average knows a noisy basis better than one price does, so
# that a regression of the change of the basis on funding finds an "effect" where there is none. This notebook shows
# the trap on data whose truth is known, then what the package sets against it.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import statsmodels.api as sm
from matplotlib.ticker import LogLocator, NullFormatter

import basismodels as bm

folder = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data"))
real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and folder.exists()

# %% [markdown]
# ## The trap
#
# A basis with noise that reverts by itself; funding is the mean of the last eight hours and **does nothing**.

# %%
hours = pd.date_range("2024-01-01", periods=3000, freq="h", tz="UTC")
truth = {"kappa": np.log(2) / 8, "theta": 0.0, "sigma": 2.0, "tau": 3.0}
quiet = bm.simulate(bm.OU() + bm.Noise(), truth, hours, rng=1)
y = pd.Series(quiet.basis, quiet.time)
funding = y.rolling(8).mean()[y.index.hour % 8 == 0].reindex(y.index).ffill()
premium = y.rolling(8).mean()
table = pd.DataFrame({"change": y.diff().shift(-1), "basis": y, "funding": funding, "premium": premium}).dropna()


def t_of_funding(*beside):
    design = sm.add_constant(table[["basis", *beside, "funding"]])
    fitted = sm.OLS(table["change"], design).fit(cov_type="HAC", cov_kwds={"maxlags": 24})
    return fitted.params["funding"], fitted.tvalues["funding"]


pd.DataFrame({"naive": t_of_funding(), "premium held fixed": t_of_funding("premium")}, index=["slope", "t"]).round(2)

# %% [markdown]
# The naive t is far beyond any table, for an effect that is not there. With the running mean of the premium beside
# it, what is known of the basis is the same with and without funding, and the "effect" goes.
#
# ## The rule of a venue
#
# What funding is, when it is known, where it is capped and where it does not act at all, is written down per
# venue and era.

# %%
rule = bm.funding.rule("binance", "BTCUSDT", at="2024-06-01")
print(rule)

# %%
if real:
    data = bm.read(folder / "binance_btcusdt_1h.parquet", start="2024-01-01", end="2024-06-30")
else:  # wide enough to leave the deadband; funding follows from the rule and, again, does nothing
    data = bm.simulate(bm.OU() + bm.Noise(), truth | {"sigma": 5.0}, hours[:1500], rng=3)
data = bm.funding.attach(data, rule)
print("real data" if real else "simulated data", "-", f"{data.n:,} rows")
data.frame()[["funding_last", "premium_mean", "funding_pressure", "funding_gap"]].describe().round(3)

# %% [markdown]
# ## The diagnosis
#
# Naive regression, one that holds the premium fixed, likelihood ratios in the state-space model, placebos (funding
# of the future, funding of other intervals), and the bends of the rule. Size and power of each are found by
# simulation when `replications` is raised; a verdict without them says so.

# %%
effects = ("level", "speed") if real else ("level",)
found = bm.funding_diagnostic(data, effects=effects, replications=0, permutations=10, rng=1)
print(found.text)

# %%
found.frame.round(3)

# %%
found.placebos.round(3)

# %% [markdown]
# ## The speed as a function of funding
#
# Whatever the verdict, the curve shows what the data allow: the speed over funding pressure, with its band. Without
# the real files a market is simulated in which the speed does follow a pressure, so that there is something to find.

# %%
if real:
    column, fit = "funding_pressure", bm.fit(bm.OU(kappa="1 + funding_pressure") + bm.Noise(), data)
else:
    column = "pressure"
    pressure = pd.DataFrame({column: np.sin(np.arange(len(hours)) / 40)}, index=hours)
    empty = bm.BasisSeries.from_basis(hours, np.arange(len(hours)) % 2.0, covariates=pressure)
    driven = bm.OU(kappa="1 + pressure") + bm.Noise()
    market = bm.simulate(driven, truth | {"kappa:pressure": 0.8, "tau": 1.0}, empty, rng=2)
    fit = bm.fit(driven, market)
curve = bm.speed_curve(fit, column)
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
upper = curve["half_life_upper"].clip(upper=1e4)
ax.fill_between(curve.index, curve["half_life_lower"], upper, alpha=0.25, linewidth=0)
ax.plot(curve.index, curve["half_life"])
ax.set(yscale="log", xlabel=column, ylabel="half-life, hours")
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.yaxis.set_major_formatter("{x:g}")
ax.yaxis.set_minor_formatter(NullFormatter())
ax.set_title(f"Half-life by {column}, 95% band", loc="left")
plt.show()

# %% [markdown]
# Where the band holds a level line over the whole range, these data do not show that funding moves the speed. Where it
# does not, remember what this model leaves out: it holds neither the premium nor regimes, as the diagnosis above does,
# and credits funding with whatever they do.

# %%
fig, ax = plt.subplots(figsize=(9, 2.4), layout="constrained")
data.frame()["funding_last"].plot(ax=ax, linewidth=0.8)
ax.set_title("Funding in force, bps per 8 h: flat where the rule is dead", loc="left")
plt.show()

# %% [markdown]
# On the flat stretches the rate is the interest alone, whatever the basis does: there funding cannot drive
# anything, and what moves with the premium there is the proxy at work. That is why the placebo `mean premium,
# deadband only` is asked.
