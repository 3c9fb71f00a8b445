"""The report as one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from basismodels.errors import ModelError
from basismodels.estimands.event import check_event
from basismodels.inference.intervals import checked_level
from basismodels.model import Component, Model
from basismodels.report import pictures, tables
from basismodels.report.analysis import Analysis, Progress, Rng, Settings, analyse
from basismodels.report.citations import cite
from basismodels.report.format import around
from basismodels.report.key import key_figures, masked
from basismodels.report.words import paragraph, source
from basismodels.results import Fit
from basismodels.series import BasisSeries

DEFAULT_MODELS = ("ou", "ou-noise", "two-factor", "switching-ou", "switching-two-factor")


@dataclass(frozen=True, eq=False)
class Report:
    """What was written: path, the summary in words, the table of models, key figures by name, fits by model."""

    path: Path
    paragraph: str
    table: pd.DataFrame
    key: dict[str, Any]
    fits: dict[str, Fit]


def write_report(
    data: BasisSeries,
    out: str | Path,
    *,
    models: Sequence[str | Component | Model] = DEFAULT_MODELS,
    horizon: float = 24.0,
    band: float | None = None,
    target: float | None = None,
    level: float = 0.95,
    starts: int = 20,
    initial: str = "stationary",
    rng: Rng = None,
    command: str = "",
    progress: Progress | None = None,
) -> Report:
    """Fit `models` to a series and write the report to `out`, one self-contained HTML file.

    `horizon` (h), `band` and `target` (bps) define failure, the last two by default through the funding rule of the
    data or of a model's formulas, as in `bm.failure_probability`; `level` is that of the intervals; `command` is
    printed as the way to make the file again; `progress(done, total)` is told of each step.
    The file appears whole or not at all. Errors: ModelError, DataError.
    """
    path = Path(out)
    _writable(path)
    check_event(horizon, band, target)
    checked_level(level)
    if not models:
        raise ModelError("a report needs at least one model", remedy=f"models={DEFAULT_MODELS!r}")
    settings = Settings(horizon=horizon, band=band, target=target, level=level, starts=starts, initial=initial, rng=rng)
    analysis = analyse(data, models, settings, progress)
    save(path, render(analysis, command))
    fits = {e.label: e.fit for e in analysis.entries if e.fit is not None}
    return Report(path, paragraph(analysis), tables.models(analysis), key_figures(analysis), fits)


def _writable(path: Path) -> None:
    if path.is_dir():
        raise ModelError(f"{path} is a folder, a report is a file", remedy=f"{path / 'report.html'}")
    if not path.absolute().parent.is_dir():
        raise ModelError(f"there is no folder {path.parent} to write {path.name} into", remedy="create it first")


def render(analysis: Analysis, command: str = "") -> str:
    """The page as text; everything that comes from outside is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    text = files("basismodels.report").joinpath("template.html").read_text(encoding="utf-8")
    template = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    findings, more = tables.finding_rows(analysis)
    return template.from_string(text).render(
        a=analysis,
        title=source(analysis),
        around=around(analysis.event.band, analysis.event.target),
        paragraphs=paragraph(analysis).split("\n\n"),
        over_time=Markup(pictures.over_time(analysis)),
        half_lives=Markup(pictures.half_lives(analysis)),
        quality=Markup(pictures.quality(analysis)) if analysis.data.findings else "",
        fitness=Markup(pictures.fitness(analysis)) if analysis.fitness else "",
        residual_tests=tables.residual_rows(analysis),
        models=tables.model_rows(analysis),
        regimes=tables.regime_rows(analysis),
        parameters=tables.parameters(analysis),
        findings=findings,
        left_out=masked(analysis)[0],
        more=more,
        command=command,
        versions=tables.versions(),
        bibtex=cite(analysis.fit),
        fingerprint=analysis.data.fingerprint,
    )


def save(path: Path, text: str) -> None:
    """Write a file whole or not at all: under another name first, then in place of what was there."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
