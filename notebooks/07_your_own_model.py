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
# # Your own model, your own covariate
#
# Models are sums of components, and every parameter takes a formula over the data's columns or a number that
# fixes it. Here a covariate is made, put into a model, tested, and the curve it implies drawn.

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import LogLocator, NullFormatter

import basismodels as bm
from basismodels.report import figures

folder = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data"))
real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and folder.exists()

if real:
    table = pd.read_parquet(folder / "binance_btcusdt_1h.parquet").loc["2024-01-01":"2024-06-30"]
else:
    table = bm.load_example(end="2024-03-10").covariates.rename(columns={"reference": "spot"})
    table = table.loc[:, ~table.columns.duplicated()]
print("real data" if real else "simulated data", "-", f"{len(table):,} rows")

# %% [markdown]
# ## A covariate that was known in time
#
# Spot volatility of the last day, up to the hour *before*: a covariate has to be known when a step begins. A
# covariate made of the basis itself would not be exogenous; volatility of spot is as good as that.

# %%
returns = np.log(table["spot"]).diff()
volatility = returns.rolling(24, min_periods=12).std()
extra = pd.DataFrame({"log_vol": np.log(volatility).sub(np.log(volatility).median())})
data = bm.BasisSeries.from_prices(table["spot"], table["perp"], covariates=extra)
data = data.with_quality(bm.check(data)).cut(start=extra["log_vol"].first_valid_index())

# %% [markdown]
# ## Nested models, side by side

# %%
models = {
    "plain": bm.OU() + bm.Noise(),
    "volatility moves sigma": bm.OU(sigma="1 + log_vol") + bm.Noise(),
    "and the noise": bm.OU(sigma="1 + log_vol") + bm.Noise(tau="1 + log_vol"),
    "and the speed": bm.OU(kappa="1 + log_vol", sigma="1 + log_vol") + bm.Noise(tau="1 + log_vol"),
    "no reversion": bm.OU(kappa=0, sigma="1 + log_vol") + bm.Noise(tau="1 + log_vol"),
}
fits = {name: bm.fit(model, data) for name, model in models.items()}
bm.compare(fits)[["llf", "parameters", "aic", "bic", "d_bic", "weight", "ok"]].round(2)

# %%
fit = fits["and the speed"]
pd.concat([fit.params, bm.conf_int(fit, method="wald")], axis=1).round(4)

# %% [markdown]
# A slope `kappa:log_vol` is on the log scale: one more unit of the covariate multiplies the speed by its exponent.
# A likelihood ratio against the model without it is one line:

# %%
from scipy.stats import chi2

ratio = 2 * (fits["and the speed"].llf - fits["and the noise"].llf)
print(f"likelihood ratio for a speed that follows volatility: {ratio:.2f}, p = {chi2.sf(ratio, 1):.3g}")

# %%
x = np.linspace(*extra["log_vol"].quantile([0.02, 0.98]), 60)
draws = bm.draws_of(fit, 300, rng=1)
at = {name: i for i, name in enumerate(fit.names)}
half_life = np.log(2) / np.exp(draws[:, [at["kappa"]]] + draws[:, [at["kappa:log_vol"]]] * x)
low, middle, high = np.quantile(half_life, [0.025, 0.5, 0.975], axis=0)
fig, ax = plt.subplots(figsize=(7, 3), layout="constrained")
ax.fill_between(x, low, high, alpha=0.25, linewidth=0)
ax.plot(x, middle)
ax.set(yscale="log", xlabel="log volatility of spot over the last day, from its median", ylabel="half-life, hours")
ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ax.yaxis.set_major_formatter("{x:g}")
ax.yaxis.set_minor_formatter(NullFormatter())
ax.set_title("Half-life by volatility, 95% band", loc="left")
plt.show()

# %% [markdown]
# A band that holds a level line says: these data do not show that the speed follows volatility.
#
# ## Regimes whose changes follow a covariate
#
# `transition` is a formula for the log rates of change between regimes. In the simulated example nothing links the
# two, and the standard errors of the slopes say so; look at them before believing a picture.

# %%
regimes = bm.Switching(bm.OU(), regimes=2, varies=("sigma",), transition="1 + log_vol")
switching = bm.fit(regimes, data, starts=4)
print(switching.summary())

# %%
fig, ax = plt.subplots(figsize=(9, 2.6), layout="constrained")
figures.basis(switching, ax=ax)
plt.show()

# %% [markdown]
# Shading is the probability of the more volatile regime. Where it covers nearly everything, as on this calm
# stretch of the example, there is one regime to be found and not two; few starts reaching the best say the
# same.
#
# ## A component of your own
#
# A component is a frozen record that names its parameters; `CONTRIBUTING.md` says where it is put. Anything that
# is linear and Gaussian between observations needs no new likelihood.
