"""The README's picture: the simulated example, the regime in which convergence fails, and the probability of that.

Writes docs/_static/example.png: `python benchmarks/picture.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import basismodels as bm
from basismodels.report import figures

OUT = Path(__file__).resolve().parent.parent / "docs" / "_static" / "example.png"
LOOK = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left", "font.size": 8.5}


def main() -> int:
    fit = bm.fit(bm.preset("switching-failure"), bm.load_example())
    failing = bm.failure_probability(fit, horizon=24, band=10, target=0, rng=1)
    regimes = [int(k) for k in np.flatnonzero(failing.attrs["regimes"]["fails"])]
    with plt.rc_context(LOOK):
        fig, axes = plt.subplots(2, 1, figsize=(8.4, 3.6), sharex=True, layout="constrained", height_ratios=[2, 1])
        figures.basis(fit, ax=axes[0], band=10, failing=regimes)
        figures.failure(fit, failing, ax=axes[1])
        fig.savefig(OUT, dpi=130, metadata={"Software": None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
