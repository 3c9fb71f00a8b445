"""Residual diagnostics: what the one-step-ahead laws of a fit get wrong."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basismodels._settlements import in_force
from basismodels.errors import DataError
from basismodels.results import Fit
from basismodels.scoring.forward import one_step

Array = NDArray[np.float64]
_EDGE = 1e-12
_LEAST = 50


@dataclass(frozen=True, eq=False)
class Residuals:
    """Residuals of a fit, standard normal and independent where the model is right.

    frame by time: pit (probability given to values below what happened) and quantile, its normal quantile
    (Rosenblatt 1952; Dunn & Smyth 1996); tests: a row a test with statistic and p; autocorrelation by lag
    of the residual and of its square; by_hour and by_settlement: mean and sd of the residual by UTC hour
    and by hours since the last settlement (None without funding), with standard errors.
    """

    frame: pd.DataFrame
    tests: pd.DataFrame
    autocorrelation: pd.DataFrame
    by_hour: pd.DataFrame
    by_settlement: pd.DataFrame | None

    @property
    def ok(self) -> bool:
        """Whether no test rejects at 1%."""
        return bool((self.tests["p"] >= 0.01).all())

    def summary(self) -> str:
        """The tests in words, one a line."""
        return "\n".join(f"{name}: {row['finding']}" for name, row in self.tests.iterrows())


def residuals(fit: Fit, lags: int = 24) -> Residuals:
    """Quantile residuals of a fit by its one-step-ahead mixtures, and what they say.

    `lags`: rows of autocorrelation looked at. p values take the parameters as known, which makes them
    conservative for long series. Errors: DataError for fewer than 50 residuals.
    """
    from scipy.stats import norm

    y = np.where(fit.problem.seen, fit.data.basis, np.nan)[fit.problem.first :][1:]
    pit = np.clip(one_step(fit).cdf(y), _EDGE, 1.0 - _EDGE)
    frame = pd.DataFrame({"pit": pit, "quantile": norm.ppf(pit)}, index=fit.problem.time[1:]).dropna()
    if len(frame) < max(_LEAST, 2 * lags):
        raise DataError(f"{len(frame)} residuals, diagnostics take {max(_LEAST, 2 * lags)}", remedy="a longer series")
    z = frame["quantile"]
    hours = _groups(z, pd.Index(pd.DatetimeIndex(z.index).hour, name="hour"))
    phase = _since_settlement(fit, pd.DatetimeIndex(z.index))
    settled = None if phase is None else _groups(z, phase)
    tests = [*_laws(frame), *_memory(z, lags), *_seasons("hour of day", z, pd.DatetimeIndex(z.index).hour)]
    if phase is not None:
        tests += _seasons("hours since settlement", z, phase)
    table = pd.DataFrame(tests, columns=["test", "statistic", "p", "finding"]).set_index("test")
    return Residuals(frame, table, _correlations(z, lags), hours, settled)


Row = tuple[str, float, float, str]


def _laws(frame: pd.DataFrame) -> list[Row]:
    """Is the probability integral transform uniform, and the residual normal without memory?"""
    from scipy.stats import kstest

    found = kstest(frame["pit"], "uniform")
    z = frame["quantile"]
    tails = float((z.abs() > 3.0).mean())
    said = f"PIT up to {found.statistic:.3f} from uniform; {tails:.2%} beyond three sd (0.27% expected)"
    statistic, p = _berkowitz(z.to_numpy())
    moments = f"residuals have mean {z.mean():.3f} and sd {z.std():.3f} (0 and 1 expected)"
    return [
        ("PIT uniform (Kolmogorov)", float(found.statistic), float(found.pvalue), said),
        ("normal, no memory (Berkowitz)", statistic, p, moments),
    ]


def _berkowitz(z: Array) -> tuple[float, float]:
    """Likelihood ratio against an AR(1) with free mean and variance (Berkowitz 2001), chi-squared with 3 degrees."""
    from scipy.stats import chi2, norm

    slope, constant = np.polyfit(z[:-1], z[1:], 1)
    errors = z[1:] - constant - slope * z[:-1]
    free = norm.logpdf(errors, scale=errors.std()).sum()
    statistic = float(max(2.0 * (free - norm.logpdf(z[1:]).sum()), 0.0))
    return statistic, float(chi2.sf(statistic, 3))


def _memory(z: pd.Series[float], lags: int) -> list[Row]:
    """Ljung & Box (1978) on the residual and on its square."""
    from statsmodels.stats.diagnostic import acorr_ljungbox

    rows = []
    for name, values in (("autocorrelation", z), ("autocorrelation of squares", (z - z.mean()) ** 2)):
        found = acorr_ljungbox(values.to_numpy(), lags=[lags]).iloc[0]
        first = float(values.autocorr(1))
        said = f"first autocorrelation {first:.3f}, {lags} lags together"
        rows.append((f"{name} (Ljung-Box)", float(found["lb_stat"]), float(found["lb_pvalue"]), said))
    return rows


def _correlations(z: pd.Series[float], lags: int) -> pd.DataFrame:
    from statsmodels.tsa.stattools import acf

    values = z.to_numpy()
    parts = {"residual": values, "square": (values - values.mean()) ** 2}
    table = {name: acf(part, nlags=lags, fft=True)[1:] for name, part in parts.items()}
    return pd.DataFrame(table, index=pd.RangeIndex(1, lags + 1, name="lag"))


def _since_settlement(fit: Fit, time: pd.DatetimeIndex) -> pd.Index | None:
    """Whole hours since the last settlement at each row, -1 before the first."""
    settled = fit.data.settlements
    if settled is None or not len(settled):
        return None
    at = in_force(settled, time)
    since = (time - settled.index[np.maximum(at, 0)]) / np.timedelta64(1, "h")
    hours = np.where(at < 0, -1, np.floor(since)).astype(int)
    made: pd.Index = pd.Index(hours, name="hours_since_settlement")
    return made


def _groups(z: pd.Series[float], keys: pd.Index) -> pd.DataFrame:
    """Mean and sd by group, each with its standard error under independence."""
    grouped = z.groupby(np.asarray(keys))
    count = grouped.size()
    frame = pd.DataFrame({"mean": grouped.mean(), "sd": grouped.std(), "count": count})
    frame["mean_se"], frame["sd_se"] = frame["sd"] / np.sqrt(count), frame["sd"] / np.sqrt(2.0 * count)
    frame.index.name = keys.name
    return frame[(frame["count"] >= 10) & (frame.index >= 0)]


def _seasons(name: str, z: pd.Series[float], keys: pd.Index | Array) -> list[Row]:
    """Do level and size of the residual differ between hours? F tests, the second on absolute values (Levene 1960)."""
    from scipy.stats import f_oneway

    frame = pd.DataFrame({"z": z.to_numpy(), "key": np.asarray(keys)})
    frame = frame[frame["key"] >= 0]
    kept = [part.to_numpy() for _, part in frame.groupby("key")["z"] if len(part) >= 10]
    if len(kept) < 2:
        return []
    level = f_oneway(*kept)
    size = f_oneway(*(np.abs(part - np.median(part)) for part in kept))
    means, sds = [part.mean() for part in kept], [part.std() for part in kept]
    return [
        (f"{name}: level", float(level.statistic), float(level.pvalue),
         f"mean residual from {min(means):.2f} to {max(means):.2f} by {name}"),
        (f"{name}: size", float(size.statistic), float(size.pvalue),
         f"sd of residuals from {min(sds):.2f} to {max(sds):.2f} by {name}"),
    ]  # fmt: skip
