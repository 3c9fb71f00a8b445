"""BasisSeries: the basis in bps at known times, with what was known beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd

from basismodels import _settlements
from basismodels._assemble import (
    Fact,
    basis_of,
    beside,
    iso,
    odd_units,
    prices_of,
    span,
    usable,
    with_time,
    without_index,
)
from basismodels._coerce import as_column, time_index
from basismodels._cut import clip, in_force_within, rows_between, short
from basismodels._finding import Finding
from basismodels._rules import check_basis
from basismodels.errors import DataError

__all__ = ["BasisSeries", "Checked", "Fact", "Finding", "build"]


# stamp of the first settlement from which the intervals were inferred; absent where they were given
INFERRED = "intervals_inferred_from"


class Checked(Protocol):
    """What a quality check hands back: its findings and a mask, (n,)."""

    @property
    def findings(self) -> tuple[Finding, ...]: ...
    @property
    def mask(self) -> np.ndarray: ...


@dataclass(frozen=True, eq=False, repr=False)
class BasisSeries:
    """The basis of one market by bar close, `1e4 * ln(perp / reference)`, NaN where missing.

    time: (n,) UTC, strictly increasing, gaps allowed. basis: (n,) bps.
    covariates: (n, k) every numeric column, prices under "perp" and "reference".
    settlements: by stamp, rate (decimal per interval), interval_hours, bps_8h; None without funding.
    mask: (n,), True where a fit leaves the row out.
    """

    time: pd.DatetimeIndex
    basis: np.ndarray
    covariates: pd.DataFrame
    settlements: pd.DataFrame | None
    mask: np.ndarray
    provenance: Mapping[str, Fact]
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        for name in ("basis", "mask"):
            array = np.array(getattr(self, name))
            if array.shape != (len(self.time),):
                raise DataError(f"{name} has shape {array.shape}, time has {len(self.time)} rows")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __repr__(self) -> str:
        seen = self.basis[np.isfinite(self.basis)]
        facts = [
            f"{self.n:,} rows",
            f"{self.time[0]:%Y-%m-%d %H:%M} to {self.time[-1]:%Y-%m-%d %H:%M} UTC" if self.n else "empty",
            f"basis {seen.min():.3g} to {seen.max():.3g} bps" if len(seen) else "no basis",
            f"{int(self.mask.sum()):,} rows masked",
            "no funding" if self.settlements is None else f"{len(self.settlements):,} settlements",
            *(["simulated"] if self.provenance.get("simulated") else []),
        ]
        return f"<BasisSeries: {', '.join(facts)}>"

    @classmethod
    def from_prices(
        cls, spot: Any, perp: Any, funding: Any = None, covariates: Any = None, *, time: Any = None, part: bool = False
    ) -> BasisSeries:
        """Basis from two prices of pandas (by index), or of any library with `time`.

        Stamps of the two prices are joined; where one is absent the basis is missing.
        `funding`: settled decimal rates by stamp, or a frame with rate and interval_hours.
        `part`: whether these rows continue a longer series, as new ones for `bm.update`; they may
        then be a single one, without a rate. Raises DataError on anything that cannot be a price series in UTC.
        """
        legs = {"perp": as_column(perp, time, "perp"), "reference": as_column(spot, time, "spot")}
        facts: dict[str, Fact] = {"source": "frame", "perp": "perp", "reference": "spot"}
        settled = with_time(funding, time)
        return build(legs=legs, funding=settled, covariates=covariates, time=time, facts=facts, part=part)

    @classmethod
    def from_basis(
        cls, time: Any, bps: Any, funding: Any = None, covariates: Any = None, *, part: bool = False
    ) -> BasisSeries:
        """Basis given in bps at `time`; `part` and errors as in `from_prices`."""
        index = time_index(time)
        facts: dict[str, Fact] = {"source": "frame", "basis": "basis"}
        basis = as_column(without_index(bps), index, "basis")
        settled = with_time(funding, index)
        return build(basis=basis, funding=settled, covariates=covariates, time=index, facts=facts, part=part)

    @property
    def n(self) -> int:
        """Number of rows, missing and masked ones included."""
        return len(self.time)

    @property
    def hours(self) -> np.ndarray:
        """Hours since the first stamp, (n,), whatever the resolution of the stamps."""
        return np.asarray((self.time - self.time[0]) / np.timedelta64(1, "h"), dtype=np.float64)

    @property
    def observed(self) -> np.ndarray:
        """True where a fit sees the basis, (n,)."""
        return np.asarray(np.isfinite(self.basis) & ~self.mask)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of times, basis and settlements: equal data, equal digits."""
        digest = hashlib.sha256(self.time.as_unit("us").asi8.tobytes())
        digest.update(np.where(np.isnan(self.basis), np.nan, self.basis).tobytes())
        if self.settlements is not None:
            digest.update(pd.DatetimeIndex(self.settlements.index).as_unit("us").asi8.tobytes())
            digest.update(np.ascontiguousarray(self.settlements.to_numpy(dtype=np.float64)).tobytes())
        return digest.hexdigest()

    def frame(self) -> pd.DataFrame:
        """The columns a formula may name, by time: covariates, and funding in bps per 8 h.

        Columns made under a funding rule go before those of the settlements alone.
        """
        if self.settlements is None:
            return self.covariates.copy()
        funding = _settlements.funding_columns(self.settlements, self.time)
        if "funding_rule" in self.provenance:
            return self.covariates.join(funding.drop(columns=self.covariates.columns, errors="ignore"))
        return self.covariates.drop(columns=funding.columns, errors="ignore").join(funding)

    def with_mask(self, mask: Any) -> BasisSeries:
        """The same series with another mask, (n,), True where a fit leaves the row out."""
        return replace(self, mask=np.asarray(mask, dtype=bool))

    def with_quality(self, quality: Checked) -> BasisSeries:
        """The same series with the mask and the findings of a quality check."""
        return replace(self, mask=quality.mask, findings=tuple(quality.findings))

    def with_provenance(self, **facts: Fact) -> BasisSeries:
        """The same series with these facts added to its provenance."""
        return replace(self, provenance={**self.provenance, **facts})

    def with_warnings(self, *warnings: str) -> BasisSeries:
        """The same series with these warnings added, each kept once."""
        return replace(self, warnings=tuple(dict.fromkeys((*self.warnings, *warnings))))

    def cut(self, start: Any = None, end: Any = None) -> BasisSeries:
        """The rows from start to end, both inclusive; a date-only end includes its day.

        The settlement in force at the first row is kept. Raises DataError,
        naming the span, where no row is left.
        """
        if start is None and end is None:
            return self
        keep = rows_between(self.time, start, end)
        time = self.time[keep]
        kept = replace(
            self,
            time=time,
            basis=self.basis[keep],
            covariates=self.covariates.loc[keep],
            settlements=in_force_within(self.settlements, time),
            mask=self.mask[keep],
            provenance={**self.provenance, **span(time)},
            findings=tuple(part for f in self.findings if (part := clip(f, time)) is not None),
        )
        return kept.with_warnings(*short(self.time, start, end))


