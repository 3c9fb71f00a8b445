"""What is wrong with the data: findings, and the mask a fit leaves out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from basismodels import _quality_rules as rules
from basismodels._assemble import iso
from basismodels._finding import Finding
from basismodels._quality_funding import funding
from basismodels._quality_legs import legs_of
from basismodels.series import BasisSeries

__all__ = ["KINDS", "Finding", "Quality", "check"]

KINDS = (
    "gap",
    "missing",
    "duplicate",
    "stale",
    "outage",
    "listing",
    "zone",
    "units",
    "jump",
    "funding_interval_change",
    "funding",
)
_AT_READING = {"duplicate", "zone"}  # seen only while the raw rows are at hand
_COLUMNS = ["kind", "start", "end", "rows", "masked", "note"]


@dataclass(frozen=True, eq=False)
class Quality:
    """Findings in order of time, and the mask, (n,): True where a fit leaves the row out."""

    findings: tuple[Finding, ...]
    mask: np.ndarray
    time: pd.DatetimeIndex = field(repr=False)

    def to_json_dict(self) -> dict[str, Any]:
        """rows, span and findings, times as ISO 8601 with Z."""
        return {
            "rows": len(self.mask),
            "span": [iso(self.time[0]), iso(self.time[-1])],
            "findings": [_json(finding) for finding in self.findings],
        }

    def table(self) -> pd.DataFrame:
        """One row a finding: kind, start, end, rows, masked, note."""
        return pd.DataFrame([[getattr(f, c) for c in _COLUMNS] for f in self.findings], columns=_COLUMNS)

    def __str__(self) -> str:
        table = f"\n{self.table().to_string(index=False)}" if self.findings else ""
        return self._headline() + table

    def _repr_html_(self) -> str:
        table = self.table().to_html(index=False) if self.findings else ""
        return f"<p>{self._headline()}</p>{table}"

    def _headline(self) -> str:
        masked = int(self.mask.sum())
        found = "" if self.findings else "nothing found; "
        return f"{found}{masked} of {len(self.mask)} rows left out ({masked / len(self.mask):.2%})"


def _json(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "start": iso(finding.start),
        "end": iso(finding.end),
        "rows": finding.rows,
        "masked": finding.masked,
    }


def check(data: BasisSeries) -> Quality:
    """Findings and mask of a series; an outage is told from a real gap by volume, both legs and what follows.

    Works without volumes and on a bare basis, and then claims less. The
    result depends on the data only, not on a mask they carry.
    """
    legs = legs_of(data) or ()
    new = rules.listing(data, legs)
    outages, stale = rules.silences(data, legs, new) if legs else ([], [])
    apart = new | rows_of(outages + stale, data.time)
    findings = [
        *(f for f in data.findings if f.kind in _AT_READING),
        *rules.gaps(data),
        *rules.missing(data, legs),
        *rules.found("listing", data, new, "first three days of the market"),
        *outages,
        *stale,
        *rules.jumps(data, legs, apart),
        *rules.interval_changes(data),
        *rules.units(data),
        *funding(data),
    ]
    findings.sort(key=lambda f: (f.start, KINDS.index(f.kind)))
    mask = rows_of([f for f in findings if f.masked], data.time)
    return Quality(tuple(findings), mask, data.time)


def rows_of(findings: list[Finding], time: pd.DatetimeIndex) -> np.ndarray:
    """True for the rows inside any of the findings, (n,)."""
    flags = np.zeros(len(time), dtype=bool)
    for finding in findings:
        first, after = time.searchsorted(finding.start), time.searchsorted(finding.end, side="right")
        flags[first:after] = True
    return flags
