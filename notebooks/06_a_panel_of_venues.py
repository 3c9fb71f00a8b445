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
# # A panel of venues
#
# Markets that fail together are worth less than markets that fail apart. Speeds and rates of several
# markets are drawn together, each leaning on the others as far as the data ask for it (partial pooling), and the
# draws answer: how likely is it that at least k of them fail at once, and what does spreading a position buy?

# %%
import os
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import basismodels as bm

folder = Path(os.environ.get("BASISMODELS_DATA", "../../shared/data"))
real = os.environ.get("BASISMODELS_NOTEBOOK", "example") == "real" and folder.exists()

MODEL = bm.Switching(bm.OU(), regimes=2, varies=("kappa", "theta", "sigma"))


def simulated_panel():
    """Three venues with a regime 25 bps below; A and B share their fate, C has its own."""
    time = pd.date_range("2024-01-01", periods=260, freq="h", tz="UTC")
    truth = {"kappa[1]": 0.3, "theta[0]": 0.0, "theta[1]": -25.0, "sigma[0]": 0.8, "sigma[1]": 2.5}
    truth |= {"q[0->1]": 0.015, "q[1->0]": 0.03}
    made = {}
    for name, kappa, seed in (("venue A", 0.3, 4), ("venue B", 0.4, 4), ("venue C", 0.5, 6)):
        made[name] = bm.simulate(MODEL, truth | {"kappa[0]": kappa}, time, rng=seed)
    return made


def real_panel():
    """Two months of five markets; Hyperliquid's spot prices begin in 2025, where the Binance files end."""
    winter, spring = ("2024-11-01", "2024-12-31"), ("2025-03-01", "2025-04-30")
    files = {
        "binance BTC": ("binance_btcusdt_1h", winter), "binance ETH": ("binance_ethusdt_1h", winter),
        "binance XRP": ("binance_xrpusdt_1h", winter), "hyperliquid BTC": ("hyperliquid_btc_1h", spring),
        "hyperliquid ETH": ("hyperliquid_eth_1h", spring),
    }  # fmt: skip
    made = {}
    for name, (file, (start, end)) in files.items():
        one = bm.read(folder / f"{file}.parquet", start=start, end=end)
        made[name] = bm.BasisSeries.from_basis(one.time[one.observed], one.basis[one.observed])
    return made


panel = real_panel() if real else simulated_panel()
few = {"draws": 150, "tune": 200, "chains": 2}
print("real data" if real else "simulated data", "-", {name: one.n for name, one in panel.items()})

# %% [markdown]
# ## Each market alone, and all together

# %%
fitted = bm.sample_panel(MODEL, panel, rng=1, starts=3, **few)
shrinkage = fitted.shrinkage()
shrinkage.round(3)

# %%
names = list(dict.fromkeys(shrinkage["name"]))
fig, axes = plt.subplots(1, len(names), figsize=(2.6 * len(names), 2.8), layout="constrained")
for ax, name in zip(axes, names, strict=True):
    part = shrinkage[shrinkage["name"] == name]
    for _, row in part.iterrows():
        values = [max(row["alone"], 1e-5), row["panel"]]
        ax.plot([0, 1], values, marker="o", markersize=3, linewidth=0.9, label=row["unit"])
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:.3g}")
    ax.yaxis.set_minor_formatter("{x:.3g}")
    ax.set_xticks([0, 1], ["alone", "panel"])
    ax.set_xlim(-0.3, 1.3)
    ax.set_title(f"{name}, 1/h", loc="left")
axes[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()

# %% [markdown]
# One line a market. Where lines run together, a market said little by itself and took most of its estimate from the
# others; where they stay apart, each had enough to say.

# %%
rows = []
for name, one in fitted.items():
    total = bm.half_life(one)[0]
    limits = {"lower": total.lower, "upper": total.upper}
    rows.append({"market": name, "half-life (h)": total.value, **limits, "ok": one.ok})
pd.DataFrame(rows).set_index("market").round(2)

# %% [markdown]
# Where `ok` is False the draws are too few for figures to be quoted (the fit says so); here they are kept
# few so that the page is made quickly. In earnest leave `draws` and `chains` at their defaults.
#
# ## Failing together

# %%
for name, one in fitted.items():
    table = bm.failure_regimes(one, horizon=24, band=10, target=0, draws=40, rng=1)
    print(name, "- regimes that fail:", ", ".join(map(str, table.index[table["fails"]])) or "none")

# %% [markdown]
# "none" means: at a typical moment of each regime the basis is inside 10 bps, or back within a day. Real markets that
# do not fail have no joint failure to show, so what follows is the **simulated** panel in either case, in which
# venues A and B fail together and C on its own.

# %%
joined = bm.sample_panel(MODEL, simulated_panel(), rng=1, starts=3, **few) if real else fitted
joint = bm.joint_failure(joined, horizon=8, band=10, target=0, draws=40, rng=1)
fig, ax = plt.subplots(figsize=(9, 2.8), layout="constrained")
for k in (1, 2, 3):
    table = joint.at_least(k)
    ax.plot(table.index, table["probability"], linewidth=3.6 - k, label=f"at least {k}")
ax.set_ylim(-0.02, 1.3)
ax.set_title(f"Probability that at least k of {len(joined)} simulated venues are failing, all data", loc="left")
ax.legend(frameon=False, ncols=3)
plt.show()

# %%
print(joint.effective())
joint.spreading().round(3)

# %% [markdown]
# `effective` is the number of independent markets that would spread the risk as far as these do. If it is near
# one, five venues are one venue. The table says what spreading a position over them buys: `stuck` is the mean
# share of it in a failing market, `sd` how much that share moves over time, `half` and `all` the shares of time
# in which at least half, or all, of it is stuck.
#
# A fault of one venue can be spread away. One that all venues share cannot, and a panel whose
# span holds no common failure has nothing to learn it from.
