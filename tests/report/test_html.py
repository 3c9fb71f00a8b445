"""The page: self-contained, the same every time, whole or absent, safe whatever the data are called."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import basismodels as bm
from basismodels.errors import DataError, ModelError
from basismodels.report import html, pictures
from basismodels.report.analysis import Analysis, Settings, analyse
from basismodels.report.citations import cite
from basismodels.report.html import Report, render, save, write_report
from basismodels.report.tables import MOST_FINDINGS, versions
from basismodels.report.words import paragraph
from basismodels.series import BasisSeries

LOADERS = {
    "script",
    "link",
    "iframe",
    "object",
    "embed",
    "img",
    "audio",
    "video",
    "base",
    "form",
    "image",
    "foreignobject",
}


class Elements(HTMLParser):
    """Every element of a page with its attributes, and the text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(report: Report) -> str:
    return report.path.read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(report: Report) -> None:
    page = page_of(report)
    elements = Elements(page)
    assert not LOADERS & {tag for tag, _ in elements.found}
    for _, attributes in elements.found:
        assert not {"src", "srcset", "data", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        targets = [value for name, value in attributes.items() if name.endswith("href")]
        assert all(target.startswith("#") for target in targets)
    assert "@import" not in page
    assert not re.findall(r"url\((?!#)", page)
    assert page.count("<svg") == 3


def test_every_reference_inside_the_page_is_there_once(report: Report) -> None:
    page = page_of(report)
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) | set(re.findall(r'href="#([^"]+)"', page)) <= set(names)


def test_the_page_has_every_part(report: Report, command: str) -> None:
    text = " ".join(Elements(page_of(report)).text)
    parts = (
        "Over time",
        "Half-lives",
        "Models",
        "Failure regimes",
        "The chosen model",
        "Data quality",
        "To repeat and to cite",
    )
    assert all(part in text for part in parts)
    assert command in text
    assert report.fits["ou"].data.fingerprint in text
    assert all(f"{name} {version}" in text for name, version in versions().items())
    assert "@software{basismodels," in text
    assert all(part in text for part in report.paragraph.split("\n\n"))


def test_equal_input_gives_equal_bytes(
    report: Report, series: BasisSeries, models: tuple[str, ...], command: str, tmp_path: Path
) -> None:
    again = write_report(series, tmp_path / "again.html", models=models, starts=4, command=command)
    assert again.path.read_bytes() == report.path.read_bytes()
    assert again.paragraph == report.paragraph


def test_hostile_names_are_escaped(analysis: Analysis) -> None:
    evil = "<script>alert(1)</script>"
    facts = {
        **analysis.data.provenance,
        "source": f"a/{evil}.parquet",
        "perp": f"<img src=x onerror=1>{evil}",
        "reference": evil,
    }
    data = replace(analysis.data, provenance=facts, warnings=(evil,))
    entries = tuple(replace(e, label=f"{e.label}{evil}") for e in analysis.entries)
    page = render(replace(analysis, data=data, entries=entries, chosen=entries[-1]), command=f"report '{evil}'")
    found = Elements(page).found
    assert not LOADERS & {tag for tag, _ in found}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert page.count("<script") == 0


def test_many_findings_are_cut_and_counted(analysis: Analysis) -> None:
    from basismodels._finding import Finding

    at = analysis.data.time
    found = tuple(Finding("outage", at[i], at[i], 1, True, "perp silent") for i in range(MOST_FINDINGS + 7))
    page = render(replace(analysis, data=replace(analysis.data, findings=found)))
    assert "And 7 more." in page
    assert f"{MOST_FINDINGS + 7} findings" in page
    assert page.count("perp silent") == MOST_FINDINGS


