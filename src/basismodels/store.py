"""Results on disk: one zip of Parquet and plain arrays under a JSON manifest; nothing is pickled."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from basismodels._atomic import atomic
from basismodels.errors import StoreError, file_path
from basismodels.presets import parse_model
from basismodels.problem import bind
from basismodels.results import Diagnostic, Fit
from basismodels.series import BasisSeries

SCHEMA = 1
_LARGEST = 2**31


def save(fit: Fit, path: str | Path) -> Path:
    """Write a fit with its data to one file; whole or not at all. Returns the path."""
    from basismodels import __version__

    members = {name: _parquet(frame) for name, frame in _frames(fit).items()}
    members["arrays.npz"] = _arrays(fit)
    manifest = {
        "schema": SCHEMA,
        "basismodels": __version__,
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "model": repr(fit.model),
        "initial": fit.problem.initial,
        "depth": fit.problem.layout.depth,
        "mask": fit.problem.mask,
        "kappa_link": fit.problem.link,
        "names": fit.names,
        "llf": fit.llf,
        "seconds": fit.seconds,
        "draws_kind": fit.draws_kind,
        "facts": _plain_facts(fit),
        "diagnostics": [[d.code, d.text, d.fatal] for d in fit.diagnostics],
        "provenance": dict(fit.data.provenance),
        "warnings": list(fit.data.warnings),
        "fingerprint": fit.data.fingerprint,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in members.items()},
    }
    members["manifest.json"] = json.dumps(manifest, indent=2, sort_keys=True).encode()
    return _write(Path(path), members)


def load(path: str | Path) -> Fit:
    """Read a fit back; StoreError where the file is damaged, altered or of another schema."""
    members = _members(file_path(path))
    manifest = _manifest(members, path)
    data = _data(members, manifest)
    if data.fingerprint != manifest["fingerprint"]:
        raise StoreError(f"{path}: the data are not those the fit was made from")
    problem = bind(
        parse_model(manifest["model"]), data, initial=manifest["initial"], depth=manifest["depth"],
        kappa_link=manifest.get("kappa_link"), mask=manifest.get("mask", True),
    )  # fmt: skip
    if problem.spec.names != manifest["names"]:
        raise StoreError(f"{path}: the model's parameters are named otherwise here", rows=problem.spec.names)
    with np.load(io.BytesIO(members["arrays.npz"]), allow_pickle=False) as arrays:
        x, cov = arrays["x"], arrays["cov"]
        draws = arrays.get("draws")
        facts = {**manifest.get("facts", {}), **_facts_of(arrays)}
    return Fit(
        problem=problem,
        x=x,
        cov=cov,
        llf=float(manifest["llf"]),
        diagnostics=tuple(Diagnostic(*d) for d in manifest["diagnostics"]),
        optima=pd.read_parquet(io.BytesIO(members["optima.parquet"])),
        seconds=float(manifest["seconds"]),
        draws=draws,
        draws_kind=manifest["draws_kind"],
        facts=facts,
    )


def _frames(fit: Fit) -> dict[str, pd.DataFrame]:
    data = fit.data
    series = pd.DataFrame({"basis": data.basis, "mask": data.mask}, index=data.time)
    frames = {"series.parquet": series, "covariates.parquet": data.covariates, "optima.parquet": fit.optima}
    if data.settlements is not None:
        frames["settlements.parquet"] = data.settlements
    return frames


def _parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def _arrays(fit: Fit) -> bytes:
    buffer = io.BytesIO()
    arrays = {"x": fit.x, "cov": fit.cov} | ({} if fit.draws is None else {"draws": fit.draws})
    arrays |= {f"fact/{name}": fit.facts[name] for name in _ARRAYS if name in fit.facts}
    arrays |= {f"stats/{name}": values for name, values in sorted(fit.facts.get("stats", {}).items())}
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


_ARRAYS = ("prior_draws",)


def _plain_facts(fit: Fit) -> dict[str, Any]:
    """Facts that are text, numbers or a table of them."""
    kept = {name: value for name, value in fit.facts.items() if isinstance(value, str | int | float | bool)}
    tables = {name: value for name, value in fit.facts.items() if name == "priors"}
    return {**kept, **tables}


def _facts_of(arrays: Any) -> dict[str, Any]:
    """Facts that are arrays: draws of the prior, and the sampler's statistics by name."""
    found = {name.removeprefix("fact/"): arrays[name] for name in arrays if name.startswith("fact/")}
    stats = {name.removeprefix("stats/"): arrays[name] for name in arrays if name.startswith("stats/")}
    return {**found, **({"stats": stats} if stats else {})}


def _write(target: Path, members: dict[str, bytes]) -> Path:
    with atomic(target, StoreError) as name, zipfile.ZipFile(name, "w", zipfile.ZIP_STORED) as archive:
        for member in sorted(members):
            archive.writestr(zipfile.ZipInfo(member), members[member])
    return target


def _members(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > _LARGEST:
                raise StoreError(f"{path} unpacks to more than {_LARGEST:,} bytes")
            return {info.filename: archive.read(info) for info in archive.infolist()}
    except (OSError, zlib.error, zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise StoreError(f"{path} is not a stored fit: {error}", remedy="bm.save(fit, path)") from error


def _manifest(members: dict[str, bytes], path: str | Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(members["manifest.json"])
        schema, sums = manifest["schema"], manifest["sha256"]
    except (KeyError, ValueError, TypeError) as error:
        raise StoreError(f"{path} has no readable manifest") from error
    if schema != SCHEMA:
        raise StoreError(f"{path} has schema {schema!r}, this version reads {SCHEMA}")
    altered = [name for name, digest in sums.items() if hashlib.sha256(members.get(name, b"")).hexdigest() != digest]
    extra = sorted(set(members) - set(sums) - {"manifest.json"})
    if altered or extra:
        raise StoreError(f"{path} was altered after it was saved", rows=[*altered, *extra])
    return manifest


def _data(members: dict[str, bytes], manifest: dict[str, Any]) -> BasisSeries:
    series = pd.read_parquet(io.BytesIO(members["series.parquet"]))
    covariates = pd.read_parquet(io.BytesIO(members["covariates.parquet"]))
    settlements = None
    if "settlements.parquet" in members:
        settlements = pd.read_parquet(io.BytesIO(members["settlements.parquet"]))
    data = BasisSeries(
        time=pd.DatetimeIndex(series.index),
        basis=series["basis"].to_numpy(dtype=float),
        covariates=covariates,
        settlements=settlements,
        mask=series["mask"].to_numpy(dtype=bool),
        provenance=manifest["provenance"],
    )
    return replace(data, warnings=tuple(manifest["warnings"]))
