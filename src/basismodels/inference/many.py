"""One model fitted to many series, each on its own."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basismodels._typical import typical
from basismodels.errors import BasismodelsError, DataError
from basismodels.inference.mle import fit
from basismodels.inference.tasks import Progress, key_of, packed, run_tasks, unpacked
from basismodels.model import Component, Model, as_model
from basismodels.problem import Problem, bind
from basismodels.results import Diagnostic, Fit
from basismodels.series import BasisSeries


@dataclass(frozen=True, eq=False)
class Fits(Mapping[str, Fit]):
    """Fits by the name of their series, and why those that are absent failed."""

    fits: dict[str, Fit]
    failed: dict[str, str]

    def __getitem__(self, unit: str) -> Fit:
        if unit in self.failed:
            raise DataError(f"{unit} was not fitted: {self.failed[unit]}")
        return self.fits[unit]

    def __contains__(self, unit: object) -> bool:
        return unit in self.fits

    def __iter__(self) -> Iterator[str]:
        return iter(self.fits)

    def __len__(self) -> int:
        return len(self.fits)

    def frame(self) -> pd.DataFrame:
        """One row a series: parameters as in `fit.params`, half_life of the reversion (h; regime 0 upwards where
        several), llf, nobs, ok and, where the fit failed, why."""
        rows = {unit: {**_row(one), "error": ""} for unit, one in self.fits.items()}
        rows |= {unit: {"ok": False, "error": why} for unit, why in self.failed.items()}
        return pd.DataFrame.from_dict(rows, orient="index").rename_axis("unit").sort_index()

    def __repr__(self) -> str:
        doubtful = sum(not one.ok for one in self.fits.values())
        return f"<Fits: {len(self.fits)} series, {doubtful} not to be trusted, {len(self.failed)} failed>"


def _row(one: Fit) -> dict[str, Any]:
    kappa = typical(one.problem, one.x).kappa[0]
    lives = np.divide(np.log(2.0), kappa, out=np.full_like(kappa, np.inf), where=kappa > 0)
    several = any(str(name).startswith("kappa[") for name in one.params.index)
    row: dict[str, Any] = {str(name): value for name, value in one.params.items()}
    row |= {f"half_life[{k}]": v for k, v in enumerate(lives)} if several else {"half_life": lives[0]}
    return {**row, "llf": one.llf, "nobs": one.nobs, "ok": one.ok}


def fit_many(
    model: Component | Model,
    panel: Mapping[str, BasisSeries],
    *,
    starts: int = 20,
    initial: str = "stationary",
    mask: bool = True,
    depth: int = 1,
    rng: int | None = None,
    n_jobs: int | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> Fits:
    """`bm.fit` of one model to each series of a panel: a dict of BasisSeries, or what `bm.read_panel` returns.

    A series that cannot be fitted is named in `.failed` and stops nothing. `checkpoint`: folder from which a killed
    run goes on; `n_jobs`: workers, default all cores or what `joblib.parallel_config` says. Errors: ModelError.
    """
    made = as_model(model)
    if not isinstance(panel, Mapping) or not all(isinstance(panel[unit], BasisSeries) for unit in panel):
        raise DataError("a panel is a dict of BasisSeries by name", remedy="bm.read_panel(path)")
    units = sorted(panel, key=str)
    if not units:
        raise DataError("the panel holds no series", remedy="bm.read_panel(path)")
    options = {"starts": starts, "initial": initial, "mask": mask, "depth": depth, "rng": rng}
    key = key_of("fit_many", repr(made), str(options), [_key(unit, panel[unit]) for unit in units])
    found = run_tasks(
        partial(_one, made, options), [panel[unit] for unit in units], title="fits", key=key, n_jobs=n_jobs,
        checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    fits, failed = {}, {}
    for unit, content in zip(units, found, strict=True):
        kept = _unfrozen(content)
        if "error" in kept:
            failed[unit] = kept["error"]
        else:
            fits[unit] = _fit_of(bind(made, panel[unit], initial=initial, mask=mask, depth=depth), kept)
    return Fits(fits, failed)


def _key(unit: str, data: BasisSeries) -> list[Any]:
    covariates = data.covariates.to_numpy(dtype=float) if data.covariates.shape[1] else np.empty(0)
    return [unit, data.fingerprint, data.mask, covariates, [str(c) for c in data.covariates.columns]]


def _one(model: Model, options: dict[str, Any], data: BasisSeries) -> bytes:
    """One fit as bytes: a header in JSON, the free vector and covariance, the table of starts."""
    try:
        found = fit(model, data, **options)
    except BasismodelsError as error:
        return _frozen({"error": str(error)}, [])
    head = {
        "llf": found.llf,
        "diagnostics": [[d.code, d.text, d.fatal] for d in found.diagnostics],
        "columns": [str(c) for c in found.optima.columns],
    }
    return _frozen(head, [found.x, found.cov, found.optima.to_numpy(dtype=float)])


def _frozen(head: dict[str, Any], arrays: list[Any]) -> bytes:
    parts = [json.dumps(head, sort_keys=True).encode(), *(packed(array) for array in arrays)]
    return b"".join(struct.pack("<Q", len(part)) + part for part in parts)


def _unfrozen(content: bytes) -> dict[str, Any]:
    parts, at = [], 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        parts.append(content[at + 8 : at + 8 + size])
        at += 8 + size
    head: dict[str, Any] = json.loads(parts[0])
    return {**head, "arrays": [unpacked(part) for part in parts[1:]]}


def _fit_of(problem: Problem, kept: dict[str, Any]) -> Fit:
    x, cov, optima = kept["arrays"]
    table = pd.DataFrame(optima, columns=kept["columns"])
    for column, kind in (("start", np.int64), ("calls", np.int64), ("converged", np.bool_)):
        table[column] = table[column].astype(kind)
    diagnostics = tuple(Diagnostic(*d) for d in kept["diagnostics"])
    return Fit(problem, x, cov, float(kept["llf"]), diagnostics, table)
