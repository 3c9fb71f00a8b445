"""The report's key figures on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from basismodels.report.format import around, bare_hours, bps, date, hours, probability, share, span

if TYPE_CHECKING:
    from rich.console import Console

    from basismodels.report.html import Report


def show(report: Report, console: Console) -> None:
    """Print the summary, the key figures, the table of models and the path of the file."""
    from rich.text import Text

    for part in report.paragraph.split("\n\n"):
        console.print(Text(part))
        console.print()
    console.print(_key(report))
    console.print(_models(report))
    console.print(Text(f"Report: {report.path}"), soft_wrap=True)


def _key(report: Report) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Key figures", title_justify="left", box=None, pad_edge=False)
    for heading in ("", "value", f"{report.key['level']:.0%} limits"):
        table.add_column(heading)
    for row in key_rows(report.key):
        table.add_row(*(Text(cell) for cell in row))
    return table


def key_rows(key: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value and limits of each key figure as text."""
    event = f"no return into {around(key['band'], key['target'])} within {span(key['horizon'])}"
    rows = [
        ("model", key["model"], "" if key["trusted"] else "not to be trusted"),
        ("half-life, combined", hours(key["half_life"]), _limits(key, "half_life", hours)),
        ("level", bps(key["theta"]), _limits(key, "theta", bps)),
        (f"P({event}), now", probability(key["no_return"]), _limits(key, "no_return", probability)),
        ("P(failure regime), now", *_regime(key)),
        ("share of observations failing", share(key["no_return_share"]), ""),
    ]
    if key["no_return_spells"]:
        start, end = date(key["no_return_longest_start"]), date(key["no_return_longest_end"])
        rows.append(("longest failing spell", span(key["no_return_longest_hours"]), f"{start} to {end}"))
    return rows


def _regime(key: dict[str, Any]) -> tuple[str, str]:
    """The probability that a failure regime holds, or why there is nothing to say."""
    if key["failing"] != key["failing"]:
        return "not known", "no trusted model with regimes"
    if not key["failure_regimes"]:
        return "no failure regime", ""
    if not key["regimes_tell"]:
        return "no telling", "every regime counts as failing"
    return probability(key["failing"]), _limits(key, "failing", probability)


def _limits(key: dict[str, Any], name: str, said: Any) -> str:
    lower, upper = key[f"{name}_lower"], key[f"{name}_upper"]
    if lower != lower or upper != upper:
        return "none"
    low, high = said(lower), said(upper)
    return f"both {low}" if low == high else f"{low} to {high}"


def _models(report: Report) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="Models", title_justify="left", box=None, pad_edge=False)
    table.add_column("model")
    for heading in ("log likelihood", "BIC", "half-life"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for label, row in report.table.iterrows():
        table.add_row(*(Text(cell) for cell in _model_cells(str(label), dict(row))))
    return table


def _model_cells(label: str, row: dict[str, Any]) -> tuple[str, ...]:
    if pd.isna(row.get("loglik")):
        return label, "", "", "", f"not fitted: {row['note']}"
    status = "ok" if row["ok"] else f"not to be trusted: {row['note']}"
    return label, f"{row['loglik_particles']:,.1f}", f"{row['bic']:,.1f}", bare_hours(row["half_life"]), status
