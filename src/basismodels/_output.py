"""What the command line writes: JSON in its stable form, files whole or not at all, progress on a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basismodels._atomic import atomic

if TYPE_CHECKING:
    from basismodels.results import Fit


@contextmanager
def progress(title: str) -> Iterator[Any]:
    """A progress display on a terminal, nothing elsewhere; yields a callable (done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as display:
        task = display.add_task(title, total=None)
        yield lambda done, total: display.update(task, completed=done, total=total)


def fit_payload(fit: Fit, text: str, level: float, method: str | None = None) -> dict[str, Any]:
    """The result of a fit as plain data, in the stable form of the command line's JSON."""
    from basismodels.estimands.convergence import half_life
    from basismodels.inference.intervals import conf_int

    with progress("intervals") as tell:
        limits = conf_int(fit, method=method, level=level, progress=tell)
        total, *parts = half_life(fit, level=level, method=method, progress=tell)
    params = {
        name: {
            "estimate": float(fit.params[name]),
            "se": float(fit.bse[name]),
            "lower": float(limits["lower"][name]),
            "upper": float(limits["upper"][name]),
            "unit": unit,
        }
        for name, unit in zip(fit.names, fit.units, strict=True)
    }
    return {
        "model": text,
        "expression": repr(fit.model),
        "nobs": fit.nobs,
        "llf": fit.llf,
        "aic": fit.aic,
        "bic": fit.bic,
        "ok": fit.ok,
        "engine": fit.problem.engine.name,
        "exact": fit.problem.engine.exact,
        "initial": fit.problem.initial,
        "depth": fit.problem.layout.depth,
        "level": level,
        "interval_method": str(limits["method"].iloc[0]) if len(limits) else "none",
        "diagnostics": [{"code": d.code, "text": d.text, "fatal": d.fatal} for d in fit.diagnostics],
        "params": params,
        "half_life": [_estimate(part) for part in parts],
        "half_life_total": _estimate(total),
        "data": {
            "fingerprint": fit.data.fingerprint,
            "simulated": bool(fit.data.provenance.get("simulated")),
        },
    }


def _estimate(one: Any) -> dict[str, Any]:
    keys = ("component", "regime", "value", "lower", "upper", "unit", "method")
    return {key: getattr(one, key) for key in keys}


def plain(value: Any) -> Any:
    """Plain JSON data: non-finite numbers as "inf", "-inf", "nan"; times as ISO 8601 with Z."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if hasattr(value, "isoformat"):
        return value.isoformat().replace("+00:00", "Z")
    return value


def write_json(payload: Any, path: str) -> None:
    """Writes JSON whole or not at all; "-" is standard output."""
    text = json.dumps(plain(payload), indent=2, allow_nan=False)
    if path == "-":
        print(text)
        return
    with atomic(path) as temporary:
        Path(temporary).write_text(text + "\n", encoding="utf-8")
