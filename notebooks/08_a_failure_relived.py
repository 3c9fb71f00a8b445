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
# # A failure relived
#
# Four gaps that are remembered: the crash of March 2020 (bitcoin), the snapshot of December 2020 (XRP, where holders
# of spot were given something that holders of the perpetual were not), a trust whose shares could not be redeemed for
# years (GBTC), and a stablecoin that was doubted for a weekend (USDC, March 2023). Which of them were failures of
# convergence? Where the files are not at hand, the embedded example's planted failure is relived instead.

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

EVENTS = {
    "BTC, March 2020": ("binance_btcusdt_1h", {}, "2020-02-01", "2020-04-15", 10, 24),
    "XRP, December 2020": ("binance_xrpusdt_1h", {}, "2020-11-10", "2021-01-10", 10, 24),
    "GBTC, 2018 to 2024": ("gbtc_nav_daily", {}, None, None, 500, 24 * 30),
    "USDC, March 2023": ("usdcusdt_1h", {"perp": "spot", "reference": "index"}, "2023-02-15", "2023-04-15", 10, 24),
}
cases = {}
if real:
    for name, (file, columns, start, end, band, horizon) in EVENTS.items():
        if (folder / f"{file}.parquet").exists():
            cases[name] = (bm.read(folder / f"{file}.parquet", start=start, end=end, **columns), band, horizon)
if not cases:
    cases["the example's planted failure (simulated)"] = (bm.load_example(start="2024-02-20", end="2024-04-10"), 10, 24)
print(", ".join(cases))

# %% [markdown]
# ## What the data check says first
#
# In a crash prices also freeze and exchanges stop. Rows of an outage are left out of the fits, not hidden.

# %%
for name, (data, _, _) in cases.items():
    print(f"{name}: {data.n:,} rows, {int(data.mask.sum())} left out, {len(data.findings)} findings")

# %% [markdown]
# ## One model for all
#
# Two regimes over a reverting basis with noise; level, speed and volatility may differ. The band is what a round
# trip costs, in bps: 10 for the venues, 500 for the trust.

# %%
MODEL = bm.Switching(bm.OU() + bm.Noise(), regimes=2, varies=("kappa", "theta", "sigma"))
fits, failing, lost = {}, {}, {}
for name, (data, band, horizon) in cases.items():
    fits[name] = bm.fit(MODEL, data, starts=8)
    failing[name] = bm.failure_probability(fits[name], horizon=horizon, band=band, target=0, draws=60, rng=1)
    lost[name] = bm.convergence_probability(fits[name], horizon=horizon, band=band, target=0)
    print(f"{name}: {fits[name]!r}")

# %%
for name, fit in fits.items():
    table = failing[name].attrs["regimes"]
    fig, axes = plt.subplots(3, 1, figsize=(9, 5.2), sharex=True, layout="constrained", height_ratios=[2, 1, 1])
    figures.basis(fit, ax=axes[0], band=cases[name][1], failing=[int(k) for k in np.flatnonzero(table["fails"])])
    figures.no_return(lost[name], ax=axes[1], title="P(out of the band and not back in time), data to each row")
    figures.failure(fit, failing[name], ax=axes[2])
    fig.suptitle(name, x=0.01, ha="left")
    plt.show()

# %% [markdown]
# Top: basis and the regime in which convergence fails (red; grey tint where none does). Middle: the regime-free
# event. Bottom: probability of the failing regime with its limits.

# %%
rows = []
for name, (data, _, _) in cases.items():
    table, seen = failing[name].attrs["regimes"], pd.Series(data.basis, data.time)
    rows.append(
        {
            "case": name,
            "widest, bps": seen[seen.abs().idxmax()],
            "at": f"{seen.abs().idxmax():%Y-%m-%d %H:%M}",
            "regimes that fail": ", ".join(map(str, table.index[table["fails"]])) or "none",
            "doubt, Pr(fails)": table["probability_fails"].max(),
            "why": "; ".join(text for text in table.loc[table["fails"], "flags"] if text) or "-",
            "rows, P(regime) > 1/2": int((failing[name]["filtered"] > 0.5).sum()),
            "rows, P(no return) > 1/2": int((lost[name]["probability_no_return"] > 0.5).sum()),
            "fit to be trusted": fits[name].ok,
        }
    )
pd.DataFrame(rows).set_index("case").round(2).transpose()

# %% [markdown]
# Not every spectacular gap is a failure. A crash that widens the basis and closes it within hours is volatile, not
# failing, and no *regime* of it fails: at a typical moment of its storm the gap is back within a day. The event without
# regimes is finer: it asks at each hour whether this gap comes back, and says for how many hours the answer was no. A
# displaced level that stays for years is failing however calm it looks. And the snapshot was not a failure of
# arbitrage at all, since the gap was the price of what spot holders were to receive: a model finds the
# displacement, a person has to name it.
