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
# # Which model should I believe?
#
# Three questions that are often mixed up. Which model explains the data it was fitted to, less a price for its
# parameters? Which one forecasts data it has not seen? And is the difference more than luck?

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt

import basismodels as bm
from basismodels.report import figures

folder = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data"))
real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and folder.exists()

if real:
    data = bm.read(folder / "binance_btcusdt_1h.parquet", start="2022-01-01", end="2023-06-30")
    train_end = "2022-12-31"
else:
    data, train_end = bm.load_example(), "2024-03-31"
print("real data" if real else "simulated data", "-", f"{data.n:,} rows")

# %% [markdown]
# ## In the sample
#
# Information criteria on one frame. Where a likelihood is an approximation, `particles=100` puts a particle filter's
# value in its place.

# %%
names = ["random-walk", "ou", "ou-noise", "two-factor", "switching-ou"]
past = data.cut(None, train_end)
fits = {name: bm.fit(bm.preset(name), past, starts=6) for name in names}
table = bm.compare(fits)
table[["llf", "parameters", "aic", "bic", "hqic", "log_score", "weight", "half_life", "ok"]].round(3)

# %% [markdown]
# ## Out of the sample, from a rolling origin
#
# Every model and a few plain baselines are fitted to the past, frozen, and scored on what follows, hour by
# hour: the log of the density that the forecast gave to what happened. All are scored on the same rows;
# statsmodels' switching regression is wrapped so that it can take part.

# %%
race = [*names, "ar1", "har", "historical", "markov-regression"]
scores = bm.rolling_origin(race, data, train_end=train_end, refit="MS", starts=6)
ranking = scores.table("ou")
ranking[["log_score", "se", "difference", "dm_t", "gw_p", "in_set", "weight", "crps", "coverage", "width"]].round(3)

# %% [markdown]
# `difference` is the mean log score over that of plain OU, with the t statistic of Diebold and Mariano by a
# long-run variance; `in_set` says whether the model is in the 90% confidence set of best models; `weight` is
# its share in the best pool of forecasts. Coverage is of nominal 95% intervals: a model may win by width alone.

# %%
best = [name for name in ranking.index if name != "ou"][:4]
fig, ax = plt.subplots(figsize=(9, 3), layout="constrained")
figures.score_race(scores, "ou", best, ax=ax)
plt.show()

# %% [markdown]
# The lines show *when* a model earns its lead. One that climbs in a few jumps wins on rare hours, and its t
# statistic says so.

# %%
winner = ranking.index[0]
print(bm.dm_test(scores.log_score[winner], scores.log_score["ou"]))
print(bm.gw_test(scores.log_score[winner], scores.log_score["ou"]))
print(bm.confidence_set(scores.common))

# %% [markdown]
# ## Are the forecasts calibrated?

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
for ax, name in zip(axes, ["ou", "markov-regression", winner], strict=True):
    figures.pit_histogram(scores.pit[name].dropna().to_numpy(), ax=ax, title=name)
plt.show()

# %% [markdown]
# Flat is right. A hump in the middle: intervals too wide, as when a quiet spell is forecast with the volatility of a
# loud past. Peaks at the ends: too narrow.
#
# ## The future left out, with the doubt about parameters in
#
# `leave_future_out` weighs the draws of one fit by what happened since, and refits where these weights fail.

# %%
short = past.cut(past.time[-1200], None)
print(bm.leave_future_out(bm.fit(bm.OU() + bm.Noise(), short), 0.6, rng=1))