def build(
    *,
    facts: Mapping[str, Fact],
    legs: Mapping[str, pd.Series[float]] | None = None,
    basis: pd.Series[float] | None = None,
    funding: Any = None,
    covariates: Any = None,
    time: Any = None,
    findings: tuple[Finding, ...] = (),
    warnings: tuple[str, ...] = (),
    part: bool = False,
) -> BasisSeries:
    """A validated BasisSeries from two legs, or from the basis; what every reader ends in.

    `part`: whether it continues a longer series, and may then hold a single value or none, and no rate.
    """
    prices = None if legs is None else prices_of(legs)
    values = basis_of(prices, basis)
    if not part:
        check_basis(values)
    index = pd.DatetimeIndex(values.index)
    if part and funding is not None and not _settlements.any_rate(funding):
        funding = None
    settled = None if funding is None else _settlements.settlements(funding)
    if settled is not None and _settlements.without_intervals(funding):
        facts = {**facts, INFERRED: iso(settled.index[0])}
    settled, late = usable(settled, index)
    return BasisSeries(
        time=index,
        basis=values.to_numpy(),
        covariates=beside(prices, covariates, time, index),
        settlements=settled,
        mask=np.zeros(len(index), dtype=bool),
        provenance={**facts, **span(index), "simulated": bool(facts.get("simulated", False))},
        warnings=(*warnings, *late, *odd_units(values, settled)),
        findings=findings,
    )
