"""Tables of the report: models, failure regimes, findings, versions."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from importlib import metadata

import pandas as pd

from basismodels.report.analysis import Analysis, Entry
from basismodels.report.forest import part_name
from basismodels.report.format import brief, hours, number, probability, share
from basismodels.results import Estimate

_PACKAGES = ("basismodels", "numpy", "scipy", "numba", "pandas", "matplotlib")
MOST_FINDINGS = 100


def models(a: Analysis) -> pd.DataFrame:
    """One row a model: log likelihoods, criteria, combined half-life with limits, whether to be trusted and why not."""
    return pd.DataFrame([_model(e) for e in a.entries], index=pd.Index([e.label for e in a.entries], name="model"))


def _model(e: Entry) -> dict[str, object]:
    if e.fit is None or e.loglik is None:
        return {"ok": False, "note": e.error}
    total = e.half_lives[0]
    return {
        "loglik": e.fit.llf,
        "loglik_particles": e.loglik.value,
        "loglik_particles_se": e.loglik.se,
        "exact": e.fit.problem.engine.exact,
        "parameters": e.fit.df_model,
        "observations": e.fit.nobs,
        "aic": e.aic,
        "bic": e.bic,
        "half_life": total.value,
        "half_life_lower": total.lower,
        "half_life_upper": total.upper,
        "half_life_method": total.method,
        "ok": e.ok,
        "note": "; ".join(d.text for d in e.fit.diagnostics if d.fatal),
    }


def model_rows(a: Analysis) -> list[dict[str, object]]:
    """The table of models as text for a page."""
    return [_model_row(a, e) for e in a.entries]


def _model_row(a: Analysis, e: Entry) -> dict[str, object]:
    if e.fit is None or e.loglik is None:
        return {"label": e.label, "fitted": False, "status": f"not fitted: {e.error}", "chosen": False}
    particles = "exact" if e.fit.problem.engine.exact else f"{e.llf:,.1f} ± {e.loglik.se:.1f}"
    particles = "not made" if math.isnan(e.loglik.se) else particles
    fatal = [f"{d.code}: {d.text}" for d in e.fit.diagnostics if d.fatal]
    return {
        "label": e.label,
        "fitted": True,
        "chosen": e is a.chosen,
        "loglik": minus(f"{e.fit.llf:,.1f}"),
        "particles": minus(particles),
        "parameters": e.fit.df_model,
        "aic": minus(f"{e.aic:,.1f}"),
        "bic": minus(f"{e.bic:,.1f}"),
        "half_lives": [(part_name(h), hours(h.value), brief(h)) for h in shown(e)],
        "status": "not to be trusted. " + "; ".join(fatal) if fatal else "ok",
        "ok": e.ok,
    }


def shown(e: Entry) -> Sequence[Estimate]:
    """Half-lives worth a line: the combined one alone where it is the only one."""
    first = e.half_lives[0]
    lone = len(e.half_lives) == 2 and e.half_lives[1].regime is None and e.half_lives[1].value == first.value
    return e.half_lives[:1] if lone else e.half_lives


def minus(text: str) -> str:
    """The text with a true minus sign."""
    return text.replace("-", "−")


def regime_rows(a: Analysis) -> list[dict[str, str]]:
    """Failure regimes as text: phi, Pr(phi >= p*), share of time, flags; empty without a model with regimes."""
    if a.failing is None:
        return []
    return [
        {
            "regime": str(k),
            "fails": "failing" if row["fails"] else "not failing",
            "phi": probability(float(row["phi"])),
            "doubt": probability(float(row["probability_fails"])),
            "share": share(float(row["share_of_time"])),
            "flags": str(row["flags"]) or "none",
        }
        for k, row in a.failing.regimes.iterrows()
    ]


def residual_rows(a: Analysis) -> list[dict[str, str]]:
    """Residual tests of the chosen model as text."""
    if a.fitness is None:
        return []
    rows = a.fitness.residuals.tests
    return [
        {"test": str(name), "finding": minus(str(row["finding"])), "p": p_value(float(row["p"])),
         "bad": "bad" if row["p"] < 0.01 else ""}
        for name, row in rows.iterrows()
    ]  # fmt: skip


def p_value(p: float) -> str:
    """A p value to two digits, or a bound."""
    return "< 0.001" if p < 0.001 else f"{p:.2g}"


def finding_rows(a: Analysis) -> tuple[list[dict[str, str]], int]:
    """The first findings as text, and how many more there are."""
    found = a.data.findings
    rows = [
        {
            "kind": f.kind.replace("_", " "),
            "start": f"{f.start:%Y-%m-%d %H:%M}",
            "end": f"{f.end:%Y-%m-%d %H:%M}",
            "rows": f"{f.rows:,}",
            "masked": "left out" if f.masked else "kept",
            "note": f.note,
        }
        for f in found[:MOST_FINDINGS]
    ]
    return rows, max(len(found) - MOST_FINDINGS, 0)


def parameters(a: Analysis) -> list[dict[str, str]]:
    """Estimates of the chosen model as text, with Wald limits."""
    limits = a.fit.conf_int(a.settings.level)
    values = zip(a.fit.names, a.fit.params, limits["lower"], limits["upper"], a.fit.units, strict=True)
    return [
        {"name": name, "value": number(x, 4), "lower": number(low, 4), "upper": number(high, 4), "unit": unit}
        for name, x, low, high, unit in values
    ]


def versions() -> dict[str, str]:
    """What computed the report: Python and the packages that matter to its numbers."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in _PACKAGES}}