def test_a_failed_rendering_leaves_nothing_behind(
    series: BasisSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text("the old one", encoding="utf-8")

    def broken(analysis: Analysis) -> str:
        raise RuntimeError("no ink")

    monkeypatch.setattr(pictures, "half_lives", broken)
    with pytest.raises(RuntimeError, match="no ink"):
        write_report(series, out, models=("ou",))
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
    assert out.read_text(encoding="utf-8") == "the old one"


def test_a_failed_move_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refused)
    with pytest.raises(OSError, match="disk full"):
        save(tmp_path / "report.html", "text")
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused_before_any_fit(
    series: BasisSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(html, "analyse", lambda *_: pytest.fail("fitted first"))
    with pytest.raises(ModelError, match="is a folder"):
        write_report(series, tmp_path)
    with pytest.raises(ModelError, match="there is no folder"):
        write_report(series, tmp_path / "absent" / "report.html")
    with pytest.raises(ModelError, match="band"):
        write_report(series, tmp_path / "r.html", band=-1.0)
    with pytest.raises(ModelError, match="level"):
        write_report(series, tmp_path / "r.html", level=2.0)
    with pytest.raises(ModelError, match="at least one model"):
        write_report(series, tmp_path / "r.html", models=())


def test_a_series_no_model_fits_is_refused_by_name(series: BasisSeries, tmp_path: Path) -> None:
    short = series.cut(end=series.time[3])
    with pytest.raises(DataError, match="no model could be fitted: switching-two-factor"):
        write_report(short, tmp_path / "r.html", models=("switching-two-factor",), starts=1)
    assert list(tmp_path.iterdir()) == []


def test_progress_counts_to_the_end(series: BasisSeries, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_report(series, tmp_path / "r.html", models=("ou",), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_record_holds_what_was_written(report: Report, models: tuple[str, ...]) -> None:
    assert list(report.table.index) == list(models)
    assert set(report.fits) == set(models)
    assert report.key["model"] == report.table["bic"].idxmin()
    assert report.key["half_life"] == report.table.loc[report.key["model"], "half_life"]
    assert report.key["failure_regimes"] == [1]
    assert report.key["regime_longest_hours"] > 24.0


def test_the_page_cites_the_package_and_the_sources_of_the_chosen_fit(report: Report) -> None:
    page = unescape(report.path.read_text(encoding="utf-8"))
    assert cite(report.fits[report.key["model"]]) in page


def test_models_are_compared_on_the_rows_that_all_of_them_know(tmp_path: Path) -> None:
    """Columns of funding are unknown before the first settlement."""
    data = bm.load_example(end="2024-01-20")
    made = analyse(data, ["ou", bm.OU(theta="1 + funding") + bm.Noise()], Settings(starts=1))
    counts = {entry.fit.nobs for entry in made.entries if entry.fit is not None}
    assert len(counts) == 1
    assert counts.pop() < bm.fit(bm.OU(), data, starts=1).nobs
    assert "left out, in which not every model knows" in made.notes[0]


def test_one_rule_gives_the_event_of_every_figure_and_is_named(series: bm.BasisSeries, tmp_path: Path) -> None:
    """A rule that one model's formula asked for holds for all of them; numbers that are given win."""
    models = ["ou", bm.OU(theta="1 + premium_mean")]
    cut = series.cut(end=series.time[240])
    made = analyse(cut, models, Settings(starts=1))
    rule = next(bm.funding.rule_of(e.fit.data) for e in made.entries if bm.funding.rule_of(e.fit.data) is not None)
    assert (made.event.target, made.event.band) == (1e4 * rule.interest, 10.0 + 1e4 * rule.damper)
    assert made.event.rule in render(made)
    assert made.no_return.attrs["band"] == made.event.band
    own = bm.write_report(cut, tmp_path / "x.html", models=models, band=10.0, target=0.0, starts=1)
    assert (own.key["band"], own.key["target"], own.key["rule"]) == (10.0, 0.0, "")
    assert "follow from the interest" not in own.paragraph
    assert "follow from the interest" in paragraph(made)
