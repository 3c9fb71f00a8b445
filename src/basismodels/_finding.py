"""One fault or peculiarity of the data: a contiguous run of rows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Finding:
    """A contiguous run of rows with one fault or peculiarity.

    `start` and `end` are inclusive; `masked` is true where a fit leaves the
    rows out, missing ones included. `kind` is one of `quality.KINDS`.
    """

    kind: str
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    masked: bool
    note: str = ""
